"""plot_decision_boundary: regions have the colors of the classes that the model, called by hand, predicts there."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from sklearn.datasets import make_blobs
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

import kerastorch as kt
from kerastorch.layers import Dense


@pytest.fixture(autouse=True)
def _closed_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def plot(*args, resolution=40, **given):
    return kt.utils.plot_decision_boundary(*args, resolution=resolution, **given)


def blobs(classes):
    x, y = make_blobs(60, centers=classes, random_state=0, cluster_std=2.0)
    return x.astype("float32"), y


def regions(figure):
    """Return the points of the grid, `(rows * columns, 2)`, and the number of the color of each."""
    (image,) = figure.axes[0].images
    numbers = np.asarray(image.get_array())
    left, right, low, high = image.get_extent()
    rows, columns = numbers.shape
    x = left + (np.arange(columns) + 0.5) / columns * (right - left)
    y = low + (np.arange(rows) + 0.5) / rows * (high - low)
    assert image.origin == "lower"
    points = np.stack([part.ravel() for part in np.meshgrid(x, y)], 1)
    return points, numbers.ravel()


def by_hand(module, points):
    """Return the outputs of a module for points, in evaluation mode."""
    mode = module.training
    with torch.no_grad():
        outputs = module.eval()(torch.from_numpy(points.astype("float32"))).numpy()
    module.train(mode)
    return outputs


def assert_regions(figure, expected, undecided=None):
    """Check the regions against a function of points; rounding may decide a few points that are `undecided`."""
    points, numbers = regions(figure)
    wrong = numbers != expected(points)
    if undecided is not None:
        wrong &= ~undecided(points)
    assert not wrong.any()
    assert len(np.unique(numbers)) > 1  # a test with one region proves little


def mlp(outputs, *end):
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, outputs), *end)


def test_a_module_with_an_output_for_each_class_predicts_the_largest():
    x, y = blobs(3)
    for module in (mlp(3), mlp(3, nn.Softmax(-1)), mlp(3, nn.LogSoftmax(-1))):
        figure = plot(module, x, y)
        assert_regions(figure, lambda points, module=module: by_hand(module, points).argmax(1))
        assert figure.axes[0].images[0].get_array().shape == (40, 40)


def test_two_classes_with_an_output_each():
    x, y = blobs(2)
    module = mlp(2)
    assert_regions(plot(module, x, y), lambda points: by_hand(module, points).argmax(1))


def test_a_single_logit_of_a_module_is_compared_with_0():
    x, y = blobs(2)
    module = mlp(1)
    assert_regions(plot(module, x, y), lambda points: by_hand(module, points)[:, 0] > 0)


def test_logits_that_lie_in_0_to_1_are_no_probabilities():
    x, y = blobs(2)
    for module in (nn.Linear(2, 1), kt.Sequential([kt.Input((2,)), Dense(1)])):
        weight, bias = module.parameters()
        weight.data.zero_()
        bias.data.fill_(0.3)
        points, numbers = regions(plot(module, x, y))
        np.testing.assert_array_equal(by_hand(module, points), np.float32(0.3))
        assert set(numbers) == {1}  # 0.3 is above 0


def test_a_single_probability_of_a_module_is_compared_with_a_half():
    x, y = blobs(2)

    class Hidden(nn.Module):  # its last activation cannot be seen from outside
        def __init__(self):
            super().__init__()
            self.body = mlp(1)

        def forward(self, x):
            return torch.sigmoid(self.body(x))[:, 0]

    for module in (mlp(1, nn.Sigmoid()), Hidden()):
        figure = plot(module, x, y)
        assert_regions(figure, lambda points, module=module: by_hand(module, points).reshape(-1) > 0.5)


def trained(loss, *layers):
    x, y = blobs(2)
    model = kt.Sequential([kt.Input((2,)), Dense(8, "tanh"), *layers])
    model.compile(kt.optimizers.Adam(0.05), loss)
    model.fit(x, y.astype("float32"), epochs=3, verbose=0)
    return model, x, y


@pytest.mark.parametrize(
    ("loss", "activation", "threshold"),
    [
        ("binary_crossentropy", "sigmoid", 0.5),
        (kt.losses.BinaryCrossentropy(from_logits=True), None, 0.0),
        ("binary_cross_entropy_with_logits", None, 0.0),
        ("mse", None, 0.5),
        ("mse", "sigmoid", 0.5),
    ],
)
def test_the_loss_of_a_compiled_model_decides_what_its_output_is_compared_with(loss, activation, threshold):
    model, x, y = trained(loss, Dense(1, activation))
    outputs = model.predict(x, verbose=0)
    assert (outputs > threshold).any()
    assert (outputs < threshold).any()
    assert_regions(plot(model, x, y), lambda points: by_hand(model, points)[:, 0] > threshold)


def test_labels_of_minus_1_and_1_have_the_boundary_at_0():
    x, y = blobs(2)
    signs = 2 * y - 1
    for loss in ("hinge", "mse"):
        model = kt.Sequential([kt.Input((2,)), Dense(1)])
        model.compile(kt.optimizers.Adam(0.1), loss)
        model.fit(x, signs.astype("float32"), epochs=5, verbose=0)
        figure = plot(model, x, signs)
        assert_regions(figure, lambda points, model=model: by_hand(model, points)[:, 0] > 0)
        legend = figure.axes[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == ["-1", "1"]


@pytest.mark.parametrize("threshold", [0.3, -1, 0])
def test_the_threshold_can_be_given(threshold):
    x, y = blobs(2)
    module = mlp(1)
    assert_regions(plot(module, x, y, threshold=threshold), lambda points: by_hand(module, points)[:, 0] > threshold)


def test_a_model_of_several_classes():
    x, y = blobs(4)
    model = kt.Sequential([kt.Input((2,)), Dense(16, "relu"), Dense(4, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=5, verbose=0)
    assert_regions(plot(model, x, np.eye(4)[y]), lambda points: by_hand(model, points).argmax(1))


def test_a_step_of_the_users_own_makes_the_predictions():
    class Flipped(kt.Model):
        def predict_step(self, batch):
            return -super().predict_step(batch)

    x, y = blobs(2)
    module = mlp(2)
    assert_regions(plot(Flipped(module), x, y), lambda points: by_hand(module, points).argmin(1))


@pytest.mark.parametrize("names", [None, np.array(["ant", "bee", "cat"])], ids=["numbers", "names"])
def test_a_classifier_of_scikit_learn_predicts_classes(names):
    x, y = blobs(3)
    labels = y if names is None else names[y]
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(x, labels)
    figure = plot(tree, x, labels)
    classes = np.unique(labels)
    assert_regions(figure, lambda points: np.searchsorted(classes, tree.predict(points)))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [str(one) for one in classes]


def test_a_pipeline_that_was_fitted_to_a_data_frame_gets_one():
    x, y = blobs(2)
    frame = pd.DataFrame(x, columns=["length", "width"])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y)
    figure = plot(model, frame, pd.Series(y, name="class"))  # scikit-learn warns if names are missing
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("length", "width")
    assert_regions(figure, lambda points: model.predict(pd.DataFrame(points, columns=frame.columns)))


def test_predictions_that_are_probabilities_are_not_taken_for_classes():
    x, y = blobs(2)
    logistic = LogisticRegression().fit(x, y)

    class Probabilities:
        def predict(self, x):
            return logistic.predict_proba(x)[:, 1:]  # as a model of Keras

    class Scores:
        def predict(self, x):
            return logistic.predict_proba(x)

    for model in (Probabilities(), Scores()):
        assert_regions(plot(model, x, y), logistic.predict)


def test_a_regression_needs_a_threshold():
    x, y = blobs(2)
    model = LinearRegression().fit(x, y)
    with pytest.raises(ValueError, match=r"neither classes nor probabilities; pass the threshold"):
        plot(model, x, y)
    assert_regions(plot(model, x, y, threshold=0.5), lambda points: model.predict(points) > 0.5)


def test_the_points_have_the_color_of_their_class_and_the_regions_a_light_one():
    x, y = blobs(3)
    axes = plot(mlp(3), x, y, ["ant", "bee", "cat"], feature_names=["length", "width"]).axes[0]
    points = [one for one in axes.collections if one.get_label() in ("ant", "bee", "cat")]
    assert [one.get_label() for one in points] == ["ant", "bee", "cat"]
    for number, one in enumerate(points):
        np.testing.assert_allclose(np.asarray(one.get_offsets()), x[y == number])
        strong = one.get_facecolor()[0][:3]
        light = axes.images[0].cmap(axes.images[0].norm(number))[:3]
        np.testing.assert_allclose(light, 1 - 0.3 * (1 - strong), atol=0.01)
    assert len({to_hex(one.get_facecolor()[0]) for one in points}) == 3
    assert len({one.get_paths()[0].vertices.tobytes() for one in points}) == 3  # and a marker of its own
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("length", "width")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ant", "bee", "cat"]


def test_the_picture_holds_all_points_with_a_margin():
    x = np.array([[0.0, 10.0], [1.0, 10.0], [2.0, 10.0]])  # the second feature is constant
    left, right, low, high = plot(mlp(1), x, [0, 1, 0]).axes[0].images[0].get_extent()
    assert (left, right) == pytest.approx((-0.16, 2.16))
    assert (low, high) == pytest.approx((9.5, 10.5))


def test_the_boundary_lies_where_two_classes_are_equal():
    module = nn.Linear(2, 1)
    module.weight.data, module.bias.data = torch.tensor([[1.0, -2.0]]), torch.tensor([0.5])
    x, y = blobs(2)
    axes = plot(module, x, y, resolution=100).axes[0]
    lines = [path.vertices for one in axes.collections for path in one.get_paths() if one.get_label()[0] == "_"]
    vertices = np.concatenate(lines)
    assert len(vertices) > 50
    np.testing.assert_allclose(vertices @ [1.0, -2.0] + 0.5, 0, atol=1e-4)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x, y: (x.tolist(), y.tolist()),
        lambda x, y: (torch.tensor(x, requires_grad=True), torch.tensor(y)[:, None]),
        lambda x, y: ([torch.tensor(row) for row in x], [torch.tensor(one) for one in y]),
        lambda x, y: (torch.tensor(x).bfloat16().double(), torch.tensor(y).float()),
        lambda x, y: (x, y.astype(bool)),
    ],
    ids=["lists", "tensors", "lists of tensors", "doubles", "bools"],
)
def test_data_may_be_tensors_arrays_and_lists(convert):
    x, y = blobs(2)
    module = mlp(1)
    given = convert(x, y)
    figure = plot(module, *given)
    assert_regions(figure, lambda points: by_hand(module, points)[:, 0] > 0)
    shown = [one for one in figure.axes[0].collections if one.get_label() == "1"]
    np.testing.assert_allclose(np.asarray(shown[0].get_offsets()), x[y == 1], rtol=0.01)


def test_the_model_stays_as_it_is():
    x, y = blobs(2)
    module = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    module[2].eval()
    module[0].weight.grad = torch.ones(8, 2)
    for model in (module, kt.Model(module)):
        before = {name: value.clone() for name, value in module.state_dict().items()}
        random_state = torch.get_rng_state()
        first = regions(plot(model, x, y))[1]
        second = regions(plot(model, x, y))[1]
        np.testing.assert_array_equal(first, second)  # no dropout
        assert [part.training for part in module] == [True, True, False, True]
        assert torch.equal(module[0].weight.grad, torch.ones(8, 2))
        assert module[3].weight.grad is None
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
        assert torch.equal(torch.get_rng_state(), random_state)


def test_a_model_that_is_not_built_is_drawn_and_stays_so():
    x, y = blobs(2)
    model = kt.Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    kt.utils.set_random_seed(3)
    state = torch.get_rng_state()
    figure = plot(model, x, y)
    assert list(model.parameters()) == []
    assert torch.equal(torch.get_rng_state(), state)
    model.predict(x, verbose=0)  # builds it, with the weights that were drawn
    assert_regions(figure, lambda points: by_hand(model, points)[:, 0] > 0.5)
    lazy = nn.LazyLinear(2)
    plot(lazy, x, y)
    assert nn.parameter.is_lazy(lazy.weight)


def test_a_class_that_fills_the_plane_has_no_boundary():
    x, y = blobs(2)
    module = nn.Linear(2, 1)
    module.weight.data.zero_()
    module.bias.data.fill_(5.0)
    figure = plot(module, x, y)
    assert set(regions(figure)[1]) == {1}
    figure.canvas.draw()


class Several(nn.Module):
    def forward(self, x):
        return {"a": x, "b": x}


@pytest.mark.parametrize(
    ("model", "x", "y", "given", "kind", "message"),
    [
        (nn.Linear(3, 1), np.zeros((4, 3)), [0, 1, 0, 1], {}, ValueError, r"two features.*\(n, 2\), got \(4, 3\)"),
        (nn.Linear(2, 1), np.zeros(4), [0, 1, 0, 1], {}, ValueError, r"two features.*got \(4,\)"),
        (nn.Linear(2, 1), np.zeros((4, 2)), [0, 1, 0], {}, ValueError, "x has 4 rows, y has 3"),
        (nn.Linear(2, 1), np.zeros((2, 2)), [0, 2], {}, ValueError, "y has the class 2, but .* the classes 0, 1"),
        (nn.Linear(2, 3), np.zeros((2, 2)), [0, 3], {}, ValueError, "y has the class 3, but .* the classes 0, 1, 2"),
        (nn.Linear(2, 1), np.zeros((2, 2)), [0, 0.5], {}, ValueError, "y must hold class numbers, got 0.5"),
        (nn.Linear(2, 1), np.zeros((2, 2)), ["a", "b"], {}, TypeError, "y must hold class numbers.*got the name 'a'"),
        (nn.Linear(2, 1), [["a", "b"]], [0], {}, TypeError, "x must hold numbers"),
        (nn.Linear(2, 1), [[0, 1], [2]], [0, 1], {}, ValueError, "x must be an array; its rows have different lengths"),
        (nn.Linear(2, 1), [[0, np.nan]], [0], {}, ValueError, "x contains NaN"),
        (nn.Linear(2, 1), np.zeros((0, 2)), [], {}, ValueError, "x must have at least one row"),
        (nn.Linear(2, 1), np.zeros((2, 2)), [0, 1], {"class_names": ["a"]}, ValueError, "1 names, .* 2 classes"),
        (nn.Linear(2, 1), np.zeros((2, 2)), [0, 1], {"class_names": "ab"}, TypeError, "class_names must be a list"),
        (nn.Linear(2, 1), np.zeros((2, 2)), [0, 1], {"feature_names": ["a"]}, ValueError, "feature_names must be two"),
        (
            nn.Linear(2, 1),
            np.zeros((2, 2)),
            [0, 1],
            {"resolution": 1},
            ValueError,
            "resolution must be an integer >= 2",
        ),
        (nn.Linear(2, 1), np.zeros((2, 2)), [0, 1], {"threshold": "a"}, ValueError, "threshold must be"),
        (nn.Linear(5, 1), np.zeros((2, 2)), [0, 1], {}, ValueError, "cannot take its input"),
        (Several(), np.zeros((2, 2)), [0, 1], {}, ValueError, "one output tensor; this one returns a dict"),
        (nn.Unflatten(1, (2, 1)), np.zeros((2, 2)), [0, 1], {}, ValueError, r"shape \(n, classes\), got"),
        ("model", np.zeros((2, 2)), [0, 1], {}, TypeError, "an nn.Module or an object with predict"),
        (DecisionTreeClassifier, np.zeros((2, 2)), [0, 1], {}, TypeError, "an nn.Module or an object with predict"),
    ],
)
def test_what_cannot_be_plotted_is_an_error(model, x, y, given, kind, message):
    with pytest.raises(kind, match=message):
        plot(model, x, y, **given)
    assert plt.get_fignums() == []


def test_outputs_that_are_questions_of_their_own_are_refused():
    x, y = blobs(3)
    model = kt.Sequential([kt.Input((2,)), Dense(3, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(ValueError, match="each is a question of its own"):
        plot(model, x, y)


def test_names_in_the_data_and_numbers_of_a_classifier_are_refused():
    x, y = blobs(2)
    tree = DecisionTreeClassifier().fit(x, y)
    with pytest.raises(TypeError, match=r"y holds classes such as '[ab]', but the model predicts [01]"):
        plot(tree, x, np.array(["a", "b"])[y])


def test_a_diverged_model_is_refused():
    x, y = blobs(2)
    module = nn.Linear(2, 1)
    module.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="the model returns NaN"):
        plot(module, x, y)
