"""Timer: that times are told, and where; never how long they are."""

import time

import pytest
from support.problems import regression
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import EarlyStopping, LambdaCallback, Timer


def trained(callbacks, epochs=3, **options):
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    return model.fit(x, y, batch_size=10, epochs=epochs, verbose=0, callbacks=callbacks, **options)


def test_the_seconds_of_each_epoch_are_in_the_history():
    timer = Timer()
    history = trained([timer], validation_split=0.5)
    assert history.history["seconds"] == timer.epochs
    assert len(timer.epochs) == len(timer.steps_per_second) == 3
    assert all(one > 0 for one in timer.epochs + timer.steps_per_second)
    assert timer.total >= sum(timer.epochs)


def test_the_total_stands_still_when_training_is_over():
    timer = Timer()
    trained([timer])
    assert timer.total == timer.total


def test_a_second_training_counts_anew():
    timer = Timer()
    trained([timer], epochs=3)
    trained([timer], epochs=1)
    assert len(timer.epochs) == 1


def test_seconds_can_be_monitored_after_it_and_not_before():
    stop = EarlyStopping("seconds", patience=10, mode="min")
    trained([Timer(), stop])
    assert stop.best is not None
    with pytest.raises(ValueError, match="EarlyStopping: Unknown metric 'seconds'"):
        trained([stop, Timer()])


def test_evaluate_may_have_one():
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    timer = Timer()
    model.evaluate(x, y, verbose=0, callbacks=[timer])
    assert timer.epochs == []


def test_a_resumed_training_counts_on():
    timer, states = Timer(), []
    trained([timer, LambdaCallback(on_epoch_begin=lambda epoch, logs: states.append(timer.state_dict()))])
    fresh = Timer()
    load = LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 2 and fresh.load_state_dict(states[2]))
    trained([load, fresh], initial_epoch=2)
    assert len(fresh.epochs) == 3
    assert fresh.epochs[:2] == timer.epochs[:2]
    assert fresh.total >= states[2]["total"]


def test_a_loop_by_hand_has_times_without_a_compiled_model():
    timer = Timer()
    timer.on_train_begin()
    for epoch in range(2):
        timer.on_epoch_begin(epoch)
        timer.on_train_batch_end(0)
        timer.on_test_begin()
        logs = {}
        timer.on_epoch_end(epoch, logs)
        assert logs["seconds"] == timer.epochs[-1]
    timer.on_train_end()
    assert timer.total >= sum(timer.epochs)
    assert all(one > 0 for one in timer.steps_per_second)


def test_validation_counts_for_the_seconds_and_not_for_the_steps_per_second():
    class SlowValidation(LambdaCallback):
        def on_test_begin(self, logs=None):
            time.sleep(0.05)

    timer = Timer()
    trained([timer, SlowValidation()], epochs=2, validation_split=0.5)
    for seconds, speed in zip(timer.epochs, timer.steps_per_second, strict=True):
        assert 2 / speed + 0.05 <= seconds
