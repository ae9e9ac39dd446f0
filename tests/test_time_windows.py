"""Windows of a series, beside those of Keras and those that slices give."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch
from support.optional import optional
from support.resumption import whole_and_resumed
from torch.utils.data import DataLoader

import kerastorch as kt

windows_of = kt.utils.timeseries_dataset_from_array
VALUES = json.loads((pathlib.Path(__file__).parent / "support/folder_values.json").read_text())["windows"]


@pytest.mark.parametrize("case", VALUES, ids=lambda case: f"{case['options']} {case['targets']}")
def test_windows_are_those_of_keras(case):
    targets = None if case["targets"] is None else np.arange(case["targets"]) * 10
    dataset = windows_of(np.arange(80).reshape(40, 2), targets, batch_size=None, **case["options"])
    items = [dataset[row] if targets is not None else (dataset[row],) for row in range(len(dataset))]
    assert [[part.tolist() for part in item] for item in items] == case["items"]
    if not case["options"].get("shuffle"):
        assert [[part.tolist() for part in (item if targets is not None else (item,))] for item in dataset] == [
            [part.tolist() for part in item] for item in items
        ]


@pytest.mark.parametrize("length", [1, 3, 6])
@pytest.mark.parametrize("rate", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 2, 7])
@pytest.mark.parametrize("bounds", [(None, None), (4, None), (None, 39), (3, 37)])
def test_windows_are_slices_of_the_series(length, rate, stride, bounds):
    series = np.random.default_rng(0).normal(size=(40, 2))
    start, end = bounds[0] or 0, bounds[1] or 40
    expected = []
    for first in range(start, end, stride):
        last = first + (length - 1) * rate
        if last < end:
            expected.append(series[first : last + 1 : rate])
    dataset = windows_of(series, None, length, stride, rate, start_index=bounds[0], end_index=bounds[1])
    assert np.array_equal(np.stack([dataset[row] for row in range(len(dataset))]), np.stack(expected))
    assert np.array_equal(torch.cat(list(dataset)).numpy(), np.stack(expected))


def test_the_series_is_not_copied():
    series, targets = np.arange(1000.0), np.arange(1000)
    dataset = windows_of(series, targets, 100)
    before = dataset[5][0].clone()
    series[7] = -1
    targets[5] = -7
    after, target = dataset[5]
    assert (after != before).nonzero().tolist() == [[2]]
    assert target == -7


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8", "uint16", ">f4", "bool"])
def test_values_of_every_dtype_are_kept(tmp_path, dtype):
    series = (np.arange(30) % 7 > 3 if dtype == "bool" else np.arange(30)).astype(dtype)
    file = np.memmap(tmp_path / "series.bin", dtype=dtype, mode="w+", shape=(30,))
    file[:] = series
    read_only = np.memmap(tmp_path / "series.bin", dtype=dtype, mode="r", shape=(30,))
    for given in (series, file, read_only, list(series), pd.Series(series, index=range(5, 35))):
        found = torch.cat(list(windows_of(given, None, 4, batch_size=7)))
        expected = np.lib.stride_tricks.sliding_window_view(series, 4)
        assert np.array_equal(found.numpy(), expected)


def test_tensors_and_frames_have_windows_too():
    series = torch.randn(20, 3)
    assert torch.equal(windows_of(series, None, 5)[2], series[2:7])
    frame = pd.DataFrame(series.numpy(), columns=list("abc"))
    assert torch.equal(windows_of(frame, frame["a"], 5)[2][0], series[2:7])
    assert windows_of(frame, frame["a"], 5)[2][1] == series[2, 0]


def test_an_array_in_a_file_of_h5py_is_read_by_window(tmp_path):
    series = np.random.default_rng(0).normal(size=(30, 2))
    with optional("h5py").File(tmp_path / "series.h5", "w") as file:
        file["series"] = series
        dataset = windows_of(file["series"], series[:, 0], 4, sampling_rate=2)
        found, targets = next(iter(dataset))
    assert np.array_equal(found[3], series[3:10:2])
    assert np.array_equal(targets, series[:24, 0])


def test_windows_without_a_target_are_left_out():
    assert len(windows_of(np.arange(20), np.arange(12), 3)) == 12
    assert len(windows_of(np.arange(20), np.arange(12), 3, start_index=5)) == 7


def test_fit_trains_in_the_order_of_time_as_keras_does():
    series = np.random.default_rng(0).normal(size=200).astype("float32")
    dataset = windows_of(series[:-5], series[5:], 5, batch_size=16)
    x, y = np.lib.stride_tricks.sliding_window_view(series[:-5], 5), series[5:196]

    def trained(fit):
        kt.utils.set_random_seed(0)
        model = kt.Sequential([kt.Input((5,)), kt.layers.Dense(4, "relu"), kt.layers.Dense(1)])
        model.compile("adam", "mse")
        fit(model)
        return model

    found = trained(lambda model: model.fit(dataset, epochs=2, verbose=0))
    expected = trained(lambda model: model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0))
    assert all(np.array_equal(a, b) for a, b in zip(found.get_weights(), expected.get_weights(), strict=True))
    assert np.allclose(found.predict(dataset, verbose=0), expected.predict(x, verbose=0), atol=1e-6)


def test_a_training_on_windows_resumes_to_the_bit(tmp_path):
    series = np.random.default_rng(0).normal(size=60).astype("float32")

    def fit(callbacks):
        kt.utils.set_random_seed(2)
        dataset = windows_of(series[:-5], series[5:], 5, batch_size=8, shuffle=True)
        model = kt.Sequential([kt.Input((5,)), kt.layers.Dropout(0.2), kt.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(dataset, epochs=3, callbacks=callbacks, verbose=0)
        return model.get_weights()

    whole, resumed = whole_and_resumed(fit, (1, 3), tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))


def test_workers_cut_windows_as_well(tmp_path):
    dataset = windows_of(np.arange(50.0), np.arange(50), 5)
    loader = DataLoader(dataset, 8, num_workers=2)
    assert torch.equal(torch.cat([x for x, _ in loader]), torch.cat([x for x, _ in dataset]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 0}, "sequence_length must be an integer >= 1"),
        ({"sequence_length": 21}, "no window of 21 steps fits into steps 0 to 20"),
        ({"sampling_rate": 10}, "no window of 21 steps"),
        ({"sampling_rate": 20}, "sampling_rate must be lower than the length of the series, 20"),
        ({"sequence_stride": 20}, "sequence_stride must be lower"),
        ({"start_index": -1}, "start_index must be an integer >= 0"),
        ({"start_index": 20}, "start_index must be lower"),
        ({"end_index": 20}, "end_index must be lower"),
        ({"start_index": 5, "end_index": 5}, "end_index must be an integer >= 6"),
        ({"start_index": 5, "end_index": 7}, "no window of 3 steps fits into steps 5 to 7"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1"),
        ({"format": "list"}, "Unknown format"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        windows_of(np.arange(20), None, **{"sequence_length": 3, **options})


def test_a_series_that_is_none_is_named():
    with pytest.raises(ValueError, match="data must have an axis of time"):
        windows_of(np.float32(3), None, 1)
    with pytest.raises(TypeError, match="data has dtype"):
        windows_of(np.array(["a", "b", "c"]), None, 2)
