"""LambdaCallback: Keras' order of arguments, and what is refused."""

import inspect

import pytest
from support.problems import regression
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import LambdaCallback


def test_the_first_arguments_are_keras_in_its_order():
    assert list(inspect.signature(LambdaCallback).parameters)[:6] == [
        "on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_train_batch_begin",
        "on_train_batch_end",
    ]  # fmt: skip


def test_functions_by_position_are_called_with_the_arguments_of_their_hooks():
    calls = []
    callback = LambdaCallback(
        lambda epoch, logs: calls.append(("epoch begins", epoch)),
        lambda epoch, logs: calls.append(("epoch ends", epoch, sorted(logs))),
        lambda logs: calls.append("training begins"),
        lambda logs: calls.append("training ends"),
    )
    x, y = regression(20)
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0, callbacks=[callback])
    assert calls == [
        "training begins",
        ("epoch begins", 0),
        ("epoch ends", 0, ["learning_rate", "loss"]),
        "training ends",
    ]


def test_what_is_no_function_is_refused_at_once():
    with pytest.raises(ValueError, match="on_epoch_end must be a function, got 'print'"):
        LambdaCallback(on_epoch_end="print")


def test_a_misspelt_hook_is_refused():
    with pytest.raises(TypeError, match="on_epoch_ends"):
        LambdaCallback(on_epoch_ends=print)
