"""What is measured: every task by name, and the data for it, the same for every contender."""

from dataclasses import dataclass, replace

import numpy as np

# Keras' defaults, the same for everybody
LEARNING_RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-7
VOCABULARY = 1000  # of the transformer's tokens


@dataclass(frozen=True)
class Task:
    """A piece of work that is timed as a whole.

    Args:
        title: what tables call it.
        net: name of the network, in `nets_torch.py` and `nets_keras.py`.
        shape: of a row.
        classes: of the targets.
        rows: of the data.
        batch: rows of a batch.
        epochs: of one timed run of `fit`.
        verb: `fit`, `evaluate`, `predict`, or `predict_one`, which predicts a single row over and over.
        calls: of `predict_one` in one timed run.
        metrics: kept beside the loss.
        callbacks: how many listen to the end of each batch.
        only: contenders it is for; everybody if empty.
    """

    title: str
    net: str
    shape: tuple[int, ...]
    classes: int
    rows: int
    batch: int
    epochs: int = 1
    verb: str = "fit"
    calls: int = 0
    metrics: tuple[str, ...] = ()
    callbacks: int = 0
    only: tuple[str, ...] = ()

    @property
    def units(self):
        """Steps, or calls, of one timed run: times are told per unit."""
        return self.calls or self.epochs * -(-self.rows // self.batch)


def _tiny(title, rows=20_000, batch=32, **rest):
    return Task(title, "tiny", (30,), 2, rows, batch, **rest)


_OURS = ("kerastorch", "kerastorch-compiled")
_AND_EXPERT = ("expert", *_OURS)
_THREE = ("accuracy", "f1", "auc")
_IMAGE = (28, 28)

TRAINING = {
    "tiny-32": _tiny("30-16-16-2, batch 32", epochs=2),
    "tiny-256": _tiny("30-16-16-2, batch 256", 80_000, 256, epochs=2),
    "dense": Task("784-512-10 dropout, batch 128", "dense", (784,), 10, 6_400, 128, epochs=3),
    "conv": Task("conv 28x28, batch 128", "conv", _IMAGE, 10, 1_280, 128, epochs=2),
    "lstm": Task("LSTM 50x16 -> 64, batch 64", "lstm", (50, 16), 4, 1_280, 64, epochs=2),
    "transformer": Task("transformer, 2 layers of 64, batch 64", "transformer", (32,), 4, 1_280, 64, epochs=2),
}
OTHER_VERBS = {
    "evaluate": _tiny("evaluate, 20,000 rows", verb="evaluate"),
    "predict": _tiny("predict, 20,000 rows", verb="predict"),
    "predict-one": _tiny("predict, one row", verb="predict_one", calls=100),
}
METRICS = {
    "metrics-0": _tiny("no metrics", only=_AND_EXPERT),
    "metrics-1": _tiny("accuracy", metrics=_THREE[:1], only=_OURS),
    "metrics-3": _tiny("accuracy, f1, auc", metrics=_THREE, only=_OURS),
}
CALLBACKS = {
    "callbacks-0": _tiny("no callbacks", 3_200, only=_AND_EXPERT),
    "callbacks-3": _tiny("3 callbacks", 3_200, callbacks=3, only=_OURS),
    "callbacks-10": _tiny("10 callbacks", 3_200, callbacks=10, only=_OURS),
}
BATCHES = {
    f"batches-{count}": _tiny(f"{count} batches", 32 * count, only=_AND_EXPERT) for count in (100, 1_000, 10_000)
}
TASKS = TRAINING | OTHER_VERBS | METRICS | CALLBACKS | BATCHES

# what is interleaved with what; a task of its own unless it stands here
TOGETHER = {"metrics": list(METRICS), "callbacks": list(CALLBACKS), "batches": list(BATCHES)}
GROUPS = {name: [name] for name in TRAINING | OTHER_VERBS} | TOGETHER


def task_of(name, quick=False):
    """The task; `quick` cuts it down to four batches, to see that everything runs."""
    task = TASKS[name]
    return replace(task, rows=4 * task.batch, epochs=1, calls=min(task.calls, 2)) if quick else task


def data(task):
    """Rows as float32 (token numbers for the transformer) and classes as int64, from a fixed seed and learnable."""
    random = np.random.default_rng(0)
    if task.net == "transformer":
        x = random.integers(0, VOCABULARY, (task.rows, *task.shape))
        return x, x[:, 0] % task.classes
    x = random.standard_normal((task.rows, *task.shape), dtype=np.float32)
    flat = x.reshape(task.rows, -1)
    teacher = random.standard_normal((flat.shape[1], task.classes), dtype=np.float32)
    return x, (flat @ teacher).argmax(axis=1)
