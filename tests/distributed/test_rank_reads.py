"""How much of the data several processes read, and data that each process brings itself."""

import contextlib
import pathlib

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, IterableDataset

import kerastorch as kt
from kerastorch.distribution import DataParallel

X = torch.randn(41, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def _compiled(distribution="auto"):
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    metrics = ["mae", kt.metrics.R2Score()]
    model.compile(kt.optimizers.SGD(0.1), "mse", metrics=metrics, distribution=distribution)
    return model


def _numbers(model, arguments, **options):
    losses = model.fit(*arguments, epochs=2, verbose=0, **options).history["loss"]
    return [*losses, *model.module_viewed.weight.detach().flatten().tolist()]


class Rows(IterableDataset):
    """Yields the rows one after the other."""

    def __iter__(self):
        yield from zip(X, Y, strict=True)


def _stream():
    model, loader = _compiled(), DataLoader(Rows(), batch_size=6)
    told = pytest.warns(UserWarning, match="2 processes reads all batches.*IterableDataset")
    with told if distributed.get_rank() == 0 else contextlib.nullcontext():
        found = _numbers(model, (loader,))
    return found, model.evaluate(loader, verbose=0)


def test_a_stream_is_read_by_all_with_one_warning(two):
    model = _compiled(None)
    expected = _numbers(model, (X, Y), batch_size=6, shuffle=False)
    scores = model.evaluate(X, Y, verbose=0)
    for found, evaluated in two.run(_stream):
        assert found == pytest.approx(expected, abs=1e-6)
        assert evaluated == pytest.approx(scores, abs=1e-6)


def _own_rows():
    part = slice(0, 29) if distributed.get_rank() == 0 else slice(29, 41)
    model = _compiled(DataParallel(shard_data=False))
    own = X[part], Y[part]
    history = model.fit(*own, batch_size=12, epochs=1, shuffle=False, verbose=0, validation_data=own).history
    weights = model.module_viewed.weight.detach().flatten().tolist()
    scores = model.evaluate(*own, batch_size=5, verbose=0, return_dict=True)
    outputs = model.predict(X[part], batch_size=4, verbose=0)
    return history, scores, weights, outputs, [len(outputs), len(X[part])]


def test_rows_of_their_own_are_all_evaluated_and_each_rank_predicts_its_own(two):
    ranks = two.run(_own_rows)
    weights = torch.tensor(ranks[0][2])
    joined = np.concatenate([rank[3] for rank in ranks])
    truth = Y.numpy()
    mse = float(((joined - truth) ** 2).mean())
    r2 = 1 - float(((joined - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    for history, scores, own, _, (predicted, given) in ranks:
        assert torch.tensor(own).equal(weights)
        assert predicted == given
        validated = {name.removeprefix("val_"): history[name][-1] for name in history if name.startswith("val_")}
        for found in (scores, validated):
            assert found["loss"] == pytest.approx(mse, rel=1e-5)
            assert found["r2_score"] == pytest.approx(r2, rel=1e-5)


ROWS, ROW_BYTES = 1024, 2**16  # the system maps the file in pieces of this size, or smaller ones


def _mapped_bytes(path):
    """Return how much of a file this process has mapped to its memory."""
    lines = pathlib.Path("/proc/self/smaps").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line.endswith(path)]
    sizes = [next(line for line in lines[start:] if line.startswith("Rss:")).split()[1] for start in starts]
    return 1024 * sum(map(int, sizes))


def _read_of_file(path, verb, **options):
    x = np.memmap(path, np.float32, "r", shape=(ROWS, ROW_BYTES // 4))
    model = kt.Model(nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Linear(1, 1)))
    model.compile("sgd", "mse")
    data = (x,) if verb == "predict" else (x, np.zeros((ROWS, 1), np.float32))
    getattr(model, verb)(*data, batch_size=32, verbose=0, **options)
    return _mapped_bytes(path)


@pytest.mark.skipif(not pathlib.Path("/proc/self/smaps").exists(), reason="mapped memory is read from /proc")
@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("fit", {"check_finite": False}),
        ("fit", {"check_finite": False, "shuffle": False}),
        ("evaluate", {}),
        ("predict", {}),
    ],
)
def test_processes_of_one_machine_read_a_memory_map_once_together(two, tmp_path, verb, options):
    path = str(tmp_path / "rows.bin")
    pathlib.Path(path).write_bytes(bytes(ROWS * ROW_BYTES))
    read = two.run(_read_of_file, path, verb, **options)
    assert min(read) >= ROWS // 2 * ROW_BYTES
    assert sum(read) <= (ROWS + 2 * 64) * ROW_BYTES  # each compares 64 rows with those of the other


def _searched(at, shape):
    x = torch.ones(shape)
    x[at] = torch.inf
    x[at[0] + 1] = torch.nan
    model = kt.Model(nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 1)))
    model.compile("sgd", "mse")
    told = []
    for call in (
        lambda: model.fit(x, X[:40, :1], verbose=0),
        lambda: model.fit(torch.ones(shape), X[:40, :1], validation_data=(x, X[:40, :1]), verbose=0),
        lambda: model.evaluate(x, X[:40, :1], verbose=0),
    ):
        with pytest.raises(ValueError, match="4 NaN values") as error:
            call()
        told.append(str(error.value))
    return told, float(model.evaluate(torch.ones(shape), X[:40, :1], verbose=0)) > 0


@pytest.mark.parametrize(("at", "row"), [((3, 2), 3), ((18, 0), 18), ((19, 1), 19), ((38, 2), 38)])
def test_nan_that_any_process_finds_is_the_same_error_on_all(two, at, row):
    expected = f"x has 4 NaN values, first at row {row}, column {at[1]}. Clean it, or pass check_finite=False."
    for told, goes_on in two.run(_searched, at, (40, 3)):
        assert told == [expected, f"validation {expected}", expected]
        assert goes_on
