"""Every example runs, and reaches what scikit-learn or a formula reaches on the same data.

Those that take long are marked `slow`; the build of the site runs all scripts.
"""

import pathlib
import runpy
import sys
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import uniform_filter
from scipy.stats import norm
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import jaccard_score, log_loss, mean_pinball_loss, precision_score, recall_score
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight
from support.optional import optional

matplotlib = optional("matplotlib")
pyplot = optional("matplotlib.pyplot")
optuna = optional("optuna")
safetensors_torch = optional("safetensors.torch")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"

# `plt.show()` of a script has no window in a test.
pytestmark = pytest.mark.filterwarnings("ignore:.* is non-interactive, and thus cannot be shown")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run an example as a script in an empty folder, and return what its names are at the end."""
    matplotlib.use("agg")

    def _run(name):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    yield _run
    pyplot.close("all")


def scored(network, x, y, x_test, y_test):
    """Return the test score of a network of scikit-learn, the mean of five starts."""
    scores = []
    for seed in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make_pipeline(StandardScaler(), clone(network).set_params(random_state=seed))
            scores.append(model.fit(x, y).score(x_test, y_test))
    return sum(scores) / len(scores)


def reference(network, found):
    """Return the test score of a network of scikit-learn on the split of an example."""
    return scored(network, *(found[name] for name in ("x", "y", "x_test", "y_test")))


def dense(model, x, *activations):
    """Return the output of dense layers, by hand: products, sums and functions of torch."""
    h = torch.tensor(np.asarray(x), dtype=torch.float32)
    weights = [weight.detach() for weight in model.parameters()]
    for weight, bias, activation in zip(weights[::2], weights[1::2], activations, strict=True):
        h = activation(h @ weight.T + bias)
    return h


def linear(x):
    return x


def softmax(x):
    return torch.softmax(x, dim=1)


def test_no_example_is_left_out():
    text = pathlib.Path(__file__).read_text()
    assert all(f'run("{path.name}")' in text for path in EXAMPLES.glob("*.py"))


def test_examples_are_short():
    assert not [path.name for path in EXAMPLES.glob("*.py") if len(path.read_text().splitlines()) > 60]


def test_the_quickstart_reaches_95_percent_and_saves_a_plot(run, tmp_path, capsys):
    found = run("quickstart.py")
    assert found["accuracy"] >= 0.95
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert f"Test accuracy: {found['accuracy']:.3f}" in out
    assert "Epoch 1/15" in out


def test_breast_cancer_reaches_scikit_learns_network(run):
    found = run("breast_cancer.py")
    assert found["accuracy"] >= reference(MLPClassifier((16,), max_iter=500), found) - 0.02


def test_diabetes_reaches_scikit_learns_network(run):
    found = run("diabetes.py")
    network = MLPRegressor(hidden_layer_sizes=(32,), max_iter=200, early_stopping=True, learning_rate_init=0.01)
    assert found["r2"] >= reference(network, found) - 0.02
    residual = ((found["predicted"] - found["y_test"]) ** 2).sum() / (
        (found["y_test"] - found["y_test"].mean()) ** 2
    ).sum()
    assert found["r2"] == pytest.approx(1 - residual, abs=1e-4)


@pytest.mark.slow
def test_a_search_finds_a_network_that_is_better_than_logistic_regression(run):
    optuna.logging.get_verbosity()  # skips the test if Optuna is not installed
    found = run("hyperparameter_search.py")
    study = found["study"]
    linear_model = LogisticRegression(max_iter=2000).fit(found["x_train"], found["y_train"])
    assert study.best_value < log_loss(found["y_val"], linear_model.predict_proba(found["x_val"]))
    assert study.best_value == min(study.best_trial.intermediate_values.values())
    assert 3 <= len(found["pruned"]) <= 17


def test_iris_reaches_scikit_learns_network(run):
    found = run("iris.py")
    assert found["accuracy"] >= reference(MLPClassifier((16,), max_iter=1000), found) - 0.02


def test_an_existing_model_learns_and_shares_its_weights(run):
    found = run("existing_model.py")
    assert found["f1"] >= 0.93
    assert all(a is b for a, b in zip(found["net"].parameters(), found["model"].parameters(), strict=True))


def test_a_training_step_with_two_noisy_views_makes_a_model_robust(run):
    found = run("own_training_step.py")
    plain, consistent = found["accuracy"]["Sequential"], found["accuracy"]["Consistent"]
    network = scored(MLPClassifier((64,)), *(found[name] for name in ("x", "y", "x_test", "y_test")))
    assert min(plain[0], consistent[0]) >= network - 0.03
    assert all(a > b + 0.02 for a, b in zip(consistent[3:], plain[3:], strict=True))
    noisy = found["x_test"] + found["levels"][-1] * found["noise"]
    guessed = dense(found["model"], noisy, torch.relu, linear).argmax(1).numpy()
    assert consistent[-1] == pytest.approx((guessed == found["y_test"]).mean(), abs=2e-3)


def test_a_network_learns_a_differential_equation_and_is_validated_by_its_residual(run):
    found = run("differential_equation.py")
    t = found["grid"]
    assert abs(found["u"] - np.sin(t)).max() < 5e-3
    ends = found["model"].predict(np.array([[0.0], [1e-3]]), verbose=0)
    assert ends[0] == 0
    assert ends[1] / 1e-3 == pytest.approx(1, abs=1e-2)
    h = t[1, 0] - t[0, 0]
    u = found["u"].astype("float64")[:, 0]
    curvature = (u[2:] - 2 * u[1:-1] + u[:-2]) / h**2
    expected = np.square(curvature + u[1:-1]).mean()  # by finite differences
    assert found["history"].history["val_loss"][-1] == pytest.approx(expected, abs=2e-4)


def test_the_best_model_is_saved_and_loaded(run, tmp_path):
    found = run("save_and_load.py")
    assert found["accuracy"] >= 0.94
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.kt", "best.weights.safetensors"]
    weights = safetensors_torch.load_file(tmp_path / "best.weights.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in found["best"].state_dict().items())


@pytest.mark.slow
def test_random_shifts_help_where_images_are_few(run):
    accuracy = run("images.py")["accuracy"]
    assert accuracy[True] > accuracy[False] > 0.9


@pytest.mark.slow
def test_sentences_are_assigned_to_their_manual(run):
    assert run("text.py")["accuracy"] >= 0.9


def test_the_functional_api_learns_three_answers_and_draws_itself(run, tmp_path, capsys):
    scores = run("functional_api.py")["scores"]
    assert scores["digit_accuracy"] >= 0.94
    assert (tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")
    assert "concatenate = self.concatenate([read, read_1])" in capsys.readouterr().out


def test_a_penalty_helps_wine_and_both_networks_beat_the_baseline(run):
    found = run("wine.py")
    x, y, x_test, y_test = (found[name] for name in ("x", "y", "x_test", "y_test"))
    prior = DummyClassifier(strategy="prior").fit(x, y)
    assert found["baseline"] == pytest.approx(log_loss(y_test, prior.predict_proba(x_test)))
    probabilities = {name: dense(one, x_test, torch.relu, softmax).numpy() for name, one in found["models"].items()}
    losses = {name: log_loss(y_test, one) for name, one in probabilities.items()}
    for name, value in found["crossentropy"].items():
        assert value == pytest.approx(losses[name], rel=1e-3)
    plain, penalized = losses.values()
    assert penalized < plain - 0.05 < found["baseline"] / 2
    sizes = [sum(float((w.detach() ** 2).sum()) for w in one.parameters()) for one in found["models"].values()]
    assert sizes[1] < 0.7 * sizes[0]
    accuracy = (probabilities["L2(0.01)"].argmax(1) == y_test).mean()
    assert accuracy >= reference(MLPClassifier((64,), learning_rate_init=0.01, max_iter=300), found)


@pytest.mark.slow
def test_the_autoencoder_is_better_than_as_many_principal_components(run):
    found = run("autoencoder.py")
    x, x_test = found["x"], found["x_test"]
    codes = dense(found["encoder"], x_test, torch.relu, linear)
    assert codes.shape == (len(x_test), 8)
    copies = dense(found["decoder"], codes, torch.relu, torch.sigmoid).numpy()
    _, _, components = np.linalg.svd(x - x.mean(0), full_matrices=False)
    projected = (x_test - x.mean(0)) @ components[:8].T @ components[:8] + x.mean(0)
    assert found["pca_error"] == pytest.approx(((projected - x_test) ** 2).mean(), rel=1e-3)
    assert found["error"] == pytest.approx(((copies - x_test) ** 2).mean(), rel=1e-3)
    assert found["error"] < 0.8 * found["pca_error"]


@pytest.mark.slow
def test_the_time_series_is_forecast_better_than_by_a_linear_model(run):
    found = run("time_series.py")
    x, y, x_test, y_test = (found[name] for name in ("x", "y", "x_test", "y_test"))
    coefficients, *_ = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)
    linear_error = ((np.c_[x_test, np.ones(len(x_test))] @ coefficients - y_test) ** 2).mean()
    by_hand = dense(found["model"], x_test, torch.relu, torch.relu, linear).numpy()
    assert ((by_hand - y_test) ** 2).mean() < 0.05 * linear_error
    np.testing.assert_allclose(found["errors"]["network"], np.sqrt(((by_hand - y_test) ** 2).mean(0)), atol=1e-4)


@pytest.mark.slow
def test_frozen_features_answer_a_new_question_from_few_labels(run):
    found = run("transfer_learning.py")
    for before, after in zip(found["learned"], found["features"].parameters(), strict=True):
        assert torch.equal(before, after)
    transferred, scratch = found["accuracy"]["transferred"], found["accuracy"]["from scratch"]
    for number, size in enumerate(found["sizes"][:3]):
        pixels = LogisticRegression(max_iter=1000).fit(found["x_new"][:size], found["loop"][:size])
        assert transferred[number] > max(scratch[number], pixels.score(found["x_test"], found["loop_test"])) + 0.02


def test_class_weights_find_more_of_the_rare_class(run):
    found = run("imbalanced.py")
    y, y_test, scores = found["y"], found["y_test"], found["scores"]
    assert [*found["balanced"].values()] == pytest.approx(
        compute_class_weight("balanced", classes=np.array([0, 1]), y=y).tolist()
    )
    for one in scores.values():
        guessed = one["probability"] > 0.5
        assert one["recall"] == pytest.approx(recall_score(y_test, guessed))
        assert one["precision"] == pytest.approx(precision_score(y_test, guessed))
    regression = LogisticRegression(class_weight="balanced").fit(found["x"], y)
    linear_recall = recall_score(y_test, regression.predict(found["x_test"]))
    assert scores["weighted"]["recall"] > max(scores["plain"]["recall"] + 0.05, linear_recall - 0.06)


@pytest.mark.slow
def test_the_learning_rate_finder_finds_a_rate_that_trains(run):
    found = run("learning_rate_finder.py")
    too_small, good, too_large = found["accuracy"].values()
    assert good > 0.93 > 0.7 > max(too_small, too_large)
    batch = np.random.default_rng(0).choice(len(found["x"]), 64, replace=False)
    logits = dense(found["make_model"](0.1), found["x"][batch], torch.relu, linear)
    first = F.cross_entropy(logits, torch.tensor(found["y"][batch]))
    assert found["losses"][0] == pytest.approx(float(first), rel=1e-4)


@pytest.mark.slow
def test_cross_validation_agrees_with_scikit_learns(run):
    found = run("cross_validation.py")
    network = make_pipeline(StandardScaler(), MLPClassifier((32,), learning_rate_init=0.02, random_state=0))
    expected = cross_val_score(network, found["x"], found["y"], cv=found["folds"])
    assert np.mean(found["scores"][32]) == pytest.approx(expected.mean(), abs=0.03)
    regression = make_pipeline(StandardScaler(), LogisticRegression())
    expected = cross_val_score(regression, found["x"], found["y"], cv=found["folds"])
    assert np.mean(found["scores"][0]) == pytest.approx(expected.mean(), abs=0.03)
    assert all(len(values) == 5 for values in found["scores"].values())


@pytest.mark.slow
def test_the_variational_autoencoder_draws_many_digits(run):
    found = run("vae.py")
    x, model = found["x"], found["model"]
    codes = dense(model.encoder, x, torch.relu, linear)
    means, log_variances = codes[:, :2], codes[:, 2:]
    again = dense(model.decoder, means, torch.relu, torch.sigmoid).numpy()
    np.testing.assert_allclose(found["again"], again, atol=1e-4)
    principal = PCA(2).fit(x)
    pca_error = ((principal.inverse_transform(principal.transform(x)) - x) ** 2).mean()
    assert ((again - x) ** 2).mean() < 0.8 * pca_error
    assert abs(means.mean(0)).max() < 0.5
    grid = dense(model.decoder, found["points"], torch.relu, torch.sigmoid).numpy()
    np.testing.assert_allclose(found["drawn"], grid, atol=1e-4)
    assert len(set(KNeighborsClassifier(1).fit(x, found["y"]).predict(grid))) >= 7
    regions = torch.distributions.Normal(means, (log_variances / 2).exp())
    divergence = torch.distributions.kl_divergence(regions, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    scores = model.evaluate(x, verbose=0, return_dict=True)
    assert scores["loss"] - scores["data_loss"] == pytest.approx(float(divergence) / 64, rel=1e-3)


@pytest.mark.slow
def test_the_generator_draws_the_digits_that_are_asked_for(run):
    found = run("gan.py")
    x, y, model = found["x"], found["y"], found["gan"]
    digits = np.repeat(np.arange(10), 30)
    noise = np.random.default_rng(1).normal(size=(300, 32))  # the generator has not seen it
    inputs = np.hstack([noise, np.eye(10)[digits]])
    drawn = dense(model.generator, inputs, torch.relu, torch.relu, torch.sigmoid).numpy()
    np.testing.assert_allclose(model.predict(inputs), drawn, atol=1e-5)
    for judge in (SVC(), LogisticRegression(max_iter=500)):  # that know real digits only
        judge.fit(x, y)
        assert (judge.predict(drawn) == digits).mean() > 0.93
        assert (judge.predict(found["drawn"]) == found["digits"]).mean() > 0.9
    assert judge.predict_proba(drawn).max(axis=1).mean() > 0.85
    spread, real_spread = (
        np.mean([one[labels == digit].std(axis=0).mean() for digit in range(10)])
        for one, labels in ((drawn, digits), (x, y))
    )
    assert spread > 0.4 * real_spread  # the digits of a class differ
    neighbors = NearestNeighbors(n_neighbors=2).fit(x)
    nearest, between = neighbors.kneighbors(drawn)[0][:, 0].mean(), neighbors.kneighbors(x)[0][:, 1].mean()
    assert 0.5 < nearest / between < 1.5  # neither copies of real digits nor far from them
    assert list(model.optimizers) == ["generator", "discriminator"]


def test_a_layer_trained_by_bfgs_is_the_least_squares_solution(run):
    found = run("linnerud.py")
    regression = LinearRegression().fit(found["x"], found["y"])
    np.testing.assert_allclose(found["weights"], regression.coef_, atol=1e-3)


@pytest.mark.slow
def test_a_convolutional_network_sees_shapes_that_a_linear_model_does_not(run):
    found = run("shapes.py")
    flat = [found[name].reshape(len(found[name]), -1) for name in ("x", "x_test")]
    pixels = LogisticRegression(max_iter=300).fit(flat[0], found["y"]).score(flat[1], found["y_test"])
    assert found["accuracy"] > max(0.85, pixels + 0.2)


@pytest.mark.slow
def test_an_lstm_learns_to_add(run):
    found = run("addition.py")
    x, y, x_test, y_test = (found[name] for name in ("x", "y", "x_test", "y_test"))
    np.testing.assert_allclose((x[..., 0] * x[..., 1]).sum(1), y)
    regression = LinearRegression().fit(x.reshape(len(x), -1), y)
    linear_error = ((regression.predict(x_test.reshape(len(x_test), -1)) - y_test) ** 2).mean()
    assert found["error"] < 0.05 * linear_error


def test_one_script_for_several_processes_learns_digits_in_one(run, capsys):
    found = run("distributed.py")
    assert found["accuracy"] > 0.9
    assert found["share"] == pytest.approx(found["accuracy"], abs=1e-6)
    assert "Processes: 1" in capsys.readouterr().out


@pytest.mark.slow
def test_the_learned_map_separates_digits_better_than_a_linear_one(run):
    found = run("metric_learning.py")
    flat = make_pipeline(LinearDiscriminantAnalysis(n_components=2), KNeighborsClassifier(5))
    x, y, x_test, y_test = (found[name] for name in ("x", "y", "x_test", "y_test"))
    assert found["accuracy"] > 0.9 > flat.fit(x, y).score(x_test, y_test)
    points = dense(found["model"], x, torch.relu, torch.relu, linear)
    by_hand = KNeighborsClassifier(5).fit(points, y).score(found["test_points"], y_test)
    assert found["accuracy"] == pytest.approx(by_hand, abs=0.01)


def test_a_callback_watches_the_probabilities_of_an_image(run):
    found = run("custom_callback.py")
    probabilities = found["probabilities"]
    assert probabilities.shape == (30, 10)
    last = dense(found["model"], found["x_test"][found["hard"]][None], torch.relu, softmax)[0]
    np.testing.assert_allclose(probabilities[-1], last, atol=1e-5)
    assert found["history"].history["confidence"] == pytest.approx(probabilities.max(1).tolist())


@pytest.mark.slow
def test_second_order_methods_reach_lower_losses(run):
    found = run("optimizers.py")
    losses = {name: values[-1] for name, values in found["losses"].items()}
    assert losses["BFGS"] < losses["conjugate gradients"] < losses["Adam"] < losses["gradient descent"]
    x, y = found["x"], found["y"].ravel()
    errors = []
    for seed in range(3):
        network = MLPRegressor(
            hidden_layer_sizes=(10,), activation="tanh", solver="lbfgs", alpha=0, max_iter=300, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            errors.append(((network.fit(x, y).predict(x) - y) ** 2).mean())
    assert losses["BFGS"] < 10 * max(errors)


@pytest.mark.slow
def test_decision_boundaries_go_from_underfitting_to_overfitting(run):
    found = run("decision_boundaries.py")
    x, y, x_test, y_test = (found[name] for name in ("x", "y", "x_test", "y_test"))
    straight = LogisticRegression().fit(x, y).score(x_test, y_test)
    (_, (_, one)), (_, (four_loss, four)), ((_, learned), (many_loss, _)) = found["results"].values()
    assert one == pytest.approx(straight, abs=0.03)
    assert four > straight + 0.03
    assert learned > 0.99
    assert many_loss > 1.5 * four_loss


def test_the_outputs_of_quantile_regression_are_quantiles(run):
    found = run("quantile_regression.py")
    levels = np.array([0.1, 0.5, 0.9])
    assert found["below"] == pytest.approx(levels, abs=0.08)
    line = found["line"]
    true = np.sin(6 * line) + (0.1 + 0.6 * line) * norm.ppf(levels)
    assert abs(np.stack([found["low"], found["median"], found["high"]], 1) - true).mean() < 0.15
    outputs = found["model"].predict(found["x_test"], verbose=0)
    expected = np.mean(
        [mean_pinball_loss(found["y_test"], outputs[:, i], alpha=level) for i, level in enumerate(levels)]
    )
    loss = found["pinball"](torch.tensor(found["y_test"]), torch.tensor(outputs))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_the_segmentation_is_better_than_a_smoothed_image(run):
    found = run("segmentation.py")
    x_test, y_test = found["x_test"], found["y_test"]
    guessed = found["model"].predict(x_test, verbose=0) > 0.5
    assert found["scores"]["iou"] == pytest.approx(jaccard_score(y_test.ravel(), guessed.ravel()), abs=1e-4)
    smooth = uniform_filter(x_test, size=(1, 1, 5, 5)) > 0.5
    assert found["scores"]["iou"] > jaccard_score(y_test.ravel(), smooth.ravel()) + 0.03
