"""The runner with real training: killed at its worst, it ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.experiments.small_matrix import MATRIX, NAME, PATIENCE


class Runner:
    """`sparsebnn experiment` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "out" / "runs" / NAME / "checkpoints"
        self.result = folder / "out" / "digits.jsonl"
        folder.mkdir(exist_ok=True)
        (folder / "matrix.json").write_text(json.dumps(MATRIX))

    def start(self) -> "subprocess.Popen[str]":
        arguments = ["experiment", "matrix.json", "--out", "out", "--jobs", "2"]
        return subprocess.Popen(
            [sys.executable, "-m", "keras_sparsebnn", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def steps(self) -> int:
        """Of the newest checkpoint."""
        names = [path.name for path in self.checkpoints.glob("step-*")]
        return max((int(name.removeprefix("step-")) for name in names), default=0)

    def wait_for_steps_after(self, steps: int, process) -> None:
        end = time.monotonic() + PATIENCE
        while self.steps() <= steps:
            assert time.monotonic() < end, "no checkpoint"
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)


def worker_of(process) -> int:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    (child,) = path.read_text().split()
    return int(child)


def wait_for_end(pid: int) -> None:
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "the worker outlives its runner"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
def test_survives_kills_and_ends_the_same(tmp_path):
    runner = Runner(tmp_path)

    # A worker dies: its run has failed, and says how.
    process = runner.start()
    runner.wait_for_steps_after(0, process)
    os.kill(worker_of(process), signal.SIGKILL)
    output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 1
    assert f"failed  {NAME}: Expected the run to finish, got signal 9" in output
    assert not runner.result.exists()

    # The runner dies: its worker saves a checkpoint and ends by itself.
    steps = runner.steps()
    process = runner.start()
    runner.wait_for_steps_after(steps, process)
    worker = worker_of(process)
    process.kill()
    process.communicate()
    wait_for_end(worker)
    assert not runner.result.exists(), "too fast to be killed: let it train longer"

    # SIGTERM: orderly, and what was saved is still there.
    steps = runner.steps()
    assert steps > 0
    process = runner.start()
    while not Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().strip():
        time.sleep(0.02)
    process.terminate()
    output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 128 + signal.SIGTERM
    assert "0 of 1 runs are finished, 0 failed, 1 are left." in output
    assert runner.steps() >= steps

    process = runner.start()
    output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, output
    assert not runner.checkpoints.exists()
    assert (runner.checkpoints.parent / "model.keras").exists()

    undisturbed = Runner(tmp_path / "undisturbed")
    process = undisturbed.start()
    assert process.communicate(timeout=PATIENCE)[0].endswith("are left.\n")
    first, second = (json.loads(r.result.read_text()) for r in (runner, undisturbed))
    assert first["epochs"] == second["epochs"]
    for key in ("test_accuracy", "test_loss", "steps"):
        assert first["final"][key] == second["final"][key]
    assert first["final"]["test_accuracy"] > 0.5
    # All the processes that worked on the run count.
    assert first["cpu_seconds"] > second["cpu_seconds"]
