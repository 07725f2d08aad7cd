"""A network with the optimizer, the loss and the metrics of its run."""

from __future__ import annotations

from keras_sparsebnn._keras import keras, tf
from keras_sparsebnn.data import Dataset
from keras_sparsebnn.training.keras.distillation import DistilledModel
from keras_sparsebnn.training.keras.learning_rate import RestartingDecay
from keras_sparsebnn.training.keras.losses import DistillationLoss, SmoothedCrossEntropy
from keras_sparsebnn.training.keras.optimizer import GroupedOptimizer, selection_logits
from keras_sparsebnn.training.run.network import is_compiled, named_network
from keras_sparsebnn.training.run.schedules import part_starts
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["compiled_model", "create_state"]


def compiled_model(
    config: RunConfig, dataset: Dataset, steps: int, network: keras.Model | None = None
) -> keras.Model:
    """The network of a run with its loss and optimizer.

    Args:
        config: of the run.
        dataset: tells shapes.
        steps: batches an epoch.
        network: the user's own, see `own_network`; the one that `config` names if None. If it
            is compiled, it keeps its optimizer, loss and `jit_compile`.

    Raises:
        SparseBNNError: no such network, or one that does not fit the images.
    """
    model = named_network(config, dataset) if network is None else network
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    if is_compiled(model):
        model.compile(
            optimizer=model.optimizer,
            loss=model.loss,
            metrics=metrics,
            jit_compile=model.jit_compile,
        )
        return model
    if config.teacher is not None:
        model = DistilledModel(model.inputs, model.outputs, name=model.name)
    model.compile(
        optimizer=_optimizer(config, model, steps),
        loss=_loss(config, dataset.classes),
        metrics=metrics,
    )
    return model


def _optimizer(config: RunConfig, model: keras.Model, steps: int) -> GroupedOptimizer:
    starts = part_starts(config, steps)
    decays = (config.first_step_weight_decay, config.weight_decay)
    return GroupedOptimizer(
        config.optimizer,
        RestartingDecay(
            config.learning_rate,
            config.schedule,
            starts=starts,
            total=config.epochs * steps,
            warmup=round(config.warmup_epochs * steps),
        ),
        momentum=config.momentum,
        weight_decay=decays[-len(starts) :],
        logits=selection_logits(model),
        logit_kind=config.logit_optimizer,
        logit_rate_factor=config.logit_rate_factor,
        starts=starts,
    )


def _loss(config: RunConfig, classes: int) -> keras.losses.Loss:
    if config.teacher is not None:
        return DistillationLoss(
            classes, config.teacher_weight, config.teacher_temperature, config.label_smoothing
        )
    if config.label_smoothing:
        return SmoothedCrossEntropy(classes, config.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def create_state(
    model: keras.Model, dataset: Dataset, strategy: tf.distribute.Strategy
) -> None:
    """Creates the variables that Keras makes only in the first step.

    Call it in the strategy's scope.
    """
    model.optimizer.build(model.trainable_variables)
    shape = (1, *dataset.input_shape)

    def one_step() -> None:
        labels, logits = tf.zeros([1], tf.int64), tf.zeros([1, dataset.classes])
        model.compute_loss(y=labels, y_pred=logits)
        model.compute_metrics(tf.zeros(shape), labels, logits, None)

    tf.function(strategy.run, autograph=False)(one_step)
    model.reset_metrics()
