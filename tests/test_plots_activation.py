"""plot_activation: the curves are those of torch, and the derivatives those of its formulas."""

import functools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt

plot_activation = kt.utils.plot_activation


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def curves_of(axes):
    """Return the points of the labelled lines, without the breaks at jumps."""
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    curves = {}
    for line in lines:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        curves[line.get_label()] = x[~np.isnan(x)], y[~np.isnan(x)]
    return curves


def breaks_of(axes, label):
    """Return the points between which a line is broken."""
    line = next(line for line in axes.lines if line.get_label() == label)
    x = np.asarray(line.get_xdata())
    return [(x[place - 1], x[place + 1]) for place in np.flatnonzero(np.isnan(x))]


SIGMOID = torch.sigmoid
# what is plotted, torch's function, and its derivative by hand
KNOWN = {
    "sigmoid": ("sigmoid", SIGMOID, lambda x: SIGMOID(x) * (1 - SIGMOID(x))),
    "tanh": (torch.tanh, torch.tanh, lambda x: 1 - torch.tanh(x) ** 2),
    "relu": ("relu", torch.relu, lambda x: (x > 0).double()),
    "leaky_relu": ("leaky_relu", lambda x: F.leaky_relu(x, 0.2), lambda x: torch.where(x > 0, 1.0, 0.2)),
    "partial": (
        functools.partial(kt.activations.leaky_relu, negative_slope=0.3),
        lambda x: F.leaky_relu(x, 0.3),
        lambda x: torch.where(x > 0, 1.0, 0.3),
    ),
    "softplus": ("softplus", F.softplus, SIGMOID),
    "silu": (nn.SiLU, F.silu, lambda x: SIGMOID(x) * (1 + x * (1 - SIGMOID(x)))),
    "gelu": (
        nn.GELU(),
        lambda x: x * torch.special.ndtr(x),
        lambda x: torch.special.ndtr(x) + x * torch.exp(-x * x / 2) / np.sqrt(2 * np.pi),
    ),
    "elu": (kt.layers.ELU(), F.elu, lambda x: torch.where(x > 0, 1.0, torch.exp(x))),
    "layer": (kt.layers.Activation("softsign"), F.softsign, lambda x: 1 / (1 + x.abs()) ** 2),
    "lambda": (lambda x: x**3, lambda x: x**3, lambda x: 3 * x**2),
    "in place": (nn.ReLU(inplace=True), torch.relu, lambda x: (x > 0).double()),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_curves_are_the_function_and_its_derivative(name):
    given, function, slope = KNOWN[name]
    figure = plot_activation(given)
    (axes,) = figure.axes
    curves = curves_of(axes)
    assert list(curves) == ["f(x)", "f'(x)"]
    for label, expected in (("f(x)", function), ("f'(x)", slope)):
        x, y = curves[label]
        assert (x[0], x[-1], len(x)) == (-5.0, 5.0, 1001)
        np.testing.assert_allclose(y, expected(torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-5)
    assert axes.get_xlabel() == "x"


def test_the_range_is_that_of_the_curve():
    for given in ((-2, 3), [-2, 3], np.array([-2.0, 3.0]), torch.tensor([-2, 3])):
        x, y = curves_of(plot_activation("tanh", range=given).axes[0])["f(x)"]
        assert (x[0], x[-1]) == (-2, 3)
        np.testing.assert_allclose(y, np.tanh(x), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ("relu", "relu"), (torch.tanh, "tanh"), (nn.GELU(), "GELU"), (nn.GELU, "GELU"),
        (nn.LeakyReLU(0.1), "LeakyReLU(negative_slope=0.1)"), (kt.layers.PReLU(), "PReLU"),
        (functools.partial(F.leaky_relu, negative_slope=0.3), "leaky_relu(negative_slope=0.3)"),
        (lambda x: 2 * x, "activation"),
    ],
)  # fmt: skip
def test_the_title_names_the_activation(given, title):
    assert plot_activation(given).axes[0].get_title() == title


def test_without_the_derivative_there_is_one_curve():
    assert list(curves_of(plot_activation("relu", derivative=False).axes[0])) == ["f(x)"]
    assert list(curves_of(plot_activation("relu", False).axes[0])) == ["f(x)"]


def test_a_list_has_a_panel_for_each():
    figure = plot_activation(["sigmoid", torch.tanh, nn.ReLU(), "elu"])
    assert [axes.get_title() for axes in figure.axes] == ["sigmoid", "tanh", "ReLU", "elu"]
    assert figure.axes[0].get_gridspec().ncols == 3
    for axes, function in zip(figure.axes, (SIGMOID, torch.tanh, torch.relu, F.elu), strict=True):
        x, y = curves_of(axes)["f(x)"]
        np.testing.assert_allclose(y, function(torch.from_numpy(x)).numpy(), atol=1e-6)


def test_together_the_functions_are_in_one_panel_and_the_derivatives_in_another():
    figure = plot_activation(["sigmoid", "tanh"], together=True)
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("f(x)", "f'(x)")
    x, y = curves_of(left)["tanh"]
    np.testing.assert_allclose(y, np.tanh(x), atol=1e-6)
    x, y = curves_of(right)["tanh"]
    np.testing.assert_allclose(y, 1 - np.tanh(x) ** 2, atol=1e-6)
    colors = {axes: [line.get_color() for line in axes.lines if line.get_label()[0] != "_"] for axes in figure.axes}
    assert colors[left] == colors[right]
    assert len(set(colors[left])) == 2
    assert len(plot_activation(["sigmoid", "tanh"], derivative=False, together=True).axes) == 1


def test_a_list_in_given_axes_is_drawn_together():
    axes = plt.figure().add_subplot()
    plot_activation(["sigmoid", "tanh"], ax=axes)
    curves = curves_of(axes)
    assert list(curves) == ["sigmoid", "sigmoid, derivative", "tanh", "tanh, derivative"]
    x, y = curves["sigmoid, derivative"]
    np.testing.assert_allclose(y, np.exp(x) / (1 + np.exp(x)) ** 2, atol=1e-6)


def test_many_curves_have_different_colors_and_a_legend_beside_them():
    names = ["sigmoid", "tanh", "relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "softsign", "celu"]
    for count in (7, 10, 11):
        figure = plot_activation(names[:count], derivative=False, together=True)
        (axes,) = figure.axes
        assert len({line.get_color() for line in axes.lines if line.get_label() in names}) == count
        figure.canvas.draw()
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.patch.get_window_extent())
        assert legend.x1 <= figure.bbox.x1


def test_a_curve_is_broken_where_it_jumps_and_nowhere_else():
    axes = plot_activation("hard_shrink").axes[0]
    for label in ("f(x)", "f'(x)"):
        (a, b), (c, d) = breaks_of(axes, label)
        assert a <= -0.5 <= b <= a + 0.011
        assert c <= 0.5 <= d <= c + 0.011
    ((left, right),) = breaks_of(plot_activation("relu").axes[0], "f'(x)")
    assert left == pytest.approx(0, abs=1e-12)  # torch's derivative of relu at 0 is 0
    assert right == pytest.approx(0.01)
    assert breaks_of(plot_activation("relu").axes[0], "f(x)") == []
    steep = plot_activation(lambda x: torch.tanh(300 * x)).axes[0]  # rises by 1 between two points
    assert breaks_of(steep, "f(x)") == breaks_of(steep, "f'(x)") == []


def test_infinite_values_are_drawn_without_a_warning():
    _, y = curves_of(plot_activation("exponential", range=(-200, 200)).axes[0])["f(x)"]
    assert y[-1] == np.inf
    assert y[500] == 1.0
    plot_activation(torch.log).canvas.draw()  # NaN below 0


@pytest.mark.parametrize(
    "given",
    [
        "softmax", "log_softmax", "sparsemax", nn.Softmax(dim=-1), nn.Softmax(dim=0), nn.LogSoftmax(dim=1),
        functools.partial(torch.softmax, dim=0), "maxout", "glu", nn.GLU(), kt.layers.Softmax(), kt.layers.Maxout(2),
        lambda x: x - x.mean(), nn.Linear(1, 2),
    ],
)  # fmt: skip
def test_a_function_of_a_vector_is_refused_with_advice(given):
    with pytest.raises(ValueError, match="plot_activation needs a function of one number"):
        plot_activation(given)
    assert plt.get_fignums() == []


def test_the_advice_for_softmax_works():
    x, y = curves_of(plot_activation(lambda x: torch.softmax(torch.stack([x, 0 * x]), 0)[0]).axes[0])["f(x)"]
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-x)), atol=1e-6)  # softmax of (x, 0)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"activation": "rellu"}, ValueError, "Unknown activation 'rellu'. Did you mean 'relu'"),
        ({"activation": 3}, TypeError, "activation is a name"),
        ({"activation": []}, ValueError, "empty list"),
        ({"activation": ["relu", "rellu"]}, ValueError, "Unknown activation"),
        ({"activation": lambda x: (x > 0).float()}, ValueError, "no derivative of activation; pass derivative=False"),
        ({"activation": lambda x: 3}, TypeError, "activation must return a tensor, got int"),
        ({"activation": "relu", "range": (1, 1)}, ValueError, r"range\[1\] must be a finite number > 1"),
        ({"activation": "relu", "range": (1, np.inf)}, ValueError, r"range\[1\]"),
        ({"activation": "relu", "range": 5}, ValueError, "range must be two numbers"),
    ],
)
def test_what_cannot_be_plotted_is_an_error(arguments, kind, message):
    with pytest.raises(kind, match=message):
        plot_activation(**arguments)


def test_a_step_function_is_drawn_without_a_derivative():
    axes = plot_activation(lambda x: (x > 0).float(), derivative=False).axes[0]
    x, y = curves_of(axes)["f(x)"]
    np.testing.assert_array_equal(y, x > 1e-9)
    assert len(breaks_of(axes, "f(x)")) == 1


def test_a_module_keeps_its_mode_its_gradients_and_its_weights():
    module = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1)).train()
    module[0].weight.grad = torch.ones(4, 1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        axes = plot_activation(module).axes[0]
    assert module.training
    assert torch.equal(module[0].weight.grad, torch.ones(4, 1))
    assert module[3].weight.grad is None
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    x, y = curves_of(axes)["f(x)"]
    column = torch.from_numpy(x).float()[:, None]
    np.testing.assert_allclose(y, module.eval()(column).detach().numpy()[:, 0], atol=1e-6)


def test_a_layer_that_is_not_built_stays_so():
    layer = kt.layers.PReLU(alpha_initializer=kt.initializers.Constant(0.4))
    x, y = curves_of(plot_activation(layer).axes[0])["f(x)"]
    np.testing.assert_allclose(y, np.where(x > 0, x, 0.4 * x), atol=1e-6)
    assert not layer.built
    assert list(layer.parameters()) == []


def test_a_module_in_double_precision_is_called_with_doubles():
    module = nn.PReLU(init=0.125).double()
    x, y = curves_of(plot_activation(module).axes[0])["f(x)"]
    np.testing.assert_allclose(y, np.where(x > 0, x, 0.125 * x), rtol=1e-14, atol=1e-16)


def test_inference_mode_around_the_call_changes_nothing():
    with torch.inference_mode():
        x, y = curves_of(plot_activation("tanh").axes[0])["f'(x)"]
    np.testing.assert_allclose(y, 1 - np.tanh(x) ** 2, atol=1e-6)
