"""What all tests share."""

import pytest
import torch

import kerastorch as kt

torch.set_num_threads(1)  # the models are small, and threads that wait for each other on a busy machine take minutes


@pytest.fixture(autouse=True)
def _seeded():
    kt.utils.set_random_seed(0)
