"""Selections are identical on all replicas: two logical devices, two worker processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("train_distributed.py")
STATE = ("selection", "training_selection", "step", "logits")


def start(kind, out, **variables):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), kind, str(out)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, output[-3000:]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def assert_learned(result, layers=2):
    """Eight updates were counted, and the selection moved: agreement is not trivial."""
    for index in range(layers):
        assert result[f"step{index}@0"] == 8
    assert any(
        not np.array_equal(result[f"initial{index}"], result[f"selection{index}@0"])
        for index in range(layers)
    )


def test_mirrored_replicas_agree(tmp_path):
    finish(start("mirrored", tmp_path / "out.npz"))
    result = np.load(tmp_path / "out.npz")
    assert result["replicas"] == 2
    assert_learned(result)
    for index in range(2):
        for name in STATE:
            assert np.array_equal(result[f"{name}{index}@0"], result[f"{name}{index}@1"]), name


def test_workers_agree(tmp_path):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = [
        start(
            "multiworker",
            tmp_path / f"{rank}.npz",
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            ),
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            finish(process)
    finally:
        for process in processes:
            process.kill()
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in range(2))
    assert first["replicas"] == 2
    assert_learned(first)
    assert set(first) == set(second)
    for name in first:
        assert np.array_equal(first[name], second[name]), name


@pytest.mark.smoke
def test_two_runs_with_one_seed_agree(tmp_path):
    runs = [start("none", tmp_path / f"{index}.npz") for index in range(2)]
    for process in runs:
        finish(process)
    first, second = (np.load(tmp_path / f"{index}.npz") for index in range(2))
    assert_learned(first)
    for name in first:
        assert np.array_equal(first[name], second[name]), name
