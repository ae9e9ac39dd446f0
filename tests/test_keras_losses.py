"""Losses beside those of Keras 3, whose numbers `keras_losses.py` has written down, and beside plain torch."""

import json

import keras_losses
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import losses
from tests.support.slow import mostly_slow

SAVED = json.loads(keras_losses.PATH.read_text())
INPUTS = keras_losses.inputs()


def _name(row):
    return f"{row[0]}-{row[2]}-{'-'.join(f'{key}={value}' for key, value in row[1].items())}"


@pytest.mark.parametrize("row", SAVED["classes"], ids=lambda row: f"{_name(row)}-{row[3]}-{'weights' * bool(row[4])}")
def test_a_class_has_the_value_and_the_gradient_of_keras(row):
    name, arguments, key, reduction, weights, wanted, gradient = row
    y, p = map(torch.tensor, INPUTS[key])
    p.requires_grad_()
    found = getattr(losses, name)(**arguments, reduction=reduction)(y, p, weights)
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=2e-5, atol=2e-6)
    found.sum().backward()
    torch.testing.assert_close(p.grad, torch.tensor(gradient), rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("row", SAVED["functions"], ids=_name)
def test_a_function_has_the_values_of_keras(row):
    name, arguments, key, wanted = row
    y, p = INPUTS[key]
    arguments = keras_losses.references(arguments, y, p)
    found = getattr(losses, name)(y, p, **arguments)
    assert isinstance(found, np.ndarray | np.float32)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


def test_the_saved_rows_are_those_of_the_script():
    assert {(row[0], json.dumps(row[1]), row[2]) for row in SAVED["classes"]} == {
        (name, json.dumps(arguments), key) for name, arguments, key in keras_losses.CASES
    }
    assert [row[:3] for row in SAVED["functions"]] == [list(row) for row in keras_losses.FUNCTIONS]


# gradients


def _double(key):
    y, p = map(torch.tensor, INPUTS[key])
    return (y.double() if y.is_floating_point() else y), p.double().requires_grad_()


@pytest.mark.parametrize(("name", "arguments", "key"), keras_losses.CASES, ids=lambda one: str(one))
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_gradient_is_that_of_finite_differences(name, arguments, key, reduction):
    if name == "Circle":
        arguments = {"gamma": 4.0, **arguments}
    y, p = _double(key)
    loss = getattr(losses, name)(**arguments, reduction=reduction)
    assert torch.autograd.gradcheck(lambda outputs: loss(y, outputs), (p,), eps=1e-6, atol=1e-6)


# alpha and gamma that make a focal loss the crossentropy


@pytest.mark.parametrize("from_logits", [False, True])
def test_focal_losses_without_focus_are_crossentropies(from_logits):
    z = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    y = (z[:, [1, 2, 0]] > 0).float()
    p = z if from_logits else z.sigmoid()
    loss = losses.BinaryFocalCrossentropy(gamma=0, from_logits=from_logits)
    torch.testing.assert_close(loss(y, p), F.binary_cross_entropy_with_logits(z, y))
    labels = torch.arange(7) % 3
    p = z if from_logits else z.softmax(1)
    loss = losses.CategoricalFocalCrossentropy(1, 0, from_logits=from_logits)
    torch.testing.assert_close(loss(F.one_hot(labels, 3), p), F.cross_entropy(z, labels))


def test_the_generalized_crossentropy_lies_between_crossentropy_and_absolute_error():
    y, p = INPUTS["classes"]
    of_class = p[np.arange(6), y]
    near = losses.categorical_generalized_cross_entropy(y, p, 1e-4)
    np.testing.assert_allclose(near, -np.log(of_class), rtol=1e-3)
    far = losses.categorical_generalized_cross_entropy(y, p, 1 - 1e-6)
    np.testing.assert_allclose(far, 1 - of_class, rtol=1e-4)


def test_a_column_of_class_numbers_is_no_matrix_of_pairs():
    y, p = INPUTS["classes"]
    found = losses.CategoricalGeneralizedCrossEntropy(0.5, None)(y[:, None], p)
    np.testing.assert_allclose(found, 2 * (1 - np.sqrt(p[np.arange(6), y])), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("from_logits", [False, True])
def test_gradients_are_finite_where_an_answer_is_certain(gamma, from_logits):
    outputs = torch.tensor([[-200.0, 200.0], [200.0, -200.0]]) if from_logits else torch.eye(2)
    y = torch.eye(2)
    for loss in (
        losses.BinaryFocalCrossentropy(gamma=gamma, from_logits=from_logits),
        losses.CategoricalFocalCrossentropy(gamma=gamma, from_logits=from_logits),
        losses.CategoricalGeneralizedCrossEntropy(),
    ):
        if isinstance(loss, losses.CategoricalGeneralizedCrossEntropy):
            loss = loss.on_logits() if from_logits else loss
            targets = torch.tensor([0, 1])
        else:
            targets = y
        for p in (outputs, outputs.flip(0)):
            p = p.clone().requires_grad_()
            value = loss(targets, p)
            value.backward()
            assert torch.isfinite(value)
            assert torch.isfinite(p.grad).all()


def test_a_focal_loss_on_logits_does_not_round_small_factors_to_zero():
    z = torch.tensor([[20.0], [-20.0], [30.0]])
    y = torch.tensor([[1.0], [0.0], [1.0]])
    right = torch.where(y == 1, z, -z).double()
    wanted = (torch.sigmoid(-right) ** 0.5 * F.softplus(-right)).mean(1)
    loss = losses.BinaryFocalCrossentropy(gamma=0.5, from_logits=True, reduction=None)
    torch.testing.assert_close(loss(y, z).double()[::2], wanted[::2], rtol=1e-4, atol=0)
    wide = torch.cat([torch.zeros(3, 1), z], 1)
    loss = losses.CategoricalFocalCrossentropy(1.0, 0.5, from_logits=True, reduction=None)
    found = loss(torch.cat([1 - y, y], 1), wide.double())
    torch.testing.assert_close(found[:2], wanted[:2], rtol=1e-4, atol=0)  # float64 rounds the third


# fusion of the last activation


LOGITS = torch.tensor([[40.0], [-40.0], [2.0], [-1.0]])
ANSWERS = torch.tensor([[0.0], [1.0], [1.0], [0.0]])


@pytest.mark.parametrize("jit", [False, True])
def test_a_sigmoid_is_fused_with_the_binary_focal_loss(jit):
    model = kt.Sequential([kt.layers.Dense(1, "sigmoid", kernel_initializer="ones")])
    model.compile(kt.optimizers.SGD(1.0), "binary_focal_crossentropy", jit_compile=jit)
    model.fit(LOGITS, ANSWERS, epochs=1, batch_size=4, shuffle=False, verbose=0)
    weight = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    z = LOGITS.double() @ weight
    right = torch.where(ANSWERS == 1, z, -z)  # the logit of the right answer
    (torch.sigmoid(-right) ** 2 * F.softplus(-right)).mean().backward()
    assert float(weight.grad) == pytest.approx(20 - 0.07, abs=0.1)  # (40 + 40) / 4 of the first two rows
    torch.testing.assert_close(model.get_weights()[0], (1 - weight.grad).detach().float().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["categorical_focal_crossentropy", "categorical_generalized_cross_entropy"])
def test_a_softmax_is_fused_with_losses_of_classes(name):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softmax(1))
    x, labels = 60 * torch.randn(16, 3), torch.arange(16) % 4
    y = F.one_hot(labels, 4).float() if "focal" in name else labels
    model = kt.Model(net)
    model.compile("sgd", name)
    log_p = net[0](x).double().log_softmax(1)[torch.arange(16), labels].detach()
    assert log_p.min() < -60  # a probability of 0 in 16 of its digits
    focal = (0.25 * (1 - log_p.exp()) ** 2 * -log_p).mean()
    wanted = focal if "focal" in name else (2 * (1 - (log_p / 2).exp())).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(float(wanted), rel=1e-4)


# Dice and Tversky


IMAGES = torch.randint(0, 2, (10, 1, 6, 6), generator=torch.Generator().manual_seed(1)).float()
SCORES = torch.randn(10, 1, 6, 6, generator=torch.Generator().manual_seed(2))


def _dice(y, p, axes=None):
    axes = tuple(range(y.ndim)) if axes is None else axes
    return 1 - 2 * (y * p).sum(axes) / (y.sum(axes) + p.sum(axes) + 1e-7)


def test_a_perfect_overlap_costs_nothing_and_none_costs_one():
    y = IMAGES.numpy()
    for loss in (losses.Dice(), losses.Tversky(0.3, 0.7)):
        assert loss(y, y) == pytest.approx(0, abs=1e-6)
        assert loss(y, 1 - y) == pytest.approx(1)


def test_dice_trains_a_model_as_a_loop_does():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Sigmoid())
    model = kt.Model(net)
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    for _ in range(3):
        optimizer.zero_grad()
        _dice(IMAGES, net(SCORES)).backward()
        optimizer.step()
    wanted = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(start)
    model.compile(torch.optim.SGD(net.parameters(), 0.5), "dice")
    model.fit(SCORES, IMAGES, batch_size=10, epochs=3, shuffle=False, verbose=0)
    torch.testing.assert_close(net.state_dict(), wanted)


@pytest.mark.parametrize("loss", [losses.Dice(), losses.Tversky(0.5, 0.5)], ids=["dice", "tversky"])
def test_evaluate_is_the_mean_over_batches_for_sums_over_the_batch(loss):
    model = kt.Model(torch.nn.Sigmoid())
    model.compile("sgd", loss)
    parts = [(IMAGES[:4], SCORES[:4]), (IMAGES[4:8], SCORES[4:8]), (IMAGES[8:], SCORES[8:])]
    wanted = sum(len(y) * float(_dice(y, z.sigmoid())) for y, z in parts) / 10
    assert model.evaluate(SCORES, IMAGES, batch_size=4, verbose=0) == pytest.approx(wanted, rel=1e-5)
    assert not loss.is_mean_over_rows()


@pytest.mark.parametrize("batch_size", [1, 3, 10, None])
def test_a_value_for_each_image_gives_the_same_mean_for_every_batch_size(batch_size):
    loss = losses.Dice(axis=(1, 2, 3))
    model = kt.Model(torch.nn.Sigmoid())
    model.compile("sgd", loss)
    wanted = float(_dice(IMAGES, SCORES.sigmoid(), (1, 2, 3)).mean())
    assert model.evaluate(SCORES, IMAGES, batch_size=batch_size, verbose=0) == pytest.approx(wanted, rel=1e-5)
    assert loss.is_mean_over_rows()


@pytest.mark.parametrize("axis", [0, (0, 2, 3), -4, (-4, -1)])
def test_a_sum_over_the_batch_is_no_mean_over_rows_whichever_axes_remain(axis):
    loss = losses.Dice(axis=axis)
    found = loss(IMAGES, SCORES.sigmoid())
    axes = (axis,) if isinstance(axis, int) else axis
    torch.testing.assert_close(found, _dice(IMAGES, SCORES.sigmoid(), axes).mean())
    assert not loss.is_mean_over_rows()
    if 0 in axes:
        with pytest.raises(ValueError, match="has no value for each sample, which sample weights need"):
            loss(IMAGES, SCORES.sigmoid(), torch.ones(10))


def test_weights_of_samples_multiply_the_value_of_each_image():
    weights = np.linspace(0, 2, 10)
    found = losses.Dice(axis=(1, 2, 3))(IMAGES, SCORES.sigmoid(), weights)
    wanted = (torch.tensor(weights) * _dice(IMAGES, SCORES.sigmoid(), (1, 2, 3))).mean()
    torch.testing.assert_close(found.double(), wanted)


def test_one_value_for_the_batch_takes_no_mask_and_no_weight_of_an_element():
    with pytest.raises(ValueError, match=r"dice with axis=None is one value for the whole batch.*\(10, 1, 6, 6\)"):
        losses.Dice()(IMAGES, SCORES.sigmoid(), torch.ones(10, 1, 6, 6))


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_outputs_and_targets_of_an_overlap_are_probabilities(name):
    model = kt.Model(torch.nn.Identity())
    model.compile("sgd", name)
    with pytest.raises(ValueError, match=f"{name} expects probabilities, .* End the model in a sigmoid or softmax"):
        model.evaluate(SCORES, IMAGES, verbose=0)
    with pytest.raises(ValueError, match=rf"{name} needs targets in \[0, 1\]; found 2"):
        model.evaluate(SCORES.sigmoid(), IMAGES * 2, verbose=0)


def test_class_numbers_of_an_overlap_are_to_be_one_hot():
    with pytest.raises(ValueError, match=r"dice compares each output with a target.*to_categorical"):
        losses.Dice()(torch.zeros(2, 5, 5, dtype=torch.int64), torch.rand(2, 3, 5, 5))


def test_a_mask_without_the_channel_fits_one_channel():
    found = losses.Dice()(IMAGES[:, 0], SCORES.sigmoid())
    torch.testing.assert_close(found, _dice(IMAGES, SCORES.sigmoid()))


# Circle


def _circle(y, p, gamma=80.0, margin=0.4):
    values = []
    for i in range(len(y)):
        distances = [max(1 - float(p[i] @ p[j]), 0.0) for j in range(len(y))]
        same = [d for j, d in enumerate(distances) if y[j] == y[i] and j != i]
        other = [d for j, d in enumerate(distances) if y[j] != y[i]]
        if not same or not other:
            values.append(0.0)
            continue
        positive = np.log(sum(np.exp(gamma * (margin + d) * (d - margin)) for d in same))
        negative = np.log(sum(np.exp(gamma * max(1 + margin - e, 0) * (1 - margin - e)) for e in other))
        values.append(np.logaddexp(0, positive + negative))
    return np.array(values)


def test_circle_is_its_formula_for_each_pair():
    y, p = INPUTS["embeddings"]
    np.testing.assert_allclose(losses.circle(y, p, gamma=6.0), _circle(y, p.astype(float), 6.0), rtol=1e-4)
    values = losses.Circle(reduction=None)(y, p)
    np.testing.assert_allclose(values, _circle(y, p.astype(float)), rtol=1e-3, atol=1e-5)
    assert values[4] == 0  # the only sample of its class
    assert losses.Circle()(y, p) == pytest.approx(values[values > 0].mean(), rel=1e-5)


def test_circle_with_a_single_class_costs_nothing_and_has_no_gradient():
    for y in ([0, 0, 0], [0, 1, 2]):
        p = torch.eye(3).requires_grad_()
        loss = losses.Circle()(y, p)
        loss.backward()
        assert loss == 0
        assert torch.equal(p.grad, torch.zeros(3, 3))


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("kind", [torch.int64, torch.float32, torch.uint8])
def test_circle_learns_to_part_two_classes(column, kind):
    torch.manual_seed(0)
    x = torch.randn(40, 4)
    labels = (x[:, 0] * x[:, 1] > 0).to(kind)
    model = kt.Sequential([kt.layers.Dense(16, "relu"), kt.layers.Dense(3), kt.layers.UnitNormalization()])
    model.compile(kt.optimizers.Adam(0.01), losses.Circle(gamma=10.0))
    history = model.fit(x, labels[:, None] if column else labels, batch_size=40, epochs=60, verbose=0)
    assert history["loss"][-1] < 0.3 * history["loss"][0]


def test_circle_asks_for_embeddings_of_length_one():
    model = kt.Sequential([kt.layers.Dense(3)])
    model.compile("sgd", "circle")
    with pytest.raises(ValueError, match=r"circle compares directions: .*End the model in UnitNormalization"):
        model.fit(torch.randn(8, 4), torch.arange(8) % 2, verbose=0)
    with pytest.raises(ValueError, match=r"circle: y has shape \(8, 3\) .*one class number for each sample"):
        losses.Circle()(torch.ones(8, 3), torch.ones(8, 3))
    with pytest.raises(ValueError, match=r"circle compares embeddings of shape \(batch, features\), got .*\(8, 3, 2\)"):
        losses.Circle()(torch.ones(8), torch.ones(8, 3, 2))


# CTC


def _paths(labels, log_p):
    """Add up the probabilities of all paths that spell the labels."""
    steps, classes = log_p.shape
    total = 0.0
    for path in np.ndindex(*[classes] * steps):
        spelled = [one for i, one in enumerate(path) if one and (i == 0 or path[i - 1] != one)]
        if spelled == list(labels):
            total += np.exp(sum(log_p[i, one] for i, one in enumerate(path)))
    return -np.log(total)


def test_ctc_adds_up_all_paths():
    z = torch.randn(3, 4, 3, generator=torch.Generator().manual_seed(0))
    y = np.array([[1, 2, 0], [2, 2, 0], [1, 0, 0]])
    wanted = [_paths([one for one in row if one], z[i].double().log_softmax(-1).numpy()) for i, row in enumerate(y)]
    np.testing.assert_allclose(losses.ctc(y, z.numpy()), wanted, rtol=1e-5)


def test_ctc_trains_a_model_as_a_loop_does():
    torch.manual_seed(0)
    net = torch.nn.Linear(5, 4)
    x = torch.randn(6, 8, 5)
    y = torch.tensor(INPUTS["labels"][0])
    model = kt.Model(net)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        log_p = net(x).log_softmax(2).transpose(0, 1)
        values = F.ctc_loss(log_p, y, torch.full((6,), 8), (y > 0).sum(1), reduction="none")
        values.mean().backward()
        optimizer.step()
    wanted = {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(start)
    model.compile(torch.optim.SGD(net.parameters(), 0.1), "ctc")
    model.fit(x, y.float(), batch_size=6, epochs=3, shuffle=False, verbose=0)
    torch.testing.assert_close(net.state_dict(), wanted)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[1, 0, 2]], r"y\[0\] has a 0 before a label"),
        ([[1, 2, 0], [0, 1, 0]], r"y\[1\] has a 0 before a label"),
        ([[1, 4, 0]], r"the model has 4 outputs"),
        ([[1, 2, 0], [2, 2, 1]], r"the 3 labels of y\[1\] need 4 time steps .*; the model outputs 3"),
        ([1, 2], r"ctc takes labels of shape \(batch, labels\)"),
        ([[1.5, 2, 0]], "whole class numbers"),
    ],
)
def test_labels_that_ctc_cannot_align_are_refused(y, message):
    model = kt.Model(torch.nn.Identity())
    model.compile("sgd", "ctc")
    with pytest.raises(ValueError, match=message):
        model.evaluate(torch.randn(len(y), 3, 4), torch.tensor(y), verbose=0)


def test_ctc_after_a_softmax_is_refused():
    model = kt.Sequential([kt.layers.Dense(4, "softmax")])
    model.compile("sgd", "ctc")
    with pytest.raises(ValueError, match=r"ends in Softmax but loss 'ctc' expects logits. Remove the Softmax\.$"):
        model.fit(torch.randn(2, 5, 3), torch.ones(2, 1, dtype=torch.int64), verbose=0)


def test_ctc_takes_no_mask_of_time_steps():
    model = kt.Sequential([kt.layers.Masking(), kt.layers.Dense(4)])
    model.compile("sgd", "ctc")
    with pytest.raises(ValueError, match=r"ctc counts all time steps: .*Leave out the layer that makes the mask"):
        model.fit(torch.randn(2, 5, 3), torch.ones(2, 1, dtype=torch.int64), verbose=0)


# names, files, metrics

EVERY = {
    "binary_focal_crossentropy": (
        losses.BinaryFocalCrossentropy(True, 0.3, 1.5), "sigmoid", lambda n: torch.rand(n, 3) > 0.5,
    ),
    "categorical_focal_crossentropy": (
        losses.CategoricalFocalCrossentropy([0.1, 0.2, 0.3]), "softmax", lambda n: F.one_hot(torch.arange(n) % 3, 3),
    ),
    "categorical_generalized_cross_entropy": (
        losses.CategoricalGeneralizedCrossEntropy(0.7), "softmax", lambda n: torch.arange(n) % 3,
    ),
    "dice": (losses.Dice(axis=1), "sigmoid", lambda n: torch.rand(n, 3) > 0.5),
    "tversky": (losses.Tversky(0.2, 0.8), "sigmoid", lambda n: torch.rand(n, 3) > 0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_a_name_an_instance_and_a_function_train_alike_and_are_saved(name, tmp_path):
    instance, activation, targets = EVERY[name]
    torch.manual_seed(1)
    x, y = torch.randn(12, 5), targets(12)
    found = []
    for loss in (name, getattr(losses, name), type(losses.get(name))()):
        kt.utils.set_random_seed(0)
        model = kt.Sequential([kt.layers.Dense(3, activation)])
        model.compile("sgd", loss)
        found.append(model.fit(x, y, epochs=2, verbose=0).history["loss"])
    assert found[0] == found[1] == found[2]
    model.compile("sgd", instance)
    model.fit(x, y, verbose=0, class_weight=None, sample_weight=torch.linspace(0, 1, 12))
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    config = instance.get_config()
    again = type(instance).from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config


@pytest.mark.parametrize("name", mostly_slow(EVERY, "dice"))
def test_a_compiled_step_is_the_eager_one(name):
    instance, activation, targets = EVERY[name]
    torch.manual_seed(1)
    x, y = torch.randn(64, 5), targets(64)
    found = []
    for jit in (False, True):
        kt.utils.set_random_seed(0)
        model = kt.Sequential([kt.Input((5,)), kt.layers.Dense(3, activation)])
        model.compile("sgd", instance, jit_compile=jit)
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        model.fit(x, y, batch_size=16, epochs=1, verbose=0)
        found.append(np.concatenate([part.ravel() for part in model.get_weights()]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_wrong_spellings_are_answered():
    for wrong, right in {
        "focal": "binary_focal_crossentropy", "dice_loss": "'dice'", "ctc_loss": "'ctc'", "CTCLoss": "'ctc'",
        "binary_focal": "binary_focal_crossentropy", "gce": "categorical_generalized_cross_entropy",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=right):
            losses.get(wrong)


def test_factors_of_another_number_of_classes_are_refused():
    model = kt.Sequential([kt.layers.Dense(3, "softmax")])
    model.compile("sgd", losses.CategoricalFocalCrossentropy(alpha=[0.5, 0.5]))
    with pytest.raises(ValueError, match="alpha has 2 factors, but the model outputs 3 classes"):
        model.fit(torch.randn(6, 2), torch.eye(3)[torch.arange(6) % 3], verbose=0)


@pytest.mark.parametrize(
    ("name", "y"),
    [
        ("categorical_focal_crossentropy", lambda labels: F.one_hot(labels, 3).permute(0, 3, 1, 2)),
        ("categorical_generalized_cross_entropy", lambda labels: labels),
        ("categorical_generalized_cross_entropy", lambda labels: labels[:, None].float()),
    ],
)
def test_images_have_their_classes_on_the_channels(name, y):
    torch.manual_seed(0)
    net = torch.nn.Conv2d(2, 3, 1)
    labels = torch.randint(0, 3, (5, 4, 6))
    x = torch.randn(5, 2, 4, 6)
    model = kt.Model(torch.nn.Sequential(net, torch.nn.Softmax(1)))
    model.compile("sgd", name, metrics=["accuracy"])
    found = model.evaluate(x, y(labels), verbose=0)
    p = net(x).detach().softmax(1).gather(1, labels[:, None])
    wanted = 0.25 * (1 - p) ** 2 * -p.log() if "focal" in name else 2 * (1 - p.sqrt())
    accuracy = (net(x).argmax(1) == labels).float().mean()
    assert found == pytest.approx([float(wanted.mean()), float(accuracy)], rel=1e-5)


class Probabilities(torch.nn.Module):
    def forward(self, x):
        return torch.special.expit(x)


def test_metrics_by_name_know_the_outputs_of_these_losses():
    torch.manual_seed(0)
    z, y = torch.randn(40, 1), (torch.rand(40, 1) > 0.5).float()
    right = float(((z > 0) == (y > 0)).float().mean())
    for loss, module in (
        (losses.BinaryFocalCrossentropy(from_logits=True), torch.nn.Identity()),
        (losses.BinaryFocalCrossentropy(), torch.nn.Sigmoid()),
        (losses.Dice(), torch.nn.Sigmoid()),
        (losses.Dice(), Probabilities()),
        (losses.Tversky(), Probabilities()),
    ):
        model = kt.Model(module)
        model.compile("sgd", loss, metrics=["accuracy"])
        assert model.evaluate(z, y, verbose=0)[1] == pytest.approx(right)


@pytest.mark.parametrize("metric", ["accuracy", "auc"])
def test_classes_are_not_compared_with_embeddings_or_alignments(metric):
    model = kt.Sequential([kt.layers.Dense(4), kt.layers.UnitNormalization()])
    model.compile("sgd", "circle", metrics=[metric])
    with pytest.raises(ValueError, match="classification metrics do not fit loss 'circle'"):
        model.fit(torch.randn(8, 3), torch.arange(8) % 2, verbose=0)
    model = kt.Sequential([kt.layers.Dense(4)])
    model.compile("sgd", "ctc", metrics=[metric])
    with pytest.raises(ValueError, match="classification metrics do not fit loss 'ctc'"):
        model.fit(torch.randn(2, 5, 3), torch.ones(2, 1, dtype=torch.int64), verbose=0)


def test_metrics_of_ones_own_and_means_of_losses_stand_beside_ctc():
    def shortest(y_true, y_pred):
        return (y_true > 0).sum(1).min().float()

    model = kt.Model(torch.nn.Identity())
    model.compile("sgd", "ctc", metrics=[shortest, losses.CTC(name="again")])
    y, z = map(torch.tensor, INPUTS["labels"])
    loss, least, again = model.evaluate(z, y, verbose=0)
    assert least == 1
    assert again == pytest.approx(loss)
