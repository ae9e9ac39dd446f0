"""The third item of a batch is its weights; what is unlikely to be that is asked about, or refused in words."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import kerastorch as kt

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[3.0], [0.0], [1.0]])
INDEX = torch.arange(20)


class Rows(Dataset):
    def __init__(self, *parts):
        self.parts = parts

    def __len__(self):
        return len(self.parts[0])

    def __getitem__(self, index):
        return tuple(part[index] for part in self.parts)


class Stream(IterableDataset):
    def __init__(self, *parts):
        self.rows = Rows(*parts)

    def __iter__(self):
        return (self.rows[index] for index in range(len(self.rows)))


class Batches:
    def __init__(self, *parts):
        self.parts = parts

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.parts

    def on_epoch_end(self):
        pass


SOURCES = {
    "DataLoader": lambda *parts: DataLoader(Rows(*parts), batch_size=8),
    "Dataset": Rows,
    "TensorDataset": TensorDataset,
    "IterableDataset": Stream,
    "sequence": Batches,
    "function": lambda *parts: lambda: iter([parts]),
    "lists": lambda *parts: lambda: iter([tuple(part.tolist() for part in parts)]),
    "numpy": lambda *parts: lambda: iter([tuple(part.numpy() for part in parts)]),
}


def compiled(net=None):
    model = kt.Model(nn.Linear(3, 1) if net is None else net)
    model.compile("sgd", "mse")
    return model


def said(found):
    return [str(one.message) for one in found if "third item" in str(one.message)]


@pytest.mark.parametrize("kind", SOURCES)
def test_integers_in_third_place_are_asked_about_once(kind):
    model = compiled()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model.fit(SOURCES[kind](X, Y, INDEX), epochs=2, validation_data=SOURCES[kind](X, Y, INDEX), verbose=0)
    (sentence,) = said(found)
    assert "taken as sample weights" in sentence
    assert "(x, y)" in sentence
    assert "((a, b), y)" in sentence
    assert "make it float" in sentence
    with pytest.warns(UserWarning, match="third item"):
        model.evaluate(SOURCES[kind](X, Y, INDEX), verbose=0)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("weight", [INDEX / 20 + 0.1, INDEX > 3])
def test_floats_and_bools_in_third_place_weigh(kind, weight):
    if kind == "lists" and weight.dtype == torch.bool:
        weight = weight.float()
    net = nn.Linear(3, 1)
    wanted = ((net(X) - Y)[:, 0] ** 2 * weight).mean().item()
    assert compiled(net).evaluate(SOURCES[kind](X, Y, weight), verbose=0) == pytest.approx(wanted, rel=1e-5)


def test_validation_data_with_integers_in_third_place_is_asked_about():
    with pytest.warns(UserWarning, match="third item"):
        compiled().fit(X, Y, validation_data=(X, Y, INDEX), verbose=0)


def test_predict_takes_the_inputs_and_asks_about_nothing():
    net = nn.Linear(3, 1)
    names = [f"row {index}" for index in range(20)]
    for data in (*(make(X, Y, INDEX) for make in SOURCES.values()), DataLoader(Rows(X, Y, names), batch_size=8)):
        np.testing.assert_allclose(kt.Model(net).predict(data, verbose=0), net(X).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "names", [[f"row {index}" for index in range(20)], np.array([f"row {index}" for index in range(20)])]
)
def test_text_in_third_place_is_refused_in_words(names):
    for data in (DataLoader(Rows(X, Y, list(names)), batch_size=8), lambda: iter([(X, Y, names)])):
        for verb in (compiled().fit, compiled().evaluate):
            with pytest.raises(TypeError, match="third item of a batch holds text, and is taken as sample weights"):
                verb(data, verbose=0)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.img, self.tab = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, img, tab):
        return self.img(img) + self.tab(tab)


class TwoModel(kt.Model):
    def __init__(self):
        super().__init__()
        self.img, self.tab = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, img, tab):
        return self.img(img) + self.tab(tab)


@pytest.mark.parametrize("make", [lambda: kt.Model(Two()), TwoModel])
def test_a_forward_that_misses_an_input_says_how_to_give_it(make):
    model = make()
    model.compile("sgd", "mse")
    for verb in (model.fit, model.evaluate):
        with pytest.raises(
            ValueError, match=r"needs as inputs, and none is left for the target\. Yield \(\(img, tab\), y\)"
        ):
            verb(DataLoader(TensorDataset(X, X), batch_size=8), verbose=0)
    with pytest.raises(TypeError, match=r"'tab'.*Yield \(\(a, b\), y\)"):
        model.train_on_batch(X, Y)
    rows = [{"img": a, "tab": a, "path": b} for a, b in zip(X, Y, strict=True)]
    with pytest.raises(
        ValueError, match=r"'img', 'tab', 'path', and forward\(\) takes 'img', 'tab': 'path' is neither"
    ):
        model.fit(DataLoader(rows, batch_size=8), verbose=0)
    pairs = DataLoader([((a, a), b) for a, b in zip(X, Y, strict=True)], batch_size=8)
    model.fit(pairs, verbose=0)
