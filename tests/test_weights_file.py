"""save_weights and load_weights: safetensors that everybody opens, checked to the last bit, all or nothing."""

import copy
import json
import os
import random

import numpy as np
import pytest
import torch
from support.optional import optional
from torch import nn

import kerastorch as kt
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError
from kerastorch.layers import BatchNormalization, Dense, Normalization, StringLookup
from kerastorch.saving import weights_file

safetensors, safetensors_torch = optional("safetensors"), optional("safetensors.torch")


def network():
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.weights.safetensors"


def test_weights_come_back_as_they_were(path):
    model, other = kt.Model(network()), kt.Model(network())
    assert not same(model, other)
    model.save_weights(path)
    other.load_weights(path)
    assert same(model, other)


def test_torch_opens_the_file_with_the_names_of_the_bare_module(path):
    net, other = network(), network()
    kt.Model(net).save_weights(str(path))
    other.load_state_dict(safetensors_torch.load_file(path))
    assert same(net, other)
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata()["format"] == "pt"
        assert file.metadata()["kerastorch"] == kt.__version__


def test_a_file_that_safetensors_wrote_is_loaded(path):
    net, other = network(), network()
    safetensors_torch.save_file(net.state_dict(), path)
    kt.Model(other).load_weights(path)
    assert same(net, other)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_every_flipped_bit_is_found(path, every):
    class Noted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.5, -1.0]))
            self.note = {"epoch": 1}

        def get_extra_state(self):
            return self.note

        def set_extra_state(self, state):
            self.note = state

        def forward(self, x):
            return x

    model = kt.Model(Noted())
    model.save_weights(path)
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), every):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        with pytest.raises(CheckpointCorruptError, match="damaged"):
            weights_file.read(path)


def test_a_file_that_was_cut_off_anywhere_is_refused(path):
    model = kt.Model(network())
    model.save_weights(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointCorruptError):
            model.load_weights(path)


def test_a_file_that_another_tool_wrote_anew_without_our_metadata_loads(path):
    model, other = kt.Model(network()), kt.Model(network())
    model.save_weights(path)
    safetensors_torch.save_file(safetensors_torch.load_file(path), path)
    other.load_weights(path)
    assert same(model, other)


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    model = kt.Model(network())
    model.save_weights(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        kt.Model(network()).save_weights(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_folders_are_made_and_overwrite_false_keeps_what_is_there(tmp_path):
    path = tmp_path / "a" / "b" / "model.safetensors"
    model = kt.Model(network())
    model.save_weights(path, overwrite=False)
    with pytest.raises(FileExistsError, match="is there already"):
        model.save_weights(path, overwrite=False)
    model.save_weights(path)


@pytest.mark.parametrize(
    ("verb", "name"),
    [(verb, name) for verb in ("save_weights", "load_weights") for name in
     ("m.h5", "m.pt", "m.pth", "m.keras", "m", "m.bin.index.json") if (verb, name) != ("load_weights", "m.h5")],
)  # fmt: skip
def test_other_endings_are_refused_and_the_right_one_named(name, verb, tmp_path):
    with pytest.raises(ValueError, match=r"\.safetensors"):
        getattr(kt.Model(network()), verb)(tmp_path / name)
    assert not os.listdir(tmp_path)


def test_a_pickle_is_never_read(path):
    torch.save(network().state_dict(), path)
    with pytest.raises(CheckpointError, match="never read"):
        kt.Model(network()).load_weights(path)


def test_what_is_no_file_is_refused(path, tmp_path):
    model = kt.Model(network())
    with pytest.raises(FileNotFoundError, match="There is no file"):
        model.load_weights(path)
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="folder"):
        model.load_weights(path)
    with pytest.raises(IsADirectoryError, match="folder"):
        model.save_weights(path)
    with pytest.raises(TypeError, match="must be a path"):
        model.save_weights(None)


# --- fitting ----------------------------------------------------------------------------------------------------


def test_nothing_changes_unless_everything_fits(path):
    kt.Model(network()).save_weights(path)
    other = kt.Model(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 5)))
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(CheckpointError, match=r"'3.weight' has shape \(2, 3\) in the file, \(5, 3\) in the model"):
        other.load_weights(path)
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())


def test_the_first_five_differences_are_told_the_rest_counted_and_near_names_suggested(path):
    safetensors_torch.save_file({f"layer{i}.wait": torch.zeros(1) for i in range(9)}, path)
    module = nn.Module()
    module.layer0 = nn.Module()
    module.layer0.weight = nn.Parameter(torch.zeros(1))
    with pytest.raises(CheckpointError) as caught:
        kt.Model(module).load_weights(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    assert lines[1].strip() == "the file has no 'layer0.weight'. Did you mean 'layer0.wait'?"
    assert lines[2].strip() == "the model has no 'layer0.wait'. Did you mean 'layer0.weight'?"
    assert lines[-1].strip() == "and 5 more."


def test_skip_mismatch_loads_what_fits_and_names_the_rest(path):
    net = network()
    kt.Model(net).save_weights(path)
    other = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 5), nn.Linear(5, 1))
    before = copy.deepcopy(other[3].state_dict())
    with pytest.warns(UserWarning, match=r"(?s)left out.*'3.weight'.*'3.bias'.*'4.weight'.*'4.bias'") as caught:
        kt.Model(other).load_weights(path, skip_mismatch=True)
    assert caught[0].filename == __file__
    assert same(other[:3], net[:3])
    assert all(torch.equal(before[name], value) for name, value in other[3].state_dict().items())
    with pytest.raises(CheckpointError, match="0 of the model's"):
        kt.Model(nn.Linear(9, 9)).load_weights(path, skip_mismatch=True)


def test_wider_floats_are_rounded_with_a_warning_and_narrower_ones_taken_exactly(path):
    net = nn.Linear(4, 3, dtype=torch.float64)
    kt.Model(net).save_weights(path)
    other = nn.Linear(4, 3)
    with pytest.warns(UserWarning, match=r"2 weights were rounded .* 'weight', 'bias'"):
        kt.Model(other).load_weights(path)
    assert torch.equal(other.weight, net.weight.float())
    kt.Model(other).save_weights(path)
    kt.Model(net).load_weights(path)
    assert net.weight.dtype == torch.float64
    assert torch.equal(net.weight, other.weight.double())


def test_integers_do_not_become_floats(path):
    safetensors_torch.save_file({"weight": torch.zeros(3, 4, dtype=torch.int64), "bias": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"'weight' is torch.int64 in the file, torch.float32 in the model"):
        kt.Model(nn.Linear(4, 3)).load_weights(path)


def test_a_narrower_integer_that_holds_the_number_is_taken(path):
    net = network()
    state = net.state_dict() | {"1.num_batches_tracked": torch.tensor(7, dtype=torch.int32)}
    safetensors_torch.save_file(state, path)
    kt.Model(net).load_weights(path)
    assert net[1].num_batches_tracked == 7
    assert net[1].num_batches_tracked.dtype == torch.int64


def test_nan_and_infinity_come_back_bit_by_bit(path):
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.weight[:] = torch.tensor([[float("nan"), float("inf")], [-0.0, 1e-45]])
    kt.Model(net).save_weights(path)
    other = nn.Linear(2, 2)
    kt.Model(other).load_weights(path)
    assert torch.equal(net.weight.view(torch.int32), other.weight.view(torch.int32))


def test_batch_normalization_goes_to_torchs_and_back(path):
    ours = kt.Sequential([kt.Input((3,)), BatchNormalization()])
    theirs = nn.Sequential(nn.BatchNorm1d(3))
    with torch.no_grad():
        ours[0].running_mean.fill_(2.0)
    ours.save_weights(path)
    kt.Model(theirs).load_weights(path)
    assert torch.equal(theirs[0].running_mean, torch.full((3,), 2.0))
    theirs[0].running_mean.fill_(5.0)
    kt.Model(theirs).save_weights(path)
    ours.load_weights(path)
    assert torch.equal(ours[0].running_mean, torch.full((3,), 5.0))


# --- shared tensors, wrappers, extra state ------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        return self.head(self.words(x))


def test_a_shared_tensor_is_saved_under_every_name_and_loaded_from_any(path):
    net, other = Tied(), Tied()
    kt.Model(net).save_weights(path)
    found = safetensors_torch.load_file(path)
    assert sorted(found) == ["head.weight", "words.weight"]
    safetensors_torch.save_file({"head.weight": found["head.weight"]}, path)
    kt.Model(other).load_weights(path)
    assert torch.equal(other.words.weight, net.words.weight)
    assert other.head.weight is other.words.weight
    safetensors_torch.save_file({**found, "head.weight": found["head.weight"] + 1}, path)
    with pytest.raises(CheckpointError, match=r"'words.weight' and 'head.weight' are one tensor"):
        kt.Model(other).load_weights(path)


def test_what_torch_compile_puts_before_names_is_left_out(path):
    net, other = network(), network()
    compiled = torch.compile(net, backend="eager")
    assert next(iter(compiled.state_dict())) == "_orig_mod.0.weight"
    kt.Model(compiled).save_weights(path)
    assert set(safetensors_torch.load_file(path)) == set(net.state_dict())
    kt.Model(torch.compile(other, backend="eager")).load_weights(path)
    assert same(net, other)
    inner = nn.Sequential(nn.Flatten(), torch.compile(net, backend="eager"))
    kt.Model(inner).save_weights(path)
    kt.Model(nn.Sequential(nn.Flatten(), other)).load_weights(path)


def test_a_model_within_distributed_data_parallel_has_the_names_of_the_bare_one(path, tmp_path):
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        net = network()
        wrapped = kt.Model(nn.parallel.DistributedDataParallel(net))
        assert next(iter(wrapped.state_dict())) == "module.0.weight"
        wrapped.save_weights(path)
        other = network()
        kt.Model(other).load_weights(path)
        assert same(net, other)
        kt.Model(network()).save_weights(path)
        wrapped.load_weights(path)
        assert not same(net, other)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("where", ["module.{}", "_orig_mod.{}", "module._orig_mod.{}", "0._fsdp_wrapped_module.{}"])
def test_wrappers_names_in_a_file_are_passed_over(path, where):
    net, other = nn.Sequential(network()), nn.Sequential(network())

    def put(name):
        return where.format(name if not where.startswith("0.") else name.removeprefix("0."))

    safetensors_torch.save_file({put(name): value for name, value in net.state_dict().items()}, path)
    kt.Model(other).load_weights(path)
    assert same(net, other)


class Holder(nn.Module):
    """One whose own child is called as the wrappers' is."""

    def __init__(self, own=False):
        super().__init__()
        self.module = nn.Linear(2, 2)
        if own:
            self.weight = nn.Parameter(torch.randn(2, 2))
            self.bias = nn.Parameter(torch.randn(2))

    def forward(self, x):
        return self.module(x)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("before", ["", "module.", "_orig_mod."])
def test_a_child_that_is_really_called_module_keeps_its_name(path, own, before):
    net, other = Holder(own), Holder(own)
    kt.Model(net).save_weights(path)
    assert "module.weight" in safetensors_torch.load_file(path)
    safetensors_torch.save_file({before + name: value for name, value in net.state_dict().items()}, path)
    kt.Model(other).load_weights(path)
    assert same(net, other)


class Noting(nn.Module):
    def __init__(self, note):
        super().__init__()
        self.note, self.linear = note, nn.Linear(2, 2)

    def get_extra_state(self):
        return self.note

    def set_extra_state(self, state):
        if state == "bad":
            raise ValueError("no such note")
        self.note = state

    def forward(self, x):
        return self.linear(x)


def test_extra_state_that_is_no_tensor_comes_back(path):
    note = {"epoch": 3, "scale": torch.tensor([1.0, 2.0]), "names": ("a", None, float("inf"))}
    net, other = nn.Sequential(Noting(note)), nn.Sequential(Noting(None))
    kt.Model(net).save_weights(path)
    kt.Model(other).load_weights(path)
    found = other[0].note
    assert torch.equal(found.pop("scale"), note["scale"])
    assert found == {"epoch": 3, "names": ("a", None, float("inf"))}
    assert torch.equal(net[0].linear.weight, other[0].linear.weight)


def test_extra_state_that_cannot_be_written_is_named(path):
    with pytest.raises(TypeError, match=r"0\._extra_state is a function"):
        kt.Model(nn.Sequential(Noting(lambda: 0))).save_weights(path)
    assert not path.exists()


def test_a_part_that_refuses_its_state_leaves_the_model_as_it_was(path):
    kt.Model(nn.Sequential(nn.Linear(2, 2), Noting("bad"))).save_weights(path)
    model = kt.Model(nn.Sequential(nn.Linear(2, 2), Noting("good")))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckpointError, match="no such note"):
        model.load_weights(path)
    after = model.state_dict()
    assert after["1._extra_state"] == "good"
    assert all(torch.equal(before[name], after[name]) for name in before if not name.endswith("extra_state"))


def test_what_layers_learned_from_data_goes_with_the_weights(path):
    words = StringLookup()
    words.adapt(["b", "a", "b"])
    scaled = Normalization()
    scaled.adapt(np.random.default_rng(0).normal(size=(50, 3)).astype("float32"))
    model = kt.Model(nn.ModuleDict({"words": words, "scaled": scaled}))
    model.save_weights(path)
    fresh = nn.ModuleDict({"words": StringLookup(), "scaled": Normalization()})
    kt.Model(fresh).load_weights(path)
    assert fresh["words"].get_vocabulary() == words.get_vocabulary()
    x = torch.randn(4, 3)
    assert torch.equal(fresh["scaled"](x), scaled(x))


# --- the model that loads -----------------------------------------------------------------------------------------


def test_a_model_that_is_not_built_says_how_to_build_it(path):
    lazy = kt.Sequential([Dense(3)])
    with pytest.raises(ValueError, match=r"Build the model first: model.build"):
        lazy.save_weights(path)
    kt.Model(network()).save_weights(path)
    with pytest.raises(ValueError, match=r"Build the model first: model.build"):
        lazy.load_weights(path)


def test_a_model_whose_input_is_known_is_built_by_loading_if_the_file_fits(path):
    def made():
        model = kt.Sequential([Dense(3)])
        model.build((None, 4))
        return model

    model, other = made(), made()
    model.add(Dense(2))
    model(torch.zeros(1, 4))
    model.save_weights(path)
    other.add(Dense(2))
    state = torch.get_rng_state()
    other.load_weights(path)
    assert same(model, other)
    assert torch.equal(torch.get_rng_state(), state)
    wrong = made()
    wrong.add(Dense(7))
    before = wrong.get_weights()
    with pytest.raises(CheckpointError, match=r"'1.weight' has shape \(2, 3\) in the file, \(7, 3\) in the model"):
        wrong.load_weights(path)
    assert all(np.array_equal(*both) for both in zip(wrong.get_weights(), before, strict=True))


def test_what_is_frozen_and_the_optimizers_state_stay(path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 2)).astype("float32")
    model = kt.Sequential([kt.Input((4,)), Dense(3), Dense(2)])
    model.save_weights(path)
    saved = copy.deepcopy(model.state_dict())
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    model.fit(x, y, epochs=2, verbose=0)
    held = list(model.parameters())
    state = copy.deepcopy(model.optimizer.state_dict())
    model.load_weights(path)
    assert all(one is other for one, other in zip(held, model.parameters(), strict=True))
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    after = model.optimizer.state_dict()
    assert all(torch.equal(state["state"][key]["exp_avg"], after["state"][key]["exp_avg"]) for key in state["state"])
    model.fit(x, y, verbose=0)


def test_the_memory_format_of_the_model_stays(path):
    net = nn.Conv2d(3, 4, 3)
    kt.Model(net).save_weights(path)
    other = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    strides = other.weight.stride()
    kt.Model(other).load_weights(path)
    assert other.weight.stride() == strides
    assert torch.equal(other.weight, net.weight)
    kt.Model(other).save_weights(path)
    assert torch.equal(safetensors_torch.load_file(path)["weight"], net.weight)


def test_a_functional_model_and_a_subclass_keep_torchs_names(path):
    x = kt.Input((4,))
    model = kt.Model(x, Dense(2, name="out")(x))
    model.save_weights(path)
    assert sorted(safetensors_torch.load_file(path)) == ["out.bias", "out.weight"]
    other = kt.Model(x, Dense(2, name="out")(x))
    other.load_weights(path)
    assert same(model, other)


def test_a_link_to_a_file_is_followed(path, tmp_path):
    model = kt.Model(network())
    model.save_weights(path)
    os.symlink(path, tmp_path / "link.safetensors")
    model.load_weights(tmp_path / "link.safetensors")


def test_any_bytes_are_loaded_or_refused_with_the_files_error(path):
    model = kt.Model(nn.Linear(2, 2))
    model.save_weights(path)
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    draw = random.Random(0)
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        if changed == whole:
            continue
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            model.load_weights(path)
    assert set(header["__metadata__"]) == {"format", "kerastorch", "sha256"}
