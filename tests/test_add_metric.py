"""`add_metric`: a value of a layer is logged as its mean over the epoch."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt

X = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


class Watched(kt.layers.Layer):
    def __init__(self, name_in_logs="largest", loss=0.0):
        super().__init__()
        self.name_in_logs, self.loss, self.supports_masking = name_in_logs, loss, True

    def forward(self, x):
        self.add_metric(x.amax(-1), name=self.name_in_logs)
        if self.loss:
            self.add_loss(torch.as_tensor(self.loss))
        return x


def model_of(*layers, **options):
    model = kt.Sequential([kt.Input((3,)), *layers])
    model.compile("sgd", "mse", **options)
    return model


@pytest.mark.parametrize("batch_size", [1, 7, 50])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_mean_over_the_rows_is_logged_in_training_and_validation(batch_size, jit_compile):
    if jit_compile and batch_size != 7:
        pytest.skip("once is enough")
    model = model_of(Watched(), kt.layers.Dense(1), jit_compile=jit_compile)
    history = model.fit(X, Y, validation_data=(2 * X, Y), batch_size=batch_size, verbose=0).history
    assert history["largest"][0] == pytest.approx(X.max(1).mean(), rel=1e-5)
    assert history["val_largest"][0] == pytest.approx(2 * X.max(1).mean(), rel=1e-5)
    assert "data_loss" not in history
    assert model.test_on_batch(X, Y, return_dict=True)["largest"] == pytest.approx(X.max(1).mean(), rel=1e-5)


def test_layers_of_one_name_are_averaged_and_others_apart():
    model = model_of(Watched(), Watched("other"), kt.layers.Rescaling(3.0), Watched(), kt.layers.Dense(1))
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["largest"] == pytest.approx(2 * X.max(1).mean(), rel=1e-5)
    assert logs["other"] == pytest.approx(X.max(1).mean(), rel=1e-5)


def test_it_changes_no_loss():
    plain = model_of(kt.layers.Dense(1, kernel_initializer="ones"))
    watched = model_of(Watched(), kt.layers.Dense(1, kernel_initializer="ones"))
    assert watched.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == plain.evaluate(X, Y, verbose=0)
    both = model_of(Watched(loss=2.0), kt.layers.Dense(1, kernel_initializer="ones"))
    logs = both.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["loss"] - logs["data_loss"] == pytest.approx(2.0)
    assert logs["largest"] == pytest.approx(X.max(1).mean(), rel=1e-5)


def test_a_model_with_several_outputs_and_masks_may_call_it_too():
    class Two(kt.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x):
            self.add_metric(x.mean(-1), name="mean")
            return {"a": self.first(x), "b": self.second(x)}

    model = Two()
    model.compile("sgd", {"a": "mse", "b": "mse"})
    assert model.evaluate(X, {"a": Y, "b": Y}, verbose=0, return_dict=True)["mean"] == pytest.approx(X.mean(), rel=1e-4)
    steps = np.where(np.arange(5)[None, :, None] < 3, X[:10, None], 0)
    masked = kt.Sequential([kt.Input((5, 3)), kt.layers.Masking(), Watched(), kt.layers.Dense(1)])
    masked.compile("sgd", "mse")
    found = masked.evaluate(steps, np.zeros((10, 5, 1)), verbose=0, return_dict=True)["largest"]
    assert found == pytest.approx(steps.max(-1).mean(), rel=1e-5)


def test_outside_of_a_pass_it_has_no_effect_and_without_a_name_it_is_an_error():
    layer = Watched()
    assert torch.equal(layer(torch.ones(2, 3)), torch.ones(2, 3))
    with pytest.raises(ValueError, match="add_metric needs a name for the logs"):
        layer.add_metric(torch.ones(2), name="")


@pytest.mark.parametrize("name", ["loss", "data_loss", "learning_rate", "val_loss"])
def test_a_name_of_another_log_is_an_error(name):
    with pytest.raises(ValueError, match=f"a metric cannot be called '{name}'"):
        model_of(Watched(name), kt.layers.Dense(1))


def test_a_metric_of_a_layer_has_no_rows_of_a_model_that_is_put_together():
    class Watched(kt.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = kt.layers.Dense(1, kernel_initializer="ones")
            self.seen = kt.metrics.Mean(name="seen")
            self.right = kt.metrics.BinaryAccuracy(name="right")

        def forward(self, x, y):
            out = self.dense(x)
            self.seen.update_state(out)
            self.right.update_state(y, out)
            return out

    x, y, watched = kt.Input((2,)), kt.Input((1,)), Watched()
    model = kt.Model([x, y], watched(x, y))
    assert float(watched.seen.result()) == float(watched.right.result()) == 0
    model([torch.ones(2, 2), torch.ones(2, 1)])
    assert (float(watched.seen.result()), float(watched.right.result())) == (2, 1)
