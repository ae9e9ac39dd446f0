"""plot_weights: the bars are the histograms of NumPy, and the images are the weights."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt

plot = kt.utils.plot_weights


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def mlp():
    return nn.Sequential(nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3))


def images_of(figure):
    """Return the arrays and color limits of the images, without the color bar."""
    shown = [axes.images[0] for axes in figure.axes if axes.images]
    return [np.ma.filled(image.get_array(), np.nan) for image in shown], {image.get_clim() for image in shown}


def test_the_bars_are_the_histogram_of_each_weight():
    module = nn.Sequential(nn.Linear(16, 50), nn.BatchNorm1d(50))
    figure = plot(module)
    assert len(figure.axes) == 4
    for axes, (name, weight) in zip(figure.axes, module.named_parameters(), strict=True):
        values = weight.detach().numpy().astype(float)
        counts = [bar.get_height() for bar in axes.patches]
        expected, edges = np.histogram(values, len(counts))
        assert counts == expected.tolist()
        np.testing.assert_allclose([bar.get_x() for bar in axes.patches], edges[:-1])
        assert axes.get_title() == (f"{name}  {tuple(weight.shape)}\nmean {values.mean():.2g}, std {values.std():.2g}")
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("value", "count")


def test_the_weights_can_be_chosen_by_name_and_number():
    def names(figure):
        return [axes.get_title().partition(" ")[0] for axes in figure.axes]

    assert names(plot(mlp())) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert names(plot(mlp(), name="*.weight")) == ["0.weight", "2.weight"]
    assert names(plot(mlp(), "histogram", "2.bias")) == ["2.bias"]
    assert names(plot(mlp(), n=3)) == ["0.weight", "0.bias", "2.weight"]


def test_the_units_of_the_first_dense_layer_are_square_images():
    module = mlp()
    figure = plot(module, "image")
    found, limits = images_of(figure)
    weight = module[0].weight.detach().numpy()
    np.testing.assert_array_equal(found, weight.reshape(5, 4, 4).astype(float))
    largest = np.abs(weight).max().astype(float)
    assert limits == {(-largest, largest)}  # 0 is white
    assert [axes.get_title() for axes in figure.axes[:5]] == [f"unit {number}" for number in range(5)]
    assert figure.get_suptitle() == "0.weight  (5, 16)"
    assert len(plot(module, "image", n=2).axes) == 3  # with the color bar


def test_a_model_of_kerastorch_is_plotted_as_torch_is():
    model = kt.Sequential([kt.Input((16,)), kt.layers.Dense(5, "relu"), kt.layers.Dense(3)])
    found, _ = images_of(plot(model, "image"))
    np.testing.assert_array_equal(found, model.layers[0].weight.detach().numpy().reshape(5, 4, 4).astype(float))
    assert len(plot(model).axes) == 4


@pytest.mark.parametrize("shape", [(2, 8), (1, 8, 2)])
def test_the_shape_of_the_images_can_be_given(shape):
    module = mlp()
    found, _ = images_of(plot(module, "image", image_shape=shape))
    np.testing.assert_array_equal(found, module[0].weight.detach().numpy().reshape(5, *shape[-2:]).astype(float))


@pytest.mark.parametrize("given", [{}, {"image_shape": (3, 2, 2)}])
def test_three_color_channels_of_a_dense_layer_are_shown_in_color(given):
    module = nn.Linear(12, 4)
    found, _ = images_of(plot(module, "image", **given))
    weight = module.weight.detach().numpy().astype(float).reshape(4, 3, 2, 2)
    expected = 0.5 + weight.transpose(0, 2, 3, 1) / (2 * np.abs(weight).max())
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_filters_of_color_images_are_shown_in_color():
    module = nn.Conv2d(3, 6, 5)
    found, _ = images_of(plot(module, "image"))
    weight = module.weight.detach().numpy().astype(float)
    np.testing.assert_allclose(found, 0.5 + weight.transpose(0, 2, 3, 1) / (2 * np.abs(weight).max()), atol=1e-12)


def test_filters_of_gray_images_are_shown_as_they_are():
    module = nn.Conv2d(1, 6, (2, 3))
    found, _ = images_of(plot(module, "image"))
    np.testing.assert_array_equal(found, module.weight.detach().numpy().astype(float)[:, 0])


def test_filters_of_many_channels_are_side_by_side():
    module = nn.Conv2d(4, 2, 3)
    found, _ = images_of(plot(module, "image"))
    weight = module.weight.detach().numpy().astype(float)
    for unit, image in enumerate(found):
        assert image.shape == (3, 4 * 4 - 1)  # an empty column between two channels
        for channel in range(4):
            np.testing.assert_array_equal(image[:, 4 * channel : 4 * channel + 3], weight[unit, channel])
        assert np.isnan(image[:, 3::4]).all()


def test_filters_of_sequences_have_a_row_for_each_channel():
    module = nn.Conv1d(4, 2, 5)
    found, _ = images_of(plot(module, "image"))
    np.testing.assert_array_equal(found, module.weight.detach().numpy().astype(float))


@pytest.mark.parametrize(("module", "name"), [(nn.Linear(7, 3), None), (mlp(), "2.weight"), (nn.Conv3d(2, 3, 2), None)])
def test_other_weights_are_one_image_with_a_row_for_each_unit(module, name):
    figure = plot(module, "image", name)
    ((found,), _) = images_of(figure)
    weight = dict(module.named_parameters())[name or "weight"]
    np.testing.assert_array_equal(found, weight.detach().numpy().reshape(3, -1).astype(float))
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("input", "unit")


def test_a_later_layer_is_an_image_only_if_its_shape_is_given():
    module = nn.Sequential(nn.Linear(7, 16), nn.Linear(16, 5))
    assert len(images_of(plot(module, "image", "1.weight"))[0]) == 1
    assert len(images_of(plot(module, "image", "1.weight", image_shape=(4, 4)))[0]) == 5


def test_weights_of_other_dtypes_are_plotted_and_stay_as_they_are():
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        module = mlp().to(dtype)
        before = module[0].weight.clone()
        found, _ = images_of(plot(module, "image"))
        np.testing.assert_array_equal(np.reshape(found, (5, 16)), before.detach().double().numpy())
        plot(module)
        assert torch.equal(module[0].weight, before)
        assert module[0].weight.dtype == dtype
        assert module[0].weight.grad is None
        assert module.training


def test_constant_weights_have_a_histogram_and_images():
    module = mlp()
    for weight in module.parameters():
        weight.data.zero_()
    plot(module).canvas.draw()
    plot(module, "image").canvas.draw()


@pytest.mark.parametrize(
    ("module", "given", "message"),
    [
        (kt.Sequential([kt.layers.Dense(3)]), {}, "the model has no weights yet"),
        (nn.LazyLinear(3), {}, "the model has no weights yet"),
        (nn.ReLU(), {}, "the model has no weights"),
        (mlp(), {"name": "3.weight"}, "no weight fits the name '3.weight'. Known: 0.weight, 0.bias, 2.weight, 2.bias"),
        (mlp(), {"kind": "images"}, "Unknown kind 'images'. Did you mean 'image'"),
        (mlp(), {"n": 0}, "n must be an integer >= 1"),
        (mlp(), {"kind": "image", "name": "*.bias"}, "no weight has two axes or more"),
        (mlp(), {"kind": "image", "image_shape": (4, 5)}, "image_shape must be .* with 16 values"),
        (mlp(), {"kind": "image", "image_shape": (2, 2, 4)}, "image_shape must be"),
        (nn.Conv2d(1, 2, 3), {"kind": "image", "image_shape": (3, 3)}, "image_shape is for dense layers"),
        ([1.0, 2.0], {}, "model must be a torch.nn.Module"),
    ],
)
def test_what_cannot_be_plotted_is_an_error(module, given, message):
    with pytest.raises(ValueError, match=message):
        plot(module, **given)
    assert plt.get_fignums() == []


def test_diverged_weights_are_named():
    module = mlp()
    module[2].bias.data[0] = torch.inf
    with pytest.raises(ValueError, match=r"contain NaN or infinity: 2\.bias\."):
        plot(module)
