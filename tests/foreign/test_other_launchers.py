"""accelerate and Ray Train start the same script as torchrun."""

import pathlib
import sys

import pytest
from support import launched


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return launched.of_one_process(tmp_path_factory.mktemp("alone"))


def test_accelerate_launch(alone, tmp_path):
    pytest.importorskip("accelerate", reason="accelerate is not installed: make test-foreign")
    launched.finish(
        launched.start(
            sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1",
            "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0", launched.SCRIPT, tmp_path,
        )
    )  # fmt: skip
    launched.check(tmp_path, alone)


def test_ray_train(alone, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    tests = str(pathlib.Path(__file__).parents[1])

    def train(config):  # within this function, so that Ray sends its code to the processes, which cannot import it
        sys.path.insert(0, config["tests"])
        from support import launched_fit

        launched_fit.train(config["folder"])

    for name, value in {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    results = tmp_path / "results"
    results.mkdir()
    ray.init(address="local", num_cpus=2, include_dashboard=False)
    try:
        TorchTrainer(
            train,
            train_loop_config={"folder": str(results), "tests": tests},
            scaling_config=ScalingConfig(num_workers=2),
            run_config=RunConfig(name="fit", storage_path=str(tmp_path)),
        ).fit()
    finally:
        ray.shutdown()
    launched.check(results, alone)
