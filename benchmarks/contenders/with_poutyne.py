"""Poutyne: its `Model` on arrays."""

import poutyne
import torch

from contenders.base import ADAM, TorchContender


class Contender(TorchContender):
    def prepare(self):
        optimizer = torch.optim.Adam(self.net.parameters(), **ADAM)
        self.model = poutyne.Model(self.net, optimizer, "cross_entropy", device="cpu")

    def fit(self, epochs):
        logs = self.model.fit(self.x, self.y, batch_size=self.task.batch, epochs=epochs, verbose=False)
        return [epoch["loss"] for epoch in logs]

    def evaluate(self):
        return self.model.evaluate(self.x, self.y, batch_size=self.task.batch, verbose=False)

    def predict(self, x):
        return self.model.predict(x, batch_size=self.task.batch, verbose=False)
