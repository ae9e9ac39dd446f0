"""F7: headers and texts changed at random, with the SHA-256 that belongs to what came of it."""

import copy
import faulthandler
import json
import random
import signal

import numpy as np
import torch
from forge import archive as archived
from forge import numbers, sealed, taken_apart
from harness import in_child, needs_fork, tries
from json_values import VALUES

from kerastorch.checkpoint import archive_format, safetensors_codec
from kerastorch.core.errors import CheckpointError

pytestmark = needs_fork
CHUNK = 1000  # tries of one child
PATIENCE = 10  # seconds for one try: a child that takes longer is killed
PLAIN = (
    type(None), bool, int, float, str, list, tuple, dict, set, frozenset, torch.Tensor, np.ndarray,
    torch.dtype, torch.device,
)  # fmt: skip
PIECES = (
    b"NaN", b"Infinity", b"-", b"1e999", b"0" * 50, b"9" * 5000, b"\xff", b"\xed\xa0\x80", b"\\ud800",
    b"[" * 2000, b'{"a":' * 2000,
    b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b"null", b"true", b"\0", b" " * 8, b'"$":"map",',
    b'"a":1,"a":2,', b"\xef\xbb\xbf",
)  # fmt: skip

STATE = {
    "a": (1, 2.5, None, "text"),
    "b": {1: torch.arange(3.0), "s": {1, 2}, "n": float("nan")},
    "c": [np.arange(4, dtype=np.int16), torch.float32, torch.device("cpu"), torch.tensor([True, False])],
}


def with_changed_bytes(data, draw):
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at, way = draw.randrange(len(data) + 1), draw.randrange(6)
        if way == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif way == 1 and at < len(data):
            data[at] = draw.randrange(256)
        elif way == 2:
            data[at:at] = draw.choice(PIECES)
        elif way == 3:
            del data[at : at + draw.randrange(1, 20)]
        elif way == 4:
            data[at : at + draw.randrange(1, 8)] = draw.choice(PIECES)
        else:
            start = draw.randrange(len(data) + 1)
            data[at:at] = data[start : start + draw.randrange(1, 40)]
    return bytes(data)


def with_changed_values(data, draw):
    value = json.loads(data)
    for _ in range(draw.choice((1, 1, 2, 3))):
        value = _changed(value, draw)
    return json.dumps(value).encode()


def _changed(value, draw):
    """The value with something in it, anywhere, another; the deeper the likelier."""
    if not isinstance(value, (dict, list)) or not value or draw.random() < 0.1:
        return copy.deepcopy(draw.choice(VALUES))
    value = copy.copy(value)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key, way = draw.choice(keys), draw.random()
    if way < 0.7:
        value[key] = _changed(value[key], draw)
    elif way < 0.8:
        del value[key]
    elif isinstance(value, list):
        value.insert(key, copy.deepcopy(draw.choice(VALUES)))
    elif way < 0.9:
        value[str(draw.choice(VALUES))] = value.pop(key)
    else:
        value[str(draw.choice(VALUES))] = copy.deepcopy(value[draw.choice(keys)])
    return value


def changed(data, draw):
    return (with_changed_values if draw.random() < 0.5 else with_changed_bytes)(data, draw)


WHOLE = b"".join(archive_format.encode({"training": STATE}))
HEADER, PARTS = taken_apart(WHOLE)
SIZE = int.from_bytes(PARTS["training.safetensors"][:8], "little")
NAMED, DATA = PARTS["training.safetensors"][8 : 8 + SIZE], PARTS["training.safetensors"][8 + SIZE :]


def of_archive(draw):
    return sealed(changed(json.dumps(HEADER).encode(), draw), b"".join(PARTS.values()))


def of_state(draw):
    return archived(("training.json", changed(PARTS["training.json"], draw)), list(PARTS.items())[1])


def of_tensors(draw):
    return archived(
        ("training.json", PARTS["training.json"]), ("training.safetensors", numbers(changed(NAMED, draw), DATA))
    )


def of_safetensors(draw):
    return numbers(changed(NAMED, draw), DATA)


def of_lengths(draw):
    data = bytearray(WHOLE)
    at = draw.choice((12, 16))
    size = 4 if at == 12 else 8
    data[at : at + size] = draw.getrandbits(8 * size).to_bytes(size, "little")
    return bytes(data)


def decode(data):
    return archive_format.decode(memoryview(bytearray(data)), "fuzz")


def decode_safetensors(data):
    return dict(safetensors_codec.decode(memoryview(bytearray(data)), "fuzz").tensors)


WAYS = (
    (of_archive, decode),
    (of_state, decode),
    (of_tensors, decode),
    (of_safetensors, decode_safetensors),
    (of_lengths, decode),
)


def run_on(first, count):
    """How many were refused; anything but a refusal or plain state is an error that tells the seed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.enable()
    refused = 0
    for seed in range(first, first + count):
        draw = random.Random(seed)
        make, read = WAYS[seed % len(WAYS)]
        data = make(draw)
        signal.alarm(PATIENCE)
        try:
            assert_plain(read(data))
        except CheckpointError as error:
            assert "fuzz" in str(error)  # noqa: PT017
            refused += 1
        except BaseException as error:
            raise AssertionError(f"seed {seed}, {make.__name__}: {error!r}") from error
        signal.alarm(0)
    return refused


def assert_plain(value):
    assert type(value) in PLAIN
    if isinstance(value, dict):
        assert_plain([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            assert_plain(item)
    elif isinstance(value, torch.Tensor):
        value.clone()  # all of its numbers are there


@tries(quick=2000, full=100_000)
def test_whatever_a_header_says_it_is_refused_or_plain_state(tries, report):
    refused = 0
    for first in range(0, tries, CHUNK):
        ended = in_child(run_on, first, CHUNK, timeout=300)
        assert not ended.hung
        assert ended.code == 0, f"a crash among the seeds from {first} on"
        refused += ended.value
    assert tries / 2 < refused < tries
    what = "headers and texts changed at random, their SHA-256 right"
    report("F7", what, tries, f"{refused:,} refused, the rest is plain state; no other error, crash or hang")


def test_without_a_change_it_is_read():
    """So that the test above does not pass by refusing everything."""
    assert_plain(decode(sealed(json.dumps(HEADER).encode(), b"".join(PARTS.values()))))
    assert set(decode_safetensors(numbers(NAMED, DATA))) == {"b.1", "c.0", "c.3"}
