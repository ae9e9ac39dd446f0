"""kerastorch: `kt.Model(net)` with the verbs, eager or compiled."""

import inspect

import kerastorch as kt
from contenders import Unsupported
from contenders.base import TorchContender


class Listener(kt.callbacks.Callback):
    """A callback that hears of every batch and does nothing."""

    def on_train_batch_end(self, batch, logs=None):
        return


class Contender(TorchContender):
    """`compiled` compiles the step and runs 32 of them at once; `precision` is that of `compile`."""

    def __init__(self, task, x, y, compiled=False, precision=None):
        self.how = {"jit_compile": True, "steps_per_execution": 32} if compiled else {}
        if precision is not None:
            self.how["precision"] = precision
        if lacking := self.how.keys() - inspect.signature(kt.Model.compile).parameters:
            raise Unsupported(f"compile() of this kerastorch takes no {' and no '.join(sorted(lacking))}")
        super().__init__(task, x, y)

    def prepare(self):
        self.model = kt.Model(self.net)
        self.model.compile("adam", "cross_entropy", metrics=list(self.task.metrics), **self.how)
        self.callbacks = [Listener() for _ in range(self.task.callbacks)]

    def fit(self, epochs):
        told = self.callbacks
        history = self.model.fit(self.x, self.y, batch_size=self.task.batch, epochs=epochs, verbose=0, callbacks=told)
        return history.history["loss"]

    def evaluate(self):
        return self.model.evaluate(self.x, self.y, batch_size=self.task.batch, verbose=0)

    def predict(self, x):
        return self.model.predict(x, batch_size=self.task.batch, verbose=0)
