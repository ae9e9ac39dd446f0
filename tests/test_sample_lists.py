"""Detection models: a list of images and a list of dicts as a batch, and a list of dicts as the outputs."""

import numpy as np
import pytest
import torch
from support.foreign_case import evaluating
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


def _loader(rows=5, batch_size=2):
    draws = torch.Generator().manual_seed(0)
    scenes = [
        (torch.rand(3, 8, 8 + index, generator=draws), {"boxes": torch.rand(1 + index, 4, generator=draws)})
        for index in range(rows)
    ]
    return DataLoader(scenes, batch_size=batch_size, collate_fn=lambda rows: tuple(zip(*rows, strict=True)))


def _detector():
    torch.manual_seed(0)
    return Detector()


def _compiled(**given):
    net = _detector()
    model = kt.Model(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    model.compile(optimizer, memory_format="contiguous", **{"loss": "model", **given})
    return net, model


def _by_hand(loader):
    """Train in plain torch; return the detector, and the means of its losses over the images."""
    net = _detector()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    means, count = torch.zeros(2), 0
    for images, targets in loader:
        losses = net(list(images), list(targets))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        means += len(images) * torch.stack(list(losses.values())).detach()
        count += len(images)
    return net, means / count


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_images_and_targets_train_as_in_a_loop(batch_size):
    net, model = _compiled()
    history = model.fit(_loader(batch_size=batch_size), verbose=0).history
    expected, means = _by_hand(_loader(batch_size=batch_size))
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), expected.parameters(), strict=True))
    assert history["loss_box"] == pytest.approx([means[0].item()], rel=1e-5)
    assert history["loss_size"] == pytest.approx([means[1].item()], rel=1e-5)
    assert history["loss"] == pytest.approx([means.sum().item()], rel=1e-5)


def test_images_and_targets_by_name_train_alike():
    def prepare(batch):
        return {"images": list(batch[0]), "targets": list(batch[1])}

    net, model = _compiled(prepare_batch=prepare)
    model.fit(_loader(batch_size=1), verbose=0)
    expected, _ = _by_hand(_loader(batch_size=1))
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), expected.parameters(), strict=True))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_predict_gives_a_dict_for_each_image(batch_size):
    net, model = _compiled()
    loader = _loader(batch_size=batch_size)
    found = model.predict(loader, verbose=0)
    with evaluating(net):
        expected = [one for images, _ in loader for one in net(list(images))]
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        assert set(one) == set(other)
        for name, value in other.items():
            np.testing.assert_allclose(one[name], value.numpy(), rtol=1e-6)
    batches = list(model.predict_iter(loader))
    assert [len(batch) for batch in batches] == [len(images) for images, _ in loader]


def test_targets_of_another_length_are_not_read_as_targets_of_the_images():
    from kerastorch.core.forward_inputs import ForwardInputs
    from kerastorch.data.sample_lists import read_sample_lists

    forward = ForwardInputs.of(_detector().forward)
    image, target = torch.zeros(3, 8, 8), {"boxes": torch.zeros(1, 4)}
    assert read_sample_lists(([image], [target, target]), forward) is None
    assert read_sample_lists(([image], [target]), ForwardInputs.of(nn.Linear(2, 2).forward)) is None
