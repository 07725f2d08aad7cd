"""Teachers: the loss, who gives the logits, and what a run keeps of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.training import (
    DistillationLoss,
    DistilledModel,
    RunConfig,
    TrainingInterruptedError,
    train,
)
from keras_sparsebnn.training.run.teacher import Teacher
from tests.unit.training.interruption import StopAt, history


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    """A linear teacher of digits, its weights drawn."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [layers.Flatten(input_shape=(8, 8, 1)), layers.Dense(10, name="answers")]
    )
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    model.save(path)
    return path, model


def log_softmax(x):
    x = x.astype(np.float64)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def cross_entropy(labels, logits):
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


@pytest.mark.parametrize(("weight", "temperature"), [(1.0, 1.0), (0.7, 3.0)])
def test_loss_and_gradient_against_numpy(weight, temperature):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 4)).astype(np.float32) * 3
    labels = rng.integers(0, 4, 6)
    loss = DistillationLoss(4, weight, temperature).call
    targets = tf.constant(np.concatenate([labels[:, None], teacher], 1), tf.float32)
    logits = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(targets, logits)
    log_p, log_q = log_softmax(teacher / temperature), log_softmax(student / temperature)
    p, q = np.exp(log_p), np.exp(log_q)
    kl = (p * (log_p - log_q)).sum(-1)
    ce = -log_softmax(student)[np.arange(6), labels]
    expected = (1 - weight) * ce + weight * temperature**2 * kl
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    # d KL / d s = (q - p) / T; d CE / d s = softmax(s) - onehot.
    slope = weight * temperature * (q - p)
    slope += (1 - weight) * (np.exp(log_softmax(student)) - np.eye(4)[labels])
    np.testing.assert_allclose(tape.gradient(value, logits), slope, rtol=1e-3, atol=1e-5)


def test_labels_alone_are_the_plain_loss():
    loss = DistillationLoss(4, 0.5, 2.0).call
    labels, logits = tf.constant([[1], [2]]), tf.constant(np.eye(2, 4, dtype=np.float32))
    np.testing.assert_allclose(loss(labels, logits), cross_entropy(labels, logits), rtol=1e-6)


def test_a_loss_from_its_configuration():
    loss = DistillationLoss(4, 0.5, 2.0, label_smoothing=0.1)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    targets = tf.constant([[1.0, 0.5, -1.0, 2.0, 0.0]])
    logits = tf.constant([[0.0, 1.0, 0.5, -1.0]])
    assert float(again(targets, logits)) == float(loss(targets, logits))


@pytest.mark.parametrize(("weight", "temperature"), [(0, 1), (1.5, 1), (1, 0)])
def test_a_loss_out_of_range(weight, temperature):
    with pytest.raises(SparseBNNError, match=r"Expected `(weight|temperature)`"):
        DistillationLoss(4, weight, temperature)
    with pytest.raises(SparseBNNError, match=r"Expected `label_smoothing` to be in \[0, 1\)"):
        DistillationLoss(4, label_smoothing=1.0)


def test_without_a_teacher_labels_alone_train_it():
    x = keras.layers.Input((3,))
    model = DistilledModel(x, keras.layers.Dense(2)(x))
    model.compile(keras.optimizers.SGD(0.5), DistillationLoss(2))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 3)).astype(np.float32)
    labels = (images[:, 0] > 0).astype(np.int64)
    model.fit(images, labels, epochs=30, verbose=0)
    assert (model.predict(images, verbose=0).argmax(1) == labels).mean() > 0.9
    # The same traced model follows a teacher once there is one.
    model.set_teacher(lambda images: 9.0 * tf.stack([images[:, 0], -images[:, 0]], 1))
    model.fit(images, labels, epochs=60, verbose=0)
    assert (model.predict(images, verbose=0).argmax(1) == labels).mean() < 0.1


def test_labels_are_whole_beside_logits_of_bfloat16():
    """bfloat16 has 256, 258, 260, ..."""
    seen = []

    class Loss(DistillationLoss):
        def call(self, y_true, y_pred):
            seen.append(y_true.numpy()[:, 0])
            return super().call(y_true, y_pred)

    x = keras.layers.Input((3,))
    model = DistilledModel(x, keras.layers.Dense(1000, dtype="mixed_bfloat16")(x))
    model.compile(keras.optimizers.SGD(0.1), Loss(1000), run_eagerly=True)
    model.set_teacher(lambda images: tf.zeros([2, 1000]))
    model.fit(np.ones((2, 3), np.float32), np.array([999, 501]), verbose=0, shuffle=False)
    assert sorted(seen[0]) == [501, 999]


def test_a_step_follows_the_teacher_and_evaluation_the_labels():
    x = keras.layers.Input((3,))
    model = DistilledModel(x, keras.layers.Dense(2)(x))
    loss = DistillationLoss(2)
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=["accuracy"])
    model.set_teacher(lambda images: 4.0 * images[:, :2])
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 3)).astype(np.float32)
    labels = np.zeros(64, np.int64)  # which say the opposite half of the time
    history = model.fit(images, labels, batch_size=64, epochs=60, verbose=0).history
    assert history["loss"][-1] < 0.15 * history["loss"][0]
    agrees = np.argmax(model.predict(images, verbose=0), 1) == np.argmax(images[:, :2], 1)
    assert agrees.mean() > 0.95
    tested = model.evaluate(images, labels, verbose=0, return_dict=True)
    plain = float(tf.reduce_mean(cross_entropy(labels, model(images))))
    assert tested["loss"] == pytest.approx(plain, rel=1e-5)
    assert tested["accuracy"] < 0.7


class TestTeacher:
    def test_logits_are_taken_as_they_are(self, teacher_file, digits):
        path, model = teacher_file
        images, _ = next(iter(digits.test(32)))
        teacher = Teacher(path, digits)
        np.testing.assert_allclose(teacher(images), model(images), rtol=1e-6)
        assert teacher.model.trainable_variables == []

    @pytest.mark.parametrize("kind", ["layer", "activation"])
    def test_a_softmax_is_undone(self, teacher_file, digits, tmp_path, kind):
        _, model = teacher_file
        logits = model.outputs[0]
        if kind == "layer":
            outputs = keras.layers.Softmax()(logits)
        else:
            outputs = keras.layers.Activation("softmax")(logits)
        keras.Model(model.inputs, outputs).save(tmp_path / "t.keras")
        images, _ = next(iter(digits.test(32)))
        undone = tf.nn.softmax(Teacher(tmp_path / "t.keras", digits)(images))
        np.testing.assert_allclose(undone, tf.nn.softmax(model(images)), rtol=1e-4)

    def test_other_shapes(self, tmp_path, digits):
        keras.Sequential([keras.layers.Dense(3, input_shape=(5,))]).save(tmp_path / "t.keras")
        with pytest.raises(SparseBNNError, match=r"teacher from \(8, 8, 1\) to \(10,\), got"):
            Teacher(tmp_path / "t.keras", digits)

    def test_code_in_the_file_is_not_run(self, tmp_path, digits):
        layers = [keras.layers.Lambda(lambda x: x, input_shape=(8, 8, 1))]
        keras.Sequential(layers).save(tmp_path / "t.keras")
        with pytest.raises(SparseBNNError, match="got Lambda"):
            Teacher(tmp_path / "t.keras", digits)


_QUICK = {
    **{"epochs": 2, "batch_size": 200, "method": "random", "codewords": 16},
    "model_options": {"widths": [8, 16]},
}


class TestRun:
    def test_a_file_as_teacher_resumes_exactly(self, teacher_file, tmp_path):
        config = RunConfig(**_QUICK, teacher=str(teacher_file[0]), teacher_weight=0.9)
        lines: list[str] = []
        straight = train(config, tmp_path / "straight", report=lines.append)
        assert lines[0].startswith("teacher: test accuracy 0.")
        with pytest.raises(TrainingInterruptedError, match="in epoch 1, step 3 of 7"):
            train(config, tmp_path / "cut", callbacks=[StopAt(3)])
        state = json.loads(
            next((tmp_path / "cut").glob("checkpoints/*/state.json")).read_text()
        )
        assert len(state["teacher"]) == 64
        resumed = train(config, tmp_path / "cut")
        assert history(resumed) == history(straight)
        assert resumed["final"]["test_loss"] == straight["final"]["test_loss"]
        # Nothing of the teacher is in what is shipped.
        shipped = keras.models.load_model(tmp_path / "cut" / "model.keras")
        assert type(shipped) is not DistilledModel
        assert not any("answers" in w.name for w in shipped.weights)

    def test_another_teacher(self, teacher_file, tmp_path):
        path = tmp_path / "teacher.keras"
        path.write_bytes(teacher_file[0].read_bytes())
        config = RunConfig(**_QUICK, teacher=str(path))
        with pytest.raises(TrainingInterruptedError, match="in epoch 1, step 1"):
            train(config, tmp_path / "run", callbacks=[StopAt(1)])
        other = keras.models.load_model(path, compile=False)
        other.set_weights([w + 1 for w in other.get_weights()])
        other.save(path)
        with pytest.raises(SparseBNNError, match="the teacher that this run began with"):
            train(config, tmp_path / "run")

    def test_auto_and_two_steps_resume_exactly(self, tmp_path, monkeypatch):
        """Cut off in the teacher, in the first step, at its end, and in the second one."""
        config = RunConfig(
            **{**_QUICK, "epochs": 4, "method": "learned", "batch_size": 400},
            teacher="auto", teacher_epochs=1, first_step=0.5, schedule="linear",
            optimizer="adam", first_step_weight_decay=1e-3, warmup_epochs=0.5,
        )  # fmt: skip
        lines: list[str] = []
        straight = train(config, tmp_path / "straight", report=lines.append)
        assert lines[0].startswith("teacher: epoch 1/1: loss")
        teacher = RunConfig.load(tmp_path / "straight" / "teacher" / "run.json")
        assert (teacher.float_network, teacher.teacher, teacher.first_step) == (True, None, 0)
        selected = [record["selection"] for record in straight["history"]]
        assert [bool(s) for s in selected] == [False, False, True, True]
        rates = [record["learning_rate"] for record in straight["history"]]
        assert rates[0] == rates[2] > rates[1] == rates[3]

        from keras_sparsebnn.training.run import loop as module

        fit = module.Loop.run
        # 3 steps an epoch. The teacher's second step, then (with the teacher finished) ours.
        stops = iter([2, 99, 4, 6, 8])

        def fit_and_stop(self, callbacks):
            step = next(stops, None)
            return fit(self, [*callbacks, *([] if step is None else [StopAt(step)])])

        monkeypatch.setattr(module.Loop, "run", fit_and_stop)
        for message in ("epoch 1, step 2", "epoch 2, step 1", "epoch 3, step 0", "3, step 2"):
            with pytest.raises(TrainingInterruptedError, match=message):
                train(config, tmp_path / "cut")
        resumed = train(config, tmp_path / "cut")
        assert history(resumed) == history(straight)
        a, b = (
            keras.models.load_model(tmp_path / name / "model.keras", compile=False)
            for name in ("straight", "cut")
        )
        for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_array_equal(x, y)
