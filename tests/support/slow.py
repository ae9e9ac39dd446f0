"""Parameters of which most run in `make slow` only."""

import pytest


def mostly_slow(values, *quick):
    """Return parameters of a test, all but some of them marked as slow.

    Args:
        values: The parameters.
        quick: Those that run in `make test`, too.
    """
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
