"""Detection models: a list of images and a list of dicts as a batch, and a list of dicts as the outputs."""

import numpy as np
import pytest
import torch
from support.detection import compiled, detector, loader
from support.foreign_case import evaluating
from torch import nn


def _by_hand(loader):
    """Train in plain torch; return the detector, and the means of its losses over the images."""
    net = detector()
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
    net, model = compiled()
    history = model.fit(loader(batch_size=batch_size), verbose=0).history
    expected, means = _by_hand(loader(batch_size=batch_size))
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), expected.parameters(), strict=True))
    assert history["loss_box"] == pytest.approx([means[0].item()], rel=1e-5)
    assert history["loss_size"] == pytest.approx([means[1].item()], rel=1e-5)
    assert history["loss"] == pytest.approx([means.sum().item()], rel=1e-5)


def test_images_and_targets_by_name_train_alike():
    def prepare(batch):
        return {"images": list(batch[0]), "targets": list(batch[1])}

    net, model = compiled(prepare_batch=prepare)
    model.fit(loader(batch_size=1), verbose=0)
    expected, _ = _by_hand(loader(batch_size=1))
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), expected.parameters(), strict=True))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_predict_gives_a_dict_for_each_image(batch_size):
    net, model = compiled()
    scenes = loader(batch_size=batch_size)
    found = model.predict(scenes, verbose=0)
    with evaluating(net):
        expected = [one for images, _ in scenes for one in net(list(images))]
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        assert set(one) == set(other)
        for name, value in other.items():
            np.testing.assert_allclose(one[name], value.numpy(), rtol=1e-6)
    batches = list(model.predict_iter(scenes))
    assert [len(batch) for batch in batches] == [len(images) for images, _ in scenes]


def test_targets_of_another_length_are_not_read_as_targets_of_the_images():
    from kerastorch.core.forward_inputs import ForwardInputs
    from kerastorch.data.sample_lists import read_sample_lists

    forward = ForwardInputs.of(detector().forward)
    image, target = torch.zeros(3, 8, 8), {"boxes": torch.zeros(1, 4)}
    assert read_sample_lists(([image], [target, target]), forward) is None
    assert read_sample_lists(([image], [target]), ForwardInputs.of(nn.Linear(2, 2).forward)) is None
