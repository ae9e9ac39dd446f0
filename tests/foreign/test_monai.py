"""MONAI's U-Net with its loss and dict batches."""

import pytest
import torch
from support.foreign_case import ForeignCase
from torch.utils.data import Dataset

pytest.importorskip("monai")
from monai.data import DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import UNet


class Scans(Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        image = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(index))
        return {"image": image, "label": (image > 0.5).long()}


def criterion():
    return DiceCELoss(to_onehot_y=True, softmax=True)


@pytest.mark.filterwarnings("ignore:a batch is a dict")  # fit says once that 'label' is the target
class TestUNetOfMONAI(ForeignCase):
    compile_args = {"loss": criterion(), "memory_format": "contiguous"}
    save_warning = "DiceCELoss"
    needs_compile_to_predict = True

    def make(self):
        return UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,), num_res_units=1)

    def loader(self, shuffle):
        return DataLoader(Scans(), batch_size=4, shuffle=shuffle, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return criterion()(net(batch["image"]), batch["label"])

    def hand_outputs(self, net, batch):
        return net(batch["image"])

    def export_call(self, batch):
        return (batch["image"],), {}
