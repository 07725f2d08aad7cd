"""Stages of training: float, sign, codewords."""

import numpy as np
import pytest

from keras_sparsebnn import codebook
from keras_sparsebnn._keras import keras, lq, tf
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.quantizers import FacilityLocation, FixedSubset, OneBit, SparseKernel
from keras_sparsebnn.training import StageSchedule
from keras_sparsebnn.transforms.freezing import freeze

SHAPE = (3, 3, 4, 6)


def built(quantizer, shape=SHAPE):
    quantizer.build(shape)
    return quantizer


def model_with(quantizer):
    return keras.Sequential(
        [
            keras.layers.Input((6, 6, 4)),
            lq.layers.QuantConv2D(
                6, 3, kernel_quantizer=quantizer, kernel_constraint="weight_clip"
            ),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )


def data(rng, size=64):
    return rng.normal(size=(size, 6, 6, 4)).astype(np.float32), rng.integers(0, 3, size)


def compiled(quantizer):
    model = model_with(quantizer)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


class TestQuantizer:
    @pytest.mark.parametrize("scaled", [False, True])
    def test_forward_and_gradient_of_each_stage(self, rng, scaled):
        q = built(FixedSubset(8, seed=0, starts_as="float", magnitude_scale=scaled))
        w = rng.normal(size=SHAPE).astype(np.float32)
        g = rng.normal(size=SHAPE).astype(np.float32)
        mask = np.abs(w) <= 1
        alpha = np.abs(w).mean(axis=(0, 1, 2)) if scaled else 1
        nearest = codebook.decode(codebook.nearest(w.reshape(9, -1).T, q.selection.numpy()))
        expected = {
            "float": (w, g),
            "sign": (alpha * np.where(w < 0, -1, 1), alpha * g * mask),
            "codewords": (alpha * nearest.T.reshape(SHAPE), alpha * g * mask),
        }
        for stage, (value, gradient) in expected.items():
            if stage != "float":
                q.enter(stage, w)
            assert q.stage == stage
            for call in (q, tf.function(q), tf.function(q, jit_compile=True)):
                latent = tf.constant(w)
                with tf.GradientTape() as tape:
                    tape.watch(latent)
                    out = call(latent)
                np.testing.assert_allclose(out, value, rtol=1e-6)
                np.testing.assert_allclose(
                    tape.gradient(out, latent, g), gradient, rtol=1e-6, atol=1e-7
                )

    def test_a_traced_graph_follows_the_stage(self, rng):
        q = built(FixedSubset(8, seed=0, starts_as="sign"))
        w = rng.normal(size=SHAPE).astype(np.float32)
        graph = tf.function(q)
        before = graph(tf.constant(w)).numpy()
        q.enter("codewords", w)
        after = graph(tf.constant(w)).numpy()
        np.testing.assert_array_equal(before, np.where(w < 0, -1, 1))
        ids = codebook.encode(after.reshape(9, -1).T)
        assert set(ids) <= set(q.selection.numpy())
        assert not np.array_equal(before, after)

    def test_no_state_and_no_branch_by_default(self, rng):
        q = built(FixedSubset(8))
        assert [v.name for v in q.weights] == ["selection:0"]
        assert not q.has_stages
        graph = tf.function(q).get_concrete_function(tf.TensorSpec(SHAPE)).graph
        assert not {op.type for op in graph.get_operations()} & {"Case", "StatelessCase", "If"}
        with pytest.raises(ValueError, match='with `starts_as` "float" or "sign", got "codewo'):
            q.enter("sign", np.zeros(SHAPE))

    def test_errors(self):
        with pytest.raises(ValueError, match="`starts_as` to be one of float, sign, codewords"):
            FixedSubset(8, starts_as="ternary")
        with pytest.raises(ValueError, match="`stage` to be one of float, sign, codewords"):
            built(FixedSubset(8, starts_as="sign")).enter("end", np.zeros(SHAPE))
        with pytest.raises(ValueError, match="Expected a built quantizer"):
            FixedSubset(8, starts_as="sign").enter("float", np.zeros(SHAPE))
        with pytest.raises(ValueError, match="FacilityLocation chooses codewords from trained"):
            FacilityLocation(8, starts_as="codewords")
        with pytest.raises(ValueError, match="no trained kernels at the start"):
            SparseKernel(8, initial_selection="facility_location")

    def test_learned_selection_starts_where_facility_location_says(self, rng):
        w = rng.normal(size=(3, 3, 16, 32)).astype(np.float32)
        for options in (
            {},  # where a quantizer has stages it is the default
            {"initial_selection": "facility_location"},
            {"logits": "free"},
            {"logits": "free", "formulation": "full"},
        ):
            q = built(SparseKernel(16, seed=1, starts_as="sign", **options), w.shape)
            best = built(FacilityLocation(16), w.shape)
            q.enter("codewords", w)
            best.enter("codewords", w)
            assert set(q.selection.numpy()) == set(best.selection.numpy())
            if q.get_config()["logits"] == "free":
                np.testing.assert_array_equal(q.selection, q.training_selection)

    def test_frozen_only_with_codewords(self, rng):
        model = model_with(FixedSubset(8, starts_as="sign"))
        with pytest.raises(
            SparseBNNError, match=r'codewords, got others \(layer quant.*stage "sign"'
        ):
            freeze(model)
        layer = model.layers[0]
        layer.kernel_quantizer.enter("codewords", layer.kernel)
        x, _ = data(rng)
        np.testing.assert_allclose(freeze(model)(x), model(x), rtol=1e-5, atol=1e-5)
        freeze(model_with(OneBit(starts_as="sign")))
        with pytest.raises(SparseBNNError, match='stage "float"'):
            freeze(model_with(OneBit(starts_as="float")))


class TestSchedule:
    def test_stages_by_step(self, rng):
        model = compiled(FacilityLocation(8, starts_as="float", seed=0))
        q = model.layers[0].kernel_quantizer
        start = set(q.selection.numpy())
        seen = []
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(q.stage)
        )
        x, y = data(rng)
        schedule = StageSchedule({0.25: "sign", 0.5: "codewords"})
        model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[schedule, watch])
        assert seen == ["float"] * 2 + ["sign"] * 2 + ["codewords"] * 4
        assert set(q.selection.numpy()) != start

    def test_resumes_without_choosing_again(self, rng, tmp_path):
        x, y = data(rng)
        weights = {}
        for parts in ((2,), (1, 1)):
            keras.utils.set_random_seed(0)
            model = compiled(FacilityLocation(8, seed=0))
            for index, part in enumerate(parts):
                if index:  # a new process would start like this
                    saved = tf.train.Checkpoint(model=model).write(str(tmp_path / "c"))
                    model = compiled(FacilityLocation(8, seed=0))
                    model.optimizer.build(model.trainable_variables)
                    status = tf.train.Checkpoint(model=model).read(saved)
                    status.assert_existing_objects_matched()
                schedule = StageSchedule({0.25: "codewords"}, total_steps=8)
                fit = {"batch_size": 16, "shuffle": False, "verbose": 0}
                model.fit(x, y, epochs=part, callbacks=[schedule], **fit)
            weights[parts] = model.get_weights()
        for a, b in zip(weights[2,], weights[1, 1], strict=True):
            np.testing.assert_array_equal(a, b)

    def test_errors(self, rng):
        for stages, message in (
            ({}, "at least one stage, got none"),
            ({1.0: "sign"}, r"fractions of training in \[0, 1\), got 1.0 \(sign\)"),
            ({0.5: "end"}, "a stage out of float, sign, codewords, got 'end'"),
        ):
            with pytest.raises(SparseBNNError, match=message):
                StageSchedule(stages)
        with pytest.raises(SparseBNNError, match="`total_steps` to be at least 1, got 0"):
            StageSchedule({0.5: "sign"}, total_steps=0)
        with pytest.raises(SparseBNNError, match="Expected `total_steps`, because"):
            StageSchedule({0.5: "sign"}).stage_at(3)
        x, y = data(rng)
        with pytest.raises(SparseBNNError, match="kernel quantizer has stages, got none"):
            compiled(FixedSubset(8)).fit(
                x, y, verbose=0, callbacks=[StageSchedule({0.5: "codewords"})]
            )
