"""What type checkers refuse; each line that is wrong ends with the error code of mypy."""

from __future__ import annotations

import numpy as np
from torch import nn

import kerastorch as kt

x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
model = kt.Model(nn.Linear(3, 1))

kt.Sequential([nn.Linear, nn.ReLU()])  # error: list-item
kt.Sequential(["relu"])  # error: list-item
kt.Model(nn.Linear(3, 1), name=3)  # error: arg-type
model.compile("sgd", "mse", jit=True)  # error: call-arg
model.fit(x, y, epoch=2)  # error: call-arg
model.fit(x, y, epochs="2")  # error: arg-type
model.fit(x, y, callbacks="EarlyStopping")  # error: arg-type
model.fit(x, y, verbose="loud")  # error: arg-type
history: dict[str, list[float]] = model.fit(x, y)  # error: assignment
scores: list[float] = model.evaluate(x, y, return_dict=True)  # error: assignment
model.evaluate(x, y, return_dict=True).loss  # error: attr-defined
model.evaluate(x, y, step=3)  # error: call-overload
model.predict(x).loss  # error: attr-defined
label: str = model.predict(x)  # error: assignment
model.train_on_batch(x, y, return_dict=True).append  # error: attr-defined
model.optimizer.learnrate = 0.1  # error: attr-defined
model.stop_training = "soon"  # error: assignment
kt.call("linear", x)  # error: arg-type
kt.Input(3)  # error: arg-type
kt.config.disable_tracebacks()  # error: attr-defined


class Stops(kt.callbacks.Callback):
    """Stops at once."""

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Misspell attributes of the model."""
        self.model.stop_trainning = True  # error: assignment
        self.model.stop_training = "now"  # error: assignment
        self.model.optimizer.rate = 0.1  # error: attr-defined
