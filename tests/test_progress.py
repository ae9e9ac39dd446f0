"""What is printed: nothing, a line an epoch, or a tqdm bar."""

import gc
import io
import re
import sys
import time
import types

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def compiled():
    model = kt.Model(nn.Linear(2, 1))
    model.compile("sgd", "mse", metrics=["mae"])
    return model


X, Y = torch.randn(100, 2), torch.randn(100, 1)


def test_without_a_terminal_there_is_one_plain_line_an_epoch(capsys):
    for verbose in ("auto", 1, 2):
        compiled().fit(X, Y, epochs=2, batch_size=10, validation_split=0.2, verbose=verbose)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        number = r"\d+\.\d{4}"
        for epoch, line in enumerate(lines):
            assert re.fullmatch(
                rf"Epoch {epoch + 1}/2 - 8 steps, [\d.]+s, [\d.]+ms/step - loss: {number} - mae: {number} - "
                rf"learning_rate: {number} - val_loss: {number} - val_mae: {number}",
                line,
            )


def test_silence_is_silent(capsys):
    model = compiled()
    model.fit(X, Y, verbose=0, validation_split=0.2)
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_evaluate_prints_one_line(capsys):
    compiled().evaluate(X, Y, batch_size=32)
    assert re.fullmatch(r"Evaluate - 4 steps, .* - loss: [\d.]+ - mae: [\d.]+\n", capsys.readouterr().out)


def test_a_terminal_gets_a_bar_that_runs_and_a_line_that_stays(monkeypatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    slow = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.05))
    compiled().fit(X, Y, epochs=2, batch_size=10, validation_split=0.2, callbacks=[slow])
    epochs = [text for text in out.getvalue().split("\n") if text.strip()]
    assert len(epochs) == 2
    for number, text in enumerate(epochs):
        *bars, line = text.split("\r")
        assert any(
            re.match(rf"Epoch {number + 1}/2:  +\d+%\|.*\| [1-7]/8 \[.*batch/s\] , loss: [\d.]+", bar) for bar in bars
        )
        assert re.match(rf"Epoch {number + 1}/2 - 8 steps, .* - loss: [\d.]+ - mae: .* - val_mae: [\d.]+", line)


def test_what_callbacks_say_stands_on_a_line_of_its_own(monkeypatch, tmp_path):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    slow = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.05))
    keep = kt.callbacks.ModelCheckpoint(tmp_path / "model.kt", verbose=1, save_freq=4)
    compiled().fit(X, Y, epochs=1, batch_size=10, callbacks=[slow, keep])
    said = [text for text in out.getvalue().split("\n") if "saving" in text]
    assert [text.split("\r")[-1] for text in said] == [f"Epoch 1: saving model to {tmp_path / 'model.kt'}"] * 2
    assert all(text.split("\r")[-2].strip() == "" for text in said)  # the bar was wiped away


def test_the_bar_looks_at_the_numbers_at_most_ten_times_a_second(monkeypatch):
    from kerastorch.training.metrics_tracker import MetricsTracker

    monkeypatch.setattr(sys, "stdout", Terminal())
    clock = iter(range(10**6))
    monkeypatch.setattr(progress_bar.time, "perf_counter", lambda: next(clock) * 0.01)  # a batch takes 10 ms
    looks = []
    peek = MetricsTracker.peek
    monkeypatch.setattr(MetricsTracker, "peek", lambda self: looks.append(1) or peek(self))
    compiled().fit(X, Y, batch_size=1, epochs=1)
    assert 5 <= len(looks) <= 11  # one second of batches, and the epoch's end


def test_a_bar_without_a_known_length_counts(monkeypatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    slow = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.05))
    compiled().fit(lambda: zip(X.split(10), Y.split(10), strict=True), callbacks=[slow])
    assert "Epoch 1/1 - 10 steps" in out.getvalue().split("\r")[-1]
    assert re.search(r"\| [1-9]/\? \[", out.getvalue())


def test_an_interrupted_bar_is_closed(monkeypatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)

    def fail(batch, logs):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        compiled().fit(X, Y, callbacks=[kt.callbacks.LambdaCallback(on_train_batch_end=fail)])
    assert out.getvalue().split("\r")[-1].strip() == ""


@pytest.mark.parametrize("verbose", [3, -1, "loud", None])
def test_a_bad_verbose_is_refused(verbose):
    with pytest.raises(ValueError, match="verbose must be 0, 1, 2 or 'auto'"):
        compiled().fit(X, Y, verbose=verbose)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.31, "0.3100"), (0, "0.0000"), (1e-6, "1e-06"), (123456.0, "1.235e+05"), (float("nan"), "nan")],
)
def test_numbers_are_short(value, text):
    assert progress_bar.format_value(value) == text


@pytest.fixture
def notebook(monkeypatch):
    """A session whose output a Jupyter kernel sends on: not a terminal, and IPython says that it has a kernel."""
    shell = types.ModuleType("IPython")
    shell.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.delitem(sys.modules, "tqdm.notebook", raising=False)


@pytest.mark.parametrize("ipywidgets", [True, False])
def test_a_notebook_keeps_the_final_line_of_each_epoch_as_text(notebook, ipywidgets, monkeypatch, capsys):
    if not ipywidgets:
        monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if it were not installed
    slow = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.05))
    compiled().fit(X, Y, epochs=3, batch_size=20, validation_split=0.2, callbacks=[slow])
    gc.collect()  # half-made bars of tqdm.notebook would complain here
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "\rEpoch 1/3:  " in printed.out  # the bar that ran
    kept = [text.split("\r")[-1] for text in printed.out.split("\n") if text.strip()]
    assert len(kept) == 3
    for epoch, line in enumerate(kept):
        assert re.match(rf"Epoch {epoch + 1}/3 - 4 steps, .* - loss: [\d.]+ - mae: .* - val_mae: [\d.]+$", line)
    assert "tqdm.notebook" not in sys.modules


def test_a_notebook_keeps_the_line_of_evaluate_and_nothing_of_a_short_predict(notebook, capsys):
    model = compiled()
    model.evaluate(X, Y, batch_size=25)
    printed = capsys.readouterr()
    assert re.match(r"Evaluate - 4 steps, .* - loss: [\d.]+ - mae: [\d.]+$", printed.out.split("\r")[-1].rstrip("\n"))
    model.predict(X)
    assert capsys.readouterr() == ("", "")
    assert printed.err == ""


def test_what_callbacks_print_in_a_notebook_stands_on_a_line_of_its_own(notebook, capsys):
    stop = kt.callbacks.EarlyStopping("loss", min_delta=100, patience=1, verbose=1)
    compiled().fit(X, Y, epochs=5, callbacks=[stop])
    kept = [text.split("\r")[-1] for text in capsys.readouterr().out.split("\n") if text.strip()]
    assert [line[:9] for line in kept] == ["Epoch 1/5", "Epoch 2/5", "Epoch 2: "]
