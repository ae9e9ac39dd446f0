"""One model in several threads: what runs at once is right, what cannot be is refused, and nothing hangs."""

import contextlib
import threading

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback

_SECONDS = 20  # no thread of these tests takes as long, unless it hangs


def _data(rows=40):
    kt.utils.set_random_seed(0)
    x = torch.randn(rows, 3)
    return x, (x[:, 0] > 0).long()


def _model(*layers):
    kt.utils.set_random_seed(0)
    model = kt.Sequential([kt.Input((3,)), *layers] if layers else [kt.Input((3,)), kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    return model


def _together(*functions):
    """Run all at once; what they returned or raised."""
    found = [None] * len(functions)

    def run(number):
        try:
            found[number] = functions[number]()
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_SECONDS)
        assert not thread.is_alive(), "a thread hangs"
    return found


class _Within(Callback):
    """Calls a function in the middle of a fit, while that runs."""

    def __init__(self, function):
        self.function = function

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self.found = self.function()


@pytest.mark.parametrize("verb", ["predict", "evaluate", "train_on_batch", "test_on_batch", "fit", "export"])
def test_every_verb_in_another_thread_is_refused_while_fit_runs(verb, tmp_path):
    x, y = _data()
    model = _model()
    call = {
        "predict": lambda: model.predict(x, verbose=0),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(x, y),
        "test_on_batch": lambda: model.test_on_batch(x, y),
        "fit": lambda: model.fit(x, y, verbose=0),
        "export": lambda: model.export(tmp_path / "model.pt2", verbose=False),
    }[verb]
    within = _Within(lambda: _together(call)[0])
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[within])
    assert isinstance(within.found, RuntimeError)
    assert "running" in str(within.found)
    call()  # afterwards it is free


def test_a_model_that_shares_a_layer_is_refused_too_and_another_model_is_not():
    x, y = _data()
    shared = nn.Linear(3, 3)
    model, other, stranger = _model(shared, nn.Linear(3, 2)), kt.Model(shared), kt.Model(nn.Linear(3, 3))
    within = _Within(lambda: _together(lambda: other.predict(x, verbose=0), lambda: stranger.predict(x, verbose=0)))
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[within])
    assert isinstance(within.found[0], RuntimeError)
    assert isinstance(within.found[1], np.ndarray)


def test_callbacks_of_a_fit_evaluate_and_predict():
    x, y = _data()
    model = _model()
    within = _Within(lambda: (model.evaluate(x, y, verbose=0), model.predict(x, verbose=0), model.test_on_batch(x, y)))
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[within])
    assert len(within.found) == 3


def test_a_generator_that_predicts_in_a_thread_of_its_own_does_not_hang():
    x, y = _data()
    model = _model()

    def batches():
        for _ in range(3):
            (found,) = _together(lambda: model.predict(x, verbose=0))
            if isinstance(found, Exception):
                raise found
            yield x, y

    (found,) = _together(lambda: model.fit(batches(), verbose=0))
    assert isinstance(found, RuntimeError)
    assert "refused" in str(found)


def test_fit_is_the_same_with_predictions_in_another_thread():
    x, y = _data(400)
    layers = [nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)]
    alone, watched = _model(*layers), None
    start = {name: value.clone() for name, value in alone.state_dict().items()}

    def train():
        kt.utils.set_random_seed(1)
        watched.load_state_dict(start)
        watched.fit(x, y, batch_size=8, epochs=3, verbose=0)
        return {name: value.clone() for name, value in watched.state_dict().items()}

    def predict():
        for _ in range(100):
            with contextlib.suppress(RuntimeError):  # refused while fit runs
                watched.predict(x[:8], verbose=0)

    watched = alone
    (expected,) = _together(train)
    watched.compile("sgd", "cross_entropy", metrics=["accuracy"])
    found, *others = _together(train, predict, predict)
    assert others == [None, None]
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_evaluate_in_several_threads_gives_the_same_numbers():
    x, y = _data()
    model = _model()
    expected = model.evaluate(x, y, batch_size=4, verbose=0)

    def evaluate():
        return [model.evaluate(x, y, batch_size=4, verbose=0) for _ in range(10)]

    def one_batch():
        return [model.test_on_batch(x, y) for _ in range(10)]

    for found in _together(evaluate, evaluate, evaluate, one_batch):
        for one in found:
            np.testing.assert_allclose(one, expected, rtol=1e-6)


def test_steps_in_several_threads_are_each_made():
    x, y = _data()
    model = _model()
    model.compile(torch.optim.Adam(model.parameters()), "cross_entropy")
    _together(*[lambda: [model.train_on_batch(x, y) for _ in range(10)]] * 3)
    assert {int(state["step"]) for state in model.optimizer.state.values()} == {30}


@pytest.mark.parametrize("ending", ["softmax", nn.Softmax(-1)], ids=["function", "module"])
def test_predictions_beside_an_evaluation_change_neither(ending):
    """The loss is computed from logits, which one thread hears of: those of a saturated softmax are only there."""
    x, y = _data()
    last = [kt.layers.Dense(2, ending)] if isinstance(ending, str) else [kt.layers.Dense(2), ending]
    model = _model(*last)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with torch.no_grad():
        model[0].weight.mul_(1000.0)
    loss = nn.functional.cross_entropy(x @ model[0].weight.detach().T, y)
    outputs = model.predict(x, verbose=0)
    found = _together(
        lambda: [model.evaluate(x, y, batch_size=2, verbose=0)[0] for _ in range(10)],
        *[lambda: [model.predict(x, verbose=0) for _ in range(60)]] * 2,
    )
    np.testing.assert_allclose(found[0], float(loss), rtol=1e-5)
    for some in found[1:]:
        assert all(np.array_equal(one, outputs) for one in some)


def test_predictions_beside_an_evaluation_add_nothing_to_its_loss():
    class Charging(kt.layers.Layer):
        def forward(self, x):
            self.add_loss(x.square().mean())
            return x

    x, y = _data()
    model = _model(Charging(), kt.layers.Dense(2, activity_regularizer="l2"))
    expected = model.evaluate(x, y, batch_size=4, verbose=0)
    found = _together(
        lambda: [model.evaluate(x, y, batch_size=4, verbose=0) for _ in range(10)],
        lambda: [model.predict(x, verbose=0) for _ in range(100)],
    )
    np.testing.assert_allclose(found[0], [expected] * 10, rtol=1e-6)


def test_the_first_predictions_of_an_unbuilt_model_build_it_once():
    x, _ = _data()
    kt.utils.set_random_seed(0)
    model = kt.Sequential([kt.layers.Dense(8, "relu"), kt.layers.Dense(2)])
    found = _together(*[lambda: model.predict(x, verbose=0)] * 6)
    expected = model.predict(x, verbose=0)
    assert all(np.array_equal(one, expected) for one in found)


def test_threads_that_wait_for_each_other_are_told_so(monkeypatch):
    from kerastorch.runtime import model_lock

    monkeypatch.setattr(model_lock, "MAX_WAIT", 0.2)
    x, y = _data()
    model = _model()

    def batches():
        (found,) = _together(lambda: model.evaluate(x, y, verbose=0))
        assert isinstance(found, RuntimeError)
        assert "evaluate() is running" in str(found)
        yield x, y

    model.evaluate(batches(), verbose=0)
