"""`clone_model`, `serialize`, `deserialize` and the configs of models: the same architecture, and new weights."""

import json

import numpy as np
import pytest
import torch
from support.model_cases import CASES
from torch import nn

import kerastorch as kt
import kerastorch.keras as keras
from kerastorch.keras.models import clone_model


def same_numbers_after_copy(model, clone, *inputs):
    clone.load_state_dict(model.state_dict())
    found, expected = clone.eval()(*inputs), model.eval()(*inputs)
    pairs = zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def example(model):
    layers = [kt.layers.InputLayer(input_tensor=one) for one in _leaves(model.input)]
    given = [torch.rand(2, *(size or 4 for size in layer.batch_shape[1:])) for layer in layers]
    if isinstance(model.input, dict):
        return dict(zip(model.input, given, strict=True))
    return given if len(given) > 1 else given[0]


def _leaves(symbols):
    return list(symbols.values()) if isinstance(symbols, dict) else symbols if isinstance(symbols, list) else [symbols]


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_clone_has_the_architecture_and_weights_of_its_own(name, recursive):
    model = CASES[name](keras)
    before = [one.clone() for one in model.weights]
    clone = clone_model(model, recursive=recursive)
    assert type(clone) is type(model)
    assert [type(one) for one in clone.layers] == [type(one) for one in model.layers]
    assert not set(map(id, clone.weights)) & set(map(id, model.weights))
    drawn = [one for one in clone.weights if one.ndim > 1]
    assert drawn == [] or not any(map(torch.equal, drawn, [one for one in model.weights if one.ndim > 1]))
    same_numbers_after_copy(model, clone, example(model))
    assert all(map(torch.equal, model.weights, before))


def test_a_clone_of_a_chain_without_input_is_built_later():
    model = kt.Sequential([kt.layers.Dense(3), nn.ReLU()], name="chain")
    clone = clone_model(model)
    assert clone.name == "chain"
    assert not clone.layers[0].built
    assert clone(torch.ones(2, 5)).shape == (2, 3)


def test_a_clone_function_replaces_layers():
    def narrow(layer):
        config = layer.get_config()
        return type(layer).from_config(config | ({"units": 1} if "units" in config else {}))

    x = kt.Input((3,), name="x")
    model = kt.Model(x, kt.layers.Dense(4)(kt.layers.Activation("relu")(kt.layers.Dense(5)(x))))
    seen = []
    clone = clone_model(model, clone_function=lambda layer: seen.append(layer) or narrow(layer))
    assert seen == [one for one in model.layers if not isinstance(one, kt.layers.InputLayer)]
    assert clone.count_params() == 3 + 1 + 1 + 1
    assert clone.input_names == ("x",)


def test_a_clone_function_is_called_once_for_a_shared_layer():
    seen = []
    model = CASES["shared"](keras)
    clone = clone_model(model, clone_function=lambda one: seen.append(one) or type(one).from_config(one.get_config()))
    assert len(seen) == 2
    assert clone.count_params() == model.count_params()


def test_a_call_function_calls_the_layers():
    model = CASES["chain"](keras)
    clone = clone_model(model, call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs) * 2)
    clone.load_state_dict(model.state_dict())
    x = torch.rand(2, 3)
    first, _, last = [one for one in model.layers if not isinstance(one, kt.layers.InputLayer)]
    expected = 2 * last.eval()(2 * (2 * first.eval()(x)))
    torch.testing.assert_close(clone.eval()(x), expected)


def test_inputs_of_a_clone_may_be_given():
    x = kt.Input((3,), name="given")
    assert clone_model(CASES["chain"](keras), input_tensors=x).input is x
    assert clone_model(CASES["sequential"](keras), input_tensors=x).input is x
    with pytest.raises(ValueError, match="The model has 2 inputs, input_tensors has 1"):
        clone_model(CASES["branches"](keras), input_tensors=x)


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.units = units
        self.layer = keras.layers.Dense(units)

    def call(self, x):
        return self.layer(x)


def test_a_model_of_an_own_class_is_made_from_its_config():
    model = Own(3)
    model(torch.ones(2, 4))
    same_numbers_after_copy(model, clone_model(model), torch.ones(2, 4))
    with pytest.raises(ValueError, match="Own is a model with a forward of its own"):
        clone_model(model, clone_function=lambda layer: layer)


def test_a_model_is_written_as_json():
    for model in (CASES["branches"](keras), CASES["sequential"](keras), Own(2)):
        again = keras.models.model_from_json(model.to_json())
        assert type(again) is type(model)
        assert [type(one) for one in again.layers] == [type(one) for one in model.layers]
    with pytest.raises(ValueError, match="which is no model"):
        keras.models.model_from_json("[1, 2]")


OBJECTS = {
    "layers": keras.layers.Dense(3, "relu", kernel_regularizer="l2"),
    "losses": keras.losses.Huber(0.5),
    "metrics": keras.metrics.AUC(curve="PR"),
    "optimizers": keras.optimizers.Adam(0.25),
    "initializers": keras.initializers.HeNormal(seed=1),
    "regularizers": keras.regularizers.L1(0.5),
    "constraints": keras.constraints.MaxNorm(2),
    "optimizers.schedules": keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5),
}


@pytest.mark.parametrize("room", OBJECTS)
def test_an_object_is_serialized_as_json_and_made_again(room):
    module = keras
    for name in room.split("."):
        module = getattr(module, name)
    thing = OBJECTS[room]
    written = json.loads(json.dumps(module.serialize(thing)))
    again = module.deserialize(written)
    assert type(again) is type(thing)
    assert again.get_config() == thing.get_config()
    assert keras.saving.deserialize_keras_object(written).get_config() == thing.get_config()


def test_functions_are_serialized_by_name():
    assert keras.activations.serialize(keras.activations.relu) == "relu"
    assert keras.activations.deserialize("relu") is keras.activations.relu
    assert keras.losses.deserialize("mse") is not None
    with pytest.raises(ValueError, match="Unknown activation"):
        keras.activations.deserialize("reluu")


def own_activation(x):
    return x + 1


def test_custom_objects_are_found_by_name():
    written = keras.activations.serialize(own_activation)
    scope = {"own_activation": own_activation}
    assert keras.activations.deserialize(written, custom_objects=scope) is own_activation
    assert keras.activations.deserialize("own_activation", custom_objects=scope) is own_activation
    with keras.utils.custom_object_scope(scope):
        assert keras.saving.deserialize_keras_object(written) is own_activation
    with pytest.raises(ValueError, match="own_activation"):
        keras.saving.deserialize_keras_object(written)


def test_registered_objects_are_found():
    assert keras.saving.get_registered_name(Own) == "tests>Own"
    assert keras.saving.get_registered_object("tests>Own") is Own
    assert keras.saving.get_custom_objects()["tests>Own"] is Own
    assert keras.saving.get_registered_object("tests>Other") is None


@keras.saving.register_keras_serializable("tests")
class Holder(keras.layers.Layer):
    """A layer that writes its inner layer itself."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)

    def get_config(self):
        return {"inner": keras.saving.serialize_keras_object(self.inner), "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


def test_a_layer_that_writes_its_inner_layer_is_saved(tmp_path):
    x = keras.Input((3,))
    model = keras.Model(x, Holder(keras.layers.Dense(2), name="holder")(keras.layers.Dense(3)(x)))
    model.save(tmp_path / "model.kt")
    given = torch.rand(2, 3)
    torch.testing.assert_close(keras.models.load_model(tmp_path / "model.kt")(given), model(given))
    same_numbers_after_copy(model, clone_model(model), given)


def test_functions_save_models_and_weights(tmp_path):
    model = CASES["chain"](keras)
    keras.saving.save_model(model, tmp_path / "model.kt")
    keras.saving.save_weights(model, tmp_path / "weights.safetensors")
    clone = clone_model(model)
    keras.saving.load_weights(clone, tmp_path / "weights.safetensors")
    for again in (clone, keras.models.load_model(tmp_path / "model.kt")):
        np.testing.assert_array_equal(
            again.predict(np.ones((2, 3)), verbose=0), model.predict(np.ones((2, 3)), verbose=0)
        )


def test_a_model_is_compiled_as_another():
    model = CASES["chain"](keras)
    assert model.get_compile_config() is None
    model.compile(keras.optimizers.Adam(0.25), keras.losses.Huber(0.5), metrics=["mae"], loss_weights=2.0)
    written = json.loads(json.dumps(model.get_compile_config()))
    clone = clone_model(model)
    clone.compile_from_config(written)
    clone.load_state_dict(model.state_dict())
    assert type(clone.optimizer) is type(model.optimizer)
    assert clone.optimizer.learning_rate == 0.25
    x, y = torch.rand(4, 3), torch.rand(4, 2)
    assert clone.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert clone.metrics_names == model.metrics_names


def test_square_kernels_of_a_copy_have_the_layout_of_the_model(tmp_path):
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]], dtype="float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    model.set_weights([kernel])
    model.save(tmp_path / "m.kt")
    copies = [
        keras.models.clone_model(model),
        keras.Sequential.from_config(model.get_config()),
        keras.models.model_from_json(model.to_json()),
        kt.load_model(tmp_path / "m.kt"),
    ]
    x = np.array([[1.0, 0.0]], dtype="float32")
    for one in copies:
        one.set_weights(model.get_weights())
        assert one.get_weights()[0].tolist() == kernel.tolist()
        assert one(x).tolist() == [[1.0, 2.0]]
    ours = kt.Sequential([kt.Input((2,)), kt.layers.Dense(2, use_bias=False)])
    again = kt.Sequential.from_config(ours.get_config())
    assert not again.layers[0].keras_layout
