"""Built layers are instances of torch's classes exactly if they compute the same."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import kerastorch as kt
from kerastorch import layers

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # of torch

IMAGES, SEQUENCES, ROWS = torch.randn(2, 3, 8, 9), torch.randn(2, 3, 8), torch.randn(2, 5)
VOLUMES, WORDS = torch.randn(2, 3, 6, 7, 8), torch.tensor([[0, 4, 2]])

# layer, its input, and the module of torch that computes the same
SAME = {
    "Dense": (lambda: layers.Dense(4), ROWS, lambda: nn.Linear(5, 4)),
    "Dense without bias": (lambda: layers.Dense(4, use_bias=False), ROWS, lambda: nn.Linear(5, 4, bias=False)),
    "Conv1D": (
        lambda: layers.Conv1D(4, 3, strides=2, data_format="channels_first"),
        SEQUENCES,
        lambda: nn.Conv1d(3, 4, 3, stride=2),
    ),
    "Conv2D": (lambda: layers.Conv2D(6, 3, groups=3), IMAGES, lambda: nn.Conv2d(3, 6, 3, groups=3)),
    "Conv2D, same": (
        lambda: layers.Conv2D(4, (3, 5), padding="same", dilation_rate=2),
        IMAGES,
        lambda: nn.Conv2d(3, 4, (3, 5), padding="same", dilation=2),
    ),
    "Conv2D, same with an even kernel": (
        lambda: layers.Conv2D(4, (2, 4), padding="same"),
        IMAGES,
        lambda: nn.Conv2d(3, 4, (2, 4), padding="same"),
    ),
    "Conv3D": (lambda: layers.Conv3D(4, 2), VOLUMES, lambda: nn.Conv3d(3, 4, 2)),
    "DepthwiseConv1D": (
        lambda: layers.DepthwiseConv1D(3, data_format="channels_first"),
        SEQUENCES,
        lambda: nn.Conv1d(3, 3, 3, groups=3),
    ),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        IMAGES,
        lambda: nn.Conv2d(3, 6, 3, groups=3),
    ),
    "Conv1DTranspose": (
        lambda: layers.Conv1DTranspose(4, 3, strides=2, data_format="channels_first"),
        SEQUENCES,
        lambda: nn.ConvTranspose1d(3, 4, 3, stride=2),
    ),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(4, 4, strides=2, padding="same"),
        IMAGES,
        lambda: nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1),
    ),
    "Conv2DTranspose with output_padding": (
        lambda: layers.Conv2DTranspose(4, (1, 3), strides=(3, 2), output_padding=(2, 1)),
        IMAGES,
        lambda: nn.ConvTranspose2d(3, 4, (1, 3), stride=(3, 2), output_padding=(2, 1)),
    ),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(4, 2), VOLUMES, lambda: nn.ConvTranspose3d(3, 4, 2)),
    "Embedding": (lambda: layers.Embedding(5, 3), WORDS, lambda: nn.Embedding(5, 3)),
    "LayerNormalization": (lambda: layers.LayerNormalization(), ROWS, lambda: nn.LayerNorm(5, eps=1e-3)),
    "LayerNormalization of several axes": (
        lambda: layers.LayerNormalization((1, 2, 3), 1e-5),
        IMAGES,
        lambda: nn.LayerNorm((3, 8, 9)),
    ),
    "LayerNormalization without weights": (
        lambda: layers.LayerNormalization(center=False, scale=False),
        ROWS,
        lambda: nn.LayerNorm(5, eps=1e-3, elementwise_affine=False),
    ),
    "LayerNormalization without bias": (
        lambda: layers.LayerNormalization(center=False),
        ROWS,
        lambda: nn.LayerNorm(5, eps=1e-3, bias=False),
    ),
    "GroupNormalization": (lambda: layers.GroupNormalization(3), IMAGES, lambda: nn.GroupNorm(3, 3, eps=1e-3)),
    "GroupNormalization of each channel": (
        lambda: layers.GroupNormalization(-1, axis=1, scale=False, center=False),
        SEQUENCES,
        lambda: nn.GroupNorm(3, 3, eps=1e-3, affine=False),
    ),
    "RMSNormalization": (lambda: layers.RMSNormalization(), ROWS, lambda: nn.RMSNorm(5, eps=1e-6)),
    "Dropout": (lambda: layers.Dropout(0.4), ROWS, lambda: nn.Dropout(0.4)),
}
# layers that compute more than a class of torch, and their inputs
OTHERS = {
    "Dense with an activation": (lambda: layers.Dense(4, "relu"), ROWS),
    "Dense with an activation of torch": (lambda: layers.Dense(4, nn.ReLU()), ROWS),
    "Maxout": (lambda: layers.Maxout(4), ROWS),
    "Conv1D": (lambda: layers.Conv1D(4, 3), SEQUENCES),
    "Conv1D, causal": (lambda: layers.Conv1D(4, 3, padding="causal", data_format="channels_first"), SEQUENCES),
    "Conv2D with an activation": (lambda: layers.Conv2D(4, 3, activation="relu"), IMAGES),
    "Conv2D, channels last": (lambda: layers.Conv2D(4, 3, data_format="channels_last"), IMAGES),
    "Conv2D, same with strides": (lambda: layers.Conv2D(4, 3, strides=2, padding="same"), IMAGES),
    "DepthwiseConv2D with an activation": (lambda: layers.DepthwiseConv2D(3, activation="relu"), IMAGES),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(4, 3), IMAGES),
    "Conv2DTranspose, another window": (lambda: layers.Conv2DTranspose(4, 3, strides=2, padding="same"), IMAGES),
    "Conv2DTranspose, cut": (lambda: layers.Conv2DTranspose(4, 2, padding="same", dilation_rate=3), IMAGES),
    "Embedding with masks": (lambda: layers.Embedding(5, 3, mask_zero=True), WORDS),
    "ReversibleEmbedding": (lambda: layers.ReversibleEmbedding(5, 3), WORDS),
    "LayerNormalization of another axis": (lambda: layers.LayerNormalization(1), IMAGES),
    "LayerNormalization without weight": (lambda: layers.LayerNormalization(scale=False), ROWS),
    "GroupNormalization of the last axis": (lambda: layers.GroupNormalization(3, axis=-1), IMAGES),
    "BatchNormalization": (lambda: layers.BatchNormalization(), ROWS),
    "Dropout with a seed": (lambda: layers.Dropout(0.4, seed=1), ROWS),
    "Dropout of rows": (lambda: layers.Dropout(0.4, noise_shape=(None, 1)), ROWS),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.4), SEQUENCES),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.4), ROWS),
}

each = pytest.mark.parametrize("name", SAME)


def classes_of_torch(module):
    """Return the classes of torch, but for `nn.Module`, that a module is an instance of."""
    return [one for one in type(module).__mro__ if one.__module__.startswith("torch.nn") and one is not nn.Module]


def built(name):
    """Return a layer of `SAME`, built, its input, and the module of torch with the same weights."""
    make, x, make_of_torch = SAME[name]
    layer, module = make(), make_of_torch()
    layer(x)
    module.load_state_dict(layer.state_dict())
    return layer, x, module


@each
def test_a_built_layer_is_an_instance_of_the_class_that_computes_the_same(name):
    layer, x, module = built(name)
    declared = type(SAME[name][0]())
    assert isinstance(layer, type(module))
    assert isinstance(layer, declared)
    assert (type(layer).__name__, type(layer).__module__) == (declared.__name__, declared.__module__)
    for training in (False, True):
        layer.train(training)
        module.train(training)
        torch.manual_seed(1)
        found = layer(x)
        torch.manual_seed(1)
        assert torch.equal(found, module(x))


@each
def test_it_has_the_attributes_of_that_class(name):
    layer, _, module = built(name)
    for attribute, value in vars(module).items():
        if not attribute.startswith("_") or attribute == "_reversed_padding_repeated_twice":
            found = getattr(layer, attribute)
            if attribute == "padding" and isinstance(found, str):  # a name of torch, too
                twice = vars(layer)["_reversed_padding_repeated_twice"]
                found = tuple(twice[::-2]) if value not in ("same", "valid") else found
            assert list(found) == list(value) if isinstance(value, (tuple, list)) else found == value, attribute


@each
def test_the_methods_of_that_class_compute_the_same_from_them(name):
    layer, x, module = built(name)
    layer.eval()
    module.eval()
    assert torch.equal(type(module).forward(layer, x), module(x))


@pytest.mark.parametrize("name", OTHERS)
def test_a_layer_that_computes_more_is_no_instance_of_a_class_of_torch(name):
    make, x = OTHERS[name]
    layer = make()
    layer(x)
    assert layer.built
    assert not classes_of_torch(layer)


@each
def test_an_unbuilt_layer_is_no_instance_of_a_class_of_torch(name):
    assert not classes_of_torch(SAME[name][0]())


@each
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(lambda one, n=n: pickle.loads(pickle.dumps(one, n)) for n in (0, 2, 5))],
    ids=["copy", "deepcopy", "pickle 0", "pickle 2", "pickle 5"],
)
def test_a_copy_is_an_instance_too(name, copied):
    layer, x, _ = built(name)
    other = copied(layer.eval())
    assert type(other) is type(layer)
    assert other.get_config() == layer.get_config()
    assert torch.equal(other(x), layer(x))


def test_what_an_earlier_version_pickled_becomes_an_instance():
    layer, x, _ = built("Dense")
    state = {name: value for name, value in vars(layer).items() if name != "in_features"}
    old = layers.Dense.__new__(layers.Dense)
    old.__setstate__(state)
    assert isinstance(old, nn.Linear)
    assert old.in_features == 5
    assert torch.equal(old(x), layer(x))


@each
def test_a_config_makes_an_unbuilt_layer_of_its_own_class(name):
    layer, x, _ = built(name)
    again = type(layer).from_config(layer.get_config())
    assert type(again) is type(SAME[name][0]())
    assert not again.built
    assert again.get_config() == layer.get_config() == SAME[name][0]().get_config()
    assert again.eval()(x).shape == layer.eval()(x).shape


def test_its_class_called_with_the_arguments_of_torch_makes_a_module_of_torch():
    layer, _, _ = built("Conv2D")
    module = type(layer)(3, 4, (2, 2), bias=False)
    assert type(module) is nn.Conv2d
    assert module(IMAGES).shape == (2, 4, 7, 8)
    assert pickle.loads(pickle.dumps(module)).bias is None


def test_attributes_of_torch_and_of_the_layer_are_one():
    norm, _, _ = built("LayerNormalization")
    norm.eps = 0.5
    assert norm.epsilon == norm.get_config()["epsilon"] == 0.5
    assert torch.equal(norm(ROWS), nn.functional.layer_norm(ROWS, (5,), eps=0.5))
    dropout, _, _ = built("Dropout")
    dropout.rate = 1.0
    assert dropout.p == 1.0
    assert not dropout(ROWS).any()
    convolution, _, _ = built("Conv2D")
    convolution.stride = (2, 2)
    expected = nn.functional.conv2d(IMAGES, convolution.weight, convolution.bias, stride=2, groups=3)
    assert torch.equal(convolution(IMAGES), expected)
    assert convolution.get_config()["strides"] == [2, 2]


@pytest.mark.parametrize("activation", [kt.activations.relu, nn.ReLU()])
@pytest.mark.parametrize("name", ["Dense", "Conv2D", "Conv2DTranspose"])
def test_a_layer_that_gets_an_activation_later_is_no_instance_any_more(name, activation):
    layer, x, module = built(name)
    layer.activation = kt.activations.linear
    assert isinstance(layer, type(module))
    layer.activation = activation
    assert not classes_of_torch(layer)
    assert torch.equal(layer(x), module(x).relu())


class Doubled(layers.Dense):
    def forward(self, x):
        return 2 * super().forward(x)


class Masking(layers.Dense):
    def compute_mask(self, x, mask=None):
        return x[..., 0] > 0


class Named(layers.Dense):
    def __init__(self, units, label="", **options):
        super().__init__(units, **options)
        self.label = label

    def described(self):
        return f"{self.label}: {self.in_features}"


def test_a_subclass_with_a_forward_of_its_own_is_no_instance():
    for make in (Doubled, Masking):
        layer = make(2)
        layer(ROWS)
        assert not classes_of_torch(layer)
        assert torch.equal(layer(ROWS), (1 + (make is Doubled)) * nn.functional.linear(ROWS, layer.weight, layer.bias))


def test_a_subclass_with_the_forward_of_the_layer_is_an_instance(tmp_path):
    layer = Named(2, label="first")
    layer(ROWS)
    assert isinstance(layer, (Named, nn.Linear))
    assert isinstance(layer, nn.Linear)
    assert pickle.loads(pickle.dumps(layer)).described() == "first: 5"
    model = kt.Sequential([layer])
    model.save(tmp_path / "model.kt")
    again = kt.load_model(tmp_path / "model.kt", custom_objects={"Named": Named})[0]
    assert type(again) is type(layer)
    assert again.described() == "first: 5"


def net():
    return kt.Sequential(
        [
            kt.Input((3, 8, 9)),
            layers.Conv2D(4, 3, name="convolution"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(8),
            layers.ReLU(),
            layers.Dense(2),
        ]
    )


def plain():
    """Return the same network of torch's modules, with the same weights."""
    model = net()
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(168, 8), nn.ReLU(), nn.Linear(8, 2))
    module.load_state_dict(model.state_dict())
    return model, module


X, Y = torch.randn(20, 3, 8, 9), torch.arange(20) % 2


def trained_alike(model, module, tmp_path):
    """Assert that all methods of a changed model work, and that it trains as a changed network of torch does."""
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), metrics=["accuracy"])
    model.fit(X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(2):
        for rows in (slice(10), slice(10, 20)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(X[rows]), Y[rows]).backward()
            optimizer.step()
    found, expected = model.state_dict(), module.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    module.eval()
    with torch.no_grad():
        outputs = module(X)
    np.testing.assert_allclose(model.predict(X, verbose=0), outputs.numpy(), rtol=1e-4, atol=1e-6)
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(nn.functional.cross_entropy(outputs, Y).item(), rel=1e-4)
    assert logs["accuracy"] == pytest.approx((outputs.argmax(1) == Y).float().mean().item())
    model.save_weights(tmp_path / "w.safetensors")
    lines = []
    model.summary(print_fn=lines.append)
    assert f"{sum(weight.numel() for weight in module.parameters()):,}" in "\n".join(lines)


def matrices(module):
    return [one for one in module.modules() if isinstance(one, (nn.Linear, nn.Conv2d))]


def pruned(module):
    weights = [(one, "weight") for one in matrices(module)]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=0.5)


def pruned_for_good(module):
    for one in matrices(module):
        prune.ln_structured(one, "weight", amount=0.5, n=2, dim=0)
        prune.remove(one, "weight")


def weight_normed(module):
    for one in matrices(module):
        parametrizations.weight_norm(one)


def spectral_normed(module):
    for one in matrices(module):
        parametrizations.spectral_norm(one)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.clamp(-0.1, 0.1)


def parametrized(module):
    for one in matrices(module):
        parametrize.register_parametrization(one, "weight", Symmetric())
        parametrize.remove_parametrizations(one, "weight")
        parametrize.register_parametrization(one, "bias", Symmetric())


@pytest.mark.parametrize("change", [pruned, pruned_for_good, weight_normed, spectral_normed, parametrized])
def test_tools_of_torch_change_the_layers_as_modules_of_torch(change, tmp_path):
    model, module = plain()
    for one in (model, module):
        torch.manual_seed(3)
        change(one)
    assert len(matrices(model)) == 3
    trained_alike(model, module, tmp_path)


def test_spectral_norm_takes_the_axis_of_transposed_convolutions():
    layer, x, module = built("Conv2DTranspose")
    for one in (layer, module):
        torch.manual_seed(3)
        parametrizations.spectral_norm(one)
    assert torch.equal(layer.weight, module.weight)
    assert torch.equal(layer(x), module(x))


def test_a_parametrized_layer_is_an_instance_and_gets_its_class_back():
    layer, _, _ = built("Dense")
    before = type(layer)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert isinstance(layer, nn.Linear)
    other = copy.deepcopy(layer)
    assert torch.equal(other(ROWS), layer(ROWS))
    layer.activation = kt.activations.relu
    assert torch.equal(layer(ROWS), other(ROWS).relu())
    parametrize.remove_parametrizations(other, "weight")
    assert type(other) is before


def replaced(model):
    """Put modules of torch with the same weights in place of layers, for tools that compare classes exactly."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            linear = nn.Linear(layer.in_features, layer.out_features)
            linear.weight, linear.bias = layer.weight, layer.bias
            model.set_submodule(name, linear)


def test_layers_can_be_replaced_by_modules_of_torch():
    model = net()
    before = model.predict(X, verbose=0)
    replaced(model)
    assert type(model[3]) is nn.Linear
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_functional_models_have_instances_too():
    inputs = kt.Input((5,))
    hidden = layers.Dense(4)(inputs)
    model = kt.Model(inputs, layers.Dense(2)(layers.ReLU()(hidden)))
    assert [one.in_features for one in model.modules() if isinstance(one, nn.Linear)] == [5, 4]
    weight_normed(model)
    first, second = (one for one in model.modules() if isinstance(one, nn.Linear))
    expected = nn.functional.linear(
        nn.functional.linear(ROWS, first.weight, first.bias).relu(), second.weight, second.bias
    )
    torch.testing.assert_close(model(ROWS), expected)


def test_attention_consists_of_instances():
    layer = layers.MultiHeadAttention(2, 3)
    layer(torch.randn(2, 4, 6), torch.randn(2, 4, 6))
    found = {name: (one.in_features, one.out_features) for name, one in layer.named_modules() if name}
    assert found == {"query": (6, 6), "key": (6, 6), "value": (6, 6), "attention_output": (6, 6)}


def test_the_exported_program_is_that_of_modules_of_torch():
    model, module = plain()
    programs = [torch.export.export(one.eval(), (X[:2],)) for one in (model, module)]
    targets = [[node.target for node in program.graph.nodes if node.op == "call_function"] for program in programs]
    assert targets[0] == targets[1]
    torch.testing.assert_close(programs[0].module()(X[:2]), module(X[:2]))
