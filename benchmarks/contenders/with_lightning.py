"""Lightning: a `LightningModule` and a `Trainer` without logger, checkpoints, bar and summary."""

import logging
import warnings

import lightning
import torch
from torch import nn

from contenders import Unsupported
from contenders.base import ADAM, TorchContender

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")  # few workers of loaders, no need of them here


class Classifier(lightning.LightningModule):
    """Its documentation's first example with another loss."""

    def __init__(self, net):
        super().__init__()
        self.net, self.losses = net, []

    def forward(self, inputs):
        return self.net(inputs)

    def training_step(self, batch, index):
        inputs, targets = batch
        loss = nn.functional.cross_entropy(self(inputs), targets)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self):
        self.losses.append(float(self.trainer.callback_metrics["loss"]))

    def test_step(self, batch, index):
        inputs, targets = batch
        self.log("loss", nn.functional.cross_entropy(self(inputs), targets))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), **ADAM)


class Contender(TorchContender):
    def prepare(self):
        self.module = Classifier(self.net)

    def _trainer(self, epochs=1):
        off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        return lightning.Trainer(max_epochs=epochs, accelerator="cpu", enable_model_summary=False, **off)

    def fit(self, epochs):
        self.module.losses.clear()
        self._trainer(epochs).fit(self.module, self.loader())
        return list(self.module.losses)

    def evaluate(self):
        return self._trainer().test(self.module, self.loader(shuffle=False), verbose=False)[0]["loss"]

    def predict(self, x):
        if len(x) == 1:
            raise Unsupported("one row is a call of the module, as in the hand-written loops")
        outputs = self._trainer().predict(self.module, torch.utils.data.DataLoader(x, batch_size=self.task.batch))
        return torch.cat(outputs).numpy()
