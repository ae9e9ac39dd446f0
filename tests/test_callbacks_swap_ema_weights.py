"""SwapEMAWeights: the average while the model is looked at, the trained weights again afterwards."""

import os
import signal

import pytest
import torch
from support.problems import regression, same_weights, through_a_file
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback, LambdaCallback, SwapEMAWeights

X, Y = regression(64)
FIT = {"batch_size": 16, "verbose": 0, "shuffle": False}


def model_with_average(momentum=0.5, **given):
    torch.manual_seed(0)
    model = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)))
    model.compile(kt.optimizers.SGD(0.1, use_ema=True, ema_momentum=momentum, **given), "mse")
    return model


def values(model):
    return [weight.detach().clone() for weight in model.parameters()]


def averages(model):
    return [model.optimizer.state[weight]["ema"].clone() for weight in model.parameters()]


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Look(Callback):
    """Writes down weights and averages at each hook it is told."""

    def __init__(self, *hooks):
        self.found = {hook: [] for hook in hooks}
        for hook in hooks:
            setattr(self, hook, lambda *args, hook=hook: self.found[hook].append(self._now()))

    def _now(self):
        return values(self.model), averages(self.model)


def test_validation_is_of_the_average_and_training_goes_on_from_the_trained_weights():
    plain, swapped = model_with_average(), model_with_average()
    before, test = Look("on_epoch_end"), Look("on_test_batch_end")
    plain.fit(X, Y, epochs=3, **FIT, callbacks=[before])
    history = swapped.fit(X, Y, epochs=3, **FIT, validation_data=(X, Y), callbacks=[SwapEMAWeights(), test])
    after = before.found["on_epoch_end"]
    assert all(equal(now, average) for now, average in test.found["on_test_batch_end"])
    assert equal(test.found["on_test_batch_end"][-1][0], after[-1][1])
    assert not equal(*after[-1])  # the trained weights are others
    assert same_weights(plain, swapped)
    assert history.history["val_loss"][-1] == pytest.approx(swapped.evaluate(X, Y, verbose=0))


def test_at_the_end_of_an_epoch_the_trained_weights_are_there_or_the_average():
    for swap, which in ((False, 0), (True, 1)):
        look, trained = Look("on_epoch_end"), Look("on_train_batch_end")
        model = model_with_average()
        model.fit(X, Y, epochs=2, **FIT, callbacks=[trained, SwapEMAWeights(swap_on_epoch=swap), look])
        lasts = trained.found["on_train_batch_end"][3::4]
        for (now, _), last in zip(look.found["on_epoch_end"], lasts, strict=True):
            assert equal(now, last[which])


def test_swapping_at_the_end_of_epochs_changes_nothing_of_training():
    plain, swapped = model_with_average(), model_with_average()
    plain.fit(X, Y, epochs=3, **FIT)
    swapped.fit(X, Y, epochs=3, **FIT, validation_data=(X, Y), callbacks=[SwapEMAWeights(swap_on_epoch=True)])
    assert same_weights(plain, swapped)


def test_evaluate_and_predict_see_the_average_and_give_the_weights_back():
    model = model_with_average()
    model.fit(X, Y, **FIT)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    zeros = values(model)
    look = Look("on_test_batch_end", "on_predict_batch_end")
    model.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights(), look])
    model.predict(X, verbose=0, callbacks=[SwapEMAWeights(), look])
    for found in look.found.values():
        assert all(equal(now, average) for now, average in found)
        assert found
    assert equal(values(model), zeros)


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_weights_come_back_on_every_way_out(verb, error):
    model = model_with_average()
    model.fit(X, Y, **FIT)
    with torch.no_grad():
        next(model.parameters()).zero_()
    before = values(model)

    def fail(*args):
        raise error("in the middle")

    wrong = LambdaCallback(on_test_batch_end=fail, on_predict_batch_end=fail)
    data = (X, Y) if verb == "evaluate" else (X,)
    with pytest.raises(error):
        getattr(model, verb)(*data, verbose=0, callbacks=[SwapEMAWeights(), wrong])
    assert equal(values(model), before)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("hook", ["on_test_begin", "on_test_batch_end", "on_epoch_end", "on_train_batch_end"])
def test_a_fit_that_fails_ends_as_one_without_the_callback(hook, swap):
    def failing():
        calls = []

        def fail(*args):
            calls.append(1)
            if len(calls) == 2:
                raise ValueError("in the middle")

        return LambdaCallback(**{hook: fail})

    models = model_with_average(), model_with_average()
    for model, callbacks in zip(models, ([], [SwapEMAWeights(swap)]), strict=True):
        with pytest.raises(ValueError, match="in the middle"):
            model.fit(X, Y, epochs=5, **FIT, validation_data=(X, Y), validation_batch_size=64,
                      callbacks=[*callbacks, failing()])  # fmt: skip
    assert same_weights(*models)
    assert equal(averages(models[0]), averages(models[1]))


def test_ctrl_c_in_validation_leaves_what_it_leaves_without_the_callback():
    models = model_with_average(), model_with_average()
    for model, callbacks in zip(models, ([], [SwapEMAWeights(True)]), strict=True):
        press = LambdaCallback(on_test_batch_end=lambda *args: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, epochs=5, **FIT, validation_data=(X, Y), callbacks=[*callbacks, press])
    assert same_weights(*models)


def test_what_has_no_average_is_refused_with_advice():
    model = kt.Model(nn.Linear(6, 1))
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"Adam keeps no moving average\. Pass use_ema=True"):
        model.fit(X, Y, verbose=0, callbacks=[SwapEMAWeights()])
    model = model_with_average()
    with pytest.raises(ValueError, match="nothing was trained"):
        model.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights()])


def test_frozen_weights_that_have_no_average_stay():
    model = model_with_average()
    model.get_submodule("0").requires_grad_(False)
    frozen = model.get_submodule("0").weight.detach().clone()
    model.fit(X, Y, epochs=2, **FIT, validation_data=(X, Y), callbacks=[SwapEMAWeights(True)])
    assert torch.equal(model.get_submodule("0").weight, frozen)


def test_a_state_saved_while_the_average_is_there_brings_the_trained_weights_back(tmp_path):
    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept["state"] = through_a_file(
                {"own": swap.state_dict(), "model": self.model.state_dict()}, tmp_path / "state.kt"
            )

    swap, last = SwapEMAWeights(True), Look("on_train_batch_end")
    model_with_average().fit(X, Y, **FIT, callbacks=[last, swap, Keep()])
    trained, average = last.found["on_train_batch_end"][-1]

    class Load(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.load_state_dict(kept["state"]["model"])
            assert equal(values(self.model), average)
            again.load_state_dict(kept["state"]["own"])
            assert equal(values(self.model), trained)

    again = SwapEMAWeights(True)
    model_with_average().fit(X, Y, **FIT, callbacks=[again, Load()])
