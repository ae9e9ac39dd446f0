"""ExponentialMovingAverage and StochasticWeightAveraging: the averages of torch, in place for all but training."""

import copy
import itertools
import os
import signal

import numpy as np
import pytest
import torch
from support.interrupted_training import BATCH, Rows, check
from support.interrupted_training import X as ROWS
from support.interrupted_training import Y as CLASSES
from support.problems import regression, same_weights
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.callbacks import (
    Callback,
    EarlyStopping,
    ExponentialMovingAverage,
    LambdaCallback,
    LearningRateScheduler,
    LRScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
    SwapEMAWeights,
)
from kerastorch.data import permutation
from kerastorch.optimizers.scheduled_rate import ScheduledRate

X, Y = regression(70)
FIT = {"batch_size": 16, "verbose": 0, "shuffle": False}
BATCHES = list(zip(X.split(16), Y.split(16), strict=True))


def chain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))


def adam(module, rate=0.05):
    return torch.optim.Adam(module.parameters(), lr=rate)


def model(module=None, optimizer=adam, **options):
    module = chain() if module is None else module
    one = kt.Model(module)
    one.compile(optimizer(module), "mse", **options)
    return one


def parameters(module):
    return [weight.detach().clone() for weight in module.parameters()]


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def by_hand(averaged, module, optimizer, epochs, batches=BATCHES, every_step=True, after_epoch=lambda epoch: None):
    """Train as a PyTorch user does, with `update_parameters` after each step, or after each epoch that is averaged."""
    history = []
    for epoch in range(epochs):
        module.train()
        for x, y in batches(epoch) if callable(batches) else batches:
            optimizer.zero_grad()
            nn.functional.mse_loss(module(x), y).backward()
            optimizer.step()
            if every_step:
                averaged.update_parameters(module)
        after_epoch(epoch)
        history.append(parameters(averaged.module))
    return history


def ema_by_hand(module, optimizer, epochs, momentum=0.9, **options):
    averaged = AveragedModel(
        module, multi_avg_fn=get_ema_multi_avg_fn(momentum), use_buffers=options.pop("use_buffers", False)
    )
    return averaged, by_hand(averaged, module, optimizer, epochs, **options)


class Look(Callback):
    """Write down the weights at a hook."""

    def __init__(self, *hooks):
        self.found = {hook: [] for hook in hooks}
        for hook in hooks:
            setattr(self, hook, lambda *args, hook=hook: self.found[hook].append(parameters(self.model)))


# --- the moving average -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 1.0])
def test_after_fit_the_model_has_the_average_of_torch(momentum):
    module = chain()
    averaged, _ = ema_by_hand(module, adam(module), 3, momentum)
    one = model()
    one.fit(X, Y, epochs=3, callbacks=ExponentialMovingAverage(momentum), **FIT)
    assert equal(one.parameters(), averaged.module.parameters())
    assert equal(one.buffers(), module.buffers())


def test_shuffled_arrays_and_loaders_give_the_same_average_as_by_hand():
    def shuffled(epoch):
        rows = permutation(70, torch.initial_seed(), epoch).split(16)
        return [(X[some], Y[some]) for some in rows]

    module = chain()
    averaged, _ = ema_by_hand(module, adam(module), 2, batches=shuffled)
    one = model()
    one.fit(X, Y, epochs=2, batch_size=16, verbose=0, callbacks=ExponentialMovingAverage(0.9))
    assert equal(one.parameters(), averaged.module.parameters())

    module = chain()
    averaged, _ = ema_by_hand(module, adam(module), 2)
    for data in (DataLoader(TensorDataset(X, Y), 16), lambda: iter(BATCHES)):
        one = model()
        one.fit(data, epochs=2, verbose=0, callbacks=ExponentialMovingAverage(0.9))
        assert equal(one.parameters(), averaged.module.parameters())


@pytest.mark.parametrize("place", [0, 1])
def test_validation_saved_files_and_callbacks_have_the_average_wherever_it_is_in_the_list(tmp_path, place):
    module = chain()
    _, averages = ema_by_hand(module, adam(module), 3)
    look = Look("on_epoch_end", "on_test_batch_end")
    callbacks = [ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_weights_only=True), look]
    callbacks.insert(place * 2, ExponentialMovingAverage(0.9))
    one = model()
    history = one.fit(X, Y, epochs=3, validation_data=(X, Y), validation_batch_size=70, callbacks=callbacks, **FIT)
    saved = model()
    for epoch in range(3):
        assert equal(look.found["on_epoch_end"][epoch], averages[epoch])
        assert equal(look.found["on_test_batch_end"][epoch], averages[epoch])
        saved.load_weights(tmp_path / f"{epoch + 1}.safetensors")
        assert equal(saved.parameters(), averages[epoch])
    assert history.history["val_loss"][-1] == pytest.approx(one.evaluate(X, Y, verbose=0))


def test_training_goes_on_from_the_trained_weights():
    plain, averaged = model(), model()
    last = Look("on_train_batch_end")
    plain.fit(X, Y, epochs=3, callbacks=last, **FIT)
    own = Look("on_train_batch_end")
    averaged.fit(X, Y, epochs=3, validation_data=(X, Y), callbacks=[ExponentialMovingAverage(0.9), own], **FIT)
    assert all(
        equal(a, b) for a, b in zip(last.found["on_train_batch_end"], own.found["on_train_batch_end"], strict=True)
    )
    assert not equal(plain.parameters(), averaged.parameters())


def test_evaluate_predict_and_save_within_an_epoch_use_the_average_of_the_steps_so_far(tmp_path):
    module = chain()
    averaged = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    by_hand(averaged, module, adam(module), 1, batches=BATCHES[:3])
    expected = copy.deepcopy(averaged.module).eval()
    seen = {}

    class Within(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                before = parameters(self.model)
                seen["loss"] = self.model.evaluate(X, Y, verbose=0)
                seen["outputs"] = self.model.predict(X, verbose=0)
                assert equal(before, parameters(self.model))

    checkpoint = ModelCheckpoint(tmp_path / "{batch}.safetensors", save_freq=3, save_weights_only=True)
    model().fit(X, Y, callbacks=[Within(), checkpoint, ExponentialMovingAverage(0.9)], **FIT)
    with torch.no_grad():
        np.testing.assert_array_equal(seen["outputs"], expected(X).numpy())
        assert seen["loss"] == pytest.approx(nn.functional.mse_loss(expected(X), Y).item(), rel=1e-5)
    saved = model()
    saved.load_weights(tmp_path / "3.safetensors")
    assert equal(saved.parameters(), expected.parameters())


def test_buffers_are_averaged_on_request_but_counts_are_not():
    module = chain()
    averaged, _ = ema_by_hand(module, adam(module), 2, use_buffers=True)
    one = model()
    one.fit(X, Y, epochs=2, callbacks=ExponentialMovingAverage(0.9, use_buffers=True), **FIT)
    assert equal(one.parameters(), averaged.module.parameters())
    expected = averaged.module[1]
    assert torch.equal(one.module_viewed[1].running_mean, expected.running_mean)
    assert torch.equal(one.module_viewed[1].running_var, expected.running_var)
    assert one.module_viewed[1].num_batches_tracked == 10


def test_warmup_uses_the_momentum_of_its_formula():
    look = Look("on_train_batch_end")
    one = model()
    one.fit(X, Y, callbacks=[ExponentialMovingAverage(0.3, warmup=True), look], **FIT)
    steps = look.found["on_train_batch_end"]
    average = steps[0]
    for count, weights in enumerate(steps[1:], 1):
        momentum = min(0.3, (1 + count) / (10 + count))
        average = [momentum * old + (1 - momentum) * new for old, new in zip(average, weights, strict=True)]
    for found, expected in zip(one.parameters(), average, strict=True):
        torch.testing.assert_close(found.detach(), expected)


@pytest.mark.parametrize(
    "optimizer",
    ["sgd", kt.optimizers.Adam(0.01, clipnorm=1.0), kt.optimizers.SGD(0.1, momentum=0.9), torch.optim.AdamW],
)
def test_every_optimizer_can_be_averaged(optimizer):
    one = kt.Model(chain())
    one.compile(copy.deepcopy(optimizer), "mse")
    look = Look("on_train_batch_end")
    one.fit(X, Y, epochs=2, callbacks=[ExponentialMovingAverage(0.5), look], **FIT)
    average, *steps = look.found["on_train_batch_end"]
    for weights in steps:
        average = [0.5 * old + 0.5 * new for old, new in zip(average, weights, strict=True)]
    for found, expected in zip(one.parameters(), average, strict=True):
        torch.testing.assert_close(found.detach(), expected)


def test_gradient_accumulation_averages_once_for_a_step():
    one = kt.Model(chain())
    one.compile(kt.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    look = Look("on_train_batch_end")
    one.fit(X, Y, callbacks=[ExponentialMovingAverage(0.5), look], **FIT)
    steps = look.found["on_train_batch_end"]
    assert equal(steps[0], steps[0])
    expected = [0.5 * old + 0.5 * new for old, new in zip(steps[1], steps[3], strict=True)]
    for found, value in zip(one.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), value)


def test_constraints_hold_for_the_weights_that_are_averaged():
    def constrained():
        torch.manual_seed(0)
        one = kt.Sequential([kt.layers.Dense(3, kernel_constraint="non_neg"), kt.layers.Dense(1)])
        one.compile(kt.optimizers.SGD(0.05), "mse")
        one(X)  # makes the weights
        return one

    one, plain, look = constrained(), constrained(), Look("on_train_batch_end")
    one.fit(X, Y, epochs=2, callbacks=[ExponentialMovingAverage(0.5), look], **FIT)
    other = Look("on_train_batch_end")
    plain.fit(X, Y, epochs=2, callbacks=[other], **FIT)
    assert all(
        equal(a, b) for a, b in zip(look.found["on_train_batch_end"], other.found["on_train_batch_end"], strict=True)
    )
    average, *steps = look.found["on_train_batch_end"]
    for weights in steps:
        average = [0.5 * old + 0.5 * new for old, new in zip(average, weights, strict=True)]
    for found, expected in zip(one.parameters(), average, strict=True):
        torch.testing.assert_close(found.detach(), expected)
    assert (one[0].weight >= 0).all()


def test_compiled_steps_are_averaged_each():
    one = kt.Model(nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1)))
    torch.manual_seed(0)
    for weight in one.parameters():
        nn.init.normal_(weight)
    other = copy.deepcopy(one)
    x, y = regression(640)
    one.compile(kt.optimizers.SGD(0.05), "mse", jit_compile=True, steps_per_execution=4)
    one.fit(x, y, epochs=3, callbacks=ExponentialMovingAverage(0.9), **FIT)
    module, batches = other.module_viewed, list(zip(x.split(16), y.split(16), strict=True))
    averaged, _ = ema_by_hand(module, torch.optim.SGD(module.parameters(), lr=0.05), 3, batches=batches)
    for found, expected in zip(one.parameters(), averaged.module.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_weights_are_averaged_in_float32():
    module = nn.Linear(6, 1, dtype=torch.bfloat16)
    one = kt.Model(module)
    one.compile(torch.optim.SGD(module.parameters(), lr=0.1), "mse")
    look = Look("on_train_batch_end")
    one.fit(X, Y, epochs=20, callbacks=[ExponentialMovingAverage(0.99), look], **FIT)
    average, *steps = [[w.float() for w in weights] for weights in look.found["on_train_batch_end"]]
    for weights in steps:
        average = [torch.lerp(old, new, 0.01) for old, new in zip(average, weights, strict=True)]
    for found, expected in zip(one.parameters(), average, strict=True):
        torch.testing.assert_close(found.detach().float(), expected, rtol=1e-2, atol=1e-3)
    assert not equal(one.parameters(), look.found["on_train_batch_end"][0])


def test_early_stopping_restores_the_average_of_the_best_epoch():
    losses = []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append((logs["val_loss"], parameters(one))))
    one = model(optimizer=lambda module: adam(module, 0.5))
    stop = EarlyStopping(patience=100, restore_best_weights=True)
    one.fit(X[:40], Y[:40], epochs=8, validation_data=(X[40:], Y[40:]),
            callbacks=[stop, note, ExponentialMovingAverage(0.5)], **FIT)  # fmt: skip
    assert equal(one.parameters(), min(losses, key=lambda pair: pair[0])[1])


def test_another_fit_starts_from_the_average_and_averages_anew():
    callback, one = ExponentialMovingAverage(0.9), model()
    module = chain()
    optimizer = adam(module)
    for _ in range(2):
        one.fit(X, Y, epochs=2, callbacks=callback, **FIT)
        averaged, _ = ema_by_hand(module, optimizer, 2)
        with torch.no_grad():
            for weight, average in zip(module.parameters(), averaged.module.parameters(), strict=True):
                weight.copy_(average)
    assert equal(one.parameters(), module.parameters())


def test_a_fit_without_the_callback_is_not_averaged_any_more():
    one, module = model(), chain()
    optimizer = adam(module)
    one.fit(X, Y, callbacks=ExponentialMovingAverage(0.9), **FIT)
    averaged, _ = ema_by_hand(module, optimizer, 1)
    with torch.no_grad():
        for weight, average in zip(module.parameters(), averaged.module.parameters(), strict=True):
            weight.copy_(average)
    one.fit(X, Y, **FIT)
    by_hand(averaged, module, optimizer, 1)
    assert equal(one.parameters(), module.parameters())


@pytest.mark.parametrize("callback", [ExponentialMovingAverage(0.5), StochasticWeightAveraging(1)], ids=["ema", "swa"])
@pytest.mark.parametrize("hook", ["on_test_batch_end", "on_epoch_end", "on_train_batch_end", "on_train_begin"])
def test_after_an_error_the_model_has_the_trained_weights(hook, callback):
    def failing():
        calls = itertools.count()

        def fail(*args):
            if next(calls) == (0 if hook == "on_train_begin" else 3):
                raise ValueError("in the middle")

        return LambdaCallback(**{hook: fail})

    models = model(), model()
    for one, callbacks in zip(models, ([], [callback]), strict=True):
        with pytest.raises(ValueError, match="in the middle"):
            one.fit(X, Y, epochs=9, validation_data=(X, Y), validation_batch_size=35,
                    callbacks=[failing(), *callbacks], **FIT)  # fmt: skip
    assert same_weights(*models)
    assert equal(parameters(models[0]), parameters(models[1]))
    for one in models:  # nothing of the failed fit is left behind
        one.fit(X, Y, **FIT)
    assert same_weights(*models)


def test_ctrl_c_in_validation_leaves_the_trained_weights():
    models = model(), model()
    for one, callbacks in zip(models, ([], [ExponentialMovingAverage(0.5)]), strict=True):
        press = LambdaCallback(on_test_batch_end=lambda *args: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            one.fit(X, Y, epochs=5, validation_data=(X, Y), callbacks=[*callbacks, press], **FIT)
    assert same_weights(*models)


def averaging(kind):
    return ExponentialMovingAverage(0.9) if kind == "ema" else StochasticWeightAveraging(2, 0.01, anneal_epochs=2)


@pytest.mark.parametrize("kind", ["ema", "swa"])
@pytest.mark.parametrize("data", ["arrays", "shuffled loader", "dataset"])
@pytest.mark.parametrize("validates", [False, True])
def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(tmp_path, kind, data, validates):
    made = {
        "arrays": lambda: (ROWS, CLASSES),
        "shuffled loader": lambda: DataLoader(Rows(), BATCH, shuffle=True),
        "dataset": Rows,
    }
    fit = {"validation_data": (ROWS, CLASSES)} if validates else {}
    check(tmp_path, broken_at=(1, 7, 12, 17), data=made[data], also=[averaging(kind)], **fit)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_a_training_that_is_stopped_in_validation_resumes_to_the_same_bits(tmp_path, kind):
    from support.interrupted_training import dense

    def run(stop_at=None, folder=None):
        kt.utils.set_random_seed(1)
        one = dense()
        one.compile("adam", "cross_entropy")
        calls = itertools.count()
        press = LambdaCallback(
            on_test_batch_end=lambda *args: os.kill(os.getpid(), signal.SIGINT) if next(calls) == stop_at else None
        )
        one.fit(ROWS, CLASSES, epochs=4, batch_size=BATCH, verbose=0, validation_data=(ROWS, CLASSES),
                validation_batch_size=30, callbacks=[averaging(kind), press], resume=folder)  # fmt: skip
        return one

    whole = run()
    for stop_at in (0, 3, 5):
        with pytest.raises(KeyboardInterrupt):
            run(stop_at, tmp_path / str(stop_at))
        assert same_weights(run(None, tmp_path / str(stop_at)), whole)


# --- the average of epochs --------------------------------------------------------------------------------------


def swa_by_hand(module, optimizer, epochs, first, rate=None, anneal=10, strategy="cos", batches=BATCHES, norm=True):
    """Return the averaged model, and those after each epoch, of a loop as in torch's documentation."""
    averaged, schedules, found = AveragedModel(module), [], []

    def after_epoch(epoch):
        if epoch + 1 < first:
            found.append(None)
            return
        averaged.update_parameters(module)
        now = copy.deepcopy(averaged)
        if norm:
            update_bn(batches(epoch) if callable(batches) else batches, now)
        found.append(now.module)
        if schedules:
            schedules[0].step()

    def start(epoch):
        if rate is not None and epoch + 1 == first:
            schedules.append(SWALR(optimizer, rate, anneal, strategy))
        return batches(epoch) if callable(batches) else batches

    by_hand(averaged, module, optimizer, epochs, batches=start, every_step=False, after_epoch=after_epoch)
    return found


@pytest.mark.parametrize(
    ("start", "options"),
    [(2, {}), (0.4, {}), (2, {"rate": 0.2, "anneal": 3}), (3, {"rate": 0.01, "anneal": 0}),
     (1, {"rate": 0.2, "anneal": 2, "strategy": "linear"})],
)  # fmt: skip
def test_after_fit_the_model_has_the_average_of_epochs_of_torch(start, options):
    module = chain()
    first = start if isinstance(start, int) else 3
    found = swa_by_hand(module, adam(module), 6, first, **options)
    one = model()
    swa = StochasticWeightAveraging(
        start, options.get("rate"), options.get("anneal", 10), options.get("strategy", "cos")
    )
    one.fit(X, Y, epochs=6, callbacks=swa, **FIT)
    assert same_weights(one.module_viewed, found[-1])


def loader_of_epoch():
    """Return a loader in a new order for each pass, and a function that draws the same batches by hand."""
    return DataLoader(TensorDataset(X, Y), 16, shuffle=True, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("kind", ["arrays", "shuffled arrays", "loader", "function", "sequence"])
def test_batch_statistics_are_computed_over_the_batches_of_the_training(kind):
    def shuffled(epoch):
        rows = permutation(70, torch.initial_seed(), epoch).split(16)
        return [(X[some], Y[some]) for some in rows]

    class Sequence:
        def __len__(self):
            return len(BATCHES)

        def __getitem__(self, index):
            return BATCHES[index]

        def on_epoch_end(self):
            calls.append("end")

    calls = []
    data = {
        "arrays": ((X, Y), FIT),
        "shuffled arrays": ((X, Y), {"batch_size": 16, "verbose": 0}),
        "loader": ((DataLoader(TensorDataset(X, Y), 16),), {"verbose": 0}),
        "function": ((lambda: iter(BATCHES),), {"verbose": 0}),
        "sequence": ((Sequence(),), {"verbose": 0, "shuffle": False}),
    }
    module = chain()
    found = swa_by_hand(module, adam(module), 4, 2, batches=shuffled if kind == "shuffled arrays" else BATCHES)
    one = model()
    given, options = data[kind]
    one.fit(*given, epochs=4, callbacks=StochasticWeightAveraging(2), **options)
    assert same_weights(one.module_viewed, found[-1])
    assert calls == (["end"] * 4 if kind == "sequence" else [])


def test_the_second_pass_changes_neither_the_order_nor_the_random_numbers_of_training():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.drop, self.last = (
                nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.4), nn.Linear(8, 1),
            )  # fmt: skip

        def forward(self, x):
            return self.last(self.drop(self.norm(self.first(x))))

    steps = []
    for callbacks in ([], [StochasticWeightAveraging(1)]):
        torch.manual_seed(1)
        one = model(Noisy())
        look = Look("on_train_batch_end")
        loader = DataLoader(TensorDataset(X, Y), 16, shuffle=True)
        one.fit(loader, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[*callbacks, look])
        steps.append(look.found["on_train_batch_end"])
    assert all(equal(a, b) for a, b in zip(*steps, strict=True))


def test_validation_and_files_have_the_average_from_its_first_epoch_on(tmp_path):
    module = chain()
    found = swa_by_hand(module, adam(module), 4, 3)
    look, trained = Look("on_epoch_end"), Look("on_train_batch_end")
    one = model()
    history = one.fit(X, Y, epochs=4, validation_data=(X, Y), validation_batch_size=70,
                      callbacks=[ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_weights_only=True), look,
                                 trained, StochasticWeightAveraging(3)], **FIT)  # fmt: skip
    saved = model()
    for epoch in range(4):
        if epoch < 2:
            assert equal(look.found["on_epoch_end"][epoch], trained.found["on_train_batch_end"][5 * epoch + 4])
            continue
        saved.load_weights(tmp_path / f"{epoch + 1}.safetensors")
        assert same_weights(saved.module_viewed, found[epoch])
        with torch.no_grad():
            loss = nn.functional.mse_loss(found[epoch].eval()(X), Y).item()
        assert history.history["val_loss"][epoch] == pytest.approx(loss, rel=1e-5)


def test_frozen_batch_normalization_keeps_its_statistics():
    module = chain()
    module[1].trainable = False
    one = model(module)
    before = [buffer.clone() for buffer in module[1].buffers()]
    one.fit(X, Y, epochs=3, callbacks=StochasticWeightAveraging(1), **FIT)
    assert equal(module[1].buffers(), before)
    module = chain()
    module[1].eval()
    one = model(module)
    before = [buffer.clone() for buffer in module[1].buffers()]
    one.fit(X, Y, epochs=3, callbacks=StochasticWeightAveraging(1), **FIT)
    assert equal(module[1].buffers(), before)


def test_keras_batch_normalization_gets_the_means_over_the_batches():
    torch.manual_seed(0)
    one = kt.Sequential([kt.layers.BatchNormalization(), kt.layers.Dense(1)])
    one.compile(kt.optimizers.SGD(0.1), "mse")
    one.fit(X, Y, epochs=3, callbacks=StochasticWeightAveraging(2), **FIT)
    means = torch.stack([x.mean(0) for x, _ in BATCHES]).mean(0)
    variances = torch.stack([x.var(0, unbiased=False) for x, _ in BATCHES]).mean(0)
    torch.testing.assert_close(one[0].running_mean, means)
    torch.testing.assert_close(one[0].running_var, variances)
    assert one[0].momentum == 0.99


def test_steps_per_epoch_uses_the_batches_of_an_epoch():
    plain, averaged = [], []
    for callbacks, found in (([], plain), ([StochasticWeightAveraging(1)], averaged)):
        one, look = model(), Look("on_train_batch_end")
        one.fit(X, Y, epochs=5, steps_per_epoch=2, callbacks=[*callbacks, look], **FIT)
        found += look.found["on_train_batch_end"]
    assert all(equal(a, b) for a, b in zip(plain, averaged, strict=True))


def test_a_generator_has_no_second_pass():
    with pytest.raises(ValueError, match="needs a second pass over the training data, which a generator does not have"):
        model().fit(itertools.cycle(BATCHES), steps_per_epoch=5, epochs=2, verbose=0,
                    callbacks=StochasticWeightAveraging(1))  # fmt: skip
    module = chain()
    found = swa_by_hand(module, adam(module), 2, 1, norm=False)
    one = model()
    one.fit(itertools.cycle(BATCHES), steps_per_epoch=5, epochs=2, verbose=0,
            callbacks=StochasticWeightAveraging(1, update_batch_norm=False))  # fmt: skip
    assert equal(one.parameters(), found[-1].parameters())
    without = kt.Model(nn.Linear(6, 1))
    without.compile("sgd", "mse")
    without.fit(itertools.cycle(BATCHES), steps_per_epoch=5, epochs=2, verbose=0,
                callbacks=StochasticWeightAveraging(1))  # fmt: skip


def test_schedules_that_step_at_the_ends_of_epochs_rule_until_the_averaging_begins():
    seen = []
    note = LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(one.optimizer.param_groups[0]["lr"]))
    one = model()
    halve = LRScheduler(lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
    one.fit(X, Y, epochs=5, batch_size=70, verbose=0,
            callbacks=[halve, StochasticWeightAveraging(3, 0.2, anneal_epochs=1), note])  # fmt: skip
    assert seen == pytest.approx([0.05, 0.025, 0.0125, 0.2, 0.2])


def test_a_callback_that_changes_the_rate_in_averaged_epochs_is_reported():
    swa = StochasticWeightAveraging(2, 0.2, anneal_epochs=0)
    with pytest.warns(UserWarning, match=r"has set the learning rate to 0\.2, but it is 0\.001 now"):
        model().fit(X, Y, epochs=2, callbacks=[LearningRateScheduler(lambda epoch: 0.001), swa], **FIT)


def test_training_that_stops_before_the_averaging_keeps_its_weights_with_a_warning():
    stop = LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(one, "stop_training", True))
    one, plain = model(), model()
    with pytest.warns(UserWarning, match="training stopped before epoch 4"):
        one.fit(X, Y, epochs=5, callbacks=[stop, StochasticWeightAveraging(4)], **FIT)
    plain.fit(X, Y, epochs=1, **FIT)
    assert same_weights(one, plain)


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ExponentialMovingAverage(1.5), "momentum must be a finite number >= 0 and <= 1"),
        (lambda: StochasticWeightAveraging(0), "start_epoch must be an epoch counted from 1"),
        (lambda: StochasticWeightAveraging(1.0), "start_epoch must be an epoch counted from 1"),
        (lambda: StochasticWeightAveraging(True), "start_epoch must be an epoch counted from 1"),
        (lambda: StochasticWeightAveraging(2, -1.0), "learning_rate must be a finite number > 0"),
        (lambda: StochasticWeightAveraging(2, anneal_strategy="cosine"), "Unknown anneal_strategy 'cosine'"),
        (lambda: StochasticWeightAveraging(2, anneal_epochs=-1), "anneal_epochs must be an integer >= 0"),
    ],
)
def test_arguments_out_of_range_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def scheduled(parameters):
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    optimizer.register_step_pre_hook(ScheduledRate({0: kt.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)}))
    return optimizer


@pytest.mark.parametrize(
    ("callbacks", "optimizer", "match"),
    [
        ([StochasticWeightAveraging(9)], "sgd", "start_epoch=9, but the fit ends after epoch 2"),
        ([ExponentialMovingAverage(), StochasticWeightAveraging(1)], "sgd", "two callbacks average the weights"),
        ([ExponentialMovingAverage()], kt.optimizers.SGD(0.1, use_ema=True), "use_ema=True and averages the weights"),
        ([ExponentialMovingAverage(), SwapEMAWeights()], "sgd", "keeps no moving average"),
        (
            [StochasticWeightAveraging(1, 0.1)],
            scheduled,
            "has a schedule",
        ),
    ],
)
def test_combinations_that_contradict_each_other_are_refused_before_training(callbacks, optimizer, match):
    one = kt.Model(chain())
    one.compile(optimizer, "mse")
    before = parameters(one)
    with pytest.raises(ValueError, match=match):
        one.fit(X, Y, epochs=2, callbacks=callbacks, **FIT)
    assert equal(before, parameters(one))
    one.fit(X, Y, **FIT)  # nothing is left behind


def test_outside_fit_the_callbacks_change_nothing():
    one = model()
    one.fit(X, Y, **FIT)
    before = parameters(one)
    for callback in (ExponentialMovingAverage(), StochasticWeightAveraging(1)):
        one.evaluate(X, Y, verbose=0, callbacks=callback)
        one.predict(X, verbose=0, callbacks=callback)
    assert equal(before, parameters(one))


# --- other ways to train ----------------------------------------------------------------------------------------


class TwoOptimizers(kt.Model):
    """Two parts, each stepped by its own optimizer; the second one makes two steps for a batch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 3), nn.Linear(3, 1)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))

    def train_step(self, batch):
        for name in ("first", "second", "second"):
            loss = nn.functional.mse_loss(self(batch.x), batch.y)
            self.trainer.backward_and_step(loss, name)
        return {"loss": loss}


def test_each_of_several_optimizers_averages_its_weights_after_its_own_steps():
    one = TwoOptimizers()
    one.compile({"first": torch.optim.SGD(one.first.parameters(), lr=0.1),
                 "second": torch.optim.SGD(one.second.parameters(), lr=0.1)})  # fmt: skip
    one.fit(X, Y, epochs=2, callbacks=ExponentialMovingAverage(0.7), **FIT)
    module = TwoOptimizers()
    parts = [module.first, module.second]
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in parts]
    averages = [AveragedModel(part, multi_avg_fn=get_ema_multi_avg_fn(0.7)) for part in parts]
    for x, y in BATCHES * 2:
        for at in (0, 1, 1):
            optimizers[at].zero_grad()
            nn.functional.mse_loss(module(x), y).backward()
            optimizers[at].step()
            averages[at].update_parameters(parts[at])
    assert equal(one.first.parameters(), averages[0].module.parameters())
    assert equal(one.second.parameters(), averages[1].module.parameters())


def test_compiled_training_is_averaged_over_epochs():
    x, y = regression(320)
    models = [kt.Model(chain()) for _ in range(2)]
    for one, jit in zip(models, (False, True), strict=True):
        one.compile(kt.optimizers.SGD(0.05), "mse", jit_compile=jit)
        one.fit(x, y, epochs=5, callbacks=StochasticWeightAveraging(2, 0.02, anneal_epochs=2), **FIT)
    for found, expected in zip(*(one.state_dict().values() for one in models), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_batch_statistics_of_a_model_of_several_inputs_are_computed():
    torch.manual_seed(0)
    first, second = kt.Input((2,)), kt.Input((4,))
    joined = kt.layers.BatchNormalization()(kt.layers.concatenate([first, second]))
    one = kt.Model([first, second], kt.layers.Dense(1)(joined))
    one.compile("sgd", "mse")
    one.fit([X[:, :2], X[:, 2:]], Y, epochs=3, callbacks=StochasticWeightAveraging(2), **FIT)
    means = torch.stack([x.mean(0) for x, _ in BATCHES]).mean(0)
    torch.testing.assert_close(one.get_layer("batch_normalization").running_mean, means)


def test_layers_with_a_seed_draw_the_same_numbers_with_and_without_the_second_pass():
    steps = []
    for callbacks in ([], [StochasticWeightAveraging(1)]):
        torch.manual_seed(0)
        one = kt.Sequential([kt.layers.Dropout(0.4, seed=3), kt.layers.BatchNormalization(), kt.layers.Dense(1)])
        one.compile("sgd", "mse")
        one(X)
        look = Look("on_train_batch_end")
        one.fit(X, Y, epochs=3, callbacks=[*callbacks, look], **FIT)
        steps.append(look.found["on_train_batch_end"])
    assert all(equal(a, b) for a, b in zip(*steps, strict=True))
