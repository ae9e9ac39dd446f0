"""A detection model of the form of torchvision's, and batches of images and targets for it."""

import torch
from torch import nn
from torch.utils.data import DataLoader

import kerastorch as kt


class Detector(nn.Module):
    """A detector of the form of torchvision's: its losses in training mode, else a dict of boxes for each image."""

    def __init__(self, boxes=2):
        super().__init__()
        self.boxes = boxes
        self.features, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)

    def forward(self, images, targets=None):
        found = [self.head(self.features(image[None]).mean((2, 3)))[0] for image in images]
        if self.training:
            pairs = zip(found, targets, strict=True)
            near = sum((one - target["boxes"][0]).abs().mean() for one, target in pairs) / len(found)
            return {"loss_box": near, "loss_size": 0.1 * torch.stack(found).square().mean()}
        return [{"boxes": one.expand(self.boxes, 4), "scores": one[: self.boxes]} for one in found]


def loader(rows=5, batch_size=2):
    draws = torch.Generator().manual_seed(0)
    scenes = [
        (torch.rand(3, 8, 8 + index, generator=draws), {"boxes": torch.rand(1 + index, 4, generator=draws)})
        for index in range(rows)
    ]
    return DataLoader(scenes, batch_size=batch_size, collate_fn=lambda rows: tuple(zip(*rows, strict=True)))


def detector():
    torch.manual_seed(0)
    return Detector()


def compiled(**given):
    net = detector()
    model = kt.Model(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    model.compile(optimizer, memory_format="contiguous", **{"loss": "model", **given})
    return net, model
