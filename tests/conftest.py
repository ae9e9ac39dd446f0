"""What all tests share."""

import signal

import pytest
import torch

import kerastorch as kt

collect_ignore = ["typing", "keras_scripts"]  # read by type checkers; run by test_keras_scripts.py

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that starts pytest in the background ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # the models are small, and threads that wait for each other on a busy machine take minutes


@pytest.fixture(autouse=True)
def _seeded():
    kt.utils.set_random_seed(0)
