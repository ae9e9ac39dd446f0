"""A beta-VAE without sampling noise: the criterion takes all three outputs of the network."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 3
_x = torch.tensor(load_digits().data / 16, dtype=torch.float32)
_rows = TensorDataset(_x, _x)
train_loader = DataLoader(torch.utils.data.Subset(_rows, range(1500)), batch_size=50)
val_loader = DataLoader(torch.utils.data.Subset(_rows, range(1500, 1797)), batch_size=297)


class Autoencoder(nn.Module):
    """Return the reconstruction, the mean and the logarithm of the variance of the code."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(32, 8), nn.Linear(32, 8)
        self.decoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64))

    def forward(self, x):
        hidden = self.encoder(x)
        mean = self.mean(hidden)
        return self.decoder(mean), mean, self.log_variance(hidden)


def criterion(outputs, target):
    """Return the mean squared error plus the divergence of the code from a standard normal distribution."""
    reconstruction, mean, log_variance = outputs
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()
    return F.mse_loss(reconstruction, target) + 0.1 * divergence


def make_net():
    """Make the network, always with the same weights."""
    torch.manual_seed(0)
    return Autoencoder()
