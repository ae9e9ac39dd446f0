"""F4 to F7 for files of Keras: cut off, bytes changed, made to do harm, and configs changed at random."""

import json
import random
import warnings
import zipfile

import malice
import numpy as np
import pytest
from audited_read import FIXED, read_heard
from harness import in_child, needs_fork, tries
from json_values import VALUES, at, dicts, leaves, replaced
from keras_forge import (
    STORED,
    SUPPORT,
    h5py,
    hdf5,
    members,
    rewritten,
    weights_of_harm,
    with_config,
    with_weights,
    zipped,
)

import kerastorch as kt
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

pytestmark = needs_fork
NAMES = ("residual", "cells", "nested", "transformer", "adapted", "two_heads", "operations", "masked")
PARTS = {name: members(STORED[f"{name}.keras"]) for name in NAMES}
CONFIGS = {name: json.loads(parts["config.json"]) for name, parts in PARTS.items()}
CHAIN = members(STORED["without_input.keras"])
SIZES = (10**12, 10**9, 10**7, 2**63 - 1, 2**31, 300, -1, 0, 1, 2, 1.5, True, 10**30)
CHUNK = 25


def write(path, data):
    path.write_bytes(data)
    return path


def read_model(path):
    found = kt.load_model(path)
    assert type(found).__module__.startswith("kerastorch")


def places_of_members(data, path):
    """Places before, within and after each header and part of a zip file, and in its directory."""
    with zipfile.ZipFile(write(path, data)) as archive:
        found = {archive.start_dir, archive.start_dir + 1, len(data) - 22, len(data) - 1, 0, 1}
        for one in archive.infolist():
            begin = one.header_offset
            found |= {begin, begin + 4, begin + 30, begin + 30 + len(one.filename), begin + 60 + one.compress_size // 2}
    return sorted(found)


def test_a_model_that_was_cut_off_is_never_loaded(tmp_path, report):
    tried = 0
    for name in ("cells", "adapted"):
        data = STORED[f"{name}.keras"]
        for length in places_of_members(data, tmp_path / "whole.keras"):
            with pytest.raises(CheckpointCorruptError, match=r"cut\.keras"):
                kt.load_model(write(tmp_path / "cut.keras", data[:length]))
            tried += 1
    report("F4", "files of Keras cut off before, in and after each part", tried, "all refused by name")


def test_weights_that_were_cut_off_change_nothing(tmp_path, report):
    model = kt.load_model(write(tmp_path / "a.keras", STORED["cells.keras"]))
    before, data = model.get_weights(), STORED["cells.weights.h5"]
    lengths = range(0, len(data), max(1, len(data) // 40))
    for length in lengths:
        with pytest.raises(CheckpointError, match="cut"):
            model.load_weights(write(tmp_path / "cut.weights.h5", data[:length]))
    assert all((one == other).all() for one, other in zip(model.get_weights(), before, strict=True))
    report("F4", "weights of Keras, cut off", len(lengths), "all refused by name, and no weight is changed")


def outcomes(files, path, load):
    """What came of each file: `"refused"`, the numbers of the weights, or another error."""
    warnings.simplefilter("ignore")
    found = []
    for data in files:
        write(path, data)
        try:
            found.append([one.tolist() for one in load(path).get_weights()])
        except CheckpointError:
            found.append("refused")
        except Exception as error:
            found.append(repr(error))
    return found


def flipped(data, count, draw):
    for _ in range(count):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        yield bytes(changed)


@tries(quick=20, full=500)
def test_a_model_with_a_changed_bit_is_refused_or_the_same(tries, tmp_path, report):
    data, path = STORED["without_input.keras"], tmp_path / "a.keras"
    whole = outcomes([data], path, kt.load_model)[0]
    ended = in_child(outcomes, [*flipped(data, tries, random.Random(0))], path, kt.load_model, timeout=600)
    assert ended.code == 0
    assert all(one in ("refused", whole) for one in ended.value)
    assert tries < 100 or "refused" in ended.value
    report("F5", "one bit flipped in files of Keras, whose parts have a CRC-32", tries, "refused, or the same model")


@tries(quick=30, full=1_000)
def test_weights_with_a_changed_bit_are_refused_or_of_the_same_shapes(tries, tmp_path, report):
    path = tmp_path / "a.weights.h5"
    data = STORED["without_input.weights.h5"]
    model = kt.load_model(write(tmp_path / "a.keras", STORED["without_input.keras"]))

    def load(path):
        model.load_weights(path)
        return model

    ended = in_child(outcomes, [*flipped(data, tries, random.Random(1))], path, load, timeout=600)
    assert not ended.hung
    assert ended.code == 0
    assert not [one for one in ended.value if isinstance(one, str) and one != "refused"]
    report("F5", "one bit flipped in `.weights.h5`, which has no checksum", tries, "loaded or refused; no other error")


def altered(name, **changes):
    """A config whose second layer is changed."""
    config = json.loads(CHAIN["config.json"])
    config["config"]["layers"][1] |= changes
    return config


def foreign(folder):
    """Files by name that must be refused."""
    canary = str(folder / malice.CANARY)
    code = f"__import__('os').mkdir({canary!r})"
    described = {"config": {"path": canary, "mode": 0o777}, "registered_name": None}
    marshalled = {"class_name": "__lambda__", "config": {"value": ["4wEAAAAA", None, None]}}
    graph = json.loads(PARTS["residual"]["config.json"])
    for layer in graph["config"]["layers"]:
        if layer["class_name"] == "Add":
            given = json.dumps(layer["inbound_nodes"])
            name = given.split('"keras_history": ["')[1].split('"')[0]
            layer["inbound_nodes"] = json.loads(given.replace(f'["{name}"', f'["{layer["name"]}"', 1))
    deep = b'{"class_name":"Sequential","config":{"layers":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    nested = altered("x")["config"]["layers"][1]
    for _ in range(150):
        nested = {"module": "keras", "class_name": "Sequential", "config": {"name": "a", "layers": [nested]}}
    config = CHAIN["config.json"]
    made = {
        **{
            f"a class of {module}": with_config(CHAIN, altered("x", module=module, class_name=name, **described))
            for module, name in (
                ("os", "mkdir"),
                ("builtins", "eval"),
                ("subprocess", "Popen"),
                ("keras.src.utils", "get_file"),
                ("keras.layers", "TFSMLayer"),
                ("keras.layers", "TorchModuleWrapper"),
                (None, "os.mkdir"),
                ("kerastorch.core.errors", "warn"),
                ("torch.hub", "load"),
                ("keras.layers", "__class__"),
            )
        },
        "code of a lambda": with_config(
            CHAIN, altered("x", class_name="Lambda", config={"function": marshalled, "name": "a"})
        ),
        "a function by its name": with_config(
            CHAIN, altered("x", class_name="Lambda", config={"function": "os.system", "name": "a"})
        ),
        "an activation of code": with_config(CHAIN, altered("x", config={"units": 3, "activation": code})),
        "units beyond all": with_config(CHAIN, altered("x", config={"units": 10**13, "name": "dense"})),
        "units of NaN": zipped(*{**CHAIN, "config.json": config.replace(b'"units": 3', b'"units": NaN')}.items()),
        "a cycle": with_config(PARTS["residual"], graph),
        "deep lists": zipped(*{**CHAIN, "config.json": deep}.items()),
        "chains in chains": with_config(CHAIN, nested),
        "two configs": zipped(*CHAIN.items(), ("config.json", json.dumps(altered("x", class_name="X")).encode())),
        "weights of another model": with_weights(CHAIN, PARTS["residual"]["model.weights.h5"]),
        "config and weights swapped": zipped(
            ("config.json", CHAIN["model.weights.h5"]), ("model.weights.h5", CHAIN["config.json"])
        ),
        "no weights": zipped(("config.json", config)),
        "a bomb": zipped(("config.json", config), ("model.weights.h5", bytes(10**7)), compression=zipfile.ZIP_DEFLATED),
        "a pickle": malice.pickled(2)(folder),
    }
    for name, change in weights_of_harm("layers/dense/vars/0", str(folder / "secret.h5")).items():
        made[name] = with_weights(CHAIN, rewritten(CHAIN["model.weights.h5"], change))
    return made


def slipped(folder):
    """A good file with parts whose names lead out of any folder."""
    names = ("../canary", str(folder / "canary"), "assets/../../canary", "assets/canary/", "..\\canary")
    return zipped(*CHAIN.items(), *((name, b"x") for name in names))


def heard_of(read, path):
    """What reading a file led to; nothing else may be opened, run or imported."""
    ended = in_child(read_heard, read, path, timeout=60)
    assert not ended.hung
    assert ended.code == 0
    name, known, _, heard, memory, _ = ended.value
    assert {one for one in heard if one[0] not in ("compile", "exec")} <= {("open", str(path))}
    assert memory <= 2 * path.stat().st_size + FIXED
    return name, known


def test_files_of_keras_that_were_made_to_do_harm_are_refused(tmp_path, report):
    hdf5_secret = hdf5(lambda file: file.__setitem__("x", np.zeros((4, 3), "f4")))
    write(tmp_path / "secret.h5", hdf5_secret)
    read_model(write(tmp_path / "good.keras", zipped(*CHAIN.items())))  # what is loaded on first use is loaded
    for files, count in ((foreign(tmp_path), 0), ({"names that lead out": slipped(tmp_path)}, 1)):
        for name, data in files.items():
            found, known = heard_of(read_model, write(tmp_path / "a.keras", data))
            assert (found == "NoneType") if count else known, (name, found)
            assert not (tmp_path / malice.CANARY).exists()
            assert not (tmp_path.parent / malice.CANARY).exists()
    tried = len(foreign(tmp_path)) + 1
    report("F6", "files of Keras made to do harm", tried, "refused; nothing run, opened, imported, written")


def test_weights_of_keras_that_were_made_to_do_harm_are_refused(tmp_path, report):
    model = kt.load_model(write(tmp_path / "good.keras", zipped(*CHAIN.items())))
    write(tmp_path / "secret.h5", hdf5(lambda file: file.__setitem__("x", np.zeros((4, 3), "f4"))))
    good = STORED["without_input.weights.h5"]
    model.load_weights(write(tmp_path / "good.weights.h5", good))
    before = model.get_weights()
    changes = weights_of_harm("layers/dense/vars/0", str(tmp_path / "secret.h5"))
    for name, change in changes.items():
        found, known = heard_of(model.load_weights, write(tmp_path / "a.weights.h5", rewritten(good, change)))
        assert known, (name, found)
    assert all((one == other).all() for one, other in zip(model.get_weights(), before, strict=True))
    report("F6", "weights of Keras made to do harm", len(changes), "refused; nothing run, opened, imported")


def links_out(secret):
    """Changes of a file of Keras 2 by name: what its lists of names lead to is elsewhere."""

    def linked(file):
        del file["model_weights"]
        file["model_weights"] = h5py.ExternalLink(secret, "/")

    def layer(file):
        group = file["model_weights"]
        name = group.attrs["layer_names"][1]
        del group[name]
        group[name] = h5py.ExternalLink(secret, "/")

    def absolute(file):
        file["evil"] = h5py.ExternalLink(secret, "/")
        file["model_weights"].attrs["layer_names"] = [b"/evil"]

    def deep(file):
        file.attrs["model_config"] = '{"a":' + "[" * 10_000 + "]" * 10_000 + "}"

    return {"weights": linked, "a layer": layer, "a name": absolute, "a deep config": deep}


def test_files_of_keras_2_that_were_made_to_do_harm_are_refused(tmp_path, report):
    with zipfile.ZipFile(SUPPORT / "keras2_files.zip") as archive:
        good = archive.read("shortcut.h5")
    write(tmp_path / "secret.h5", hdf5(lambda file: file.attrs.__setitem__("weight_names", [b"x"])))
    read_model(write(tmp_path / "good.h5", good))
    changes = links_out(str(tmp_path / "secret.h5"))
    for name, change in changes.items():
        path = write(tmp_path / "a.h5", rewritten(good, change))
        found, known = heard_of(read_model, path)
        assert known, (name, found)
        with pytest.raises(CheckpointError, match=r"is a link to another place|text cannot be read"):
            kt.load_model(path)
    report("F6", "files of Keras 2 made to do harm", len(changes), "refused; nothing run, opened, imported")


def changed(config, draw, pool, words):
    """A config with something in it another: a size, a name, a part of a config elsewhere, gone, or often."""
    for _ in range(draw.choice((1, 1, 1, 2))):
        places = [(place, old) for place, old in leaves(config) if place]
        places += [(place, None) for place in dicts(config) if place]
        place, old = draw.choice(places)
        way = draw.random()
        if isinstance(old, (int, float)) and way < 0.6:
            new = draw.choice(SIZES)
        elif isinstance(old, str) and way < 0.6:
            new = draw.choice(words)
        elif way < 0.75:
            new = draw.choice(pool)
        elif way < 0.9:
            new = draw.choice(VALUES)
        else:
            new = [at(config, place)] * draw.choice((2, 300))
        config = replaced(config, place, new)
        if way > 0.97:
            del at(config, place[:-1])[place[-1]]
    return config


@tries(quick=25, full=1_500)
def test_a_changed_config_of_keras_is_loaded_or_refused_and_soon(tries, tmp_path, report):
    path = tmp_path / "m.keras"
    read_model(write(path, STORED["nested.keras"]))  # what is loaded on first use is loaded
    pool = [at(config, place) for config in CONFIGS.values() for place in dicts(config) if place]
    pool = [one for one in pool if len(str(one)) < 400]
    words = sorted({one for config in CONFIGS.values() for _, one in leaves(config) if isinstance(one, str)})
    words += malice.NAMES
    draw = random.Random(0)
    for begin in range(0, tries, CHUNK):
        names = draw.choices(NAMES, k=min(CHUNK, tries - begin))
        files = [with_config(PARTS[name], changed(CONFIGS[name], draw, pool, words)) for name in names]
        ended = in_child(outcomes, files, path, kt.load_model, timeout=300)
        assert not ended.hung
        assert ended.code == 0
        assert not [one for one in ended.value if isinstance(one, str) and one != "refused"]
    report("F7", "configs of Keras changed at random", tries, "loaded, or CheckpointError")
