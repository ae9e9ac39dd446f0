"""F4, F5: files that were cut off, and files with single bits and whole blocks changed."""

import random
import shutil
import warnings

import pytest
import torch
from harness import in_child, needs_fork, same, tries

from kerastorch.checkpoint import archive_format
from kerastorch.checkpoint.rotation import CheckpointRotation
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

KIB, BLOCK = 1024, 4096


def training(number=0):
    """About 260 KiB of numbers that are not zero."""
    torch.manual_seed(number)
    return {
        "model": {f"{at}.weight": torch.randn(64, 64) for at in range(4)},
        "optimizer": {f"{at}.weight": {"exp_avg": torch.randn(64, 64), "step": number + 0.5} for at in range(12)},
        "history": {"loss": [0.1 * step for step in range(200)]},
    }


def with_flipped_bit(data, at, draw):
    changed = bytearray(data)
    changed[at] ^= 1 << draw.randrange(8)
    return changed


def with_zeroed_block(data, at, draw):
    changed = bytearray(data)
    at -= at % BLOCK
    changed[at : at + BLOCK] = bytes(len(changed[at : at + BLOCK]))
    return changed


def changed_files(data, bits, blocks, draw):
    """As many with a bit flipped, and with a block zeroed, that are really others; places all over the file."""
    for change, count in ((with_flipped_bit, bits), (with_zeroed_block, blocks)):
        done = 0
        while done < count:
            changed = change(data, int((done + draw.random()) * len(data) / count), draw)
            if changed != data:
                yield changed
            done += changed != data


@tries(quick=12, full=256)
def test_a_file_that_was_cut_off_is_never_loaded_and_the_one_before_it_is(tries, tmp_path, report):
    folder = CheckpointRotation(tmp_path)
    for number in range(2):
        newest = folder.save({"training": training(number)})
    data = newest.read_bytes()
    draw = random.Random(0)
    step = KIB if tries == 256 else len(data) // tries
    lengths = [*range(0, len(data), step), *(draw.randrange(len(data)) for _ in range(tries))]
    for length in lengths:
        newest.write_bytes(data[:length])
        with pytest.raises(CheckpointCorruptError, match=newest.name):
            archive_format.read(newest)
        with pytest.warns(UserWarning, match=newest.name) as caught:
            assert same(folder.load(), {"training": training(0)})
        assert len(caught) == 1
    what = "cut off at every KiB, and at random lengths"
    report("F4", what, len(lengths), "all refused by name; the one before is used, with a warning")


@tries(quick=12, full=200)
def test_a_file_with_a_changed_bit_or_block_is_never_loaded(tries, tmp_path, report):
    path = tmp_path / "a.kt"
    archive_format.write(path, {"training": training()})
    data, tried = path.read_bytes(), 0
    for changed in changed_files(data, 10 * tries, tries, random.Random(0)):
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"a\.kt"):
            archive_format.read(path)
        tried += 1
    assert tried == 11 * tries
    report("F5", "one bit flipped (10 of 11) or 4 KiB zeroed, anywhere: kerastorch", tried, "0 loaded")


@tries(quick=12, full=200)
def test_generations_pass_a_damaged_one_over(tries, tmp_path):
    folder = CheckpointRotation(tmp_path)
    for number in range(2):
        newest = folder.save({"training": training(number)})
    for changed in changed_files(newest.read_bytes(), tries, tries, random.Random(0)):
        newest.write_bytes(changed)
        with pytest.warns(UserWarning, match=newest.name):
            assert same(folder.load(), {"training": training(0)})


def numbers():
    return {**training()["model"], **{f"state.{key}": each["exp_avg"] for key, each in training()["optimizer"].items()}}


def by_torch():
    return lambda path: torch.save(numbers(), path), lambda path: torch.load(path, weights_only=True)


def by_safetensors():
    safetensors = pytest.importorskip("safetensors.torch")
    return lambda path: safetensors.save_file(numbers(), path), safetensors.load_file


def by_hdf5():
    h5py = pytest.importorskip("h5py")

    def save(path):
        with h5py.File(path, "w") as held:
            for name, tensor in numbers().items():
                held[name] = tensor.numpy()

    def load(path):
        with h5py.File(path) as held:
            return {name: torch.from_numpy(held[name][:]) for name in numbers()}

    return save, load


@pytest.mark.faults
@needs_fork
@pytest.mark.parametrize(
    ("name", "ways"),
    [("torch.load", by_torch), ("safetensors", by_safetensors), ("HDF5, as in .weights.h5", by_hdf5)],
    ids=["torch", "safetensors", "hdf5"],
)
def test_how_many_of_the_same_changes_others_load(name, ways, tmp_path, report):
    """No claim is tested here: the number is measured, for comparison."""
    save, load = ways()
    path = tmp_path / "a"
    save(path)
    wanted = numbers()

    def loads(changed):
        path.write_bytes(changed)
        try:
            found = load(path)
            return not same({name: found[name] for name in wanted}, wanted)
        except Exception:
            return False

    def count(files):
        warnings.simplefilter("ignore")
        return sum(map(loads, files))

    files = list(changed_files(path.read_bytes(), 2000, 200, random.Random(0)))
    silent = crashed = 0
    for start in range(0, len(files), 100):
        some = files[start : start + 100]
        ended = in_child(count, some)
        one_by_one = [ended] if ended.value is not None else [in_child(count, [one]) for one in some]
        silent += sum(one.value or 0 for one in one_by_one)
        crashed += sum(one.value is None for one in one_by_one)
    result = f"{silent:,} loaded without a word, with other numbers" + (
        f"; {crashed} crashed or hung" if crashed else ""
    )
    report("F5", f"the same changes, for comparison: {name}", len(files), result)


def test_a_file_that_is_whole_is_loaded_wherever_it_lies(tmp_path):
    """So that the tests above do not pass by refusing everything."""
    archive_format.write(tmp_path / "a.kt", {"training": training()})
    shutil.copy(tmp_path / "a.kt", tmp_path / "b")
    assert same(archive_format.read(tmp_path / "b"), {"training": training()})
