"""Tab completion: `dir` of the public modules shows what users may use, and nothing that they import."""

import inspect
import subprocess
import sys

import pytest

import kerastorch as kt

ROOMS = [
    kt.activations, kt.constraints, kt.data, kt.errors, kt.initializers, kt.losses, kt.metrics, kt.optimizers,
    kt.optimizers.schedules, kt.regularizers, kt.saving, kt.utils,
]  # fmt: skip
NAMES = [room.__name__ for room in ROOMS]


@pytest.mark.parametrize("room", ROOMS, ids=NAMES)
def test_dir_shows_exactly_the_public_names(room):
    assert dir(room) == sorted(set(room.__all__))
    assert len(room.__all__) == len(set(room.__all__))


@pytest.mark.parametrize("room", ROOMS, ids=NAMES)
def test_every_name_shown_is_defined_here(room):
    shown = {name: getattr(room, name) for name in dir(room)}
    assert [
        name
        for name, thing in shown.items()
        if name.startswith("_") or (inspect.ismodule(thing) and thing not in (*ROOMS, kt.utils.bounding_boxes))
    ] == []
    # a constant, such as metrics.NAMES, has no module
    origins = {name: getattr(thing, "__module__", room.__name__) for name, thing in shown.items()}
    assert {name: origin for name, origin in origins.items() if not origin.startswith("kerastorch")} == {}


@pytest.mark.parametrize("room", ROOMS, ids=NAMES)
def test_every_class_that_a_config_may_name_is_shown(room):
    classes = {thing for thing in vars(room).values() if inspect.isclass(thing) and hasattr(thing, "get_config")}
    classes = {one for one in classes if one.__module__.startswith(room.__name__) and not one.__name__.startswith("_")}
    assert classes <= {getattr(room, name) for name in dir(room)}


def test_every_activation_that_can_be_named_is_shown():
    named = {kt.activations.get(name) for name in kt.activations._NAMES}
    shown = {getattr(kt.activations, name) for name in dir(kt.activations)}
    assert shown - named == {kt.activations.get, kt.activations.threshold}
    assert named <= shown


def test_utils_shows_plot_model_without_importing_it():
    script = (
        "import sys, kerastorch as kt\n"
        "assert 'plot_model' in dir(kt.utils)\n"
        "assert 'kerastorch.inspection.plot' not in sys.modules\n"
        "assert callable(kt.utils.plot_model)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
