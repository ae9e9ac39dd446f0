"""Metric objects that a model holds: their results are logged as they are, and each pass begins anew."""

import signal

import pytest
import torch
from torch import nn

import kerastorch as kt

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


class Largest:
    """The largest value so far: no mean of batches."""

    def __init__(self, name="largest"):
        self.name, self.value = name, torch.tensor(-1.0)

    def update_state(self, value):
        self.value = torch.maximum(self.value, value.detach().reshape(()))

    def result(self):
        return self.value

    def reset_state(self):
        self.value = torch.tensor(-1.0)


class Average:
    """Keras' `Mean`: the mean of the values of all batches."""

    def __init__(self, name):
        self.name, self.total, self.count = name, 0.0, 0

    def update_state(self, value):
        self.total, self.count = self.total + value.detach(), self.count + 1

    def result(self):
        return self.total / max(self.count, 1)

    def reset_state(self):
        self.total, self.count = 0.0, 0


class Tracking(kt.Sequential):
    """A model that tracks its loss, and the largest row sum of the inputs, under other names than those in the logs."""

    def __init__(self):
        super().__init__([kt.Input((3,)), kt.layers.Dense(1, kernel_initializer="zeros")])
        self.tracker, self.largest = Average("total"), Largest()

    def train_step(self, data):
        x, y = data
        loss = self.compute_loss(y=y, y_pred=self(x))
        self.trainer.backward_and_step(loss)
        self.tracker.update_state(loss)
        self.largest.update_state(x.sum(1).max())
        return {"loss": self.tracker.result(), "top": self.largest.result(), "rows": len(x)}

    def test_step(self, data):
        x, y = data
        self.largest.update_state(x.sum(1).max())
        return {"loss": self.compute_loss(y=y, y_pred=self(x)), "top": self.largest.result()}


def test_results_are_logged_as_their_last_value_and_numbers_as_their_mean():
    model = Tracking()
    model.compile(kt.optimizers.SGD(1e-12), "mse")
    logs = model.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0, validation_data=(X[:8], Y[:8])).history
    parts = [Y[i : i + 16].square().mean().item() for i in (0, 16, 32)]
    assert logs["loss"] == pytest.approx([sum(parts) / 3] * 2, rel=1e-5)  # Keras' mean of batches, not of rows
    assert logs["top"] == pytest.approx([X.sum(1).max().item()] * 2, rel=1e-6)
    assert logs["rows"] == pytest.approx([(16 * 16 + 16 * 16 + 8 * 8) / 40] * 2)
    assert logs["val_top"] == pytest.approx([X[:8].sum(1).max().item()] * 2, rel=1e-6)


def test_a_validation_leaves_the_metrics_of_the_epoch_as_they_were():
    model = Tracking()
    model.compile(kt.optimizers.SGD(1e-12), "mse")
    seen = []

    def look(epoch, logs):
        seen.append((float(model.largest.result()), logs["val_top"]))

    def evaluate(batch, logs):
        model.evaluate(X[:4], Y[:4], verbose=0)

    callback = kt.callbacks.LambdaCallback(on_epoch_end=look, on_train_batch_end=evaluate)
    model.fit(X, Y, batch_size=16, verbose=0, validation_data=(X[:8], Y[:8]), callbacks=[callback])
    assert seen == [(pytest.approx(X.sum(1).max().item()), pytest.approx(X[:8].sum(1).max().item()))]


def test_results_after_evaluate_are_those_of_the_evaluation():
    model = Tracking()
    model.compile(kt.optimizers.SGD(1e-12), "mse")
    model.evaluate(X[:8], Y[:8], verbose=0)
    assert float(model.largest.result()) == pytest.approx(X[:8].sum(1).max().item())


class Adversary(kt.Model):
    """Keras' guide to GANs: the property `metrics` lists what is reset."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.d_loss_metric, self.not_listed = Average("d_loss"), Average("not_listed")

    @property
    def metrics(self):
        return [self.d_loss_metric]

    def forward(self, x):
        return self.layer(x)

    def train_step(self, real):
        if isinstance(real, tuple):
            real = real[0]
        loss = self(real).square().mean()
        self.trainer.backward_and_step(loss)
        self.d_loss_metric.update_state(torch.tensor(1.0))
        self.not_listed.update_state(torch.tensor(1.0))
        return {"d_loss": self.d_loss_metric.result()}


def test_an_overridden_property_says_what_is_reset():
    model = Adversary()
    model.compile("sgd")
    logs = model.fit(X, batch_size=10, epochs=3, verbose=0).history
    assert logs["d_loss"] == [1.0, 1.0, 1.0]
    assert model.d_loss_metric.count == 4
    assert model.not_listed.count == 12


def test_the_example_of_keras_that_tracks_its_loss_in_compute_loss_works():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.loss_tracker, self.layer = Average("loss"), nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x)

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            loss = ((y_pred - y) ** 2).mean() + sum(self.losses)
            self.loss_tracker.update_state(loss)
            return loss

        @property
        def metrics(self):
            return [self.loss_tracker]

    model = Own()
    model.compile(kt.optimizers.SGD(1e-12))
    with torch.no_grad():
        parts = [((model(X[i : i + 16]) - Y[i : i + 16]) ** 2).mean().item() for i in (0, 16, 32)]
    logs = model.fit(X, Y, batch_size=16, shuffle=False, epochs=2, verbose=0).history
    assert logs["loss"] == pytest.approx([sum(parts) / 3] * 2, rel=1e-5)
    assert float(model.loss_tracker.result()) == pytest.approx(sum(parts) / 3, rel=1e-5)


def test_a_compute_metrics_of_ones_own_adds_results_to_the_default_step():
    class Own(kt.Sequential):
        def __init__(self, layers):
            super().__init__(layers)
            self.custom = Largest("custom")

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            self.custom.update_state(y.max())
            results["custom"] = self.custom.result()
            return results

    model = Own([kt.layers.Dense(1)])
    model.compile(kt.optimizers.SGD(1e-12), "mse", metrics=["mae"])
    logs = model.fit(X, Y, batch_size=16, verbose=0, validation_data=(X[:8], Y[:8])).history
    assert set(logs) >= {"loss", "mae", "custom", "val_loss", "val_mae", "val_custom"}
    assert logs["custom"] == [pytest.approx(Y.max().item())]
    assert logs["val_custom"] == [pytest.approx(Y[:8].max().item())]


def test_metrics_lists_loss_compiled_metrics_and_attributes():
    model = Tracking()
    assert [metric.name for metric in model.metrics] == ["total", "largest"]
    model.compile("sgd", "mse", metrics=["mae"])
    assert [metric.name for metric in model.metrics] == ["loss", "compile_metrics", "total", "largest"]
    model.inner = kt.Sequential([kt.layers.Dense(1)])
    model.inner.deep = [Average("deep")]
    assert [metric.name for metric in model.metrics][-1] == "deep"


def test_reading_a_result_within_a_step_gives_the_value_so_far():
    class Reads(kt.Sequential):
        seen = ()

        def train_step(self, data):
            x, y = data
            y_pred = self(x)
            self.trainer.backward_and_step(self.compute_loss(y=y, y_pred=y_pred))
            results = self.compute_metrics(x, y, y_pred)
            self.seen = (*self.seen, float(results["mae"]), (2 * results["mae"]).item())
            return {**results, "double": results["mae"] + results["mae"]}

    model = Reads([kt.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(kt.optimizers.SGD(1e-12), "mse", metrics=["mae"])
    model.fit(X, Y, batch_size=20, shuffle=False, verbose=0)
    first, whole = Y[:20].abs().mean().item(), Y.abs().mean().item()
    assert model.seen == pytest.approx((first, 2 * first, whole, 2 * whole), rel=1e-5)


def test_results_resume_in_the_middle_of_an_epoch(tmp_path):
    def interrupt(batch, logs):
        if batch == 1:
            signal.raise_signal(signal.SIGINT)

    options = {"batch_size": 10, "epochs": 2, "verbose": 0}
    model = Tracking()
    model.compile(kt.optimizers.SGD(0.1), "mse")
    kt.utils.set_random_seed(0)
    expected = model.fit(X, Y, **options).history
    kt.utils.set_random_seed(0)
    model = Tracking()
    model.compile(kt.optimizers.SGD(0.1), "mse")
    stop = kt.callbacks.LambdaCallback(on_train_batch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, **options, resume=tmp_path, callbacks=[stop])
    model = Tracking()
    model.compile(kt.optimizers.SGD(0.1), "mse")
    assert dict(model.fit(X, Y, **options, resume=tmp_path).history) == dict(expected)


@pytest.mark.parametrize("returns", [True, False])
def test_metric_objects_are_no_part_of_a_compiled_step(returns):
    class Own(kt.Sequential):
        def __init__(self):
            super().__init__([kt.Input((3,)), kt.layers.Dense(1, kernel_initializer="zeros")])
            self.tracker = Average("tracked")

        def train_step(self, data):
            x, y = data
            loss = self.compute_loss(y=y, y_pred=self(x))
            self.trainer.backward_and_step(loss)
            self.tracker.update_state(loss)
            return {"loss": loss, "tracked": self.tracker.result()} if returns else {"loss": loss}

    found = []
    for jit in (False, True):
        model = Own()
        model.compile(kt.optimizers.SGD(0.1), "mse", jit_compile=jit)
        options = {"batch_size": 10, "epochs": 2, "shuffle": False, "verbose": 0}
        if jit:
            with pytest.warns(UserWarning, match="Own.train_step is your own and updates the metric object 'tracked'"):
                found.append(dict(model.fit(X, Y, **options).history))
        else:
            found.append(dict(model.fit(X, Y, **options).history))
    assert found[0] == found[1]
