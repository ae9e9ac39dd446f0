"""Out of memory: a batch is split into micro-batches that fit, with the numbers of the whole batch, or not at all."""

import copy
import gc
import weakref

import numpy as np
import pytest
import torch
from support.problems import classification, regression
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback, TerminateOnNaN

LIMIT = 5


class Limited(nn.Module):
    """The identity; with more rows than a limit there is no memory."""

    def __init__(self, limit=LIMIT, when="always"):
        super().__init__()
        self.limit, self.when, self.rows = limit, when, []

    def forward(self, x):
        self.rows.append(len(x))
        if len(x) > self.limit and (self.when == "always" or self.training == (self.when == "training")):
            raise torch.OutOfMemoryError(f"no memory for {len(x)} rows")
        return x


class LimitedGradient(nn.Module):
    """The identity, whose backward pass has no memory for more rows than a limit."""

    def forward(self, x):
        if x.requires_grad:
            x.register_hook(self.check)
        return x

    def check(self, gradient):
        if len(gradient) > LIMIT:
            raise torch.OutOfMemoryError("no memory for the gradient")


def net(middle, outputs=1, last=None):
    torch.manual_seed(0)
    parts = [nn.Linear(6, 8), nn.Tanh(), middle, nn.Linear(8, outputs)]
    return nn.Sequential(*parts, *([] if last is None else [last]))


def pair(loss, outputs=1, optimizer="adam", last=None, middle=Limited, **given):
    """Return a model with enough memory, and the same one without."""
    models = [kt.Model(net(one, outputs, last)) for one in (nn.Identity(), middle())]
    for model in models:
        model.compile(optimizer() if callable(optimizer) else optimizer, loss, **given)
    return models


def assert_same_training(models, x, y, *, epochs=2, rtol=1e-4, words="", **given):
    """Train both, of which the second one runs out of memory; compare history and weights."""
    arguments = {"batch_size": 16, "epochs": epochs, "verbose": 0} | given
    histories = []
    for model, runs_out in zip(models, (False, True), strict=True):
        torch.manual_seed(1)
        if runs_out:
            with pytest.warns(
                UserWarning, match=f"memory ran out for a batch of 16 rows.*micro-batches of 4 rows.*{words}"
            ):
                histories.append(model.fit(x, y, **arguments).history)
        else:
            histories.append(model.fit(x, y, **arguments).history)
    first, second = histories
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=rtol, atol=1e-6, err_msg=name)
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=rtol, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def class_data(n=52):
    x, y = classification(n)
    return x, y


WEIGHTS = torch.linspace(0.1, 3, 52)
LOSSES = {
    "mse": ("mse", 1, lambda: regression(52), {}),
    "a sum": (kt.losses.MeanSquaredError(reduction="sum"), 1, lambda: regression(52), {}),
    "a sum of torch": (nn.MSELoss(reduction="sum"), 1, lambda: regression(52), {}),
    "cross entropy of torch": (nn.CrossEntropyLoss(), 3, class_data, {}),
    "weighted classes of torch": (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.5])), 3, class_data, {}),
    "an ignored class of torch": (nn.CrossEntropyLoss(ignore_index=1), 3, class_data, {}),
    "an ignored class": (
        kt.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2), 3, class_data, {},
    ),
    "sample weights": ("mse", 1, lambda: regression(52), {"sample_weight": WEIGHTS}),
    "a mean with sample weights": (
        kt.losses.MeanSquaredError(reduction="mean_with_sample_weight"), 1, lambda: regression(52),
        {"sample_weight": WEIGHTS},
    ),
    "class weights": ("cross_entropy", 3, class_data, {"class_weight": {0: 1.0, 1: 4.0, 2: 0.5}}),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("middle", [Limited, LimitedGradient])
def test_loss_gradients_and_metrics_are_those_of_the_whole_batch(name, middle):
    loss, outputs, data, given = LOSSES[name]
    metrics = ["accuracy"] if outputs == 3 else ["mae"]
    assert_same_training(pair(loss, outputs, metrics=metrics, middle=middle), *data(), **given)


def test_a_softmax_that_is_fused_with_its_loss():
    models = pair("sparse_categorical_crossentropy", 3, last=nn.Softmax(-1), metrics=["accuracy"])
    assert_same_training(models, *class_data())


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: kt.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1),
        lambda: kt.optimizers.Adam(0.01, loss_scale_factor=8.0),
        lambda: kt.optimizers.Adam(0.01, gradient_accumulation_steps=3),
    ],
)
def test_clipping_scaling_and_accumulation(optimizer):
    assert_same_training(pair("mse", optimizer=optimizer), *regression(52), epochs=3)


def test_penalties_on_weights_and_outputs_count_once():
    def make(middle):
        torch.manual_seed(0)
        model = kt.Sequential([
            kt.Input((6,)), kt.layers.Dense(8, "tanh", activity_regularizer="l2", kernel_regularizer="l1"), middle,
            kt.layers.Dense(1),
        ])  # fmt: skip
        model.compile("adam", "mse")
        return model

    assert_same_training([make(nn.Identity()), make(Limited())], *regression(52))


def test_masks_of_padded_steps():
    def make(middle):
        torch.manual_seed(0)
        model = kt.Sequential([
            kt.Input((5,), dtype="int64"), kt.layers.Embedding(20, 6, mask_zero=True),
            kt.layers.LSTM(4, return_sequences=True), kt.layers.Dense(3),
        ])  # fmt: skip
        model.compile("adam", kt.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.layers[0].register_forward_hook(lambda _, __, output: middle(output))
        return model

    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 20, (52, 5), generator=generator)
    x[3:9] = 0  # whole micro-batches without a step that counts
    y = torch.randint(0, 3, (52, 5), generator=generator)
    assert_same_training([make(nn.Identity()), make(Limited())], x, y, shuffle=False)


def test_several_inputs_and_outputs():
    def make(middle):
        torch.manual_seed(0)
        a, b = kt.Input((6,), name="a"), kt.Input((6,), name="b")
        hidden = kt.layers.Lambda(middle)(kt.layers.Concatenate()([a, b]))
        model = kt.Model({"a": a, "b": b}, {"one": kt.layers.Dense(1)(hidden), "two": kt.layers.Dense(3)(hidden)})
        model.compile("adam", {"one": "mse", "two": "cross_entropy"}, loss_weights={"one": 2.0, "two": 0.5})
        return model

    x, y = regression(52)
    targets = {"one": y, "two": class_data()[1]}
    assert_same_training([make(nn.Identity()), make(Limited())], {"a": x, "b": -x}, targets)


@pytest.mark.parametrize("kind", ["loader", "generator"])
def test_data_that_yield_batches(kind):
    x, y = regression(48)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
    data = loader if kind == "loader" else lambda: iter(loader)
    models = pair("mse")
    assert_same_training(models, data, None, batch_size=None)


def test_train_on_batch():
    x, y = regression(16)
    first, second = pair("mse", metrics=["mae"])
    expected = [first.train_on_batch(x, y) for _ in range(3)]
    with pytest.warns(UserWarning, match="micro-batches of 4 rows") as caught:
        found = [second.train_on_batch(x, y) for _ in range(3)]
    assert len(caught) == 1
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 15])
def test_the_size_is_halved_until_it_fits_and_the_next_batches_begin_with_it(limit):
    model = kt.Model(net(Limited(limit)))
    model.compile("sgd", "mse")
    expected = 16
    while expected > limit:
        expected = -(-expected // 2)
    with pytest.warns(UserWarning, match=f"micro-batches of {expected} rows") as caught:
        model.fit(*regression(64), batch_size=16, epochs=2, verbose=0)
    assert len(caught) == 1
    rows = model.get_submodule("2").rows
    failed = [number for number in rows if number > limit]
    assert failed == sorted(failed, reverse=True)  # each size fails once, at the first batch
    assert max(rows[rows.index(expected) :]) <= expected


def test_memory_of_the_failed_step_is_free_before_the_next_try():
    alive = []

    class Big(nn.Module):
        def forward(self, x):
            big = x * 2  # noqa: F841  # a local variable that the traceback would hold
            if len(x) > LIMIT:
                alive.append(weakref.ref(x))
                raise torch.OutOfMemoryError("no memory")
            gc.disable()
            assert not [one for one in alive if one() is not None]
            gc.enable()
            return x

    model = kt.Model(net(Big()))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="memory ran out"):
        model.fit(*regression(16), batch_size=16, verbose=0)
    assert len(alive) == 2


def messages(model, x, y, error=torch.OutOfMemoryError, **given):
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    with pytest.raises(error) as caught:
        model.fit(x, y, batch_size=16, verbose=0, **given)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    return " ".join(getattr(caught.value, "__notes__", []))


def test_batch_normalization_is_not_split():
    model = kt.Model(net(nn.Sequential(nn.BatchNorm1d(8), Limited())))
    model.compile("sgd", "mse")
    assert "2.0 (BatchNorm1d) computes with the mean of the batch" in messages(model, *regression(16))
    keras = kt.Sequential([kt.Input((6,)), kt.layers.BatchNormalization(), Limited(), kt.layers.Dense(1)])
    keras.compile("sgd", "mse")
    assert "changes its buffer '0.running_mean' with each call" in messages(keras, *regression(16))


def test_frozen_batch_normalization_is_split():
    def make(middle):
        torch.manual_seed(0)
        layer = kt.layers.BatchNormalization()
        layer.trainable = False
        model = kt.Sequential([kt.Input((6,)), layer, middle, kt.layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    assert_same_training([make(nn.Identity()), make(Limited())], *regression(52))


def test_layers_that_change_a_buffer_are_not_split():
    class Count(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return x

    model = kt.Model(net(nn.Sequential(Limited(), Count())))
    model.compile("sgd", "mse")
    assert "changes its buffer '2.1.calls' with each call" in messages(model, *regression(16))


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda y_true, y_pred: (y_pred - y_true).square().mean().sqrt(), "is not known to be a mean or a sum"),
        (kt.losses.Dice(reduction="sum"), "is not known to be a mean or a sum"),
        (kt.losses.Circle(), "is not known to be a mean or a sum"),
        (nn.MSELoss, None),
    ],
)
def test_losses_that_are_no_mean_over_rows_are_not_split(loss, words):
    model = kt.Model(net(Limited()))
    model.compile("sgd", loss)
    if words is None:
        with pytest.warns(UserWarning, match="memory ran out"):
            model.fit(*regression(16), batch_size=16, verbose=0)
    else:
        assert words in messages(model, *regression(16))


def test_steps_of_the_users_own_are_not_split():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.net = net(Limited())

        def forward(self, x):
            return self.net(x)

        def train_step(self, batch):
            return super().train_step(batch)

    model = Own()
    model.compile("sgd", "mse")
    assert "Own.train_step is your own" in messages(model, *regression(16))


def test_an_optimizer_with_a_closure_is_not_split():
    model = kt.Model(net(Limited()))
    model.compile(torch.optim.LBFGS, "mse")
    assert "LBFGS computes the loss several times" in messages(model, *regression(16))


def test_a_single_row_that_does_not_fit_is_said():
    model = kt.Model(net(Limited(0)))
    model.compile("sgd", "mse")
    assert "a single row does not fit into memory" in messages(model, *regression(16))


def test_memory_that_runs_out_in_the_optimizer_is_not_repeated():
    class Full(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            raise torch.OutOfMemoryError("no memory for the state")

    model = kt.Model(net(nn.Identity()))
    model.compile(Full(model.parameters(), 0.1), "mse")
    assert "in the step of the optimizer" in messages(model, *regression(16))


def test_other_errors_name_their_layer_as_before():
    model = kt.Model(net(nn.Linear(3, 3)))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="layer '2'"):
        model.fit(*regression(16), verbose=0)


def test_evaluation_gives_the_same_numbers():
    x, y = class_data()
    first, second = pair("cross_entropy", 3, metrics=["accuracy"])
    expected = first.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    with pytest.warns(UserWarning, match="batch of 16 rows: it is evaluated in parts of 4 rows"):
        found = second.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    assert second.test_on_batch(x[:16], y[:16]) == pytest.approx(first.test_on_batch(x[:16], y[:16]), rel=1e-5)
    assert second.evaluate(x, y, batch_size=16, verbose=0, return_dict=True) == pytest.approx(expected, rel=1e-5)


def test_validation_gives_the_same_numbers():
    x, y = regression(52)
    first, second = pair("mse", middle=lambda: Limited(when="evaluation"))
    given = {"batch_size": 16, "epochs": 2, "verbose": 0, "validation_data": (x, y), "validation_batch_size": 16}
    torch.manual_seed(1)
    expected = first.fit(x, y, **given).history
    torch.manual_seed(1)
    with pytest.warns(UserWarning, match="evaluated in parts of 4 rows") as caught:
        found = second.fit(x, y, **given).history
    assert len(caught) == 1
    np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=1e-5)
    assert found["loss"] == expected["loss"]


def test_batch_normalization_is_evaluated_in_parts():
    torch.manual_seed(0)
    model = kt.Model(net(nn.Sequential(nn.BatchNorm1d(8), Limited(when="evaluation"))))
    model.compile("sgd", "mse")
    x, y = regression(52)
    model.fit(x, y, batch_size=16, verbose=0)
    net_copy = copy.deepcopy(model.module_viewed).eval()
    net_copy[2] = net_copy[2][0]
    expected = nn.functional.mse_loss(net_copy(x), y).item()
    with pytest.warns(UserWarning, match="evaluated in parts"):
        assert model.evaluate(x, y, batch_size=52, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [16, 52, None])
def test_prediction_gives_the_same_rows(batch_size):
    x, _ = regression(52)
    model = kt.Model(net(Limited()))
    torch.manual_seed(0)
    expected = kt.Model(net(nn.Identity())).predict(x, batch_size=4, verbose=0)
    with pytest.warns(UserWarning, match="it is predicted in parts of"):
        found = model.predict(x, batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_prediction_of_nested_outputs_and_batch_by_batch():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.limited = Limited()

        def forward(self, x):
            x = self.limited(x)
            return {"a": x * 2, "b": (x.sum(1), x)}

    x, _ = regression(20)
    model = kt.Model(Two())
    model.compile("sgd")
    with pytest.warns(UserWarning, match="predicted in parts") as caught:
        found = model.predict(x, batch_size=10, verbose=0)
    assert len(caught) == 1
    np.testing.assert_array_equal(found["a"], 2 * x)
    np.testing.assert_array_equal(found["b"][0], x.sum(1))
    pieces = list(model.predict_iter(x, batch_size=10))
    np.testing.assert_array_equal(np.concatenate([piece["b"][1] for piece in pieces]), x)


def test_outputs_that_are_not_one_for_each_row_are_not_joined():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.limited = Limited()

        def forward(self, x):
            return self.limited(x).mean(0, keepdim=True)

    with pytest.raises(torch.OutOfMemoryError) as caught:
        kt.Model(Mean()).predict(regression(16)[0], batch_size=16, verbose=0)
    assert "the outputs are not one for each row" in caught.value.__notes__[0]


def test_compiled_training_continues_in_micro_batches():
    first, second = pair("mse", jit_compile=True)
    first.compile("adam", "mse")
    assert_same_training([first, second], *regression(52), words="Training continues uncompiled")


def test_a_nan_in_micro_batches_is_named(capsys):
    class Bad(nn.Module):
        def forward(self, x):
            return x.masked_fill(x > 0.9, torch.nan)

    model = kt.Model(net(nn.Sequential(Limited(), Bad())))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="memory ran out"):
        model.fit(*regression(16), batch_size=16, verbose=0, callbacks=[TerminateOnNaN()])
    assert "2.1 (Bad) gave NaN in forward" in capsys.readouterr().out


def test_callbacks_see_one_batch():
    class Count(Callback):
        def __init__(self):
            self.batches = []

        def on_train_batch_end(self, batch, logs=None):
            self.batches.append((batch, logs["loss"]))

    counts = [Count(), Count()]
    models = pair("mse")
    torch.manual_seed(1)
    models[0].fit(*regression(48), batch_size=16, verbose=0, callbacks=[counts[0]])
    torch.manual_seed(1)
    with pytest.warns(UserWarning, match="memory ran out"):
        models[1].fit(*regression(48), batch_size=16, verbose=0, callbacks=[counts[1]])
    np.testing.assert_allclose(counts[1].batches, counts[0].batches, rtol=1e-5)
