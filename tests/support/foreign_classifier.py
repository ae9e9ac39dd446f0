"""A small classifier and its data, for cases about what is done to a module, an optimizer or a batch."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from support.foreign_case import ForeignCase, accuracy


def perceptron():
    """Return a new network of six features and three classes."""
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


class ClassifierCase(ForeignCase):
    """A case whose batches are thirty rows in parts of eight."""

    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}
    dtype = torch.float32

    def optimizer(self, net):
        return torch.optim.Adam(net.parameters(), lr=0.01)

    def loader(self, shuffle):
        x = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
        y = (x[:, :3].sum(1) > 0).long() + (x[:, 3] > 1).long()
        return DataLoader(TensorDataset(x, y), 8, shuffle, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return F.cross_entropy(self.hand_outputs(net, batch), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0].to(self.dtype))

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([self.hand_outputs(net, one) for one in batches], [y for _, y in batches])}

    def export_call(self, batch):
        return (batch[0].to(self.dtype),), {}
