"""Files that were made to do harm: name -> what makes one in a folder. `CANARY` is created by whoever runs their code.

`REFUSED` holds what every reader refuses. What `INERT` holds is proper state for `archive.file`, which gives it back as
the text that it is; whoever makes objects of state refuses it.
"""

import gzip
import io
import json
import marshal
import os
import pickle
import socket
import struct
import tarfile
import zipfile

import numpy as np
import torch
from forge import archive, holding, numbers, sealed, sha, text, with_numbers

CANARY = "canary"


class Bomb:
    """Its pickle creates the canary when it is loaded."""

    def __init__(self, folder):
        self.path = str(folder / CANARY)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def pickled(protocol):
    return lambda folder: pickle.dumps(Bomb(folder), protocol=protocol)


def by_torch(**options):
    def make(folder):
        held = io.BytesIO()
        torch.save({"weight": Bomb(folder)}, held, **options)
        return held.getvalue()

    return make


def legacy_tar(folder):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(Bomb(folder), protocol=2)
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return held.getvalue()


def zipped(*members, compression=zipfile.ZIP_STORED):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archived:
        for name, data in members:
            archived.writestr(name, data)
    return held.getvalue()


def keras_lambda(folder):
    code = marshal.dumps(compile(f"__import__('os').mkdir({str(folder / CANARY)!r})", "x", "exec")).hex()
    config = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": code}}}}
    return zipped(("config.json", json.dumps(config)), ("metadata.json", "{}"))


def of_objects(folder):
    held = io.BytesIO()
    np.save(held, np.array([Bomb(folder)], dtype=object), allow_pickle=True)
    return held.getvalue()


def link(target):
    def make(folder):
        path = folder / "link.kt"
        path.symlink_to(target if target else good(folder))
        return path

    return make


def good(folder):
    path = folder / "good.kt"
    path.write_bytes(holding([1, 2]))
    return path


def fifo(folder):
    os.mkfifo(folder / "fifo.kt")
    return folder / "fifo.kt"


def unix_socket(folder):
    path = folder / "s.kt"
    here = os.getcwd()
    os.chdir(folder)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("s.kt")
    finally:
        os.chdir(here)
    return path


def always(data):
    return lambda folder: data


def code_in(place):
    """A dict as pickles and configs have them, in this place of the state."""

    def make(folder):
        told = {"$": "__reduce__", "value": ["os.mkdir", [str(folder / CANARY)]]}
        return holding({"optimizer": {}, "random": {}, "history": {}} | {place: told})

    return make


def kind(name, value):
    return always(holding({"a": {"$": name, "value": value}}))


def part_named(name):
    return always(archive((name, {"state": 1})))


def listing(**changes):
    """An archive of one part, whose entry in the header is changed."""
    part = text({"state": 1})
    return always(sealed({"parts": [{"name": "a.json", "size": len(part), "sha256": sha(part)} | changes]}, part))


def listings(*entries, rest=b""):
    return always(sealed({"parts": list(entries)}, rest))


def entry(name, data):
    return {"name": name, "size": len(data), "sha256": sha(data)}


def tensor(data=b"\0" * 4, **changes):
    """A section whose one tensor is described otherwise."""
    return always(with_numbers(numbers({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes}, data)))


def tensors(data, **described):
    named = {
        key: {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]}
        for key, (start, end) in described.items()
    }
    return always(with_numbers(numbers(named, data)))


def started(size):
    """An archive whose header should be as long."""
    from kerastorch.checkpoint.archive_format import MAGIC

    return always(MAGIC + struct.pack("<IQ", 1, size) + b"{}" + b"\0" * 100)


STATE = text({"state": 1})
TUPLE = b'{"$":"tuple","value":['
METADATA = numbers({"__metadata__": {"a": "os.system"}})
USELESS = {"module": "os", "torch": ["os.system"], "parts": [entry("a.json", STATE)]}
ZEROS = b"\0" * 2**20
JSON = "training.json"

FOREIGN = {
    **{f"pickle, protocol {protocol}": pickled(protocol) for protocol in range(6)},
    "torch.save": by_torch(),
    "torch.save before 1.6": by_torch(_use_new_zipfile_serialization=False),
    "torch.save as tar": legacy_tar,
    "keras file with a Lambda": keras_lambda,
    "numpy objects": of_objects,
    "zip with ../ in it": lambda folder: zipped(("../canary", b"x"), (f"{folder}/canary", b"x")),
    "zip bomb": lambda folder: zipped(("data.pkl", ZEROS * 16), compression=zipfile.ZIP_DEFLATED),
    "gzip bomb": lambda folder: gzip.compress(ZEROS * 16),
    "Python code": always(b"import os; os.mkdir('canary')\n"),
    "YAML": always(b"!!python/object/apply:os.mkdir ['canary']\n"),
    "JSON": always(text({"class_name": "os.system"})),
    "HDF5": always(b"\x89HDF\r\n\x1a\n" + b"\0" * 4096),
    "nothing": always(b""),
    "zeros": always(ZEROS),
}  # fmt: skip

NO_FILE = {
    "link to a good archive": link(None),
    "link to /etc/passwd": link("/etc/passwd"),
    "link to nothing": link("nowhere"),
    "link to itself": link("link.kt"),
    "fifo": fifo,
    "socket": unix_socket,
    "folder": lambda folder: folder,
    "/dev/zero": lambda folder: "/dev/zero",
    "/dev/null": lambda folder: "/dev/null",
}

PARTS = {
    "pickle in place of JSON": lambda folder: archive((JSON, pickled(2)(folder))),
    "pickle in place of tensors": lambda folder: with_numbers(pickled(4)(folder)),
    "torch.save in place of tensors": lambda folder: with_numbers(by_torch()(folder)),
    "pickle behind the last part": lambda folder: holding(1) + pickled(4)(folder),
    "part named data.pkl": lambda folder: archive(("data.pkl", pickled(2)(folder))),
    **{f"part named {name!r}": part_named(name) for name in (
        "../a.json", "/etc/a.json", "C:\\a.json", "a/b.json", "a.json\0", "a.json\n", ".json", "", "a.JSON", "a.py",
        "x" * 10**5 + ".json", "\u202egnp.json",
    )},
    "part whose name is a list": listing(name=["a.json"]),
    "part without a name": listing(name=None),
    "part of negative size": listing(size=-1),
    "part of 2^63 bytes": listing(size=2**63),
    "part whose size is true": listing(size=True),
    "part whose size is a float": listing(size=float(len(STATE))),
    "part whose size is text": listing(size="11"),
    "part without a sum": listing(sha256=None),
    "part whose sum is a list": listing(sha256=[sha(STATE)]),
    "part with the sum of another": listing(sha256=sha(b"other")),
    "parts that overlap": listings(entry("a.json", STATE), entry("b.json", STATE), rest=STATE),
    "parts of one name": listings(entry("a.json", STATE), entry("a.json", STATE), rest=STATE * 2),
    "bytes that belong to no part": listings(entry("a.json", STATE), rest=STATE + b"x"),
    "parts that are no list": always(sealed({"parts": {"a.json": 1}})),
    "parts that are text": always(sealed({"parts": "a.json"})),
    "parts that are numbers": always(sealed({"parts": [1, 2]})),
    "header without parts": always(sealed({})),
    "header that is a list": always(sealed([])),
    "header with one key twice": always(sealed(b'{"parts":[],"parts":[]}')),
    "header of nothing": always(sealed(b"")),
    "header in UTF-16": always(sealed('{"parts":[]}'.encode("utf-16"))),
    "header of 2^60 bytes": started(2**60),
    "header of 2^64 - 1 bytes": started(2**64 - 1),
    "tensors that stand alone": always(archive(("a.safetensors", numbers({})))),
    "section without state": always(archive((JSON, {"other": 1}))),
    "section that is a list": always(archive((JSON, [1]))),
}  # fmt: skip

TEXT = {
    "100,000 lists in each other": always(archive((JSON, b'{"state":' + b"[" * 10**5 + b"]" * 10**5 + b"}"))),
    "100,000 dicts in each other": always(archive((JSON, b'{"state":' * 10**5 + b"1" + b"}" * 10**5))),
    "900 tuples in each other": always(archive((JSON, b'{"state":' + TUPLE * 900 + b"]}" * 900 + b"}"))),
    "2 million empty lists": always(archive((JSON, b'{"state":[' + b"[]," * 2**21 + b"1]}"))),
    "one key twice": always(archive((JSON, b'{"state":1,"state":2}'))),
    "one key twice, far inside": always(archive((JSON, b'{"state":[{"a":{"b":1,"b":2}}]}'))),
    "NaN": always(archive((JSON, b'{"state":NaN}'))),
    "-Infinity": always(archive((JSON, b'{"state":[-Infinity]}'))),
    "an integer of 100,000 digits": always(archive((JSON, b'{"state":' + b"9" * 10**5 + b"}"))),
    "text that is no UTF-8": always(archive((JSON, b'{"state":"\xff\xfe"}'))),
    "a byte order mark": always(archive((JSON, b'\xef\xbb\xbf{"state":1}'))),
    "text behind the text": always(archive((JSON, b'{"state":1} import os'))),
    "keys that collide": always(holding({"$": "map", "value": [[(2**61 - 1) * at, 0] for at in range(50_000)]})),
    "tuples that collide": always(holding({"$": "set", "value": [
        {"$": "tuple", "value": [-1 - (at >> bit & 1) for bit in range(13)]} for at in range(2**13)
    ]})),
}  # fmt: skip

KINDS = {
    **{f"__reduce__ in {place}": code_in(place) for place in ("optimizer", "random", "history", "callbacks")},
    **{f"kind {name!r}": kind(name, ["os.system", "mkdir canary"]) for name in (
        "object", "pickle", "class", "function", "module", "code", "eval", "__class__", "bytes", "lambda",
        "storage", "$",
    )},
    "kind that is a list": kind(["tuple"], []),
    "kind that is nothing": kind(None, []),
    "kind without a value": always(holding({"$": "tuple"})),
    "tuple of text": kind("tuple", "os"),
    "float of text": kind("float", "1e400"),
    "dtype 'os'": kind("dtype", "os"),
    "dtype 'ops'": kind("dtype", "ops"),
    "dtype 'load'": kind("dtype", "load"),
    "device that is none": kind("device", "cpu; mkdir canary"),
    "device of 10^30": kind("device", "cuda:" + "9" * 30),
    "device that is a dict": kind("device", {"type": "cpu"}),
    "set of lists": kind("set", [[1]]),
    "map of triples": kind("map", [[1, 2, 3]]),
    "map with a list as key": kind("map", [[[1], 2]]),
    "tensor that is not there": kind("tensor", "a"),
    "tensor that is a path": kind("tensor", "/etc/passwd"),
    "array that is a list": kind("array", ["a"]),
}  # fmt: skip

TENSORS = {
    "tensor of 10^12 numbers": tensor(shape=[10**12]),
    "tensor of 10^12 numbers, its end to match": tensor(shape=[10**12], data_offsets=[0, 4 * 10**12]),
    "tensor of 2^62 by 2^62": tensor(shape=[2**62, 2**62]),
    "tensor whose size is 1 in 64 bits": tensor(shape=[2**32 + 1, 2**32 - 1]),
    "tensor of no numbers by 2^62 by 2^62": tensor(b"", shape=[0, 2**62, 2**62], data_offsets=[0, 0]),
    "tensor of 2^64 axes": tensor(shape=[2**64]),
    "tensor of 1,000,000 axes": tensor(shape=[1] * 10**6),
    "tensor of negative shape": tensor(shape=[-1, -1]),
    "tensor whose shape is true": tensor(shape=[True]),
    "tensor whose shape is 1.0": tensor(shape=[1.0]),
    "tensor whose shape is text": tensor(shape="1"),
    "tensor whose shape is a dict": tensor(shape={"0": 1}),
    "tensor of objects": tensor(dtype="O"),
    "tensor of dtype '__class__'": tensor(dtype="__class__"),
    "tensor whose dtype is a list": tensor(dtype=["F32"]),
    "tensor with offsets below nothing": tensor(data_offsets=[-4, 0]),
    "tensor with offsets the wrong way": tensor(data_offsets=[4, 0]),
    "tensor with offsets that are floats": tensor(data_offsets=[0.0, 4.0]),
    "tensor with three offsets": tensor(data_offsets=[0, 2, 4]),
    "tensor with more said of it": tensor(requires_grad="os.system"),
    "tensors that overlap": tensors(b"\0" * 6, a=(0, 4), b=(2, 6)),
    "tensors that are one another": tensors(b"\0" * 4, a=(0, 4), b=(0, 4)),
    "tensors with a gap": tensors(b"\0" * 10, a=(0, 4), b=(6, 10)),
    "tensor behind the end": tensors(b"\0" * 4, a=(0, 5)),
    "bytes before the first": tensors(b"\0" * 6, a=(2, 6)),
    "bytes behind the last": tensors(b"\0" * 6, a=(0, 4)),
    "truth values of 2": tensor(b"\2" * 4, dtype="BOOL", shape=[4]),
    "tensor twice": always(with_numbers(numbers(
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        b"\0" * 4,
    ))),
    "safetensors header of 2^60 bytes": always(with_numbers((2**60).to_bytes(8, "little") + b"{}")),
    "safetensors header of 7 bytes": always(with_numbers(b"\0" * 7)),
    "safetensors header that is a list": always(with_numbers(numbers([]))),
    "metadata that is no text": always(with_numbers(numbers({"__metadata__": {"a": ["os.system"]}}))),
}  # fmt: skip

REFUSED = FOREIGN | NO_FILE | PARTS | TEXT | KINDS | TENSORS

NAMES = (
    "os.system", "builtins.eval", "builtins.exec", "__import__", "subprocess.Popen", "torch.load", "torch.hub.load",
    "pickle.loads", "kerastorch.layers.Lambda", "Lambda", "__class__", "__reduce__", "../../etc/passwd", "lambda: 0",
    "numpy.load", "torch._C._jit_set_profiling_executor", "importlib.import_module", "http://localhost/x",
    "a; mkdir canary",
)  # fmt: skip
WORDS = (
    "class_name",
    "module",
    "_target_",
    "_instantiator",
    "_class_path",
    "py/object",
    "__reduce__",
    "method",
    "function",
)

INERT = {
    **{f"{word}: {name}": always(holding({word: name, "config": {"args": ["mkdir canary"]}}))
       for word, name in zip(WORDS * 3, NAMES, strict=False)},
    "metadata of code": always(archive((JSON, {"state": 1}), ("training.safetensors", METADATA))),
    "half a character": always(archive((JSON, b'{"state":"\\ud800"}'))),
    "a number beyond all floats": always(archive((JSON, b'{"state":1e999}'))),
    "unused keys in the header": always(sealed(USELESS, STATE)),
}  # fmt: skip
