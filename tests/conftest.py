"""What all tests share."""

import pytest

import kerastorch as kt


@pytest.fixture(autouse=True)
def _seeded():
    kt.utils.set_random_seed(0)
