"""Writing that is broken off before one of its file operations."""

import pathlib
from contextlib import contextmanager

from kerastorch.checkpoint import atomic_file


@contextmanager
def broken_off(monkeypatch, stop):
    """Raise `KeyboardInterrupt` in place of file operation number `stop`, from 0: a write or a deletion."""
    done = 0

    def counted(function):
        def call(*args, **kwargs):
            nonlocal done
            if done == stop:
                raise KeyboardInterrupt
            done += 1
            return function(*args, **kwargs)

        return call

    kind = type(pathlib.Path())
    with monkeypatch.context() as patch:
        patch.setattr(atomic_file, "write", counted(atomic_file.write))
        patch.setattr(kind, "unlink", counted(kind.unlink))
        yield
