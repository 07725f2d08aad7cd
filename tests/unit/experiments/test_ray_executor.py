"""Runs on a Ray cluster: one of its two machines is killed while it trains."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_sparsebnn.cli import main
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments import Matrix
from keras_sparsebnn.experiments.executor import Demand, RunOrder
from keras_sparsebnn.experiments.ray_executor import MOST_LOSSES, RayExecutor, _work
from tests.unit.conftest import added
from tests.unit.experiments.small_matrix import MATRIX, NAME, PATIENCE


def order(folder):
    (run,) = Matrix.from_dict(MATRIX).runs
    return RunOrder(run, folder, folder / "runs")


class Errors:
    """Of Ray, as far as the executor tells them apart."""

    class RayError(Exception):
        pass

    class RayTaskError(RayError):
        cause = ValueError("no\nroom")

    class TaskCancelledError(RayError):
        pass

    class NodeDiedError(RayError):
        pass


class Ray:
    """Ray without machines: every task's next message is what `said` has for it."""

    exceptions = Errors

    def __init__(self, said):
        self.said, self.started = said, []

    def remote(self, function):
        return self

    def options(self, **options):
        assert options["max_retries"] == 0
        self.demanded = options["num_cpus"], options["num_gpus"]
        return type("Task", (), {"remote": self._start})

    def _start(self, order, log, demand):
        self.started.append(order)
        return iter(self.said)

    def wait(self, streams, **options):
        return streams, []

    def get(self, message):
        if isinstance(message, Exception):
            raise message
        return message


def executor(said, **options):
    made = RayExecutor(**options)
    made._ray = Ray(said)
    return made


class TestMessages:
    def test_of_a_run(self, tmp_path):
        ray = executor([{"epoch": 1}, {"finished": 0.5}], demand=Demand(4, 0.5))
        ray.start(order(tmp_path))
        assert [m for _ in range(3) for _, m in ray.messages(0)] == [
            {"epoch": 1},
            {"finished": 0.5},
        ]
        assert ray._ray.demanded == (4, 0.5)

    def test_a_lost_run_starts_again(self, tmp_path):
        ray = executor([{"epoch": 1}, Errors.NodeDiedError()])
        ray.start(order(tmp_path))
        said = [m for _ in range(4) for _, m in ray.messages(0)]
        assert [m.get("note", m) for m in said[:3]] == [
            {"epoch": 1},
            "its worker was lost (NodeDiedError); it goes on from its checkpoint",
            {"epoch": 1},
        ]
        assert [told["patience"] > 0 for told in ray._ray.started] == [True] * 3

    def test_a_run_that_is_always_lost_fails(self, tmp_path):
        ray = executor([Errors.NodeDiedError()])
        ray.start(order(tmp_path))
        said = [m for _ in range(20) for _, m in ray.messages(0)]
        assert len(said) == MOST_LOSSES + 1
        assert "its worker was lost (NodeDiedError) 6 times" in said[-1]["failed"]

    def test_what_a_task_raises_is_one_line(self, tmp_path):
        ray = executor([Errors.RayTaskError()])
        ray.start(order(tmp_path))
        assert [m for _, m in ray.messages(0)] == [{"failed": "ValueError: no room."}]

    @pytest.mark.parametrize("error", [Errors.TaskCancelledError, Errors.NodeDiedError])
    def test_stopped(self, tmp_path, error):
        ray = executor([error()])
        ray.start(order(tmp_path))
        ray._ray.cancel = lambda stream: None
        ray.stop()
        assert [m for _, m in ray.messages(0)] == [{"stopped": 15}]


def test_another_version_is_refused():
    with pytest.raises(SparseBNNError, match=r"Expected keras-sparsebnn 0\.0 on every machine"):
        next(_work({"version": "0.0"}, "log", Demand()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus-per-run", "1"], "Expected --gpus-per-run with --executor ray"),
        (["--ray-address", "x:1"], "Expected --ray-address with --executor ray"),
        (["--cpus-per-run", "0"], "Expected `cpus` to be an integer in"),
        (["--executor", "ray", "--gpus-per-run", "-1"], "Expected `gpus` to be a number in"),
    ],
)
def test_options(options, message, tmp_path, capsys):
    (tmp_path / "m.json").write_text(json.dumps(MATRIX))
    arguments = [str(tmp_path / "m.json"), "--out", str(tmp_path), *options]
    assert main(["experiment", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_ray(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "m.json").write_text(json.dumps(MATRIX))
    arguments = [str(tmp_path / "m.json"), "--out", str(tmp_path / "out"), "--executor", "ray"]
    assert main(["experiment", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Expected Ray for --executor ray, found none. Run: pip install" in line


class Experiment:
    """`sparsebnn experiment --executor ray` in a process of its own."""

    def __init__(self, folder: Path, address: str) -> None:
        self.run = folder / "out" / "runs" / NAME
        self.result = folder / "out" / "digits.jsonl"
        (folder / "matrix.json").write_text(json.dumps(MATRIX))
        arguments = ["matrix.json", "--out", "out", "--executor", "ray"]
        arguments += ["--ray-address", address]
        self.command = [sys.executable, "-m", "keras_sparsebnn", "experiment", *arguments]
        self.folder = folder

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def history(self) -> list[dict]:
        path = self.run / "metrics.json"
        return json.loads(path.read_text())["history"] if path.exists() else []

    def wait_for_epochs(self, count: int, process) -> None:
        end = time.monotonic() + PATIENCE
        while len(self.history()) < count:
            assert time.monotonic() < end, "no epoch"
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)


@pytest.mark.filterwarnings("ignore")
def test_a_machine_is_killed(ray, cluster, tmp_path):
    @ray.remote(num_cpus=1)
    def occupy():
        time.sleep(10 * PATIENCE)

    holder = occupy.remote()
    while ray.available_resources().get("CPU"):
        time.sleep(0.05)
    experiment = Experiment(tmp_path, cluster.address)
    process = experiment.start()
    # It joins the machine that is there: it would end with the other one.
    while len(ray._private.state.jobs()) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    machine = added(cluster)
    experiment.wait_for_epochs(2, process)
    before = experiment.history()
    assert len(before) < 8, "too fast to be killed: let it train longer"
    cluster.remove_node(machine, allow_graceful=False)
    ray.cancel(holder, force=True)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "1 of 1 runs are finished" in out
    assert f"{NAME}: its worker was lost" in err
    assert json.loads(experiment.result.read_text())["final"]["test_accuracy"] > 0.5
    # The killed machine's epochs were not trained again: their times are the same.
    history = experiment.history()
    assert len(history) == 8
    assert history[: len(before)] == before
