"""The workers of a cluster, one a process: gradients are added up by TensorFlow's collectives.

Keras 3.15 cannot `fit` under a strategy of several processes (docs/fine-tuning.md has what it
says), and a variable that a strategy mirrors is no longer one that checkpoints and means can
assign to. So Keras never sees a strategy here: each worker's model, optimiser and variables are
its own, and of MultiWorkerMirroredStrategy only the sum over all workers is used.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.errors import WorkerLost
from training.optimisation.meeting import meet
from training.optimisation.workers import Step
from training.settings.cluster import Cluster

GONE = (  # what a sum raises where another worker, or the way to it, is gone
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError),
    *(tf.errors.InternalError, tf.errors.UnknownError),
)


class Together:
    """The workers of a cluster, as one of them sees it."""

    def __init__(self, cluster: Cluster):
        """Wait until all workers are there. To be made before TensorFlow computes anything.

        Raises:
            WorkerLost: one does not come. SettingError: this one's address cannot be taken.
        """
        self.rank, self.count = cluster.rank, len(cluster.addresses)
        tf.get_logger().setLevel("ERROR")  # else it tells of every kind of sum
        # One replica a process, or sums would count its share once for each of its GPUs.
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:1], "GPU")
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
            task_type="worker",
            task_id=cluster.rank,
            rpc_layer="grpc",
        )
        meet(cluster)
        with _noticing_losses():
            self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
            self._add = tf.function(self._sums, autograph=False)
            self.add([np.zeros(1)])

    def add(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Add up each array over all workers. Raises WorkerLost."""
        given = [np.asarray(array) for array in arrays]
        with _noticing_losses():  # in one type: they are sent in packs
            sums = self._add([tf.constant(array, tf.float64) for array in given])
        return [total.numpy().astype(a.dtype) for total, a in zip(sums, given, strict=True)]

    def make_step(self, model: keras.Model, label_smoothing: float) -> Step:
        """Compile one step: this worker's gradients, their sum, the same change of weights."""
        losses = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing, reduction=None
        )
        variables = model.trainable_variables

        def train(inputs: Any, targets: Any, weights: Any, photos: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                logits = model(inputs, training=True)
                loss = tf.reduce_sum(losses(targets, logits) * weights) / photos
                if model.losses:
                    loss += tf.add_n(model.losses) / self.count
            gradients = tape.gradient(loss, variables)
            right = tf.equal(tf.argmax(targets, 1), tf.argmax(logits, 1))
            hits = tf.reduce_sum(tf.cast(right, weights.dtype) * weights)
            parts = [*gradients, loss, hits, tf.reduce_sum(weights)]
            *sums, loss, hits, weight = self._sums(parts)
            model.optimizer.apply(sums, variables)
            return loss, tf.math.divide_no_nan(hits, weight)

        # One signature for all batches: workers that trace at different times would wait for
        # sums that the others never make.
        shapes = ((None, *model.input_shape[1:]), (None, model.output_shape[-1]), (None,), ())
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        compiled = tf.function(train, input_signature=signature, autograph=False)

        def step(batch: tuple[np.ndarray, ...], photos: int) -> tuple[float, float]:
            with _noticing_losses():
                tensors = [tf.constant(array, tf.float32) for array in (*batch, photos)]
                loss, accuracy = compiled(*tensors)
            return float(loss), float(accuracy)

        return step

    def _sums(self, values: Sequence[Any]) -> list[Any]:
        """Add up tensors over all workers, inside a function that is being traced."""
        return list(self._strategy.run(_all_reduce, args=(list(values),)))


def _all_reduce(values: list[Any]) -> Any:
    here = [tf.identity(value) for value in values]  # on this replica's device, as it must be
    return tf.distribute.get_replica_context().all_reduce("SUM", here)


@contextmanager
def _noticing_losses() -> Iterator[None]:
    """Say in one error what TensorFlow says in many when a worker is gone."""
    try:
        yield
    except GONE as error:
        text = str(error)
        found = re.search("aborted by: ([^\n]+)", text)  # behind a graph's line numbers
        raise WorkerLost(" ".join((found[1] if found else text).split())[:200]) from error


@cache
def open_workers(cluster: Cluster) -> Together:
    """Join the cluster; once a process, as TensorFlow cannot do it twice. Raises WorkerLost."""
    return Together(cluster)
