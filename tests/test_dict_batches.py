"""Batches that are dicts, and flat tuples of several inputs: they are read by the parameters of `forward`."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn
from torch.utils.data import DataLoader

import kerastorch as kt

X, Y = torch.randn(24, 5, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, image):
        return self.layer(image)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, left, right):
        return self.left(left) - self.right(right)


class WithLabels(Named):
    def forward(self, image, labels=None):
        outputs = self.layer(image)
        return outputs if labels is None else outputs + 0 * labels[:, None]


def make(net=Named, **options):
    torch.manual_seed(0)
    model = kt.Model(net() if isinstance(net, type) else net)
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy", **options)
    return model


def dicts(**columns):
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return DataLoader(rows, batch_size=8)


def hand_loop(net, inputs, epochs=2):
    torch.manual_seed(0)
    module = net()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(epochs):
        for start in range(0, 24, 8):
            rows = slice(start, start + 8)
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(*(one[rows] for one in inputs)), Y[rows]).backward()
            optimizer.step()
    return module


def assert_same(model, module):
    for one, other in zip(model.parameters(), module.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("key", ["label", "labels", "target", "targets", "mask", "y"])
def test_a_key_that_names_a_target_is_the_target_if_forward_takes_the_others(key):
    model, data = make(), dicts(image=X, **{key: Y})
    with pytest.warns(UserWarning, match=rf"a batch is a dict: '{key}' is taken as the target") as caught:
        model.fit(data, epochs=2, validation_data=data, verbose=0)
    assert len(caught) == 1
    model.evaluate(data, verbose=0)  # said once, and warnings are errors in the tests
    assert_same(model, hand_loop(Named, [X]))
    np.testing.assert_allclose(model.predict(data, verbose=0), model(X).detach(), rtol=1e-5)


def test_labels_that_forward_takes_are_an_input_and_the_target():
    model = make(WithLabels, metrics=["accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(dicts(image=X, labels=Y), epochs=2, verbose=0)
    assert_same(model, hand_loop(Named, [X]))


def test_a_mask_that_forward_takes_is_an_input_alone():
    class Masked(Named):
        def forward(self, image, mask):
            return self.layer(image * mask)

    mask = torch.ones(24, 1)
    mask[::2] = 0
    model = make(Masked)
    with pytest.warns(UserWarning, match="'label' is taken as the target, since forward"):
        model.fit(dicts(image=X, mask=mask, label=Y), epochs=2, verbose=0)
    assert_same(model, hand_loop(Masked, [X, mask]))


def test_a_training_on_dicts_resumed_within_an_epoch_ends_with_the_same_bits(tmp_path):
    def fit(callbacks):
        model = make(prepare_batch=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(dicts(image=X, label=Y), epochs=2, callbacks=callbacks, verbose=0)
        return model

    assert_same(*whole_and_resumed(fit, (1, 1), tmp_path))


@pytest.mark.parametrize(
    ("keys", "net", "line"),
    [
        (["image", "label", "file"], Named, r"\(batch\['image'\], batch\['label'\]\)"),
        (["image", "label", "mask"], Named, r"\(batch\['image'\], batch\['label'\]\)"),
        (["img", "left", "target"], Two, r"\(\(batch\['left'\], batch\['img'\]\), batch\['target'\]\)"),
        (["image", "kind"], Named, r"\(batch\['image'\], batch\['kind'\]\)"),
    ],
)
def test_other_keys_are_refused_with_the_line_to_write(keys, net, line):
    data = dicts(**{key: Y if key in ("label", "target", "kind") else X for key in keys})
    model = make(net)
    for verb in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=rf"keys {', '.join(map(repr, keys))}.*prepare_batch=lambda batch: {line}"):
            verb(data, verbose=0)


def test_whole_arrays_in_a_dict_are_read_by_the_same_names():
    model = make()
    with pytest.warns(UserWarning, match="'label' is taken as the target"):
        model.fit({"image": X, "label": Y}, epochs=2, shuffle=False, batch_size=8, verbose=0)
    assert_same(model, hand_loop(Named, [X]))
    np.testing.assert_allclose(model.predict({"image": X, "label": Y}, verbose=0), model(X).detach(), rtol=1e-5)


def test_a_step_of_the_users_own_gets_the_dict_as_it_is():
    seen = []

    class Own(kt.Model):
        def train_step(self, data):
            seen.append(sorted(data))
            loss = nn.functional.cross_entropy(self(data["image"]), data["label"])
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    torch.manual_seed(0)
    model = Own(Named())
    model.compile(kt.optimizers.SGD(0.1))
    model.fit(dicts(image=X, label=Y), epochs=2, verbose=0)
    assert seen == [["image", "label"]] * 6
    assert_same(model, hand_loop(Named, [X]))


def test_a_dataclass_whose_fields_are_inputs_is_read_by_name():
    @dataclasses.dataclass
    class Pictures:
        image: torch.Tensor
        label: torch.Tensor

    model = make()
    with pytest.warns(UserWarning, match="'label' is taken as the target"):
        model.fit([Pictures(X[at : at + 8], Y[at : at + 8]) for at in (0, 8, 16)], epochs=2, verbose=0)
    assert_same(model, hand_loop(Named, [X]))


def flat(*columns):
    return DataLoader(list(zip(*columns, strict=True)), batch_size=8)


def test_flat_batches_are_read_as_inputs_and_target_if_forward_requires_several():
    model = make(Two)
    with pytest.warns(UserWarning, match=r"forward\(left, right\) requires 2 inputs") as caught:
        model.fit(flat(X, X + 1, Y), epochs=2, verbose=0)
    assert len(caught) == 1
    model.evaluate(flat(X, X + 1, Y), verbose=0)
    assert_same(model, hand_loop(Two, [X, X + 1]))
    expected = model(X, X + 1).detach()
    for data in (flat(X, X + 1, Y), flat(X, X + 1)):
        np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-5)


def test_flat_batches_of_functional_models_are_read_too():
    a, b = kt.Input(shape=(5,), name="a"), kt.Input(shape=(5,), name="b")
    model = kt.Model([a, b], kt.layers.Dense(3)(kt.layers.Concatenate()([a, b])))
    model.compile("sgd", "cross_entropy")
    with pytest.warns(UserWarning, match=r"forward\(a, b\) requires 2 inputs"):
        model.fit(flat(X, X, Y), verbose=0)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(model([X, X]), Y).item()
    assert model.evaluate(flat(X, X, Y), verbose=0) == pytest.approx(expected, rel=1e-5)


def test_flat_batches_without_a_target_are_refused():
    with pytest.raises(
        ValueError, match=r"needs as inputs, and none is left for the target\. Yield \(\(left, right\), y\)"
    ):
        make(Two).fit(flat(X, X), verbose=0)


def test_an_optional_second_input_keeps_the_usual_reading():
    model = make(WithLabels)
    model.fit(flat(X, Y), epochs=2, verbose=0)
    assert_same(model, hand_loop(Named, [X]))
