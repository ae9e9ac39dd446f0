"""Processes of one group with the gloo backend on loopback, in which functions are called."""

import multiprocessing
import os
import pathlib
import tempfile
import traceback


class RankPool:
    """A group of processes; use it as a context manager, which ends them.

    Args:
        world: Number of processes. A single one has no group.
        threads: Threads of each.
    """

    def __init__(self, world, threads=1):
        self.world = world
        self._folder = tempfile.TemporaryDirectory()
        self._processes, self._pipes = [], []
        context = multiprocessing.get_context("spawn")
        for rank in range(world):
            here, there = context.Pipe()
            args = rank, world, threads, self._folder.name, there
            process = context.Process(target=_serve, args=args, daemon=True)
            process.start()
            there.close()
            self._processes.append(process)
            self._pipes.append(here)

    def run(self, function, *args):
        """Call a function of a module on all ranks; return what each returned, by rank."""
        for pipe in self._pipes:
            pipe.send((function, args))
        answers = []
        for rank, pipe in enumerate(self._pipes):
            try:
                is_value, answer = pipe.recv()
            except EOFError:
                is_value, answer = False, "the process has ended."
            if not is_value:
                raise RuntimeError(f"rank {rank} of {self.world}: {answer}")
            answers.append(answer)
        return answers

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self._processes:
            process.kill()
            process.join()
        self._folder.cleanup()


def _serve(rank, world, threads, folder, pipe):
    """Answer calls until the pipe is closed."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world), OMP_NUM_THREADS=str(threads))
    import torch
    from torch import distributed

    torch.set_num_threads(threads)
    if world > 1:
        store = distributed.FileStore(str(pathlib.Path(folder) / "store"), world)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, function(*args)
        except BaseException:
            answer = False, traceback.format_exc()
        pipe.send(answer)
