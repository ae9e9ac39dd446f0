"""TerminateOnNaN: no step on a loss or gradient that is not finite; and the warning where it is not there."""

import copy
import math
import re

import pytest
import torch
from support.problems import regression, same_weights
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback, LambdaCallback, TerminateOnNaN
from kerastorch.core import finite_check

BAD = [math.nan, math.inf, -math.inf]


class Look(Callback):
    """Keeps what there is after each batch: weights, buffers, state of the optimizer."""

    def __init__(self):
        self.found = []

    def on_train_begin(self, logs=None):
        self.found = [self.now()]

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(self.now())

    def now(self):
        return copy.deepcopy((self.model.state_dict(), self.model.optimizer.state_dict()))


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def same(first, second):
    """Whether two nested states hold the same bits."""
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and bits(first) == bits(second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


class BadAt:
    """A loss that is not finite at one call, or has a gradient that is not."""

    def __init__(self, call, value=math.nan, gradient=False):
        self.calls, self.call, self.value, self.gradient = 0, call, value, gradient

    def __call__(self, y_true, y_pred):
        self.calls += 1
        loss = (y_pred - y_true).square().mean()
        if self.calls != self.call:
            return loss
        if not self.gradient:
            return loss * self.value
        y_pred.register_hook(lambda grad: grad * self.value)
        return loss


def compiled(optimizer="adam", loss="mse", **given):
    model = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)))
    model.compile(optimizer, loss, **given)
    return model


def fit(model, callbacks, epochs=3, **given):
    x, y = regression(64)
    arguments = {"batch_size": 16, "verbose": 0, "shuffle": False} | given
    return model.fit(x, y, epochs=epochs, callbacks=callbacks, **arguments)


OPTIMIZERS = {
    "adam": "adam",
    "momentum": lambda params: torch.optim.SGD(params, 0.1, momentum=0.9),
    "fused adam of kerastorch with clipping and averages": kt.optimizers.Adam(clipnorm=1.0, use_ema=True),
    "scaled": kt.optimizers.SGD(0.01, loss_scale_factor=8.0),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("call", [1, 2, 6])
def test_it_stops_before_the_step(capsys, name, gradient, call):
    look = Look()
    model = compiled(OPTIMIZERS[name], BadAt(call, gradient=gradient))
    fit(model, [TerminateOnNaN(), look])
    assert len(look.found) == call + 1
    if call > 1:  # before the first step some optimizers have no state to compare
        assert same(look.found[-1], look.found[-2])
    else:
        assert same(look.found[-1][0], look.found[-2][0])
    where = f"Epoch {(call - 1) // 4 + 1}, batch {(call - 1) % 4 + 1}"
    what = "gradient of '2.weight'" if gradient else r"loss \(nan\)"
    said = capsys.readouterr().out
    assert re.search(f"{where}: invalid {what}".replace("2.weight", r"\d\.(weight|bias)"), said)
    assert "the weights are those of the batch before" in said


@pytest.mark.parametrize("value", BAD)
def test_raise_error_names_epoch_and_batch_and_runs_on_train_end(value):
    ended = LambdaCallback(on_train_end=lambda logs: ends.append(1))
    ends = []
    model = compiled(loss=BadAt(6, value))
    with pytest.raises(RuntimeError, match=r"NaN or Inf loss \(-?(nan|inf)\) in epoch 2, batch 2: terminating"):
        fit(model, [TerminateOnNaN(raise_error=True), ended])
    assert ends == [1]
    fit(model, [])  # and training can go on


def test_training_without_anything_wrong_is_what_it_is_without_it():
    for optimizer in ("adam", kt.optimizers.SGD(gradient_accumulation_steps=3), torch.optim.LBFGS):
        torch.manual_seed(0)
        models = [compiled(optimizer)]
        models.append(copy.deepcopy(models[0]))
        models[1].compile(optimizer, "mse")
        curves = [fit(model, c).history for model, c in zip(models, ([], [TerminateOnNaN()]), strict=True)]
        assert same_weights(*models)
        assert curves[0] == curves[1]


def test_batches_that_are_accumulated_stop_before_the_step_they_would_be_part_of():
    look = Look()
    model = compiled(kt.optimizers.Adam(gradient_accumulation_steps=3), BadAt(5))
    fit(model, [TerminateOnNaN(), look])
    assert len(look.found) == 6
    assert same(look.found[5], look.found[4])
    assert same(look.found[4][1], look.found[3][1])  # the step was at the third batch


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
@pytest.mark.parametrize("later", [0, 1, 3])
def test_lbfgs_goes_back_to_the_batch_before_wherever_in_its_step_it_happens(line_search, later):
    def optimizer(params):
        return torch.optim.LBFGS(params, lr=0.1, max_iter=5, line_search_fn=line_search)

    count = BadAt(0)
    calls = []
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: calls.append(count.calls))
    torch.manual_seed(0)
    fit(compiled(optimizer, count), [note])
    look = Look()
    torch.manual_seed(0)
    fit(compiled(optimizer, BadAt(calls[4] + 1 + later)), [TerminateOnNaN(), look])  # within the sixth batch
    assert len(look.found) == 7
    assert same(look.found[6], look.found[5])


def test_steps_that_are_executed_together_stop_at_the_batch():
    look = Look()
    model = compiled("adam", BadAt(6), steps_per_execution=4)
    told = []
    fit(model, [TerminateOnNaN(), look, LambdaCallback(on_train_batch_end=lambda batch, logs: told.append(batch))])
    assert told == [3, 1]
    plain = compiled("adam", BadAt(0))  # the state after five batches
    assert [int(state["step"]) for state in look.found[-1][1]["state"].values()] == [5] * 6
    assert int(look.found[-1][0]["1.num_batches_tracked"]) == 5
    assert not plain.optimizer.state


def test_large_gradients_are_looked_at_too_and_sums_that_overflow_are_no_infinity():
    model = kt.Model(nn.Linear(2**15, 1))
    model.compile(torch.optim.SGD(model.parameters(), 0.0), "mse")
    x, y = torch.full((4, 2**15), 1e35), torch.zeros(4, 1)
    with torch.no_grad():
        model.get_parameter("weight").fill_(1e-37)
    model.fit(x, y, epochs=1, verbose=0, callbacks=[TerminateOnNaN(raise_error=True)])
    assert not math.isfinite(model.get_parameter("weight").grad.sum())  # so the sum alone would tell nothing
    model.get_parameter("weight").register_hook(lambda grad: grad.index_fill(1, torch.tensor([777]), math.nan))
    with pytest.raises(RuntimeError, match="gradient of 'weight'"):
        model.fit(x, y, epochs=1, verbose=0, callbacks=[TerminateOnNaN(raise_error=True)])


def test_gradients_that_are_complex_or_one_number_seen_often_are_looked_at_as_well():
    for grad in (torch.ones(3, dtype=torch.complex64), torch.ones(1).expand(4)):
        assert finite_check.all_finite(torch.tensor(1.0), [grad])
        assert not finite_check.all_finite(torch.tensor(1.0), [grad * math.nan])


@pytest.mark.parametrize("free", [("cpu",), ()])
@pytest.mark.parametrize("bad", [None, *BAD])
@pytest.mark.parametrize("size", [3, 2**15])
def test_all_finite_is_isfinite_of_everything(monkeypatch, free, bad, size):
    monkeypatch.setattr(finite_check, "FREE", free)  # without the CPU as on an accelerator
    generator = torch.Generator().manual_seed(size)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        grads = [torch.randn(size, generator=generator).to(dtype), torch.zeros(0), torch.ones(4, 4).t()[::2]]
        expected = [grad.clone() for grad in grads]
        if bad is not None:
            grads[0][size // 2] = bad
            expected = [grad.clone() for grad in grads]
        assert finite_check.all_finite(torch.tensor(1.0), grads) is (bad is None)
        assert finite_check.all_finite(torch.tensor(math.nan), grads) is False
        assert all(same(a, b) for a, b in zip(grads, expected, strict=True))


def test_sparse_gradients_are_looked_at():
    model = kt.Model(nn.Sequential(nn.Embedding(10, 4, sparse=True), nn.Flatten(), nn.Linear(12, 1)))
    model.compile("sgd", BadAt(3, gradient=True))
    x, y = torch.randint(0, 10, (64, 3)), torch.zeros(64, 1)
    with pytest.raises(RuntimeError, match="epoch 1, batch 3"):
        model.fit(x, y, batch_size=16, verbose=0, callbacks=[TerminateOnNaN(raise_error=True)])


def test_a_train_step_that_steps_by_itself_is_stopped_after_its_step(capsys):
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.layer, self.calls = nn.Linear(6, 1), 0

        def forward(self, x):
            return self.layer(x)

        def train_step(self, batch):
            self.calls += 1
            return {"loss": torch.tensor(math.nan if self.calls == 2 else 1.0)}

    model = Own()
    model.compile("sgd", "mse")
    fit(model, [TerminateOnNaN()])
    assert model.calls == 2
    assert capsys.readouterr().out.startswith("Epoch 1, batch 2: invalid loss (nan), terminating training after")


def test_the_guard_is_gone_when_training_ends_however_it_ends():
    model = compiled()
    for error in (None, ValueError):

        def fail(batch, logs, error=error):
            if error is not None:
                raise error

        try:
            fit(model, [TerminateOnNaN(), LambdaCallback(on_train_batch_end=fail)])
        except ValueError:
            assert error is not None
        assert not model.trainer.optimizer_step.listeners.is_guarded


def test_compiled_training_goes_on_uncompiled_while_it_is_there():
    look = Look()
    model = compiled("adam", jit_compile=True)
    with pytest.warns(UserWarning, match="jit_compile: training continues uncompiled while each step is examined"):
        fit(model, [TerminateOnNaN(), look], epochs=1)
    assert len(look.found) == 5


# --- without it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 4])
def test_the_first_loss_that_is_not_finite_is_told_once(together):
    model = compiled(torch.optim.SGD, BadAt(7), steps_per_execution=together)
    with pytest.warns(UserWarning, match="the loss is nan") as caught:
        fit(model, [])
    assert len(caught) == 1
    assert str(caught[0].message).startswith("the loss is nan in epoch 2, batch 3 (learning rate 0.001): inputs and")
    assert "callbacks.TerminateOnNaN() stops before such a step" in str(caught[0].message)
    with pytest.warns(UserWarning, match="in epoch 1, batch 1"):  # the weights are gone: each fit tells
        fit(model, [])


def test_validation_and_evaluation_are_not_told():
    x, y = regression(64)
    model = compiled(loss=BadAt(5))
    fit(model, [], epochs=1, validation_data=(x, y), validation_batch_size=64)
    assert math.isnan(model.history.history["val_loss"][0])
