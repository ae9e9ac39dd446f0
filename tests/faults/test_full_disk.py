"""F8: disks that are full, or fail, or take less than they were given."""

import errno
import os
import random

import pytest
from harness import in_child, needs_fork, same, state, tries

from kerastorch.checkpoint import archive_format
from kerastorch.checkpoint.rotation import CheckpointRotation

resource = pytest.importorskip("resource")
pytestmark = needs_fork


def failing(name, code, after):
    """A function of `os` that takes so many bytes, or calls, and then fails."""
    true, left = getattr(os, name), after

    def write(opened, data):
        nonlocal left
        if left <= 0:
            raise OSError(code, os.strerror(code))
        done = true(opened, data[:left])
        left -= done
        return done

    def other(*args, **options):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(code, os.strerror(code))
        return true(*args, **options)

    return write if name == "write" else other


def refused(save):
    """The number of the error that the save raises; `None`: it raised none."""
    try:
        save()
    except OSError as error:
        return error.errno


def size(number):
    return sum(map(len, archive_format.encode({"training": state(number)})))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=["ENOSPC", "EIO", "EDQUOT"])
@tries(quick=5, full=50)
def test_a_write_that_fails_leaves_the_old_file_and_no_other(code, tries, tmp_path, monkeypatch, report):
    path, draw = tmp_path / "a.kt", random.Random(0)
    archive_format.write(path, {"training": state(0)})
    before = path.read_bytes()
    for _ in range(tries):
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", failing("write", code, draw.randrange(size(1))))
            with pytest.raises(OSError, match=os.strerror(code)):
                archive_format.write(path, {"training": state(1)})
        assert path.read_bytes() == before
        assert same(archive_format.read(path), {"training": state(0)})
        assert os.listdir(tmp_path) == ["a.kt"]
    report(
        "F8",
        f"a save fails at random bytes with {errno.errorcode[code]}",
        tries,
        "the error is raised; the old file is whole; no other is left",
    )


@tries(quick=5, full=50)
def test_a_real_limit_on_the_size_of_files_leaves_the_old_one(tries, tmp_path, report):
    folder, draw = CheckpointRotation(tmp_path), random.Random(0)
    for number in range(2):
        folder.save({"training": state(number)})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def run(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # Python ignores SIGXFSZ
        return refused(lambda: folder.save({"training": state(2)}))

    for _ in range(tries):
        assert in_child(run, draw.randrange(size(2))).value == errno.EFBIG
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert same(folder.load(), {"training": state(1)})
    assert in_child(run, size(2)).value is None
    report(
        "F8",
        "a save runs into RLIMIT_FSIZE at random bytes",
        tries,
        "the error is raised; the old files are whole; no other is left",
    )


@pytest.mark.parametrize("name", ["open", "ftruncate", "fsync", "replace"])
def test_any_call_that_fails_before_the_new_file_has_its_name_leaves_the_old_one(name, tmp_path, monkeypatch):
    path = tmp_path / "a.kt"
    archive_format.write(path, {"training": state(0)})
    with monkeypatch.context() as patched:
        patched.setattr(os, name, failing(name, errno.EIO, 0))
        with pytest.raises(OSError, match="Input/output"):
            archive_format.write(path, {"training": state(1)})
    assert same(archive_format.read(path), {"training": state(0)})
    assert os.listdir(tmp_path) == ["a.kt"]


def test_a_folder_that_cannot_be_forced_to_disk_is_told_and_the_new_file_is_there(tmp_path, monkeypatch):
    path = tmp_path / "a.kt"
    archive_format.write(path, {"training": state(0)})
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing("fsync", errno.EIO, 1))
        with pytest.raises(OSError, match="Input/output"):
            archive_format.write(path, {"training": state(1)})
    assert same(archive_format.read(path), {"training": state(1)})


def test_a_file_system_that_cannot_force_folders_to_disk_is_borne(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing("fsync", errno.EINVAL, 1))
    archive_format.write(tmp_path / "a.kt", {"training": state(1)})
    assert same(archive_format.read(tmp_path / "a.kt"), {"training": state(1)})


@tries(quick=5, full=50)
def test_a_system_that_takes_and_gives_less_than_asked_for_changes_nothing(tries, tmp_path, monkeypatch):
    draw, write, readv = random.Random(0), os.write, os.readv
    monkeypatch.setattr(os, "write", lambda opened, data: write(opened, data[: draw.randrange(1, len(data) + 1)]))
    monkeypatch.setattr(
        os, "readv", lambda opened, held: readv(opened, [held[0][: draw.randrange(1, len(held[0]) + 1)]])
    )
    for number in range(tries):
        archive_format.write(tmp_path / "a.kt", {"training": state(number)})
        assert same(archive_format.read(tmp_path / "a.kt"), {"training": state(number)})
