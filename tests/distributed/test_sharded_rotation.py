"""The newest checkpoints of several processes in one folder: valid once they are whole, and loaded by any number."""

import os
import signal
import warnings
from pathlib import Path

import pytest
import torch
from support.ranks import Ranks
from torch import distributed

from kerastorch.checkpoint.rotation import CheckpointRotation
from kerastorch.checkpoint.sharded_rotation import ShardedRotation
from kerastorch.core.errors import CheckpointError


def state(number):
    return {"model": {"weight": torch.full((3,), float(number))}, "fit": {"rank": torch.tensor(distributed.get_rank())}}


def rotation(folder, keep=2):
    return ShardedRotation(folder, distributed.group.WORLD, keep)


def save(folder, numbers, keep=2):
    one = rotation(folder, keep)
    for number in numbers:
        one.save(one.stage(state(number)))


def load(folder):
    """Return the number that was saved last, and the rank that saved the state of this one."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        saved = rotation(folder).load()
    found = None if saved is None else (saved["model"]["weight"][0].item(), saved["fit"]["rank"].item())
    return found, [str(one.message) for one in told]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("keep", [2, 3])
def test_the_newest_are_kept_and_the_last_one_is_loaded(keep, two, tmp_path):
    folder = tmp_path / "a" / "b"
    assert two.run(load, folder) == [(None, [])] * 2
    two.run(save, folder, range(1, 6), keep)
    assert names(folder) == [f"checkpoint-{number:06d}" for number in range(6 - keep, 6)]
    assert two.run(load, folder) == [((5.0, 0), []), ((5.0, 1), [])]


def test_a_damaged_checkpoint_is_passed_over_with_one_warning(two, tmp_path):
    two.run(save, tmp_path, [1, 2])
    path = tmp_path / "checkpoint-000002" / "rank-00001.json"
    path.write_bytes(path.read_bytes()[:-9])
    (first, told), (second, silent) = two.run(load, tmp_path)
    assert (first, second) == ((1.0, 0), (1.0, 1))
    assert len(told) == 1
    assert "does not have the SHA-256" in told[0]
    assert told[0].endswith("One before it is used.")
    assert silent == []


def test_a_folder_that_was_not_written_to_its_end_is_passed_over_and_deleted(two, tmp_path):
    two.run(save, tmp_path, [1, 2])
    (tmp_path / "checkpoint-000002" / "index.json").unlink()
    assert two.run(load, tmp_path) == [((1.0, 0), []), ((1.0, 1), [])]
    two.run(save, tmp_path, [3])
    assert names(tmp_path) == ["checkpoint-000001", "checkpoint-000003"]


def delete(folder):
    rotation(folder).delete()


def test_all_is_deleted(two, tmp_path):
    folder = tmp_path / "kept"
    two.run(save, folder, [1, 2])
    (folder / "checkpoint-000002" / "index.json").unlink()
    two.run(delete, folder)
    assert not folder.exists()


def test_one_process_loads_what_two_wrote_and_two_what_one_wrote(two, tmp_path):
    two.run(save, tmp_path, [1, 2])
    saved = CheckpointRotation(tmp_path).load()
    assert torch.equal(saved["model"]["weight"], torch.full((3,), 2.0))
    assert saved["fit"]["rank"] == 0
    CheckpointRotation(tmp_path).save({"model": {"weight": torch.full((3,), 7.0)}, "fit": {"rank": torch.tensor(9)}})
    assert names(tmp_path) == ["checkpoint-000002", "checkpoint-000003.kt"]
    assert two.run(load, tmp_path) == [((7.0, 9), [])] * 2
    CheckpointRotation(tmp_path).delete()
    assert not tmp_path.exists()


def error_of(function, folder):
    try:
        function(folder)
    except (CheckpointError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def test_all_ranks_raise_the_error_of_the_first(two, tmp_path):
    (tmp_path / "file").write_text("")
    errors = two.run(error_of, save_one, tmp_path / "file")
    assert errors[0] == errors[1]
    assert "is no folder; give one for this training alone" in errors[0]


def save_one(folder):
    save(folder, [1])


def test_an_archive_that_cannot_be_read_by_one_rank_is_an_error_of_all(two, tmp_path):
    tmp_path.joinpath("checkpoint-000001.kt").write_bytes(b"nothing")
    errors = two.run(error_of, load, tmp_path)
    assert errors[0] == errors[1]
    assert "There is no other; delete" in errors[0]


def save_and_die(folder, stop, point):
    """Kill this rank at a point of a save: before or after a file of its is written."""
    one = rotation(folder)
    one.save(one.stage(state(1)))
    if distributed.get_rank() == stop:
        from kerastorch.checkpoint import atomic_file

        written = []
        write = atomic_file.write

        def counted(path, parts):
            if len(written) == point:
                os.kill(os.getpid(), signal.SIGKILL)
            write(path, parts)
            written.append(path)

        atomic_file.write = counted
    one.save(one.stage(state(2)))


@pytest.mark.parametrize(
    ("stop", "point"),
    [
        pytest.param(*case, marks=[] if case in [(1, 1), (0, 2)] else pytest.mark.distributed)
        for case in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    ],
)
def test_the_older_checkpoint_stays_in_use_if_a_rank_is_killed_while_it_writes(stop, point, two, tmp_path):
    group = Ranks(2)
    try:
        group.run(save_and_die, tmp_path, stop, point, may_fail=True)
    finally:
        group.close()
    assert not Path(tmp_path / "checkpoint-000002" / "index.json").exists()
    assert two.run(load, tmp_path) == [((1.0, 0), []), ((1.0, 1), [])]
    two.run(save, tmp_path, [3])
    assert two.run(load, tmp_path)[0][0] == (3.0, 0)
