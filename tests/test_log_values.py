"""What callbacks put into the logs beside numbers: arrays, tensors and lists stay in the history and stop nothing."""

import csv
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import callbacks

X, Y = torch.randn(40, 2), torch.randn(40, 1)
VALUES = {
    "array": np.arange(3.0),
    "matrix": np.eye(2),
    "tensor": torch.arange(3.0),
    "graph": torch.ones(2, requires_grad=True) * 2,
    "list": [1, 2.5],
    "tuple": (1, 2),
    "dict": {"a": 1},
    "text": "fine",
    "none": None,
    "complex": 1j,
    "empty": np.zeros(0),
}
NUMBERS = {
    "int": 3,
    "bool": True,
    "float32": np.float32(0.5),
    "scalar": np.array(2.0),
    "one": np.array([[2.5]]),
    "tensor": torch.tensor([1.5]),
    "learned": torch.tensor(1.25, requires_grad=True),
}


class Logging(callbacks.Callback):
    """Logs values at the end of each epoch."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs.update(self.values)


def trained(values, *more, epochs=2, **options):
    model = kt.Model(nn.Linear(2, 1))
    model.compile("sgd", "mse")
    return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[Logging(values), *more], **options)


def same(found, value):
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return type(found) is type(value) and np.array_equal(found.tolist(), value.tolist())
    return found == value


@pytest.mark.parametrize("name", VALUES)
def test_what_is_no_number_stays_in_the_history(name):
    history = trained({"extra": VALUES[name]})
    assert len(history.history["loss"]) == 2
    assert all(same(found, VALUES[name]) for found in history.history["extra"])


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_any_type_becomes_a_float(name):
    value = NUMBERS[name]
    found = trained({"extra": value}).history["extra"]
    assert found == [float(value.item() if hasattr(value, "item") else value)] * 2
    assert all(type(one) is float for one in found)


def test_the_history_keeps_arrays_as_they_were_when_logged():
    counts, total = np.zeros(2), torch.zeros(2)

    class Counting(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            counts[0] += 1
            total.add_(1)
            logs.update(counts=counts, total=total, both=[counts])

    model = kt.Model(nn.Linear(2, 1))
    model.compile("sgd", "mse")
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=Counting()).history
    assert [list(one) for one in history["counts"]] == [[1, 0], [2, 0], [3, 0]]
    assert [one.tolist() for one in history["total"]] == [[1, 1], [2, 2], [3, 3]]
    assert [list(one[0]) for one in history["both"]] == [[1, 0], [2, 0], [3, 0]]


def test_no_graph_is_kept_alive_by_the_history():
    assert not trained({"extra": VALUES["graph"]}).history["extra"][0].requires_grad


def test_the_line_of_an_epoch_shows_short_values_and_the_shapes_of_long_ones(capsys):
    model = kt.Model(nn.Linear(2, 1))
    model.compile("sgd", "mse")
    values = {"short": [1, 2], "rows": np.eye(2), "long": np.zeros((100, 7)), "tensor": torch.tensor([2.0])}
    model.fit(X, Y, epochs=1, verbose=2, callbacks=Logging(values))
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    shown = r" - short: \[1, 2\] - rows: \[\[1. 0.\] \[0. 1.\]\] - long: ndarray\(100, 7\) - tensor: 2.0000\n"
    assert re.search(shown, line)


def test_csv_logger_writes_arrays_as_lists(tmp_path):
    trained({"array": VALUES["array"], "matrix": torch.eye(2)}, callbacks.CSVLogger(tmp_path / "log.csv"))
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [json.loads(row["array"]) for row in rows] == [[0, 1, 2]] * 2
    assert [json.loads(row["matrix"]) for row in rows] == [[[1, 0], [0, 1]]] * 2


def test_tensorboard_writes_them_as_text(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(VALUES, callbacks.TensorBoard(tmp_path, write_graph=False))
    tags = EventAccumulator(str(tmp_path / "train")).Reload().Tags()
    assert "epoch_loss" in tags["scalars"]
    assert "epoch_array/text_summary" in tags["tensors"]


def test_remote_monitor_sends_them_as_lists():
    received = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        values = {"array": VALUES["array"], "list": [1, float("nan")]}
        trained(values, callbacks.RemoteMonitor(f"http://127.0.0.1:{server.server_port}", send_as_json=True))
        server.shutdown()
        thread.join()
    assert [one["array"] for one in received] == [[0, 1, 2]] * 2
    assert [one["list"] for one in received] == [[1, None]] * 2


def test_loggers_that_take_numbers_leave_out_the_others():
    from kerastorch.callbacks.experiment_logger import numeric_logs

    assert numeric_logs(VALUES | {"loss": torch.tensor([0.5])}, "batch_") == {"batch_loss": 0.5}


def test_a_training_with_arrays_in_the_logs_is_kept_and_resumed(tmp_path):
    values = {name: VALUES[name] for name in ("array", "tensor", "list", "text")}
    trained(values, epochs=1, resume=tmp_path)

    class Ends(callbacks.Callback):
        state_attributes = ()

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError("ended")

    with pytest.raises(RuntimeError, match="ended"):
        trained(values, Ends(), epochs=3, resume=tmp_path / "other")
    history = trained(values, Ends.__base__(), epochs=3, resume=tmp_path / "other").history
    assert len(history["loss"]) == 3
    assert all(same(found, values[name]) for name in values for found in history[name])


def test_a_plot_leaves_out_what_is_no_curve(tmp_path):
    figure = trained({"array": VALUES["array"], "val_text": "fine"}).plot(tmp_path / "curves.png")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss"]


def test_a_frame_holds_arrays_as_they_are():
    pytest.importorskip("pandas")
    frame = trained({"array": VALUES["array"]}).frame()
    assert list(frame["array"][1]) == [0, 1, 2]


@pytest.mark.parametrize(
    "callback",
    [
        lambda folder: callbacks.EarlyStopping("extra", mode="min"),
        lambda folder: callbacks.ReduceLROnPlateau("extra", mode="min"),
        lambda folder: callbacks.ModelCheckpoint(folder / "a.kt", "extra", mode="min", save_best_only=True),
        lambda folder: callbacks.ModelCheckpoint(str(folder / "{extra:.2f}.kt")),
        lambda folder: callbacks.ModelCheckpoint(str(folder / "{extra}.kt")),
    ],
)
@pytest.mark.parametrize("value", [VALUES["array"], VALUES["tensor"], [1.0, 2.0]], ids=["array", "tensor", "list"])
def test_what_needs_one_number_says_so_and_names_the_log(callback, value, tmp_path):
    callback = callback(tmp_path)
    kind = type(value).__name__
    with pytest.raises(ValueError, match=rf"^{type(callback).__name__}: 'extra' must be a number, got {kind}"):
        trained({"extra": value}, callback)


def test_the_best_epoch_of_arrays_is_not_asked_for():
    with pytest.raises(ValueError, match=r"History\.best: 'array' must be a number, got ndarray of shape"):
        trained({"array": VALUES["array"]}).best("array")


def test_a_file_name_takes_a_number_from_an_array_of_one(tmp_path):
    trained({"extra": np.array([0.25])}, callbacks.ModelCheckpoint(str(tmp_path / "{extra:.2f}-{epoch}.kt")), epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["0.25-1.kt"]
