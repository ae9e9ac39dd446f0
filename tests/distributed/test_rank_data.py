"""What several processes are given: the same data and seeds, or an error that names the difference."""

import warnings

import numpy as np
import pytest
import torch
from support.detection import compiled as compiled_detector
from support.detection import loader as detection_loader
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


def test_a_loader_shuffles_as_in_rank_0(two):
    first, second = two.run(with_loader, 3)
    assert first == second == pytest.approx(with_loader(3))
    first, second = two.run(with_loader, None)
    assert first == second


def with_other_arguments():
    try:
        compiled().fit(X, Y, batch_size=4 + distributed.get_rank(), verbose=0)
    except RuntimeError as error:
        return str(error)


def test_other_arguments_on_another_rank_are_an_error_on_all(two):
    for told in two.run(with_other_arguments):
        assert "must call the same methods with the same arguments" in told
        assert "rank 1: fit(batch_size=5, epochs=1" in told


OTHER = {
    "validation_seed": lambda rank: {"validation_split": 0.2, "validation_shuffle": True, "validation_seed": rank},
    "shuffle": lambda rank: {"shuffle": rank == 0},
    "class_weight": lambda rank: {"class_weight": {0: 1.0, 1: 1.0 + rank}},
}


def with_other_option(name):
    with pytest.raises(RuntimeError) as error:
        compiled().fit(X, Y, verbose=0, **OTHER[name](distributed.get_rank()))
    return str(error.value)


@pytest.mark.parametrize("name", OTHER)
def test_options_that_divide_or_weigh_the_rows_must_be_the_same(two, name):
    for text in two.run(with_other_option, name):
        assert text.startswith("all processes must call the same methods with the same arguments")
        assert f"{name}=" in text


def different_batches(rank):
    for start in range(0, 40, 8):
        yield X[start : start + 8] + rank, Y[start : start + 8]


def with_generator(verb, differs):
    rank = distributed.get_rank() if differs and distributed.is_initialized() else 0
    model = compiled()
    try:
        return getattr(model, verb)(different_batches(rank), verbose=0)
    except ValueError as error:
        return str(error)


class Batches(kt.utils.PyDataset):
    """Batches of 8 rows, whose number is known."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        return X[8 * index : 8 * index + 8], Y[8 * index : 8 * index + 8]


class Rows(torch.utils.data.IterableDataset):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def __iter__(self):
        return iter([(X[row], Y[row]) for row in range(8 * self.number)])


def fewer_batches(kind, number):
    if kind == "PyDataset":
        return Batches(number)
    if kind == "IterableDataset":
        return torch.utils.data.DataLoader(Rows(number), batch_size=8)
    return (Batches(number)[index] for index in range(number))


def with_fewer_batches(verb, kind, distribution):
    model = compiled()
    model.compile("sgd", "cross_entropy", distribution=distribution)
    options = {"shuffle": False} if (verb, kind) == ("fit", "PyDataset") else {}
    try:
        with warnings.catch_warnings(action="ignore"):  # that each process reads all batches
            return getattr(model, verb)(fewer_batches(kind, 5 - distributed.get_rank()), verbose=0, **options)
    except (ValueError, RuntimeError) as error:
        return str(error)


@pytest.mark.parametrize("kind", ["generator", "PyDataset", "IterableDataset"])
@pytest.mark.parametrize("verb", ["fit", "evaluate"])
@pytest.mark.parametrize("distribution", [kt.distribution.DataParallel(), kt.distribution.FullyShard()], ids=repr)
def test_fewer_batches_in_one_process_are_an_error(two, verb, kind, distribution):
    for told in two.run(with_fewer_batches, verb, kind, distribution):
        assert told.startswith("the processes have drawn different batches"), told
        assert "rank 1 has no batch" in told, told


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_generators_of_other_batches_are_an_error(two, verb):
    for told in two.run(with_generator, verb, True):
        assert told.startswith("the processes have drawn different batches: rank 0 has (8, 3) float32")
        assert "DataParallel(shard_data=False)" in told


def test_generators_of_the_same_batches_are_evaluated_by_turns(two):
    assert two.run(with_generator, "evaluate", False) == [pytest.approx(with_generator("evaluate", False))] * 2


class Words(nn.Module):
    """Computes outputs of texts."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(8, 2)

    def forward(self, texts):
        lengths = [torch.tensor([len(word) for word in one.split()]) for one in texts]
        return torch.stack([self.embedding(one).mean(0) for one in lengths])


TEXTS = [f"{'a' * (1 + i % 3)} {'b' * (1 + i % 7)} c" for i in range(23)]


def texts_of_a_generator():
    torch.manual_seed(0)
    model = kt.Model(Words())
    model.compile(kt.optimizers.SGD(0.5), "cross_entropy", metrics=["accuracy"])
    labels = torch.arange(23) % 2

    def batches():
        for start in range(0, 23, 5):
            yield TEXTS[start : start + 5], labels[start : start + 5]

    history = model.fit(batches, epochs=2, verbose=0).history
    return {
        **history,
        "scores": model.evaluate(batches, verbose=0),
        "predictions": model.predict(lambda: (texts for texts, _ in batches()), verbose=0).flatten().tolist(),
    }


def test_lists_of_texts_are_cut_by_rows(two):
    expected = texts_of_a_generator()
    for found in two.run(texts_of_a_generator):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name] == pytest.approx(values, abs=1e-6), name


def images_of_a_generator():
    _, model = compiled_detector()
    loader = detection_loader(batch_size=3)
    history = model.fit(lambda: iter(loader), epochs=2, verbose=0).history
    return history, [one.detach().numpy() for one in model.parameters()]


def test_lists_of_images_and_dicts_are_cut_by_rows(two):
    expected, weights = images_of_a_generator()
    for found, own in two.run(images_of_a_generator):
        assert found == {name: pytest.approx(values, rel=1e-5) for name, values in expected.items()}
        for one, other in zip(own, weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
