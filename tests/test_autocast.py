"""`torch.autocast` around the verbs does what it does around each step."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt

_ROWS, _BATCH = 40, 8


def _autocast():
    return torch.autocast("cpu", torch.bfloat16)


def _data():
    kt.utils.set_random_seed(0)
    x = torch.randn(_ROWS, 3)
    y = x @ torch.tensor([[3.0], [0.0], [-1.0]])
    return x, y


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))


def _batches(x, y):
    return zip(x.split(_BATCH), y.split(_BATCH), strict=True)


def _loop(net, optimizer, x, y, epochs, every=1):
    """The mean loss of each epoch, with autocast around each forward pass."""
    losses, seen = [], 0
    optimizer.zero_grad()
    for _ in range(epochs):
        total = 0.0
        for xs, ys in _batches(x, y):
            with _autocast():
                loss = F.mse_loss(net(xs), ys)
            (loss / every).backward()
            seen += 1
            if seen % every == 0:
                optimizer.step()
                optimizer.zero_grad()
            total += float(loss.detach())
        losses.append(total / (_ROWS // _BATCH))
    return losses


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("every", [1, 2])
def test_fit_within_autocast_is_a_loop_with_autocast_in_each_step(kind, every):
    x, y = _data()
    net, expected = _net(), _net()
    accumulates = {} if every == 1 else {"gradient_accumulation_steps": every}
    settings, plain = {
        "sgd": (kt.optimizers.SGD(0.1, **accumulates), torch.optim.SGD(expected.parameters(), 0.1, fused=True)),
        "adam": (kt.optimizers.Adam(0.1, **accumulates), torch.optim.Adam(expected.parameters(), 0.1, eps=1e-7)),
    }[kind]
    losses = _loop(expected, plain, x, y, 4, every)
    model = kt.Model(net)
    model.compile(settings, "mse")
    with _autocast():
        found = model.fit(x, y, batch_size=_BATCH, epochs=4, shuffle=False, verbose=0).history["loss"]
    torch.testing.assert_close(found, losses, rtol=1e-5, atol=1e-6)
    assert found[-1] < 0.9 * found[0]


def test_validation_within_autocast_sees_the_new_weights_and_stops_no_learning():
    x, y = _data()
    net, expected = _net(), _net()
    losses = _loop(expected, torch.optim.SGD(expected.parameters(), 0.1), x, y, 4)
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.1), "mse")
    with _autocast():
        logs = model.fit(x, y, _BATCH, 4, shuffle=False, validation_data=(x, y), verbose=0).history
        now = model.evaluate(x, y, verbose=0)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            right = float(F.mse_loss(net(x), y))
            outputs = net(x).float()
        found = model.predict(x, verbose=0)
    torch.testing.assert_close(logs["loss"], losses, rtol=1e-5, atol=1e-6)
    assert now == pytest.approx(right, rel=1e-5)
    assert logs["val_loss"][-1] == pytest.approx(right, rel=1e-5)
    torch.testing.assert_close(torch.as_tensor(found).float(), outputs)


def test_fits_evaluations_and_single_steps_take_turns_within_one_autocast():
    x, y = _data()
    net, expected = _net(), _net()
    optimizer = torch.optim.SGD(expected.parameters(), 0.1)
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.1), "mse")
    found, wanted = [], []
    with _autocast():
        for _ in range(3):
            model.evaluate(x, y, verbose=0)
            found += [model.train_on_batch(xs, ys) for xs, ys in _batches(x, y)]
            model.predict(x, verbose=0)
            found += model.fit(x, y, _BATCH, shuffle=False, verbose=0).history["loss"]
    for _ in range(3):
        for xs, ys in _batches(x, y):
            with _autocast():
                loss = F.mse_loss(expected(xs), ys)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            wanted.append(float(loss.detach()))
        wanted += _loop(expected, optimizer, x, y, 1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_weights_that_are_set_between_two_evaluations_count():
    x, y = _data()
    model = kt.Model(_net())
    model.compile("sgd", "mse")
    other = kt.Model(_net())
    other.compile("sgd", "mse")
    other.set_weights([2 * weight for weight in model.get_weights()])
    with _autocast():
        wanted = other.evaluate(x, y, verbose=0)
        model.evaluate(x, y, verbose=0)
        model.set_weights(other.get_weights())
        assert model.evaluate(x, y, verbose=0) == wanted


def test_a_callback_that_calls_the_model_without_gradients_stops_no_learning():
    class Looks(kt.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            with torch.no_grad():
                self.model(x)

    x, y = _data()
    losses = []
    for callbacks in ([], [Looks()]):
        model = kt.Model(_net())
        model.compile(kt.optimizers.SGD(0.1), "mse")
        with _autocast():
            losses.append(model.fit(x, y, _BATCH, 3, 0, callbacks, shuffle=False).history["loss"])
    assert losses[0] == losses[1]


def test_two_steps_in_one_train_step_of_the_users_own_both_see_the_weights():
    class Twice(kt.Model):
        def train_step(self, batch):
            x, y, _ = batch
            for _ in range(2):
                loss = F.mse_loss(self(x), y)
                self.trainer.backward_and_step(loss)
            return {"loss": loss}

    x, y = _data()
    expected = _net()
    optimizer = torch.optim.SGD(expected.parameters(), 0.1)
    for xs, ys in _batches(x, y):
        for _ in range(2):
            with _autocast():
                loss = F.mse_loss(expected(xs), ys)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net = _net()
    model = Twice(net)
    model.compile(kt.optimizers.SGD(0.1), "mse")
    with _autocast():
        model.fit(x, y, _BATCH, shuffle=False, verbose=0)
    torch.testing.assert_close(net.state_dict(), expected.state_dict())


def test_lbfgs_within_autocast_sees_the_weights_it_asks_about():
    x, y = _data()
    net, expected = _net(), _net()
    optimizer = torch.optim.LBFGS(expected.parameters(), lr=0.1, max_iter=5)

    def closure():
        optimizer.zero_grad()
        with _autocast():
            loss = F.mse_loss(expected(x), y)
        loss.backward()
        return loss

    wanted = [float(optimizer.step(closure).detach()) for _ in range(3)]
    model = kt.Model(net)
    model.compile(torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=5), "mse")
    with _autocast():
        found = model.fit(x, y, _ROWS, 3, shuffle=False, verbose=0).history["loss"]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_step_that_was_compiled_without_autocast_is_compiled_anew_within_it():
    x, y = _data()
    y = y.bfloat16().float()  # of few digits, so that a compiled step rounds as torch's does
    model = kt.Model(_net())
    model.compile(kt.optimizers.SGD(0.1), "mse", jit_compile=True)
    model.fit(x, y, _BATCH, 4, shuffle=False, verbose=0)
    expected = _net()
    expected.load_state_dict(model.state_dict())
    wanted = _loop(expected, torch.optim.SGD(expected.parameters(), 0.1), x, y, 2)
    with _autocast():
        found = model.fit(x, y, _BATCH, 2, shuffle=False, verbose=0).history["loss"]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "mape", "log_cosh"])
def test_targets_are_not_rounded(name):
    x, y = _data()
    y = y + 100  # bfloat16 has steps of a half there
    model = kt.Model(_net())
    model.compile("sgd", name, metrics=["mae"])
    with _autocast():
        loss, metric = model.evaluate(x, y, _ROWS, 0)
        outputs = _net()(x).float().detach()
    assert loss == pytest.approx(float(kt.losses.get(name)(y, outputs)), rel=1e-5)
    assert metric == pytest.approx(float((outputs - y).abs().mean()), rel=1e-5)


def test_a_function_gets_the_targets_that_were_given():
    x, y = _data()
    y, given = y + 100, []

    def loss(y_true, y_pred):
        given.append(y_true.detach())
        return (y_true - y_pred).abs().mean()

    model = kt.Model(_net())
    model.compile("sgd", loss)
    with _autocast():
        model.evaluate(x, y, _ROWS, 0)
    assert torch.equal(given[0], y)


class CastsWithin(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = _net()

    def forward(self, x):
        with _autocast():
            return self.net(x)


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", nn.MSELoss(), lambda y_true, y_pred: (y_true - y_pred).abs().mean()]
)
@pytest.mark.parametrize(
    "make", [CastsWithin, lambda: _net().bfloat16()], ids=["autocast in forward", "bfloat16 model"]
)
def test_targets_are_not_rounded_beside_outputs_of_16_bits(make, loss):
    x, y = _data()
    y, net = y + 100, make()
    model = kt.Model(net)
    model.compile("sgd", loss, metrics=["mae"])
    outputs = model(x.to(next(net.parameters()).dtype)).float().detach()
    found = model.evaluate(x, y, _ROWS, 0)
    plain = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}.get(loss if isinstance(loss, str) else "")
    expected = plain(outputs, y) if plain else loss(outputs, y)
    assert found[0] == pytest.approx(float(expected), rel=1e-5)
    assert found[1] == pytest.approx(float((outputs - y).abs().mean()), rel=1e-5)
