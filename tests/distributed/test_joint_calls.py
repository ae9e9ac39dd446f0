"""Saving and reading divided weights, which all processes must do: a process that does it alone is told so."""

import time

import numpy as np
import pytest
import torch
from torch import distributed, nn

import kerastorch as kt
from kerastorch.core import rank_failures
from kerastorch.distribution import FullyShard, TensorParallel

X = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
STRATEGIES = [FullyShard(), TensorParallel({"0": "column"})]
CALLS = {
    "get_weights()": lambda model, folder: model.get_weights(),
    "save(": lambda model, folder: model.save(f"{folder}/model.kt"),
    "save_weights": lambda model, folder: model.save_weights(f"{folder}/model.safetensors"),
}


def _divided(distribution):
    torch.manual_seed(0)
    model = kt.Model(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)))
    model.compile("sgd", "mse", distribution=distribution)
    model.evaluate(X, X[:, :2], verbose=0)
    return model


def _late(distribution, call, folder):
    rank_failures.REMINDER_SECONDS = 1.0
    model = _divided(distribution)
    if distributed.get_rank():
        time.sleep(4)
        CALLS[call](model, folder)
    else:
        with pytest.warns(UserWarning, match=r"rank 0 waits for rank 1, which has not called (get_weights\(\)|save\()"):
            CALLS[call](model, folder)
    return model.get_weights()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("distribution", STRATEGIES, ids=str)
def test_a_process_that_waits_for_others_to_save_says_so(two, tmp_path, distribution, call):
    torch.manual_seed(0)
    expected = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)).state_dict().values()
    for found in two.run(_late, distribution, call, tmp_path):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def _other_method(distribution, folder):
    model = _divided(distribution)
    call = (lambda: model.predict(X, verbose=0)) if distributed.get_rank() else (lambda: model.save(f"{folder}/m.kt"))
    with pytest.raises(RuntimeError, match="all processes must call the same methods") as error:
        call()
    return str(error.value)


@pytest.mark.parametrize("distribution", STRATEGIES, ids=str)
def test_a_process_that_saves_while_another_predicts_is_an_error_on_both(two, tmp_path, distribution):
    for told in two.run(_other_method, distribution, tmp_path):
        assert "rank 0: save('" in told
        assert "rank 1: predict(" in told
    assert not [*tmp_path.iterdir()]
