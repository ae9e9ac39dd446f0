"""Every example runs, and reaches what scikit-learn's own network reaches on the same data."""

import pathlib
import runpy
import sys
import warnings

import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.optional import optional

safetensors_torch = optional("safetensors.torch")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs an example as a script, in an empty folder; what its names are at the end."""

    def _run(name, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return _run


def reference(network, found):
    """The test score of scikit-learn's network on an example's own split, the mean of five starts."""
    scores = []
    for seed in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = make_pipeline(StandardScaler(), clone(network).set_params(random_state=seed))
            scores.append(model.fit(found["x"], found["y"]).score(found["x_test"], found["y_test"]))
    return sum(scores) / len(scores)


def test_the_quickstart_reaches_95_percent_and_saves_a_plot(run, tmp_path, capsys):
    found = run("quickstart.py")
    assert found["accuracy"] >= 0.95
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert f"Test accuracy: {found['accuracy']:.3f}" in out
    assert "Epoch 1/30" in out


def test_breast_cancer_reaches_scikit_learns_network(run):
    found = run("breast_cancer.py")
    assert found["accuracy"] >= reference(MLPClassifier((16,), max_iter=500), found) - 0.02


def test_diabetes_reaches_scikit_learns_network(run):
    found = run("diabetes.py")
    network = MLPRegressor(hidden_layer_sizes=(32,), max_iter=200, early_stopping=True, learning_rate_init=0.01)
    assert found["r2"] >= reference(network, found) - 0.02


def test_iris_reaches_scikit_learns_network(run):
    found = run("iris.py")
    assert found["accuracy"] >= reference(MLPClassifier((16,), max_iter=1000), found) - 0.02


def test_an_existing_model_learns_and_shares_its_weights(run):
    found = run("existing_model.py")
    assert found["f1"] >= 0.93
    assert all(a is b for a, b in zip(found["net"].parameters(), found["model"].parameters(), strict=True))


def test_a_training_step_of_ones_own_learns(run):
    found = run("own_training_step.py")
    assert found["accuracy"] >= 0.95
    assert found["history"].history["apart"][-1] > 0


def test_the_best_model_is_kept_and_loaded(run, tmp_path):
    found = run("save_and_load.py")
    assert found["accuracy"] >= 0.94
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.kt", "best.weights.safetensors"]
    weights = safetensors_torch.load_file(tmp_path / "best.weights.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in found["best"].state_dict().items())


def test_no_example_is_left_out():
    text = pathlib.Path(__file__).read_text()
    assert all(path.name in text for path in EXAMPLES.glob("*.py"))


def test_random_shifts_help_where_images_are_few(run):
    accuracy = run("images.py")["accuracy"]
    assert accuracy[True] > accuracy[False] > 0.9


def test_sentences_are_told_apart(run):
    assert run("text.py")["accuracy"] >= 0.9


def test_the_functional_api_learns_three_answers_and_draws_itself(run, tmp_path, capsys):
    found = run("functional_api.py")["found"]
    assert found["digit_accuracy"] >= 0.94
    assert (tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "concatenate = self.concatenate([look, look_1])" in out
    assert "look (Dense)" in out
