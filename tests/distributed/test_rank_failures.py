"""One of several processes fails: the others stop within seconds, with its rank and its message."""

import os
import re
import signal
import time

import pytest
import torch
from torch import distributed, nn

import kerastorch as kt

SECONDS = 36  # a process that waits for the timeout of the group takes 40
X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def is_here(rank):
    return distributed.get_rank() == rank


class FailsInStep(kt.Model):
    """Fails in its third training step."""

    def __init__(self, rank):
        super().__init__(nn.Linear(3, 1))
        self.rank, self.steps = rank, 0

    def train_step(self, data):
        self.steps += 1
        if is_here(self.rank) and self.steps == 3:
            raise ValueError("no third step")
        return super().train_step(data)


class FailsAt(kt.callbacks.Callback):
    """Fails in a hook of the second epoch, or of the third batch."""

    def __init__(self, rank, hook, every_rank=True):
        self.rank, self.every_rank, self.calls = rank, every_rank, 0
        setattr(self, hook, self._fail)

    def _fail(self, *_):
        self.calls += 1
        if is_here(self.rank) and self.calls == 2:
            raise ValueError(f"not on rank {self.rank}")


def compiled(model=None, loss="mse", metrics=()):
    torch.manual_seed(0)
    model = model or kt.Model(nn.Linear(3, 1))
    model.compile(kt.optimizers.SGD(0.01), loss, metrics=list(metrics))
    return model


def fit(model, *callbacks, data=(X, Y), epochs=3):
    model.fit(*data, epochs=epochs, batch_size=10, verbose=0, callbacks=list(callbacks))


def in_step(rank):
    fit(compiled(FailsInStep(rank)))


def in_callback(rank, hook="on_train_batch_end"):
    fit(compiled(), FailsAt(rank, hook))


def in_callback_of_first(rank):
    assert rank == 0
    fit(compiled(), FailsAt(0, "on_epoch_end", every_rank=False))


def in_loss(rank):
    def loss(y_true, y_pred):
        loss.calls += 1
        if is_here(rank) and loss.calls == 3:
            raise ValueError("no third loss")
        return (y_true - y_pred).square().mean(1)

    loss.calls = 0
    fit(compiled(loss=loss))


def in_metric(rank):
    def metric(y_true, y_pred):
        if is_here(rank):
            raise ValueError("no metric")
        return (y_true - y_pred).abs().mean(1)

    model = compiled(metrics=[metric])
    model.evaluate(X, Y, verbose=0)  # the ranks compute the metric when they have sent each other the outputs
    model.predict(X, verbose=0)


def in_data(rank):
    def batches():
        for index in range(4):
            if is_here(rank) and index == 2:
                raise FileNotFoundError("part-00002 is missing")
            yield X[:8], Y[:8]

    compiled().fit(batches, epochs=3, verbose=0)


def in_arguments(rank):
    x = X[:-1] if is_here(rank) else X
    fit(compiled(), data=(x, Y))


def in_build(rank):
    class Late(kt.layers.Layer):
        def build(self, shape):
            if is_here(rank):
                raise ValueError("no build")
            self.inner = nn.Linear(shape[-1], 1)

        def forward(self, x):
            return self.inner(x)

    fit(compiled(kt.Sequential([Late()])))


def in_predict(rank):
    class Fails(nn.Module):
        def forward(self, x):
            if is_here(rank):
                raise ValueError("no prediction")
            return x

    kt.Model(Fails()).predict(X, verbose=0)


def in_script(rank):
    model = compiled()
    fit(model)
    if is_here(rank):
        raise KeyError("epochs")
    model.evaluate(X, Y, verbose=0)


def killed(rank):
    class Kills(kt.callbacks.Callback):
        every_rank = True

        def on_train_batch_end(self, batch, logs=None):
            if is_here(rank) and batch == 2:
                os.kill(os.getpid(), signal.SIGKILL)

    fit(compiled(), Kills())


def leaves(rank):
    if is_here(rank):
        os._exit(0)
    compiled().evaluate(X, Y, verbose=0)


class Signals(nn.Module):
    """Sends a signal to its process at the second batch."""

    def __init__(self, rank, number):
        super().__init__()
        self.inner, self.rank, self.number, self.calls = nn.Linear(3, 1), rank, number, 0

    def forward(self, x):
        self.calls += 1
        if is_here(self.rank) and self.calls == 2:
            os.kill(os.getpid(), self.number)
        time.sleep(0.2)
        return self.inner(x)


def signal_in_evaluate(rank, number):
    module = Signals(rank, number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        compiled(kt.Model(module)).evaluate(X.repeat(10, 1), Y.repeat(10, 1), batch_size=10, verbose=0)
    return module.calls


def signal_in_predict(rank):
    kt.Model(Signals(rank, signal.SIGINT)).predict(X.repeat(10, 1), batch_size=10, verbose=0)


def waits_for_one(rank):
    from kerastorch.core import rank_failures

    rank_failures.REMINDER_SECONDS = 1.0
    model = compiled()
    if is_here(rank):
        with pytest.warns(UserWarning, match=rf"rank {rank} waits for rank {1 - rank}, which has not called evaluate"):
            return model.evaluate(X, Y, verbose=0)
    time.sleep(4)
    return model.evaluate(X, Y, verbose=0)


def same_error(rank):
    found = []
    for x in (X[:-1], X):
        try:
            compiled().fit(x, Y, batch_size=10, verbose=0)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def warnings_of(rank):
    import warnings

    class Warns(kt.callbacks.Callback):
        every_rank = True

        def on_epoch_end(self, epoch, logs=None):
            from kerastorch.core.errors import warn

            warn("of all")
            if is_here(rank):
                warn("of one")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(compiled(), Warns(), epochs=1)
    return [str(one.message) for one in caught]


def save_before_fit(folder):
    model = compiled()
    writes, replace = [], os.replace
    os.replace = lambda *args: (writes.append(args), replace(*args))
    try:
        model.save(f"{folder}/model.kt")
    finally:
        os.replace = replace
    assert os.path.exists(f"{folder}/model.kt")
    return len(writes)


class UsesWeights(kt.callbacks.Callback):
    """Uses divided weights on rank 0 alone."""

    def __init__(self, verb):
        self.verb = verb

    def on_epoch_end(self, epoch, logs=None):
        self.model.get_weights() if self.verb == "get_weights" else self.model.predict(X, verbose=0)


def divided(verb):
    model = kt.Model(nn.Linear(3, 1))
    model.compile("sgd", "mse", distribution=kt.distribution.FullyShard())
    fit(model, UsesWeights(verb))


def budget(rank):
    model = compiled()
    seconds = 3600 if is_here(rank) else 1e-6
    return len(model.fit(X, Y, epochs=3, batch_size=10, verbose=0, max_time=seconds).history["loss"])


IN_PYTHON = {
    in_step: "ValueError: no third step",
    in_callback: "ValueError: not on rank {rank}",
    in_loss: "ValueError: no third loss",
    in_metric: "ValueError: no metric",
    in_data: "FileNotFoundError: part-00002 is missing",
    in_arguments: "ValueError: x has 39 samples",
    in_build: "ValueError: no build",
    in_predict: "ValueError: no prediction",
}


def fails(ranks, function, rank):
    """Run a function on all ranks; return the last lines of the tracebacks, by rank."""
    ranks.run(is_here, rank)  # the processes have started
    began = time.monotonic()
    try:
        found = ranks.run(function, rank, may_fail=True)
        assert time.monotonic() - began < SECONDS
    finally:
        ranks.close()
    return found


def check(found, rank, message):
    assert message in found[rank], found[rank]
    assert "DistributedError" not in found[rank]
    for number, text in enumerate(found):
        if number != rank:
            assert f"DistributedError: rank {rank} stopped" in text, text
            assert message in text, text


@pytest.mark.parametrize("function", [in_step, in_predict])
def test_the_others_raise_the_error_of_the_rank_that_fails(two, function):
    check(fails(two, function, 1), 1, IN_PYTHON[function].format(rank=1))


def test_an_error_of_a_callback_of_rank_0_stops_the_others(two):
    check(fails(two, in_callback_of_first, 0), 0, "ValueError: not on rank 0")


def test_the_others_say_which_process_was_killed(two):
    found = fails(two, killed, 1)
    assert "has ended" in found[1]
    assert "DistributedError: rank 1 does not answer in fit(" in found[0]


@pytest.mark.distributed
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("function", IN_PYTHON, ids=lambda one: one.__name__)
def test_each_place_in_two_processes(two, function, rank):
    check(fails(two, function, rank), rank, IN_PYTHON[function].format(rank=rank))


@pytest.mark.distributed
@pytest.mark.parametrize("function", IN_PYTHON, ids=lambda one: one.__name__)
def test_each_place_in_three_processes(three, function):
    check(fails(three, function, 2), 2, IN_PYTHON[function].format(rank=2))


@pytest.mark.distributed
@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("function", [killed, leaves])
def test_a_process_that_ends_in_three_processes(three, function, rank):
    found = fails(three, function, rank)
    for number, text in enumerate(found):
        if number != rank:
            # a rank that is slow to notice is named, too
            assert re.search(rf"DistributedError: ranks? [\d, ]*{rank}[\d, ]* do(es)? not answer in", text), text


def test_an_error_of_all_ranks_stays_as_it_is_and_they_go_on_together(two):
    for errors in two.run(same_error, 0):
        assert len(errors) == 1
        assert errors[0].startswith("ValueError: x has 39 samples")


def test_a_rank_that_waits_for_others_to_call_a_method_says_so(two):
    first, second = two.run(waits_for_one, 0)
    assert first == second


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_one_rank_ends_the_evaluation_of_all(two, number, rank):
    calls = two.run(signal_in_evaluate, rank, number)
    assert max(calls) < 20  # of 20 batches on each rank


def test_ctrl_c_on_one_rank_ends_the_prediction_of_all(two):
    found = fails(two, signal_in_predict, 1)
    assert found[1].rstrip().endswith("KeyboardInterrupt")
    assert "DistributedError: rank 1 stopped in predict(batch_size=10, steps=None): KeyboardInterrupt" in found[0]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_warning_of_all_ranks_comes_once_and_that_of_one_rank_with_its_number(two, rank):
    first, second = two.run(warnings_of, rank)
    assert first == (["of all", "of one"] if rank == 0 else ["of all"])
    assert second == ([] if rank == 0 else ["rank 1: of one"])


def test_a_model_that_is_saved_before_any_method_is_written_once(two, tmp_path):
    first, second = two.run(save_before_fit, str(tmp_path))
    assert first > 0
    assert second == 0


@pytest.mark.parametrize("rank", [0, 1])
def test_the_clock_of_rank_0_decides_about_max_time(two, rank):
    assert two.run(budget, rank) == ([3, 3] if rank == 0 else [1, 1])


@pytest.mark.parametrize("verb", ["get_weights", pytest.param("predict", marks=pytest.mark.distributed)])
def test_a_callback_of_rank_0_that_needs_divided_weights_is_an_error(two, verb):
    check(fails(two, divided, verb), 0, "RuntimeError: this callback runs on rank 0 alone, and the weights are divided")
