"""Two logical devices, two worker processes, one XLA program: the same selection everywhere.

test_distribute_methods.py has the replicas of one process, of every method.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn import data
from keras_sparsebnn._keras import tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training import RunConfig, train
from keras_sparsebnn.training.run.assembly import compiled_model

SCRIPT = Path(__file__).with_name("train_distributed.py")


def start_python(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", *arguments],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """What a process printed, once it has ended well."""
    try:
        output, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, (output + errors)[-3000:]
    return output


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
        assert result[f"step{index}"] == 8
    assert any(
        not np.array_equal(result[f"initial{index}"], result[f"selection{index}"])
        for index in range(layers)
    )


@pytest.mark.parametrize("logits", ["structured", "free"])
def test_workers_agree(tmp_path, logits):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = [
        start_python(
            *(str(SCRIPT), str(tmp_path / f"{rank}.npz"), logits),
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


# The trainer itself, on images of ImageNet's size.
DRY_RUN = (
    *("--dataset", "synthetic/8", "--augmentation", "resized_crop", "--batch-size", "4"),
    *("--set", 'model_options={"widths": [8, 8], "stem_stride": 8}', "--codewords", "16"),
    *("--set", "batch_norm_batches=1", "--set", "first_step=0.5", "--epochs", "2", "--json"),
)
COMMAND = "import sys; from keras_sparsebnn.cli import main; sys.exit(main(sys.argv[1:]))"


def start_training(out, *arguments, **variables):
    command = ["-c", COMMAND, "train", "--out", str(out), *DRY_RUN]
    return start_python(*command, *arguments, **variables)


def history(process):
    """What the run printed, without times."""
    metrics = json.loads(finish(process))
    return [{k: v for k, v in r.items() if k != "seconds"} for r in metrics["history"]]


def test_trainer_on_logical_devices(tmp_path):
    records = history(start_training(tmp_path, "--strategy", "mirrored", "--devices", "2"))
    assert [bool(record["selection"]) for record in records] == [False, True]
    assert len(records[1]["selection"]["binary0"]) == 16
    assert (tmp_path / "model.keras").exists()


def test_trainer_on_workers(tmp_path):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    processes = [
        start_training(
            tmp_path / "run",
            *("--strategy", "multi_worker"),
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            ),
        )
        for rank in range(2)
    ]
    try:
        first, second = map(history, processes)
    finally:
        for process in processes:
            process.kill()
    assert first == second
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]
    assert [record["loss"] for record in written] == [record["loss"] for record in first]
    assert (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize(
    ("tf_config", "message"),
    [
        ("", "TF_CONFIG to be like .* got ''"),
        ("[", "TF_CONFIG to be like"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}', "TF_CONFIG to be like"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"index": 0}}', "TF_CONFIG"),
    ],
)
def test_tf_config_that_is_none(monkeypatch, tmp_path, tf_config, message):
    monkeypatch.setenv("TF_CONFIG", tf_config)
    with pytest.raises(SparseBNNError, match=message):
        train(RunConfig(strategy="multi_worker"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_tpu(monkeypatch, tmp_path):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(SparseBNNError, match=r"Expected a TPU, found none: .* Set TPU_NAME"):
        train(RunConfig(strategy="tpu"), tmp_path)


def operations(function):
    """Types of all operations of a concrete function, those of its branches included."""
    definition = function.graph.as_graph_def()
    nodes = [*definition.node]
    for inner in definition.library.function:
        nodes += inner.node_def
    return {node.op for node in nodes}


@pytest.mark.parametrize(
    "options", [{"initial_selection": "random"}, {"logits": "free", "noise_scale": 0.3}]
)
def test_a_training_step_is_one_xla_program_without_callbacks(options):
    """What a TPU needs, with a teacher; there is none here to try it on."""
    config = RunConfig(
        codewords=16, options=options,
        model_options={"widths": [8, 8]},
        teacher="auto", first_step=0.5,
    )  # fmt: skip
    dataset = data.load("synthetic/8", image_size=16)
    model = compiled_model(config, dataset, 2)
    model.set_teacher(lambda images: tf.reduce_mean(images, [1, 2, 3])[:, None]
                      * tf.ones([1, dataset.classes]))  # fmt: skip
    model.optimizer.build(model.trainable_variables)
    images, labels = next(iter(dataset.train(0, 0, 4)))
    model.compute_loss(y=labels, y_pred=tf.zeros([4, 1000]))  # creates its metrics' variables
    model.compute_metrics(images, labels, tf.zeros([4, 1000]), None)
    model.reset_metrics()
    step = tf.function(lambda x, y: model.train_step((x, y)), jit_compile=True)
    before = model.get_layer("stem").get_weights()[0]
    found = operations(step.get_concrete_function(images, labels))
    assert {"Conv2D", "ReadVariableOp"} <= found
    assert not {op for op in found if "PyFunc" in op or "Callback" in op}
    # It runs only if XLA takes all of it.
    result = step(images, labels)
    assert np.isfinite(float(result["loss"]))
    assert not np.array_equal(before, model.get_layer("stem").get_weights()[0])
