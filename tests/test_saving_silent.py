"""What a file cannot hold, or could hold otherwise, is told when it is written; the rest goes on bit for bit."""

import warnings

import numpy as np
import pytest
import torch
from support.saved_models import X, Y, go_on, same_outputs, same_state, saved
from torch import nn

import kerastorch as kt
from kerastorch import Input, Model, Sequential, layers


def chain(*parts):
    return Sequential([Input((4,)), *parts])


def double(part, given, output):
    return output * 2


def hooked(hang):
    model = chain(layers.Dense(3), nn.Linear(3, 1))
    hang(model)
    return model


HANGS = {
    "a forward hook": lambda model: model[0].register_forward_hook(double),
    "one on the model": lambda model: model.register_forward_hook(double),
    "a hook before": lambda model: model[1].register_forward_pre_hook(lambda part, given: (given[0] * 2,)),
    "a backward hook": lambda model: model[0].register_full_backward_hook(lambda part, given, output: None),
    "a hook on a weight": lambda model: model[1].weight.register_hook(lambda gradient: gradient * 0),
    "another forward": lambda model: setattr(model[0], "forward", lambda x: x[:, :3]),
    "a buffer of two": lambda model: (
        model[0].register_buffer("kept", torch.ones(2)),
        model[1].register_buffer("kept", model[0].kept),
    ),
}


@pytest.mark.parametrize("hang", HANGS.values(), ids=list(HANGS))
def test_what_no_config_can_say_is_told_when_the_model_is_saved(hang, tmp_path):
    with pytest.warns(UserWarning, match="the architecture cannot be written"):
        hooked(hang).save(tmp_path / "m.kt")


def test_two_batch_normalizations_that_share_a_buffer_are_not_written(tmp_path):
    model = chain(layers.BatchNormalization(), layers.BatchNormalization())
    model[1].running_mean = model[0].running_mean
    with pytest.warns(UserWarning, match="another tie of buffers"):
        model.save(tmp_path / "m.kt")


class Hooked(layers.Layer):
    def __init__(self, **more):
        super().__init__(**more)
        self.register_forward_hook(double)

    def forward(self, x):
        return x + 1


def test_a_hook_that_the_class_itself_hangs_up_comes_back(tmp_path):
    model = chain(Hooked())
    same_outputs(saved(model, tmp_path / "m.kt", custom_objects={"Hooked": Hooked}), model)


def test_a_model_is_saved_from_within_fit_though_kerastorch_listens_there(tmp_path):
    model = chain(layers.Dense(3, activity_regularizer="l2"), layers.Dense(1))
    model.compile("adam", "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, verbose=0, callbacks=[kt.callbacks.ModelCheckpoint(tmp_path / "m.kt")])
    same_outputs(kt.load_model(tmp_path / "m.kt"), model)


def test_step_hooks_of_ones_own_are_told(tmp_path):
    model = chain(layers.Dense(1))
    model.compile(kt.optimizers.Adam(clipnorm=1.0), "mse")
    model.fit(X, Y, verbose=0)
    saved(model, tmp_path / "m.kt")  # those of clipnorm are kerastorch's
    model.optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: None)
    with pytest.warns(UserWarning, match="compile state cannot be written: optimizer: it has step hooks"):
        model.save(tmp_path / "m.kt")


class Adds(layers.Layer):
    def __init__(self, **more):
        super().__init__(**more)
        self.amount = 0.0

    def forward(self, x):
        return x + self.amount


def test_an_attribute_that_begins_anew_is_told(tmp_path):
    model = chain(Adds())
    saved(model, tmp_path / "m.kt", custom_objects={"Adds": Adds})
    model[0].amount = 5.0
    with pytest.warns(UserWarning, match=r"0\.amount is 5\.0, and will be 0\.0"):
        model.save(tmp_path / "m.kt")


LOSSES = {
    "probabilities": kt.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
    "classes": kt.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2),
    "yes or no": kt.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_with_an_axis_comes_back_with_its_settings(name, tmp_path):
    y = np.arange(40) % 3
    y = y if name == "classes" else np.eye(3, dtype="float32")[y]
    model = chain(layers.Dense(3))
    model.compile("adam", LOSSES[name])
    model.fit(X, y, verbose=0)
    again = saved(model, tmp_path / "m.kt")
    assert again.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)


@pytest.mark.parametrize("axis", [-1, None])
def test_a_normalization_that_was_adapted_comes_back_in_a_chain_and_in_a_graph(axis, tmp_path):
    layer = layers.Normalization(axis)
    layer.adapt(X * 3 + 1)
    symbol = Input((4,))
    for model in (chain(layer, layers.Dense(2)), Model(symbol, layers.Dense(2)(layer(symbol)))):
        again = saved(model, tmp_path / "m.kt")
        same_outputs(again, model)
        part = next(part for part in again.modules() if isinstance(part, layers.Normalization))
        part.adapt(X)
        assert torch.allclose(part.mean, torch.as_tensor(X.mean(None if axis is None else 0)), atol=1e-6)


class Twice(Model):
    """A model that has one layer under two names."""

    def __init__(self):
        super().__init__()
        self.b = self.a = layers.Normalization()
        self.head = layers.Dense(1)

    def forward(self, x):
        return self.head(self.a(self.b(x)))


def test_a_normalization_with_two_names_that_was_adapted_comes_back(tmp_path):
    model = Twice()
    model.a.adapt(X * 3 + 1)
    model.predict(X, verbose=0)
    again = saved(model, tmp_path / "m.kt", custom_objects={"Twice": Twice})
    assert again.a is again.b
    same_outputs(again, model)
    same_state(again, model)
    model.save_weights(tmp_path / "m.safetensors")
    other = Twice()
    other.head.ensure_built((None, 4))
    other.load_weights(tmp_path / "m.safetensors")
    same_outputs(other, model)


class Scaled(Model):
    """A model that changes its layer after it was made."""

    def __init__(self):
        super().__init__()
        self.scale = layers.Normalization()

    def forward(self, x):
        return self.scale(x)


def test_a_layer_with_adapt_whose_argument_would_be_lost_is_told(tmp_path):
    model = Scaled()
    model.scale = layers.Normalization(axis=None)
    model.scale.adapt(X)
    model.predict(X, verbose=0)
    with pytest.warns(UserWarning, match="another setting at 'scale'"):
        model.save(tmp_path / "m.kt")


def test_bins_that_were_found_come_back_in_a_graph(tmp_path):
    layer, symbol = layers.Discretization(num_bins=4, output_mode="one_hot"), Input((4,))
    layer.adapt(X)
    model = Model(symbol, layers.Dense(2)(layer(symbol)))
    same_outputs(saved(model, tmp_path / "m.kt"), model)


# --- the order of numbers in memory ----------------------------------------------------------------------------

IMAGES = np.random.default_rng(1).normal(size=(32, 3, 8, 8)).astype("float32")
VALUES = IMAGES[:, :1, 0, 0]


def convolutional():
    kt.utils.set_random_seed(0)
    model = Sequential([Input((3, 8, 8)), layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(1)])
    model.to(memory_format=torch.channels_last)
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("own", [False, True])
def test_weights_in_channels_last_train_on_bit_for_bit(own, tmp_path):
    model = convolutional()
    model.fit(IMAGES, VALUES, batch_size=8, verbose=0)
    model.save(tmp_path / "m.kt")
    again = kt.load_model(tmp_path / "m.kt", module=convolutional() if own else None)
    assert again[0].weight.stride() == model[0].weight.stride() != model[0].weight.contiguous().stride()
    histories = []
    for one in (model, again):
        kt.utils.set_random_seed(3)
        histories.append(one.fit(IMAGES, VALUES, epochs=2, batch_size=8, verbose=0).history)
    assert histories[0] == histories[1]
    same_state(again, model)


# --- the trial of an architecture ------------------------------------------------------------------------------


def test_what_changes_after_a_save_is_seen_at_the_next(tmp_path):
    model = chain(layers.Dense(4), layers.Dense(4))
    saved(model, tmp_path / "m.kt")
    model[1].weight = model[0].weight
    with pytest.warns(UserWarning, match="another tie of weights"):
        model.save(tmp_path / "m.kt")


def test_a_layer_that_is_put_in_after_a_save_is_in_the_next(tmp_path):
    model = chain(layers.Dense(4))
    saved(model, tmp_path / "m.kt")
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    again = saved(model, tmp_path / "m.kt")
    same_outputs(again, model)
    go_on(model)
    go_on(again)
    same_state(again, model)


def test_chains_in_chains_in_a_graph_in_a_class_of_ones_own_come_back(tmp_path):
    model = Outer(3)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    again = saved(model, tmp_path / "m.kt", custom_objects={"Outer": Outer})
    same_outputs(again, model)
    go_on(model)
    go_on(again)
    same_state(again, model)


class Outer(Model):
    def __init__(self, units):
        super().__init__()
        self.units = units
        symbol = Input((4,))
        inner = Sequential([layers.Dense(units), Sequential([layers.BatchNormalization(), nn.Linear(units, 2)])])
        self.graph = Model(symbol, inner(symbol))
        self.head = layers.Dense(1)

    def forward(self, x):
        return self.head(self.graph(x))


def test_a_chain_that_waits_for_shapes_in_a_graph_is_not_run_when_it_is_loaded(tmp_path):
    seen = []

    class Watching(layers.Layer):
        def forward(self, x):
            seen.append(x.__class__)
            return x

    symbol = Input((4,))
    model = Model(symbol, Sequential([Watching(), layers.Dense(2)])(symbol))
    model.save(tmp_path / "m.kt")
    seen.clear()
    again = kt.load_model(tmp_path / "m.kt", custom_objects={"Watching": Watching})
    assert torch.Tensor not in seen
    same_outputs(again, model)
