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


@pytest.mark.distributed
@pytest.mark.timeout(600)
def test_steps_of_two_processes_are_measured_and_written_to_a_page(tmp_path):
    page, kept, picture = tmp_path / "page.md", tmp_path / "run.json", tmp_path / "plot.png"
    page.write_text("Before.\n<!-- what was measured -->\n<!-- end of what was measured -->\nAfter.\n")
    command = [sys.executable, str(FOLDER / "distributed.py"), "--quick", "--tasks", "dense", "--json", str(kept)]
    command += ["--contenders", "hand", "kerastorch alone", "DDP", "DataParallel", "FullyShard"]
    done = subprocess.run(
        [*command, "--page", str(page), "--plot", str(picture)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run = json.loads(kept.read_text())
    losses = {(one["contender"], one["scaling"]): one["loss"] for one in run["results"]}
    for kind in ("strong", "weak"):  # they differ in the order of rows
        for one in ("DataParallel", "FullyShard"):
            assert losses[one, kind] == pytest.approx(losses["DDP", kind], rel=0.1)
    assert all(len(one["seconds"]) == 4 and one["calls"] > 0 for one in run["results"])
    text = page.read_text()
    assert text.startswith("Before.")
    assert "| 2 | 256 | DataParallel |" in text
    assert text.index("| 2 | 256 | DataParallel |") < text.index("After.") < text.index("| NVLink 4 | weak |")
    assert picture.stat().st_size > 10_000
