"""What the guides show; type checkers accept all of it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import nn

import kerastorch as kt
from kerastorch.callbacks.base import Logs

x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")


class Net(kt.Model):
    """A model with its own forward."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the outputs."""
        out: torch.Tensor = self.head(x)
        return out


class Halve(kt.callbacks.Callback):
    """Halves the learning rate, and stops at a good loss."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Use the model."""
        for group in self.model.optimizer.param_groups:
            group["lr"] /= 2
        self.model.optimizer.learning_rate = self.model.optimizer.learning_rate / 2
        if self.model.evaluate(x, y, verbose=0) < 0.1:
            self.model.stop_training = True


chain = kt.Sequential([kt.Input((3,)), kt.layers.Dense(4, activation="relu"), nn.Dropout(0.1), kt.layers.Dense(1)])
chain.add(nn.ReLU())
last: nn.Module = chain.pop()
for layer in chain:
    layer.train()

inputs = kt.Input(shape=(3,), name="features")
functional = kt.Model(inputs, kt.layers.Dense(1)(inputs))
several = kt.Model({"a": inputs}, [kt.layers.Dense(1)(inputs), kt.call(nn.Linear(3, 2), inputs)])
view = kt.Model(nn.Linear(3, 1), name="view")

view.compile("adam", loss="mse", metrics=["mae", "r2"], regularizers={"*.weight": kt.regularizers.L2(1e-4)})
view.compile(torch.optim.SGD(view.parameters(), lr=0.1), nn.MSELoss(), jit_compile=True, steps_per_execution="auto")
history: kt.History = view.fit(x, y, epochs=2, callbacks=[Halve(), kt.callbacks.EarlyStopping()], verbose=0)
view.fit(lambda: iter([(x, y)]), validation_data=(x, y), shuffle="batch", callbacks=Halve(), resume="state")
losses: list[float] = history.history["loss"]

scores: dict[str, float] = view.evaluate(x, y, verbose=0, return_dict=True)
for name, value in view.evaluate(x, y, return_dict=True).items():
    print(name.upper(), value + 1)
loss, mae = view.evaluate(x, y)
first: float = view.evaluate(x, y)[0]
one: dict[str, float] = view.train_on_batch(x, y, return_dict=True)
other: dict[str, float] = view.test_on_batch(x, y, return_dict=True)

classes = view.predict(x).argmax(axis=1)
print(view.predict(x).shape, (view.predict(x) == functional.predict_on_batch(x)).all())

outputs: torch.Tensor = view(torch.ones(2, 3))  # as a call of any nn.Module, it returns Any
view.optimizer.learning_rate = 1e-3
torch.optim.lr_scheduler.StepLR(view.optimizer, 1)

again = kt.load_model("model.kt")
again.summary(show_trainable=True)
own = cast(Net, kt.load_model("model.kt", {"Net": Net}))  # checkers cannot know which class is in the file
size: int = own.head.in_features
kt.config.disable_traceback_filtering()


def step(model: kt.Model, batch: Any) -> float:
    """Compute a loss by hand."""
    return float(model.compute_loss(*batch))
