"""The processes that the tests of this folder run in."""

import os

import pytest
import torch
from support.ranks import RankError
from torch import distributed


def total(value):
    tensor = torch.tensor([value * (distributed.get_rank() + 1)])
    distributed.all_reduce(tensor)
    return tensor.item()


def fails_on(rank):
    if distributed.get_rank() == rank:
        raise ValueError("this rank fails")
    return os.getpid()


def test_a_function_runs_in_a_group_of_processes(two):
    assert two.run(total, 10.0) == [30.0, 30.0]
    assert len(set(two.run(fails_on, 5))) == 2


def test_an_error_of_a_rank_is_raised_with_its_traceback_and_the_next_call_has_new_processes(two):
    with pytest.raises(RankError, match=r"(?s)rank 1:.*this rank fails"):
        two.run(fails_on, 1)
    assert two.run(total, 1.0) == [3.0, 3.0]
