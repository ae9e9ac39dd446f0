"""F1, F2: training killed at any moment, in the midst of saving too, and run again, ends with the same bits."""

from __future__ import annotations

import mmap
import os
import random
import shutil
import signal
import time
from functools import partial

import pytest
from harness import exit_code, in_child, needs_fork, trains_in_fork, tries
from job import EPOCHS, STEPS, run

from kerastorch import callbacks
from kerastorch.checkpoint import archive_format, atomic_file
from kerastorch.checkpoint.rotation import CheckpointRotation

pytestmark = [needs_fork, trains_in_fork]
KINDS = ["arrays", "dataset", "loader0", "loader2"]
SAVE_FREQ = 3


class Progress(callbacks.Callback):
    """Counts batches where another process can read it."""

    def __init__(self):
        self.shared = mmap.mmap(-1, 9)

    def on_train_batch_end(self, batch, logs=None):
        self.shared[:8] = (self.read() + 1).to_bytes(8, "little")

    def on_train_end(self, logs=None):
        self.shared[8:] = b"1"  # from now on the checkpoint may be gone

    @property
    def ended(self):
        return self.shared[8:] == b"1"

    def read(self):
        return int.from_bytes(self.shared[:8], "little")


def killed_after(seconds, function, *args, **about):
    """Run it in a process that is killed then; whether it was still running."""
    child = os.fork()
    if not child:
        try:
            function(*args, **about)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return exit_code(child) < 0


def killed_in_save(call, folder, kind):
    """Killed at that call of those that saving makes, a write being half done."""

    def die_at():
        left = [call]

        def counted(function):
            def run(*args):
                left[0] -= 1
                if not left[0]:
                    if function is atomic_file.os.write and len(args[1]) > 1:
                        function(args[0], args[1][: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args)

            return run

        names = ("write", "fsync", "replace", "unlink", "ftruncate")
        for name, function in {name: getattr(os, name) for name in names}.items():
            setattr(atomic_file.os, name, counted(function))
        run(kind, folder=folder, save_freq=SAVE_FREQ)

    return was_killed(die_at)


def was_killed(function):
    """Run it in a process of its own; whether that was killed."""
    child = os.fork()
    if not child:
        try:
            function()
        finally:
            os._exit(0)
    return exit_code(child) < 0


@pytest.fixture(scope="module")
def wanted():
    """The digest of a training that nobody touched, and how long it takes, for each kind of data."""
    found = {}
    for kind in KINDS:
        begun = time.monotonic()
        found[kind] = in_child(run, kind).value, time.monotonic() - begun
    return found


def batches_kept(folder):
    state = CheckpointRotation(folder).load()
    return 0 if state is None else state["fit"]["epoch"] * STEPS + state["fit"]["done"]


@tries(quick=1, full=20)
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_killed_at_a_random_moment_ends_with_the_same_bits(kind, tries, wanted, tmp_path, report):
    whole, seconds = wanted[kind]
    moments = random.Random(kind)
    killed = 0
    while killed < tries:
        folder = tmp_path / str(killed)
        progress = Progress()
        moment = moments.uniform(0.1, 1.2) * seconds
        running = killed_after(moment, run, kind, progress, folder=folder, save_freq=SAVE_FREQ)
        if not running or progress.ended:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        killed += 1
        # one save may be under way, and training is an interval further at most
        assert batches_kept(folder) >= progress.read() - 2 * SAVE_FREQ
        assert in_child(partial(run, kind, folder=folder, save_freq=SAVE_FREQ)).value == whole
    report("F1", "kill -9 at a random moment, run again", tries, "every final state bit-identical")


@tries(quick=2, full=20)
def test_a_training_killed_in_the_midst_of_a_save_ends_with_the_same_bits(tries, wanted, tmp_path, report):
    moments = random.Random(1)
    for number in range(tries):
        kind = KINDS[number % 3]
        folder = tmp_path / str(number)
        assert killed_in_save(moments.randint(2, 40), folder, kind)
        assert in_child(partial(run, kind, folder=folder, save_freq=SAVE_FREQ)).value == wanted[kind][0]
    report("F1", "kill -9 within a save, run again", tries, "every final state bit-identical")


@tries(quick=1, full=20)
def test_a_training_killed_ten_times_over_ends_with_the_same_bits(tries, wanted, tmp_path, report):
    moments = random.Random(2)
    for number in range(tries):
        kind = KINDS[number % 3]
        whole, seconds = wanted[kind]
        folder = tmp_path / str(number)
        for _ in range(10):
            killed_after(moments.uniform(0.05, 0.6) * seconds, run, kind, folder=folder, save_freq=1)
        assert in_child(partial(run, kind, folder=folder, save_freq=1)).value == whole
    report("F2", "ten kills one after the other, of resuming too", tries, "every final state bit-identical")


def test_a_training_that_was_never_killed_is_not_changed_by_being_kept(wanted, tmp_path):
    for kind in KINDS:
        assert in_child(partial(run, kind, folder=tmp_path / kind, save_freq=1)).value == wanted[kind][0]
        assert not (tmp_path / kind).exists()


def test_the_file_is_read_as_any_archive(tmp_path):
    folder = tmp_path / "kept"
    assert was_killed(lambda: run("arrays", Die(STEPS + 4), folder=folder, save_freq=STEPS))
    state = archive_format.read(next(folder.iterdir()))
    assert state["fit"]["epoch"] * STEPS + state["fit"]["done"] == STEPS
    assert EPOCHS > 1


class Die(callbacks.Callback):
    """Kills the process after so many batches."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
