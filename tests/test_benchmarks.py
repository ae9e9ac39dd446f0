"""The benchmarks run, and count what they say they count: each in a fresh process, cut down to four batches."""

import json
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"


def ran(tmp_path, *arguments):
    """What a quick run prints and writes."""
    kept = tmp_path / "run.json"
    command = [sys.executable, str(FOLDER / "run.py"), "--quick", "--rounds", "1", "--json", str(kept), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(kept.read_text())


@pytest.mark.parametrize(
    "own", [["expert", "kerastorch"], pytest.param(["naive", "expert", "kerastorch"], marks=pytest.mark.slow)]
)
def test_all_who_need_no_other_library_do_the_same_work(own, tmp_path):
    report, run = ran(tmp_path, "--tasks", "tiny-32", "--contenders", *own)
    assert not [one for one in run["results"] if "skip" in one]
    losses = {one["contender"]: one["loss"] for one in run["results"]}
    assert losses == dict.fromkeys(own, pytest.approx(losses["expert"], rel=0.02))  # they differ in the order of rows
    assert all(len(one["seconds"]) == 1 and one["memory"] > 0 for one in run["results"])
    assert all(f"| {name} |" in report for name in own)
    assert "| eager / expert |" in report


@pytest.mark.slow
def test_every_task_is_done(tmp_path):
    _, run = ran(tmp_path, "--contenders", "expert-channels-last", "kerastorch")
    assert not [one for one in run["results"] if "skip" in one]
    assert len(run["results"]) > 20
