"""F6 for whole models: a saved model, each text and number in it replaced, one at a time, its SHA-256 right.

The layout of the file is not known here: what stands in a real one is found, and put in other words.
"""

import copy
import json
import random

import malice
import pytest
import torch
from audited_read import FIXED, read_heard
from forge import archive, taken_apart
from harness import in_child, needs_fork, tries
from json_values import at, dicts, leaves, replaced

import kerastorch as kt
from kerastorch import layers
from kerastorch.core.errors import CheckpointError

pytestmark = [needs_fork, pytest.mark.skipif(not hasattr(kt, "load_model"), reason="no models are loaded yet")]
HUGE = (10**12, 2**63 - 1, -1)
CODE = {"class_name": "Lambda", "module": "builtins", "config": {"function": "os.system", "method": "__class__"}}


def model():
    """A chain and a graph, with functions of torch in it, compiled."""
    inputs = kt.Input((4,))
    x = layers.Dense(8, activation="relu", kernel_regularizer="l2")(inputs)
    x = torch.relu(x) + layers.Dropout(0.5)(x)
    made = kt.Model(inputs, layers.Dense(3, activation="softmax")(x))
    made.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def keys_of_code(value, code):
    """JSON values with a key that is code in each dict: as one more, and in the place of each."""
    for place in dicts(value):
        for key in (None, *at(value, place)):
            changed = copy.deepcopy(value)
            within = at(changed, place)
            within[code] = 1 if key is None else within.pop(key)
            yield changed


def read_model(path):
    found = kt.load_model(path)
    assert type(found).__module__.startswith("kerastorch")


def forgeries(parts, canary):
    """(file, whether it must be refused): each leaf, and each key, of each text part another."""
    code = f"__import__('os').mkdir({str(canary)!r})"
    classes = {name for name in vars(layers) if name[:1].isupper()}
    for name, data in parts.items():
        if not name.endswith(".json"):
            continue
        text = json.loads(data)
        for key in (f"a={code}, b", f"a\n{code}\n", f"{code} or a"):
            for changed in keys_of_code(text, key):
                yield archive(*{**parts, name: changed}.items()), False
        for place, leaf in leaves(text):
            if isinstance(leaf, str):
                others, named = (*malice.NAMES, code, f"a)\n{code}\n(", f"a={code}"), leaf.rpartition(".")[2] in classes
            elif type(leaf) is int:
                others, named = HUGE, False
            else:
                others, named = (CODE,), False
            for other in others:
                changed = {**parts, name: replaced(text, place, other)}
                # Lambda is a class of ours, which needs a function that no file can name
                yield archive(*changed.items()), named and other != leaf


@tries(quick=25, full=2500)
def test_a_model_whose_file_names_code_is_refused_and_nothing_is_run(tries, tmp_path, report):
    model().save(tmp_path / "a.kt")
    whole = (tmp_path / "a.kt").read_bytes()
    read_model(tmp_path / "a.kt")  # what is loaded on first use is loaded
    files = list(forgeries(taken_apart(whole)[1], tmp_path / malice.CANARY))
    random.Random(0).shuffle(files)
    for data, must in files[:tries]:
        path = tmp_path / "b.kt"
        path.write_bytes(data)
        ended = in_child(read_heard, read_model, path, timeout=30)
        assert not ended.hung
        assert ended.code == 0
        name, known, _, heard, memory, _ = ended.value
        assert {event for event in heard if event[0] not in ("compile", "exec")} <= {("open", str(path))}
        assert not (tmp_path / malice.CANARY).exists()
        assert memory <= 2 * len(data) + FIXED
        assert known or name in ("NoneType", "ValueError", "TypeError"), name
        assert not must or name != "NoneType"
    report(
        "F6",
        "saved models, one text, number or key in them another",
        min(tries, len(files)),
        "refused, or a model of kerastorch",
    )


@pytest.mark.parametrize("name", malice.REFUSED, ids=lambda name: name[:60])
def test_what_no_reader_takes_no_model_is_loaded_from(name, tmp_path):
    made = malice.REFUSED[name](tmp_path)
    path = tmp_path / "made.kt"
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        path = made
    with pytest.raises(CheckpointError):
        kt.load_model(path)
    assert not (tmp_path / malice.CANARY).exists()
