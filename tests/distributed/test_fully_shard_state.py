"""Saving, loading and reading models that `fully_shard` has sharded."""

import contextlib
import io
import pathlib

import numpy as np
import pytest
import torch
from support.sharded_case import BATCH, largest_difference, network, rows, shard, whole

import kerastorch as kt

HOW = ["blocks", "root", "some"]


def sequential():
    """Return a built model of kerastorch's own layers."""
    torch.manual_seed(0)
    layers = [kt.layers.Dense(7, "tanh"), kt.layers.BatchNormalization(), kt.layers.Dense(3)]
    return kt.Sequential([kt.Input((6,)), *layers])


class Own(kt.Model):
    """A user's model."""

    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(6, 7), torch.nn.Linear(7, 3)

    def forward(self, x):
        return self.last(self.first(x).tanh())

    def get_config(self):
        return {}


MAKERS = {"view": lambda: kt.Model(network()), "sequential": sequential, "own": Own}


def _trained(kind, how, optimizer="adam", epochs=1):
    """Train a sharded model with all rows on each rank, then evaluate it, which leaves parameters gathered."""
    torch.manual_seed(0)
    model = kt.Model(shard(network(), how)) if kind == "view" else shard(MAKERS[kind](), how)
    model.compile(optimizer, "mse", distribution=None)
    x, y = rows()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, shuffle=False)
    model.evaluate(x, y, verbose=0)
    return model


def _close(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)) and len(one) == len(other)


def _save_weights(kind, how, path):
    model = _trained(kind, how)
    model.save_weights(path)
    torch.manual_seed(1)
    plain = MAKERS[kind]()
    plain.load_weights(path)
    again = _trained(kind, how)
    again.load_weights(path)
    trained = whole(model)
    return (
        largest_difference(trained, whole(plain)),
        largest_difference(trained, whole(again)),
        _close(model.get_weights(), plain.get_weights()),
        _close(model.get_weights(), again.get_weights()),
        all(hasattr(one, "full_tensor") for one in again.first.parameters()) if kind == "own" and how != "some" else 1,
    )


@pytest.mark.parametrize(("kind", "how"), [("view", "root"), ("sequential", "blocks"), ("own", "blocks")])
def test_weights_are_saved_whole_and_load_into_plain_and_sharded_models(two, tmp_path, kind, how):
    for found in two.run(_save_weights, kind, how, str(tmp_path / "model.safetensors")):
        assert found == (0, 0, True, True, True)
    assert [one.name for one in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.distributed
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", MAKERS)
def test_weights_of_each_kind_of_model(three, tmp_path, kind, how):
    for found in three.run(_save_weights, kind, how, str(tmp_path / "model.safetensors")):
        assert found == (0, 0, True, True, True)


def _save_model(kind, how, path, optimizer="adam"):
    """Save a sharded model; train it, a plain one from the file, and a sharded one from the file; compare."""
    model = _trained(kind, how, optimizer)
    model.save(path)
    objects = {"Own": Own}
    name = "Model" if kind == "view" else type(kt.load_model(path, objects)).__name__
    plain = MAKERS[kind]()
    plain.compile(optimizer, "mse", distribution=None)
    kt.load_model(path, objects, module=plain)
    again = _trained(kind, how, optimizer, epochs=2)
    kt.load_model(path, objects, module=again)
    x, y = rows()
    for one in (model, plain, again):
        one.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, shuffle=False)
    trained = whole(model)
    return (
        name,
        largest_difference(trained, whole(plain)),
        largest_difference(trained, whole(again)),
    )


@pytest.mark.parametrize("kind", MAKERS)
def test_a_saved_model_goes_on_training_plain_and_sharded(two, tmp_path, kind):
    expected = {"view": "Model", "sequential": "Sequential", "own": "Own"}[kind]
    for name, plain, again in two.run(_save_model, kind, "root", str(tmp_path / "model.kt")):
        assert name == expected
        assert plain < 1e-6
        assert again == 0
    assert [one.name for one in tmp_path.iterdir()] == ["model.kt"]


@pytest.mark.distributed
@pytest.mark.parametrize("optimizer", ["sgd", "adafactor", "muon", "schedule_free_adamw", "lamb", "rmsprop"])
@pytest.mark.parametrize("how", ["blocks", "some"])
def test_a_saved_optimizer_goes_on(two, tmp_path, how, optimizer):
    for _, plain, again in two.run(_save_model, "own", how, str(tmp_path / "model.kt"), optimizer):
        assert plain < 1e-6
        assert again == 0


def _fails(path):
    try:
        _trained("view", "blocks").save_weights(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def test_a_file_that_cannot_be_written_is_an_error_on_all_ranks(two, tmp_path, monkeypatch):
    two.run(_break_writing)
    first, second = two.run(_fails, str(tmp_path / "model.safetensors"))
    two.close()
    assert first == "OSError: no space"
    assert second.startswith("CheckpointError: ")
    assert "rank 0" in second


def _break_writing():
    """Let writing fail on rank 0, as a full disk does."""
    from kerastorch.checkpoint import atomic_file

    def fail(*args, **kwargs):
        raise OSError("no space")

    if torch.distributed.get_rank() == 0:
        atomic_file.write = fail


def _arrays(how):
    model = _trained("view", how)
    arrays = model.get_weights()
    expected = [value.numpy() for value in whole(model.module_viewed).values()]
    model.set_weights([2 * array for array in arrays])
    doubled = [value.numpy() for value in whole(model.module_viewed).values()]
    plain = kt.Model(network())
    return (
        _close(arrays, expected),
        _close(doubled, [2 * one for one in expected]),
        model.count_params() == plain.count_params() == sum(array.size for array in arrays),
        [tuple(one.shape) for one in model.weights] == [array.shape for array in arrays],
        all(hasattr(one, "full_tensor") for one in model.weights) or how == "some",
    )


@pytest.mark.parametrize("how", HOW)
def test_weights_are_read_and_set_as_whole_arrays(two, how):
    assert two.run(_arrays, how) == [(True,) * 5] * 2


def _summary(kind, how):
    def text(model):
        found = io.StringIO()
        with contextlib.redirect_stdout(found):
            model.summary()
        return [line for line in found.getvalue().splitlines() if "Kept for the backward pass" not in line]

    one, model = MAKERS[kind](), _trained(kind, how)
    one.compile("adam", "mse")
    one.fit(*rows(), verbose=0)
    return text(one), text(model)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_summary_is_that_of_the_whole_model_without_activations(two, kind):
    for expected, found in two.run(_summary, kind, "blocks"):
        assert found == expected


def _architecture(path):
    _trained("sequential", "blocks").save(path)


def test_a_file_of_a_model_names_no_class_that_sharding_made(two, tmp_path):
    two.run(_architecture, str(tmp_path / "model.kt"))
    text = pathlib.Path(tmp_path / "model.kt").read_bytes()
    assert b"Dense" in text
    assert b"FSDP" not in text
