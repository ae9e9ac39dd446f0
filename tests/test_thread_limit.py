"""Steps of small dense networks run in one thread, and the number of threads from before returns."""

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import layers
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.training_together.train_together import FitTask, train_together


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Counting(nn.Sequential):
    """Notes the number of threads in each call."""

    seen: list

    def forward(self, x):
        self.seen.append((len(x), torch.get_num_threads()))
        return super().forward(x)


def counted(*parts, **options):
    net = Counting(*parts)
    net.seen = []
    model = kt.Model(net)
    model.compile("sgd", "mse", **options)
    return model, net.seen


def data(rows=64, features=8):
    return torch.randn(rows, features), torch.randn(rows, 1)


SMALL = {
    "torch": lambda: [nn.Linear(8, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 1)],
    "own": lambda: [layers.Dense(16, "relu"), layers.Dropout(0.1), layers.BatchNormalization(), layers.Dense(1)],
    "nested": lambda: [nn.Sequential(nn.Linear(8, 16), nn.Tanh()), nn.Flatten(), nn.Linear(16, 1)],
}  # fmt: skip
LARGE = {
    "weights": lambda: [nn.Linear(8, 2048), nn.Linear(2048, 1)],
    "many weights": lambda: [nn.Linear(8, 90), *[nn.Linear(90, 90) for _ in range(5)], nn.Linear(90, 1)],
    "convolution": lambda: [nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(12, 1)],
    "recurrent": lambda: [nn.Unflatten(1, (8, 1)), layers.SimpleRNN(4), nn.Linear(4, 1)],
}


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_small_batches_train_in_one_thread(make):
    model, seen = counted(*make())
    if isinstance(model.module_viewed[0], layers.Dense):
        model.build((None, 8))
        seen.clear()
    model.fit(*data(), batch_size=32, epochs=2, verbose=0)
    assert seen == [(32, 1)] * 4
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_other_models_keep_their_threads(make):
    model, seen = counted(*make())
    model.fit(*data(), batch_size=32, verbose=0)
    assert {threads for _, threads in seen} == {2}


def test_each_batch_is_judged_by_its_own_size():
    model, seen = counted(nn.Linear(8, 16), nn.Linear(16, 1))
    model.fit(*data(1024 + 512), batch_size=1024, verbose=0, shuffle=False)
    assert seen == [(1024, 2), (512, 1)]
    assert torch.get_num_threads() == 2


def test_a_validation_runs_with_the_threads_of_before():
    model, seen = counted(nn.Linear(8, 16), nn.Linear(16, 1))
    model.fit(*data(), batch_size=64, validation_data=data(16), verbose=0)
    assert seen == [(64, 1), (16, 2)]


def test_the_number_returns_after_an_error():
    model, seen = counted(nn.Linear(8, 16), nn.Linear(16, 1))
    stop = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(*data(), verbose=0, callbacks=stop)
    assert seen[0][1] == 1
    assert torch.get_num_threads() == 2


def test_a_number_that_a_callback_sets_stays():
    model, _ = counted(nn.Linear(8, 16), nn.Linear(16, 1))
    change = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: torch.set_num_threads(3))
    model.fit(*data(32), verbose=0, callbacks=change)
    assert torch.get_num_threads() == 3


def test_one_thread_stays_one():
    torch.set_num_threads(1)
    model, seen = counted(nn.Linear(8, 2048), nn.Linear(2048, 1))
    model.fit(*data(), batch_size=32, verbose=0)
    assert {threads for _, threads in seen} == {1}


def test_several_inputs_keep_their_threads():
    a, b = kt.Input((4,)), kt.Input((4,))
    dense = layers.Dense(1)
    model = kt.Model([a, b], dense(layers.concatenate([a, b])))
    model.compile("sgd", "mse")
    seen = []
    dense.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    model.fit([torch.randn(8, 4), torch.randn(8, 4)], torch.randn(8, 1), verbose=0)
    assert set(seen) == {2}


def test_callbacks_see_the_threads_of_before():
    model, _ = counted(nn.Linear(8, 16), nn.Linear(16, 1))
    seen = []
    note = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(torch.get_num_threads()))
    model.fit(*data(), verbose=0, callbacks=note)
    assert seen == [2, 2]


def test_a_single_batch_is_trained_on_in_one_thread_too():
    model, seen = counted(nn.Linear(8, 16), nn.Linear(16, 1))
    model.train_on_batch(*data(16))
    assert seen == [(16, 1)]
    assert torch.get_num_threads() == 2


def test_fits_together_have_the_numbers_of_single_fits():
    def task(member):
        torch.manual_seed(member)
        model = kt.Sequential([kt.Input((8,)), layers.Dense(15, "tanh"), layers.Dense(1)])
        model.compile("adam", "mse")
        x, y = data(96)
        return FitTask(model, {"x": x, "y": y, "batch_size": 32, "epochs": 3, "verbose": 0}, capture_rng_states())

    alone, together = [task(one) for one in range(3)], [task(one) for one in range(3)]
    for one in alone:
        restore_rng_states(one.rng_states)
        one.model.fit(**one.arguments)
    train_together(together)
    for one, other in zip(alone, together, strict=True):
        for expected, found in zip(one.model.parameters(), other.model.parameters(), strict=True):
            assert torch.equal(expected, found)


def test_a_fit_has_the_numbers_of_a_loop_in_one_thread():
    x, y = data(96)
    model, _ = counted(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    by_hand = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    by_hand.load_state_dict(model.state_dict())
    model.fit(x, y, batch_size=32, shuffle=False, verbose=0)
    torch.set_num_threads(1)
    optimizer = torch.optim.SGD(by_hand.parameters(), 0.01)
    for rows, targets in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        nn.functional.mse_loss(by_hand(rows), targets).backward()
        optimizer.step()
    for one, other in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(one, other)
