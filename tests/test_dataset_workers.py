"""Workers: processes that read a Dataset, and threads or processes that read a sequence of batches."""

import os
import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

import kerastorch as kt
from kerastorch.data import permutation

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
X = np.random.default_rng(0).normal(size=(90, 4)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 90)


class Rows(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], Y[index]


class Noisy(Rows):
    """Draws from each of the global generators."""

    def __getitem__(self, index):
        noise = torch.rand(()).item() + np.random.rand() + random.random()
        return X[index] * np.float32(1 + noise), Y[index]


class Batches(kt.utils.PyDataset):
    def __len__(self):
        return 9

    def __getitem__(self, index):
        return X[10 * index : 10 * index + 10], Y[10 * index : 10 * index + 10]


def make_model():
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(4, 3))
    model.compile("sgd", "cross_entropy")
    return model


def fitted(data, **given):
    model = make_model()
    history = model.fit(data, verbose=0, **given)
    return list(model.parameters()), history.history


def weights_of_hand_loop(orders):
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    for order in orders:
        for rows in order:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return list(net.parameters())


def same(first, second):
    return all(map(torch.equal, first, second))


def test_workers_read_a_dataset_in_the_order_of_a_loop():
    orders = [permutation(90, 0, epoch).split(16) for epoch in range(3)]
    weights, _ = fitted(Rows(), workers=2, batch_size=16, epochs=3)
    assert same(weights, weights_of_hand_loop(orders))


def test_workers_read_the_rows_of_a_split():
    orders = [permutation(72, 0, epoch).split(16) for epoch in range(2)]
    weights, logs = fitted(Rows(), workers=2, batch_size=16, epochs=2, validation_split=0.2)
    expected = weights_of_hand_loop(orders)
    assert same(weights, expected)
    outputs = nn.functional.linear(torch.from_numpy(X[72:]), *expected)
    loss = nn.functional.cross_entropy(outputs, torch.from_numpy(Y[72:]))
    assert logs["val_loss"][-1] == pytest.approx(loss.item(), rel=1e-5)


def test_workers_evaluate_and_predict_in_the_order_of_the_rows():
    model = make_model()
    with torch.no_grad():
        outputs = model(torch.from_numpy(X))
    loss = nn.functional.cross_entropy(outputs, torch.from_numpy(Y)).item()
    assert model.evaluate(Rows(), verbose=0, workers=2) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(model.predict(Rows(), verbose=0, workers=2), outputs, rtol=1e-5, atol=1e-6)
    parts = list(model.predict_iter(Rows(), batch_size=40, workers=2))
    assert [len(part) for part in parts] == [40, 40, 10]
    np.testing.assert_allclose(np.concatenate(parts), outputs, rtol=1e-5, atol=1e-6)


class Process(Rows):
    """The target is the number of the process that read the sample."""

    def __getitem__(self, index):
        return X[index], np.float32(os.getpid())


class Recording(kt.Model):
    """A model that stores the targets that it is given."""

    def __init__(self):
        super().__init__()
        self.head, self.seen = nn.Linear(4, 1), []

    def forward(self, x):
        return self.head(x)

    def train_step(self, data):
        self.seen.append(set(data[1].flatten().tolist()))
        return {"loss": 0.0}

    def test_step(self, data):
        self.seen.append(set(data[1].flatten().tolist()))
        return {"loss": 0.0}


def test_the_same_processes_read_all_epochs_and_others_read_the_validation_data():
    model = Recording()
    model.compile("sgd", "mse")
    model.fit(Process(), validation_data=Process(), epochs=3, batch_size=45, workers=1, verbose=0)
    training = set().union(*(model.seen[at] for at in (0, 1, 4, 5, 8, 9)))
    validation = set().union(*(model.seen[at] for at in (2, 3, 6, 7, 10, 11)))
    assert len(training) == len(validation) == 1
    assert len(training | validation | {float(np.float32(os.getpid()))}) == 3


def test_random_samples_are_the_same_for_each_number_of_workers_and_differ_between_epochs():
    one, _ = fitted(Noisy(), workers=1, batch_size=16, epochs=2)
    three, _ = fitted(Noisy(), workers=3, batch_size=16, epochs=2)
    assert same(one, three)
    model = Recording()
    model.compile("sgd", "mse")

    class Noise(Rows):
        def __getitem__(self, index):
            return X[index], np.float32(np.random.rand())

    model.fit(Noise(), workers=1, batch_size=90, epochs=2, verbose=0)
    assert len(model.seen[0] | model.seen[1]) == 180


class Stop(kt.callbacks.Callback):
    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("data", [Rows, Noisy])
@pytest.mark.parametrize("after", [4, 6, 8])
def test_training_with_workers_resumes_exactly_from_within_an_epoch(data, after, tmp_path):
    whole, _ = fitted(data(), workers=2, batch_size=16, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fitted(data(), workers=2, batch_size=16, epochs=3, resume=tmp_path, callbacks=[Stop(after)])
    resumed, _ = fitted(data(), workers=2, batch_size=16, epochs=3, resume=tmp_path)
    assert same(whole, resumed)


class NoisyBatches(Batches):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + np.random.normal(size=x.shape).astype("float32"), y


PROCESSES = {
    "a dataset": lambda: (Noisy(), {"workers": 2, "batch_size": 10}),
    "a sequence of batches": lambda: (NoisyBatches(workers=2, use_multiprocessing=True), {}),
}


@pytest.mark.parametrize("data", PROCESSES)
@pytest.mark.parametrize("after", [13, 18])
def test_training_with_workers_resumes_exactly_though_the_global_seed_is_another(data, after, tmp_path):
    def train(seed, **options):
        source, given = PROCESSES[data]()
        model = make_model()
        kt.utils.set_random_seed(seed)
        logs = model.fit(source, epochs=3, validation_data=source, verbose=0, **given, **options).history
        return list(model.parameters()), logs["loss"], logs["val_loss"]

    whole = train(3)
    with pytest.raises(KeyboardInterrupt):
        train(3, resume=tmp_path, callbacks=[Stop(after)])
    resumed = train(77, resume=tmp_path)
    assert same(whole[0], resumed[0])
    assert whole[1:] == resumed[1:]


def test_no_worker_changes_a_random_state_of_this_process():
    model = make_model()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    model.fit(Noisy(), workers=1, verbose=0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ((X, Y), "rows of arrays are gathered many at a time"),
        ((DataLoader(Rows(), 8), None), "a DataLoader has its own: .*num_workers=2"),
        ((Stream(), None), "each worker would yield all samples of an IterableDataset"),
        ((iter([(X, Y)]), None), "a generator can only be read in one place"),
        ((lambda: [(X, Y)], None), "a function that returns batches can only be read in one place"),
    ],
)
def test_data_that_workers_cannot_read_are_refused_in_words(data, words):
    model = make_model()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=f"workers=2: {words}"):
            call(*data, workers=2, verbose=0)
    with pytest.raises(ValueError, match=f"workers=2: {words}"):
        model.predict(data[0], workers=2, verbose=0)


@pytest.mark.parametrize("workers", [-1, 1.5, "2", True])
def test_a_number_of_workers_that_is_none_is_refused(workers):
    with pytest.raises(ValueError, match="workers must be an integer >= 0"):
        make_model().fit(Rows(), workers=workers, verbose=0)


def test_validation_arrays_need_no_workers_beside_a_dataset():
    _, logs = fitted(Rows(), workers=1, validation_data=(X, Y))
    assert len(logs["val_loss"]) == 1


OPTIONS = {
    "alone": {},
    "threads": {"workers": 3},
    "a short queue": {"workers": 2, "max_queue_size": 1},
    "processes": {"workers": 2, "use_multiprocessing": True},
    "one process": {"workers": 1, "use_multiprocessing": True, "max_queue_size": 1},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_a_py_dataset_trains_as_a_loop_over_its_batches(options):
    rows = torch.arange(90).split(10)
    orders = [[rows[at] for at in permutation(9, 0, epoch)] for epoch in range(2)]
    weights, _ = fitted(Batches(**OPTIONS[options]), epochs=2)
    assert same(weights, weights_of_hand_loop(orders))
    in_order, _ = fitted(Batches(**OPTIONS[options]), epochs=2, shuffle=False)
    assert same(in_order, weights_of_hand_loop([rows, rows]))


@pytest.mark.parametrize("options", OPTIONS)
def test_training_on_a_py_dataset_resumes_exactly_from_within_an_epoch(options, tmp_path):
    whole, _ = fitted(Batches(**OPTIONS[options]), epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fitted(Batches(**OPTIONS[options]), epochs=3, resume=tmp_path, callbacks=[Stop(13)])
    resumed, _ = fitted(Batches(**OPTIONS[options]), epochs=3, resume=tmp_path)
    assert same(whole, resumed)


class Watched(Batches):
    """Records the threads that read, and the order of events."""

    def __init__(self, **given):
        super().__init__(**given)
        self.threads, self.events = set(), []

    def __getitem__(self, index):
        self.threads.add(threading.current_thread().name)
        self.events.append(index)
        return super().__getitem__(index)

    def on_epoch_begin(self):
        self.events.append("begin")

    def on_epoch_end(self):
        self.events.append("end")


def test_threads_read_a_py_dataset_between_its_hooks_and_end_with_the_pass():
    data = Watched(workers=2)
    fitted(data, epochs=2)
    assert all(name.startswith("kerastorch-worker") for name in data.threads)
    for half in (data.events[:11], data.events[11:]):
        assert (half[0], half[-1]) == ("begin", "end")
        assert sorted(half[1:-1]) == list(range(9))
    assert not [one for one in threading.enumerate() if one.name.startswith("kerastorch-worker")]


def test_no_more_batches_wait_than_the_queue_holds():
    data = Watched(workers=2, max_queue_size=3)
    ahead = []

    class Count(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            ahead.append(sum(isinstance(event, int) for event in data.events) - batch - 1)

    fitted(data, callbacks=[Count()])
    assert max(ahead) <= 4  # three in the queue, and the next one


def test_the_argument_workers_reads_a_sequence_without_that_attribute_in_threads():
    class Plain:
        names = set()

        def __len__(self):
            return 9

        def __getitem__(self, index):
            self.names.add(threading.current_thread().name)
            return Batches.__getitem__(self, index)

        def on_epoch_end(self):
            pass

    rows = torch.arange(90).split(10)
    weights, _ = fitted(Plain(), workers=2)
    assert same(weights, weights_of_hand_loop([[rows[at] for at in permutation(9, 0, 0)]]))
    assert all(name.startswith("kerastorch-worker") for name in Plain.names)


class Broken(Batches):
    def __getitem__(self, index):
        if index == 4:
            raise LookupError("no batch four")
        return super().__getitem__(index)


@pytest.mark.parametrize("options", OPTIONS)
def test_an_error_of_a_batch_is_raised_as_it_is(options):
    with pytest.raises(LookupError, match="no batch four"):
        fitted(Broken(**OPTIONS[options]))


class Endless(kt.utils.PyDataset):
    @property
    def num_batches(self):
        return None

    def __getitem__(self, index):
        return Batches.__getitem__(self, index % 9)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_endless_py_dataset_needs_a_number_of_steps(workers):
    rows = torch.arange(90).split(10)
    weights, _ = fitted(Endless(workers=workers), steps_per_epoch=6, epochs=2)
    assert same(weights, weights_of_hand_loop([rows, rows[:3]]))
    with pytest.raises(ValueError, match=r"num_batches = None, so its batches never end\. Set steps_per_epoch"):
        fitted(Endless())
    with pytest.raises(ValueError, match="Set steps"):
        make_model().evaluate(Endless(), verbose=0)
    assert len(make_model().predict(Endless(workers=workers), steps=2, verbose=0)) == 20


def test_a_py_dataset_whose_init_is_not_called_is_read_without_workers():
    class Careless(Batches):
        def __init__(self):
            pass

    rows = torch.arange(90).split(10)
    weights, _ = fitted(Careless(), shuffle=False)
    assert same(weights, weights_of_hand_loop([rows]))


def test_a_py_dataset_checks_its_options_and_says_what_to_define():
    with pytest.raises(ValueError, match="max_queue_size must be an integer >= 1"):
        Batches(max_queue_size=0)
    with pytest.raises(NotImplementedError, match="must define __len__"):
        assert kt.utils.PyDataset().num_batches
    assert kt.utils.Sequence is kt.utils.PyDataset


class TwoArguments(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{reason} ({code})")


def fail_in_another_error():
    try:
        raise OSError("no disk")
    except OSError as error:
        raise ValueError("row 3 has no label.\nGive it one") from error


def fail_with(error):
    raise error


FAILURES = {  # what a sample raises, the class of the error that fit raises, and its first line
    "a sentence": (lambda: fail_with(ValueError("row 3 has no label")), ValueError, "row 3 has no label"),
    "another error as cause": (fail_in_another_error, ValueError, "row 3 has no label."),
    "a key": (lambda: {}["boom"], KeyError, "'boom'"),
    "no text": (lambda: fail_with(ValueError), ValueError, "ValueError"),
    "a class in a module": (lambda: fail_with(TwoArguments(7, "bad row")), RuntimeError, "TwoArguments: bad row (7)"),
    "words of torch": (lambda: fail_with(RuntimeError("the server timed out")), RuntimeError, "the server timed out"),
    "a path": (lambda: Path("no/such/x.png").read_bytes(), FileNotFoundError, "[Errno 2] No such file or directory: "),
}


@pytest.mark.parametrize("kind", ["a dataset", "a loader", "a sequence of batches"])
@pytest.mark.parametrize("failure", FAILURES)
def test_an_error_of_a_worker_begins_with_what_was_raised_and_ends_with_the_traceback(failure, kind):
    fail, expected, first_line = FAILURES[failure]

    class Failing(Rows):
        def __getitem__(self, index):
            return fail()

    class FailingBatches(Batches):
        def __getitem__(self, index):
            return fail()

    data = {
        "a dataset": (Failing(), {"workers": 1}),
        "a loader": (DataLoader(Failing(), 8, num_workers=1), {}),
        "a sequence of batches": (FailingBatches(workers=1, use_multiprocessing=True), {}),
    }
    source, given = data[kind]
    with pytest.raises(expected) as raised:
        make_model().fit(source, verbose=0, **given)
    assert type(raised.value) is expected
    lines = str(raised.value).splitlines()
    assert lines[0].startswith(first_line)
    assert any(line.startswith("Original Traceback") for line in lines)
    assert "It was raised for batch 1 by a worker of the DataLoader." in raised.value.__notes__
