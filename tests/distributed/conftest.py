"""Groups of processes for the tests of this folder."""

import pytest
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
