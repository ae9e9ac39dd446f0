"""A siamese network whose loader yields flat triples `(a, b, y)`."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 3
_data = load_digits()
_x = torch.tensor(_data.data / 16, dtype=torch.float32)
_y = torch.tensor(_data.target)
_other = torch.randperm(len(_x), generator=torch.Generator().manual_seed(0))
_rows = TensorDataset(_x, _x[_other], (_y == _y[_other]).float()[:, None])
train_loader = DataLoader(torch.utils.data.Subset(_rows, range(1500)), batch_size=50)
val_loader = DataLoader(torch.utils.data.Subset(_rows, range(1500, 1797)), batch_size=297)


class Siamese(nn.Module):
    """The logit that two images show the same digit."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 1)

    def forward(self, a, b):
        return self.head((self.embed(a) - self.embed(b)).abs())


def make_net():
    """Make the network, always with the same weights."""
    torch.manual_seed(0)
    return Siamese()
