"""One script, unchanged, started by python, by torchrun for one node and for two, and by `torch.multiprocessing`."""

import os
import socket
import sys

import pytest
import torch
from support import launched, launched_fit


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return launched.of_one_process(tmp_path_factory.mktemp("alone"))


def torchrun(folder, *options):
    return launched.start(
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1", "--rdzv-backend=c10d",
        "--local-addr=127.0.0.1", *options, launched.SCRIPT, folder,
    )  # fmt: skip


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.timeout(240)
def test_torchrun_on_one_node(alone, tmp_path):
    launched.finish(torchrun(tmp_path, "--rdzv-endpoint=127.0.0.1:0", "--nproc-per-node=2"))
    launched.check(tmp_path, alone)


@pytest.mark.distributed
@pytest.mark.parametrize("endpoint", ["c10d", "static"])
def test_torchrun_on_two_nodes(endpoint, alone, tmp_path):
    """Two agents on this machine, as one on each of two machines."""
    port = free_port()
    if endpoint == "c10d":
        options = [("--nnodes=2", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=test") for _ in range(2)]
    else:
        static = ("--nnodes=2", "--rdzv-backend=static", "--master-addr=127.0.0.1", f"--master-port={port}")
        options = [(*static, f"--node-rank={number}") for number in range(2)]
    launched.finish(*(torchrun(tmp_path, *of_node) for of_node in options))
    launched.check(tmp_path, alone)


@pytest.mark.distributed
def test_torchrun_with_three_processes_on_two_nodes_of_different_size(alone, tmp_path):
    options = ("--nnodes=2", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--rdzv-id=test")
    launched.finish(torchrun(tmp_path, *options), torchrun(tmp_path, *options, "--nproc-per-node=2"))
    launched.check(tmp_path, alone, world=3)


def _of_environment(rank, folder, port):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    launched_fit.train(folder)


def _of_group(rank, folder, port):
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    launched_fit.train(folder)
    torch.distributed.destroy_process_group()


@pytest.mark.distributed
@pytest.mark.parametrize("function", [_of_environment, _of_group])
def test_processes_that_torch_multiprocessing_spawns(function, alone, tmp_path):
    torch.multiprocessing.spawn(function, (tmp_path, free_port()), nprocs=2)
    launched.check(tmp_path, alone)


@pytest.mark.distributed
def test_the_example_prints_its_numbers_once_and_as_in_one_process(tmp_path, monkeypatch):
    example = launched.SCRIPT.parents[2] / "examples" / "distributed.py"
    monkeypatch.setenv("MPLBACKEND", "agg")
    printed = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        options = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d",
                   "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1") if name == "two" else ()  # fmt: skip
        (text,) = launched.finish(launched.start(sys.executable, *options, example))
        printed[name] = text.splitlines()
        assert os.listdir() == ["digits.kt"]
    assert [line[0] for line in (printed["one"], printed["two"])] == ["Processes: 1", "Processes: 2"]
    assert [line[1:] for line in (printed["one"], printed["two"])] == [printed["one"][1:]] * 2
    assert len(printed["one"]) == 2
