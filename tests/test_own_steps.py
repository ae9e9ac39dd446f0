"""Steps of one's own: those that repeat the default give its bits, for all data, containers and spellings."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from tests.support.slow import mostly_slow

X = torch.randn(44, 3, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()
WEIGHTS = torch.linspace(0.5, 2.0, 44)


class ByBatch:
    """The default step with the three entries of a batch."""

    def train_step(self, batch):
        x, y, sample_weight = batch
        y_pred = self(x)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        self.trainer.backward_and_step(loss)
        self.compute_metrics(x, y, y_pred, sample_weight)
        return {"loss": loss}

    def test_step(self, batch):
        y_pred = self(batch.x)
        loss = self.compute_loss(batch.x, batch.y, y_pred, batch.sample_weight)
        self.compute_metrics(batch.x, batch.y, y_pred, batch.sample_weight)
        return {"loss": loss}


class ByData:
    """The default step of Keras 3: the structure of the data, and what `compute_metrics` returns."""

    def train_step(self, data):
        x, y, sample_weight = kt.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
        self.trainer.backward_and_step(loss)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def test_step(self, data):
        x, y, sample_weight = kt.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x)
        self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


class ByLength:
    """The steps of Keras' guide: `len(data)`, and `self.metrics` by name."""

    def _unpack(self, data):
        if len(data) == 3:
            return data
        x, y = data
        return x, y, None

    def _logs(self, loss, y, y_pred):
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def train_step(self, data):
        x, y, sample_weight = self._unpack(data)
        y_pred = self(x)
        loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)
        self.trainer.backward_and_step(loss)
        return self._logs(loss, y, y_pred)

    def test_step(self, data):
        x, y, sample_weight = self._unpack(data)
        y_pred = self(x)
        return self._logs(self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight), y, y_pred)


class BySuper:
    """The inherited steps, called with what the step was given."""

    def train_step(self, data):
        return super().train_step(data)

    def test_step(self, data):
        return super().test_step(data)


class Default:
    """Nothing of one's own."""


OWN = [ByBatch, ByData, ByLength, BySuper]


def _layers():
    return [
        kt.layers.Dense(8, "relu", kernel_regularizer="l2"),
        kt.layers.Dropout(0.2),
        kt.layers.Dense(2, "softmax", activity_regularizer="l1"),
    ]


def _sequential(steps):
    return type("Own", (steps, kt.Sequential), {})(_layers())


def _functional(steps):
    x = inputs = kt.Input((3,))
    for layer in _layers():
        x = layer(x)
    return type("Own", (steps, kt.Model), {})(inputs, x)


def _view(steps):
    return type("Own", (steps, kt.Model), {})(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(1)))


def _subclass(steps):
    class Own(steps, kt.Model):
        def __init__(self):
            super().__init__()
            self.chain = kt.Sequential(_layers())

        def forward(self, x):
            self.add_loss(0.1 * x.square().mean())
            return self.chain(x)

    return Own()


def _arrays():
    return (X, Y), {}


def _weighted():
    return (X, Y), {"sample_weight": WEIGHTS}


def _class_weights():
    return (X, Y), {"class_weight": {0: 1.0, 1: 3.0}}


def _loader():
    return (DataLoader(TensorDataset(X, Y), 8),), {}


def _weighted_generator():
    return (lambda: ((X[i : i + 8], Y[i : i + 8], WEIGHTS[i : i + 8]) for i in range(0, 44, 8)),), {}


def trained(container, steps, data, *, jit=False):
    """Return logs, results of an evaluation, and weights after two epochs."""
    kt.utils.set_random_seed(3)
    model = container(steps)
    model.compile(kt.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit)
    arguments, options = data()
    batch = {"batch_size": 8} if len(arguments) == 2 else {}
    history = model.fit(*arguments, epochs=2, verbose=0, validation_data=(X, Y), **batch, **options).history
    options.pop("class_weight", None)
    values = model.evaluate(*arguments, verbose=0, return_dict=True, **options, **batch)
    return dict(history), values, [weight.detach().clone() for weight in model.parameters()]


@pytest.mark.parametrize("data", [_arrays, _weighted, _class_weights, _loader, _weighted_generator])
@pytest.mark.parametrize("container", [_sequential, _functional, _view, _subclass])
def test_steps_that_repeat_the_default_give_its_bits(container, data):
    expected = trained(container, Default, data)
    for steps in OWN:
        history, values, weights = trained(container, steps, data)
        for name, curve in history.items():
            assert curve == expected[0][name], (steps, name)
        for name in values:
            assert values[name] == expected[1][name], (steps, name)
        assert all(torch.equal(one, other) for one, other in zip(weights, expected[2], strict=True)), steps
        if steps is not ByBatch:  # which returns the loss alone, without its parts
            assert set(history) == set(expected[0])


@pytest.mark.parametrize("steps", mostly_slow([ByBatch, ByData, ByLength], ByData))
@pytest.mark.parametrize("container", mostly_slow([_sequential, _view], _view))
def test_steps_that_repeat_the_default_are_compiled_as_it_is(container, steps):
    """The compiled graph is that of the default; a fit that is slower compiled than eager falls back with a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "jit_compile: training continues uncompiled: a compiled step takes")
        expected = trained(container, Default, _arrays)
        history, _, weights = trained(container, steps, _arrays, jit=True)
    assert history["loss"] == pytest.approx(expected[0]["loss"], rel=1e-4)
    assert history["accuracy"] == pytest.approx(expected[0]["accuracy"], abs=1 / 44 + 1e-6)
    for one, other in zip(weights, expected[2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_train_on_batch_and_test_on_batch_call_the_same_steps():
    found = []
    for steps in (Default, *OWN):
        kt.utils.set_random_seed(3)
        model = _sequential(steps)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        logs = [model.train_on_batch(X, Y, return_dict=True), model.test_on_batch(X, Y, return_dict=True)]
        found.append([[one["loss"], one["accuracy"]] for one in logs])
    assert all(one == found[0] for one in found)


class Seen(kt.Model):
    """A model that stores what its steps are given."""

    def __init__(self):
        super().__init__()
        self.layer, self.data = nn.Linear(3, 2), []

    def forward(self, x):
        return self.layer(x[0] if isinstance(x, tuple) else x)

    def train_step(self, data):
        self.data.append(data)
        return {}

    def test_step(self, data):
        self.data.append(data)
        return {}

    def predict_step(self, data):
        self.data.append(data)
        return self(data)


def test_a_parameter_called_data_gets_the_structure_of_the_data():
    model = Seen()
    model.compile("sgd")
    for arguments in ({"x": X}, {"x": X, "y": Y}, {"x": X, "y": Y, "sample_weight": WEIGHTS}, {"x": (X, X)}):
        model.fit(**arguments, batch_size=44, shuffle=False, verbose=0)
        model.evaluate(**arguments, batch_size=44, verbose=0)
    alone, _, pair, _, triple, _, within, _ = model.data
    assert torch.equal(alone, X)
    assert [len(one) for one in (pair, triple, within)] == [2, 3, 1]
    assert torch.equal(pair[1], Y)
    assert torch.equal(triple[2], WEIGHTS)
    assert torch.equal(within[0][1], X)
    model.predict(X, batch_size=44, verbose=0)
    assert torch.equal(model.data[-1], X)


def test_class_weights_are_a_third_entry_of_data():
    model = Seen()
    model.compile("sgd")
    model.fit(X, Y, batch_size=44, shuffle=False, verbose=0, class_weight={0: 1.0, 1: 3.0})
    assert torch.equal(model.data[-1][2], torch.where(Y == 1, 3.0, 1.0))


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_two_names_for_a_batch_of_three_explain_the_parameter(verb):
    class Two(kt.Sequential):
        def train_step(self, batch):
            x, y = batch
            return {"loss": self.compute_loss(x, y, self(x))}

        test_step = train_step

    model = Two([kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy")
    step = "train_step" if verb in ("fit", "train_on_batch") else "test_step"
    with pytest.raises(ValueError, match=rf"three entries.*x, y, sample_weight = batch.*def {step}\(self, data\)"):
        getattr(model, verb)(X, Y)


def test_three_names_for_data_without_weights_explain_the_helper():
    class Three(kt.Sequential):
        def train_step(self, data):
            x, y, sample_weight = data
            return {"loss": self.compute_loss(x, y, self(x), sample_weight)}

    model = Three([kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy")
    with pytest.raises(ValueError, match=r"The data of this pass are \(x, y\)\..*unpack_x_y_sample_weight\(data\)"):
        model.fit(X, Y, verbose=0)


def test_an_unpacking_error_of_another_function_is_left_alone():
    class Other(kt.Sequential):
        def train_step(self, batch):
            return {"loss": self._helper((1, 2, 3))}

        def _helper(self, three):
            a, b = three
            return a + b

    model = Other([kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy")
    with pytest.raises(ValueError, match="too many values to unpack") as caught:
        model.fit(X, Y, verbose=0)
    assert "batch" not in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "train_step returned None; return a dict"),
        (torch.tensor(1.0), "train_step returned a tensor; return a dict"),
        (0.5, "train_step returned a float; return a dict"),
        ([1.0], "train_step returned a list; return a dict"),
        ({"loss": "small"}, "train_step returned 'small' as 'loss'"),
        ({"loss": None}, "train_step returned None as 'loss'"),
        ({1: 0.5}, "logs with the name 1"),
    ],
)
def test_logs_that_are_no_numbers_by_name_are_refused(returned, message):
    class Wrong(kt.Sequential):
        def train_step(self, batch):
            return returned

    model = Wrong([kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy")
    with pytest.raises(TypeError, match=re.escape(message)):
        model.fit(X, Y, verbose=0)


def test_a_log_with_the_name_of_a_compiled_metric_is_refused():
    class Clash(kt.Sequential):
        def train_step(self, batch):
            logs = super().train_step(batch)
            return {**logs, "accuracy": torch.tensor(1.0)}

    model = Clash([kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match="train_step returns 'accuracy', and so does a metric of compile"):
        model.fit(X, Y, verbose=0)


def test_words_of_keras_that_torch_lacks_are_explained(monkeypatch):
    monkeypatch.delattr(torch.nn.Parameter, "value", raising=False)  # kerastorch.keras adds it

    class Keras(kt.Sequential):
        def train_step(self, data):
            x, y = data
            loss = self.compute_loss(y=y, y_pred=self(x))
            self.zero_grad()
            loss.backward()
            gradients = [weight.value.grad for weight in self.trainable_weights]
            self.optimizer.apply(gradients, self.trainable_weights)
            return {"loss": loss}

    class Scales(kt.Sequential):
        def train_step(self, data):
            x, y = data
            loss = self.compute_loss(y=y, y_pred=self(x))
            self.optimizer.scale_loss(loss).backward()
            return {"loss": loss}

    messages = {Keras: "write weight for weight.value", Scales: r"self\.trainer\.backward_and_step\(loss\)"}
    for kind, message in messages.items():
        model = kind([kt.layers.Dense(2)])
        model.compile("sgd", "cross_entropy")
        with pytest.raises(AttributeError, match=message):
            model.fit(X, Y, verbose=0)


# --- compute_loss -----------------------------------------------------------------------------------------------------


def test_compute_loss_may_take_training_or_not():
    class Takes(kt.Sequential):
        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            self.seen = [*getattr(self, "seen", []), training]
            return super().compute_loss(x, y, y_pred, sample_weight, training=training)

    class TakesNot(kt.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight)

    values = []
    for kind in (kt.Sequential, Takes, TakesNot):
        kt.utils.set_random_seed(0)
        model = kind([kt.layers.Dense(2)])
        model.compile("sgd", "cross_entropy")
        model.fit(X, Y, batch_size=44, verbose=0)
        values.append(model.evaluate(X, Y, batch_size=44, verbose=0))
        if kind is Takes:
            assert model.seen == [True, False]
    assert values[0] == values[1] == values[2]


def test_a_loss_of_ones_own_is_logged_by_compute_metrics():
    class Doubles(kt.Sequential):
        def compute_loss(self, *args, **kwargs):
            return 2 * super().compute_loss(*args, **kwargs)

        def train_step(self, data):
            x, y = data
            y_pred = self(x)
            self.trainer.backward_and_step(self.compute_loss(y=y, y_pred=y_pred))
            return self.compute_metrics(x, y, y_pred)

        def test_step(self, data):
            x, y = data
            y_pred = self(x)
            self.compute_loss(y=y, y_pred=y_pred)
            return self.compute_metrics(x, y, y_pred)

    kt.utils.set_random_seed(0)
    model = Doubles([kt.Input((3,)), kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    with torch.no_grad():
        expected = 2 * nn.functional.cross_entropy(model(X), Y).item()
    assert model.test_on_batch(X, Y, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-6)
    assert model.train_on_batch(X, Y, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-6)


def test_a_compute_loss_that_returns_nothing_is_explained():
    class Forgets(kt.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            super().compute_loss(x, y, y_pred, sample_weight)

    model = Forgets([kt.layers.Dense(2)])
    model.compile("sgd", "cross_entropy")
    with pytest.raises(TypeError, match=r"Forgets\.compute_loss returned None; return the loss"):
        model.fit(X, Y, verbose=0)


def test_the_masks_of_the_batch_are_used_where_a_step_leaves_the_inputs_out():
    tokens = torch.tensor([[1, 2, 0, 0], [3, 1, 2, 0], [2, 2, 2, 2]])
    labels = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]])

    class Own(kt.Sequential):
        def test_step(self, data):
            x, y = data
            y_pred = self(x)
            for metric in self.metrics[1:]:
                metric.update_state(y, y_pred)
            return {"loss": self.compute_loss(y=y, y_pred=y_pred)}

    found = []
    for kind in (kt.Sequential, Own):
        kt.utils.set_random_seed(0)
        model = kind([kt.layers.Embedding(5, 4, mask_zero=True), kt.layers.Dense(2, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        found.append(model.evaluate(tokens, labels, verbose=0, return_dict=True))
    assert found[0] == found[1]
    with torch.no_grad():
        p = model(tokens)[tokens != 0]
    expected = nn.functional.nll_loss(p.log(), labels[tokens != 0]).item()
    assert found[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_packing_and_unpacking_are_inverse():
    arrays = [np.zeros(1), np.ones(1), np.full(1, 2.0)]
    for count in (1, 2, 3):
        unpacked = kt.utils.unpack_x_y_sample_weight(kt.utils.pack_x_y_sample_weight(*arrays[:count]))
        assert all(one is other for one, other in zip(unpacked, [*arrays[:count], None, None], strict=False))
    with pytest.raises(ValueError, match="got 4 entries"):
        kt.utils.unpack_x_y_sample_weight((1, 2, 3, 4))


# --- compiled steps ---------------------------------------------------------------------------------------------------


class Counts(kt.Sequential):
    """A step that counts in a tensor that is no buffer."""

    def train_step(self, data):
        x, y = data
        self.count += 1
        loss = self.compute_loss(x, y, self(x))
        self.trainer.backward_and_step(loss)
        return {"loss": loss}


class Epochs(kt.Sequential):
    """A loss that depends on the epoch."""

    def train_step(self, data):
        x, y = data
        loss = (1 + self.trainer.state.epoch) * self.compute_loss(x, y, self(x))
        self.trainer.backward_and_step(loss)
        return {"loss": loss}


class Rate(kt.Sequential):
    """A loss that depends on the learning rate."""

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(x, y, self(x)) * (1 + self.optimizer.param_groups[0]["lr"])
        self.trainer.backward_and_step(loss)
        return {"loss": loss}


class Steps(kt.Sequential):
    """A step of another optimizer."""

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(x, y, self(x))
        self.other.zero_grad()
        loss.backward()
        self.other.step()
        return {"loss": loss}


class Reads(kt.Sequential):
    """A loss that depends on its value."""

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(x, y, self(x))
        self.trainer.backward_and_step(2 * loss if loss > 0.6 else loss)
        return {"loss": loss}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Counts, "Counts changes its attribute 'count'"),
        (Epochs, "Epochs.train_step is your own and reads trainer.state"),
        (Rate, "Rate.train_step is your own and uses the optimizer itself"),
        (Steps, r"Steps.train_step is your own and calls SGD.step\(\) itself"),
        (Reads, "reads the value of a tensor"),
    ],
)
def test_steps_that_a_graph_would_not_repeat_run_uncompiled_with_the_same_bits(kind, reason):
    found = []
    for jit in (False, True):
        kt.utils.set_random_seed(0)
        model = kind([kt.Input((3,)), kt.layers.Dense(2)])
        model.count = torch.zeros(())
        model.other = torch.optim.SGD(model.parameters(), 0.1)
        model.compile(kt.optimizers.Adam(0.01), "cross_entropy", jit_compile=jit)
        if jit:
            with pytest.warns(UserWarning, match=reason):
                history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
        else:
            history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
        found.append((dict(history.history), [one.clone() for one in model.parameters()], model.count.item()))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(one, other) for one, other in zip(found[0][1], found[1][1], strict=True))
    assert found[0][2] == found[1][2]


def test_an_attribute_that_a_callback_changes_is_no_constant_of_a_compiled_step():
    class Anneals(kt.Sequential):
        beta = 0.0

        def compute_loss(self, x, y, y_pred, sample_weight=None):
            return nn.functional.cross_entropy(y_pred, y) + self.beta * y_pred.square().mean()

    found = []
    for jit in (False, True):
        kt.utils.set_random_seed(0)
        model = Anneals([kt.Input((3,)), kt.layers.Dense(2)])
        model.compile(kt.optimizers.Adam(0.01), jit_compile=jit)
        anneal = kt.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs, to=model: setattr(to, "beta", epoch / 2)
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "jit_compile: training continues uncompiled: a compiled step takes")
            found.append(model.fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[anneal]).history["loss"])
    assert found[1] == pytest.approx(found[0], rel=1e-5)


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 2)

    def forward(self, left, right):
        return self.dense(left + right)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ({"left": X, "right": X}, r"Write self\(\*\*x\) in a step of your own"),
        ((X, X), r"Write self\(\*x\) in a step of your own"),
        ({"left": X}, "The batch has the inputs 'left' alone"),
        ({"left": X, "rihgt": X}, "The batch is a dict with 'rihgt', which"),
    ],
    ids=["dict", "tuple", "too few", "another name"],
)
@pytest.mark.parametrize("own", [True, False])
def test_inputs_that_a_model_lacks_are_explained(own, x, sentence):
    model = (type("Own", (ByData, kt.Model), {}) if own else kt.Model)(Sum())
    model.compile("sgd", "cross_entropy")
    if not own and "self" in sentence:  # the default step passes these inputs by name and by position
        model.fit(x, Y, verbose=0)
        return
    with pytest.raises(TypeError, match=sentence):
        model.fit(x, Y, verbose=0)
