"""The reckoning of many workers: the formula beside cases that were computed by hand."""

import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def reckon():
    """The script, as a module."""
    sys.path.insert(0, str(FOLDER))
    try:
        import reckon_workers

        yield reckon_workers
    finally:
        sys.path.remove(str(FOLDER))


def test_a_ring_sends_2_n_minus_1_messages_of_an_nth_of_the_bytes(reckon):
    link = reckon.Link("", bandwidth=1e9, latency=1e-5)
    # 4 workers, 8 MB: 6 messages of 2 MB; each 10 µs + 2 ms
    assert reckon.ring_seconds(8e6, 4, link) == pytest.approx(6 * (1e-5 + 2e-3))
    # 8 workers, 3 levels up and 3 down: 60 µs, and all bytes twice
    assert reckon.tree_seconds(8e6, 8, link) == pytest.approx(6e-5 + 16e-3)


def test_a_step_is_its_computation_and_what_it_cannot_hide_of_the_all_reduce(reckon):
    link = reckon.Link("", bandwidth=1e9, latency=0.0)
    step = reckon.Step(fixed=2e-3, per_batch=8e-3, size=8e6, hidden=0.5)
    # the ring of 4 workers takes 12 ms: weak 10 + (12 - 5) = 17 ms; strong 2 + 8 / 4 = 4, 4 + (12 - 2) = 14 ms
    assert reckon.step_seconds(step, 4, link, "weak") == pytest.approx(17e-3)
    assert reckon.step_seconds(step, 4, link, "strong") == pytest.approx(14e-3)
    assert reckon.speed(step, 4, link, "weak") == pytest.approx(4 * 10 / 17)
    assert reckon.speed(step, 4, link, "strong") == pytest.approx(10 / 14)
    assert reckon.step_seconds(step, 1, link, "weak") == pytest.approx(10e-3)
    assert reckon.speed(reckon.Step(1.0, 1.0, 1.0, rows=4), 5, link, "strong") is None  # a worker has no row


def test_no_link_makes_workers_faster_than_their_number(reckon):
    step = reckon.Step(fixed=1e-3, per_batch=9e-3, size=1e6, hidden=0.6)
    for link in reckon.LINKS.values():
        for workers in (2, 8, 64, 1024):
            assert 0 < reckon.speed(step, workers, link, "strong") <= workers
            assert 0 < reckon.speed(step, workers, link, "weak") <= workers


@pytest.mark.parametrize("workers", [2, 5])
def test_a_link_is_found_again_from_the_seconds_of_its_rings(reckon, workers):
    link = reckon.Link("", bandwidth=3e8, latency=2e-4)
    seconds = {str(size): reckon.ring_seconds(size, workers, link) for size in (1024, 65536, 1 << 20, 1 << 22)}
    found = reckon.fit_link(seconds, workers)
    assert (found.bandwidth, found.latency) == (pytest.approx(3e8), pytest.approx(2e-4))


def test_the_script_reckons_a_step_of_ones_own():
    command = [sys.executable, str(FOLDER / "reckon_workers.py"), "--step-ms", "100", "--megabytes", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # a ring of 8 over 10 GbE: 14 x 50 µs, and 1.75 GB at 1.25 GB/s; 8 x 100 ms / (100 + 0.7 + 1400) ms
    assert "| 10 GbE | weak | 0.5 (7 %) |" in done.stdout
