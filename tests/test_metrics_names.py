"""`metrics_names` names what `evaluate` returns."""

import warnings

import pytest
import torch
from torch import nn
from torchmetrics.classification import MulticlassRecall

import kerastorch as kt

X, Y = torch.randn(30, 4), torch.randn(30, 1)


class OwnTest(kt.Model):
    """A model whose evaluation has numbers of its own."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(4, 1)

    def forward(self, x):
        return self.dense(x)

    def test_step(self, batch):
        x, y, _ = batch
        error = self(x) - y
        return {"mae_by_hand": error.abs().mean(), "loss": error.square().mean(), "bias": error.mean()}


def by_hand(model):
    with torch.no_grad():
        error = model(X) - Y
    return {"loss": error.square().mean().item(), "mae_by_hand": error.abs().mean().item(), "bias": error.mean().item()}


def compiled(model, **options):
    model.compile("sgd", "mse", **options)
    return model


@pytest.mark.parametrize(
    "first",
    [
        lambda model: model.evaluate(X, Y, verbose=0),
        lambda model: model.test_on_batch(X, Y),
        lambda model: model.fit(X, Y, validation_data=(X, Y), verbose=0),
        lambda model: model.fit(X, Y, validation_split=0.5, verbose=0),
    ],
    ids=["evaluate", "test_on_batch", "validation_data", "validation_split"],
)
def test_the_names_of_a_test_step_of_ones_own_are_known_after_it_ran(first):
    model = compiled(OwnTest(), metrics=["mae"])
    first(model)
    assert model.metrics_names == ["loss", "mae_by_hand", "bias"]
    found = dict(zip(model.metrics_names, model.evaluate(X, Y, verbose=0), strict=True))
    assert found == pytest.approx(by_hand(model), rel=1e-5)


def test_before_that_the_compiled_names_come_with_a_warning():
    model = compiled(OwnTest(), metrics=["mae"])
    with pytest.warns(UserWarning, match="metrics_names: what a test_step of your own returns is known after"):
        assert model.metrics_names == ["loss", "mae"]


def test_a_new_compile_forgets_the_names():
    model = compiled(OwnTest())
    model.evaluate(X, Y, verbose=0)
    compiled(model)
    with pytest.warns(UserWarning, match="metrics_names"):
        assert model.metrics_names == ["loss"]


def test_a_train_step_of_ones_own_changes_nothing_of_what_evaluate_returns():
    class OwnTrain(OwnTest):
        test_step = kt.Model.test_step

        def train_step(self, batch):
            return {"other": super().train_step(batch)["loss"]}

    model = compiled(OwnTrain(), metrics=["mae"])
    model.fit(X, Y, verbose=0)
    assert model.metrics_names == ["loss", "mae"]
    found = dict(zip(model.metrics_names, model.evaluate(X, Y, verbose=0), strict=True))
    assert found == pytest.approx(
        {name.split("_")[0]: value for name, value in by_hand(model).items() if name != "bias"}
    )


def test_a_metric_of_several_values_has_a_name_for_each():
    labels = torch.arange(30) % 3
    model = kt.Model(nn.Linear(4, 3))
    model.compile("sgd", "cross_entropy", metrics=[MulticlassRecall(3, average=None)])
    values = model.evaluate(X, labels, verbose=0)
    assert len(model.metrics_names) == len(values) == 4
    assert dict(zip(model.metrics_names, values, strict=True)) == model.evaluate(X, labels, verbose=0, return_dict=True)


def test_what_a_callback_adds_to_the_evaluation_is_named():
    model = compiled(kt.Model(nn.Linear(4, 1)))
    adding = kt.callbacks.LambdaCallback(on_test_end=lambda logs: logs.update(extra=7.0))
    values = model.evaluate(X, Y, verbose=0, callbacks=[adding])
    assert dict(zip(model.metrics_names, values, strict=True))["extra"] == 7.0


def test_penalties_are_no_entry_of_their_own():
    model = compiled(kt.Model(nn.Linear(4, 1)), metrics=["mae"], regularizers={"*": kt.regularizers.L2(0.1)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = model.metrics_names
    assert len(model.evaluate(X, Y, verbose=0)) == 2
    assert before == model.metrics_names == ["loss", "mae"]
