"""Every public name of Keras is here, or its absence is answered with what to use."""

import importlib
import json
import pathlib
import re
import subprocess
import sys

import pytest

import kerastorch as kt
import kerastorch.export  # not loaded by the package itself

# The names that `dir` shows in the modules of Keras 3.15.1, without those that begin with an underscore.
KERAS = {
    module.removeprefix("keras").removeprefix("."): names.split()
    for module, names in json.loads((pathlib.Path(__file__).parent / "keras_names.json").read_text()).items()
}
ABSENT = [module for module in KERAS if module and not hasattr(kt, module.partition(".")[0])]
PRESENT = [module for module in KERAS if module not in ABSENT]


def sentence(owner, name):
    """Return what the error says after `module has no 'name'.`."""
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    return str(caught.value).partition(f" has no {name!r}.")[2].strip()


def resolve(path):
    owner = kt
    for name in filter(None, path.split(".")):
        owner = getattr(owner, name)
    return owner


def test_the_list_is_that_of_keras():
    assert {"Dense", "ConvLSTM2D"} <= set(KERAS["layers"])
    assert len(KERAS) > 50
    assert "applications" in ABSENT
    assert {"", "layers", "optimizers.schedules", "ops", "random"} <= set(PRESENT)


@pytest.mark.parametrize("module", PRESENT)
def test_a_name_of_keras_is_here_or_its_error_says_what_to_use(module):
    owner = resolve(module)
    for name in KERAS[module]:
        if not hasattr(owner, name):
            found = sentence(owner, name)
            assert found, (module, name)
            assert not found.startswith("Did you mean"), (module, name)


@pytest.mark.parametrize("module", sorted({module.partition(".")[0] for module in ABSENT}))
def test_a_module_of_keras_that_is_not_here_says_what_to_use(module):
    found = sentence(kt, module)
    assert found, module
    assert not found.startswith("Did you mean"), module


TABLES = {
    "TOP_LEVEL": kt, "LAYERS": kt.layers, "ACTIVATIONS": kt.activations, "INITIALIZERS": kt.initializers,
    "CONSTRAINTS": kt.constraints, "REGULARIZERS": kt.regularizers, "LOSSES": kt.losses, "METRICS": kt.metrics,
    "OPTIMIZERS": kt.optimizers, "SCHEDULES": kt.optimizers.schedules, "CALLBACKS": kt.callbacks, "CONFIG": kt.config,
    "MIXED_PRECISION": kt.mixed_precision, "SAVING": kt.saving, "EXPORT": importlib.import_module("kerastorch.export"),
    "UTILS": kt.utils, "PREPROCESSING": kt.preprocessing, "PREPROCESSING_IMAGE": kt.preprocessing.image,
    "PREPROCESSING_SEQUENCE": kt.preprocessing.sequence, "DISTRIBUTION": kt.distribution,
    "BACKEND": importlib.import_module("kerastorch.keras.backend"),
    "DTYPE_POLICIES": importlib.import_module("kerastorch.keras.dtype_policies"),
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_every_advice_is_about_a_name_that_is_not_here_and_is_given_for_it(table):
    advice = getattr(importlib.import_module("kerastorch.core.keras_names"), table)
    for name, text in advice.items():
        assert sentence(TABLES[table], name) == text
        assert text.endswith(".")


def test_there_are_no_other_tables():
    names = {name for name in dir(importlib.import_module("kerastorch.core.keras_names")) if name.isupper()}
    assert {name for name in names if not name.startswith("_")} == set(TABLES)


def test_what_the_advice_names_is_there():
    tables = importlib.import_module("kerastorch.core.keras_names")
    text = " ".join(sentence for table in TABLES for sentence in getattr(tables, table))
    text += " ".join(sentence for table in TABLES for sentence in getattr(tables, table).values())
    for path in set(re.findall(r"kerastorch\.([\w.]*\w)", text)):
        resolve(path)
    for name in set(re.findall(r"Its name is (\w+)", text)):
        assert any(hasattr(owner, name) for owner in TABLES.values()), name
    for title in set(re.findall(r"guide[s]? '([^']+)'", text)):
        guides = pathlib.Path(__file__).parent.parent / "docs/guides"
        assert any(page.read_text().startswith(f"# {title}\n") for page in guides.glob("*.md")), title


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from kerastorch import applications", "Pretrained models are those of timm, torchvision or Hugging Face"),
        ("from kerastorch.layers import Dense, JaxLayer", "Only modules of torch are layers"),
        ("from kerastorch.layers import Dens", "Did you mean 'Dense'"),
        ("from kerastorch.callbacks import ProgbarLogger", "It is ProgressBar, which fit adds by itself"),
        ("from kerastorch.losses import serialize", "Use kerastorch.saving.serialize_keras_object"),
        ("def load():\n    from kerastorch import backend\nload()", "The backend is torch"),
    ],
)
def test_an_import_of_a_name_that_is_not_here_has_the_same_sentence(line, message):
    with pytest.raises(ImportError, match=message):
        exec(compile(line, "script", "exec"), {})


def test_an_import_of_a_name_that_nothing_is_known_about_fails_as_in_python():
    with pytest.raises(ImportError, match="cannot import name 'zzzzzz'"):
        exec("from kerastorch.layers import zzzzzz", {})


def test_names_that_are_not_here_can_be_asked_for():
    assert not hasattr(kt.layers, "JaxLayer")
    assert getattr(kt, "backend", None) is None
    assert not hasattr(kt, "__wrapped__")


def test_a_script_that_falls_back_on_an_import_error_goes_on_without_a_traceback():
    script = "try:\n    from kerastorch import backend\nexcept ImportError:\n    print('torch')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "torch\n"
    assert not done.stderr
