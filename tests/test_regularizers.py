"""Regularizers: Keras' penalties, and which weights of a module they are charged on."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from kerastorch import layers, regularizers
from kerastorch.regularizers import L1, L1L2, L2, OrthogonalRegularizer, collect_penalties


def _weight(*shape):
    return torch.tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)


def _orthogonality(w, factor):
    # Keras' documented formula: half the sum off the diagonal over the number of pairs
    rows = w / np.linalg.norm(w, axis=1, keepdims=True)
    products = rows @ rows.T
    n = len(w)
    return factor * 0.5 * np.abs(products * (1 - np.eye(n))).sum() / (n * (n - 1) / 2)


# regularizer, its value, its gradient
FORMULAS = {
    "l1": (L1(0.3), lambda w: 0.3 * np.abs(w).sum(), lambda w: 0.3 * np.sign(w)),
    "l2": (L2(0.3), lambda w: 0.3 * (w**2).sum(), lambda w: 2 * 0.3 * w),
    "l1-default": (L1(), lambda w: 0.01 * np.abs(w).sum(), lambda w: 0.01 * np.sign(w)),
    "l2-default": (L2(), lambda w: 0.01 * (w**2).sum(), lambda w: 0.02 * w),
    "l1l2": (
        L1L2(0.3, 0.2),
        lambda w: 0.3 * np.abs(w).sum() + 0.2 * (w**2).sum(),
        lambda w: 0.3 * np.sign(w) + 0.4 * w,
    ),
    "l1l2-only-l1": (L1L2(l1=0.3), lambda w: 0.3 * np.abs(w).sum(), lambda w: 0.3 * np.sign(w)),
    "l1l2-only-l2": (L1L2(l2=0.2), lambda w: 0.2 * (w**2).sum(), lambda w: 0.4 * w),
    "l1l2-default": (L1L2(), lambda w: 0.0, np.zeros_like),
    "by-name-l1_l2": (
        regularizers.get("l1_l2"),
        lambda w: 0.01 * np.abs(w).sum() + 0.01 * (w**2).sum(),
        lambda w: 0.01 * np.sign(w) + 0.02 * w,
    ),
}


@pytest.mark.parametrize(("regularizer", "value", "gradient"), FORMULAS.values(), ids=list(FORMULAS))
@pytest.mark.parametrize("shape", [(4, 3), (5,), (2, 3, 2, 2)])
def test_a_penalty_and_its_gradient_are_those_of_the_formula(regularizer, value, gradient, shape):
    weight = _weight(*shape)
    penalty = regularizer(weight)
    penalty.backward()
    w = weight.detach().numpy()
    assert penalty.shape == ()
    np.testing.assert_allclose(penalty.item(), value(w), rtol=1e-12)
    np.testing.assert_allclose(weight.grad.numpy(), gradient(w), rtol=1e-12)


def test_l2_is_twice_the_weight_decay():
    plain, penalised = (nn.Parameter(torch.tensor([1.0, -3.0], dtype=torch.float64)) for _ in range(2))
    plain.grad = torch.zeros_like(plain)
    decaying = torch.optim.SGD([plain], lr=0.1, weight_decay=2 * 0.05)
    bare = torch.optim.SGD([penalised], lr=0.1)
    for _ in range(5):
        decaying.step()
        bare.zero_grad()
        L2(0.05)(penalised).backward()
        bare.step()
    torch.testing.assert_close(penalised, plain)
    assert plain[0] < 1


@pytest.mark.parametrize("shape", [(4, 6), (3, 2), (2, 2)])
def test_the_orthogonal_penalty_is_keras_formula(shape):
    weight = _weight(*shape)
    np.testing.assert_allclose(
        OrthogonalRegularizer(0.7)(weight).item(), _orthogonality(weight.detach().numpy(), 0.7), rtol=1e-10
    )
    np.testing.assert_allclose(
        OrthogonalRegularizer(0.7, mode="columns")(weight).item(),
        _orthogonality(weight.detach().numpy().T, 0.7),
        rtol=1e-10,
    )


def test_the_orthogonal_penalty_has_the_right_gradient():
    assert torch.autograd.gradcheck(OrthogonalRegularizer(1.0), (_weight(4, 5),))


def test_the_orthogonal_penalty_of_orthogonal_rows_is_zero_and_of_equal_rows_the_factor():
    assert OrthogonalRegularizer(0.5)(3 * torch.eye(4)).item() == pytest.approx(0, abs=1e-7)
    assert OrthogonalRegularizer(0.5)(torch.ones(4, 6)).item() == pytest.approx(0.5)


def test_the_orthogonal_penalty_of_a_single_row_is_zero():
    assert OrthogonalRegularizer(0.5)(torch.ones(1, 6)).item() == 0


def test_the_orthogonal_penalty_takes_matrices_only():
    with pytest.raises(ValueError, match=r"takes a matrix, got shape \(2, 3, 4\)"):
        OrthogonalRegularizer()(torch.zeros(2, 3, 4))


def test_the_orthogonal_penalty_knows_rows_and_columns_only():
    with pytest.raises(ValueError, match="mode must be 'rows' or 'columns', got 'row'"):
        OrthogonalRegularizer(mode="row")


@pytest.mark.parametrize("factor", [-0.1, math.nan, math.inf, -math.inf, "0.1", True])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (L1, "l1"),
        (L2, "l2"),
        (lambda factor: L1L2(l1=factor), "l1"),
        (lambda factor: L1L2(l2=factor), "l2"),
        (OrthogonalRegularizer, "factor"),
    ],
    ids=["L1", "L2", "L1L2-l1", "L1L2-l2", "Orthogonal"],
)
def test_a_factor_that_is_no_finite_number_from_zero_is_refused(make, name, factor):
    with pytest.raises(ValueError, match=f"{name} must be a finite number >= 0, got"):
        make(factor)


@pytest.mark.parametrize(
    ("given", "kind", "factors"),
    [
        ("l1", L1, (0.01, 0)),
        ("L2", L2, (0, 0.01)),
        ("l1_l2", L1L2, (0.01, 0.01)),
        ("L1L2", L1L2, (0.01, 0.01)),
        (L1L2, L1L2, (0, 0)),
        (L2, L2, (0, 0.01)),
    ],
)
def test_get_knows_names_and_classes_with_keras_factors(given, kind, factors):
    found = regularizers.get(given)
    assert type(found) is kind
    assert (found.l1, found.l2) == factors


def test_get_passes_instances_functions_and_none_through():
    def own(weight):
        return weight.sum()

    instance = L2(0.5)
    assert regularizers.get(own) is own
    assert regularizers.get(instance) is instance
    assert regularizers.get(None) is None
    assert isinstance(regularizers.get("orthogonal_regularizer"), OrthogonalRegularizer)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown regularizer 'l1l2'\. Did you mean 'l1_l2'\? Known: l1, l1_l2, l2"):
        regularizers.get("l1l2")


def test_a_number_is_no_regularizer():
    with pytest.raises(TypeError, match=r"got 0\.01"):
        regularizers.get(0.01)


def _net():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def test_patterns_charge_the_parameters_whose_names_they_match():
    net, by = _net(), {"*.weight": L2(0.1), "2.bias": L1(0.2)}
    found = collect_penalties(net, by)
    assert [(p.name, p.regularizer) for p in found] == [
        ("0.weight", by["*.weight"]),
        ("2.weight", by["*.weight"]),
        ("2.bias", by["2.bias"]),
    ]
    assert found[0].weight is net[0].weight
    assert found[2].weight is net[2].bias


def test_a_pattern_that_matches_nothing_is_an_error_that_names_the_nearest():
    with pytest.raises(ValueError, match=r"'0\.wieght' matches no parameter\. Did you mean '0\.weight'.*2\.bias"):
        collect_penalties(_net(), {"0.wieght": L2()})


def test_a_pattern_on_a_module_without_parameters_is_an_error():
    with pytest.raises(ValueError, match="matches no parameter"):
        collect_penalties(nn.ReLU(), {"*": L2()})


def test_frozen_weights_are_left_out():
    net = _net()
    net[0].weight.requires_grad_(False)
    assert [p.name for p in collect_penalties(net, {"*.weight": L2()})] == ["2.weight"]
    net[2].requires_grad_(False)
    assert collect_penalties(net, {"*.weight": L2()}) == []


def test_without_patterns_plain_torch_modules_are_charged_nothing():
    assert collect_penalties(_net()) == []


def test_layers_bring_the_penalties_on_their_own_weights():
    l1, l2 = L1(0.1), L2(0.2)
    net = nn.Sequential(
        layers.Dense(3, kernel_regularizer=l2, bias_regularizer=l1),
        layers.Maxout(2, kernel_regularizer="l1"),
        layers.PReLU(alpha_regularizer="l2"),
        layers.Dense(2),
    )
    net(torch.zeros(1, 4))
    found = collect_penalties(net)
    assert [p.name for p in found] == ["0.weight", "0.bias", "1.weight", "2.weight"]
    assert found[0] == ("0.weight", net[0].weight, l2)
    assert found[1] == ("0.bias", net[0].bias, l1)
    assert isinstance(found[2].regularizer, L1)
    assert found[3].weight is net[2].weight


def test_a_layer_used_twice_is_charged_once():
    dense = layers.Dense(4, kernel_regularizer="l2")
    net = nn.Sequential(dense, dense)
    net(torch.zeros(1, 4))
    assert [p.name for p in collect_penalties(net)] == ["0.weight"]


def test_the_layer_itself_names_its_weight_without_a_prefix():
    dense = layers.Dense(4, kernel_regularizer="l2")
    dense(torch.zeros(1, 2))
    assert [p.name for p in collect_penalties(dense)] == ["weight"]


def test_penalties_of_layers_and_of_patterns_add_up():
    dense = layers.Dense(4, kernel_regularizer=L2(0.1))
    dense(torch.zeros(1, 2))
    charged = sum(p.regularizer(p.weight) for p in collect_penalties(dense, {"weight": L1(0.2)}))
    torch.testing.assert_close(charged, 0.1 * dense.weight.square().sum() + 0.2 * dense.weight.abs().sum())


def test_a_frozen_layer_drops_its_penalty():
    dense = layers.Dense(4, kernel_regularizer="l2", bias_regularizer="l1")
    dense(torch.zeros(1, 2))
    dense.weight.requires_grad_(False)
    assert [p.name for p in collect_penalties(dense)] == ["bias"]


@pytest.mark.parametrize(("regularizer", "text"), [(L1(0.5), "L1(l1=0.5)"), (L2(), "L2(l2=0.01)")])
def test_the_repr_is_what_makes_it(regularizer, text):
    assert repr(regularizer) == text
    assert repr(eval(text)) == text


def test_the_repr_of_both_names_both():
    assert repr(L1L2(0.5, 0.25)) == "L1L2(l1=0.5, l2=0.25)"
