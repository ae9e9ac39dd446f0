"""torchrun starts the processes of a fit again after one was killed: it ends with the bits of one that never was."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "fit_killed_once.py"


def torchrun(folder, rank, kind, number):
    """Run the script in two processes, with up to two restarts; return the results of both ranks."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2",
        "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1", str(SCRIPT),
        str(folder / "state"), str(folder / "result"), str(rank), kind, str(number),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    assert not (folder / "state").exists()
    return [json.loads((folder / f"result.{number}").read_text()) for number in range(2)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results without a kill."""
    return torchrun(tmp_path_factory.mktemp("whole"), 0, "batch", 0)


def check(whole, folder, rank, kind, number):
    found = torchrun(folder, rank, kind, number)
    assert [one["attempt"] for one in found] == [1, 1]
    for one, expected in zip(found, whole, strict=True):
        assert one["digest"] == expected["digest"]
        assert one["history"] == expected["history"]


@pytest.mark.timeout(600)
def test_a_process_that_is_killed_within_an_epoch_changes_nothing(whole, tmp_path):
    assert [one["attempt"] for one in whole] == [0, 0]
    check(whole, tmp_path, rank=1, kind="batch", number=8)


@pytest.mark.distributed
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", range(20))
def test_twenty_kills_at_batches_and_in_the_midst_of_saving(case, whole, tmp_path):
    draw = random.Random(case)
    kind = ("batch", "file", "file")[case % 3]
    check(whole, tmp_path, draw.randrange(2), kind, draw.randrange(1, 15) if kind == "batch" else draw.randrange(1, 80))
