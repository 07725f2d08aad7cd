"""What reaches the terminal: one line of ours, whatever native code logs, and Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_INTERRUPTED_AT = """
import atexit, builtins, os, signal, sys
moment, *sys.argv[1:] = sys.argv[1:]
imported = builtins.__import__
def strike():
    os.kill(os.getpid(), signal.SIGINT)
def hooked(name, *args, **kwargs):
    if name == moment:
        builtins.__import__ = imported
        strike()
    return imported(name, *args, **kwargs)
builtins.__import__ = hooked
if moment == "exit":
    atexit.register(strike)
from keras_sparsebnn.cli import main
sys.exit(main())
"""


def command(*arguments: object, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-m", "keras_sparsebnn"] if code is None else ["-c", code]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize(
    "moment",
    ["argparse", "keras_sparsebnn.cli.outputs", "tensorflow", "exit"],
)
def test_an_interrupt_at_any_time_prints_no_traceback(tmp_path, moment):
    arguments = ["train", "--out", tmp_path / "run", "--teacher", "missing.keras"]
    done = command(moment, *arguments, code=_INTERRUPTED_AT)
    assert "Traceback" not in done.stderr
    assert "KeyboardInterrupt" not in done.stderr
    if moment == "exit":
        assert done.returncode == -2  # killed: the command was done
    else:
        assert (done.returncode, done.stderr) == (130, "sparsebnn: interrupted\n")


def test_little_is_imported_before_interrupts_are_answered():
    """Nothing that takes milliseconds, without which there is no `main` to catch them."""
    root = Path(__file__).resolve().parents[3]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import keras_sparsebnn.cli; "
        "print(*{'argparse', 'typing', 'importlib.abc', 're', 'pathlib'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


def test_an_error_is_one_line_without_native_logs(tmp_path):
    done = command("train", "--out", tmp_path / "run", "--teacher", "missing.keras")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "found nothing at missing.keras" in line
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_crash_in_native_code_still_says_where():
    code = (
        "import os; from keras_sparsebnn.cli import process; process.drop_native_stderr(); "
        "os.write(2, b'noise'); os.abort()"
    )
    done = command(code=code)
    assert done.returncode == -6
    assert "noise" not in done.stderr
    assert "Fatal Python error: Aborted" in done.stderr


def test_logs_that_were_asked_for_are_kept(monkeypatch):
    code = (
        "import os; from keras_sparsebnn.cli import process; "
        "os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'; process.drop_native_stderr(); "
        "os.write(2, b'noise')"
    )
    assert command(code=code).stderr == "noise"


def test_a_run_reports_its_epochs_and_nothing_else(tmp_path):
    options = ["--epochs", "1", "--batch-size", "400", "--method", "random"]
    done = command("train", "--out", tmp_path / "run", *options)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("epoch 1/1: loss")
    assert Path(tmp_path / "run" / "model.keras").exists()
