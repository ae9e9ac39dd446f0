"""Checkpoints of several processes: each writes its part, and other numbers of processes read them."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from torch import distributed
from torch.distributed import checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

from kerastorch.checkpoint import sharded
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

DTYPES = [torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.uint8, torch.complex64]
PLACEMENTS = {"rows": Shard(0), "columns": Shard(1), "whole": Replicate()}


def whole(name):
    """The whole values of a tensor, the same in each process."""
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    return torch.randn(7, 5, generator=generator)


def state_of(rank):
    """A state as a fit has it: equal values, values of the rank, and text."""
    return {
        "model": {"equal": whole("equal"), "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4)},
        "fit": {
            "random": torch.arange(4) + rank,
            "array": np.full((2, 3), rank),
            "epoch": 3,
            "nested": [("a", {1: rank, "two": torch.full((rank + 1,), float(rank))})],
            "all": {str(dtype): torch.tensor([0, 1, 1]).to(dtype) for dtype in DTYPES},
        },
    }


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for items in zip(one, other, strict=True):
            assert_same(*items)
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, np.ndarray):
        assert np.array_equal(one, other)
    else:
        assert one == other


def divided(placement, names=("first", "second")):
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    return {name: distribute_tensor(whole(name), mesh, [PLACEMENTS[placement]]) for name in names}


def save(folder, placement=None):
    rank = distributed.get_rank()
    state = state_of(rank) | ({} if placement is None else {"divided": divided(placement)})
    sharded.write(folder, sharded.stage(state), distributed.group.WORLD)


def load(folder, saved_by):
    """Load the state of this rank, and compare it with the one that was saved."""
    rank = distributed.get_rank()
    loaded = sharded.read(folder, distributed.group.WORLD)
    assert loaded.world_size == saved_by
    assert_same(loaded.state, state_of(rank if rank < saved_by else 0))


def load_divided(folder, placement):
    """Load tensors with other placements than they had."""
    mine = divided(placement)

    def place(name, shape):
        section, _, name = name.partition(".")
        return mine[name] if section == "divided" else None

    loaded = sharded.read(folder, distributed.group.WORLD, place).state["divided"]
    for name, tensor in loaded.items():
        assert isinstance(tensor, DTensor)
        assert tensor.placements == mine[name].placements
        assert torch.equal(tensor.to_local(), mine[name].to_local())
        assert torch.equal(tensor.full_tensor(), whole(name))


def test_each_rank_gets_its_own_state_again(two, tmp_path):
    two.run(save, tmp_path)
    two.run(load, tmp_path, 2)


def test_more_ranks_get_the_state_of_the_first_and_one_process_needs_no_group(two, three, tmp_path):
    two.run(save, tmp_path)
    three.run(load, tmp_path, 2)
    loaded = sharded.read(tmp_path)
    assert loaded.world_size == 2
    assert_same(loaded.state, state_of(0))


def test_fewer_ranks_read_what_three_wrote(two, three, tmp_path):
    three.run(save, tmp_path)
    two.run(load, tmp_path, 3)


def test_equal_tensors_are_stored_once_and_those_of_a_rank_by_it(two, tmp_path):
    two.run(save, tmp_path)
    stored = [json.loads(path.read_text())["pieces"] for path in sorted(tmp_path.glob("rank-*.json"))]
    names = [piece[0] for of_rank in stored for piece in of_rank]
    assert len(names) == len(set(names))
    assert names.count("model.equal") == 1
    assert {"rank 0: fit.random", "rank 1: fit.random"} <= set(names)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(*case, marks=[] if case == ("rows", "columns") else pytest.mark.distributed)
        for case in itertools.product(PLACEMENTS, repeat=2)
    ],
)
def test_divided_tensors_are_divided_anew_for_three_ranks(before, after, two, three, tmp_path):
    two.run(save, tmp_path, before)
    three.run(load_divided, tmp_path, after)


@pytest.mark.parametrize("before", PLACEMENTS)
def test_divided_tensors_are_loaded_whole_in_one_process(before, three, tmp_path):
    three.run(save, tmp_path, before)
    loaded = sharded.read(tmp_path).state["divided"]
    assert all(torch.equal(tensor, whole(name)) for name, tensor in loaded.items())


def save_one_row(folder):
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    state = {"row": distribute_tensor(torch.ones(1, 3), mesh, [Shard(0)]), "bias": torch.ones(3)}
    sharded.write(folder, sharded.stage(state), distributed.group.WORLD)


def test_a_tensor_of_which_a_rank_has_nothing(three, tmp_path):
    three.run(save_one_row, tmp_path)
    assert torch.equal(sharded.read(tmp_path).state["row"], torch.ones(1, 3))


def test_the_reader_of_torch_reads_the_tensors(two, tmp_path):
    pytest.importorskip("safetensors")
    two.run(save, tmp_path, "rows")
    target = {"divided.first": torch.zeros(7, 5), "model.equal": torch.zeros(7, 5)}
    with pytest.warns(UserWarning, match="single process"):
        dcp.load(target, storage_reader=dcp.HuggingFaceStorageReader(str(tmp_path)))
    assert torch.equal(target["divided.first"], whole("first"))
    assert torch.equal(target["model.equal"], whole("equal"))


# --- damage -----------------------------------------------------------------------------------------------------------


def error_of(folder):
    try:
        sharded.read(folder, distributed.group.WORLD)
    except CheckpointError as error:
        return type(error).__name__, str(error)
    return None


def test_each_byte_is_verified(two, tmp_path):
    saved, damaged = tmp_path / "saved", tmp_path / "damaged"
    saved.mkdir()
    two.run(save, saved, "rows")
    assert two.run(error_of, saved) == [None, None]
    generator = np.random.default_rng(0)
    for path in sorted(saved.iterdir()):
        # the header of tensors is for other tools, and is not read
        header = 8 + int.from_bytes(path.read_bytes()[:8], "little") if path.suffix == ".safetensors" else 0
        for _ in range(5):
            shutil.copytree(saved, damaged)
            data = bytearray(path.read_bytes())
            at = int(generator.integers(header, len(data)))
            data[at] ^= 1 << int(generator.integers(8))
            (damaged / path.name).write_bytes(data)
            assert None not in two.run(error_of, damaged)
            shutil.rmtree(damaged)


def test_a_file_that_was_cut_off(two, tmp_path):
    two.run(save, tmp_path, "rows")
    path = tmp_path / "rank-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointCorruptError, match=r"rank-00001.safetensors was cut off"):
        sharded.read(tmp_path)


@pytest.mark.parametrize("name", ["rank-00001.safetensors", "rank-00001.json"])
def test_a_file_that_is_missing(name, two, tmp_path):
    two.run(save, tmp_path, "rows")
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{name} is missing"):
        sharded.read(tmp_path)


@pytest.mark.parametrize("name", ["rank-00001.safetensors", "rank-00001.json", "index.json"])
def test_all_ranks_raise_the_same_error(name, two, three, tmp_path):
    two.run(save, tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-20])
    errors = three.run(error_of, tmp_path)
    assert errors[0] is not None
    assert len({text for _, text in errors}) == 1
    assert str(path) in errors[0][1]


def test_a_folder_without_an_index(tmp_path):
    with pytest.raises(CheckpointError, match=r"no whole checkpoint: it has no index\.json"):
        sharded.read(tmp_path)


def test_a_newer_format_is_told_from_damage(two, tmp_path, monkeypatch):
    two.run(save, tmp_path)
    monkeypatch.setattr("kerastorch.checkpoint.shard_files.FORMAT", 0)
    with pytest.raises(CheckpointError, match=r"has format 1; this kerastorch reads up to 0\. Upgrade"):
        sharded.read(tmp_path)


def save_to_nowhere(folder):
    try:
        save(folder / "none" if distributed.get_rank() == 1 else folder)
    except CheckpointError as error:
        return str(error)
    return None


def test_a_rank_that_cannot_write_is_named_and_no_index_is_written(two, tmp_path):
    errors = two.run(save_to_nowhere, tmp_path)
    assert all("rank 1: [Errno 2]" in error for error in errors)
    assert not (tmp_path / "index.json").exists()


def save_apart(folder):
    own = folder / str(distributed.get_rank())
    own.mkdir()
    try:
        save(own)
    except CheckpointError as error:
        return str(error)
    return None


def test_folders_that_are_not_shared_are_an_error(two, tmp_path):
    errors = two.run(save_apart, tmp_path)
    assert all("All processes must see the same folder" in error for error in errors)


def save_partial():
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    try:
        sharded.stage({"sum": DTensor.from_local(torch.ones(2), mesh, [Partial()])})
    except CheckpointError as error:
        return str(error)
    return None


def test_partial_sums_are_an_error(two):
    assert all("sum is a DTensor that holds partial sums" in error for error in two.run(save_partial))


def staged_is_a_copy():
    tensor = torch.zeros(3)
    staged = sharded.stage({"x": tensor})
    tensor += 1
    return staged.pieces["x"].tensor.tolist()


def test_what_is_staged_does_not_change_with_the_training():
    assert staged_is_a_copy() == [0.0, 0.0, 0.0]
