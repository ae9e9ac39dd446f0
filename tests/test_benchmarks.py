"""The benchmarks run, and count what they say they count: each in a fresh process, cut down to four batches."""

import importlib
import json
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
# Calls of functions that one more unit may make, 3% more than when they were last counted (Python 3.11, torch 2.13):
# whoever needs more of them says so here.
MOST_CALLS = {"step": 374, "evaluate": 160, "predict": 95, "one row": 1087}


@pytest.fixture
def guard(monkeypatch):
    """The module `benchmarks/guard.py`."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("guard")


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


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions of Python call other functions")
def test_a_step_and_a_prediction_make_no_more_calls_than_before():
    done = subprocess.run([sys.executable, str(FOLDER / "count_calls.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == MOST_CALLS.keys()
    assert {name: count for name, count in found.items() if count > MOST_CALLS[name]} == {}


def test_the_interval_of_a_median_contains_it_and_narrows_with_the_number_of_rounds(guard):
    few = guard.interval([0.9, 1.0, 1.1, 1.0, 0.95])
    many = guard.interval([0.9, 1.0, 1.1, 1.0, 0.95] * 20)
    assert few[0] == many[0] == 1.0
    assert 0.9 <= few[1] <= many[1] <= 1.0 <= many[2] <= few[2] <= 1.1


@pytest.mark.parametrize(
    ("ratios", "calls", "slower"),
    [
        ([1.0, 1.01, 0.99] * 5, 104, []),
        ([1.2, 0.8, 1.04] * 5, 104, []),  # too noisy to tell
        ([1.08, 1.07, 1.09] * 5, 104, ["evaluate", "tiny-32, compiled"]),
        ([1.0] * 15, 106, ["calls, step"]),
    ],
)
def test_the_guard_fails_if_all_of_the_interval_or_a_count_is_above_the_limit(
    guard, monkeypatch, capsys, ratios, calls, slower
):
    monkeypatch.setattr(sys, "argv", ["guard.py", "--against", "HEAD", "--tasks", "evaluate", "tiny-32"])
    monkeypatch.setattr(
        guard, "ratios", lambda contender, task, *_: [1.0] if (contender, task) == ("kerastorch", "tiny-32") else ratios
    )
    monkeypatch.setattr(guard, "call_counts", lambda tree: {"step": calls if tree == guard.THIS else 100})
    if slower:
        with pytest.raises(SystemExit, match=r"slower than HEAD by more than 5%: " + ", ".join(slower)):
            guard.main()
    else:
        guard.main()
        assert "not slower than HEAD" in capsys.readouterr().out


@pytest.mark.slow
def test_two_trees_are_timed_by_turns(guard):
    with guard.tree_of("HEAD") as other:
        assert (other / "src" / "kerastorch" / "__init__.py").is_file()
        found = guard.ratios("kerastorch", "predict-one", other, 3, 1, quick=True)
    assert len(found) == 3
    assert all(0.01 < one < 100 for one in found)


@pytest.mark.slow
def test_curves_have_a_slope_for_each_line(tmp_path):
    kept, picture = tmp_path / "curves.json", tmp_path / "curves.png"
    command = [sys.executable, str(FOLDER / "curves.py"), "--rounds", "1", "--epochs", "20"]
    command += ["--only", "layers", "callbacks", "memory", "--json", str(kept), "--plot", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(kept.read_text())
    assert found["curves"]["layers"]["lines"].keys() == {"fit", "by hand"}
    assert all(line["slope"] > 0 for line in found["curves"]["layers"]["lines"].values())
    assert len(found["memory"]["megabytes"]) == 10
    assert picture.stat().st_size > 1000
    assert "| callbacks with a batch hook | fit |" in done.stdout
