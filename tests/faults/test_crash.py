"""F3: a save that ends after any of its calls to the system."""

import errno
import os
import warnings

import pytest
from harness import in_child, needs_fork, same, state, tries

from kerastorch.checkpoint import archive_format
from kerastorch.checkpoint.rotation import CheckpointRotation

pytestmark = needs_fork
CALLS = (
    "open",
    "close",
    "write",
    "ftruncate",
    "fsync",
    "replace",
    "rename",
    "link",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
)
CRASHED = 9


class System:
    """The calls to the system, in the place of the functions of `os`; the process ends after the one wanted.

    how:
        after: when it is done.
        torn: a write when it is half done.
        power: when it is done, and what was not forced to disk is lost.
    """

    def __init__(self, last, how):
        self.calls, self._last, self._how = [], last, how
        self._loose = set()  # files written to since they were forced to disk
        self._true = {name: getattr(os, name) for name in CALLS}
        for name in CALLS:
            setattr(os, name, lambda *args, name=name, **options: self._call(name, *args, **options))

    def _call(self, name, *args, **options):
        true = self._true[name]
        at_last = len(self.calls) + 1 == self._last
        if at_last and self._how == "torn" and name == "write":
            true(args[0], args[1][: len(args[1]) // 2])
            os._exit(CRASHED)
        self.calls.append((name, self._about(name, args)))
        if name == "write":
            self._loose.add(self._path(args[0]))
        if name == "fsync":
            self._loose.discard(self._path(args[0]))
        try:
            return true(*args, **options)
        finally:
            if at_last:
                self._end()

    def _end(self):
        if self._how == "power":
            for path in self._loose:
                os.truncate(path, 0)
        os._exit(CRASHED)

    def _about(self, name, args):
        if name in ("write", "fsync", "ftruncate", "close"):
            return os.path.basename(self._path(args[0]))
        return os.path.basename(args[1] if name in ("replace", "rename") else args[0])

    def _path(self, opened):
        return os.readlink(f"/proc/self/fd/{opened}")


def calls_of(save):
    """The calls to the system that it makes when nothing ends it."""

    def run():
        system = System(-1, "after")
        save()
        return system.calls

    return in_child(run).value


def ended_after(save, last, how):
    def run():
        System(last, how)
        save()

    return in_child(run).code


def loaded(path):
    """What is there: of a file, or of a folder of generations; a warning is an error."""
    if path.suffix != ".kt":
        return CheckpointRotation(path).load()
    try:
        return archive_format.read(path)
    except FileNotFoundError:
        return None


def a_file(path, saves, tensors):
    for number in range(saves):
        archive_format.write(path, {"training": state(number, tensors)})
    return lambda: archive_format.write(path, {"training": state(saves, tensors)})


def a_folder(path, saves, tensors):
    for number in range(saves):
        CheckpointRotation(path).save({"training": state(number, tensors)})
    return lambda: CheckpointRotation(path).save({"training": state(saves, tensors)})


@tries(quick=1, full=20)
@pytest.mark.parametrize("how", ["after", "torn", "power"])
@pytest.mark.parametrize(
    ("name", "begin", "saves"),
    [
        ("a.kt", a_file, 0),
        ("a.kt", a_file, 1),
        ("deep/folder", a_folder, 0),
        pytest.param("folder", a_folder, 1, marks=pytest.mark.faults),
        ("folder", a_folder, 2),
        pytest.param("folder", a_folder, 3, marks=pytest.mark.faults),
    ],
    ids=["first file", "file", "first generation", "second", "third", "fourth"],
)
def test_after_any_call_there_is_the_old_state_or_the_new(name, begin, saves, how, tries, tmp_path, report):
    (tmp_path / "whole").mkdir()
    path = tmp_path / "whole" / name
    calls = calls_of(begin(path, saves, tries))
    old = {"training": state(saves - 1, tries)} if saves else None
    new = {"training": state(saves, tries)}
    assert same(loaded(path), new)
    seen = set()
    points = [at for at, (call, _) in enumerate(calls, 1) if how != "torn" or call == "write"]
    for last in points:
        folder = tmp_path / str(last)
        folder.mkdir()
        save = begin(folder / name, saves, tries)
        assert ended_after(save, last, how) == CRASHED
        found = loaded(folder / name)
        assert same(found, old) or same(found, new), f"after {calls[:last]}"
        seen.add(same(found, new))
        save()
        assert same(loaded(folder / name), new)
        assert not [one for one in os.listdir((folder / name).parent) if one.endswith(".tmp")]
    assert seen == ({False} if how == "torn" else {False, True})
    done = {"after": "killed", "torn": "killed half way", "power": "power lost, with all bytes not yet forced to disk,"}
    what = f"{done[how]} at each single call to the system of a save"
    report("F3", what, len(points), "the old state or the new")


@tries(quick=1, full=20)
def test_what_is_written_is_forced_to_disk_and_read_back_before_it_takes_the_name(tries, tmp_path):
    save = a_folder(tmp_path / "folder", 2, tries)
    calls = [call for call in calls_of(save) if call[0] not in ("open", "close", "mkdir")]
    temporary, final = ".checkpoint-000003.kt.tmp", "checkpoint-000003.kt"
    writes = [("write", temporary)] * (len(calls) - 5)
    assert calls == [
        ("ftruncate", temporary),
        *writes,
        ("fsync", temporary),
        ("replace", final),
        ("fsync", "folder"),
        ("unlink", "checkpoint-000001.kt"),
    ]
    assert len(writes) > tries


def test_the_names_of_new_folders_are_forced_to_disk(tmp_path):
    calls = calls_of(a_folder(tmp_path / "deep" / "folder", 0, 1))
    assert ("fsync", tmp_path.name) in calls
    assert ("fsync", "deep") in calls


def test_a_file_that_does_not_read_back_as_it_was_written_does_not_take_the_name(tmp_path):
    def run():
        begun = os.write

        def flip(opened, data):
            data = bytearray(data)
            data[-1] ^= 1
            return begun(opened, data)

        os.write = flip
        try:
            archive_format.write(tmp_path / "a.kt", {"training": state(1)})
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    archive_format.write(tmp_path / "a.kt", {"training": state(0)})
    assert "CheckpointError" in in_child(run).value
    assert same(archive_format.read(tmp_path / "a.kt"), {"training": state(0)})
    assert os.listdir(tmp_path) == ["a.kt"]


def test_a_backup_that_is_deleted_half_leaves_the_newest(tmp_path):
    def folder(name):
        for number in range(3):
            CheckpointRotation(tmp_path / name, keep=3).save({"training": state(number)})
        return CheckpointRotation(tmp_path / name).delete

    calls = calls_of(folder("whole"))
    for last in range(1, len(calls) + 1):
        assert ended_after(folder(str(last)), last, "after") == CRASHED
        found = loaded(tmp_path / str(last))
        assert found is None or same(found, {"training": state(2)}), calls[:last]


def test_a_newest_that_the_disk_cannot_read_is_passed_over_with_a_warning(tmp_path, monkeypatch):
    for number in range(2):
        CheckpointRotation(tmp_path).save({"training": state(number)})
    true = os.open

    def opened(path, *args):
        if str(path).endswith("000002.kt"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return true(path, *args)

    monkeypatch.setattr(os, "open", opened)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = CheckpointRotation(tmp_path).load()
    assert same(found, {"training": state(0)})
    assert "000002.kt" in str(caught[0].message)
