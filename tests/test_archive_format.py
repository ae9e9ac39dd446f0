"""Archives in one file, and how they come to disk."""

import hashlib
import json
import os
import stat
import threading

import numpy as np
import pytest
import torch
from support.optional import optional

from kerastorch.checkpoint import archive_format, atomic_file
from kerastorch.checkpoint.async_writer import AsyncWriter
from kerastorch.checkpoint.rotation import CheckpointRotation
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

safetensors_torch = optional("safetensors.torch")

STATE = {"model": {"weight": torch.arange(6.0).reshape(2, 3)}, "epoch": 3, "order": (np.arange(3), None)}


def test_sections_come_back(tmp_path):
    archive_format.write(tmp_path / "a.kt", {"training": STATE, "model": [1, 2], "empty": None})
    found = archive_format.read(tmp_path / "a.kt")
    assert list(found) == ["training", "model", "empty"]
    assert torch.equal(found["training"]["model"]["weight"], STATE["model"]["weight"])
    assert found["training"]["order"][0].tolist() == [0, 1, 2]
    assert found["training"]["order"][1] is None
    assert found["model"] == [1, 2]
    assert found["empty"] is None


def test_the_layout_is_as_described(tmp_path):
    """Read by hand, with json, hashlib and safetensors."""
    archive_format.write(tmp_path / "a.kt", {"training": STATE})
    data = (tmp_path / "a.kt").read_bytes()
    assert data[:12] == b"\x89kerastorch\n"
    assert int.from_bytes(data[12:16], "little") == 1
    end = 24 + int.from_bytes(data[16:24], "little")
    assert hashlib.sha256(data[:end]).digest() == data[end : end + 32]
    at = end + 32
    for part in json.loads(data[24:end])["parts"]:
        assert at % 8 == 0
        held = data[at : at + part["size"]]
        assert hashlib.sha256(held).hexdigest() == part["sha256"]
        if part["name"] == "training.json":
            assert json.loads(held)["state"]["epoch"] == 3
        else:
            assert torch.equal(safetensors_torch.load(held)["model.weight"], STATE["model"]["weight"])
        at += part["size"]
    assert at == len(data)


@pytest.mark.parametrize("name", ["", "Model", "a.json", "../a", "a" * 41, "a b", "ä"])
def test_a_section_whose_name_would_not_be_read_is_not_written(name, tmp_path):
    with pytest.raises(ValueError, match="A section is named"):
        archive_format.write(tmp_path / "a.kt", {name: 1})
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path):
    archive_format.write(tmp_path / "a.kt", {"model": 1})
    with pytest.raises(TypeError, match="b is a function"):
        archive_format.write(tmp_path / "a.kt", {"model": {"a": torch.zeros(3), "b": lambda: 1}})
    assert archive_format.read(tmp_path / "a.kt") == {"model": 1}
    assert os.listdir(tmp_path) == ["a.kt"]


def test_a_later_format_asks_for_an_upgrade(tmp_path):
    data = bytearray(b"".join(archive_format.encode({"model": 1})))
    data[12] = 2
    (tmp_path / "a.kt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"format 2; this kerastorch reads up to 1\. Upgrade"):
        archive_format.read(tmp_path / "a.kt")


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"PK\x03\x04 and more", "a zip file"), (b"\x80\x04 and more", "a pickle"), (b"\x89HDF\r\n\x1a\n", "HDF5")],
)
def test_files_of_others_are_told_by_name(data, what, tmp_path):
    (tmp_path / "a.kt").write_bytes(data)
    with pytest.raises(CheckpointError, match=what):
        archive_format.read(tmp_path / "a.kt")


def test_a_part_without_state_is_refused():
    data = b"".join(archive_format.encode({"model": 1}))
    end = 24 + int.from_bytes(data[16:24], "little")
    header, part = json.loads(data[24:end]), b'{"other":1}'
    header["parts"][0] |= {"size": len(part), "sha256": hashlib.sha256(part).hexdigest()}
    text = json.dumps(header).encode()
    start = data[:16] + len(text).to_bytes(8, "little") + text
    with pytest.raises(CheckpointCorruptError, match="holds no state"):
        archive_format.decode(memoryview(bytearray(start + hashlib.sha256(start).digest() + part)), "here")


def test_tensors_are_views_of_what_was_read():
    """Nothing is held twice: each part begins where numbers of eight bytes may."""
    data = memoryview(bytearray(b"".join(archive_format.encode({"odd": "x" * 13, "model": torch.zeros(5)}))))
    found = archive_format.decode(data, "here")["model"]
    start = torch.frombuffer(data, dtype=torch.uint8).data_ptr()
    assert start <= found.data_ptr() < start + len(data)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        archive_format.read(tmp_path / "a.kt")


def test_a_link_is_read_only_where_that_is_asked_for(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CheckpointError, match="symbolic link"):
        atomic_file.read(tmp_path / "b")
    assert atomic_file.read(tmp_path / "b", follow_symlinks=True) == b"abc"


def test_a_write_does_not_follow_a_link_laid_in_its_way(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / ".a.kt.tmp").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic link"):
        atomic_file.write(tmp_path / "a.kt", [b"other"])
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_write_takes_what_one_that_was_killed_has_left(tmp_path):
    (tmp_path / ".a.kt.tmp").write_bytes(b"half of something that was longer")
    atomic_file.write(tmp_path / "a.kt", [b"new"])
    assert (tmp_path / "a.kt").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.kt"]


def test_a_sparse_file_larger_than_memory_is_refused(tmp_path):
    with open(tmp_path / "a.kt", "wb") as sparse:
        try:
            sparse.truncate(2**43)
        except OSError:
            pytest.skip("no file of this size here")
    with pytest.raises(CheckpointError, match="more than there is memory for"):
        limited(lambda: archive_format.read(tmp_path / "a.kt"))


def limited(function):
    """With at most 64 GiB of addresses."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**36, before[1]))
    try:
        return function()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    atomic_file.write(tmp_path / "a.kt", [b"x"])
    assert stat.S_IMODE((tmp_path / "a.kt").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def numbers(folder):
    return sorted(int(name[11:17]) for name in os.listdir(folder) if name.startswith("checkpoint-"))


@pytest.mark.parametrize("keep", [2, 3])
def test_the_newest_archives_are_kept(keep, tmp_path):
    rotation = CheckpointRotation(tmp_path / "a" / "b", keep)
    assert rotation.load() is None
    for number in range(1, 6):
        path = rotation.save({"training": number})
        assert rotation.load() == archive_format.read(path) == {"training": number}
    assert numbers(tmp_path / "a" / "b") == list(range(6 - keep, 6))


def test_damaged_archives_are_named_and_the_one_before_them_is_loaded(tmp_path):
    rotation = CheckpointRotation(tmp_path, keep=3)
    for number in range(1, 4):
        rotation.save({"training": number})
    (tmp_path / "checkpoint-000003.kt").write_bytes(b"")
    (tmp_path / "checkpoint-000002.kt").write_bytes(b"x")
    with pytest.warns(UserWarning, match="checkpoint-00000") as caught:
        assert rotation.load() == {"training": 1}
    assert ["3.kt" in str(caught[0].message), "2.kt" in str(caught[1].message), len(caught)] == [True, True, 2]
    assert rotation.save({"training": 4}).name == "checkpoint-000004.kt"
    assert rotation.load() == {"training": 4}


def test_if_all_archives_are_damaged_the_error_names_them(tmp_path):
    rotation = CheckpointRotation(tmp_path)
    for number in range(2):
        rotation.save({"training": number})
    for path in tmp_path.iterdir():
        path.write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"(?s)000002\.kt.*000001\.kt.*to start from the beginning"):
        rotation.load()


def test_delete_leaves_other_files(tmp_path):
    rotation = CheckpointRotation(tmp_path / "a")
    rotation.save({"training": 1})
    (tmp_path / "a" / ".checkpoint-000002.kt.tmp").write_bytes(b"")
    (tmp_path / "a" / "notes.txt").write_text("mine")
    rotation.delete()
    assert os.listdir(tmp_path / "a") == ["notes.txt"]
    (tmp_path / "a" / "notes.txt").unlink()
    rotation.delete()
    assert not (tmp_path / "a").exists()
    rotation.delete()


def test_rotation_requires_a_folder_and_at_least_two_archives(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(CheckpointError, match="is no folder"):
        CheckpointRotation(tmp_path / "a")
    with pytest.raises(ValueError, match="keep must be an integer >= 2"):
        CheckpointRotation(tmp_path, keep=1)


def test_an_error_in_the_writer_thread_is_raised_by_the_next_call():
    writer, done = AsyncWriter(), []
    writer.run(lambda: done.append(threading.current_thread().name))
    writer.run(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        writer.run(lambda: done.append("never"))
    writer.run(lambda: done.append(2))
    writer.wait()
    writer.wait()
    assert done == ["kerastorch-save", 2]
