"""What tests of faults share: how often, and processes of their own."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from typing import Any, NamedTuple

import pytest
import torch

needs_fork = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs os.fork, and /proc")
trains_in_fork = pytest.mark.skipif(
    torch.backends.cuda.is_built(),
    reason="builds of torch with CUDA compute no gradients in a fork of a process that has computed some",
)


def tries(quick, full):
    """The argument `tries` of a test: few in `make test`, all of them in `make faults`."""
    long = [pytest.mark.faults, pytest.mark.timeout(7200)]
    both = [pytest.param(quick, id="quick"), pytest.param(full, id="full", marks=long)]
    return pytest.mark.parametrize("tries", both)


class Ended(NamedTuple):
    """How a child ended."""

    value: Any  # what its function returned
    code: int  # of its exit; less than nothing: the signal that killed it
    hung: bool  # and was killed for it


def in_child(function, *args, timeout=60):
    """Call a function in a fork of this process.

    Raises:
        AssertionError: it raised something; with its traceback.
    """
    receive, send = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child of one that computes nothing else
        child = os.fork()
    if not child:
        _run(function, args, receive, send)
    os.close(send)
    data, hung = _received(receive, time.monotonic() + timeout)
    if hung:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    value, error = pickle.loads(data) if data and not hung and not code else (None, None)
    assert error is None, error
    return Ended(value, code, hung)


def exit_code(child, timeout=60):
    """How a fork of this process ended: its exit code, less than nothing for the signal that killed it.

    Raises:
        AssertionError: it goes on and on; where it is, is printed.
    """
    handle = os.pidfd_open(child)
    try:
        hung = not select.select([handle], [], [], timeout)[0]
    finally:
        os.close(handle)
    if hung:
        os.kill(child, signal.SIGABRT)  # pytest's faulthandler tells where it is
        time.sleep(1)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert not hung, f"a process has not ended after {timeout} seconds"
    return code


def _run(function, args, receive, send):
    gc.freeze()  # what the parent made is not looked through again, which would copy all of it
    try:
        os.close(receive)
        try:
            result = (function(*args), None)
        except BaseException:
            result = (None, traceback.format_exc())
        with os.fdopen(send, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    finally:
        os._exit(70)


def _received(pipe, until):
    data = b""
    try:
        while select.select([pipe], [], [], max(0, until - time.monotonic()))[0]:
            more = os.read(pipe, 2**20)
            if not more:
                return data, False
            data += more
        return data, True
    finally:
        os.close(pipe)


def as_anybody(function, *args):
    """Call a function in a fork of this process that has no rights of root: modes of files count for it."""

    def run():
        libc = ctypes.CDLL(None, use_errno=True)
        header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # see capset(2)
        if libc.capset(header, none):
            raise OSError(ctypes.get_errno(), "capset")
        return function(*args)

    return in_child(run).value


def same(one, other):
    """Whether two states are equal bit for bit, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and _bits(one) == _bits(other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "tobytes"):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return one == other or (one != one and other != other)


def _bits(tensor):
    plain = tensor.detach().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy().tobytes() if plain.numel() else b""


def state(number, tensors=4, size=64):
    """A state like that of a training, all of it told by `number`."""
    return {
        "model": {f"{at}.weight": torch.full((size,), number + at / 1024) for at in range(tensors)},
        "optimizer": {"lr": 0.1 * number, "steps": (number, None)},
        "random": torch.full((32,), number % 256, dtype=torch.uint8),
    }
