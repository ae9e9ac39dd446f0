"""Models saved and loaded: the oracle is the model that was saved, going on."""

import numpy as np
import pytest
import torch
from support.saved_models import X, Y, go_on, same_outputs, same_state, saved
from torch import nn

import kerastorch as kt
from kerastorch import Input, Model, Sequential, layers
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError


def chain(optimizer="adam", **given):
    model = Sequential(
        [layers.Dense(8, "relu"), layers.Dropout(0.3), layers.BatchNormalization(), nn.Linear(8, 4), layers.Dense(1)]
    )
    model.compile(optimizer, "mse", **given)
    return model


# --- architectures ---------------------------------------------------------------------------------------------


def functional():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = layers.Dense(4, torch.tanh, name="shared")
    y = torch.cat([shared(a), shared(b) * 2 + torch.arange(4.0)], dim=1)
    z = y[:, 1:7:2].reshape(-1, 3).softmax(-1)
    return Model([a, b], [layers.Dense(2)(z), y.max(dim=1, keepdim=True)[0], torch.ones(8) - y, y.unsqueeze(-1).mT])


def test_a_functional_model_with_shared_layers_functions_slices_and_constants_comes_back(tmp_path):
    model = functional()
    again = saved(model, tmp_path / "m.kt")
    same_state(again, model)
    same_outputs(again, model, (X, X[::-1].copy()))
    assert again.code == model.code
    assert again.input_names == model.input_names
    assert again.output_names == model.output_names


def test_inputs_and_outputs_by_name_come_back(tmp_path):
    inputs = {"left": Input((4,)), "right": Input((2, 2))}
    hidden = layers.Flatten()(inputs["right"]) + inputs["left"]
    model = Model(inputs, {"one": layers.Dense(1)(hidden), "two": torch.relu(hidden)})
    again = saved(model, tmp_path / "m.kt")
    given = {"right": X.reshape(-1, 2, 2), "left": X}
    assert set(again.predict(given, verbose=0)) == {"one", "two"}
    same_outputs(again, model, given)


def test_a_layer_shared_between_nested_models_stays_shared(tmp_path):
    shared = layers.Dense(4)
    x = Input((4,))
    inner = Model(x, shared(x), name="inner")
    outer = Sequential([Input((4,)), inner, Sequential([shared, nn.ReLU()]), layers.Dense(1)])
    again = saved(outer, tmp_path / "m.kt")
    assert again[0].layers[1] is again[1][0]
    same_outputs(again, outer)


def test_masks_come_back(tmp_path):
    words = Input((6,), dtype="int64")
    hidden = layers.LSTM(3, return_sequences=True)(layers.Embedding(9, 4, mask_zero=True)(words))
    model = Model(words, layers.GlobalAveragePooling1D()(hidden))
    chained = Sequential([layers.Embedding(9, 4, mask_zero=True), layers.GRU(3)])
    x = np.array([[1, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8]])
    chained.predict(x, verbose=0)
    same_outputs(saved(model, tmp_path / "m.kt"), model, x)
    same_outputs(saved(chained, tmp_path / "m.kt"), chained, x)


def test_the_copy_of_a_functional_model_is_saved_too(tmp_path):
    import copy

    model = copy.deepcopy(functional())
    same_outputs(saved(model, tmp_path / "m.kt"), model, (X, X))


def test_names_trainable_frozen_parameters_and_modes_come_back(tmp_path):
    model = Sequential([Input((4,)), layers.Dense(4, name="first"), nn.Linear(4, 4), layers.BatchNormalization()])
    model[0].trainable = False
    model[1].bias.requires_grad_(False)
    model[2].eval()
    again = saved(model, tmp_path / "m.kt")
    assert again.get_layer("first").trainable is False
    frozen = [[name for name, weight in one.named_parameters() if not weight.requires_grad] for one in (model, again)]
    assert frozen[0] == frozen[1] == ["0.weight", "0.bias", "1.bias"]
    assert [part.training for part in again] == [part.training for part in model]
    again[0].trainable = True
    assert all(weight.requires_grad for weight in again[0].parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_model_comes_back_in_its_dtype(dtype, tmp_path):
    x = Input((4,))
    model = Model(x, layers.Dense(3)(x) + torch.tensor([0.1, 0.2, 0.3])).to(dtype)
    again = saved(model, tmp_path / "m.kt")
    same_state(again, model)
    given = torch.from_numpy(X).to(dtype)
    assert torch.equal(again(given), model(given))
    assert again(given).dtype == dtype


def test_random_states_are_left_alone(tmp_path):
    model = chain()
    model.fit(X, Y, verbose=0)
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    saved(model, tmp_path / "m.kt")
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


def test_seeded_draws_go_on_where_they_were(tmp_path):
    model = Sequential([Input((4,)), layers.Dropout(0.5, seed=3)])
    x = torch.ones(5, 4)
    model(x)
    again = saved(model, tmp_path / "m.kt")
    assert torch.equal(again(x), model(x))


def test_the_states_of_stateful_layers_come_back(tmp_path):
    model = Sequential([Input((3, 4)), layers.LSTM(2, stateful=True)])
    x = torch.ones(5, 3, 4)
    model(x)
    again = saved(model, tmp_path / "m.kt")
    assert torch.equal(again(x), model(x))


def test_an_unbuilt_model_is_saved_unbuilt(tmp_path):
    again = saved(Sequential([layers.Dense(3)]), tmp_path / "m.kt")
    assert not again[0].built
    assert again.predict(X, verbose=0).shape == (40, 3)


# --- classes of the user's -------------------------------------------------------------------------------------


class Scaled(Model):
    def __init__(self, units, factor=2.0, name=None):
        super().__init__(name=name)
        self.units, self.factor = units, factor
        self.hidden = layers.Dense(units, "relu")
        self.head = nn.Linear(units, 1)

    def forward(self, x):
        return self.head(self.hidden(x)) * self.factor


class Shift(layers.Layer):
    def __init__(self, function, sizes, **more):
        super().__init__(**more)
        self.function, self.sizes = function, sizes

    def build(self, input_shape):
        self.weight = self.add_weight(input_shape[-1:], "ones", name="weight")

    def forward(self, x):
        return self.function(x + self.weight)


class Learner(Model):
    def train_step(self, batch):
        return super().train_step(batch)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 1)

    def forward(self, x):
        return torch.sin(self.body(x))


def half(x):
    return x / 2


def test_a_model_of_ones_own_class_comes_back_with_custom_objects(tmp_path):
    model = Scaled(5, factor=3.0)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    again = saved(model, tmp_path / "m.kt", custom_objects={"Scaled": Scaled})
    assert (again.units, again.factor) == (5, 3.0)
    same_outputs(again, model)
    with pytest.raises(CheckpointError, match=r"uses 'Scaled'.*custom_objects=\{'Scaled': Scaled\}"):
        kt.load_model(tmp_path / "m.kt")


def test_a_layer_of_ones_own_and_its_function_come_back(tmp_path):
    model = Sequential([Input((4,)), Shift(half, (1, 2)), layers.Dense(2, half)])
    path = tmp_path / "m.kt"
    again = saved(model, path, custom_objects={"Shift": Shift, "half": half})
    assert again[0].sizes == (1, 2)
    same_outputs(again, model)
    with pytest.raises(CheckpointError, match="'Shift', 'half'"):
        kt.load_model(path)
    with kt.saving.custom_object_scope({"Shift": Shift, "half": half}):
        same_outputs(kt.load_model(path), model)


def test_a_functional_model_of_ones_own_class_comes_back_as_one(tmp_path):
    x = Input((4,))
    model = Learner(x, layers.Dense(1)(x))
    again = saved(model, tmp_path / "m.kt", custom_objects={"Learner": Learner})
    assert type(again) is Learner
    same_outputs(again, model)


def test_what_is_registered_is_found_by_itself(tmp_path):
    @kt.saving.register_keras_serializable("tests", "Tripled")
    class Tripled(layers.Layer):
        def forward(self, x):
            return 3 * x

    assert kt.saving.get_registered_name(Tripled) == "tests>Tripled"
    model = Sequential([Input((4,)), Tripled()])
    same_outputs(saved(model, tmp_path / "m.kt"), model)


def test_a_lambda_is_left_out_with_a_warning_and_nothing_else_is(tmp_path):
    def made():
        model = Sequential([Input((4,)), layers.Dense(3), layers.Lambda(lambda x: x + 1), layers.Dense(1)])
        model.compile("adam", "mse")
        return model

    model, path = made(), tmp_path / "m.kt"
    model.fit(X, Y, verbose=0)
    with pytest.warns(UserWarning, match=r"architecture cannot be written: .*function cannot be written down.*module="):
        model.save(path)
    with pytest.raises(CheckpointError, match=r"has no architecture.*module=<your Sequential>"):
        kt.load_model(path)
    again = kt.load_model(path, module=made())
    same_outputs(again, model)
    go_on(model)
    go_on(again)
    same_state(again, model)


def test_a_wrapped_module_comes_back_into_another_one(tmp_path):
    model, path = Model(Plain()), tmp_path / "m.kt"
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    net = Plain()
    again = saved(model, path, module=net)
    assert again.module_viewed is net
    same_outputs(again, model)
    go_on(model)
    go_on(again)
    same_state(again, model)
    with pytest.raises(CheckpointError, match="module="):
        kt.load_model(path)


def test_a_wrapped_module_of_torch_needs_no_module(tmp_path):
    model = Model(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    same_outputs(saved(model, tmp_path / "m.kt"), model)


def test_weights_of_another_model_are_refused(tmp_path):
    Sequential([Input((4,)), layers.Dense(3)]).save(tmp_path / "m.kt")
    with pytest.raises(CheckpointError, match="weights are not those of the model"):
        kt.load_model(tmp_path / "m.kt", module=Sequential([Input((4,)), layers.Dense(2)]))


# --- compile and going on --------------------------------------------------------------------------------------

OPTIMIZERS = {
    "adam": lambda model: "adam",
    "momentum": lambda model: kt.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "adamw": lambda model: kt.optimizers.AdamW(0.002, clipnorm=0.5, use_ema=True),
    "rmsprop": lambda model: "rmsprop",
    "torch class": lambda model: torch.optim.NAdam,
    "torch instance": lambda model: torch.optim.Adam(
        [{"params": [model[0].weight], "lr": 0.1}, {"params": [*model.parameters()][1:]}], lr=0.01, weight_decay=0.1
    ),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_training_goes_on_bit_for_bit(make, tmp_path):
    model = chain()
    model.predict(X, verbose=0)
    model.compile(make(model), "mse", metrics=["mae"])
    model.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    model.optimizer.param_groups[0]["lr"] *= 0.5
    again = saved(model, tmp_path / "m.kt")
    assert [group["lr"] for group in again.optimizer.param_groups] == [
        group["lr"] for group in model.optimizer.param_groups
    ]
    assert go_on(again) == go_on(model)
    same_state(again, model)
    for one in (model, again):
        kt.utils.set_random_seed(1)
        one.train_on_batch(X[:8], Y[:8])
    same_state(again, model)


def test_a_partial_and_a_weighted_loss_of_torch_come_back(tmp_path):
    import functools

    labels = (X[:, 0] > 0).astype("int64")
    model = Sequential([layers.Dense(2)])
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]), label_smoothing=0.1)
    model.compile(functools.partial(torch.optim.SGD, lr=0.1, momentum=0.5), loss, metrics=["accuracy"])
    model.fit(X, labels, verbose=0)
    again = saved(model, tmp_path / "m.kt")
    assert again.evaluate(X, labels, verbose=0) == model.evaluate(X, labels, verbose=0)


def test_losses_weights_and_metrics_of_several_outputs_come_back(tmp_path):
    x = Input((4,))
    model = Model(x, [layers.Dense(1, name="a")(x), layers.Dense(1, "sigmoid", name="b")(x)])
    model.compile(
        "adam",
        {"a": kt.losses.Huber(0.5), "b": "binary_crossentropy"},
        loss_weights={"a": 0.3, "b": 2.0},
        metrics={"a": ["mae"], "b": ["accuracy"]},
        regularizers={"*.weight": kt.regularizers.L2(0.1)},
    )
    y = [Y, (Y > 1).astype("float32")]
    model.fit(X, y, verbose=0)
    again = saved(model, tmp_path / "m.kt")
    assert again.evaluate(X, y, verbose=0, return_dict=True) == model.evaluate(X, y, verbose=0, return_dict=True)


def test_a_metric_of_torchmetrics_comes_back(tmp_path):
    from torchmetrics.classification import MulticlassF1Score

    labels = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
    model = Sequential([layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[MulticlassF1Score(3, average="weighted")])
    model.fit(X, labels, verbose=0)
    again = saved(model, tmp_path / "m.kt")
    assert again.evaluate(X, labels, verbose=0) == model.evaluate(X, labels, verbose=0)


def squared(y_true, y_pred):
    return (y_true - y_pred).square().mean(-1)


def test_functions_of_ones_own_come_back_by_name(tmp_path):
    model = chain()
    model.compile("adam", squared, metrics=[squared])
    model.fit(X, Y, verbose=0)
    path = tmp_path / "m.kt"
    again = saved(model, path, custom_objects={"squared": squared})
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    with pytest.raises(CheckpointError, match=r"compile\(\).*'squared'"):
        kt.load_model(path)
    same_outputs(kt.load_model(path, compile=False), model)


def test_a_compile_state_that_cannot_be_written_keeps_the_optimizers_state(tmp_path):
    loss = lambda y_true, y_pred: (y_true - y_pred).square().mean()  # noqa: E731
    model, path = chain(), tmp_path / "m.kt"
    model.compile("adam", loss)
    model.fit(X, Y, verbose=0)
    with pytest.warns(UserWarning, match="compile state cannot be written: loss"):
        model.save(path)
    with pytest.warns(UserWarning, match=r"does not have what compile\(\) was given"):
        assert kt.load_model(path)._trainer is None
    other = chain()
    other.compile("adam", loss)
    again = kt.load_model(path, module=other)
    assert again is other
    go_on(model)
    go_on(again)
    same_state(again, model)


def test_an_uncompiled_model_comes_back_uncompiled(tmp_path):
    model = chain()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.kt")
    again = kt.load_model(tmp_path / "m.kt", compile=False)
    with pytest.raises(RuntimeError, match="compile"):
        again.fit(X, Y)


# --- configs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [chain, functional, lambda: Sequential([Input((4,)), layers.Dense(2)])])
def test_a_model_is_cloned_by_its_config(make):
    model = make()
    other = type(model).from_config(model.get_config())
    assert str(other) == str(model)
    assert {n: w.shape for n, w in other.named_parameters()} == {n: w.shape for n, w in model.named_parameters()}


def test_a_config_is_json():
    import json

    x = Input((4,))
    model = Model(x, layers.Dense(2)(torch.relu(x)[:, 1:]))
    config = json.loads(json.dumps(model.get_config()))
    other = Model.from_config(config)
    other.load_state_dict(model.state_dict())
    same_outputs(other, model)


# --- files -----------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_unless_that_is_refused(tmp_path):
    model, path = Sequential([Input((4,)), layers.Dense(3)]), tmp_path / "new" / "folder" / "m.kt"
    model.save(str(path))
    model.save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path, overwrite=False)


@pytest.mark.parametrize("name", ["m.weights.h5", "m", "m.pt"])
def test_another_suffix_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"\.kt"):
        Sequential([Input((4,)), layers.Dense(3)]).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        kt.load_model(tmp_path / "m.kt")
    with pytest.raises(CheckpointError, match="folder"):
        kt.load_model(tmp_path)
    with pytest.raises(CheckpointError, match="load_weights"):
        kt.load_model(tmp_path / "m.safetensors")
    torch.save({}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="zip"):
        kt.load_model(tmp_path / "m.pt")
    model = Sequential([Input((4,)), layers.Dense(3)])
    model.save(tmp_path / "m.kt")
    whole = (tmp_path / "m.kt").read_bytes()
    (tmp_path / "m.kt").write_bytes(whole[:-5])
    with pytest.raises(CheckpointCorruptError):
        kt.load_model(tmp_path / "m.kt")


def test_a_config_with_a_class_of_ones_own_takes_custom_objects():
    class Twice(layers.Layer):
        def forward(self, x):
            return 2 * x

    config = Sequential([Input((4,)), Twice()]).get_config()
    again = Sequential.from_config(config, custom_objects={"Twice": Twice})
    assert torch.equal(again(torch.ones(1, 4)), torch.full((1, 4), 2.0))
    with pytest.raises(ValueError, match=r"Unknown class or function 'Twice'; custom_objects=\{'Twice': Twice\}"):
        Sequential.from_config(config)


def test_a_loss_of_ones_own_that_is_missing_is_named(tmp_path):
    def squares(y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean()

    model = Sequential([layers.Dense(1)])
    model.compile("sgd", squares)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.kt")
    with pytest.raises(CheckpointError, match=r"custom_objects=\{'squares': squares\}.*compile=False"):
        kt.load_model(tmp_path / "model.kt")


def test_a_loaded_model_that_is_trained_on_another_shape_is_known_by_that_shape(tmp_path):
    net = nn.Sequential(nn.Conv1d(2, 3, 1), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(3, 1))
    model = kt.Model(net)
    model.compile("sgd", "mse")
    model.fit(torch.ones(4, 2, 5), torch.ones(4, 1), verbose=0)
    model.save(tmp_path / "first.kt")
    model = kt.load_model(tmp_path / "first.kt")
    model.fit(torch.ones(4, 2, 9), torch.ones(4, 1), verbose=0)
    model.export(tmp_path / "second.pt2")
    exported = torch.export.load(tmp_path / "second.pt2").module()
    assert exported(torch.ones(4, 2, 9)).shape == (4, 1)
    with pytest.raises(Exception, match="9"):
        exported(torch.ones(4, 2, 5))
