"""Temperature scaling: the temperature that SciPy finds for logits by hand, and models that use it."""

import pickle

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logsumexp, softmax
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(300, 5)).astype("float32")
WEIGHT = GENERATOR.normal(size=(4, 5)) * 3
TRUE = X @ WEIGHT.T
CLASSES = np.array(
    [GENERATOR.choice(4, p=row) for row in softmax(TRUE / 2.5, 1)]
)  # the logits TRUE are 2.5 times too large
YES = (GENERATOR.random(300) < expit(TRUE[:, 0] / 3)).astype("float32")
LABELS = (GENERATOR.random((300, 4)) < expit(TRUE / 2)).astype("float32")


def linear(outputs=4):
    layer = nn.Linear(5, outputs, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(WEIGHT[:outputs]))
    return layer


def by_scipy(logits, y, weight=None, binary=False):
    """Return the temperature with the smallest mean log loss."""
    weight = np.ones(len(logits)) if weight is None else weight
    logits = logits.astype("float64")

    def loss(log_temperature):
        scaled = logits / np.exp(log_temperature)
        if binary:
            values = np.logaddexp(0, scaled) - y * scaled
        elif y.ndim == 2:
            values = -(y * log_softmax(scaled, 1)).sum(1)
        else:
            values = logsumexp(scaled, 1) - scaled[np.arange(len(y)), y]
        return np.average(values.reshape(len(values), -1).mean(1), weights=weight)

    return float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10}).x))


def logits_of(module=None):
    with torch.no_grad():
        return (module or linear())(torch.as_tensor(X)).numpy()


def scaled(model, y, x=X, **options):
    return kt.evaluation.temperature_scaling(model, x, y, **options)


def compiled(model, loss, **options):
    model.compile(loss=loss, **options)
    return model


def dense(activation):
    model = kt.Sequential([kt.layers.Dense(4, activation, use_bias=False)])
    model.predict(X[:1], verbose=0)
    with torch.no_grad():
        model[0].weight.copy_(torch.as_tensor(WEIGHT))
    return model


def functional(activation):
    x = kt.Input(shape=(5,))
    return kt.Model(x, activation(kt.call(linear(), x)))


MULTICLASS = {
    "Dense with softmax": lambda: compiled(dense("softmax"), "sparse_categorical_crossentropy"),
    "Dense with log_softmax": lambda: compiled(dense("log_softmax"), nn.NLLLoss()),
    "softmax, not compiled": lambda: dense("softmax"),
    "torch's softmax": lambda: kt.Sequential([linear(), nn.Softmax(-1)]),
    "a layer of Keras": lambda: kt.Sequential([linear(), kt.layers.Softmax()]),
    "an activation layer": lambda: kt.Sequential([linear(), kt.layers.Activation("softmax")]),
    "nested": lambda: kt.Sequential([kt.layers.Identity(), kt.Sequential([linear(), nn.Softmax(-1), nn.Identity()])]),
    "a view": lambda: kt.Model(nn.Sequential(linear(), nn.Sequential(nn.Softmax(-1)))),
    "functional": lambda: functional(kt.layers.Softmax()),
    "functional, Dense": lambda: functional(lambda x: kt.call(nn.Softmax(-1), x)),
    "logits for a loss of torch": lambda: compiled(kt.Model(linear()), nn.CrossEntropyLoss()),
    "logits for a loss of Keras": lambda: compiled(
        dense(None), kt.losses.SparseCategoricalCrossentropy(from_logits=True)
    ),
    "logits for the name": lambda: compiled(dense(None), "crossentropy"),
    "logits, not compiled": lambda: kt.Model(linear()),
}


@pytest.mark.parametrize("name", MULTICLASS)
def test_the_temperature_of_classes_is_that_of_scipy(name):
    model = MULTICLASS[name]()
    before = model.predict(X, verbose=0)
    found = scaled(model, CLASSES)
    logits = logits_of()
    assert found.temperature == pytest.approx(by_scipy(logits, CLASSES), rel=1e-5)
    assert found.temperature == pytest.approx(2.5, rel=0.25)
    probabilities = softmax(logits / found.temperature, 1)
    outputs = found.model.predict(X, verbose=0)
    if name.startswith("logits"):
        np.testing.assert_allclose(outputs, logits / found.temperature, rtol=1e-4, atol=1e-5)
    elif "log_softmax" in name:
        np.testing.assert_allclose(outputs, np.log(probabilities), rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(outputs, probabilities, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(outputs.argmax(1), before.argmax(1))
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)  # the model itself is as before
    assert found.before.accuracy == found.after.accuracy == np.mean(before.argmax(1) == CLASSES)
    losses = [
        -log_softmax(logits.astype("f8") / one, 1)[np.arange(300), CLASSES].mean() for one in (1, found.temperature)
    ]
    np.testing.assert_allclose([found.before.log_loss, found.after.log_loss], losses, rtol=1e-6)


YES_OR_NO = {
    "sigmoid": (lambda: compiled(kt.Sequential([linear(1), nn.Sigmoid()]), "binary_crossentropy"), YES),
    "Dense with sigmoid": (lambda: compiled(dense("sigmoid"), "binary_crossentropy"), LABELS),
    "a column of targets": (lambda: kt.Sequential([linear(1), nn.Sigmoid()]), YES[:, None]),
    "integer targets": (lambda: kt.Sequential([linear(1), kt.layers.Activation("sigmoid")]), YES.astype(int)),
    "logits": (lambda: compiled(kt.Model(linear(1)), nn.BCEWithLogitsLoss()), YES[:, None]),
    "logits, not compiled": (lambda: kt.Model(linear(1)), YES),
    "several labels": (lambda: compiled(kt.Model(linear(4)), nn.BCEWithLogitsLoss()), LABELS),
    "several labels of a sigmoid": (lambda: compiled(kt.Sequential([linear(4), nn.Sigmoid()]), "bce"), LABELS),
}


@pytest.mark.parametrize("name", YES_OR_NO)
def test_the_temperature_of_answers_is_that_of_scipy(name):
    make, y = YES_OR_NO[name]
    model = make()
    logits = logits_of(linear(4 if y is LABELS else 1))
    found = scaled(model, y)
    assert found.temperature == pytest.approx(by_scipy(logits, y.reshape(logits.shape), binary=True), rel=1e-5)
    outputs = found.model.predict(X, verbose=0)
    expected = logits / found.temperature
    np.testing.assert_allclose(
        outputs, expected if "logits" in name or name == "several labels" else expit(expected), rtol=1e-4, atol=1e-6
    )
    assert found.before.accuracy == found.after.accuracy == np.mean((logits > 0) == y.reshape(logits.shape))


def test_one_hot_and_soft_targets_count_as_probabilities():
    model = compiled(dense("softmax"), "categorical_crossentropy")
    one_hot = np.eye(4, dtype="f4")[CLASSES]
    assert scaled(model, one_hot).temperature == pytest.approx(by_scipy(logits_of(), CLASSES), rel=1e-5)
    soft = 0.9 * one_hot + 0.025
    assert scaled(model, soft).temperature == pytest.approx(by_scipy(logits_of(), soft), rel=1e-5)


def test_sample_weights_count():
    weight = np.arange(300) % 5
    found = scaled(compiled(dense("softmax"), "sparse_categorical_crossentropy"), CLASSES, sample_weight=weight)
    logits = logits_of()
    assert found.temperature == pytest.approx(by_scipy(logits, CLASSES, weight), rel=1e-5)
    right = logits.argmax(1) == CLASSES
    assert found.before.accuracy == pytest.approx(np.average(right, weights=weight))


def test_images_have_a_temperature_for_all_pixels_but_the_ignored_ones():
    torch.manual_seed(0)
    net = nn.Conv2d(2, 3, 1)
    x = torch.randn(6, 2, 4, 4)
    logits = net(x).detach().numpy() * 4
    with torch.no_grad():
        net.weight.mul_(4), net.bias.mul_(4)
    y = np.random.default_rng(1).integers(0, 3, (6, 4, 4))
    y[x[:, 0].numpy() > 0] = logits.argmax(1)[x[:, 0].numpy() > 0]
    y[0] = -100
    found = scaled(compiled(kt.Model(net), nn.CrossEntropyLoss()), y, x)
    flat, counts = np.moveaxis(logits, 1, -1).reshape(-1, 3), y.ravel() != -100
    assert found.n == counts.sum()
    assert found.temperature == pytest.approx(by_scipy(flat[counts], y.ravel()[counts]), rel=1e-5)
    probabilities = kt.Model(nn.Sequential(net, nn.Softmax2d()))
    again = scaled(probabilities, np.where(y == -100, 0, y), x)
    np.testing.assert_allclose(
        again.model.predict(x, verbose=0), softmax(logits / again.temperature, 1), rtol=1e-4, atol=1e-6
    )


def test_probabilities_that_round_to_0_and_1_have_the_temperature_of_their_logits():
    torch.manual_seed(0)
    net = linear()
    with torch.no_grad():
        net.weight.mul_(200)
    model = compiled(kt.Sequential([net, nn.Softmax(-1)]), "sparse_categorical_crossentropy")
    assert (model.predict(X, verbose=0) == 0).any()
    logits = logits_of(net)
    found = scaled(model, CLASSES)
    assert found.temperature == pytest.approx(200 * by_scipy(logits / 200, CLASSES), rel=1e-4)
    assert np.isfinite(found.before.log_loss)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_calibration_error_is_that_of_the_formula(weighted):
    weight = np.arange(1, 301) / 300 if weighted else np.ones(300)
    options = {"sample_weight": weight} if weighted else {}
    found = scaled(dense("softmax"), CLASSES, n_bins=10, **options)
    for scores, temperature in ((found.before, 1), (found.after, found.temperature)):
        probabilities = softmax(logits_of().astype("f8") / temperature, 1)
        confidence, right = probabilities.max(1), probabilities.argmax(1) == CLASSES
        error = 0.0
        for index in range(10):
            inside = (confidence > index / 10) & (confidence <= (index + 1) / 10)
            if inside.any():
                gap = np.average(right[inside], weights=weight[inside]) - np.average(
                    confidence[inside], weights=weight[inside]
                )
                error += weight[inside].sum() / weight.sum() * abs(gap)
        assert scores.ece == pytest.approx(error, rel=1e-5)
    assert found.after.ece < found.before.ece


def test_a_calibrated_model_has_temperature_1():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(5000, 5)).astype("float32")
    y = np.array([generator.choice(4, p=row) for row in softmax(x @ WEIGHT.T, 1)])
    assert scaled(dense("softmax"), y, x).temperature == pytest.approx(1, abs=0.08)


def test_the_scaled_model_is_evaluated_with_the_loss_and_the_metrics_of_the_original():
    model = compiled(dense("softmax"), "sparse_categorical_crossentropy", metrics=["accuracy"])
    found = scaled(model, CLASSES)
    logs = found.model.evaluate(X, CLASSES, verbose=0, return_dict=True)
    assert logs == pytest.approx({"loss": found.after.log_loss, "accuracy": found.after.accuracy}, rel=1e-5)
    logits = compiled(kt.Model(linear()), nn.CrossEntropyLoss(), metrics=["accuracy"])
    logs = scaled(logits, CLASSES).model.evaluate(X, CLASSES, verbose=0, return_dict=True)
    assert logs == pytest.approx({"loss": found.after.log_loss, "accuracy": found.after.accuracy}, rel=1e-5)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_the_scaled_model_is_saved_loaded_and_exported(activation, tmp_path):
    loss = "sparse_categorical_crossentropy" if activation else "crossentropy"
    found = scaled(compiled(dense(activation), loss, metrics=["accuracy"]), CLASSES)
    expected = found.model.predict(X, verbose=0)
    found.model.save(tmp_path / "scaled.kt")
    loaded = kt.load_model(tmp_path / "scaled.kt")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)
    before = found.model.evaluate(X, CLASSES, verbose=0)
    assert loaded.evaluate(X, CLASSES, verbose=0) == pytest.approx(before)
    found.model.export(tmp_path / "scaled.pt2")
    program = torch.export.load(tmp_path / "scaled.pt2").module()
    np.testing.assert_allclose(program(torch.as_tensor(X)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_result_can_be_pickled():
    found = scaled(compiled(dense("softmax"), "sparse_categorical_crossentropy"), CLASSES)
    again = pickle.loads(pickle.dumps(found))
    assert again.temperature == found.temperature
    np.testing.assert_array_equal(again.model.predict(X, verbose=0), found.model.predict(X, verbose=0))
    assert str(again) == str(found)


def test_the_report_of_the_scaled_model_has_the_same_calibration_error():
    found = scaled(compiled(dense("softmax"), "sparse_categorical_crossentropy"), CLASSES)
    report = kt.evaluation.report(found.model, X, CLASSES, n_bootstrap=0)
    assert report.calibration.ece == pytest.approx(found.after.ece, rel=1e-4)


def test_all_kinds_of_data_give_the_temperature():
    model = compiled(dense("softmax"), "sparse_categorical_crossentropy")
    expected = scaled(model, CLASSES).temperature
    dataset = TensorDataset(torch.as_tensor(X), torch.as_tensor(CLASSES))
    for data in (dataset, DataLoader(dataset, 64), DataLoader(dataset, 64, shuffle=True)):
        assert kt.evaluation.temperature_scaling(model, data).temperature == pytest.approx(expected, rel=1e-5)
    batches = ((X[i : i + 100], CLASSES[i : i + 100]) for i in range(0, 300, 100))
    assert kt.evaluation.temperature_scaling(model, batches).temperature == pytest.approx(expected, rel=1e-5)
    model.compile(loss="sparse_categorical_crossentropy", prepare_batch=lambda one: (one["a"], one["b"]))
    loader = DataLoader([{"a": x, "b": y} for x, y in zip(X, CLASSES, strict=True)], 50)
    assert kt.evaluation.temperature_scaling(model, loader).temperature == pytest.approx(expected, rel=1e-5)


def test_models_of_several_inputs_are_scaled():
    a, b = kt.Input(shape=(5,), name="a"), kt.Input(shape=(5,), name="b")
    model = kt.Model([a, b], kt.layers.Softmax()(kt.call(linear(), kt.layers.average([a, b]))))
    found = scaled(model, CLASSES, [X, X])
    assert found.temperature == pytest.approx(by_scipy(logits_of(), CLASSES), rel=1e-5)
    expected = softmax(logits_of() / found.temperature, 1)
    for data in ([X, X], {"a": X, "b": X}):
        np.testing.assert_allclose(found.model.predict(data, verbose=0), expected, rtol=1e-4, atol=1e-6)


def test_an_activation_that_is_shared_stays_where_it_is_hidden():
    torch.manual_seed(0)
    shared = nn.Sigmoid()
    first, last = nn.Linear(5, 3), nn.Linear(3, 1)
    with torch.no_grad():
        last.weight.mul_(20)
    model = kt.Sequential([first, shared, last, shared])
    logits = nn.Sequential(first, nn.Sigmoid(), last)(torch.as_tensor(X)).detach().numpy()
    y = (np.random.default_rng(2).random(300) < expit(logits[:, 0] / 4)).astype("f4")
    found = scaled(model, y)
    assert found.temperature == pytest.approx(by_scipy(logits, y[:, None], binary=True), rel=1e-5)


def test_the_scaled_model_is_built_and_knows_its_shapes(capsys):
    model = compiled(dense("softmax"), "sparse_categorical_crossentropy")
    scaled(model, CLASSES).model.summary()
    text = capsys.readouterr().out
    assert "unbuilt" not in text
    assert text.count("(None, 4)") == 3


def test_averaged_weights_and_dropout_are_those_of_an_evaluation():
    torch.manual_seed(0)
    net = kt.Sequential([nn.Dropout(0.5), linear(), nn.Softmax(-1)])
    net.train()
    assert scaled(net, CLASSES).temperature == pytest.approx(by_scipy(logits_of(), CLASSES), rel=1e-5)
    assert net.training


def test_the_result_is_shown_as_text_table_and_plot(tmp_path):
    found = scaled(dense("softmax"), CLASSES)
    text = str(found)
    assert text.splitlines()[0] == f"Temperature scaling: temperature {found.temperature:.3f}, fitted to 300 targets"
    assert [line.split()[0] for line in text.splitlines()[3:]] == ["log", "ECE", "accuracy"]
    assert repr(found) == text
    frame = found.frame()
    assert list(frame.index) == ["before", "after"]
    assert frame.loc["after", "ece"] == found.after.ece
    figure = found.plot(tmp_path / "calibration.png")
    assert (tmp_path / "calibration.png").stat().st_size > 1000
    assert [axes.get_xlabel() for axes in figure.axes] == ["confidence", "confidence"]
    with pytest.raises(ValueError, match="must be a file name"):
        found.plot(tmp_path / "calibration.txt")


class Probabilities(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = linear()

    def forward(self, x):
        return torch.softmax(self.linear(x), -1)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = linear()

    def forward(self, x):
        return self.linear(x), self.linear(x)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = linear()

    def forward(self, x):
        return {"logits": self.linear(x)}


WRONG = {
    "probabilities of a forward": (lambda: kt.Model(Probabilities()), CLASSES, "the outputs are probabilities"),
    "probabilities for the loss": (
        lambda: compiled(kt.Model(Probabilities()), "sparse_categorical_crossentropy"), CLASSES, "Let it return logits",
    ),
    "regression": (lambda: compiled(kt.Model(linear(1)), "mse"), X[:, :1], "needs logits of a classifier"),
    "margins": (lambda: compiled(kt.Model(linear(1)), "hinge"), 2 * YES - 1, "needs logits of a classifier"),
    "all right": (lambda: dense("softmax"), TRUE.argmax(1), "all 300 targets are predicted"),
    "all wrong": (lambda: dense("softmax"), TRUE.argmin(1), "say nothing about these targets"),
    "classes that do not exist": (lambda: dense("softmax"), CLASSES + 1, "class 4"),
    "several outputs": (lambda: kt.Model(Two()), CLASSES, "one output, a tensor, got a tuple"),
    "a dict of one output": (lambda: kt.Model(Named()), CLASSES, "one output, a tensor, got a dict"),
    "no weights": (lambda: kt.Sequential([kt.layers.Dense(4, "softmax")]), CLASSES, "needs a trained model"),
    "no targets": (lambda: dense("softmax"), None, "needs targets"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_temperature_is_an_error(name):
    make, y, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        scaled(make(), y)


def test_a_module_without_the_methods_of_a_model_is_an_error():
    with pytest.raises(TypeError, match=r"such as kt.Model\(module\).* got Linear"):
        scaled(linear(), CLASSES)
    with pytest.raises(ValueError, match="n_bins must be an integer >= 1"):
        scaled(dense("softmax"), CLASSES, n_bins=0)
    broken = dense("softmax")
    with torch.no_grad():
        broken[0].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        scaled(broken, CLASSES)
