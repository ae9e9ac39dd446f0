"""`model.save(max_shard_size=)`: the `.kt` file and safetensors files beside it, replaced together or not at all."""

import json
import os

import numpy as np
import pytest
import torch
from support.broken_off import broken_off
from support.optional import optional
from torch import nn

import kerastorch as kt
from kerastorch.checkpoint import archive_format
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

safetensors_torch = optional("safetensors.torch")

X = torch.randn(24, 10, generator=torch.Generator().manual_seed(0))
Y = X[:, :1] - X[:, 1:2]
INDEX = "model.kt.safetensors.index.json"


def trained(seed=0, optimizer="adam"):
    torch.manual_seed(seed)
    layers = kt.layers
    model = kt.Sequential([kt.Input((10,)), layers.Dense(20, "relu"), layers.BatchNormalization(), layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.fit(X, Y, epochs=1, batch_size=8, verbose=0)
    return model


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def bytes_of(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.kt"


@pytest.mark.parametrize("size", ["100B", "900B", "0.5KB", 5e-7, "1.1KiB"])
def test_a_model_in_several_files_is_trained_further_with_the_same_bits(size, path):
    model = trained()
    model.save(path, max_shard_size=size)
    again = kt.load_model(path)
    assert same(again, model)
    for one in (model, again):
        one.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    assert same(again, model)


def test_no_file_is_larger_than_allowed_unless_one_tensor_is_and_the_model_file_holds_none(path):
    model = trained()
    model.save(path, max_shard_size="500B")
    sizes = [bytes_of(safetensors_torch.load_file(one).values()) for one in path.parent.glob("*.safetensors")]
    assert max(sizes) == 800 == bytes_of([model.layers[0].weight])
    assert all(size <= 500 for size in sizes if size != 800)
    assert sum(sizes) == bytes_of(model.state_dict().values()) + bytes_of(
        value for state in model.optimizer.state.values() for value in state.values()
    )
    assert "weights" not in archive_format.read(path)


def test_the_index_of_the_weights_is_that_of_hugging_face(path):
    model, other = trained(), trained(seed=1)
    model.save(path, max_shard_size="900B")
    index = json.loads(path.with_name(INDEX).read_text())
    assert list(index["weight_map"]) == list(model.state_dict())
    assert index["metadata"]["total_size"] == bytes_of(model.state_dict().values())
    for name, file in index["weight_map"].items():
        assert torch.equal(safetensors_torch.load_file(path.with_name(file))[name], model.state_dict()[name])
    other.load_weights(path.with_name(INDEX))
    assert same(other, model)


def test_what_fits_into_one_file_is_in_one(path):
    model = trained()
    model.save(path, max_shard_size=1)
    assert os.listdir(path.parent) == ["model.kt"]
    assert same(kt.load_model(path), model)


@pytest.mark.parametrize("optimizer", [None, "sgd"])
def test_a_model_whose_optimizer_has_no_tensors(optimizer, path):
    model = trained(optimizer=optimizer) if optimizer else kt.Model(nn.Linear(10, 4))
    model.save(path, max_shard_size="100B")
    again = kt.load_model(path)
    assert same(again, model)
    assert (again._trainer is None) == (optimizer is None)
    assert not list(path.parent.glob("*optimizer*"))


def test_a_model_of_the_script_takes_them(path):
    net = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 1))
    kt.Model(net).save(path, max_shard_size="100B")
    other = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 1))
    kt.load_model(path, module=other)
    assert same(other, net)


class WithExtraState(nn.Linear):
    extra = None

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def test_extra_states_of_modules_are_in_the_files(path):
    net, other = WithExtraState(10, 20), WithExtraState(10, 20)
    net.extra = {"numbers": [1, 2], "table": torch.arange(30)}
    kt.Model(net).save(path, max_shard_size="240B")
    kt.load_model(path, module=other)
    assert other.extra["numbers"] == [1, 2]
    assert torch.equal(other.extra["table"], torch.arange(30))


def listed_files(path):
    files = {path.name}
    if path.with_name(INDEX).exists():
        shards = archive_format.read(path)["shards"]
        files |= {INDEX} | {name for part in ("weights", "optimizer") for name, _ in shards[part]}
    return files


@pytest.mark.parametrize("before", [None, "300B", "900B"])
@pytest.mark.parametrize("after", [None, "300B", "900B"])
def test_another_model_replaces_it_and_no_old_file_stays(before, after, path):
    first, second = trained(0), trained(1)
    first.save(path, max_shard_size=before)
    kept = path.with_name("model.kt-of-mine.safetensors")
    kept.write_bytes(b"")
    second.save(path, max_shard_size=after)
    assert same(kt.load_model(path), second)
    assert path.with_name(INDEX).exists() == (after is not None)
    assert set(os.listdir(path.parent)) == listed_files(path) | {kept.name}


def test_weights_and_model_of_one_name_do_not_touch_each_other(path):
    first, second, other = trained(0), trained(1), trained(2)
    first.save(path, max_shard_size="300B")
    second.save_weights(path.with_suffix(".safetensors"), max_shard_size="300B")
    first.save(path, max_shard_size="900B")
    other.load_weights(path.with_suffix(".safetensors"))
    assert same(other, second)
    assert same(kt.load_model(path), first)


@pytest.mark.parametrize("before", [None, "300B"])
@pytest.mark.parametrize("after", [None, "300B"])
def test_at_any_time_it_is_the_old_or_the_new_one(before, after, path, monkeypatch):
    """Writing is broken off before each of its file operations."""
    first, second = trained(0), trained(1)
    for stop in range(200):
        for file in path.parent.iterdir():
            file.unlink()
        first.save(path, max_shard_size=before)
        try:
            with broken_off(monkeypatch, stop):
                second.save(path, max_shard_size=after)
        except KeyboardInterrupt:
            again = kt.load_model(path)
            assert same(again, first) or same(again, second)
        else:
            break
    assert stop > 0
    assert same(kt.load_model(path), second)
    assert set(os.listdir(path.parent)) == listed_files(path)


def test_files_of_a_save_that_was_broken_off_are_deleted_by_the_next(path, monkeypatch):
    model = trained()
    with monkeypatch.context() as patch:
        patch.setattr(archive_format, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.save(path, max_shard_size="300B")
    assert len(os.listdir(path.parent)) > 1
    model.save(path, max_shard_size="900B")
    assert set(os.listdir(path.parent)) == listed_files(path)


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(path):
    trained().save(path, max_shard_size="900B")
    return path


def shards(path):
    return sorted(path.parent.glob("*.safetensors"))


def test_each_missing_file_is_named(saved):
    for file in shards(saved):
        content = file.read_bytes()
        file.unlink()
        with pytest.raises(CheckpointError, match=rf"its file {file.name} is missing. Copy all files of the model"):
            kt.load_model(saved)
        file.write_bytes(content)
    kt.load_model(saved)


def test_each_file_that_was_cut_off_or_has_another_byte_is_named(saved):
    generator = np.random.default_rng(0)
    for file in [saved, *shards(saved)]:
        content = file.read_bytes()
        for _ in range(10):
            file.write_bytes(content[: generator.integers(len(content))])
            with pytest.raises(CheckpointCorruptError, match=file.name):
                kt.load_model(saved)
            changed = bytearray(content)
            changed[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
            file.write_bytes(changed)
            with pytest.raises(CheckpointError, match=file.name):
                kt.load_model(saved)
        file.write_bytes(content)
    kt.load_model(saved)


def test_a_file_of_another_save_is_told_from_damage(saved, tmp_path):
    other = tmp_path / "other" / "model.kt"
    trained(seed=1).save(other, max_shard_size="900B")
    for file in shards(saved):
        content = file.read_bytes()
        file.write_bytes((other.parent / file.name).read_bytes())
        with pytest.raises(CheckpointError, match=rf"{file.name} is the file of another save") as caught:
            kt.load_model(saved)
        assert not isinstance(caught.value, CheckpointCorruptError)
        file.write_bytes(content)


def forged(path, change):
    sections = archive_format.read(path)
    change(sections["shards"])
    archive_format.write(path, sections)


@pytest.mark.parametrize("name", ["../other.safetensors", "/tmp/other.safetensors", "a\\b.safetensors", "model.bin"])
def test_files_elsewhere_and_pickles_are_not_read(name, saved):
    forged(saved, lambda shards: shards["weights"].__setitem__(0, [name, ""]))
    with pytest.raises(CheckpointError, match="only safetensors files beside the index are read"):
        kt.load_model(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda shards: shards.pop("weights"),
        lambda shards: shards.pop("optimizer"),
        lambda shards: shards.update(weights=3),
        lambda shards: shards.update(weights=[[1, 2]]),
        lambda shards: shards.update(weights=[["a", "b", "c"]]),
        lambda shards: shards.update(state=4),
        lambda shards: shards.update(state="{}"),
        lambda shards: shards.update(state='{"optimizer": {"$": "tensor", "value": "none"}}'),
        lambda shards: shards.update(weights=shards["weights"][1:]),
        lambda shards: shards.update(optimizer=shards["optimizer"][1:]),
    ],
)
def test_a_list_of_files_that_save_does_not_write_is_an_error(change, saved):
    forged(saved, change)
    with pytest.raises(CheckpointError, match=r"model\.kt"):
        kt.load_model(saved)


def test_overwriting_may_be_forbidden(saved):
    files = {one: one.read_bytes() for one in saved.parent.iterdir()}
    with pytest.raises(FileExistsError, match=r"model\.kt exists"):
        trained(seed=1).save(saved, overwrite=False, max_shard_size="300B")
    assert files == {one: one.read_bytes() for one in saved.parent.iterdir()}


def test_load_model_names_the_file_that_it_takes(saved):
    with pytest.raises(CheckpointError, match=r"contains weights only.*load_model reads the \.kt file"):
        kt.load_model(saved.with_name(INDEX))


@pytest.mark.parametrize("size", [0, -1, "", "2", "GB", "0MB", float("nan"), True, [1]])
def test_what_is_no_size_is_refused(size, path):
    model = trained()
    with pytest.raises(ValueError, match="max_shard_size"):
        model.save(path, max_shard_size=size)
    assert not os.listdir(path.parent)
