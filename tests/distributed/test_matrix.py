"""50 steps in several processes beside a loop in plain torch in one: optimizers, penalties, clips, weights, steps."""

import numpy as np
import pytest
from support.matrix_case import KINDS, OWN, by_hand, trained

import kerastorch as kt

BOUND = 1e-9  # float64
STRATEGIES = {"data parallel": "auto", "fully sharded": kt.distribution.FullyShard()}
CHOSEN = [("SGD", "uneven rows"), ("Adam", "L2 penalty"), ("AdamW", "global_clipnorm"), ("Adam", "GAN")]


def largest_difference(found, expected):
    """Return the largest difference of two results of a training; their names must be the same."""
    if not isinstance(expected, dict):
        assert np.shape(found) == np.shape(expected)
        return float(np.abs(np.subtract(found, expected)).max(initial=0.0))
    assert found.keys() == expected.keys()
    return max((largest_difference(found[name], expected[name]) for name in expected), default=0.0)


def check(ranks, optimizer, kind, strategy):
    expected = by_hand(optimizer, kind)
    found = [largest_difference(one, expected) for one in ranks.run(trained, optimizer, kind, STRATEGIES[strategy])]
    assert max(found) < BOUND
    return max(found)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("optimizer", "kind"), CHOSEN)
def test_two_processes_give_the_numbers_of_a_loop_by_hand(two, optimizer, kind, strategy):
    check(two, optimizer, kind, strategy)


@pytest.mark.distributed
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", OWN)
@pytest.mark.parametrize("world", ["two", "three"])
def test_all_trainings_give_the_numbers_of_a_loop_by_hand(request, record_property, world, optimizer, kind, strategy):
    difference = check(request.getfixturevalue(world), optimizer, kind, strategy)
    record_property("matrix", (kind, strategy, difference))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_by_hand_is_that_of_one_process(kind):
    difference = largest_difference(trained("Adam", kind, None), by_hand("Adam", kind))
    assert difference < BOUND
