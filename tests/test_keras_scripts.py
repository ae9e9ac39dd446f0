"""Scripts in the idiom of Keras' guides, run by `kerastorch.keras.check`, with Keras' numbers.

`support/make_keras_script_values.py` makes the numbers with Keras.
"""

import json
import pathlib

import pytest

from kerastorch.keras.check.checker import run_script
from kerastorch.keras.check.child_process import ChildProcess
from kerastorch.keras.check.scripts import read_script

HERE = pathlib.Path(__file__).parent
SCRIPTS = sorted(path for path in (HERE / "keras_scripts").glob("*.py") if "import keras" in path.read_text())
VALUES = json.loads((HERE / "support" / "keras_script_values.json").read_text())

# Sections that do not run, by script and first line.
STOPPED = {}
# Numbers that differ from Keras', by script and name.
DIFFERENT = {
    ("guide_saving", "layer config"): "an activation in a config has the path of its module",
}


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    """Run the scripts in forks of one process, which imports kerastorch once."""
    path = tmp_path_factory.mktemp("results") / "results.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_SCRIPT_RESULTS", str(path))
        with ChildProcess(timeout=60.0) as process:
            yield process, path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_all_sections_run_with_the_numbers_of_keras(script, child):
    process, path = child
    path.write_text("")
    result = run_script(read_script(script), process)
    if any(section.cause is not None and section.cause.title == "package h5py" for section in result.sections):
        pytest.skip("h5py is not installed")
    stopped = {one.where: f"{one.at}: {one.error}" for one in result.sections if one.status != "ran"}
    assert stopped.keys() == {where for name, where in STOPPED if name == script.stem}, stopped
    found = dict(json.loads(line) for line in path.read_text().splitlines())
    keras = VALUES[script.stem]
    assert found.keys() <= keras.keys()
    assert stopped or found.keys() == keras.keys()
    wrong = {name: (found[name], keras[name]) for name in found if not same(found[name], keras[name])}
    assert wrong.keys() == {name for stem, name in DIFFERENT if stem == script.stem}, wrong


def same(found, expected):
    """Return whether two nested lists of numbers are the same, but for rounding."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and found.keys() == expected.keys()
            and all(map(same, [found[k] for k in expected], expected.values()))
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float) or isinstance(found, float):
        return not isinstance(found, (list, str)) and found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    return found == expected


def test_there_are_at_least_120_sections():
    assert sum(len(read_script(script).sections) for script in SCRIPTS) >= 120
