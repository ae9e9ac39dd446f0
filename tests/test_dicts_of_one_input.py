"""Batches that are dicts of one input and one target, for a model whose parameter has another name."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import kerastorch as kt


def _rows(count=24):
    draws = torch.Generator().manual_seed(0)
    images = torch.randn(count, 1, 6, 6, generator=draws)
    return [{"image": image, "mask": (image[0] > 0).long()} for image in images]


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


def _compiled(net, **also):
    model = kt.Model(net)
    model.compile(torch.optim.SGD(net.parameters(), lr=0.1), "cross_entropy", memory_format="contiguous", **also)
    return model


def test_the_one_input_and_the_target_train_as_in_a_loop():
    net = _net()
    by_hand, loader = copy.deepcopy(net), DataLoader(_rows(), batch_size=8)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for _ in range(2):
        for batch in loader:
            optimizer.zero_grad()
            F.cross_entropy(by_hand(batch["image"]), batch["mask"]).backward()
            optimizer.step()
    model = _compiled(net)
    with pytest.warns(UserWarning, match="'image' is taken as the only input of forward.*'mask' as the target"):
        model.fit(loader, epochs=2, verbose=0)
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), by_hand.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:a batch is a dict")
def test_evaluate_and_predict_read_the_same_keys():
    net, rows = _net(), _rows()
    model, loader = _compiled(net), DataLoader(rows, batch_size=8)
    images, masks = (torch.stack([row[key] for row in rows]) for key in ("image", "mask"))
    with torch.no_grad():
        expected = net(images)
    assert model.evaluate(loader, verbose=0) == pytest.approx(F.cross_entropy(expected, masks).item(), rel=1e-6)
    torch.testing.assert_close(torch.as_tensor(model.predict(loader, verbose=0)), expected)


def test_further_keys_are_refused_with_the_line_to_write():
    rows = [row | {"path": 0} for row in _rows()]
    with pytest.raises(ValueError, match=r"'image', 'path' are neither.*batch\['image'\], batch\['mask'\]"):
        _compiled(_net()).fit(DataLoader(rows, batch_size=8), verbose=0)


def test_a_dict_without_a_target_is_refused():
    rows = [{"image": row["image"]} for row in _rows()]
    with pytest.raises(ValueError, match="'image' is neither an input nor the target"):
        _compiled(_net()).fit(DataLoader(rows, batch_size=8), verbose=0)


class Whole(nn.Module):
    """Takes the whole dict of a loader under one parameter."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 1)

    def forward(self, batch):
        return self.layer(batch["image"])


@pytest.mark.filterwarnings("ignore:a batch is a dict")
def test_a_forward_of_the_whole_dict_is_answered_with_the_line_to_write():
    rows, net = _rows(), Whole()
    loader, model = DataLoader(rows, batch_size=8), _compiled(net)
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(IndexError, match=r"prepare_batch=lambda batch: \(batch, batch\['label'\]\)"):
            method(loader, verbose=0)
    images, masks = (torch.stack([row[key] for row in rows]) for key in ("image", "mask"))
    expected = F.cross_entropy(net.layer(images), masks).item()
    model = _compiled(net, prepare_batch=lambda batch: (batch, batch["mask"]))
    assert model.evaluate(loader, verbose=0) == pytest.approx(expected, rel=1e-5)
