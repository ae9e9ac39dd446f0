"""The loop of somebody who has measured: batches by index, fused Adam, the loss summed on the device."""

import torch
from torch import nn

from contenders.base import ADAM, TorchContender


class Contender(TorchContender):
    """`channels_last` is for images: the same numbers in the memory format that convolutions like."""

    def __init__(self, task, x, y, channels_last=False):
        super().__init__(task, x, y)
        if channels_last:
            self.net.to(memory_format=torch.channels_last)
            self.x = self.x.to(memory_format=torch.channels_last)

    def prepare(self):
        self.optimizer = torch.optim.Adam(self.net.parameters(), **ADAM, fused=True)
        self.loss = nn.CrossEntropyLoss()

    def fit(self, epochs):
        losses = []
        self.net.train()
        for _ in range(epochs):
            total = torch.zeros(())
            batches = torch.randperm(len(self.x)).split(self.task.batch)
            for rows in batches:
                self.optimizer.zero_grad()
                loss = self.loss(self.net(self.x[rows]), self.y[rows])
                loss.backward()
                self.optimizer.step()
                total += loss.detach()
            losses.append(total.item() / len(batches))
        return losses

    def evaluate(self):
        total, size = torch.zeros(()), self.task.batch
        self.net.eval()
        with torch.inference_mode():
            for inputs, targets in zip(self.x.split(size), self.y.split(size), strict=True):
                total += self.loss(self.net(inputs), targets) * len(inputs)
        return total.item() / len(self.x)

    def predict(self, x):
        self.net.eval()
        with torch.inference_mode():
            return torch.cat([self.net(inputs) for inputs in x.split(self.task.batch)]).numpy()
