"""Type checkers accept what the guides show, and refuse what is wrong."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
pytestmark = pytest.mark.slow  # mypy reads the types of torch, which takes half a minute


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    """Return {file name: {line number: error codes}} for all files, from one run of mypy."""
    api = pytest.importorskip("mypy.api")
    arguments = {
        "--config-file": ROOT / "pyproject.toml",
        "--cache-dir": tmp_path_factory.mktemp("mypy"),
        "--follow-imports": "silent",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", str(ROOT / "src"))
        text, problems, _ = api.run([str(part) for pair in arguments.items() for part in pair] + list(map(str, FILES)))
    assert not problems
    found = {path.name: {} for path in FILES}
    for path, line, code in re.findall(r"([\w.]+\.py):(\d+): error: .*\[([\w-]+)\]$", text, re.MULTILINE):
        found[path].setdefault(int(line), set()).add(code)
    return found


def test_what_the_guides_show_is_accepted(errors):
    assert errors["ok.py"] == {}


def test_what_is_wrong_is_refused_line_by_line(errors):
    lines = (ROOT / "tests" / "typing" / "wrong.py").read_text().splitlines()
    expected = {
        number: {line.rpartition("# error: ")[2]} for number, line in enumerate(lines, 1) if "# error: " in line
    }
    assert errors["wrong.py"] == expected
