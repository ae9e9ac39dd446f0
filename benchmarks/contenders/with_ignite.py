"""PyTorch-Ignite: `create_supervised_trainer` and `create_supervised_evaluator`."""

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Average, Loss
from torch import nn

from contenders.base import ADAM, TorchContender


class Contender(TorchContender):
    def prepare(self):
        optimizer = torch.optim.Adam(self.net.parameters(), **ADAM)
        loss = nn.CrossEntropyLoss()
        self.trainer = create_supervised_trainer(self.net, optimizer, loss)
        Average().attach(self.trainer, "loss")
        self.losses = []
        self.trainer.add_event_handler(
            Events.EPOCH_COMPLETED, lambda engine: self.losses.append(engine.state.metrics["loss"])
        )
        self.evaluator = create_supervised_evaluator(self.net, metrics={"loss": Loss(loss)})

    def fit(self, epochs):
        self.losses.clear()
        self.trainer.run(self.loader(), max_epochs=epochs)
        return list(self.losses)

    def evaluate(self):
        return self.evaluator.run(self.loader(shuffle=False)).metrics["loss"]
