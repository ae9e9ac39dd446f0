"""What the package is called, and what users are advised to install."""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

import kerastorch as kt
from kerastorch import callbacks

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# `kerastorch` as a distribution, with or without extras: not `kerastorch-fit`, `kerastorch.layers` or a folder
ANOTHERS = re.compile(r"pip3? install [^`\n]*\bkerastorch(?![-_./\w])|\bkerastorch\[")


def texts():
    """The files that give advice."""
    for folder, endings in (
        ("src", (".py",)),
        ("docs", (".md", ".py")),
        ("examples", (".py",)),
        ("benchmarks", (".py",)),
    ):
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in endings)
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"))


def test_the_distribution_has_a_name_of_its_own():
    assert PROJECT["name"] == "kerastorch-fit"
    assert kt.__name__ == "kerastorch"


def test_what_is_installed_says_the_same_as_the_source():
    try:
        installed = metadata("kerastorch-fit")
    except PackageNotFoundError:
        pytest.skip("the source is on the path, not installed")
    assert installed["Version"] == kt.__version__


def test_extras_that_bring_others_name_this_distribution():
    named = [one for extra in PROJECT["optional-dependencies"].values() for one in extra if "kerastorch" in one]
    assert named
    assert all(one.startswith("kerastorch-fit[") for one in named)


def test_nothing_advises_to_install_the_project_of_another():
    advice = {str(path): ANOTHERS.findall(path.read_text(encoding="utf-8")) for path in texts()}
    assert len(advice) > 200
    assert {path: found for path, found in advice.items() if found} == {}


@pytest.mark.parametrize(
    "advice",
    ["pip install kerastorch", "pip install -U kerastorch", "kerastorch[plot]", "pip install 'kerastorch[all]'"],
)
def test_such_advice_would_be_found(advice):
    assert ANOTHERS.search(f"Do `{advice}`.")


@pytest.mark.parametrize(
    "advice", ["pip install kerastorch-fit", "pip install .", "import kerastorch", "./kerastorch.py"]
)
def test_other_advice_is_not(advice):
    assert not ANOTHERS.search(f"Do `{advice}`.")


def test_the_page_on_installing_names_every_extra():
    page = (ROOT / "docs" / "installing.md").read_text()
    assert all(f"| `{extra}` |" in page for extra in PROJECT["optional-dependencies"])


@pytest.mark.parametrize(("package", "act"), [("pandas", "frame"), ("matplotlib", "plot")])
def test_a_history_without_the_package_says_which_to_install(package, act, monkeypatch):
    history = callbacks.History()
    history.on_epoch_end(0, {"loss": 1.0})
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ImportError, match=rf"^History.{act} needs {package}: pip install {package}$"):
        getattr(history, act)()
