"""How often the device is made to wait: never for a batch, a fixed number of times for an epoch."""

import sys
from io import StringIO

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import kerastorch as kt
from kerastorch.callbacks import progress_bar
from kerastorch.core import finite_check

# what brings numbers to Python, or has a shape that depends on numbers: either way the device must be waited for
WAITS = {
    "aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal", "aten::nonzero",
    "aten::masked_select", "aten::_unique", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive",
    "aten::bincount",
}  # fmt: skip
COPIES = ("tolist", "numpy", "cpu", "__array__")  # these do not go through the dispatcher on the CPU


class Reads(TorchDispatchMode):
    """Counts them."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        by_mask = name.startswith("aten::index") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in _indices(args)
        )
        self.number += name in WAITS or by_mask
        return func(*args, **(kwargs or {}))


def _indices(args):
    return args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()


def small(classes=3, end=None):
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, classes)]
    return nn.Sequential(*layers, *([] if end is None else [end]))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = small(), small()

    def forward(self, x):
        return self.first(x), self.second(x)


@pytest.fixture
def reads(monkeypatch):
    """Reads of one `fit` on so many batches, validation after each epoch."""

    def count(batches, epochs, compiled, make=small, targets=lambda y: y, callbacks=None, verbose=0, **arguments):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(8 * batches, 6, generator=generator)
        y = targets(torch.arange(8 * batches) % 3)
        arguments = {name: value(len(x)) if callable(value) else value for name, value in arguments.items()}
        model = kt.Model(make())
        model.compile(**compiled)
        mode = Reads()
        with monkeypatch.context() as patch, mode:
            patch.setattr(finite_check, "FREE", ())  # the CPU stands for a device that must be waited for
            for name in COPIES:
                patch.setattr(Tensor, name, _counted(mode, getattr(Tensor, name)))
            model.fit(
                x, y, batch_size=8, epochs=epochs, verbose=verbose, validation_data=(x, y),
                callbacks=callbacks and callbacks(), **arguments,
            )  # fmt: skip
        return mode.number

    return count


def _counted(mode, function):
    def wrapped(self, *args, **kwargs):
        mode.number += 1
        return function(self, *args, **kwargs)

    return wrapped


def one_hot(y):
    return F.one_hot(y, 3).float()


CLASSES = {"optimizer": "adam", "loss": "cross_entropy"}
WEIGHTS = {0: 1.0, 1: 2.0, 2: 3.0}
TASKS = {
    "plain": {"compiled": CLASSES},
    "a loss object that ignores a class": {"compiled": CLASSES | {"loss": nn.CrossEntropyLoss()}},
    "regularizers": {"compiled": CLASSES | {"regularizers": {"*.weight": "l2"}}},
    "sample weights": {"compiled": CLASSES, "sample_weight": torch.ones},
    "class weights": {"compiled": CLASSES, "class_weight": WEIGHTS},
    "class weights of one-hot targets": {
        "compiled": CLASSES | {"loss": "categorical_crossentropy"}, "make": lambda: small(3, nn.Softmax(-1)),
        "targets": one_hot, "class_weight": WEIGHTS,
    },
    "class numbers that are floats": {"compiled": CLASSES, "targets": torch.Tensor.float, "class_weight": WEIGHTS},
    "several outputs": {
        "compiled": CLASSES | {"loss": ["cross_entropy", "cross_entropy"]}, "make": Two,
        "targets": lambda y: (y.float(), y),
    },
    "values": {"compiled": {"optimizer": "sgd", "loss": "mse"}, "targets": one_hot},
    "clipnorm": {"compiled": CLASSES | {"optimizer": kt.optimizers.Adam(clipnorm=1.0)}},
    "global_clipnorm": {"compiled": CLASSES | {"optimizer": kt.optimizers.Adam(global_clipnorm=1.0)}},
    "clipvalue": {"compiled": CLASSES | {"optimizer": kt.optimizers.Adam(clipvalue=1.0)}},
    "decay and averages": {"compiled": CLASSES | {"optimizer": kt.optimizers.SGD(weight_decay=0.1, use_ema=True)}},
    "accumulation": {"compiled": CLASSES | {"optimizer": kt.optimizers.Adam(gradient_accumulation_steps=2)}},
    "steps_per_epoch": {"compiled": CLASSES, "steps_per_epoch": 5},
}  # fmt: skip
METRICS = {
    "classes": {"compiled": CLASSES | {"metrics": ["accuracy", "f1", "auc"]}},
    "classes, a loss object": {"compiled": CLASSES | {"loss": nn.CrossEntropyLoss(), "metrics": ["acc", "f1", "auc"]}},
    "yes or no": {
        "compiled": CLASSES | {"loss": "binary_crossentropy", "metrics": ["accuracy", "f1", "auc"]},
        "make": lambda: small(1, nn.Sigmoid()), "targets": lambda y: (y > 0).long(),
    },
    "values": {
        "compiled": {"optimizer": "sgd", "loss": "mse", "metrics": ["mae", "r2"]}, "targets": one_hot,
    },
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_no_batch_waits_and_an_epoch_with_validation_a_few_times(reads, task):
    few, many, longer = reads(10, 1, **TASKS[task]), reads(30, 1, **TASKS[task]), reads(10, 3, **TASKS[task])
    assert few == many
    # up to three means in training and in validation, and the looks at validation's targets
    assert longer - few <= 2 * 12


def test_the_plain_loop_reads_two_means_and_looks_at_the_validation_targets_once_an_epoch(reads):
    assert reads(10, 3, CLASSES) - reads(10, 2, CLASSES) == 3
    # with the looks for NaN and for labels out of range, and the facts about both targets for the history
    assert reads(10, 1, CLASSES) <= 8


@pytest.mark.parametrize("task", METRICS)
def test_metrics_wait_when_they_are_computed_and_not_for_batches(reads, task):
    few, many = reads(10, 1, **METRICS[task]), reads(30, 1, **METRICS[task])
    assert few == many
    assert reads(10, 3, **METRICS[task]) - reads(10, 2, **METRICS[task]) <= few


def test_early_stopping_and_history_read_what_an_epoch_has_read_already(reads):
    def stopping():
        return [
            kt.callbacks.EarlyStopping(patience=5),
            kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None),
        ]

    assert reads(10, 2, CLASSES, callbacks=stopping) == reads(30, 2, CLASSES) == reads(10, 2, CLASSES)


def test_best_weights_are_copied_once_an_epoch_at_most(reads):
    def stopping():
        return [kt.callbacks.EarlyStopping(patience=5, restore_best_weights=True)]

    assert reads(10, 1, CLASSES, callbacks=stopping) == reads(30, 1, CLASSES, callbacks=stopping)


def test_a_callback_that_looks_at_every_loss_waits_once_a_batch(reads):
    def looking():
        return [kt.callbacks.TerminateOnNaN()]

    assert reads(20, 1, CLASSES, callbacks=looking) - reads(10, 1, CLASSES, callbacks=looking) == 10


def test_a_bar_reads_by_the_clock_and_not_by_batches(reads, monkeypatch):
    class Terminal(StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())

    def watched(batches, milliseconds):
        clock = iter(range(10**6))
        with monkeypatch.context() as patch:
            patch.setattr(progress_bar.time, "perf_counter", lambda: next(clock) * milliseconds / 1000)
            return reads(batches, 1, CLASSES, verbose=1)

    silent = reads(10, 1, CLASSES)
    assert watched(10, 40) - silent <= 4  # 0.4 s
    assert watched(100, 4) - silent <= 4
    assert watched(100, 40) - silent >= 20  # 4 s


@pytest.mark.parametrize("update_freq", ["epoch", 1])
def test_callbacks_that_log_wait_for_no_batch_unless_asked_to(reads, tmp_path, update_freq):
    pytest.importorskip("tensorboard")

    def logging():
        board = kt.callbacks.TensorBoard(tmp_path, write_steps_per_second=True, update_freq=update_freq)
        table = kt.callbacks.CSVLogger(tmp_path / "log.csv")
        return [kt.callbacks.Timer(), kt.callbacks.GradientNorm(per_layer=True), board, table]

    few, many = reads(10, 1, CLASSES, callbacks=logging), reads(20, 1, CLASSES, callbacks=logging)
    assert many - few == (0 if update_freq == "epoch" else 10)
