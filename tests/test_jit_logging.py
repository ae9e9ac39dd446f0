"""Compiling a step silences remarks of the compiler, and leaves the user's logging as it was."""

import logging

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.training.jit import executable

pytestmark = pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")
X, Y = torch.randn(64, 4), torch.randn(64, 1)


def levels():
    torchs = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "torch"]
    return {name: logging.getLogger(name).level for name in ("root", "mine", *torchs)}


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        self.seen.append((record.name, record.levelname, record.getMessage()))


@pytest.fixture
def mine():
    """A logger of the user's, and what it wrote."""
    logger, handler = logging.getLogger("mine"), Records()
    logger.addHandler(handler)
    before = logger.level, logging.root.manager.disable
    logger.setLevel(logging.DEBUG)
    yield logger, handler.seen
    logging.disable(before[1])
    logger.setLevel(before[0])
    logger.removeHandler(handler)


@pytest.mark.parametrize("disabled", [logging.NOTSET, logging.DEBUG, logging.ERROR])
def test_logging_goes_on_after_a_step_was_compiled(mine, disabled):
    logger, seen = mine
    logging.disable(disabled)
    model = kt.Model(nn.Linear(4, 1))
    model.compile("sgd", "mse", jit_compile=True)
    before = levels()
    model.fit(X, Y, epochs=2, verbose=0)
    assert model.trainer.is_compiled
    assert logging.root.manager.disable == disabled
    assert {name: level for name, level in levels().items() if name in before} == before
    for level in (logging.INFO, logging.WARNING, logging.CRITICAL):
        logger.log(level, "after")
    assert [name for _, name, _ in seen] == [
        name for level, name in ((20, "INFO"), (30, "WARNING"), (50, "CRITICAL")) if level > disabled
    ]


def test_logging_goes_on_after_the_compiler_has_failed(mine, monkeypatch):
    from torch import _inductor

    def failing(*args, **options):
        assert logging.root.manager.disable == logging.WARNING
        raise RuntimeError("no compiler")

    monkeypatch.setattr(_inductor, "compile", failing)
    logger, seen = mine
    model = kt.Model(nn.Linear(4, 1))
    model.compile("sgd", "mse", jit_compile=True)
    with pytest.warns(UserWarning, match="no compiler"):
        model.fit(X, Y, verbose=0)
    logger.info("after")
    assert seen == [("mine", "INFO", "after")]
    assert logging.root.manager.disable == logging.NOTSET


def test_what_the_user_logs_while_a_step_is_trained_is_logged(mine):
    logger, seen = mine
    model = kt.Model(nn.Linear(4, 1))
    model.compile("sgd", "mse", jit_compile=True)
    log = kt.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logger.info("epoch %d", epoch))
    model.fit(X, Y, epochs=2, verbose=0, callbacks=log)
    assert [text for *_, text in seen] == ["epoch 0", "epoch 1"]


def test_remarks_are_silenced_only_while_it_compiles():
    with executable._silenced_logging():
        assert not logging.getLogger("mine").isEnabledFor(logging.WARNING)
    assert logging.getLogger("mine").isEnabledFor(logging.WARNING)
