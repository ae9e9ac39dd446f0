"""What type checkers refuse: mypy reports an ignored error that it does not find."""

from __future__ import annotations

import numpy as np
from torch import nn

import kerastorch as kt

x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
model = kt.Model(nn.Linear(3, 1))

kt.Sequential([nn.Linear, nn.ReLU()])  # type: ignore[list-item]
kt.Sequential(["relu"])  # type: ignore[list-item]
kt.Model(nn.Linear(3, 1), name=3)  # type: ignore[arg-type]
model.compile("sgd", "mse", jit=True)  # type: ignore[call-arg]
model.fit(x, y, epoch=2)  # type: ignore[call-arg]
model.fit(x, y, epochs="2")  # type: ignore[arg-type]
model.fit(x, y, callbacks="EarlyStopping")  # type: ignore[arg-type]
model.fit(x, y, verbose="loud")  # type: ignore[arg-type]
history: dict[str, list[float]] = model.fit(x, y)  # type: ignore[assignment]
scores: list[float] = model.evaluate(x, y, return_dict=True)  # type: ignore[assignment]
model.evaluate(x, y, return_dict=True).loss  # type: ignore[attr-defined]
model.evaluate(x, y, step=3)  # type: ignore[call-overload]
model.predict(x).loss  # type: ignore[attr-defined]
label: str = model.predict(x)  # type: ignore[assignment]
model.train_on_batch(x, y, return_dict=True).append  # type: ignore[attr-defined]
model.optimizer.learnrate = 0.1  # type: ignore[attr-defined]
model.stop_training = "soon"  # type: ignore[assignment]
kt.call("linear", x)  # type: ignore[arg-type]
kt.Input(3)  # type: ignore[arg-type]
kt.load_model("m").fit(epoch=1)  # type: ignore[call-arg]
kt.config.disable_tracebacks()  # type: ignore[attr-defined]


class Stops(kt.callbacks.Callback):
    """Stops at once."""

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Misspell attributes of the model."""
        self.model.stop_trainning = True  # type: ignore[assignment]
        self.model.stop_training = "now"  # type: ignore[assignment]
        self.model.optimizer.rate = 0.1  # type: ignore[attr-defined]
