"""Modes, errors and Ctrl-C: everything is put back on every way out."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import torch
from support.problems import regression, same_weights
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.callbacks import Callback, EarlyStopping, LambdaCallback


def model_with_modes():
    model = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1)))
    model.compile("sgd", "mse")
    return model


def press_ctrl_c(at):
    return LambdaCallback(
        on_train_batch_end=lambda batch, logs: os.kill(os.getpid(), signal.SIGINT) if batch == at else None
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("way", ["fit", "evaluate", "predict", "error in fit", "error in predict", "interrupt"])
def test_modes_are_restored_on_every_way_out(way, training):
    x, y = regression()
    model = model_with_modes()
    model.train(training)
    model.get_submodule("1").eval()
    before = [module.training for module in model.modules()]

    def fail(*args):
        raise ArithmeticError

    if way == "fit":
        model.fit(x, y, validation_split=0.2, verbose=0)
    elif way == "evaluate":
        model.evaluate(x, y, verbose=0)
    elif way == "predict":
        model.predict(x, verbose=0)
    elif way == "error in fit":
        with pytest.raises(ArithmeticError):
            model.fit(x, y, verbose=0, callbacks=[LambdaCallback(on_test_begin=fail)], validation_split=0.2)
    elif way == "error in predict":
        with pytest.raises(ArithmeticError):
            model.predict(x, verbose=0, callbacks=[LambdaCallback(on_predict_batch_end=fail)])
    else:
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, verbose=0, callbacks=[press_ctrl_c(1)])
    assert [module.training for module in model.modules()] == before
    assert model.module_viewed.training == training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outputs_that_cannot_be_collected_leave_no_mode_behind():
    class Wrong(kt.Model):
        def forward(self, x):
            return "outputs"

    model = Wrong()
    with pytest.raises(TypeError, match="returned a str"):
        model.predict(torch.zeros(3, 1), verbose=0)
    assert model.training
    assert not torch.is_inference_mode_enabled()


def test_a_failure_that_ctrl_c_caused_is_a_keyboard_interrupt():
    x, y = regression()

    def batches():
        yield x, y
        os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("DataLoader worker exited unexpectedly")

    with pytest.raises(KeyboardInterrupt):
        model_with_modes().fit(batches, verbose=0)


def test_in_fit_every_module_trains_and_in_validation_none_does():
    x, y = regression()
    model = model_with_modes().eval()
    seen = {}

    class Look(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen["fit"] = {module.training for module in model.modules()}

        def on_test_batch_end(self, batch, logs=None):
            seen["validation"] = {module.training for module in model.modules()}

    model.fit(x, y, validation_split=0.2, verbose=0, callbacks=[Look()])
    assert seen == {"fit": {True}, "validation": {False}}


def test_ctrl_c_ends_after_the_batch_runs_on_train_end_and_keeps_the_history():
    x, y = regression()
    model = model_with_modes()
    calls = []

    class Watch(Callback):
        def on_train_batch_end(self, batch, logs=None):
            calls.append(batch)
            if len(calls) == 10:
                os.kill(os.getpid(), signal.SIGINT)

        def on_train_end(self, logs=None):
            calls.append("end")

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=25, epochs=5, verbose=0, callbacks=[Watch()])
    assert calls == [*range(8), 0, 1, "end"]
    assert len(model.history.history["loss"]) == 1
    model.fit(x, y, epochs=1, verbose=0)


def test_ctrl_c_restores_the_best_weights():
    x, y = regression()
    model = model_with_modes()
    kept = []

    class Watch(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                kept.extend(value.clone() for value in self.model.state_dict().values())
            else:
                os.kill(os.getpid(), signal.SIGINT)
            logs["fake_loss"] = float(epoch)

    with pytest.raises(KeyboardInterrupt):
        model.fit(
            x, y, epochs=9, verbose=0,
            callbacks=[Watch(), EarlyStopping("fake_loss", patience=5, restore_best_weights=True)],
        )  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(kept, model.state_dict().values(), strict=True))
    assert len(model.history.epoch) == 2


def test_ctrl_c_in_validation_and_in_evaluate_is_not_lost():
    x, y = regression()
    model = model_with_modes()
    press = LambdaCallback(on_test_batch_end=lambda batch, logs: os.kill(os.getpid(), signal.SIGINT))
    ended = []
    end = LambdaCallback(on_train_end=lambda logs: ended.append(1))
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, validation_split=0.5, epochs=3, verbose=0, callbacks=[press, end])
    assert ended == [1]
    with pytest.raises(KeyboardInterrupt):
        model.evaluate(x, y, verbose=0, callbacks=[press])


def test_a_second_ctrl_c_does_not_wait():
    x, y = regression()

    def twice(batch, logs):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second Ctrl-C was not raised")

    with pytest.raises(KeyboardInterrupt):
        model_with_modes().fit(x, y, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=twice)])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_during_a_loader_with_workers_is_a_keyboard_interrupt():
    script = textwrap.dedent("""
        import os, signal, sys, time, torch
        from torch.utils.data import DataLoader, Dataset
        import kerastorch as kt

        class Slow(Dataset):
            def __len__(self): return 10000
            def __getitem__(self, i):
                time.sleep(0.01)
                return torch.zeros(3), torch.zeros(1)

        model = kt.Model(torch.nn.Linear(3, 1))
        model.compile("sgd", "mse")
        ready = kt.callbacks.LambdaCallback(
            on_train_batch_end=lambda b, logs: b == 3 and os.killpg(os.getpgrp(), signal.SIGINT),
            on_train_end=lambda logs: print("train end", flush=True))
        try:
            model.fit(DataLoader(Slow(), 8, num_workers=2), verbose=0, callbacks=[ready])
        except KeyboardInterrupt:
            print("interrupted", model.history.epoch, flush=True)
            sys.exit(130)
    """)
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, start_new_session=True
    )
    assert found.returncode == 130, found.stderr
    assert found.stdout.split("\n")[:2] == ["train end", "interrupted []"]


def test_an_error_in_fit_runs_on_train_end_and_is_raised_itself():
    x, y = regression()
    ended = []

    def fail(batch, logs):
        raise ArithmeticError("mine")

    def end(logs):
        ended.append(1)
        raise OSError("later")

    with pytest.raises(ArithmeticError, match="mine") as caught:
        model_with_modes().fit(x, y, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=fail, on_train_end=end)])
    assert ended == [1]
    assert "on_train_end failed too" in caught.value.__notes__[0]


def test_fit_within_fit_is_refused_and_another_thread_can_fit():
    x, y = regression()
    model = model_with_modes()
    again = LambdaCallback(on_epoch_end=lambda epoch, logs: model.fit(x, y, verbose=0))
    with pytest.raises(RuntimeError, match="already running"):
        model.fit(x, y, verbose=0, callbacks=[again])
    other = model_with_modes()
    thread = threading.Thread(target=lambda: other.fit(x, y, epochs=2, verbose=0))
    thread.start()
    thread.join()
    assert len(other.history.epoch) == 2


def test_building_counts_no_batch_and_takes_none_from_the_loader():
    x, y = regression()
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)

    def trained(built):
        torch.manual_seed(0)
        model = kt.Sequential([nn.LazyLinear(4), nn.BatchNorm1d(4), nn.Linear(4, 1)])
        if built:
            model.build((None, 6))
        model.compile("sgd", "mse")
        same = LambdaCallback(on_train_begin=lambda logs: [w.data.fill_(0.1) for w in model.parameters()])
        torch.manual_seed(1)
        model.fit(loader, verbose=0, callbacks=[same])
        return model

    built, unbuilt = trained(True), trained(False)
    assert built.get_buffer("1.num_batches_tracked") == unbuilt.get_buffer("1.num_batches_tracked") == 7
    assert same_weights(built, unbuilt)


def test_two_fits_at_once_in_two_threads_end_as_one_after_the_other():
    x, y = regression()

    def trained():
        model = kt.Sequential([kt.layers.Dense(1)])
        model.build((None, 6))
        for weight in model.parameters():
            weight.data.fill_(0.1)
        model.compile("sgd", "mse")
        return model

    alone, *others = [trained() for _ in range(3)]
    alone.fit(x, y, epochs=3, verbose=0)
    threads = [threading.Thread(target=lambda m=m: m.fit(x, y, epochs=3, verbose=0)) for m in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_weights(alone, other) for other in others)


def test_threads_that_predict_together_all_predict_in_evaluation_mode():
    x, _ = regression()
    model = model_with_modes()
    expected = model.predict(x, verbose=0)
    before = [value.clone() for value in model.state_dict().values()]
    wrong = []

    def work():
        for _ in range(20):
            if not (model.predict(x, verbose=0) == expected).all():
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))
    assert all(module.training for module in model.modules())


def test_evaluating_after_ctrl_c_looks_at_all_rows():
    x, y = regression()
    model = model_with_modes()
    found = []

    class Last(Callback):
        def on_train_end(self, logs=None):
            found.append(self.model.evaluate(x, y, verbose=0))

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, verbose=0, callbacks=[press_ctrl_c(1), Last()])
    assert found == [pytest.approx(model.evaluate(x, y, verbose=0))]


def test_one_callback_that_fails_at_the_end_keeps_no_other_from_ending():
    x, y = regression()
    ended = []

    def fail(logs):
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        model_with_modes().fit(
            x, y, verbose=0,
            callbacks=[LambdaCallback(on_train_end=fail), LambdaCallback(on_train_end=lambda logs: ended.append(1))],
        )  # fmt: skip
    assert ended == [1]
