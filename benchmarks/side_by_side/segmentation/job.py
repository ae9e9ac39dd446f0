"""Segmentation with a loader that yields dicts, `{"image": ..., "mask": ...}`."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

EPOCHS = 3


class Discs(Dataset):
    """Noisy images of one disc each, with a mask of the disc."""

    def __init__(self, count, seed):
        draws = torch.Generator().manual_seed(seed)
        centres = torch.rand(count, 2, 1, 1, generator=draws) * 8 + 4
        rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
        self.masks = ((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < 12).long()
        self.images = self.masks[:, None] + 0.3 * torch.randn(count, 1, 16, 16, generator=draws)

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        return {"image": self.images[index], "mask": self.masks[index]}


train_data, val_data = Discs(160, seed=0), Discs(40, seed=1)
train_loader, val_loader = DataLoader(train_data, batch_size=20), DataLoader(val_data, batch_size=40)


def make_net():
    """Make the network, always with the same weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1))
