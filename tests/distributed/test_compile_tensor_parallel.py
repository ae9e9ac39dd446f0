"""`compile(distribution=TensorParallel(...))`: training, evaluation, prediction and files are those of one process."""

import numpy as np
import pytest
import torch
from support.rank_fits import FITS, X, Y, check_same, trained, trained_on_ranks
from torch import distributed, nn

import kerastorch as kt
from kerastorch.core.distributed_tensors import full_tensor, is_distributed_tensor
from kerastorch.distribution import TensorParallel

PAIR = TensorParallel({"0": "column", "2": "row"})
QUICK = ["adam", "validation", "class weights", "clip", "metrics"]


@pytest.mark.parametrize("name", QUICK)
def test_two_ranks_give_the_numbers_of_one_process(two, name):
    options, fit_options = FITS[name]
    divided = {**options, "distribution": PAIR}
    check_same(two.run(trained_on_ranks, divided, fit_options), trained(options, fit_options))


@pytest.mark.distributed
@pytest.mark.parametrize("name", FITS)
def test_all_fits_give_the_numbers_of_one_process(two, name):
    options, fit_options = FITS[name]
    divided = {**options, "distribution": PAIR}
    check_same(two.run(trained_on_ranks, divided, fit_options), trained(options, fit_options))


def _lazy(dropout=0.0):
    torch.manual_seed(distributed.get_rank())
    model = kt.Sequential([kt.layers.Dense(8, "relu"), kt.layers.Dropout(dropout), kt.layers.Dense(3)])
    model.compile("adam", "cross_entropy", metrics=["accuracy"], distribution=TensorParallel({"0": "column"}))
    return model


def _saved(folder):
    model = _lazy(0.5)
    best = kt.callbacks.ModelCheckpoint(f"{folder}/best.kt", "loss", save_best_only=True)
    logs = model.fit(X, Y, batch_size=16, epochs=3, verbose=0, callbacks=[best, kt.callbacks.EarlyStopping("loss")])
    model.save(f"{folder}/model.kt")
    whole = [weight.detach() for weight in model.parameters() if not is_distributed_tensor(weight)]
    return logs.history, model.predict(X, verbose=0), [one.numpy() for one in whole], len(list(model.parameters()))


def test_ranks_stay_equal_with_dropout_and_files_open_in_one_process(two, tmp_path):
    ranks = two.run(_saved, str(tmp_path))
    for logs, outputs, whole, count in ranks:
        assert logs == ranks[0][0]
        np.testing.assert_array_equal(outputs, ranks[0][1])
        assert count - len(whole) == 2  # the kernel and the bias of one layer are divided
        for one, other in zip(whole, ranks[0][2], strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(kt.load_model(tmp_path / "model.kt").predict(X, verbose=0), ranks[0][1], atol=1e-6)


def _with_dropout(distribution, seed):
    torch.manual_seed(seed)
    model = kt.Sequential([kt.Input((4,)), kt.layers.Dense(8, "relu"), kt.layers.Dropout(0.5, seed=seed or None)])
    model.add(nn.Dropout(0.25))
    model.add(kt.layers.Dense(3))
    model.compile("sgd", "cross_entropy", distribution=distribution)
    logs = model.fit(X, Y, batch_size=16, epochs=2, verbose=0).history["loss"]
    return logs, model.predict(X, verbose=0)


@pytest.mark.parametrize("seed", [0, 4])
def test_dropout_draws_the_numbers_of_one_process(two, seed):
    losses, outputs = _with_dropout(None, seed)
    for logs, found in two.run(_with_dropout, TensorParallel({"0": "column", "3": "row"}), seed):
        assert logs == pytest.approx(losses, abs=1e-6)
        np.testing.assert_allclose(found, outputs, atol=1e-6)


def _without_training():
    model = _lazy()
    scores = model.evaluate(X, Y, verbose=0)
    outputs = model.predict(torch.utils.data.DataLoader(X, batch_size=7), verbose=0)
    loss = nn.functional.cross_entropy(torch.from_numpy(outputs), Y).item()
    return scores[0], loss, outputs, [full_tensor(weight.detach()).numpy() for weight in model.parameters()]


def test_a_model_that_is_built_by_its_first_batch_is_divided_before_it_is_evaluated(two):
    ranks = two.run(_without_training)
    for score, loss, outputs, weights in ranks:
        assert score == pytest.approx(loss, abs=1e-6)
        np.testing.assert_array_equal(outputs, ranks[0][2])
        for one, other in zip(weights, ranks[0][3], strict=True):
            np.testing.assert_array_equal(one, other)


def _different_rows():
    model = _lazy()
    generator = torch.Generator().manual_seed(distributed.get_rank())
    with pytest.raises(ValueError, match="differs between the processes") as error:
        model.fit(torch.randn(8, 4, generator=generator), Y[:8], verbose=0)
    return str(error.value)


def test_all_ranks_must_be_given_the_same_rows(two):
    assert all(text.startswith("x differs") for text in two.run(_different_rows))
