"""Steps that are left out, repeated or rounded in several processes: precision, loss scaling, memory, dropout."""

import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import distributed, nn

import kerastorch as kt

DATA = torch.Generator().manual_seed(0)
X = torch.randn(48, 4, generator=DATA)
Y = torch.randint(0, 3, (48,), generator=DATA)


class Limited(nn.Module):
    """The identity, which has no memory for more rows than a limit, on some ranks."""

    def __init__(self, limit, ranks):
        super().__init__()
        self.limit, self.ranks = limit, ranks

    def forward(self, x):
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        if len(x) > self.limit and rank in self.ranks:
            raise torch.OutOfMemoryError(f"no memory for {len(x)} rows")
        return x


def network(*middle):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), *middle, nn.Linear(8, 3))


def numbers(model, history):
    return [one.detach().numpy() for one in model.parameters()], history.history["loss"]


def check(found, expected, atol):
    for weights, losses in found:
        np.testing.assert_allclose(losses, expected[1], atol=atol)
        for one, two in zip(weights, expected[0], strict=True):
            np.testing.assert_allclose(one, two, atol=atol)


# --- precision --------------------------------------------------------------------------------------------------------


def in_precision(precision):
    model = kt.Model(network())
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy", precision=precision)
    return numbers(model, model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_gives_the_numbers_of_one_process_up_to_its_rounding(two, precision):
    first, second = two.run(in_precision, precision)
    check([first, second], in_precision(precision), 5e-3 if precision == "bf16" else 1e-3)
    check([second], first, 0.0)


def with_overflow(row):
    """Train in float16 with a row of numbers above the largest one; return the weights."""
    x = X.clone()
    x[row] *= 1e6
    model = kt.Model(network())
    model.compile(kt.optimizers.SGD(0.1), nn.CrossEntropyLoss(), precision="fp16")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the loss is nan")  # on the rank that has the row
        model.fit(x, Y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    return [one.detach().numpy() for one in model.parameters()]


def by_hand(row):
    """Return the same and the number of steps that were left out, by the recipe of torch in one process."""
    x = X.clone()
    x[row] *= 1e6
    net, scaler = network(), torch.amp.GradScaler("cpu")
    optimizer, skipped = torch.optim.SGD(net.parameters(), 0.1), 0
    for rows in torch.arange(48).split(8):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = nn.functional.cross_entropy(net(x[rows]).float(), Y[rows])
        scaler.scale(loss).backward()
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        skipped += scaler.get_scale() < before
    return [one.detach().numpy() for one in net.parameters()], skipped


@pytest.mark.parametrize("row", [9, 14])  # of the first and of the second rank
def test_a_step_that_overflows_on_one_rank_is_left_out_on_all(two, row):
    weights, skipped = by_hand(row)
    assert skipped == 1
    for found in two.run(with_overflow, row):
        for one, expected in zip(found, weights, strict=True):
            np.testing.assert_allclose(one, expected, atol=1e-3)


# --- memory -----------------------------------------------------------------------------------------------------------


def limited(limit, ranks):
    model = kt.Model(network(Limited(limit, ranks)))
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy")
    return model


def evaluated(limit, ranks):
    """Evaluate and predict while some ranks have no memory for their rows; the first of them warns."""
    model = limited(limit, ranks)
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    with pytest.warns(UserWarning, match="memory ran out") if rank in ranks[:1] else nullcontext():
        scores = model.evaluate(X, Y, batch_size=16, verbose=0)
        return [model.predict(X, batch_size=16, verbose=0)], [scores]


@pytest.mark.parametrize("ranks", [(0,), (1,), (0, 1)])
def test_a_rank_without_memory_for_its_rows_evaluates_them_in_parts(two, ranks):
    check(two.run(evaluated, 3, ranks), evaluated(48, ()), 2e-6)


def trained_without_memory():
    limited(3, (0, 1)).fit(X, Y, batch_size=16, verbose=0)


def test_ranks_without_memory_for_a_training_step_say_what_to_change(two):
    for text in two.run(trained_without_memory, may_fail=True):
        assert "OutOfMemoryError: no memory for 8 rows" in text
        assert "Use a smaller batch_size" in text


# --- dropout in evaluation --------------------------------------------------------------------------------------------


def sampled():
    torch.manual_seed(5)
    model = kt.Model(network(nn.Dropout(0.5)))
    model.compile("sgd", "cross_entropy")
    found = model.predict(X[:47], batch_size=5, verbose=0, mc_dropout=40)
    return found, torch.get_rng_state().numpy()


@pytest.mark.parametrize("world", ["two", "three"])
def test_samples_of_dropout_are_the_same_on_all_ranks_and_so_is_the_random_state_after_them(request, world):
    first, *others = request.getfixturevalue(world).run(sampled)
    for one in others:
        np.testing.assert_array_equal(one[0], first[0])
        np.testing.assert_array_equal(one[1], first[1])
    assert first[0].shape == (40, 47, 3)
    assert (first[0].std(0) > 0).all()
    mean, error = sampled()[0].mean(0), first[0].std(0) / np.sqrt(40)
    assert (np.abs(first[0].mean(0) - mean) / error).mean() < 3
