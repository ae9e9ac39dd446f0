"""`kerastorch.errors`: the public place of the errors that users catch."""

import subprocess
import sys

import pytest
from torch import nn

import kerastorch as kt
from kerastorch.core import errors as core_errors
from kerastorch.errors import CheckpointCorruptError, CheckpointError, ExportError


class Fails(nn.Module):
    """A module that cannot be exported."""

    def forward(self, x):
        return x * x.sum().item() if x.sum().item() > 0 else x


def test_the_errors_are_those_that_are_raised_inside():
    names = ["CheckpointCorruptError", "CheckpointError", "ConversionError", "DistributedError", "ExportError"]
    assert dir(kt.errors) == names
    assert all(getattr(kt.errors, name) is getattr(core_errors, name) for name in dir(kt.errors))


def test_the_import_works_on_its_own():
    subprocess.run([sys.executable, "-c", "from kerastorch.errors import CheckpointError"], check=True)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        kt.load_model(tmp_path)
    assert type(caught.value) is CheckpointError


def test_a_file_that_was_cut_off_is_corrupt(tmp_path):
    path = tmp_path / "m.kt"
    kt.Sequential([kt.Input((3,)), kt.layers.Dense(2)]).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointCorruptError) as caught:
        kt.load_model(path)
    assert type(caught.value) is CheckpointCorruptError


def test_a_model_that_cannot_be_exported(tmp_path):
    with pytest.raises(ExportError):
        kt.Model(Fails()).export(tmp_path / "m.pt2", input_signature=(None, 3))
    assert not list(tmp_path.iterdir())
