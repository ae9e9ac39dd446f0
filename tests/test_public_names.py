"""What tab completion shows: the public names, and nothing that a module merely imports."""

import pytest

import kerastorch as kt

MODULES = [
    kt, kt.config, kt.data, kt.datasets, kt.distribution, kt.errors, kt.evaluation, kt.layers, kt.model_selection,
    kt.ops, kt.ops.image, kt.ops.linalg, kt.ops.nn, kt.ops.numpy,
    kt.optimizers.schedules, kt.preprocessing, kt.preprocessing.image, kt.preprocessing.sequence, kt.random, kt.saving,
    kt.utils, kt.wrappers,
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_dir_shows_exactly_the_public_names(module):
    assert dir(module) == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize(
    "name", ["core", "data_adapter", "functional", "module", "np", "symbolic", "torch", "training"]
)
def test_the_package_does_not_show_what_is_internal(name):
    assert name not in dir(kt)


def test_layers_are_all_classes_and_functions_of_the_package():
    for name in dir(kt.layers):
        assert getattr(kt.layers, name).__module__.startswith("kerastorch."), name
