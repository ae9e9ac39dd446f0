"""Small tools of `keras.utils` and `keras.config`: `Progbar`, `Config`, `model_to_dot`, interactive logging."""

import copy
import json

import numpy as np
import pytest
import torch

import kerastorch.keras as keras
from kerastorch.callbacks import progress_bar


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress_bar, "in_terminal", lambda: True)


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setattr(progress_bar, "in_terminal", lambda: False)


# --- Progbar ----------------------------------------------------------------------------------------------------


def test_progbar_shows_means_weighted_by_steps_and_stateful_values_as_they_are():
    bar = keras.utils.Progbar(6, verbose=0, stateful_metrics=["accuracy"])
    bar.add(2, values=[("loss", 4.0), ("accuracy", 0.1)])
    bar.update(3, [("loss", torch.tensor(1.0)), ("accuracy", 0.2)])
    bar.add(3, values=[("loss", np.array([[1.0, 3.0]])), ("accuracy", 0.5)])
    assert bar.means() == {"loss": (2 * 4 + 1 + 3 * 2) / 6, "accuracy": 0.5}


def test_progbar_takes_the_names_of_means_instead():
    bar = keras.utils.Progbar(2, verbose=0, stateless_metrics=["loss"])
    for value in (1.0, 3.0):
        bar.add(1, [("loss", value), ("other", value)])
    assert bar.means() == {"loss": 2.0, "other": 3.0}
    with pytest.raises(ValueError, match="not both"):
        keras.utils.Progbar(2, stateful_metrics=[], stateless_metrics=[])


def test_the_values_of_a_whole_epoch_take_the_place_of_the_means():
    bar = keras.utils.Progbar(2, verbose=0)
    for value in (1.0, 3.0):
        bar.update(bar._seen + 1, [("loss", value)], finalize=False)
    bar.update(2, [("loss", 7.0)], finalize=True)
    assert bar.means() == {"loss": 7.0}


def test_progbar_prints_one_line_at_the_end(plain, capsys):
    for verbose in (1, 2):
        bar = keras.utils.Progbar(3, verbose=verbose, unit_name="sample")
        for _ in range(3):
            assert capsys.readouterr().out == ""
            bar.add(1, [("loss", 0.5)])
        line = capsys.readouterr().out
        assert line.startswith("3/3 - ")
        assert line.endswith("ms/sample - loss: 0.5000\n")
    silent = keras.utils.Progbar(1, verbose=0)
    silent.add(1, [("loss", 0.5)])
    assert capsys.readouterr().out == ""


def test_progbar_draws_a_bar_in_a_terminal(terminal, capsys):
    bar = keras.utils.Progbar(4, width=8, interval=0.0)
    for _ in range(4):
        bar.add(1, [("loss", 0.25)])
    drawn = capsys.readouterr().out
    assert "1/4 ██" in drawn
    assert drawn.splitlines()[-1].endswith("loss: 0.2500")


def test_a_progbar_without_target_ends_when_it_is_told(plain, capsys):
    bar = keras.utils.Progbar(None)
    bar.add(5)
    assert capsys.readouterr().out == ""
    bar.update(6, finalize=True)
    assert capsys.readouterr().out.startswith("6/unknown - ")


# --- interactive logging ----------------------------------------------------------------------------------------


def test_without_interactive_logging_auto_prints_lines(terminal):
    assert progress_bar.style("auto") == "bar"
    keras.config.disable_interactive_logging()
    try:
        assert not keras.utils.is_interactive_logging_enabled()
        assert [progress_bar.style(one) for one in ("auto", 1, 2, 0)] == ["line", "bar", "line", "none"]
    finally:
        keras.utils.enable_interactive_logging()
    assert keras.config.is_interactive_logging_enabled()
    assert progress_bar.style("auto") == "bar"


# --- Config -----------------------------------------------------------------------------------------------------


def test_values_of_a_config_are_attributes_and_items():
    config = keras.utils.Config(rate=0.1)
    config.seed = 3
    config["name"] = "run"
    config.update({"epochs": 2}, seed=4)
    assert (config.rate, config["seed"], config.name, config.get("nothing", 5)) == (0.1, 4, "run", 5)
    assert config.as_dict() == {"rate": 0.1, "seed": 4, "name": "run", "epochs": 2} == json.loads(config.to_json())
    assert (list(config), len(config), "rate" in config) == (["epochs", "name", "rate", "seed"], 4, True)
    assert (list(config.keys()), list(config.values())) == (["rate", "seed", "name", "epochs"], [0.1, 4, "run", 2])
    del config["rate"], config.name
    assert config.pop("seed") == 4
    assert dict(config.items()) == {"epochs": 2}
    assert copy.deepcopy(config).as_dict() == {"epochs": 2}
    with pytest.raises(AttributeError, match=r"no value 'epoch'\. It has epochs"):
        config.epoch
    with pytest.raises(AttributeError, match="a method of Config"):
        config.items = 3


def test_a_frozen_config_refuses_changes():
    config = keras.utils.Config(rate=0.1)
    config.freeze()
    for change in (
        lambda: setattr(config, "rate", 1),
        lambda: config.update(rate=1),
        lambda: config.pop("rate"),
        lambda: config.__setitem__("rate", 1),
        lambda: config.__delitem__("rate"),
        lambda: delattr(config, "rate"),
    ):
        with pytest.raises(ValueError, match="frozen"):
            change()
    assert config.frozen
    config.unfreeze()
    config.rate = 2
    assert config.as_dict() == {"rate": 2}


# --- model_to_dot -----------------------------------------------------------------------------------------------


def test_model_to_dot_gives_the_nodes_and_edges_of_the_model():
    pydot = pytest.importorskip("pydot")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    dot = keras.utils.model_to_dot(model, show_shapes=True, rankdir="LR")
    assert isinstance(dot, pydot.Dot)
    assert [(one.get_source(), one.get_destination()) for one in dot.get_edges()] == [("n0", "n1"), ("n1", "n2")]
    assert (dot.get("rankdir"), "(None, 2)" in dot.to_string()) == ("LR", True)
    assert isinstance(keras.utils.model_to_dot(model, subgraph=True), pydot.Cluster)


def test_model_to_dot_says_which_package_it_needs(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydot", None)
    with pytest.raises(ImportError, match=r"utils\.model_to_dot needs pydot: pip install pydot"):
        keras.utils.model_to_dot(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
