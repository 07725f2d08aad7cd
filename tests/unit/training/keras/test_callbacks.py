"""SelectionSchedule and CodewordUsage: what they set, when, and what they show."""

from __future__ import annotations

import numpy as np
import pytest

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.analysis.usage import codeword_counts, usage_entropy
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.layers import SparseBinaryConv2D
from keras_sparsebnn.quantizers import FixedSubset, SparseKernel
from keras_sparsebnn.training import (
    CodewordUsage,
    RandomGroups,
    SelectionSchedule,
    StageSchedule,
    cosine,
    freeze_after,
    linear,
)
from keras_sparsebnn.training.keras.codeword_usage import selections


def sparse(filters: int, quantizer: object, name: str) -> SparseBinaryConv2D:
    return SparseBinaryConv2D(filters, 3, kernel_quantizer=quantizer, name=name)


@pytest.fixture
def model(seeded):
    """Two learning layers, one of them in a nested model, and two that do not learn."""
    inner = keras.Sequential(
        [
            sparse(2, SparseKernel(4, temperature=1.0, noise_scale=0.5, logits="free"), "deep"),
            sparse(2, FixedSubset(4), "fixed"),
        ],
        name="inner",
    )
    model = keras.Sequential(
        [
            keras.layers.Input((9, 9, 2)),
            sparse(
                3, SparseKernel(8, temperature=1.0, noise_scale=0.5, logits="free"), "shallow"
            ),
            sparse(2, SparseKernel(512), "full"),
            inner,
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.compile("sgd", "mse")
    return model


def quantizers(model) -> list[SparseKernel]:
    return [
        model.get_layer("shallow").kernel_quantizer,
        model.get_layer("inner").get_layer("deep").kernel_quantizer,
    ]


class Recorder(keras.callbacks.Callback):
    """What the quantizers' variables are in each step, after the schedule has set them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple] = []

    def on_train_batch_begin(self, batch, logs=None):
        first, second = (
            (float(q.temperature), float(q.noise_scale), int(q.refresh_interval))
            for q in quantizers(self.model)
        )
        assert first == second
        self.seen.append(first)


def fit(model, schedule, *, epochs: int = 2, initial_epoch: int = 0) -> list[tuple]:
    recorder = Recorder()
    inputs, targets = np.ones([8, 9, 9, 2], np.float32), np.ones([8, 2], np.float32)
    model.fit(
        inputs, targets, batch_size=2, epochs=epochs, initial_epoch=initial_epoch, verbose=0,
        callbacks=[schedule, recorder],
    )  # fmt: skip
    return recorder.seen


class TestBuilders:
    @pytest.mark.parametrize("builder", [linear, cosine])
    def test_ends(self, builder):
        schedule = builder(3.0, 1.0, until=0.5)
        assert schedule(0.0) == 3
        assert schedule(0.25) == pytest.approx(2.0)
        assert schedule(0.5) == pytest.approx(1.0)
        assert schedule(1.0) == pytest.approx(1.0)

    def test_freeze_after(self):
        schedule = freeze_after(0.4, interval=25)
        assert [schedule(p) for p in (0.0, 0.399, 0.4, 1.0)] == [25, 25, 0, 0]

    @pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5, float("nan")])
    def test_impossible_fraction(self, fraction):
        with pytest.raises(SparseBNNError, match=r"`until` in \(0, 1\], got"):
            linear(1, 0, until=fraction)
        with pytest.raises(SparseBNNError, match=r"`fraction` in \(0, 1\], got"):
            freeze_after(fraction)


class TestSchedule:
    def test_all_kinds_over_eight_steps(self, model):
        schedule = SelectionSchedule(
            temperature=keras.optimizers.schedules.ExponentialDecay(4.0, 1, 0.5),
            noise_scale=linear(0.8, 0.0),
            refresh_interval=freeze_after(0.5, interval=3),
        )
        expected = [(4.0 * 0.5**t, 0.8 * (1 - t / 8), 3 if t < 4 else 0) for t in range(8)]
        np.testing.assert_allclose(fit(model, schedule), expected, rtol=1e-6)

    def test_numbers(self, model):
        schedule = SelectionSchedule(temperature=2.0, noise_scale=0, refresh_interval=7)
        assert fit(model, schedule) == [(2.0, 0.0, 7)] * 8

    def test_untouched_if_none(self, model):
        assert fit(model, SelectionSchedule()) == [(1.0, 0.5, 1)] * 8

    def test_resumes_by_the_optimizers_step(self, model):
        schedule = SelectionSchedule(noise_scale=linear(0.8, 0.0), total_steps=8)
        straight = fit(model, schedule)
        model.optimizer.iterations.assign(0)
        fit(model, schedule, epochs=1)
        for quantizer in quantizers(model):
            quantizer.noise_scale.assign(99.0)
        again = SelectionSchedule(noise_scale=linear(0.8, 0.0), total_steps=8)
        assert fit(model, again, initial_epoch=1) == straight[4:]

    def test_freezing_ends_noise(self, model):
        """Frozen, training uses the selection that evaluation uses, and neither changes."""
        assert any(
            not np.array_equal(q.selection, q.training_selection) for q in quantizers(model)
        )
        frozen = []

        class Watch(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if int(self.model.optimizer.iterations) > 4:
                    frozen.append(
                        [(q.selection.numpy(), q.training_selection.numpy())
                         for q in quantizers(self.model)]
                    )  # fmt: skip

        recorder = Watch()
        recorder.set_model(model)
        model.optimizer.learning_rate = 1000.0
        schedule = SelectionSchedule(refresh_interval=freeze_after(0.5))
        inputs, targets = np.ones([8, 9, 9, 2], np.float32), np.ones([8, 2], np.float32)
        model.fit(
            inputs, targets, batch_size=1, epochs=1, verbose=0, callbacks=[schedule, recorder]
        )
        assert len(frozen) == 4
        for state in frozen:
            for (selection, training_selection), (first, _) in zip(
                state, frozen[0], strict=True
            ):
                np.testing.assert_array_equal(selection, training_selection)
                np.testing.assert_array_equal(selection, first)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"temperature": 0.0}, "`temperature` to be > 0, got 0.0"),
            ({"noise_scale": -1}, "`noise_scale` to be >= 0, got -1"),
            ({"travel": -1.0}, "`travel` to be >= 0, got -1.0"),
            ({"refresh_interval": float("nan")}, "`refresh_interval` to be >= 0, got nan"),
            ({"total_steps": 0}, "`total_steps` to be at least 1, got 0"),
        ],
    )
    def test_out_of_range(self, options, message):
        with pytest.raises(SparseBNNError, match=message):
            SelectionSchedule(**options)

    def test_out_of_range_later(self, model):
        schedule = SelectionSchedule(temperature=linear(1.0, -1.0))
        with pytest.raises(
            SparseBNNError, match=r"`temperature` to be > 0, got 0.0 .at step 4"
        ):
            fit(model, schedule)

    def test_unknown_size(self, model):
        schedule = SelectionSchedule(noise_scale=linear(1.0, 0.0))
        with pytest.raises(SparseBNNError, match="Expected `total_steps`"):
            schedule.value("noise_scale", 0)  # outside of fit
        schedule.set_params({"epochs": 2, "steps": None})
        with pytest.raises(SparseBNNError, match="Expected `total_steps`"):
            schedule.value("noise_scale", 0)


def unbuilt() -> keras.Sequential:
    layer = SparseBinaryConv2D(2, 3, codewords=8)
    model = keras.Sequential([layer, keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    return model


class TestModelsThatTheFirstStepBuilds:
    def test_options_are_set_from_the_second_step_on(self):
        model = unbuilt()
        fit_with(model, SelectionSchedule(freeze_after=0.5, travel=3.0))
        quantizer = model.layers[0].kernel_quantizer
        assert (int(quantizer.freeze_step), float(quantizer.travel)) == (2, 3.0)

    @pytest.mark.parametrize(
        "callback", [StageSchedule({0.5: "sign"}), RandomGroups(), CodewordUsage("logs")]
    )
    def test_others_say_that_it_has_to_be_built(self, callback):
        name = type(callback).__name__
        with pytest.raises(SparseBNNError, match=f"Expected a built model for {name}, got seq"):
            fit_with(unbuilt(), callback)


def fit_with(model, callback) -> None:
    inputs, targets = np.ones([8, 9, 9, 2], np.float32), np.ones([8, 2], np.float32)
    model.fit(inputs, targets, batch_size=2, epochs=1, verbose=0, callbacks=[callback])


def events(folder) -> dict[str, list]:
    """tag -> [(step, value)] of all event files, in TensorBoard's order."""
    found: dict[str, list] = {}
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                shown = value.histo if value.HasField("histo") else value.simple_value
                found.setdefault(value.tag, []).append((event.step, shown))
    return found


class TestCodewordUsage:
    def test_what_tensorboard_gets(self, model, tmp_path):
        callback = CodewordUsage(tmp_path)
        fit(model, callback)
        fit(model, CodewordUsage(tmp_path))  # trained again: no duplicates
        logged = events(tmp_path)
        binary = ("shallow", "full", "deep", "fixed")
        expected = {
            f"{kind}/{layer}" for kind in ("codewords", "usage_entropy") for layer in binary
        }
        changed = {f"changed_slots/{layer}" for layer in binary if layer != "full"}
        assert logged.keys() == expected | changed
        assert all([step for step, _ in values] == [0, 1] for values in logged.values())

        layer = model.get_layer("shallow")
        counts = codeword_counts(layer)
        _, histogram = logged["codewords/shallow"][-1]
        used = {
            round(edge - 0.5): count
            for edge, count in zip(histogram.bucket_limit, histogram.bucket, strict=True)
            if count
        }
        assert used == {i: c for i, c in enumerate(counts) if c}
        assert histogram.num == counts.sum() == 6
        entropy = logged["usage_entropy/shallow"][-1][1]
        assert entropy == pytest.approx(usage_entropy(counts), rel=1e-6)

    def test_changed_slots_count_what_was_not_selected_before(self, model, tmp_path):
        callback = CodewordUsage(tmp_path)
        callback.set_model(model)
        callback.on_train_begin()
        selection = quantizers(model)[0].selection
        unused = sorted(set(range(512)) - set(selection.numpy()))
        selection.assign([*selection.numpy()[:5], *unused[:3]])
        callback.on_epoch_end(0)
        callback.on_epoch_end(1)
        logged = events(tmp_path)
        assert logged["changed_slots/shallow"] == [(0, 3.0), (1, 0.0)]
        assert logged["changed_slots/deep"] == [(0, 0.0), (1, 0.0)]

    def test_goes_on_from_a_previous_selection(self, model, tmp_path):
        previous = selections(model)
        previous["shallow"] = sorted(set(range(512)) - set(previous["shallow"]))[:8]
        callback = CodewordUsage(tmp_path, previous=previous)
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_epoch_end(4)
        assert events(tmp_path)["changed_slots/shallow"] == [(4, 8.0)]


def test_selections_are_sorted_and_of_all_subset_layers(model):
    found = selections(model)
    assert {layer: len(ids) for layer, ids in found.items()} == {
        "shallow": 8, "deep": 4, "fixed": 4,
    }  # fmt: skip
    assert all(ids == sorted(ids) for ids in found.values())
