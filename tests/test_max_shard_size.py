"""Weights in several files with an index, as Hugging Face has them: read by its tools, written whole or not at all."""

import json
import os

import pytest
import torch
from support.broken_off import broken_off
from support.optional import optional
from torch import nn

import kerastorch as kt
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

safetensors_torch = optional("safetensors.torch")


def network():
    return nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 5))


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def bytes_of(path):
    return sum(tensor.numel() * tensor.element_size() for tensor in safetensors_torch.load_file(path).values())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("size", ["100B", "300 B", "0.9KB", 5e-7, "1.1KiB"])
@pytest.mark.parametrize("loaded", ["model.safetensors", "model.safetensors.index.json"])
def test_weights_in_several_files_come_back_as_they_were(size, loaded, path):
    model, other = kt.Model(network()), kt.Model(network())
    model.save_weights(path, max_shard_size=size)
    assert not path.exists()
    other.load_weights(path.with_name(loaded))
    assert same(model, other)


def test_no_file_is_larger_than_allowed_unless_one_tensor_is(path):
    model = kt.Model(network())
    model.save_weights(path, max_shard_size="500B")
    largest = max(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    sizes = [bytes_of(file) for file in path.parent.glob("*.safetensors")]
    assert largest == 800
    assert sorted(sizes)[-2] <= 500 < sorted(sizes)[-1] == largest


def test_the_files_and_the_index_are_those_of_hugging_face(path):
    net = network()
    kt.Model(net).save_weights(path, max_shard_size="900B")
    index = json.loads(path.with_name("model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert files == [f"model-{number:05d}-of-{len(files):05d}.safetensors" for number in range(1, len(files) + 1)]
    assert sorted(os.listdir(path.parent)) == sorted([*files, "model.safetensors.index.json"])
    assert index["weight_map"].keys() == net.state_dict().keys()
    state = net.state_dict()
    assert index["metadata"]["total_size"] == sum(value.numel() * value.element_size() for value in state.values())
    for file in files:
        for name, value in safetensors_torch.load_file(path.with_name(file)).items():
            assert index["weight_map"][name] == file
            assert torch.equal(value, state[name])


def test_files_of_hugging_face_are_loaded(path):
    hub = pytest.importorskip("huggingface_hub")
    net, other = network(), network()
    hub.save_torch_state_dict(net.state_dict(), path.parent, max_shard_size=500)
    assert len(list(path.parent.glob("*.safetensors"))) > 1
    kt.Model(other).load_weights(path.with_name("model.safetensors.index.json"))
    assert same(net, other)


def test_weights_that_fit_into_one_file_are_in_one(path):
    model, other = kt.Model(network()), kt.Model(network())
    model.save_weights(path, max_shard_size=2)
    assert os.listdir(path.parent) == ["model.safetensors"]
    other.load_weights(path)
    assert same(model, other)


class WithExtraState(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(10, 20)
        self.extra = None

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def test_extra_states_of_modules_are_in_the_files(path):
    net, other = WithExtraState(), WithExtraState()
    net.extra = {"numbers": [1, 2], "table": torch.arange(30)}
    kt.Model(net).save_weights(path, max_shard_size="240B")
    assert len(list(path.parent.glob("*.safetensors"))) > 1
    kt.Model(other).load_weights(path)
    assert other.extra["numbers"] == [1, 2]
    assert torch.equal(other.extra["table"], torch.arange(30))
    assert torch.equal(other.inside.weight, net.inside.weight)


@pytest.mark.parametrize("before", [None, "300B", "900B"])
@pytest.mark.parametrize("after", [None, "300B", "900B"])
def test_other_weights_replace_them_and_no_old_file_stays(before, after, path):
    first, second, other = (kt.Model(network()) for _ in range(3))
    first.save_weights(path, max_shard_size=before)
    second.save_weights(path, max_shard_size=after)
    other.load_weights(path)
    assert same(second, other)
    index = path.with_name("model.safetensors.index.json")
    listed = json.loads(index.read_text())["weight_map"].values() if after else [path.name]
    assert set(os.listdir(path.parent)) == {*listed, *([index.name] if after else [])}


@pytest.mark.parametrize("before", [None, "300B"])
@pytest.mark.parametrize("after", [None, "300B"])
def test_at_any_time_they_are_the_old_or_the_new_ones(before, after, path, monkeypatch):
    """Writing is broken off before each of its file operations."""
    first, second = kt.Model(network()), kt.Model(network())
    for stop in range(100):
        for file in path.parent.iterdir():
            file.unlink()
        first.save_weights(path, max_shard_size=before)
        try:
            with broken_off(monkeypatch, stop):
                second.save_weights(path, max_shard_size=after)
        except KeyboardInterrupt:
            other = kt.Model(network())
            other.load_weights(path)
            assert same(other, first) or same(other, second)
        else:
            break
    assert stop > 0
    other.load_weights(path)
    assert same(other, second)


@pytest.mark.parametrize("size", [None, "300B"])
def test_overwriting_may_be_forbidden(size, path):
    model = kt.Model(network())
    model.save_weights(path, max_shard_size="300B")
    with pytest.raises(FileExistsError, match=r"index\.json is there already"):
        model.save_weights(path, overwrite=False, max_shard_size=size)


def test_a_missing_file_is_named(path):
    kt.Model(network()).save_weights(path, max_shard_size="300B")
    file = next(path.parent.glob("model-00002-of-*"))
    file.unlink()
    with pytest.raises(CheckpointError, match=f"lists {file.name}, which is missing"):
        kt.Model(network()).load_weights(path)


def test_a_damaged_file_is_named(path):
    kt.Model(network()).save_weights(path, max_shard_size="300B")
    file = next(path.parent.glob("model-00002-of-*"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointCorruptError, match=file.name):
        kt.Model(network()).load_weights(path)


def test_a_weight_that_its_file_lacks_is_named(path):
    kt.Model(network()).save_weights(path, max_shard_size="300B")
    index = path.with_name("model.safetensors.index.json")
    content = json.loads(index.read_text())
    content["weight_map"]["more"] = content["weight_map"]["0.weight"]
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"'more' is not in model-00001-of"):
        kt.Model(network()).load_weights(path)


@pytest.mark.parametrize("name", ["../other.safetensors", "/tmp/other.safetensors", "a\\b.safetensors", "model.bin"])
def test_files_elsewhere_and_pickles_are_not_read(name, path):
    kt.Model(network()).save_weights(path, max_shard_size="300B")
    index = path.with_name("model.safetensors.index.json")
    content = json.loads(index.read_text())
    content["weight_map"]["0.weight"] = name
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="only safetensors files beside the index are read"):
        kt.Model(network()).load_weights(path)


@pytest.mark.parametrize("text", ["{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', "nothing"])
def test_an_index_that_is_none(text, path):
    index = path.with_name("model.safetensors.index.json")
    index.write_text(text)
    with pytest.raises(CheckpointCorruptError, match=r"index\.json is damaged"):
        kt.Model(network()).load_weights(index)


@pytest.mark.parametrize("size", [0, -1, "", "2", "GB", "2 parsecs", "0MB", float("nan"), True, [1]])
def test_what_is_no_size_is_refused(size, path):
    with pytest.raises(ValueError, match="max_shard_size"):
        kt.Model(network()).save_weights(path, max_shard_size=size)
    assert not os.listdir(path.parent)


def test_skip_mismatch_works_with_several_files(path):
    net = network()
    kt.Model(net).save_weights(path, max_shard_size="300B")
    other = nn.Sequential(*network()[:3], nn.Linear(20, 7))
    with pytest.warns(UserWarning, match="left out"):
        kt.Model(other).load_weights(path, skip_mismatch=True)
    assert torch.equal(other[0].weight, net[0].weight)
