"""Run each fuzz test on few fixed random cases in `make test`, and on many new ones in `make fuzz`."""

import pytest
from hypothesis import HealthCheck, settings

import kerastorch as kt

FEW = 25


def pytest_addoption(parser):
    parser.addoption(
        "--fuzz-examples", type=int, default=None, help=f"random cases for each test; default {FEW}, fixed"
    )


def pytest_configure(config):
    many = config.getoption("fuzz_examples", None)
    settings.register_profile(
        "kerastorch",
        max_examples=many or FEW,
        derandomize=many is None,  # `make test` gives the same result every time
        database=None,  # a failure prints how to reproduce it; nothing is written
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    settings.load_profile("kerastorch")


@pytest.fixture(autouse=True)
def _whole_tracebacks():
    """Keep the frames of kerastorch in tracebacks: whether it raised an error itself is told by the last frame."""
    kt.config.disable_traceback_filtering()
    yield
    kt.config.enable_traceback_filtering()
