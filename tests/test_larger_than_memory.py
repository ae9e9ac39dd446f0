"""Arrays larger than memory: read and converted piece by piece, with the results of arrays in memory."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn

import kerastorch as kt
from kerastorch.data import array_sources, batches, lazy_arrays, permutation
from kerastorch.data.array_sources import open_array
from kerastorch.data.lazy_arrays import LazyArray

RANDOM = np.random.default_rng(0)
ROWS, FEATURES = 70, 2**8
BYTES = RANDOM.integers(0, 255, (ROWS, FEATURES), dtype=np.uint8)
LABELS = RANDOM.integers(0, 3, ROWS)


@pytest.fixture(autouse=True)
def _arrays_are_large(monkeypatch):
    """Let an array of these tests count as large."""
    monkeypatch.setattr(lazy_arrays, "MAX_COPY_BYTES", 2**13)


class InFile:
    """Numbers that can only be read by slices and increasing indices, as those of h5py."""

    def __init__(self, array):
        self._array, self.reads = array, []
        self.shape, self.dtype = array.shape, array.dtype

    def __len__(self):
        return len(self._array)

    def __getitem__(self, rows):
        if not isinstance(rows, slice):
            assert (np.diff(rows) > 0).all()
        part = self._array[rows]
        self.reads.append(len(part))
        return part

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the whole array was read")


def memory_map(array, path):
    np.asarray(array).tofile(path)
    return np.memmap(path, dtype=array.dtype, mode="r", shape=array.shape)


SOURCES = {
    "bytes": lambda path: BYTES,
    "memory map": lambda path: memory_map(BYTES, path),
    "memory map of uint16": lambda path: memory_map(BYTES.astype(np.uint16), path),
    "other byte order": lambda path: memory_map(BYTES.astype(">f4"), path),
    "array in a file": lambda path: InFile(BYTES.astype(np.float32)),
    "sparse": lambda path: scipy.sparse.csr_array(BYTES.astype(np.float32)),
    "tensor of floats": lambda path: torch.from_numpy(BYTES.astype(np.float64)),
}


def make_model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.AdaptiveAvgPool1d(4), nn.Linear(4, 3))
    model = kt.Model(net)
    model.compile(torch.optim.SGD(net.parameters(), 1e-3), "cross_entropy")
    return model


def weights_of_hand_loop(x, y, orders):
    torch.manual_seed(0)
    net = nn.Sequential(nn.AdaptiveAvgPool1d(4), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)
    for order in orders:
        for rows in order.split(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return [weight.detach() for weight in net.parameters()]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("shuffle", [True, False])
def test_large_arrays_of_every_kind_train_as_a_loop_over_their_rows(kind, shuffle, tmp_path):
    model = make_model()
    model.fit(SOURCES[kind](tmp_path / "x"), LABELS, batch_size=16, epochs=2, shuffle=shuffle, verbose=0)
    orders = [permutation(ROWS, torch.initial_seed(), epoch) if shuffle else torch.arange(ROWS) for epoch in range(2)]
    expected = weights_of_hand_loop(torch.from_numpy(BYTES).float(), torch.from_numpy(LABELS), orders)
    assert all(map(torch.equal, model.parameters(), expected))


@pytest.mark.parametrize("kind", SOURCES)
def test_large_arrays_of_every_kind_are_evaluated_and_predicted(kind, tmp_path):
    model = make_model()
    x = SOURCES[kind](tmp_path / "x")
    with torch.no_grad():
        outputs = model(torch.from_numpy(BYTES).float())
    np.testing.assert_allclose(model.predict(x, verbose=0), outputs, rtol=1e-5, atol=1e-5)
    expected = nn.functional.cross_entropy(outputs, torch.from_numpy(LABELS))
    assert model.evaluate(x, LABELS, verbose=0) == pytest.approx(float(expected), rel=1e-5)


def test_a_split_of_an_array_in_a_file_takes_its_last_rows():
    model = make_model()
    order = permutation(56, torch.initial_seed(), 0)
    model.fit(InFile(BYTES.astype(np.float32)), LABELS, batch_size=16, validation_split=0.2, verbose=0)
    expected = weights_of_hand_loop(torch.from_numpy(BYTES).float(), torch.from_numpy(LABELS), [order])
    assert all(map(torch.equal, model.parameters(), expected))


def test_an_array_in_a_file_is_read_in_pieces(monkeypatch):
    monkeypatch.setattr(array_sources, "READ_BYTES", 2**14)  # 16 rows of float32
    monkeypatch.setattr(batches, "CPU_PIECE_BYTES", 2**12)
    x = InFile(BYTES.astype(np.float32))
    make_model().fit(x, LABELS, batch_size=8, verbose=0, check_finite=False)
    assert max(x.reads) <= 16


def test_a_small_array_in_a_file_is_read_once():
    x = InFile(BYTES[:, :10].astype(np.float32))
    model = kt.Model(nn.Linear(10, 3))
    model.compile("sgd", "cross_entropy")
    model.fit(x, LABELS, epochs=3, verbose=0)
    assert x.reads == [1, ROWS]  # one row shows the dtype


def test_targets_may_be_in_a_file_as_the_inputs_are():
    x = InFile(BYTES.astype(np.float32))

    def model():
        torch.manual_seed(0)
        made = kt.Model(nn.Conv1d(1, 1, 1))
        made.compile("sgd", "mse")
        return made

    scaled = BYTES[:, None].astype(np.float32) / 255
    x, given = InFile(scaled), model()
    given.fit(x, x, batch_size=8, verbose=0)
    expected = model()
    expected.fit(torch.from_numpy(scaled), torch.from_numpy(scaled), batch_size=8, verbose=0)
    assert torch.equal(given.weights[0], expected.weights[0])
    with torch.no_grad():
        loss = nn.functional.mse_loss(given(torch.from_numpy(scaled)), torch.from_numpy(scaled))
    assert given.evaluate(x, x, verbose=0) == pytest.approx(float(loss), rel=1e-4)


@pytest.mark.parametrize("kind", ["memory map", "array in a file"])
def test_nan_in_a_large_array_is_found_and_its_place_named(kind, tmp_path):
    x = BYTES.astype(np.float32)
    x[60, 5], x[60, 6], x[61, 0] = np.nan, np.inf, np.nan
    given = InFile(x) if kind == "array in a file" else memory_map(x, tmp_path / "x")
    with pytest.raises(ValueError, match="x has 3 NaN values, first at row 60, column 5"):
        make_model().fit(given, LABELS, verbose=0)


def test_rows_of_an_array_in_a_file_come_in_the_order_asked_for():
    x = InFile(BYTES.astype(np.float32))
    array = open_array(x, "x")
    assert isinstance(array, LazyArray)
    for rows in ([3, 1, 2], [69, 0, 33], [5, 5, 0], [68, 2, 1, 40, 69]):
        got = array.index_select(0, torch.tensor(rows))
        np.testing.assert_array_equal(got.numpy(), BYTES[rows].astype(np.float32))


def test_an_array_in_a_file_of_text_is_refused():
    with pytest.raises(TypeError, match=r"x has dtype <U1; encode it as numbers first"):
        make_model().fit(InFile(np.array(["a", "b"])), [0, 1], verbose=0)


def test_training_on_an_array_in_a_file_resumes_and_notices_other_data(tmp_path):
    x, before = BYTES.astype(np.float32), {}

    class Stop(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            before["batches"] = before.get("batches", 0) + 1
            if before["batches"] == 7:
                raise KeyboardInterrupt

    def fitted(data, callbacks=()):
        model = make_model()
        model.fit(data, LABELS, batch_size=16, epochs=3, verbose=0, resume=tmp_path, callbacks=list(callbacks))
        return model

    with pytest.raises(KeyboardInterrupt):
        fitted(InFile(x), [Stop()])
    orders = [permutation(ROWS, torch.initial_seed(), epoch) for epoch in range(3)]
    with pytest.raises(Exception, match="the sums of the arrays"):
        fitted(InFile(x + 1))
    expected = weights_of_hand_loop(torch.from_numpy(x), torch.from_numpy(LABELS), orders)
    assert all(map(torch.equal, fitted(InFile(x)).parameters(), expected))


MEMORY = """
    import sys, threading
    import numpy as np, torch, kerastorch as kt
    from torch import nn

    def private_bytes():
        lines = open("/proc/self/status").read().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("RssAnon:")).split()[1])

    def peak_of(rows):
        x = np.memmap(sys.argv[1], dtype=sys.argv[2], mode="r", shape=(rows, 3, 256, 256))
        peak, done = [0], threading.Event()

        def watch():
            while not done.wait(0.01):
                peak[0] = max(peak[0], private_bytes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        model = kt.Model(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)))
        model.compile("sgd", "cross_entropy")
        y = np.arange(rows) % 2
        model.fit(x, y, batch_size=8, validation_split=0.25, verbose=0)
        model.evaluate(x, y, batch_size=8, verbose=0)
        model.predict(x, batch_size=8, verbose=0)
        done.set()
        watcher.join()
        return peak[0]

    small = peak_of(32)
    print(peak_of(320) - small)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="private memory is read from /proc")
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_memory_map_is_trained_without_a_copy_in_memory(dtype, tmp_path):
    path = tmp_path / "images"
    size = 320 * 3 * 256 * 256 * np.dtype(dtype).itemsize  # 60 MiB of uint8, 240 MiB of float32
    with open(path, "wb") as file:
        file.truncate(size)
    command = [sys.executable, "-c", textwrap.dedent(MEMORY), str(path), dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * 2**20  # a copy as floats would have 240 MiB
