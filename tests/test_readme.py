"""The README's example runs and prints what the README says, up to time and the last digits."""

import contextlib
import io
import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def numbers(line):
    return [float(value) for value in re.findall(r": (\d+\.\d+)", line)]


def test_the_example_prints_what_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    names = {}
    with contextlib.redirect_stdout(out):
        exec(compile(blocks("python")[0], "README.md", "exec"), names)
    printed = out.getvalue().splitlines()
    shown = blocks("text")[0].splitlines()
    for line in shown:
        if line == "...":
            continue
        name = line.split(" - ")[0]
        found = next(one for one in printed if one.startswith(name))
        assert re.sub(r"[\d.]+", "", found) == re.sub(r"[\d.]+", "", line)
        assert numbers(found) == pytest.approx(numbers(line), abs=0.03)
    assert numbers(printed[-1])[-1] >= 0.95
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(blocks("python")[1], "README.md", "exec"), names)
    right = names["model"].predict(names["x_test"] / 16, verbose=0).argmax(1) == names["y_test"]
    assert out.getvalue().startswith("Diagnosis of 30 epochs")
    assert re.search(rf"^  accuracy +{right.mean():.4g} ", out.getvalue(), re.MULTILINE)
