"""Each process reads only its rows of a `Dataset` or `DataLoader`; numbers and order are those of one process."""

import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

import kerastorch as kt

X = torch.randn(23, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (23,), generator=torch.Generator().manual_seed(1))


class Rows(Dataset):
    """Rows of X and Y, which counts what is read in this process."""

    def __init__(self, count=23):
        self.count, self.read = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read.append(int(index))
        return X[index], Y[index]


class ByLength(Sampler):
    """Index lists of different lengths, as samplers that group rows of similar length give."""

    def __init__(self, kind=list):
        self.kind, self.epochs = kind, []

    def __iter__(self):
        return iter([self.kind(one) for one in ([1, 2, 3, 4, 5], [7], [0, 8], [9, 10, 11], [6, 5, 4, 3])])

    def __len__(self):
        return 5

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


class Unmeasured:
    """Index lists whose number is not known before they are used up."""

    def __iter__(self):
        return iter(ByLength())


def generator():
    return torch.Generator().manual_seed(4)


def as_dict(samples):
    """Return a batch of samples as a dict."""
    warnings.filterwarnings("ignore", "a batch is a dict")
    return {"features": torch.stack([x for x, _ in samples]), "labels": torch.stack([y for _, y in samples])}


def no_odd_labels(samples):
    """Leave out samples, as functions do that skip files which cannot be read."""
    chosen = [(x, y) for x, y in samples if y != 1] or samples[:1]
    return torch.stack([x for x, _ in chosen]), torch.stack([y for _, y in chosen])


LOADERS = {
    "in order": lambda rows: DataLoader(rows, 5),
    "dropped rest": lambda rows: DataLoader(rows, 5, drop_last=True),
    "shuffled by the seed of torch": lambda rows: DataLoader(rows, 5, shuffle=True),
    "shuffled by a generator": lambda rows: DataLoader(rows, 5, shuffle=True, generator=generator()),
    "random sampler": lambda rows: DataLoader(rows, 4, sampler=RandomSampler(rows, num_samples=17)),
    "subset": lambda rows: DataLoader(rows, 4, sampler=SubsetRandomSampler(range(3, 17))),
    "weighted": lambda rows: DataLoader(rows, 4, sampler=WeightedRandomSampler(torch.arange(23.0), 19)),
    "batch sampler": lambda rows: DataLoader(rows, batch_sampler=ByLength()),
    "batch sampler of tensors": lambda rows: DataLoader(rows, batch_sampler=ByLength(torch.tensor)),
    "batch sampler without a length": lambda rows: DataLoader(rows, batch_sampler=Unmeasured()),
    "standard batch sampler": lambda rows: DataLoader(
        rows, batch_sampler=BatchSampler(RandomSampler(rows, generator=generator()), 6, True)
    ),
    "one row": lambda rows: DataLoader(rows, 1),
    "collate_fn": lambda rows: DataLoader(rows, 5, collate_fn=as_dict),
    "samples left out": lambda rows: DataLoader(rows, 5, collate_fn=no_odd_labels),
    "dataset": lambda rows: rows,
    "two rows": lambda rows: DataLoader(Rows(2), 5),
}
IDLE = (
    "random sampler",
    "one row",
    "two rows",
    "batch sampler",
    "batch sampler of tensors",
    "batch sampler without a length",
)  # in one batch or more
QUICK = ("dropped rest", "shuffled by the seed of torch", "batch sampler", "dataset")
SLOW = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.distributed) for name in LOADERS]


class Features(nn.Linear):
    """A linear model of a dict's `features`."""

    def forward(self, features):
        return super().forward(features)


def compiled():
    torch.manual_seed(0)
    model = kt.Model(Features(4, 3))
    model.compile(kt.optimizers.Adam(0.05), "cross_entropy", metrics=["accuracy"])
    return model


def trained(name):
    """Train on a loader; return logs, weights and what this process read."""
    rows = Rows()
    data = LOADERS[name](rows)
    model = compiled()
    options = {"batch_size": 5} if data is rows else {}
    torch.manual_seed(7)
    logs = model.fit(data, epochs=3, verbose=0, **options).history
    return logs, model.weight.detach().numpy(), rows.read


def check_same(found, expected):
    for logs, weights, _ in found:
        for log in expected[0]:
            np.testing.assert_allclose(logs[log], expected[0][log], atol=2e-6, err_msg=log)
        np.testing.assert_allclose(weights, expected[1], atol=2e-6)


@pytest.mark.parametrize("name", SLOW)
def test_a_loader_gives_the_numbers_of_one_process_and_each_row_is_read_once(two, name):
    expected = trained(name)
    found = two.run(trained, name)
    check_same(found, expected)
    if name not in IDLE:
        assert Counter(found[0][2] + found[1][2]) == Counter(expected[2])
        assert abs(len(found[0][2]) - len(found[1][2])) <= 3 * 6


@pytest.mark.distributed
@pytest.mark.parametrize("name", ["shuffled by the seed of torch", "batch sampler", "dataset", "two rows"])
def test_three_processes_too(three, name):
    check_same(three.run(trained, name), trained(name))


def test_an_idle_process_reads_rows_of_the_first_one(two):
    """A list of one index has no part for rank 1, which takes part in the step with a row that does not count."""
    first, second = two.run(trained, "batch sampler")
    assert first[2][:6] == [1, 2, 3, 7, 0, 9]
    assert second[2][:5] == [4, 5, 7, 8, 11]


def evaluated(name, steps=None):
    """Evaluate and predict; return what came out, and what this process read for each."""
    rows = Rows()
    model = compiled()
    torch.manual_seed(7)
    scores = model.evaluate(LOADERS[name](rows), steps=steps, verbose=0)
    read = list(rows.read)
    rows.read.clear()
    predictions = None if "shuffled" in name else model.predict(LOADERS[name](rows), steps=steps, verbose=0)
    return scores, predictions, read, rows.read


@pytest.mark.parametrize(("name", "steps"), [("in order", None), ("shuffled by the seed of torch", 3)])
def test_evaluation_reads_each_batch_in_one_process(two, name, steps):
    scores, predictions, read, _ = evaluated(name, steps)
    found = two.run(evaluated, name, steps)
    for one in found:
        assert one[0] == pytest.approx(scores, abs=1e-6)
        if predictions is not None:
            np.testing.assert_allclose(one[1], predictions, atol=1e-6)
    assert Counter(found[0][2] + found[1][2]) == Counter(read)
    if predictions is not None:
        assert Counter(found[0][3] + found[1][3]) == Counter(read)
        assert found[1][3] == [*range(5, 10), *range(15, 20)]


@pytest.mark.distributed
@pytest.mark.parametrize("name", ["batch sampler", "two rows"])
def test_evaluation_of_other_loaders(three, name):
    scores, _, _, _ = evaluated_only(name)
    for one in three.run(evaluated_only, name):
        assert one[0] == pytest.approx(scores, abs=1e-6)


def evaluated_only(name):
    model = compiled()
    torch.manual_seed(7)
    return model.evaluate(LOADERS[name](Rows()), verbose=0), None, None, None


class ByRank(Sampler):
    """Rows that a sampler of the user's own chooses by rank."""

    def __iter__(self):
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        return iter(range(rank, 23, 2))

    def __len__(self):
        return 11


def with_rows_by_rank():
    try:
        compiled().fit(DataLoader(Rows(), 5, sampler=ByRank()), verbose=0)
    except ValueError as error:
        return str(error)


def test_a_sampler_that_chooses_by_rank_is_an_error_that_says_what_to_write(two):
    for told in two.run(with_rows_by_rank):
        assert told.startswith("the sampler of the DataLoader gives other indices in each process")
        assert "DataParallel(shard_data=False)" in told


def with_epochs():
    sampler = ByLength()
    compiled().fit(DataLoader(Rows(), batch_sampler=sampler), epochs=3, verbose=0)
    return sampler.epochs


def test_samplers_are_told_the_epoch_in_each_process(two):
    assert two.run(with_epochs) == [[0, 1, 2], [0, 1, 2]]


def draws_after_a_fit():
    """Return random numbers of torch, and of a loader's generator, after a fit."""
    own = generator()
    torch.manual_seed(7)
    compiled().fit(DataLoader(Rows(), 5, shuffle=True, generator=own), epochs=2, verbose=0)
    return torch.rand(1, generator=own).item()


def test_the_generator_of_a_loader_goes_on_as_in_one_process(two):
    assert two.run(draws_after_a_fit) == [draws_after_a_fit()] * 2


class Halves(kt.utils.PyDataset):
    """Two batches, which count the ends of passes."""

    ended = 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[10 * index : 10 * index + 10], Y[10 * index : 10 * index + 10]

    def on_epoch_end(self):
        self.ended += 1


def with_py_dataset():
    batches = Halves()
    compiled().fit(batches, epochs=2, limit_batches=1, verbose=0)
    return batches.ended


def test_on_epoch_end_is_called_in_each_process_after_limited_passes_too(two):
    assert two.run(with_py_dataset) == [2, 2] == [with_py_dataset()] * 2


def with_rows_of_its_own(kind):
    rank = distributed.get_rank()
    rows = torch.utils.data.Subset(Rows(), list(range(rank, 22, 2)))
    data = DataLoader(rows, 5) if kind == "loader" else rows
    try:
        compiled().fit(data, verbose=0)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["loader", "dataset"])
def test_datasets_that_differ_between_processes_are_an_error(two, kind):
    for told in two.run(with_rows_of_its_own, kind):
        assert told.startswith("the content of x differs between the processes: it is indices: 11 items")
        assert "DataParallel(shard_data=False)" in told
