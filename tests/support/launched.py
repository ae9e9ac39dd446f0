"""Start `launched_fit.py` in some way, and compare the results of its processes with those of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("launched_fit.py")


def start(*command):
    """Start a command; the variables of other launchers are not in its environment."""
    unwanted = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    return subprocess.Popen(
        list(map(str, command)),
        env={**environment, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*started, timeout=150):
    """Wait until all commands have ended; return what they printed, or fail if one did not end well."""
    try:
        texts = [one.communicate(timeout=timeout)[0] for one in started]
    finally:
        for one in started:
            one.kill()
    for one, text in zip(started, texts, strict=True):
        assert one.returncode == 0, text[-6000:]
    return texts


def results(folder, world):
    """Return the results of all ranks."""
    assert {path.name for path in folder.iterdir()} == {"model.kt", *(f"result.{rank}" for rank in range(world))}
    return [json.loads((folder / f"result.{rank}").read_text()) for rank in range(world)]


def of_one_process(folder):
    """Return the result of the script in one process."""
    finish(start(sys.executable, SCRIPT, folder))
    (alone,) = results(folder, 1)
    assert alone["world"] == 1
    return alone


def check(folder, alone, world=2):
    """Compare the results of all ranks in a folder with that of one process."""
    found = results(folder, world)
    for result in found:
        assert result["world"] == world
        for name in ("weights", "scores", "outputs"):
            for one, other in zip(result[name], alone[name], strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        assert result["history"].keys() == alone["history"].keys()
        for name, values in alone["history"].items():
            np.testing.assert_allclose(result["history"][name], values, rtol=1e-5, atol=1e-6)
    assert all(result == found[0] for result in found)
