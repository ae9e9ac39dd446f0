"""predict_iter yields the outputs batch by batch; predict(out=) writes them into the caller's array."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from support.problems import net
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

X = torch.randn(70, 6, generator=torch.Generator().manual_seed(3))


class Several(nn.Module):
    """Return outputs in a tuple, list or dict."""

    def __init__(self, structure):
        super().__init__()
        self.first, self.second, self.structure = nn.Linear(6, 2), nn.Linear(6, 3), structure

    def forward(self, x):
        outputs = self.first(x), self.second(x)
        return dict(zip("ab", outputs, strict=True)) if self.structure is dict else self.structure(outputs)


def chain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


def by_hand(module, batches):
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    with torch.no_grad():
        found = [module(x).numpy() for x in batches]
    for part, training in modes:
        part.training = training
    return found


def kinds_of_data():
    rows = TensorDataset(X)
    return {
        "array": X.numpy(),
        "tensor": X,
        "loader": DataLoader(rows, batch_size=32),
        "generator": iter(X.split(32)),
        "function": lambda: iter(X.split(32)),
        "batches with targets": lambda: ((x, x) for x in X.split(32)),
    }


@pytest.mark.parametrize("kind", kinds_of_data())
def test_each_batch_has_the_bits_of_the_module_in_evaluation_mode(kind):
    module = chain()
    found = list(kt.Model(module).predict_iter(kinds_of_data()[kind]))
    expected = by_hand(module, X.split(32))
    assert [part.shape for part in found] == [(32, 2), (32, 2), (6, 2)]
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, other)


def test_batch_size_and_steps_choose_the_batches():
    model = kt.Model(chain())
    assert [len(part) for part in model.predict_iter(X, batch_size=20)] == [20, 20, 20, 10]
    assert [len(part) for part in model.predict_iter(X, batch_size=20, steps=2)] == [20, 20]


@pytest.mark.parametrize("structure", [tuple, list, dict])
def test_several_outputs_keep_their_structure(structure):
    model = kt.Model(Several(structure))
    whole = model.predict(X, verbose=0)
    parts = list(model.predict_iter(X, batch_size=30))
    assert all(type(part) is structure for part in parts)
    for key in whole if structure is dict else range(2):
        np.testing.assert_allclose(np.concatenate([part[key] for part in parts]), whole[key], rtol=1e-6)


@pytest.mark.parametrize("end", ["exhausted", "closed", "collected", "failed", "paused"])
def test_modes_and_gradients_are_as_before_whenever_the_caller_runs(end):
    module = chain()
    module[1].eval()
    model = kt.Model(module)
    before = [part.training for part in module.modules()]
    seen = []
    stream = model.predict_iter(X, batch_size=10)
    if end == "failed":
        hook = module[3].register_forward_hook(lambda *args: (_ for _ in ()).throw(RuntimeError("in the middle")))
        with pytest.raises(RuntimeError, match="in the middle"):
            next(stream)
        hook.remove()
    else:
        next(stream)
        seen.append(torch.is_grad_enabled())
        if end == "exhausted":
            seen += [torch.is_grad_enabled() for _ in stream]
        elif end == "closed":
            stream.close()
        elif end == "collected":
            del stream
            gc.collect()
    assert [part.training for part in module.modules()] == before
    assert all(seen)
    assert torch.is_grad_enabled()


def test_the_model_may_train_between_two_batches():
    model = kt.Model(net(dropout=0.0))
    model.compile("sgd", "cross_entropy")
    stream = model.predict_iter(X, batch_size=35)
    first = next(stream)
    model.fit(X, torch.zeros(70, dtype=torch.int64), verbose=0)
    second = next(stream)
    np.testing.assert_array_equal(second, by_hand(model, [X[35:]])[0])
    assert not np.array_equal(first, by_hand(model, [X[:35]])[0])


def test_errors_in_the_data_come_from_the_call_and_not_from_the_first_batch():
    model = kt.Model(chain())
    with pytest.raises(ValueError, match="shuffles"):
        model.predict_iter(DataLoader(TensorDataset(X), batch_size=8, shuffle=True))
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1, got 0"):
        model.predict_iter(X, batch_size=0)
    with pytest.raises(ValueError, match="gave no batch"):
        list(model.predict_iter(lambda: iter(())))


def test_a_lazy_model_is_built_by_its_first_batch():
    model = kt.Sequential([kt.layers.Dense(4), kt.layers.Dense(2)])
    assert [part.shape for part in model.predict_iter(X, batch_size=40)] == [(40, 2), (30, 2)]


def test_items_do_not_change_when_the_source_uses_its_memory_again():
    buffer = torch.zeros(4, 1)

    def batches():
        for value in range(3):
            buffer.fill_(value)
            yield buffer

    found = list(kt.Model(nn.Identity()).predict_iter(batches))
    assert [part[0, 0] for part in found] == [0, 1, 2]


def peak(function):
    """Return the bytes of NumPy and Python memory at the highest point of a call."""
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_batches(tmp_path):
    model = kt.Model(nn.Linear(6, 1000))
    batch = torch.zeros(64, 6)
    size = 64 * 1000 * 4

    def stream(n):
        for _ in model.predict_iter(lambda: itertools.repeat(batch, n)):
            pass

    def write(n):
        out = np.memmap(tmp_path / f"{n}.bin", np.float32, "w+", shape=(64 * n, 1000))
        model.predict(lambda: itertools.repeat(batch, n), verbose=0, out=out)

    for function in (stream, write):
        function(2)
        assert peak(lambda f=function: f(60)) < peak(lambda f=function: f(3)) + 4 * size
    assert peak(lambda: model.predict(lambda: itertools.repeat(batch, 60), verbose=0)) > 50 * size


@pytest.mark.parametrize("kind", kinds_of_data())
def test_out_gets_the_outputs_and_is_returned(kind, tmp_path):
    model = kt.Model(chain())
    out = np.memmap(tmp_path / "outputs.bin", np.float32, "w+", shape=(70, 2))
    assert model.predict(kinds_of_data()[kind], verbose=0, out=out) is out
    np.testing.assert_array_equal(out, model.predict(kinds_of_data()[kind], verbose=0))
    out.flush()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "outputs.bin", np.float32).reshape(70, 2), out)


@pytest.mark.parametrize("structure", [tuple, list, dict])
def test_out_has_the_structure_of_several_outputs(structure):
    model = kt.Model(Several(structure))
    arrays = np.empty((70, 2), np.float32), np.empty((70, 3), np.float32)
    out = dict(zip("ab", arrays, strict=True)) if structure is dict else structure(arrays)
    assert model.predict(X, verbose=0, out=out) is out
    whole = model.predict(X, verbose=0)
    for key in whole if structure is dict else range(2):
        np.testing.assert_array_equal(out[key], whole[key])


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "error", "match"),
    [
        (np.empty((70, 3), np.float32), ValueError, r"shape \(70, 3\).*need shape \(70, 2\) and dtype float32"),
        (np.empty((70, 2)), ValueError, r"dtype float64, the outputs need .*numpy\.empty\(\(70, 2\), 'float32'\)"),
        (np.empty((71, 2), np.float32), ValueError, "out has 71 rows, the data have 70"),
        (torch.empty(70, 2), TypeError, r"got Tensor\. Pass out\.numpy\(\)"),
        (frozen(np.empty((70, 2), np.float32)), TypeError, "out is read-only"),
        ((np.empty((70, 2), np.float32),), ValueError, r"has the arrays out\[0\], the outputs of the model need"),
        (3.0, TypeError, "must be a NumPy array or numpy.memmap, got float"),
        (np.empty((), np.float32), TypeError, "must have an axis of rows"),
        ([], TypeError, "got nothing"),
    ],
)  # fmt: skip
def test_an_out_that_does_not_fit_is_refused_and_stays_as_it_was(out, error, match):
    before = out.copy() if isinstance(out, np.ndarray) else None
    with pytest.raises(error, match=match):
        kt.Model(chain()).predict(X, verbose=0, out=out)
    if before is not None:
        np.testing.assert_array_equal(out, before)


@pytest.mark.parametrize(("rows", "match"), [(60, "the data have more"), (80, "the data gave only 70")])
def test_out_of_another_length_than_a_stream_is_an_error(rows, match):
    with pytest.raises(ValueError, match=match):
        kt.Model(chain()).predict(lambda: iter(X.split(10)), verbose=0, out=np.empty((rows, 2), np.float32))


def test_out_takes_anything_that_has_a_shape_a_dtype_and_slices():
    class OnDisk:
        def __init__(self):
            self.inner = np.empty((70, 2), np.float32)
            self.shape, self.dtype = self.inner.shape, self.inner.dtype

        def __setitem__(self, rows, values):
            self.inner[rows] = values

    model, out = kt.Model(chain()), OnDisk()
    assert model.predict(X, verbose=0, out=out) is out
    np.testing.assert_array_equal(out.inner, model.predict(X, verbose=0))
