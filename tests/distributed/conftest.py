"""Groups of processes for the tests of this folder, and the table of what they ran."""

import pytest
from support.distributed_table import group_of, write_table
from support.ranks import Ranks


def _group(world):
    ranks = Ranks(world)
    yield ranks
    ranks.close()


@pytest.fixture(scope="session")
def two():
    """A group of two processes."""
    yield from _group(2)


@pytest.fixture(scope="session")
def three():
    """A group of three processes."""
    yield from _group(3)


@pytest.fixture(autouse=True)
def _counted(request, record_property):
    """Note what a test is about and in which processes it runs, for the table."""
    what = request.module.__doc__.splitlines()[0].rstrip(".")
    record_property("ran", (request.path.name, what, group_of(request.node)))


def pytest_addoption(parser):
    parser.addoption(
        "--distributed-table", help="a page of the docs, the tables of these tests in which are written anew"
    )


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    page = config.getoption("distributed_table", None)
    if not page:
        return
    if exitstatus:
        terminalreporter.write_line(f"Not written to {page}: something failed.")
        return
    passed = [one.user_properties for one in terminalreporter.stats.get("passed", [])]
    table = write_table(page, passed, len(terminalreporter.stats.get("skipped", [])))
    terminalreporter.write_line("\n" + table)


@pytest.fixture(scope="session")
def four():
    """A group of four processes."""
    yield from _group(4)
