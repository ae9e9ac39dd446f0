"""The networks in plain torch, for every contender that trains a torch module."""

import torch
from tasks import VOCABULARY
from torch import nn


def tiny(classes):
    return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, classes))


def dense(classes):
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, classes))


def conv(classes):
    layers = [nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4608, classes))


class Recurrent(nn.Module):
    """An LSTM whose last state is classified."""

    def __init__(self, classes):
        super().__init__()
        self.lstm = nn.LSTM(16, 64, batch_first=True)
        self.head = nn.Linear(64, classes)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Encoder(nn.Module):
    """A transformer encoder whose mean over the tokens is classified."""

    def __init__(self, classes, width=64, heads=4, tokens=32):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.position = nn.Parameter(torch.randn(tokens, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.layers(self.embedding(x) + self.position).mean(dim=1))


NETS = {"tiny": tiny, "dense": dense, "conv": conv, "lstm": Recurrent, "transformer": Encoder}
