"""One optimizer with two groups: against Keras's own, and against the equations in NumPy."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import SparseKernel
from keras_sparsebnn.training import (
    DistillationLoss,
    DistilledModel,
    GroupedOptimizer,
    RestartingDecay,
    selection_logits,
)

_SHAPES = ((3, 4), (5,))


def gradients(steps: int = 12) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.normal(size=s).astype(np.float32) for s in _SHAPES] for _ in range(steps)]


def variables(**kwargs) -> list[tf.Variable]:
    rng = np.random.default_rng(1)
    return [tf.Variable(rng.normal(size=s).astype(np.float32), **kwargs) for s in _SHAPES]


def train(optimizer, weights, steps) -> None:
    optimizer.build(weights)
    for step in steps:
        optimizer.apply_gradients(zip(map(tf.constant, step), weights, strict=True))


@pytest.mark.parametrize(
    ("theirs", "kind"),
    [
        (lambda: keras.optimizers.Adam(0.01), "adam"),
        (lambda: keras.optimizers.SGD(0.01, momentum=0.9), "sgd"),
    ],
)
def test_one_group_is_keras_own_bit_for_bit(theirs, kind):
    expected, found = variables(), variables()
    train(theirs(), expected, gradients())
    train(GroupedOptimizer(kind, 0.01), found, gradients())
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:Using a binary.*constraint")
def test_logits_of_every_kernel_quantizer():
    inputs = keras.layers.Input((5, 5, 4))
    separable = lq.layers.QuantSeparableConv2D(
        4, 3, depthwise_quantizer=SparseKernel(16), pointwise_quantizer=SparseKernel(2)
    )
    conv = lq.layers.QuantConv2D(4, 3, kernel_quantizer=SparseKernel(8))
    model = keras.Model(inputs, conv(separable(inputs)))
    found = selection_logits(model)
    of = (separable.depthwise_quantizer, conv.kernel_quantizer)  # the pointwise has them all
    assert [id(v) for v in found] == [id(q.positions) for q in of]


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("logit_kind", ["adam", "sgd"])
def test_logits_have_their_own_kind_and_rate_and_never_decay(kind, logit_kind):
    weight, logits = variables()
    alone_weight, alone_logits = variables()
    grouped = GroupedOptimizer(
        kind, 0.01, weight_decay=(0.1,), logits=[logits], logit_kind=logit_kind,
        logit_rate_factor=0.25,
    )  # fmt: skip
    train(grouped, [weight, logits], gradients())
    train(
        GroupedOptimizer(kind, 0.01, weight_decay=(0.1,)),
        [alone_weight],
        [step[:1] for step in gradients()],
    )
    train(GroupedOptimizer(logit_kind, 0.0025), [alone_logits], [s[1:] for s in gradients()])
    np.testing.assert_array_equal(weight, alone_weight)
    np.testing.assert_allclose(logits, alone_logits, rtol=1e-6)
    # For Adam a factor of the gradient would have done nothing.
    assert not np.allclose(logits, variables()[1])


def adam_in_numpy(weight, steps, *, rate, decay, restart):
    """The equations, in float64, with the momenta forgotten before step `restart`."""
    weight = weight.astype(np.float64)
    m, v, t = np.zeros_like(weight), np.zeros_like(weight), 0
    for index, gradient in enumerate(steps):
        if index == restart:
            m, v, t = np.zeros_like(weight), np.zeros_like(weight), 0
        gradient = gradient + decay[index >= restart] * weight
        t += 1
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        scale = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weight = weight - rate * scale * m / (np.sqrt(v) + 1e-7)
    return weight


def test_restart_and_decay_by_part_against_numpy():
    optimizer = GroupedOptimizer("adam", 0.01, weight_decay=(0.3, 0.05), starts=(0, 7))
    weights = variables()
    start = weights[0].numpy()
    steps = gradients()
    train(optimizer, weights, steps[:7])
    optimizer.restart()
    train(optimizer, weights, steps[7:])
    assert int(optimizer.iterations) == 12
    expected = adam_in_numpy(
        start, [s[0] for s in steps], rate=0.01, decay=(0.3, 0.05), restart=7
    )
    np.testing.assert_allclose(weights[0], expected, rtol=1e-5, atol=1e-6)
    # A bias does not decay.
    expected = adam_in_numpy(
        variables()[1].numpy(), [s[1] for s in steps], rate=0.01, decay=(0, 0), restart=7
    )
    np.testing.assert_allclose(weights[1], expected, rtol=1e-5, atol=1e-6)


def test_sgd_decay_against_numpy():
    optimizer = GroupedOptimizer("sgd", 0.1, momentum=0.8, weight_decay=(0.2,))
    weights = variables()
    expected, m = weights[0].numpy().astype(np.float64), 0.0
    train(optimizer, weights, gradients())
    for gradient, _ in gradients():
        m = 0.8 * m - 0.1 * (gradient + 0.2 * expected)
        expected = expected + m
    np.testing.assert_allclose(weights[0], expected, rtol=1e-5)


def test_constraints_run_after_the_update():
    weight = tf.Variable([0.5], constraint=lambda w: tf.clip_by_value(w, -1.0, 1.0))
    optimizer = GroupedOptimizer("sgd", 1.0, logits=[weight], logit_kind="sgd")
    train(optimizer, [weight], [[np.array([-3.0], np.float32)]])
    assert weight.numpy() == [1.0]


def test_checkpoint_goes_on_exactly(tmp_path):
    def made():
        weights = variables()
        optimizer = GroupedOptimizer(
            "sgd",
            RestartingDecay(0.1, "cosine", starts=(0, 6), total=12),
            logits=weights[1:],
        )
        optimizer.build(weights)
        return weights, optimizer, tf.train.Checkpoint(w=weights, o=optimizer)

    steps = gradients()
    weights, optimizer, checkpoint = made()
    train(optimizer, weights, steps[:5])
    path = checkpoint.write(str(tmp_path / "c"))
    train(optimizer, weights, steps[5:])
    resumed, optimizer, checkpoint = made()
    checkpoint.read(path).assert_existing_objects_matched()
    train(optimizer, resumed, steps[5:])
    for a, b in zip(weights, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


class TestSaving:
    def made(self):
        weights = variables()
        optimizer = GroupedOptimizer(
            "sgd",
            RestartingDecay(0.1, "cosine", starts=(0, 6), total=12, warmup=2),
            momentum=0.8,
            weight_decay=(0.1, 0.2),
            logits=weights[1:],
            logit_rate_factor=0.5,
            starts=(0, 6),
        )
        return weights, optimizer

    def test_configuration_makes_the_same_optimizer(self):
        weights, optimizer = self.made()
        train(optimizer, weights, gradients())
        again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert again.get_config() == optimizer.get_config()
        assert again.get_config()["logits"] == [1]
        other = variables()
        train(again, other, gradients())
        for a, b in zip(weights, other, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_places_are_unknown_before_build(self):
        _, optimizer = self.made()
        with pytest.raises(SparseBNNError, match=r"Call optimizer\.build"):
            optimizer.get_config()
        assert GroupedOptimizer("adam", 0.01).get_config()["logits"] == []

    def test_unknown_kinds(self):
        for kinds in ({"kind": "rmsprop"}, {"kind": "adam", "logit_kind": 3}):
            with pytest.raises(SparseBNNError, match="to be one of adam, sgd, got"):
                GroupedOptimizer(learning_rate=0.1, **kinds)

    @pytest.mark.parametrize(
        "options",
        [
            {"momentum": 1.0},
            {"logit_rate_factor": -1.0},
            {"starts": (5,)},
            {"weight_decay": 1e-4},
            {"weight_decay": (0.1,), "starts": (0, 6)},
        ],
    )
    def test_out_of_range(self, options):
        with pytest.raises(SparseBNNError, match=f"Expected `{next(iter(options))}` to be"):
            GroupedOptimizer("sgd", 0.1, **options)

    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    def test_a_compiled_model_goes_on_after_loading(self, tmp_path, suffix, seeded):
        """Binary layers with logits, a teacher, two groups, a schedule: saved in the middle."""
        rng = np.random.default_rng(0)
        images = rng.normal(size=(32, 6, 6, 4)).astype(np.float32)
        labels = rng.integers(0, 3, 32)
        layers = [
            lq.layers.QuantConv2D(
                6, 3, kernel_quantizer=SparseKernel(8, seed=1), kernel_constraint="weight_clip"
            ),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="classifier"),
        ]
        x = y = keras.layers.Input((6, 6, 4))
        for layer in layers:
            y = layer(y)
        model = DistilledModel(x, y)
        logits = selection_logits(model)
        assert len(logits) == 1
        model.compile(
            GroupedOptimizer(
                "sgd", RestartingDecay(0.1, "cosine", total=12), logits=logits,
                weight_decay=(0.01,),
            ),
            DistillationLoss(3, weight=0.7, temperature=2.0, label_smoothing=0.1),
        )  # fmt: skip

        def teacher(batch):
            return batch[:, 0, 0, :3]

        def fit(model, epochs):
            model.set_teacher(teacher)
            model.fit(images, labels, batch_size=8, epochs=epochs, shuffle=False, verbose=0)

        fit(model, 1)
        with (
            pytest.warns(UserWarning, match="HDF5")
            if suffix == "h5"
            else contextlib.nullcontext()
        ):
            model.save(tmp_path / f"m.{suffix}")
        loaded = keras.models.load_model(tmp_path / f"m.{suffix}")
        assert type(loaded) is DistilledModel
        assert int(loaded.optimizer.iterations) == 4
        fit(model, 2)
        fit(loaded, 2)
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


class TestRestartingDecay:
    @pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
    def test_against_numpy(self, kind):
        schedule = RestartingDecay(0.2, kind, starts=(0, 10), total=30, warmup=4)
        expected = []
        for step in range(31):
            start, end = (0, 10) if step < 10 else (10, 30)
            done = step - start
            p = (done - 4) / (end - start - 4)
            decayed = {
                "cosine": (1 + np.cos(np.pi * p)) / 2,
                "linear": 1 - p,
                "constant": 1.0,
            }[kind]
            expected.append(0.2 * (done / 4 if done < 4 else decayed))
        found = [float(schedule(step)) for step in range(31)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            *(("rate", 0.0), ("kind", "exponential"), ("total", 5), ("warmup", -1)),
            *(("starts", ()), ("starts", (1, 5)), ("starts", (0, 5, 5))),
        ],
    )
    def test_out_of_range(self, argument, value):
        options = {"rate": 0.1, "kind": "linear", "starts": (0, 5), "total": 9}
        with pytest.raises(SparseBNNError, match=f"Expected `{argument}` to be"):
            RestartingDecay(**{**options, argument: value})

    def test_no_longer_warm_up_than_its_part(self):
        schedule = RestartingDecay(1.0, "linear", total=3, warmup=5)
        assert [float(schedule(s)) for s in range(4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
