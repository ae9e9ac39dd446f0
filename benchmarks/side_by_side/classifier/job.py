"""A classifier whose loader yields `(x, y)`, the case that every library is made for."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 3
_data = load_digits()
_x = torch.tensor(_data.data / 16, dtype=torch.float32)
_rows = TensorDataset(_x, torch.tensor(_data.target))
train_loader = DataLoader(torch.utils.data.Subset(_rows, range(1500)), batch_size=50)
val_loader = DataLoader(torch.utils.data.Subset(_rows, range(1500, 1797)), batch_size=297)


def make_net():
    """Make the network, always with the same weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
