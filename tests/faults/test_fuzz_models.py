"""F7 for whole models: values, names and structure of a saved model changed at random, its SHA-256 right."""

import json
import random
import warnings

import numpy as np
import pytest
import torch
from forge import archive, taken_apart
from harness import in_child, needs_fork, tries
from json_values import VALUES, at, dicts, leaves, replaced

import kerastorch as kt
from kerastorch import layers
from kerastorch.core import serialization
from kerastorch.core.errors import CheckpointError
from kerastorch.saving import torch_allowlist, torch_modules

pytestmark = needs_fork
SIZES = (10**12, 10**9, 10**7, 2**63 - 1, 2**31, 300, -1, 0, 1, 2, 1.5, True, 10**30)
CHUNK = 50
NAMES = [
    *serialization._TABLE,
    *torch_allowlist.VALUES,
    *torch_modules.KINDS,
    *(f"Tensor.{one}" for one in torch_allowlist.METHODS),
]


def graph():
    """Recurrent, attending, convolving and shared parts, functions, two inputs and outputs by name."""
    words, images = kt.Input((6,), dtype="int64"), kt.Input((3, 8, 8))
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(layers.Embedding(9, 4, mask_zero=True)(words))
    x = layers.MultiHeadAttention(2, 3)(x, layers.TimeDistributed(layers.Dense(6, kernel_regularizer="l2"))(x))
    y = layers.Conv2D(4, 3, activation="relu")(layers.RandomFlip(seed=1)(images)).flatten(1)
    inner = kt.Sequential([layers.Dense(3), torch.nn.LayerNorm(3), layers.BatchNormalization()])
    x = torch.cat([layers.GlobalAveragePooling1D()(x), inner(y)], dim=1) + torch.ones(9)
    model = kt.Model([words, images], {"kind": layers.Dense(3, "softmax")(x), "size": x[:, :1].repeat(1, 2)})
    losses = {"kind": kt.losses.SparseCategoricalCrossentropy(), "size": "mse"}
    model.compile(kt.optimizers.Adam(0.01), losses, metrics={"kind": ["accuracy"], "size": ["mae"]})
    given = [np.ones((4, 6), "int64"), np.ones((4, 3, 8, 8), "float32")]
    model.fit(given, {"kind": np.zeros(4, "int64"), "size": np.zeros((4, 2), "float32")}, verbose=0)
    return model


def chain():
    normal = layers.Normalization()
    normal.adapt(np.arange(8.0).reshape(2, 4))
    model = kt.Sequential([kt.Input((4,)), normal, layers.Dense(5, "relu"), torch.nn.Linear(5, 1)])
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), torch.nn.SmoothL1Loss())
    model.fit(np.ones((4, 4), "float32"), np.ones((4, 1), "float32"), verbose=0)
    return model


def changed(value, draw, pool):
    """Something in it another: a size, a name, a part of the file elsewhere, gone, twice, or often."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = [(place, old) for place, old in leaves(value) if place]
        places += [(place, None) for place in dicts(value) if place]
        if not places:
            break
        place, old = draw.choice(places)
        way = draw.random()
        if isinstance(old, (int, float)) and way < 0.6:
            new = draw.choice(SIZES)
        elif isinstance(old, str) and way < 0.5:
            new = draw.choice(NAMES)
        elif way < 0.7:
            new = draw.choice(pool)
        elif way < 0.8:
            new = draw.choice(VALUES)
        else:
            new = [at(value, place)] * draw.choice((2, 300))
        value = replaced(value, place, new)
        if 0.8 <= way < 0.9:
            value = json.loads(json.dumps(value))
            within = at(value, place[:-1])
            del within[place[-1]]
    return value


def load_all(files, path):
    """What came out of each that is no error of ours."""
    found = []
    warnings.simplefilter("ignore")
    for data in files:
        path.write_bytes(data)
        try:
            kt.load_model(path)
        except CheckpointError:
            pass
        except Exception as error:
            found.append(repr(error))
    return found


@tries(quick=15, full=1_500)
@pytest.mark.parametrize("make", [graph, chain])
def test_a_changed_model_is_loaded_or_refused_and_soon(make, tries, tmp_path, report):
    path = tmp_path / "m.kt"
    make().save(path)
    kt.load_model(path)  # what is loaded on first use is loaded
    parts = taken_apart(path.read_bytes())[1]
    texts = {name: json.loads(data) for name, data in parts.items() if name.endswith(".json")}
    pool = [at(text, place) for text in texts.values() for place in dicts(text) if place]
    pool = [one for one in pool if len(str(one)) < 400]
    draw = random.Random(0)
    for begin in range(0, tries, CHUNK):
        files = []
        for _ in range(min(CHUNK, tries - begin)):
            name = draw.choice([*texts, "model.json", "model.json"])
            files.append(archive(*{**parts, name: changed(texts[name], draw, pool)}.items()))
        ended = in_child(load_all, files, path, timeout=60)
        assert not ended.hung
        assert ended.code == 0
        assert ended.value == []
    report("F7", "models changed at random", tries, "loaded, or CheckpointError")
