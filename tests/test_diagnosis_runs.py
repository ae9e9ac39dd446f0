"""The diagnosis of the runs of benchmarks/diagnosis, whose causes are known by construction."""

import pathlib
import sys

import pytest

from kerastorch.diagnosis.settings import FitSettings

HERE = pathlib.Path(__file__).parent.parent / "benchmarks" / "diagnosis"
MODULES = ("cases", "data_sets", "generate", "score", "truth")


@pytest.fixture(scope="module")
def score():
    """The module of the benchmark, imported from its folder."""
    sys.path.insert(0, str(HERE))
    try:
        import score

        yield score
    finally:
        sys.path.remove(str(HERE))
        for name in MODULES:
            sys.modules.pop(name, None)


def confusion(score, half, *, data):
    """For each cause the number of runs, and how many of them are right."""
    runs = score.read_runs()
    levels = score.references(runs)
    counts = {}
    for run in runs:
        cause, data_set, _ = run["name"].split("/")
        truth = score.truth_of(run, levels[data_set])
        if truth is None or run["half"] != half or (cause in score.NEED_DATA and not data):
            continue
        total, right = counts.get(cause, (0, 0))
        is_right = not score.named(score.diagnose(run, data=data), truth)
        counts[cause] = total + 1, right + is_right
    return counts


def check(counts, causes):
    """Check the shares that the page on the diagnosis states."""
    assert len(counts) == causes
    assert sum(right for _, right in counts.values()) >= 0.9 * sum(total for total, _ in counts.values())
    for cause, (total, right) in counts.items():
        assert right >= (0.95 if cause == "healthy" else 0.8) * total, (cause, right, total)


@pytest.mark.parametrize("half", ["known", "unseen"])
def test_nine_of_ten_runs_are_diagnosed_right_from_curves_and_settings(score, half):
    check(confusion(score, half, data=False), 10)


@pytest.mark.slow
@pytest.mark.parametrize("half", ["known", "unseen"])
def test_nine_of_ten_runs_are_diagnosed_right_with_the_data(score, half):
    check(confusion(score, half, data=True), 12)


def test_at_least_120_runs_of_six_data_sets_have_a_truth_and_half_of_them_were_not_used_for_the_rules(score):
    runs = score.read_runs()
    levels = score.references(runs)
    kept = [run for run in runs if score.truth_of(run, levels[run["name"].split("/")[1]]) is not None]
    assert len(kept) >= 240
    assert len({run["name"].split("/")[1] for run in kept}) == 6
    unseen = sum(run["half"] == "unseen" for run in kept)
    assert 0.4 < unseen / len(kept) < 0.6


def test_a_run_that_is_trained_anew_has_the_stored_curves(score):
    import numpy as np
    from generate import train_by_name

    stored = next(run for run in score.read_runs() if run["name"] == "underfitting/diabetes/2")
    anew = train_by_name(stored["name"])
    settings = FitSettings.from_dict(anew["settings"]), FitSettings.from_dict(stored["settings"])
    for name in stored["settings"]:
        now, then = (getattr(one, name) for one in settings)
        if name.endswith("targets"):  # what is recorded since the runs were stored is not compared
            now, then = ({key: vars(one)[key] for key in stored["settings"][name]} for one in (now, then))
        assert now == then, name
    for name, values in stored["curves"].items():
        np.testing.assert_allclose(anew["curves"][name], values, rtol=0.02)
