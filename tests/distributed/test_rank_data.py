"""What several processes are given: the same data and seeds, or an error that names the difference."""

import pytest
import torch
from torch import distributed, nn

import kerastorch as kt

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def compiled():
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    model.compile(kt.optimizers.SGD(0.1), "mse")
    return model


def fit_with_seed(seeds):
    model = compiled()
    torch.manual_seed(seeds[distributed.get_rank()])
    return model.fit(X, Y, epochs=2, batch_size=7, verbose=0).history["loss"]


def test_the_order_of_rows_is_that_of_rank_0_whatever_the_seeds(two):
    first, second = two.run(fit_with_seed, (5, 6))
    model = compiled()
    torch.manual_seed(5)
    assert first == second == pytest.approx(model.fit(X, Y, epochs=2, batch_size=7, verbose=0).history["loss"])


def with_other_data(verb, name):
    rank = distributed.get_rank()
    x, y = (X + rank, Y) if name == "x" else (X, Y[: 40 - rank])
    if name == "y":
        y = Y * (1 + rank)
    validation = (X[rank:], Y[rank:]) if name == "validation_data" else None
    x, y = (X, Y) if validation else (x, y)
    model = compiled()
    calls = {
        "fit": lambda: model.fit(x, y, validation_data=validation, verbose=0),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "predict": lambda: model.predict(x, verbose=0),
    }
    try:
        calls[verb]()
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("verb", "name"),
    [("fit", "x"), ("fit", "y"), ("fit", "validation_data"), ("evaluate", "y"), ("predict", "x")],
)
def test_other_data_on_another_rank_are_an_error_on_all(two, verb, name):
    for told in two.run(with_other_data, verb, name):
        assert told.startswith(f"{name} differs between the processes: it is (40, ")
        assert "on rank 1" in told
        assert "DataParallel(shard_data=False)" in told


def with_loader(generator_seed):
    generator = None if generator_seed is None else torch.Generator().manual_seed(generator_seed)
    rows = torch.utils.data.TensorDataset(X, Y)
    loader = torch.utils.data.DataLoader(rows, 7, shuffle=True, generator=generator)
    model = compiled()
    try:
        return model.fit(loader, epochs=2, verbose=0).history["loss"]
    except ValueError as error:
        return str(error)


def test_a_loader_that_shuffles_differently_is_an_error_and_one_with_a_generator_trains(two):
    for told in two.run(with_loader, None):
        assert told.startswith("the processes have drawn different batches: rank 0 has (7, 3) float32")
        assert "generator=torch.Generator().manual_seed(0)" in told
    first, second = two.run(with_loader, 3)
    assert first == second == pytest.approx(with_loader(3))


def with_other_arguments():
    try:
        compiled().fit(X, Y, batch_size=4 + distributed.get_rank(), verbose=0)
    except RuntimeError as error:
        return str(error)


def test_other_arguments_on_another_rank_are_an_error_on_all(two):
    for told in two.run(with_other_arguments):
        assert "must call the same methods with the same arguments" in told
        assert "rank 1: fit(batch_size=5, epochs=1" in told


def evaluated_with_loader(generator_seed):
    torch.manual_seed(distributed.get_rank() if distributed.is_initialized() else 0)
    generator = None if generator_seed is None else torch.Generator().manual_seed(generator_seed)
    rows = torch.utils.data.TensorDataset(X, Y)
    loader = torch.utils.data.DataLoader(rows, 7, shuffle=True, generator=generator)
    model = compiled()
    torch.manual_seed(distributed.get_rank() if distributed.is_initialized() else 0)
    try:
        return model.evaluate(loader, verbose=0)
    except ValueError as error:
        return str(error)


def test_evaluation_by_turns_compares_the_batches_too(two):
    for told in two.run(evaluated_with_loader, None):
        assert told.startswith("the processes have drawn different batches")
    assert two.run(evaluated_with_loader, 3) == [pytest.approx(evaluated_with_loader(3))] * 2
