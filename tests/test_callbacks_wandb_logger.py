"""WandbLogger: what W&B's own run object holds, offline."""

import sys

import pytest
from support.problems import regression
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import LambdaCallback, WandbLogger

wandb = pytest.importorskip("wandb")


@pytest.fixture(autouse=True)
def _offline(tmp_path, monkeypatch):
    settings = {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true", "ERROR_REPORTING": "false"}
    for name, value in settings.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    yield
    if wandb.run is not None:
        wandb.run.finish()


@pytest.fixture(autouse=True, scope="module")
def _no_process_stays():
    yield
    wandb.teardown()


class Look(kt.callbacks.Callback):
    """Keeps the run, and what it holds after each epoch and batch."""

    def __init__(self):
        self.epochs, self.batches, self.run = [], [], None

    def on_train_batch_end(self, batch, logs=None):
        self.run = wandb.run
        self.batches.append(dict(wandb.run.summary))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(wandb.run.summary))


def trained(logger, epochs=2, others=(), **options):
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(0.01), "mse")
    model.fit(x, y, batch_size=10, epochs=epochs, verbose=0, callbacks=[logger, *others], **options)
    return model.history.history


def test_a_training_is_a_run_with_its_settings_and_numbers(tmp_path):
    look = Look()
    losses = trained(WandbLogger("digits", "first", {"depth": 3}), others=[look])["loss"]
    assert (look.run.project, look.run.name) == ("digits", "first")
    assert dict(look.run.config) == {"epochs": 2, "steps": 4, "optimizer": "SGD", "learning_rate": 0.01, "depth": 3}
    assert [(one["epoch"], one["loss"]) for one in look.epochs] == [(0, losses[0]), (1, losses[1])]
    assert not any("batch" in one for one in look.epochs)
    assert wandb.run is None
    assert look.run._exit_code == 0
    assert len(list(tmp_path.glob(f"wandb/offline-run-*/run-{look.run.id}.wandb"))) == 1


def test_batches_are_logged_if_asked_for():
    look, seen = Look(), []
    keep = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    trained(WandbLogger(update_freq=2), others=[look, keep])
    assert [one.get("batch") for one in look.batches] == [None, 2, 2, 4, 4, 6, 6, 8]
    assert [one["batch_loss"] for one in look.batches[1::2]] == seen[1::2]


def test_a_run_of_the_user_is_used_and_left_open():
    run = wandb.init(project="mine", config={"epochs": "mine"})
    losses = trained(WandbLogger("not used"))["loss"]
    trained(WandbLogger(), epochs=1)
    assert wandb.run is run
    assert (run.config["epochs"], run.config["optimizer"]) == ("mine", "SGD")
    assert losses


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_training_that_fails_is_a_run_that_failed(error):
    look = Look()

    def fail(epoch, logs):
        raise error("no")

    with pytest.raises(error):
        trained(WandbLogger(), others=[look, LambdaCallback(on_epoch_end=fail)])
    assert look.run._exit_code == 1
    assert wandb.run is None


def test_a_resumed_training_goes_on_in_its_run():
    first, look = WandbLogger(update_freq=4), Look()
    trained(first)
    second = WandbLogger(update_freq=4)
    load = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 2 and second.load_state_dict(first.state_dict()))
    trained(second, epochs=4, initial_epoch=2, others=[look, load])
    assert look.run.id == first.run_id == second.run_id
    assert [one["epoch"] for one in look.epochs] == [2, 3]
    assert look.epochs[-1]["batch"] == 16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"project": ""}, "project must be a name or None, got ''"),
        ({"name": 3}, "name must be a name or None, got 3"),
        ({"config": [1]}, "config must be a dict or None"),
        ({"update_freq": 1.5}, "update_freq must be an integer"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(ValueError, match=words):
        WandbLogger(**arguments)


def test_a_missing_package_is_said_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"WandbLogger needs wandb: pip install wandb$"):
        WandbLogger()
