"""Paths as users give them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import as_anybody, needs_fork

import kerastorch as kt
from kerastorch import callbacks, layers
from kerastorch.core.errors import CheckpointError

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def made():
    model = kt.Sequential([kt.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def writers(model=None):
    """The name of a file or folder -> what writes it."""
    model = model or made()

    def fit(callback):
        model.fit(X, Y, verbose=0, callbacks=[callback])

    return {
        "model.kt": model.save,
        "model.safetensors": model.save_weights,
        "model.pt2": model.export,
        "kept.kt": lambda path: fit(callbacks.ModelCheckpoint(path)),
        "table.csv": lambda path: fit(callbacks.CSVLogger(path)),
        "board": lambda path: fit(callbacks.TensorBoard(path)),
        "backup": lambda path: fit(callbacks.BackupAndRestore(path, delete_checkpoint=False)),
    }


WRITERS = sorted(writers())


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", [str, Path])
def test_the_tilde_is_the_home_folder(name, kind, tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    writers()[name](kind(f"~/{name}"))
    assert (home / name).exists()
    assert not list(here.iterdir())


def test_what_was_written_under_the_tilde_is_read_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = made()
    model.save("~/a/model.kt")
    model.save_weights("~/a/model.safetensors")
    other = kt.load_model("~/a/model.kt")
    other.load_weights("~/a/model.safetensors")
    assert torch.equal(other[0].weight, model[0].weight)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_on_the_way_is_named(name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises((OSError, ValueError), match=r"file") as caught:
        writers()[name](tmp_path / "file" / name)
    assert not isinstance(caught.value, FileExistsError)
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("name", ["model.kt", "model.safetensors", "model.pt2", "kept.kt"])
def test_a_folder_in_the_place_of_a_file_is_refused(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        writers()[name](tmp_path / name)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("wrong", [None, 3, b"model.kt", ""])
def test_what_is_no_path_is_refused(name, wrong):
    with pytest.raises((TypeError, ValueError), match=r"must be (a|the) path"):
        writers()[name](wrong)


@pytest.mark.parametrize("read", [kt.load_model, lambda path: made().load_weights(path)])
def test_for_a_file_that_is_missing_it_is_said_where_it_was_looked_for(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "no.kt" if read is kt.load_model else "no.safetensors"
    with pytest.raises(FileNotFoundError, match=f"There is no file {name}. The working folder is {tmp_path}"):
        read(name)
    for wrong in (None, 3, b"no.kt"):
        with pytest.raises(TypeError, match="must be a path"):
            read(wrong)


@needs_fork
@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_may_not_be_written_to_is_named_before_anything_is_trained(name, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)

    def attempt(path):
        model = made()
        before = model.get_weights()
        with pytest.raises(PermissionError, match=r"permission to write in \S+closed|closed.*Permission denied"):
            writers(model)[name](path)
        assert all(map(np.array_equal, model.get_weights(), before))

    as_anybody(attempt, tmp_path / "closed" / name)
    as_anybody(attempt, tmp_path / "closed" / "new" / name)


class Away(callbacks.Callback):
    """Goes to another folder while training runs."""

    def on_epoch_begin(self, epoch, logs=None):
        Path(f"away{epoch}").mkdir()
        os.chdir(f"away{epoch}")


def test_what_is_of_one_training_stays_in_one_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = [
        Away(),
        callbacks.CSVLogger("table.csv"),
        callbacks.TensorBoard("board"),
        callbacks.BackupAndRestore("backup", delete_checkpoint=False),
    ]
    made().fit(X, Y, epochs=3, verbose=0, callbacks=told)
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["away0", "backup", "board", "table.csv"]
    assert [path.name for path in (tmp_path / "away0").rglob("*")] == ["away1", "away2"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.weights.h5", "contains weights only"),
        ("a.pt", "torch.load"),
        ("a.pt2", "which has no model"),
        ("a.onnx", "which has no model"),
        ("a.safetensors", "call its load_weights"),
    ],
)
def test_load_model_says_what_to_do_with_files_of_other_kinds(name, words):
    with pytest.raises(CheckpointError, match=words):
        kt.load_model(name)


def test_load_model_says_what_to_do_with_a_checkpoint_of_a_training(tmp_path):
    made().fit(X, Y, verbose=0, callbacks=callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False))
    with pytest.raises(CheckpointError, match=r"BackupAndRestore.*resume="):
        kt.load_model(next(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("name", "words"), [("a.weights.h5", "'a.kt'. .*save_weights"), ("a.pt", "'a.kt'"), ("b", "'b.kt'")]
)
def test_save_names_the_file_that_would_do(name, words):
    with pytest.raises(ValueError, match=words):
        made().save(name)


@pytest.mark.parametrize("name", ["a.h5", "a.pt", "a", "a.kt"])
def test_save_weights_names_the_file_that_would_do(name):
    with pytest.raises(ValueError, match=r"'a\.weights\.safetensors'"):
        made().save_weights(name)
