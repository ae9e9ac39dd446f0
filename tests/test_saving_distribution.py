"""The settings of `compile(distribution=)` in the file of a model."""

import warnings

import pytest

import kerastorch as kt
from kerastorch.core.serialization import decode, encode
from kerastorch.distribution.settings import DataParallel, FullyShard, TensorParallel

SETTINGS = [
    DataParallel(),
    DataParallel(shard_data=False),
    FullyShard(),
    FullyShard(shard=["blocks.*", "head"], precision="bf16", offload=True, reshard=False, shard_data=False),
    FullyShard(shard=1000),
    TensorParallel({"*.q": "column", "*.o": "row"}),
]


def test_no_settings_are_without_a_codec():
    kinds = [one for one in vars(kt.distribution).values() if isinstance(one, type)]
    assert set(kinds) <= {type(settings) for settings in SETTINGS}


@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
def test_settings_are_encoded_with_all_their_arguments(settings):
    assert decode(encode(settings)) == settings


@pytest.mark.parametrize("given", ["auto", None, *SETTINGS], ids=repr)
def test_a_loaded_model_has_them(given, tmp_path):
    model = kt.Sequential([kt.Input((4,)), kt.layers.Dense(1)])
    try:
        model.compile("sgd", "mse", distribution=given)
    except TypeError:
        assert type(given).__name__ not in kt.distribution.__all__
        pytest.skip("not an argument of compile")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "model.kt")
        again = kt.load_model(tmp_path / "model.kt")
    assert again.trainer.compile_args["distribution"] == given
