"""`import kerastorch` loads little, and names when they are read; the garbage collector is left as it was."""

import gc
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import kerastorch as kt
from kerastorch import keras
from kerastorch.core.lazy_loading import load


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_the_import_alone_loads_no_room_but_core():
    code = (
        "import sys, kerastorch; print({name.split('.')[1] for name in sys.modules if name.startswith('kerastorch.')})"
    )
    assert set("".join(run(code)).strip("{}").replace("'", "").split(",")) == {"core", "version"}


@pytest.mark.parametrize("name", [*kt.__all__, "errors", "keras"])
def test_each_name_can_be_the_first_that_is_read(name):
    code = f"import kerastorch; a = kerastorch.{name}; from kerastorch import {name} as b; print(a is b)"
    assert run(code) == ["True"]


def test_a_script_of_two_layers_does_not_load_what_it_does_not_use():
    code = """
import sys
import torch
import kerastorch as kt
model = kt.Sequential([kt.layers.Dense(4, activation="relu"), kt.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
model.fit(torch.randn(8, 3), torch.randn(8, 1), verbose=0)
unused = ["datasets", "model_selection", "ensembles", "preprocessing", "training_together", "wrappers", "ops"]
print([name for name in unused if f"kerastorch.{name}" in sys.modules], "sklearn" in sys.modules)
"""
    assert run(code) == ["[]", "False"]


def test_the_garbage_collector_is_as_before_and_what_is_made_is_still_collected():
    code = """
import gc, weakref
import torch
class Node: pass
first = Node(); first.itself = first; seen = weakref.ref(first); del first
import kerastorch as kt
kt.Sequential, kt.layers.Dense
print(gc.isenabled(), gc.get_freeze_count(), seen() is None)
gc.collect()
print(seen() is None)
"""
    assert run(code) == ["True", "0", "False", "True"]


@pytest.mark.parametrize("before", ["gc.disable()", "gc.freeze()"])
def test_a_collector_that_the_script_has_set_stays_so(before):
    code = f"""
import gc
import torch
{before}
first = gc.isenabled(), gc.get_freeze_count()
import kerastorch as kt
kt.Sequential
second = gc.isenabled(), gc.get_freeze_count()
print(first[0] == second[0], second[1] >= first[1] * 0.9, bool(first[1]) == bool(second[1]))
"""
    assert run(code) == ["True", "True", "True"]


def test_the_collector_is_on_after_an_import_that_fails(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("raise KeyError('broken')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyError):
        load("broken_module")
    assert gc.isenabled()


@pytest.mark.parametrize(
    "load",
    [
        "kt.load_model('model.kt')",
        "kt.saving.load_model('model.kt')",
        "__import__('kerastorch.saving.load').saving.load.load_model('model.kt')",
        "kt.saving.deserialize_keras_object(__import__('json').load(open('model.json')))",
    ],
)
def test_a_model_can_be_the_first_thing_that_is_read(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = kt.Sequential([
        kt.Input((4, 3)), kt.layers.TimeDistributed(kt.Sequential([kt.layers.Dense(2, kernel_regularizer="l2")])),
    ])  # fmt: skip
    model.save("model.kt")
    (tmp_path / "model.json").write_text(json.dumps(kt.saving.serialize_keras_object(model)))
    assert run(f"import kerastorch as kt; print(type({load}).__name__)") == ["Sequential"]


def test_all_that_files_may_name_is_known_once_one_class_is_looked_up():
    code = """
import kerastorch as kt
from kerastorch.core import serialization
serialization.find_class("layers.Dense")
first = set(serialization._TABLE)
for name in [*kt.__all__, "errors", "export"]:
    getattr(kt, name)
print(sorted(set(serialization._TABLE) - first))
"""
    assert run(code) == ["[]"]


def test_classes_of_the_keras_door_are_read_from_the_main_door(tmp_path):
    space = keras.utils.FeatureSpace(features={"age": "float_normalized"})
    space.adapt({"age": np.arange(5.0)})
    space.save(tmp_path / "space.kt")
    wrapped = keras.Sequential([keras.Input((4,)), keras.layers.TorchModuleWrapper(torch.nn.Linear(4, 2))])
    wrapped.save(tmp_path / "wrapped.kt")
    for name, kind in (("space", "FeatureSpace"), ("wrapped", "Sequential")):
        path = str(tmp_path / f"{name}.kt")
        assert run(f"import kerastorch as kt; print(type(kt.load_model({path!r})).__name__)") == [kind]
