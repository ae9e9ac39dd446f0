"""F9: Ctrl-C and SIGTERM at any moment of a training."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial

import numpy as np
from harness import exit_code, in_child, needs_fork, trains_in_fork, tries
from job import data, model, run, train

from kerastorch import callbacks

pytestmark = [needs_fork, trains_in_fork]


class Ends(callbacks.Callback):
    """Says that training has begun, and counts how often it has ended."""

    def __init__(self, pipe):
        self.pipe, self.ends, self.net = pipe, 0, None

    def on_train_batch_end(self, batch, logs=None):
        os.write(self.pipe, b"b")

    def on_train_end(self, logs=None):
        self.ends += 1
        if self.model.trainer.state.is_completed:  # a signal that comes from now on is none of training's
            os.write(self.pipe, b"e" * 1000)


def signalled(number, wait, kind, folder, again=False):
    """What came of a training that got a signal some time after its first batch: how it ended, and in how many seconds.

    `None` where it had ended before.

    Args:
        number: of the signal.
        wait: seconds after the first batch.
        kind: of data.
        folder: where the training is kept.
        again: send it a second time at once.
    """
    receive, send = os.pipe()
    begun, begin = os.pipe()
    child = os.fork()
    if not child:
        code = 70
        try:
            code = _under_signal(begin, send, kind, folder)
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    os.close(send)
    os.close(begin)
    os.read(begun, 1)
    time.sleep(wait)
    sent = time.monotonic()
    for _ in range(2 if again else 1):
        os.kill(child, number)
    code = exit_code(child)
    taken = time.monotonic() - sent
    said = os.read(receive, 100).decode()
    over = b"e" in os.read(begun, 2**16)
    os.close(receive)
    os.close(begun)
    return None if over else (code, said, taken)


def _under_signal(begin, send, kind, folder):
    """Train; say how it ended, how often that was told, and whether the model still works; the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ends = Ends(begin)
    code, how = 0, "returned"
    try:
        train(kind, ends, folder=folder, save_freq=1000)
    except KeyboardInterrupt:
        code, how = 130, "KeyboardInterrupt"
    except SystemExit as error:
        code, how = error.code, "SystemExit"
    works = bool(np.isfinite(ends.model.predict(data()[0], verbose=0)).all()) and ends.model.training
    os.write(send, f"{how} {ends.ends} {works}".encode())
    return code


def sweep(number, tries, tmp_path, code, how):
    """So many signals at random moments of trainings that are then run to their end."""
    moments = random.Random(number)
    kinds = ["arrays", "dataset", "loader2"]
    whole = {kind: in_child(run, kind).value for kind in kinds}
    done = 0
    while done < tries:
        kind = kinds[done % 3]
        folder = tmp_path / f"{number}-{done}"
        ended = signalled(number, moments.uniform(0, 0.1), kind, folder)
        if ended is None:
            continue
        found, said, taken = ended
        assert (found, said) == (code, f"{how} 1 True")
        assert taken < 5
        assert in_child(partial(run, kind, folder=folder, save_freq=1000)).value == whole[kind]
        done += 1


@tries(quick=3, full=100)
def test_ctrl_c_at_any_moment_ends_in_a_keyboard_interrupt_and_loses_nothing(tries, tmp_path, report):
    sweep(signal.SIGINT, tries, tmp_path, 130, "KeyboardInterrupt")
    report("F9", "Ctrl-C at a random moment, run again", tries, "`KeyboardInterrupt`, then the same bits")


@tries(quick=3, full=100)
def test_sigterm_at_any_moment_saves_and_exits_with_143(tries, tmp_path, report):
    sweep(signal.SIGTERM, tries, tmp_path, 143, "SystemExit")
    report("F9", "SIGTERM at a random moment, run again", tries, "exit 143, then the same bits")


@tries(quick=2, full=20)
def test_a_second_ctrl_c_ends_training_too(tries, tmp_path, report):
    moments = random.Random(5)
    done = 0
    while done < tries:
        folder = tmp_path / str(done)
        ended = signalled(signal.SIGINT, moments.uniform(0, 0.05), "arrays", folder, again=True)
        if ended is None:
            continue
        code, said, taken = ended
        done += 1
        assert code == 130
        assert said.startswith("KeyboardInterrupt 1") or said == ""  # the second came when the first had been handled
        assert taken < 5
    report("F9", "Ctrl-C twice", tries, "`KeyboardInterrupt`")


def test_a_signal_between_trainings_is_python_s(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    net = model()
    x, y = data()
    net.fit(x, y, verbose=0)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
