"""Processes of one group on this machine, in which tests call functions; they are started once and used again."""

import multiprocessing
import os
import pathlib
import tempfile
import time
import traceback
from datetime import timedelta

START_SECONDS, CALL_SECONDS, GROUP_SECONDS = 90, 60, 40


class RankError(AssertionError):
    """A function failed on a rank; the message has its traceback."""


class Ranks:
    """A group of `world` processes with the gloo backend on loopback.

    Args:
        world: Number of processes.
    """

    def __init__(self, world):
        self.world = world
        self._processes, self._pipes = [], []

    def run(self, function, *args, timeout=CALL_SECONDS, may_fail=False, **kwargs):
        """Call a function of a test module on all ranks; return what it returned, by rank.

        Args:
            function: A function at the top of a module. Within it, `torch.distributed` gives the rank.
            args: Its arguments; they are pickled.
            timeout: Seconds after which the test fails, and the processes are killed.
            may_fail: Whether an exception of a rank is returned, as the text of its traceback, and not raised. The
                processes are started anew for the next call then.
            kwargs: Its arguments by name.
        """
        if not self._processes:
            self._start()
        end = time.monotonic() + timeout
        for pipe in self._pipes:
            pipe.send((function, args, kwargs))
        results = [self._receive(pipe, end) for pipe in self._pipes]
        failed = [text for ok, text in results if not ok]
        if failed:
            self.close()
            if not may_fail:
                raise RankError("\n".join(f"rank {rank}:\n{text}" for rank, (_, text) in enumerate(results)))
        return [value for _, value in results]

    def close(self):
        """Kill the processes."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for pipe in self._pipes:
            pipe.close()
        self._processes, self._pipes = [], []

    def _receive(self, pipe, end):
        try:
            if pipe.poll(max(0.0, end - time.monotonic())):
                return pipe.recv()
        except (EOFError, ConnectionResetError):
            return False, "the process has ended."
        return False, "there was no answer in time."

    def _start(self):
        context = multiprocessing.get_context("spawn")
        folder = tempfile.mkdtemp(prefix="ranks")
        for rank in range(self.world):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(rank, self.world, folder, there), daemon=True)
            process.start()
            there.close()
            self._processes.append(process)
            self._pipes.append(here)
        end = time.monotonic() + START_SECONDS
        for pipe in self._pipes:
            ok, text = self._receive(pipe, end)
            if not ok:
                self.close()
                raise RankError(f"the processes did not start: {text}")


def _serve(rank, world, folder, pipe):
    """Answer calls until the pipe is closed."""
    os.environ.update(OMP_NUM_THREADS="1", RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world))
    import warnings

    import torch
    from torch import distributed

    torch.set_num_threads(1)
    store = distributed.FileStore(str(pathlib.Path(folder) / "store"), world)
    distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=GROUP_SECONDS)
    )
    pipe.send((True, None))
    while True:
        try:
            function, args, kwargs = pipe.recv()
        except (EOFError, ConnectionResetError):
            os._exit(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                answer = True, function(*args, **kwargs)
        except BaseException:
            answer = False, traceback.format_exc()
        pipe.send(answer)
