"""Normalization: what it keeps, what opens it, when it rests, and what it refuses."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import Input, Model, Sequential, layers
from kerastorch.layers import (
    BatchNormalization,
    Dense,
    Embedding,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)


def _x(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- batch normalization: the running numbers --------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.99, 0.5, 0.0, 1.0])
def test_the_running_numbers_follow_the_batch_with_the_divisor_n(momentum):
    layer = BatchNormalization(axis=1, momentum=momentum)
    mean, var = np.zeros(3), np.ones(3)
    for seed in range(4):
        x = 2 + 3 * _x(5, 3, 4, seed=seed)
        layer(x)
        rows = x.double().numpy()
        mean = momentum * mean + (1 - momentum) * rows.mean((0, 2))
        var = momentum * var + (1 - momentum) * rows.var((0, 2))
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-5)


def test_torch_differs_by_its_divisor_alone():
    ours, torchs = BatchNormalization(momentum=0.9, epsilon=1e-5), nn.BatchNorm2d(3)
    x = _x(4, 3, 5, 5)
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    n = 4 * 25
    torch.testing.assert_close(ours.running_var - 0.9, (torchs.running_var - 0.9) * (n - 1) / n)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4), (5, 3, 4, 4), (5, 3, 2, 2, 2)])
def test_state_dicts_go_between_it_and_torchs_both_ways(shape):
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)]
    theirs, ours = kind(3, eps=1e-3), BatchNormalization(axis=1)
    for _ in range(2):
        theirs(_x(*shape))
    nn.init.normal_(theirs.weight)
    ours(torch.zeros(shape))
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.eval()(_x(*shape)), theirs.eval()(_x(*shape)))
    fresh = kind(3, eps=1e-3)
    fresh.load_state_dict(dict(ours.state_dict()))  # as from a file, which has no versions in it
    torch.testing.assert_close(fresh.eval()(_x(*shape)), theirs(_x(*shape)))


def test_two_calls_before_one_backward_pass_work():
    layer, reference = BatchNormalization(epsilon=1e-5), nn.BatchNorm1d(3)
    x = _x(6, 3).requires_grad_()
    layer(x)
    y = (layer(x) * layer(2 * x)).sum()
    z = (reference(x) * reference(2 * x)).sum()
    torch.testing.assert_close(*(torch.autograd.grad(one, x)[0] for one in (y, z)), rtol=1e-4, atol=1e-4)


def test_evaluation_changes_no_running_number():
    layer = BatchNormalization()
    layer(_x(5, 3))
    before = copy.deepcopy(layer.state_dict())
    layer.eval()(_x(5, 3))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_images_may_lie_channels_last_in_memory():
    layer = BatchNormalization()
    x = _x(4, 3, 5, 5)
    y = layer(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(y, BatchNormalization()(x))
    assert y.is_contiguous(memory_format=torch.channels_last)


# --- batch normalization: masks ----------------------------------------------------------------------------------


def test_what_is_masked_counts_for_nothing():
    x, mask = _x(4, 6, 3), torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) > 0.4
    layer, rows = BatchNormalization(axis=-1), BatchNormalization()
    y = layer(x.where(mask.unsqueeze(-1), 1e6), mask=mask)
    torch.testing.assert_close(y[mask], rows(x[mask]))
    torch.testing.assert_close(layer.running_mean, rows.running_mean)
    torch.testing.assert_close(layer.running_var, rows.running_var)
    torch.testing.assert_close(layer.eval()(x, mask=mask), rows.eval()(x.flatten(0, 1)).view_as(x))


def test_a_functional_model_hands_it_the_mask():
    inputs = Input((5,), dtype="int64")
    layer = BatchNormalization(axis=-1)
    model = Model(inputs, layer(Embedding(4, 3, "random_normal", mask_zero=True)(inputs)))
    ids = torch.tensor([[1, 2, 0, 0, 0], [3, 1, 2, 0, 0]])
    y = model.train()(ids)
    torch.testing.assert_close(y[ids > 0].mean(0), torch.zeros(3), atol=1e-6, rtol=0)


def test_a_mask_of_time_steps_with_channels_elsewhere_is_refused():
    with pytest.raises(ValueError, match="axis=-1"):
        BatchNormalization(axis=1)(_x(4, 6, 3), mask=torch.ones(4, 6, dtype=torch.bool))


# --- batch normalization: where training looks for it -------------------------------------------------------------


def _model(norm):
    kt.utils.set_random_seed(0)
    model = Sequential([Input((4,)), Dense(3), norm, Dense(2)])
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy")
    return model


def _data(rows=40):
    return _x(rows, 4), torch.arange(rows) % 2


def test_frozen_it_rests_in_training():
    model = _model(BatchNormalization())
    x, y = _data()
    model.fit(x, y, verbose=0)
    norm = model.layers[1]
    norm.trainable = False
    before = copy.deepcopy(norm.state_dict())
    seen = []
    handle = norm.register_forward_hook(lambda module, args, output: seen.append((args[0].detach(), output.detach())))
    model.fit(x, y, verbose=0)
    handle.remove()
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    given, made = seen[0]
    torch.testing.assert_close(made, copy.deepcopy(norm).eval()(given))
    norm.trainable = True
    model.fit(x, y, verbose=0)
    assert not torch.equal(norm.running_mean, before["running_mean"])


def test_a_last_batch_of_one_is_refused_before_training():
    x, y = _data()
    model = _model(BatchNormalization())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="batch_size=13 leaves a batch of 1, which BatchNormalization cannot"):
        model.fit(x, y, batch_size=13, verbose=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.layers[1].trainable = False
    model.fit(x, y, batch_size=13, verbose=0)  # at rest it can


def test_a_batch_of_one_image_is_none_of_that():
    model = Sequential([Input((3, 4, 4)), BatchNormalization(), nn.Flatten(), Dense(2)])
    model.compile("sgd", "cross_entropy")
    model.fit(_x(5, 3, 4, 4), torch.arange(5) % 2, batch_size=4, verbose=0)


def test_one_value_a_channel_is_refused_by_the_layer_too():
    with pytest.raises(ValueError, match=r"one value a channel, an input of shape \(1, 3\)"):
        BatchNormalization()(_x(1, 3))
    BatchNormalization().eval()(_x(1, 3))


@pytest.mark.slow  # test_layer_table.py compiles it, for one step
@pytest.mark.parametrize("axis", [1, -1])
def test_compiled_training_is_eager_training(axis):
    found = []
    x = _x(160, 6, 4) if axis == -1 else _x(160, 4)
    for jit in (False, True):
        kt.utils.set_random_seed(0)
        model = Sequential([Dense(5), BatchNormalization(axis), nn.Flatten(), Dense(2)])
        model(x[:2])
        model.compile(kt.optimizers.SGD(0.1), "cross_entropy", jit_compile=jit)
        model.trainer.register_listener(found.append)
        model.fit(x, torch.arange(160) % 2, epochs=2, verbose=0, shuffle=False)
        found.append(model.state_dict())
    assert any(isinstance(said, str) and "compiled the training step in" in said for said in found)
    eager, compiled = (one for one in found if not isinstance(one, str))
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-5)


def test_images_before_it_go_in_channels_last():
    pytest.importorskip("torch.backends.mkldnn")
    formats = []
    conv = nn.Conv2d(3, 8, 3)
    model = Sequential([conv, BatchNormalization(), nn.ReLU(), nn.Flatten(), Dense(2)])
    model(_x(2, 3, 12, 12))
    model.compile("sgd", "cross_entropy")

    def seen(x):
        formats.append(x.is_contiguous(memory_format=torch.channels_last))
        return x

    model.layers[2].forward = lambda x: torch.relu(seen(x))
    model.fit(_x(32, 3, 12, 12), torch.arange(32) % 2, verbose=0, epochs=1)
    assert formats[-1] or not torch.backends.mkldnn.is_available()


# --- the others --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (lambda: LayerNormalization(epsilon=1e-5), lambda: nn.LayerNorm(4)),
        (lambda: LayerNormalization((1, 2), epsilon=1e-5), lambda: nn.LayerNorm((6, 4))),
        (lambda: LayerNormalization(epsilon=1e-5, center=False), lambda: nn.LayerNorm(4, bias=False)),
        (lambda: GroupNormalization(3, axis=1, epsilon=1e-5), lambda: nn.GroupNorm(3, 6)),
        (lambda: RMSNormalization(epsilon=1e-5), lambda: nn.RMSNorm(4, eps=1e-5)),
    ],
)
def test_state_dicts_of_torchs_modules_fit(ours, torchs):
    layer, module, x = ours(), torchs(), _x(5, 6, 4)
    for weight in module.parameters():
        nn.init.normal_(weight)
    layer(x)
    layer.load_state_dict(module.state_dict())
    torch.testing.assert_close(layer(x), module(x), rtol=0, atol=0)


def test_zeros_have_no_direction_and_stay_zeros():
    assert torch.equal(UnitNormalization()(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_penalties_and_constraints_are_on_weight_and_bias():
    layer = BatchNormalization(
        gamma_regularizer="l2", beta_regularizer="l1", gamma_constraint="non_neg", beta_constraint="unit_norm"
    )
    layer(_x(5, 3))
    assert set(layer.weight_regularizers) == set(layer.weight_constraints) == {"weight", "bias"}
    assert isinstance(layer.weight_regularizers["weight"], kt.regularizers.L2)


@pytest.mark.parametrize(
    "layer",
    [BatchNormalization(-1), LayerNormalization(), GroupNormalization(1, -1), RMSNormalization(), UnitNormalization()],
)
def test_masks_pass_through(layer):
    mask = torch.tensor([[True, False]])
    assert layer.compute_mask(_x(1, 2, 3), mask) is mask


@pytest.mark.parametrize(
    ("make", "shape", "sentence"),
    [
        (lambda: BatchNormalization(axis=0), None, "axis must be an integer that is not 0"),
        (lambda: BatchNormalization(axis=1.0), None, "axis must be an integer"),
        (lambda: BatchNormalization(3), (5, 4, 3), "has 3 axes, the batch's among them, and no axis 3"),
        (lambda: BatchNormalization(momentum=1.5), None, "momentum must be"),
        (lambda: BatchNormalization(epsilon=0), None, "epsilon must be a finite number > 0"),
        (lambda: BatchNormalization(synchronized=True), None, "torch.nn.SyncBatchNorm"),
        (lambda: LayerNormalization((1, -1)), (5, 4), "names one axis twice"),
        (lambda: LayerNormalization(()), None, "axis must be"),
        (lambda: LayerNormalization(-3), (5, 4), "no axis -3"),
        (lambda: GroupNormalization(0), None, "groups must be an integer >= 1, or -1"),
        (lambda: GroupNormalization(3), (5, 4), "4 channels cannot be divided into groups=3"),
        (lambda: RMSNormalization(epsilon=-1), None, "epsilon must be"),
        (lambda: UnitNormalization("last"), None, "axis must be"),
    ],
)
def test_bad_arguments_and_inputs_are_refused_in_a_sentence(make, shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()(torch.zeros(shape))


# --- spectral normalization --------------------------------------------------------------------------------------


def test_the_weight_that_is_used_has_a_largest_singular_value_of_one():
    layer = SpectralNormalization(nn.Linear(6, 4, bias=False), power_iterations=3)
    for _ in range(30):
        layer(torch.eye(6))
    used = layer.eval()(torch.eye(6)).T
    assert torch.linalg.matrix_norm(used, 2).item() == pytest.approx(1, abs=1e-4)
    assert torch.linalg.matrix_norm(layer.layer.weight, 2).item() != pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("training", [True, False])
def test_it_is_torchs_parametrization_with_the_same_vectors(training):
    torch.manual_seed(0)
    # torch renews the vectors in the other order: they are the same when they have settled
    ours = SpectralNormalization(nn.Conv2d(3, 4, 3), power_iterations=100)
    x = _x(2, 3, 5, 5)
    ours(x)
    theirs = nn.utils.parametrizations.spectral_norm(copy.deepcopy(ours.layer), n_power_iterations=100)
    kept = theirs.parametrizations.weight[0]
    kept._u.copy_(ours.weight_u)
    kept._v.copy_(ours.weight_v)
    y, expected = ours.train(training)(x), theirs.train(training)(x)
    torch.testing.assert_close(y, expected)
    mine, torchs = ours.layer.weight, theirs.parametrizations.weight.original
    (gradient,), (right,) = (torch.autograd.grad(o.square().sum(), w) for o, w in ((y, mine), (expected, torchs)))
    torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-5)


def test_evaluation_and_freezing_leave_its_vectors_alone():
    layer = SpectralNormalization(Dense(3))
    layer(_x(5, 4))
    before = layer.weight_u.clone()
    nn.init.normal_(layer.layer.weight)
    layer.eval()(_x(5, 4))
    layer.trainable = False
    layer.train()(_x(5, 4))
    assert torch.equal(layer.weight_u, before)
    layer.trainable = True
    layer(_x(5, 4))
    assert not torch.equal(layer.weight_u, before)


def test_a_model_with_it_learns_the_weight_of_the_layer():
    model = Sequential([Input((4,)), SpectralNormalization(Dense(8, "relu", kernel_regularizer="l2")), Dense(2)])
    model.compile("adam", "cross_entropy")
    x = _x(64, 4)
    before = model.layers[0].layer.weight.clone()
    history = model.fit(x, (x[:, 0] > 0).long(), epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert "data_loss" in history  # the penalty of the layer within counts
    assert not torch.equal(model.layers[0].layer.weight, before)
    assert set(dict(model.layers[0].named_parameters())) == {"layer.weight", "layer.bias"}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SpectralNormalization(nn.ReLU()), "layer must be a layer, or a torch.nn.Module, with a weight"),
        (lambda: SpectralNormalization(Dense(3), 0), "power_iterations must be an integer >= 1"),
        (lambda: SpectralNormalization(layers.Flatten()), "needs a layer with a weight of two axes"),
        (lambda: SpectralNormalization(nn.BatchNorm1d(4)), "needs a layer with a weight of two axes"),
        (lambda: SpectralNormalization(nn.LazyLinear(4)), "needs a layer with a weight of two axes"),
    ],
)
def test_what_has_no_weight_to_normalize_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()(_x(5, 4))


def test_the_mask_of_the_layer_within_goes_on():
    mask = torch.tensor([[True, False]])
    assert SpectralNormalization(Dense(3)).compute_mask(_x(1, 2, 4), mask) is mask
    assert SpectralNormalization(nn.Linear(4, 3)).compute_mask(_x(1, 2, 4), mask) is None


@pytest.mark.parametrize("make", [BatchNormalization, lambda: GroupNormalization(2, epsilon=1e-3)])
def test_the_channels_are_where_the_layers_have_them(make):
    for shape, channels in (((5, 4), 1), ((5, 6, 4), 2), ((5, 4, 6, 6), 1), ((5, 4, 2, 3, 3), 1)):
        x = _x(*shape)
        found = make()
        expected = type(found).from_config(found.get_config() | {"axis": channels})
        torch.testing.assert_close(found(x), expected(x))
        assert found.weight.shape == (4,)
