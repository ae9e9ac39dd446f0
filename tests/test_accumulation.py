"""`gradient_accumulation_steps`: gradients are summed over batches, whichever calls they come from."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch.callbacks import BackupAndRestore, Callback, TerminateOnNaN

_BATCH = 10


def _data(batches=3):
    kt.utils.set_random_seed(0)
    x = torch.randn(_BATCH * batches, 3)
    return x, x @ torch.tensor([[3.0], [0.0], [-1.0]])


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def _model(every, **settings):
    net = _net()
    model = kt.Model(net)
    model.compile(kt.optimizers.Adam(0.1, gradient_accumulation_steps=every, **settings), "mse")
    return model, net


def _fit(model, x, y, epochs=1, **arguments):
    return model.fit(x, y, _BATCH, epochs, 0, shuffle=False, **arguments)


def _loop(batches, every, net=None):
    """A plain loop over all batches of all calls; the network it ends with."""
    net = net or _net()
    optimizer = torch.optim.Adam(net.parameters(), 0.1, eps=1e-7, fused=True)
    for number, (x, y) in enumerate(batches, 1):
        (F.mse_loss(net(x), y)).backward()
        if number % every == 0:
            for weight in net.parameters():
                if weight.grad is not None:
                    weight.grad.div_(every)
            optimizer.step()
            optimizer.zero_grad()
    return net


def _batches(x, y):
    return list(zip(x.split(_BATCH), y.split(_BATCH), strict=True))


def _same(net, expected):
    torch.testing.assert_close(net.state_dict(), expected.state_dict(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("every", [2, 4, 8])
@pytest.mark.filterwarnings("ignore:this fit made no step")
def test_many_short_fits_are_one_loop_over_all_batches(every):
    x, y = _data()
    model, net = _model(every)
    for _ in range(20):
        _fit(model, x, y)
    _same(net, _loop(_batches(x, y) * 20, every))


@pytest.mark.filterwarnings("ignore:this fit made no step")
def test_fits_and_single_batches_are_one_loop():
    x, y = _data()
    model, net = _model(4)
    for _ in range(3):
        _fit(model, x, y, epochs=2)
        model.train_on_batch(x[:_BATCH], y[:_BATCH])
        model.evaluate(x, y, verbose=0)
        model.train_on_batch(x[_BATCH:], y[_BATCH:])
    single = [(x[:_BATCH], y[:_BATCH]), (x[_BATCH:], y[_BATCH:])]
    _same(net, _loop((_batches(x, y) * 2 + single) * 3, 4))


@pytest.mark.filterwarnings("ignore:this fit made no step")
def test_gradients_of_the_users_own_between_calls_and_batches_go_into_no_step():
    class Looks(Callback):
        def on_train_batch_end(self, batch, logs=None):
            F.l1_loss(net(x), -y).backward()

    x, y = _data()
    model, net = _model(4)
    for _ in range(4):
        _fit(model, x, y, callbacks=[Looks()])
        F.l1_loss(net(x), -y).backward()
        model.train_on_batch(x, y)
        net.zero_grad()
    _same(net, _loop([*_batches(x, y), (x, y)] * 4, 4))


def test_a_fit_without_a_step_says_so_once():
    x, y = _data()
    model, net = _model(8)
    before = [weight.clone() for weight in net.parameters()]
    with pytest.warns(UserWarning, match="no step.*gradient_accumulation_steps=8.* 6 batches") as said:
        _fit(model, x, y, epochs=2)
    assert len(said) == 1
    assert all(map(torch.equal, net.parameters(), before))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _fit(model, x, y)  # the eighth batch of all
    assert not all(map(torch.equal, net.parameters(), before))


def test_what_is_accumulated_survives_a_fit_that_the_user_broke_off():
    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise KeyboardInterrupt

    x, y = _data()
    model, net = _model(5)
    with pytest.raises(KeyboardInterrupt):
        _fit(model, x, y, callbacks=[Stop()])
    _fit(model, x, y)
    _same(net, _loop(_batches(x, y)[:2] + _batches(x, y), 5))


@pytest.mark.filterwarnings("ignore:this fit made no step", "ignore:.*NaN", "ignore:.*finite")
def test_a_refused_batch_leaves_nothing_in_what_is_accumulated():
    x, y = _data()
    bad = y.clone()
    bad[:] = float("inf")
    model, net = _model(4)
    model.fit(x, y, _BATCH, 1, 0, [TerminateOnNaN()], shuffle=False)
    model.fit(x, bad, _BATCH, 1, 0, [TerminateOnNaN()], shuffle=False, check_finite=False)
    _fit(model, x, y)
    _same(net, _loop(_batches(x, y) * 2, 4))


@pytest.mark.filterwarnings("ignore:this fit made no step")
def test_a_layer_that_is_frozen_in_between_does_not_move():
    x, y = _data()
    model, net = _model(4)
    _fit(model, x, y)
    net[0].requires_grad_(False)
    before = net[0].weight.clone()
    _fit(model, x, y)
    assert torch.equal(net[0].weight, before)
    assert not torch.equal(net[2].weight, _net()[2].weight)


@pytest.mark.parametrize("scale", [None, 128.0])
def test_a_training_that_is_resumed_goes_on_with_what_was_accumulated(tmp_path, scale):
    class Stop(Callback):
        state_attributes = ()

        def on_train_batch_end(self, batch, logs=None):
            if batch == 1 and self.stops:
                raise KeyboardInterrupt

    x, y = _data()
    settings = {} if scale is None else {"loss_scale_factor": scale}

    def run(folder, stops):
        model, net = _model(4, **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _fit(model, x, y)  # three batches that the next fit goes on with
        stop = Stop()
        stop.stops = stops
        _fit(model, x, y, epochs=3, callbacks=[stop, BackupAndRestore(folder, save_freq=1)])
        return net

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "one", True)
    _same(run(tmp_path / "one", False), _loop(_batches(x, y) * 4, 4))


@pytest.mark.filterwarnings("ignore:this fit made no step")
def test_compile_begins_anew():
    x, y = _data()
    model, net = _model(4)
    _fit(model, x, y)
    model.compile(kt.optimizers.Adam(0.1, gradient_accumulation_steps=4), "mse")
    _fit(model, x, y)
    _same(net, _net())


def test_sparse_gradients_are_accumulated_too():
    rows = torch.tensor([[0, 1], [1, 2], [2, 0], [3, 3]])
    y = torch.randn(4, 1)

    def net():
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Flatten(), nn.Linear(6, 1))

    found, expected = net(), net()
    model = kt.Model(found)
    model.compile(kt.optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    for _ in range(2):
        model.train_on_batch(rows[:2], y[:2])
        model.train_on_batch(rows[2:], y[2:])
    optimizer = torch.optim.SGD(expected.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        ((F.mse_loss(expected(rows[:2]), y[:2]) + F.mse_loss(expected(rows[2:]), y[2:])) / 2).backward()
        optimizer.step()
    _same(found, expected)


def _resumed(tmp_path, before, after):
    """The network of a training that is left after two batches of which each third is a step, and resumed."""

    class Stop(Callback):
        left = 3  # what is kept then is from before this batch

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                raise SystemError

    x, y = _data(6)
    with pytest.raises(SystemError):
        _fit(_model(**before)[0], x, y, callbacks=[Stop(), BackupAndRestore(tmp_path, save_freq=1)])
    model, net = _model(**after)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _fit(model, x, y, callbacks=[BackupAndRestore(tmp_path, save_freq=1)])
    assert not [one for one in said if "no step" in str(one.message)]
    return net, _batches(x, y)


@pytest.mark.parametrize("scales", [(1.0, 1024.0), (1024.0, 1.0)])
def test_what_is_accumulated_is_scaled_anew_on_resume_with_another_scale(scales, tmp_path):
    before, after = ({"every": 3, "loss_scale_factor": scale} for scale in scales)
    net, batches = _resumed(tmp_path, before, after)
    _same(net, _loop(batches, 3))


def test_what_is_accumulated_goes_into_the_first_step_of_a_resume_without_accumulation(tmp_path):
    net, batches = _resumed(tmp_path, {"every": 3}, {"every": None})
    expected = _net()
    optimizer = torch.optim.Adam(expected.parameters(), 0.1, eps=1e-7, fused=True)
    for some in (batches[:3], *([one] for one in batches[3:])):
        optimizer.zero_grad()
        for x, y in some:
            (F.mse_loss(expected(x), y) / len(some)).backward()
        optimizer.step()
    _same(net, expected)


@pytest.mark.parametrize("several", [False, True])
def test_a_saved_model_has_what_was_accumulated(several, tmp_path):
    x, y = torch.randn(20, 3), torch.randn(20, 1)
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(1)])
    adam = kt.optimizers.Adam(0.1, gradient_accumulation_steps=4)
    model.compile({"*": adam} if several else adam, "mse")
    model.fit(x, y, 4, 1, 0, shuffle=False)  # 5 batches: a step, and one batch that waits
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    for one in (model, loaded):
        one.fit(x, y, 4, 1, 0, shuffle=False)
    assert all(map(torch.equal, model.parameters(), loaded.parameters()))


def test_a_saved_model_has_the_scale_of_the_loss(tmp_path):
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(1)])
    scaled = kt.optimizers.LossScaleOptimizer(kt.optimizers.SGD(0.1), 2.0**10, dynamic_growth_steps=1)
    model.compile(scaled, "mse", precision="fp16")
    model.fit(x, y, 4, 1, 0)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    loaded.fit(x, y, 4, 1, 0)
    assert loaded.trainer.optimizer_step.scaling.state_dict()["scale"] == 2.0**14  # four steps, each doubles it
