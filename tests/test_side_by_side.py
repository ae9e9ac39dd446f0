"""The page that compares libraries shows the numbers of lines that the scripts have."""

import importlib.util
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "side_by_side"
PAGE = (ROOT / "docs" / "guides" / "bring-your-model.md").read_text()


def _run_module():
    spec = importlib.util.spec_from_file_location("side_by_side_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUN = _run_module()


def test_the_table_of_the_page_has_the_lines_of_the_scripts():
    table = PAGE.partition("<!-- lines -->")[2].partition("<!-- /lines -->")[0]
    rows = [
        {"job": job, "library": library, "lines": RUN.count_lines(FOLDER / job / f"{library}.py"), "difference": 0.0}
        for job in RUN.JOBS
        for library in RUN.LIBRARIES
    ]
    assert table.strip() == RUN.table(rows)


def test_empty_lines_and_comments_do_not_count(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("# a comment\n\nx = 1  # one\n\n\ndef f():\n    # inside\n    return 2\n")
    assert RUN.count_lines(script) == 3


def test_another_training_and_an_error_are_marked():
    row = {"job": "bert", "library": "loop", "lines": 9}
    assert RUN.cell(row | {"difference": 1e-3}) == "9 (differs)"
    assert RUN.cell(row | {"error": "KeyError: 0"}) == "fails"
    assert RUN.cell(row | {"difference": 1e-8}) == "9"


def test_the_page_names_the_versions_of_the_requirements():
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", (FOLDER / "requirements.txt").read_text(), re.MULTILINE))
    for library in ("lightning", "poutyne", "skorch", "transformers", "torch-geometric"):
        assert f" {pinned[library]}" in PAGE
