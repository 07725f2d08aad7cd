"""A run that is killed and resumed ends exactly as one that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn._keras import tf
from keras_sparsebnn.training.run.checkpoint import CheckpointStore

_CHILD = """
import argparse, sys
from keras_sparsebnn.cli import train
parser = argparse.ArgumentParser()
train.add_arguments(parser)
sys.exit(train.run(parser.parse_args()))
"""

_SETTINGS = (
    *("--epochs", "2", "--batch-size", "64", "--checkpoint-every", "4", "--seed", "5"),
    *("--codewords", "16", "--augmentation", "shift", "--warmup-epochs", "0.5"),
    *("--set", "refresh_interval=3", "--set", "freeze_after=0.9"),
    *("--set", "activation_bits=2", "--set", 'model_options={"widths": [8, 8, 16]}'),
)
_LOGITS = {
    "positions": ("--set", "initial_selection=random"),  # structured
    "logits": (
        *("--set", "logits=free", "--set", "logit_scale=0.01"),
        *("--set", "noise_scale=0.3", "--set", "noise_scale_end=0.1"),
    ),
}
_STEPS = 22  # 1442 images in batches of 64


def start(out: Path, *settings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-c", _CHILD, "--out", str(out), *settings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes], status: int = 0) -> str:
    _, stderr = process.communicate(timeout=300)
    text = stderr.decode()
    assert process.returncode == status, text
    return text


def stop_after(out: Path, step: int, number: int, process: subprocess.Popen[bytes]) -> None:
    """Sends the signal once the checkpoint of that step, or a later one, is there."""
    store = CheckpointStore(out / "checkpoints")
    deadline = time.monotonic() + 300
    while max(store.steps(), default=0) < step:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, number)


def outcome(out: Path) -> tuple[dict, dict]:
    """All that a checkpoint of the last step holds, and the history without times."""
    reader = tf.train.load_checkpoint(
        str(out / "checkpoints" / f"step-{2 * _STEPS:08d}" / "variables")
    )
    tensors = {
        key: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if not key.startswith(("_CHECKPOINTABLE", "save_counter"))
    }
    metrics = json.loads((out / "metrics.json").read_text())
    for record in metrics["history"]:
        del record["seconds"]
    final = {key: value for key, value in metrics["final"].items() if key != "seconds"}
    return tensors, {"history": metrics["history"], "final": final}


@pytest.mark.parametrize("variable", _LOGITS)
def test_killed_twice_equals_uninterrupted(tmp_path, variable):
    settings = (*_SETTINGS, *_LOGITS[variable])
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    finish(start(straight, *settings))

    process = start(killed, *settings)
    stop_after(killed, 8, signal.SIGKILL, process)  # in the first epoch
    finish(process, -signal.SIGKILL)
    first_stop = CheckpointStore(killed / "checkpoints").steps()[-1]
    assert not (killed / "model.keras").exists()

    process = start(killed, *settings)
    stop_after(killed, max(_STEPS + 4, first_stop + 4), signal.SIGKILL, process)
    finish(process, -signal.SIGKILL)
    assert first_stop % _STEPS, "the kill was meant to hit the middle of an epoch"

    assert "Resuming at epoch" in finish(start(killed, *settings))
    tensors, records = outcome(straight)
    resumed_tensors, resumed_records = outcome(killed)
    assert records == resumed_records
    assert len(records["history"]) == 2
    assert tensors.keys() == resumed_tensors.keys()
    assert any(variable in key for key in tensors)
    first, last = (record["selection"] for record in records["history"])
    assert first != last, "a selection that stays shows nothing"
    for key, value in tensors.items():
        np.testing.assert_array_equal(value, resumed_tensors[key], err_msg=key)
    assert sorted(p.name for p in (straight / "logs").iterdir()) == sorted(
        p.name for p in (killed / "logs").iterdir()
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_saves_first(tmp_path, number):
    settings = ("--method", "random", "--epochs", "500", "--checkpoint-every", "3")
    settings += ("--set", 'model_options={"widths": [8, 8]}')
    process = start(tmp_path, *settings)
    stop_after(tmp_path, 3, number, process)
    text = finish(process, 128 + number)
    assert f"Stopped by {signal.Signals(number).name} in epoch" in text
    assert "Traceback" not in text
    steps = CheckpointStore(tmp_path / "checkpoints").steps()
    assert steps
    if number == signal.SIGTERM:  # once is enough
        text = finish(start(tmp_path, *settings, "--seed", "6"), 1)
        assert "got another `seed`: 6 instead of 0" in text
