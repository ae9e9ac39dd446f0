"""MLflowLogger: what MLflow's client reads back from a store in a folder."""

import sys

import pytest
import torch
from support.problems import regression
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import LambdaCallback, MLflowLogger

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("default::FutureWarning", "default::DeprecationWarning")


@pytest.fixture(autouse=True)
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    yield mlflow.MlflowClient()
    while mlflow.active_run():
        mlflow.end_run()


def trained(logger, epochs=2, others=(), **options):
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(0.01), "mse")
    model.fit(x, y, batch_size=10, epochs=epochs, verbose=0, callbacks=[logger, *others], **options)
    return model.history.history


def curve(client, run_id, name):
    return [(one.step, one.value) for one in client.get_metric_history(run_id, name)]


def test_a_training_is_a_run_with_its_settings_and_numbers(client):
    logger = MLflowLogger("digits", "first")
    losses = trained(logger)["loss"]
    run = client.get_run(logger.run_id)
    assert client.get_experiment(run.info.experiment_id).name == "digits"
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params == {"epochs": "2", "steps": "4", "optimizer": "SGD", "learning_rate": "0.01"}
    assert curve(client, logger.run_id, "loss") == [(0, losses[0]), (1, losses[1])]
    assert set(run.data.metrics) == {"loss"}
    assert mlflow.active_run() is None


def test_two_trainings_are_two_runs_of_one_experiment(client):
    found = []
    for _ in range(2):
        logger = MLflowLogger("digits")
        trained(logger)
        found.append(client.get_run(logger.run_id).info)
    assert found[0].run_id != found[1].run_id
    assert found[0].experiment_id == found[1].experiment_id


def test_batches_are_logged_if_asked_for(client):
    logger, seen = MLflowLogger(update_freq=2), []
    trained(logger, others=[LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))])
    assert curve(client, logger.run_id, "batch_loss") == [(step, seen[step - 1]) for step in (2, 4, 6, 8)]


def test_a_run_of_the_user_is_used_and_left_open(client):
    with mlflow.start_run() as run:
        mlflow.log_param("epochs", "mine")
        logger = MLflowLogger("not used")
        trained(logger)
        trained(logger, epochs=1)
        assert mlflow.active_run().info.run_id == run.info.run_id == logger.run_id
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
    assert client.get_run(run.info.run_id).data.params["epochs"] == "mine"
    assert client.get_experiment_by_name("not used") is None


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_training_that_fails_is_a_run_that_failed(client, error, status):
    def fail(batch, logs):
        raise error("no")

    logger = MLflowLogger()
    with pytest.raises(error):
        trained(logger, others=[LambdaCallback(on_train_batch_end=fail)])
    assert client.get_run(logger.run_id).info.status == status
    assert mlflow.active_run() is None


def test_an_error_that_was_there_before_is_not_this_trainings(client):
    logger = MLflowLogger()
    try:
        raise ValueError("something else")
    except ValueError:
        trained(logger)
    assert client.get_run(logger.run_id).info.status == "FINISHED"


def test_a_resumed_training_goes_on_in_its_run(client):
    first = MLflowLogger(update_freq=4)
    trained(first)
    second = MLflowLogger(update_freq=4)
    load = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 2 and second.load_state_dict(first.state_dict()))
    trained(second, epochs=4, initial_epoch=2, others=[load])
    assert second.run_id == first.run_id
    assert [step for step, _ in curve(client, first.run_id, "loss")] == [0, 1, 2, 3]
    assert [step for step, _ in curve(client, first.run_id, "batch_loss")] == [4, 8, 12, 16]
    assert client.get_run(first.run_id).info.status == "FINISHED"


def test_what_is_no_number_is_left_out(client):
    def add(epoch, logs):
        logs.update(word="abc", tensor=torch.tensor(0.5))

    logger = MLflowLogger()
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0, callbacks=[LambdaCallback(on_epoch_end=add), logger])
    assert set(client.get_run(logger.run_id).data.metrics) == {"loss", "tensor"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"experiment_name": ""}, "experiment_name must be a name or None, got ''"),
        ({"run_name": 3}, "run_name must be a name or None, got 3"),
        ({"update_freq": "always"}, "update_freq must be 'epoch', 'batch' or a number"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(ValueError, match=words):
        MLflowLogger(**arguments)


def test_a_missing_package_is_said_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=r"MLflowLogger needs mlflow: pip install mlflow-skinny$"):
        MLflowLogger()
