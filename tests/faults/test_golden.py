"""F14: files that releases have written are read bit for bit by this one."""

import shutil

import golden_checkpoint
import numpy as np
import pytest
from golden_model import inputs, targets
from golden_states import FOLDER, of_format_1
from harness import same

import kerastorch as kt
from kerastorch.checkpoint import archive_format
from kerastorch.checkpoint.state_json import pack, unpack

FILES = sorted(FOLDER.glob("archive-*.kt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_release_has_written_is_read_bit_for_bit(path, report):
    assert same(archive_format.read(path), {"golden": of_format_1()})
    report("F14", "archives that releases have written, with every kind of value and dtype", 1, "read bit for bit")


def test_there_is_a_golden_file_and_it_is_small():
    assert FILES
    assert all(path.stat().st_size < 50_000 for path in FILES)


def test_what_is_packed_today_comes_back_the_same():
    packed = pack(of_format_1())
    assert same(unpack(packed.json, packed.tensors, "here"), of_format_1())


MODELS = sorted(FOLDER.glob("model-*.kt"))


def test_there_is_a_golden_model_and_it_is_small():
    assert MODELS
    assert all(path.stat().st_size < 150_000 for path in MODELS)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_a_model_that_a_release_has_written_is_read_bit_for_bit_and_trains_on(path, tmp_path, report):
    model, written = kt.load_model(path), archive_format.read(path)
    assert same(dict(model.state_dict()), written["weights"])
    for name, weight in model.named_parameters():
        for key, value in written["optimizer"]["optimizer"]["state"][name].items():
            assert same(model.optimizer.state[weight][key], value)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as expected:
        outputs = model.predict(inputs(), verbose=0)
        assert set(outputs) == set(expected)
        for name, found in outputs.items():
            assert np.allclose(found, expected[name], rtol=1e-4, atol=1e-5)
    assert model.get_layer("kind").units == 3
    model.save(tmp_path / "again.kt")
    assert same(archive_format.read(tmp_path / "again.kt")["weights"], written["weights"])
    assert set(model.evaluate(inputs(), targets(), verbose=0, return_dict=True)) >= {"loss", "kind_accuracy"}
    model.fit(inputs(), targets(), verbose=0)
    report("F14", "models that releases have written: weights and optimizer", 1, "read bit for bit, and train on")


FITS = sorted(FOLDER.glob("fit-*"))


def test_there_is_a_golden_checkpoint_and_it_is_small():
    assert FITS
    assert all(file.stat().st_size < 50_000 for path in FITS for file in path.iterdir())


@pytest.mark.parametrize("path", FITS, ids=lambda path: path.name)
def test_a_fit_that_a_release_has_interrupted_is_resumed(path, tmp_path, report):
    folder = shutil.copytree(path, tmp_path / "fit")
    uninterrupted, whole, batches = golden_checkpoint.fit()
    model, history, left = golden_checkpoint.fit(folder)
    assert (batches, left) == (28, 18)  # interrupted after 12 batches, saved after 10
    assert history.epoch == whole.epoch == [0, 1, 2, 3]
    assert all(np.allclose(history.history[name], whole.history[name], rtol=1e-3, atol=1e-4) for name in whole.history)
    expected = uninterrupted.state_dict()
    assert all(np.allclose(value, expected[name], rtol=1e-3, atol=1e-4) for name, value in model.state_dict().items())
    report("F14", "fits that releases have interrupted", 1, "resumed, with the weights of an uninterrupted run")
