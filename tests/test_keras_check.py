"""`kerastorch.keras.check`: Keras' scripts run section by section, with only their imports replaced."""

import ast
import hashlib
import json

import pytest

from kerastorch.keras.check import check
from kerastorch.keras.check.causes import cause_of, missing_package
from kerastorch.keras.check.command import main
from kerastorch.keras.check.imports import replace_imports
from kerastorch.keras.check.sections import cut_cells, cut_script, plain_cell

# --- imports ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import keras", "import kerastorch.keras as keras"),
        ("import keras as k", "import kerastorch.keras as k"),
        ("import keras.layers", "import kerastorch.keras.layers; import kerastorch.keras as keras"),
        ("import keras.layers as kl", "import kerastorch.keras.layers as kl"),
        ("import os, keras", "import os; import kerastorch.keras as keras"),
        ("from keras import layers, ops as o", "from kerastorch.keras import layers, ops as o"),
        ("from keras.layers import *", "from kerastorch.keras.layers import *"),
        ("from keras.src.layers import Dense", "from kerastorch.keras.src.layers import Dense"),
        ("from tensorflow import keras", "import kerastorch.keras as keras"),
        ("from tensorflow import keras as k, data", "import kerastorch.keras as k; from tensorflow import data"),
        ("from tensorflow.keras.layers import Dense", "from kerastorch.keras.layers import Dense"),
        ("from tensorflow.python.keras import layers", "from kerastorch.keras import layers"),
        ("import tensorflow.keras.layers as kl", "import kerastorch.keras.layers as kl"),
        (
            "import tensorflow as tf\nx = tf.keras.Input((2,))",
            "import kerastorch.keras as _keras_of_tensorflow\nx = _keras_of_tensorflow.Input((2,))",
        ),
        (
            "import tensorflow as tf\nx = tf.keras.Input(tf.shape(2))",
            "import kerastorch.keras as _keras_of_tensorflow; import tensorflow as tf\n"
            "x = _keras_of_tensorflow.Input(tf.shape(2))",
        ),
        ("if True:\n    import keras; x = 1", "if True:\n    import kerastorch.keras as keras; x = 1"),
        ("é = '…'; import keras; ö = 1", "é = '…'; import kerastorch.keras as keras; ö = 1"),
    ],
)
def test_imports_of_keras_are_replaced(source, expected):
    found, number = replace_imports(source)
    assert found == expected
    assert number >= 1
    ast.parse(found)


@pytest.mark.parametrize(
    "source",
    [
        "x = 'import keras'  # import keras",
        "import keras_hub, kerasx",
        "from .keras import layers",
        "import tensorflow as tf\nx = tf.data",
        "from tensorflow import data",
        "x.keras.layers",
    ],
)
def test_other_lines_stay(source):
    assert replace_imports(source) == (source, 0)


def test_lines_keep_their_numbers():
    source = "from keras.layers import (\n    Dense,  # first\n    Conv2D,\n)\nx = 1\n"
    found, _ = replace_imports(source)
    assert found.split("\n")[4:] == ["x = 1", ""]
    assert ast.dump(ast.parse(found).body[0]) == ast.dump(
        ast.parse("from kerastorch.keras.layers import Dense, Conv2D").body[0]
    )
    found, _ = replace_imports("from keras import (\n    layers,\n); y = 2\nx = 1\n")
    assert [node.lineno for node in ast.parse(found).body] == [1, 1, 4]


# --- sections ---------------------------------------------------------------------------------------------------


def first_lines(source):
    return [section.pieces[0].first_line for section in cut_script(source)]


def test_a_script_is_cut_at_headings():
    source = '"""About."""\nimport os\n\n# Data\nx = f()\n\ny = f()\n# no heading\nz = f()\n\n"""\n## Use\n"""\ng(x)\n'
    assert first_lines(source) == [2, 14]
    assert first_lines("# %%\nf()\n# %%\ng()\n") == [2, 4]


def test_a_script_without_headings_is_cut_at_empty_lines():
    assert first_lines("f()\ng()\n\nh()\n") == [1, 4]
    assert first_lines("f(\n\n  1)\ng()") == [1]


def test_definitions_belong_to_the_section_that_uses_them():
    source = "import os\n\nN = 3\n\nclass A:\n    b = f()\n\n@d\ndef g(): pass\n\nh()\n\ni()\n\ndef last(): pass\n"
    sections = cut_script(source)
    assert [section.pieces[0].first_line for section in sections] == [1, 13, 15]
    assert sections[0].names == {"os", "N", "A", "g"}


def test_a_section_of_a_notebook_is_a_cell():
    sections = cut_cells(["import os\nN = 1", "", "f()", "'text'", "x = (", "def g(): pass"])
    assert [[piece.place for piece in section.pieces] for section in sections] == [
        ["cell 1", "cell 3"],
        ["cell 5"],
        ["cell 6"],
    ]


def test_lines_for_the_notebook_are_taken_out():
    assert plain_cell("!pip install keras\n%matplotlib inline\nx = 1") == "pass\npass\nx = 1"
    assert plain_cell("%%bash\nls") == ""
    assert plain_cell('x = """\n%d\n"""') == 'x = """\n%d\n"""'


# --- runs -------------------------------------------------------------------------------------------------------

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "from keras import layers"]},
        {"cell_type": "code", "source": "layer = layers.Dense(3)\nassert layer(np_array()) is None"},
        {"cell_type": "code", "source": ["import numpy as np\n", "layer(np.ones((2, 4)))"]},
        {"cell_type": "code", "source": "this is no Python"},
    ]
}
SCRIPTS = {
    "passes.py": """
import os, sys
import keras
from keras.layers import (
    Dense,
)
from helpers.nets import net

print("much to say " * 100_000)
sys.stderr.write("and more")

model = net(Dense(2))
assert __name__ == "__main__"
assert "kerastorch" in type(model).__module__

model.compile("sgd", "mse")
open(os.path.join(os.path.dirname(__file__), "data.txt"), "w").write("changed")
open("new.txt", "w").close()
""",
    "helpers/nets.py": "import keras\n\ndef net(layer):\n    return keras.Sequential([layer])\n",
    "fails.py": """
import keras

made = keras.nothing()

later = made + 1

print(later)

made = 1

print(made)

keras.layers.Dense()(
)
""",
    "bad_syntax.py": "import keras\nx = = 2\n",
    "ends.py": "import keras, sys\n\nprint(1)\n\nsys.exit()\n\nprint(2)\n",
    "ends_with_error.py": "import keras, sys\n\nsys.exit('no GPU')\n\nprint(2)\n",
    "dies.py": "import keras, os\n\nprint(1)\n\nos.abort()\n\nprint(2)\n",
    "asks.py": "import keras\n\nname = input('your name?')\n",
    "needs.py": """
import keras

import urllib.request

page = urllib.request.urlopen("https://keras.io").read()

print(len(page))

__import__("no_such_package_here")

open("no-such-file.csv")

import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
""",
    "latin.py": "# coding: latin-1\nimport keras\n\nName = 'é'\nassert len(Name) == 1\nprint(Name)\n".encode("latin-1"),
    "marked.py": "\ufeffimport keras\n\nλ = keras.ops.ones((2,))\nassert λ.shape == (2,), 'ünïcode'\n",
    "future.py": "from __future__ import annotations\nimport keras\n\nprint()\n\ndef f(x: no_such_name): pass\nf(1)\n",
    "processes.py": """
import multiprocessing
import keras
from torch.utils.data import DataLoader

def double(x):
    return 2 * x

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]

assert [int(x) for x in DataLoader([1, 2], batch_size=None, num_workers=1)] == [1, 2]
""",
    "notes.ipynb": json.dumps(NOTEBOOK),
    "broken.ipynb": "{",
    "no_keras.py": "raise SystemError\n",
    "data.txt": "data",
    ".hidden/script.py": "import keras\n",
}


def write(folder, scripts):
    for name, text in scripts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def digest(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("scripts"), SCRIPTS)


@pytest.fixture(scope="module")
def result(folder):
    before = digest(folder)
    found = check(folder)
    assert digest(folder) == before  # the scripts write into a copy
    return found


@pytest.fixture(scope="module")
def statuses(result):
    return {script.path.name: [section.status for section in script.sections] for script in result.scripts}


def section(result, name, number):
    script = next(script for script in result.scripts if script.path.name == name)
    return script.sections[number]


@pytest.mark.parametrize("name", ["passes.py", "latin.py", "marked.py", "future.py", "processes.py"])
def test_sections_that_work_run(result, statuses, name):
    assert set(statuses[name]) == {"ran"}, [
        one.error for s in result.scripts if s.path.name == name for one in s.sections
    ]


def test_only_files_that_import_keras_are_run(statuses):
    assert "no_keras.py" not in statuses
    assert "script.py" not in statuses
    assert "nets.py" in statuses


def test_what_needs_a_failed_section_follows_from_it(result, statuses):
    assert statuses["fails.py"] == ["failed", "follows from another", "ran", "failed"]
    first, second, _, last = next(s.sections for s in result.scripts if s.path.name == "fails.py")
    assert (first.at, first.cause.title) == ("line 4", "keras.nothing")
    assert second.cause == first.cause
    assert last.at == "line 14"
    assert last.error.startswith("TypeError: ")


def test_files_that_python_cannot_read_are_one_section(result, statuses):
    assert statuses["bad_syntax.py"] == ["failed"]
    assert section(result, "bad_syntax.py", 0).at == "line 2"
    assert statuses["broken.ipynb"] == ["failed"]


def test_scripts_may_end_themselves(result, statuses):
    assert statuses["ends.py"] == ["ran", "ran", "not reached"]
    assert statuses["ends_with_error.py"] == ["failed", "follows from another"]
    assert section(result, "ends_with_error.py", 0).error == "SystemExit: no GPU"
    assert statuses["dies.py"] == ["ran", "failed", "follows from another"]
    assert "SIGABRT" in section(result, "dies.py", 1).error


def test_a_script_gets_no_input(result, statuses):
    assert statuses["asks.py"] == ["failed"]
    assert section(result, "asks.py", 0).cause.title == "input()"


def test_what_needs_data_or_a_package_is_counted_apart(result, statuses):
    needs = "needs data or a package"
    assert statuses["needs.py"] == [needs, needs, needs, needs, "ran"]
    titles = [section(result, "needs.py", number).cause.title for number in range(4)]
    assert titles == [
        "download from keras.io",
        "download from keras.io",
        "package no_such_package_here",
        "missing file",
    ]
    script = next(script for script in result.scripts if script.path.name == "needs.py")
    assert (script.ran, script.total) == (1, 1)


def test_errors_of_notebooks_name_the_cell(result, statuses):
    assert statuses["notes.ipynb"] == ["failed", "ran", "failed"]
    assert section(result, "notes.ipynb", 0).at == "cell 2, line 2"
    assert section(result, "notes.ipynb", 2).at == "cell 4, line 1"


def test_the_report_ranks_causes_and_counts_sections(result):
    text = str(result)
    assert f"{result.ran} of {result.total} sections ran ({result.ran / result.total:.1%})" in text
    numbers = [len(stopped) for _, stopped in result.causes()]
    assert numbers == sorted(numbers, reverse=True)
    assert "fails.py, line 4: AttributeError: kerastorch.keras has no 'nothing'" in text


def test_a_section_that_does_not_end_is_stopped_and_the_others_run(tmp_path):
    loops = "import keras\n\nx = 1\nwhile True:\n    pass\n\nassert x\n\nwhile True:\n    try:\n        x = 1\n    except Exception:\n        pass\n"  # noqa: E501
    stubborn = (
        "import keras, signal\n\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass\n\nprint()\n"
    )
    write(tmp_path, {"a.py": loops, "b.py": stubborn, "c.py": "import keras\n\nprint(1)\n"})
    found = check(tmp_path, timeout=1.0)
    assert [[one.status for one in script.sections] for script in found.scripts] == [
        ["too long", "ran", "too long"],
        ["too long", "follows from another"],
        ["ran"],
    ]


def test_the_command_prints_the_report_and_writes_json(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "src")  # it was relative to another folder
    path = tmp_path / "one.py"
    path.write_text("import keras\n\nkeras.Sequential()\n\nkeras.nothing\n")
    assert main([str(path), "--json", str(tmp_path / "out.json")]) == 1
    assert "1 of 2 sections ran (50.0%)" in capsys.readouterr().out
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["ran"], written["total"]) == (1, 2)
    assert [one["status"] for one in written["scripts"][0]["sections"]] == ["ran", "failed"]
    path.write_text("import keras\n\nkeras.Sequential()\n")
    assert main([str(path)]) == 0
    assert main([str(tmp_path / "missing.py")]) == 2
    assert "There is no file or folder" in capsys.readouterr().err


def test_what_cannot_be_checked_is_an_error(tmp_path):
    (tmp_path / "text.txt").touch()
    with pytest.raises(ValueError, match=r"reads \.py and \.ipynb files"):
        check(tmp_path / "text.txt")
    with pytest.raises(ValueError, match=r"has no \.py or \.ipynb file"):
        check(tmp_path)
    (tmp_path / "a.py").touch()
    with pytest.raises(ValueError, match="imports Keras"):
        check(tmp_path)
    with pytest.raises(ValueError, match="timeout"):
        check(tmp_path, timeout=0)


# --- causes -----------------------------------------------------------------------------------------------------


def test_causes_have_a_title_and_advice():
    assert (
        cause_of("AttributeError", "kerastorch.keras.layers has no 'Foo'. Did you mean 'X'?", "").title
        == "keras.layers.Foo"
    )
    assert cause_of("ModuleNotFoundError", "No module named 'kerastorch.keras.src'", "").title == "modules of keras.src"
    assert cause_of("TypeError", "...", "with tf.GradientTape() as tape:").title == "tf.GradientTape"
    assert cause_of("AttributeError", "'Dense' object has no attribute 'q'", "").title == "Dense.q"
    same = {cause_of("ValueError", f"size {n}\nmore", "").title for n in (3, 44)}
    assert same == {"ValueError: size #"}
    assert missing_package("ImportError", "No module named 'kerastorch.keras.x'") is None
