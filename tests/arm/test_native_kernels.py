"""Every NEON kernel equals the reference on random layers: delegate/tests/kernels_test.cc."""

from __future__ import annotations

import subprocess

LAYERS, SEED = 80, 20260101


def test_random_layers(kernels_test):
    done = subprocess.run(
        [*kernels_test, str(LAYERS), str(SEED)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{LAYERS} layers from seed {SEED}, 0 failures" in done.stdout
