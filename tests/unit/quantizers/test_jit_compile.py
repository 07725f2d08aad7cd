"""A training step that is compiled as a whole is compiled once."""

import os
import subprocess
import sys
from pathlib import Path


def test_compiled_once_for_all_methods_and_options(tmp_path):
    script = Path(__file__).with_name("train_compiled.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "XLA_FLAGS": f"--xla_dump_to={tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    before, first, last = map(int, done.stdout.split())
    assert first > before, "nothing was compiled, so nothing was tested"
    assert last == first
