"""`device`, `name_scope`, `remat`, `RematScope`, `TorchModuleWrapper`, `dtype_policies`, and settings of `config`."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch.keras as keras
from kerastorch.keras import layers

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


def test_new_layers_are_on_the_device_of_the_block():
    with keras.device("meta"):
        layer = layers.Dense(2)
        layer.build((None, 3))
    assert layer.kernel.device.type == "meta"
    assert (keras.device("gpu:1"), keras.device("CPU:0")) == (torch.device("cuda:1"), torch.device("cpu"))


def test_a_name_scope_changes_nothing():
    keras.utils.set_random_seed(0)
    plain = layers.Dense(2)(X)
    keras.utils.set_random_seed(0)
    with keras.name_scope("block", caller=None):
        assert torch.equal(layers.Dense(2)(X), plain)


def count_calls(module):
    calls = []
    module.register_forward_pre_hook(lambda *_: calls.append(1))
    return calls


def test_remat_computes_the_function_twice_with_the_same_gradients():
    calls = []

    def f(x, scale=1.0):
        calls.append(1)
        return (x.sin() * scale).exp()

    x, y = torch.linspace(0, 1, 5, requires_grad=True), torch.linspace(0, 1, 5, requires_grad=True)
    f(x, scale=2.0).sum().backward()
    calls.clear()
    keras.remat(f)(y, scale=2.0).sum().backward()
    assert (len(calls), torch.equal(x.grad, y.grad)) == (2, True)
    calls.clear()
    with torch.no_grad():
        keras.remat(f)(y)
    assert len(calls) == 1


@pytest.mark.parametrize("functional", [False, True])
def test_layers_of_a_remat_scope_are_computed_twice_and_train_the_same(functional):
    def trained(scope):
        keras.utils.set_random_seed(0)
        inner = nn.Linear(4, 4)
        with scope:
            hidden = [layers.Dense(4, activation="relu", name="first"), layers.TorchModuleWrapper(inner, name="second")]
        if functional:
            inputs = keras.Input((3,))
            model = keras.Model(inputs, layers.Dense(1)(hidden[1](hidden[0](inputs))))
        else:
            model = keras.Sequential([*hidden, layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(X, X[:, :1], epochs=1, verbose=0)
        calls = count_calls(inner)
        model.fit(X, X[:, :1], epochs=2, verbose=0)
        return len(calls), [weight.detach().clone() for weight in model.parameters()]

    plain, expected = trained(keras.RematScope(mode=None))
    for scope, factor in [
        (keras.RematScope(), 2),
        (keras.RematScope("list_of_layers", layer_names=["second"]), 2),
        (keras.RematScope("list_of_layers", layer_names=["first"]), 1),
    ]:
        calls, found = trained(scope)
        assert calls == factor * plain == factor * 2
        assert all(map(torch.equal, found, expected))
    with pytest.raises(ValueError, match="checkpoint_activations"):
        keras.RematScope("larger_than")
    with pytest.raises(ValueError, match="Unknown mode 'fully'"):
        keras.RematScope("fully")


def test_a_module_of_torch_is_a_layer_with_weights_and_modes(tmp_path):
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    layer = layers.TorchModuleWrapper(module, name="wrapped")
    assert torch.equal(layer(X), layer(X))
    assert not torch.equal(layer(X, training=True), layer(X, training=True))
    torch.testing.assert_close(layer(X, training=False), module.eval()(torch.from_numpy(X)))
    assert (layer.module is module, layer.name, len(layer.trainable_weights)) == (True, "wrapped", 4)
    assert layer.compute_output_shape((None, 3)) == (None, 4)
    assert layers.TorchModuleWrapper(module, output_shape=(None, 7)).compute_output_shape((None, 3)) == (None, 7)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    model.compile("adam", "mse")
    before = module[0].weight.detach().clone()
    model.fit(X, X[:, [0, 1, 2, 0]], verbose=0)
    assert not torch.equal(before, module[0].weight)
    model.save(tmp_path / "model.kt")
    again = keras.models.load_model(tmp_path / "model.kt")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert isinstance(again.layers[1], layers.TorchModuleWrapper)


def test_functions_and_operations_are_models_and_layers():
    class Double(keras.Operation):
        def call(self, x):
            return x * 2

    inputs = keras.Input((3,))
    function = keras.Function(inputs, Double()(inputs) + 1)
    np.testing.assert_allclose(function(X), X * 2 + 1)
    assert isinstance(keras.Model(inputs, layers.Dense(2)(inputs)), keras.Function)
    assert isinstance(layers.Dense(2), keras.Operation)


def test_policies_are_those_of_mixed_precision():
    policies = keras.dtype_policies
    for name in ("float32", "mixed_bfloat16", "mixed_float16"):
        policy = policies.get(name)
        assert (policy.name, policies.get(policy)) == (name, policy)
        assert policies.deserialize(policies.serialize(policy)) == policies.get(policies.serialize(policy)) == policy
    assert keras.FloatDTypePolicy is keras.DTypePolicy is policies.DTypePolicy
    assert policies.get(None) == keras.config.dtype_policy()
    with pytest.raises(ValueError, match="only class of policies is DTypePolicy, got 'QuantizedDTypePolicy'"):
        policies.deserialize({"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}})
    with pytest.raises(AttributeError, match="torchao"):
        policies.QuantizedDTypePolicy


def test_settings_of_attention_and_epsilon():
    before = torch.backends.cuda.flash_sdp_enabled()
    try:
        keras.config.disable_flash_attention()
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert not keras.config.is_flash_attention_enabled()
        keras.config.enable_flash_attention()
        assert keras.config.is_flash_attention_enabled()
    finally:
        torch.backends.cuda.enable_flash_sdp(before)
    assert not keras.config.is_nnx_enabled()
    keras.config.set_epsilon(keras.config.epsilon())
    with pytest.raises(ValueError, match="an argument epsilon="):
        keras.backend.set_epsilon(1e-3)
