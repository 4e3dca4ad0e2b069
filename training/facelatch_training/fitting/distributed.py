"""Training on several machines, where TensorFlow's TF_CONFIG names them; on one machine these functions do nothing.

Every worker runs the same command with its own TF_CONFIG, reads the same crop set, and computes its share
of each batch; worker 0's run folder holds the result, the others keep their checkpoints in `worker-N`
beside it. All learn the same weights; batch normalisation's running statistics are each worker's own.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras

from facelatch.errors import FacelatchError
from facelatch_training.files import TrainingError


def cluster_scope() -> AbstractContextManager[Any]:
    """The scope in which models are to be built: a multi-worker strategy where TF_CONFIG names a cluster."""
    if not _cluster():
        return nullcontext()
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(
            "TF_CONFIG names a cluster, but Keras runs on another back end", hint="unset TF_CONFIG"
        )
    import tensorflow as tf

    scope: AbstractContextManager[Any] = tf.distribute.MultiWorkerMirroredStrategy().scope()
    return scope


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """`steps` batches, each made by `batch` when it is asked for.

    An error of ours is kept in `failure`, because TensorFlow raises one of its own in its place.
    """

    failure: FacelatchError | None = None

    def __init__(self, steps: int, **options: Any) -> None:
        super().__init__(**options)
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, number: int) -> Any:
        try:
            return self.batch(number)
        except FacelatchError as error:
            self.failure = error
            raise

    def batch(self, number: int) -> Any:
        """Batch `number`: inputs and targets."""
        raise NotImplementedError


def fit_round(model: Any, batches: Batches, callback: keras.callbacks.Callback) -> dict[str, float]:
    """One pass over `batches`. Returns the mean losses; on a cluster this worker's.

    Raises, as it was, the FacelatchError that a batch could not be made for.
    """
    try:
        return _fit_round(model, batches, callback)
    except Exception:
        if batches.failure is not None:
            raise batches.failure from None
        raise


def _fit_round(model: Any, batches: Batches, callback: keras.callbacks.Callback) -> dict[str, float]:
    """`model.fit`, or on a cluster the same training step under its strategy.

    Keras 3's own `fit` fails there (it averages whole batches and scalar losses over workers in ways
    TensorFlow refuses), so the loop around its training step is ours.
    """
    if not _cluster():
        # In their order: Keras would shuffle by a global state that a resumed run has lost.
        history = model.fit(batches, shuffle=False, verbose=0, callbacks=[callback]).history
        return {name: float(values[-1]) for name, values in history.items()}
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    step = _cluster_step(model, batches[0])
    signature = tf.nest.map_structure(lambda array: tf.TensorSpec(array.shape, array.dtype), batches[0])
    stream = tf.data.Dataset.from_generator(
        lambda: (batches[number] for number in range(len(batches))), output_signature=signature
    )
    model.reset_metrics()
    logs: dict[str, Any] = {}
    for number, batch in enumerate(strategy.experimental_distribute_dataset(stream)):
        logs = step(batch)
        callback.on_train_batch_end(number)
    return {name: float(strategy.experimental_local_results(value)[0]) for name, value in logs.items()}


def _cluster_step(model: Any, batch: Any) -> Any:
    """The model's training step over all workers, traced once; every worker sees its share of the batch."""
    import tensorflow as tf

    if getattr(model, "cluster_step", None) is None:
        model._symbolic_build(data_batch=batch)
        strategy = tf.distribute.get_strategy()
        model.cluster_step = tf.function(lambda share: strategy.run(model.train_step, args=(share,)))
    return model.cluster_step


def forget_step(model: Any) -> None:
    """Let the next round compile its step anew: the schedule of the rate is a constant in it."""
    model.train_function = model.cluster_step = None


def mean_over_workers(array: Any) -> Any:
    """The mean of what every worker found; batch normalisation lets them find slightly different things."""
    if not _cluster():
        return array
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    values = strategy.run(lambda: tf.convert_to_tensor(array))
    return strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None).numpy()


def worker_folder(run: Path) -> Path:
    """Where this worker keeps its checkpoints."""
    task = _cluster().get("task", {"index": 0})
    return run if int(task["index"]) == 0 else run / f"worker-{task['index']}"


def _cluster() -> dict[str, Any]:
    config: dict[str, Any] = json.loads(os.environ.get("TF_CONFIG", "{}"))
    return config if len(config.get("cluster", {}).get("worker", [])) > 1 else {}
