"""ExperimentLogger: what a subclass is asked to do, in which order, for a tracker that is a list."""

import pytest
from support.problems import regression, through_a_file
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import LambdaCallback
from kerastorch.callbacks.experiment_logger import ExperimentLogger


class ListLogger(ExperimentLogger):
    """Appends every call to a list."""

    def __init__(self, active=None, name=None, update_freq="epoch"):
        super().__init__("json", {"name": name}, update_freq)
        self.active, self.calls = active, []

    def _active_run(self):
        return self.active

    def _start_run(self, parameters):
        self.calls.append(("start", self.run_id))
        return "new" if self.run_id is None else self.run_id

    def _run_id(self, run):
        return run

    def _add_parameters(self, parameters):
        self.calls.append(("parameters", dict(parameters)))

    def _log_metrics(self, metrics, axis, step):
        self.calls.append((axis, step, sorted(metrics)))

    def _finish_run(self, run, error):
        self.calls.append(("finish", run, type(error)))


def fit(logger, *others, **options):
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(0.01), "mse")
    return model.fit(x, y, batch_size=20, verbose=0, callbacks=[logger, *others], **options)


PARAMETERS = ("parameters", {"epochs": 2, "steps": 2, "optimizer": "SGD", "learning_rate": 0.01})


def test_a_run_is_started_logged_and_finished():
    logger = ListLogger()
    fit(logger, epochs=2)
    assert logger.run_id == "new"
    assert logger.calls == [
        ("start", None),
        PARAMETERS,
        ("epoch", 0, ["learning_rate", "loss"]),
        ("epoch", 1, ["learning_rate", "loss"]),
        ("finish", "new", type(None)),
    ]


def test_an_active_run_is_used_and_left_open():
    logger = ListLogger("theirs")
    fit(logger, epochs=2)
    assert logger.run_id == "theirs"
    assert logger.calls == [
        PARAMETERS,
        ("epoch", 0, ["learning_rate", "loss"]),
        ("epoch", 1, ["learning_rate", "loss"]),
    ]


@pytest.mark.parametrize(("update_freq", "steps"), [("batch", [1, 2, 3, 4, 5, 6]), (4, [4]), ("epoch", [])])
def test_batches_are_counted_from_1_over_all_epochs(update_freq, steps):
    logger = ListLogger(update_freq=update_freq)
    fit(logger, epochs=3)
    assert [call for call in logger.calls if call[0] == "batch"] == [("batch", step, ["batch_loss"]) for step in steps]


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_a_run_is_finished_with_the_error_that_ended_training(kind):
    def fail(epoch, logs):
        raise kind

    logger = ListLogger()
    with pytest.raises(kind):
        fit(logger, LambdaCallback(on_epoch_end=fail))
    assert logger.calls[-1] == ("finish", "new", kind)


def test_an_error_that_is_handled_around_fit_is_no_error_of_training():
    logger = ListLogger()
    try:
        raise ValueError("before")
    except ValueError:
        fit(logger)
    assert logger.calls[-1] == ("finish", "new", type(None))


def test_a_resumed_training_continues_its_run_and_count(tmp_path):
    first, again = ListLogger(update_freq=1), ListLogger(update_freq=1)
    fit(first)
    state = through_a_file(first.state_dict(), tmp_path / "state.kt")
    restore = LambdaCallback(on_epoch_begin=lambda epoch, logs: again.load_state_dict(state))
    fit(again, restore)
    assert again.calls[0] == ("start", "new")
    assert [call[1] for call in again.calls if call[0] == "batch"] == [3, 4]


@pytest.mark.parametrize("name", ["", 3])
def test_a_name_must_be_text(name):
    with pytest.raises(ValueError, match="name must be a name or None"):
        ListLogger(name=name)


def test_a_missing_package_is_named():
    class Missing(ListLogger):
        def __init__(self):
            ExperimentLogger.__init__(self, "no_such_tracker", {}, "epoch", install="no-such-tracker")

    with pytest.raises(ImportError, match="Missing needs no_such_tracker: pip install no-such-tracker"):
        Missing()
