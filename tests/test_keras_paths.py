"""Every public name of Keras is behind `kerastorch.keras`, or its absence is answered with what to use."""

import importlib
import json
import pathlib

import pytest

import kerastorch as kt
import kerastorch.keras as keras

# The names that `dir` shows in the modules of Keras 3.15.1, without those that begin with an underscore.
KERAS = {
    module.removeprefix("keras").removeprefix("."): names.split()
    for module, names in json.loads((pathlib.Path(__file__).parent / "keras_names.json").read_text()).items()
}


def resolve(path):
    owner = keras
    for name in filter(None, path.split(".")):
        owner = getattr(owner, name)
    return owner


def is_there(path):
    try:
        resolve(path)
    except AttributeError:
        return False
    return True


PRESENT = [module for module in KERAS if is_there(module)]


def test_the_modules_that_scripts_use_are_there():
    assert {
        "", "activations", "backend", "callbacks", "config", "constraints", "datasets", "distribution", "export",
        "initializers", "layers", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers",
        "optimizers.schedules", "preprocessing", "preprocessing.image", "preprocessing.sequence", "random",
        "regularizers", "saving", "tree", "utils", "visualization", "wrappers",
    } <= set(PRESENT)  # fmt: skip


@pytest.mark.parametrize("module", sorted({one.partition(".")[0] for one in set(KERAS) - set(PRESENT)}))
def test_a_module_that_is_not_there_says_what_to_use(module):
    if module in ("utils", "keras"):
        return
    with pytest.raises(AttributeError) as caught:
        getattr(keras, module)
    assert str(caught.value).partition(f" has no {module!r}.")[2].strip()
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("module", PRESENT)
def test_a_name_of_keras_is_there_or_its_error_says_what_to_use(module):
    owner = resolve(module)
    for name in KERAS[module]:
        if not hasattr(owner, name):
            with pytest.raises(AttributeError) as caught:
                getattr(owner, name)
            found = str(caught.value).partition(f" has no {name!r}.")[2].strip()
            assert found, (module, name)
            assert not found.startswith("Did you mean"), (module, name, found)
            assert not found.startswith("Its name is"), (module, name, found)


@pytest.mark.parametrize("module", [one for one in PRESENT if one])
def test_a_module_is_imported_by_its_path_and_shows_its_names(module):
    owner = resolve(module)
    assert importlib.import_module(f"kerastorch.keras.{module}") is owner
    assert len(set(dir(owner))) == len(dir(owner))
    for name in getattr(owner, "__all__", ()):
        assert getattr(owner, name) is not None, name


def test_other_names_are_the_same_layers():
    assert keras.layers.Convolution2D is keras.layers.Conv2D
    assert keras.layers.SeparableConvolution1D is keras.layers.SeparableConv1D
    assert isinstance(keras.layers.Convolution2D(2, 3), kt.layers.Conv2D)
    assert keras.layers.GlobalMaxPool2D is keras.layers.GlobalMaxPooling2D


def test_paths_of_classes_are_those_of_kerastorch():
    assert keras.losses.Huber is kt.losses.Huber
    assert keras.optimizers.Adam is kt.optimizers.Adam
    assert keras.optimizers.schedules.CosineDecay is kt.optimizers.schedules.CosineDecay
    assert keras.preprocessing.text_dataset_from_directory is kt.preprocessing.text_dataset_from_directory
