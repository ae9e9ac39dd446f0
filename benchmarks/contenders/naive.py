"""The loop of tutorials: a `DataLoader`, `Adam()`, `loss.item()` every batch."""

import torch
from torch import nn
from torch.utils.data import DataLoader

from contenders.base import ADAM, TorchContender


class Contender(TorchContender):
    def prepare(self):
        self.optimizer = torch.optim.Adam(self.net.parameters(), **ADAM)
        self.loss = nn.CrossEntropyLoss()

    def fit(self, epochs):
        losses, loader = [], self.loader()
        self.net.train()
        for _ in range(epochs):
            total = 0.0
            for inputs, targets in loader:
                self.optimizer.zero_grad()
                loss = self.loss(self.net(inputs), targets)
                loss.backward()
                self.optimizer.step()
                total += loss.item()
            losses.append(total / len(loader))
        return losses

    def evaluate(self):
        total, loader = 0.0, self.loader(shuffle=False)
        self.net.eval()
        with torch.no_grad():
            for inputs, targets in loader:
                total += self.loss(self.net(inputs), targets).item() * len(inputs)
        return total / len(self.x)

    def predict(self, x):
        self.net.eval()
        with torch.no_grad():
            return torch.cat([self.net(inputs) for inputs in DataLoader(x, batch_size=self.task.batch)]).numpy()
