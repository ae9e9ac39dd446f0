"""The functional API: what is done to symbols is a torch.fx graph of plain modules."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import Input, Model, Sequential
from kerastorch.layers import (
    Activation,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Layer,
    ReLU,
    RMSNormalization,
)


def _x(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _two_inputs():
    a, b = Input((8,), name="a"), Input((4,), name="b")
    joined = torch.cat([Dense(6, "relu", name="left")(a), kt.call(nn.Linear(4, 6), b)], dim=1)
    return Model([a, b], Dense(2, name="head")(joined * 2 + 1))


# what a model is


def test_a_functional_model_computes_what_was_written():
    model = _two_inputs()
    a, b = _x(5, 8), _x(5, 4)
    left = F.relu(F.linear(a, model.left.weight, model.left.bias))
    right = F.linear(b, model.linear.weight, model.linear.bias)
    expected = F.linear(torch.cat([left, right], 1) * 2 + 1, model.head.weight, model.head.bias)
    torch.testing.assert_close(model(a, b), expected)


def test_its_code_is_python_that_computes_the_same():
    model = _two_inputs()
    space = {"torch": torch}
    exec(model.code, space)
    a, b = _x(5, 8), _x(5, 4)
    assert torch.equal(space["forward"](model, a, b), model(a, b))
    assert model.code.splitlines()[:2] == ["def forward(self, a, b):", "    left = self.left(a)"]
    assert isinstance(model.graph, fx.Graph)


def test_its_state_dict_is_that_of_plain_modules():
    model = _two_inputs()
    assert list(model.state_dict()) == [
        "left.weight", "left.bias", "linear.weight", "linear.bias", "head.weight", "head.bias",
    ]  # fmt: skip
    plain = nn.ModuleDict({"left": nn.Linear(8, 6), "linear": nn.Linear(4, 6), "head": nn.Linear(12, 2)})
    plain.load_state_dict(model.state_dict())
    other = _two_inputs()
    other.load_state_dict(plain.state_dict())
    assert torch.equal(other(_x(5, 8), _x(5, 4)), model(_x(5, 8), _x(5, 4)))


@pytest.mark.parametrize("given", ["positions", "list", "dict", "names"])
def test_it_is_called_in_every_structure_that_names_its_inputs(given):
    model, a, b = _two_inputs(), _x(5, 8), _x(5, 4)
    calls = {
        "positions": lambda: model(a, b),
        "list": lambda: model([a, b]),
        "dict": lambda: model({"b": b, "a": a}),
        "names": lambda: model(b=b, a=a),
    }
    assert torch.equal(calls[given](), model.module_viewed(a, b))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(_x(5, 8)), "takes 2 inputs: 'a', 'b'; got 1"),
        (lambda m: m({"a": _x(5, 8)}), "'b' is missing"),
        (lambda m: m(_x(5, 4), _x(5, 8)), r"Input 'a' has shape \(None, 8\), got \(5, 4\)"),
        (lambda m: m(_x(8), _x(5, 4)), r"Input 'a' has shape \(None, 8\), got \(8,\)"),
    ],
)
def test_a_call_that_does_not_fit_is_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call(_two_inputs())


def test_inputs_and_outputs_may_be_dicts():
    x, y = Input((3,)), Input((3,))
    model = Model({"query": x, "document": y}, {"sum": x + y, "product": x * y})
    a, b = _x(4, 3), _x(4, 3, seed=2)
    found = model({"document": b, "query": a})
    assert torch.equal(found["sum"], a + b)
    assert torch.equal(found["product"], a * b)
    assert set(model.predict({"document": b, "query": a}, verbose=0)) == {"sum", "product"}


def test_inputs_without_names_are_numbered():
    x, y = Input((3,)), Input((3,))
    model = Model([x, y], x - y)
    assert model.input_names == ("input", "input_1")


def test_keys_that_are_no_python_names_are_still_the_keys():
    x, y = Input((3,)), Input((3,))
    model = Model({"text body": x, "class": y}, x - y)
    a, b = _x(4, 3), _x(4, 3, seed=2)
    assert torch.equal(model({"class": b, "text body": a}), a - b)
    assert np.array_equal(model.predict({"class": b.numpy(), "text body": a.numpy()}, verbose=0), (a - b).numpy())


def test_a_shared_layer_is_one_layer():
    a, b, shared = Input((4,)), Input((4,)), Dense(3)
    model = Model([a, b], shared(a) - shared(b))
    assert list(model.state_dict()) == ["dense.weight", "dense.bias"]
    x = _x(5, 4)
    assert not model(x, x).any()
    model(x, _x(5, 4, seed=2)).square().sum().backward()
    assert torch.allclose(model.dense.bias.grad, torch.zeros(3), atol=1e-5)  # what goes in at one side comes off


def test_layers_without_a_name_are_called_as_keras_calls_them():
    x = Input((3, 8, 8))
    y = ReLU()(BatchNormalization()(Conv2D(4, 3)(x)))
    y = RMSNormalization()(GlobalAveragePooling2D()(Conv2DTranspose(4, 3)(Conv2D(4, 3)(y))))
    model = Model(x, kt.call(nn.Linear(4, 1), y))
    assert [name for name, _ in model.named_children()] == [
        "conv2d", "batch_normalization", "re_lu", "conv2d_1", "conv2d_transpose", "global_average_pooling2d",
        "rms_normalization", "linear",
    ]  # fmt: skip


def test_models_nest():
    x = Input((4,))
    inner = Model(x, Dense(3, "relu")(x), name="encoder")
    y = Input((4,))
    model = Model(y, Sequential([Dense(2)], name="head")(inner(y)))
    assert list(model.state_dict()) == [
        "encoder.dense.weight", "encoder.dense.bias", "head.0.weight", "head.0.bias",
    ]  # fmt: skip
    data = _x(5, 4)
    assert torch.equal(model(data), model.head(inner(data)))


def test_a_model_to_an_intermediate_output_has_the_same_layers():
    x = Input((4,))
    model = Model(x, Dense(1)(Dense(3, "relu", name="features")(x)))
    features = Model(model.inputs, model.features.output)
    data = _x(5, 4)
    assert features.features is model.features
    assert torch.equal(features(data), F.relu(F.linear(data, model.features.weight, model.features.bias)))
    rest = Model(model.features.output, model.outputs)
    assert torch.equal(rest(features(data)), model(data))


def test_a_layer_that_was_called_twice_has_no_one_output():
    x, shared = Input((4,)), Dense(4)
    once = shared(x)
    twice = shared(once)
    with pytest.raises(ValueError, match="Dense was called on 2 symbols"):
        shared.output
    assert twice.shape == (None, 4)
    with pytest.raises(ValueError, match="in no functional model"):
        Dense(3).output


def test_structures_come_apart_as_they_are():
    class Both(nn.Module):
        def forward(self, x):
            return {"twice": 2 * x, "parts": (x[:, :1], x[:, 1:])}

    x = Input((4,))
    found = kt.call(Both(), x)
    assert found["twice"].shape == (None, 4)
    assert [part.shape for part in found["parts"]] == [(None, 1), (None, 3)]
    top = torch.max(x, dim=1)
    one, three = torch.split(x, [1, 3], dim=1)
    model = Model(x, torch.cat([found["parts"][1], top.values[:, None], one, three], 1))
    data = _x(5, 4)
    assert torch.equal(model(data), torch.cat([data[:, 1:], data.amax(1, keepdim=True), data], 1))


FUNCTIONS = {
    "operators": lambda x: (1 - x) / 2 + x**2 - -x,
    "reflected": lambda x: 2.0 ** (1 + x),
    "comparison": lambda x: torch.where((x > 0) & ~(x >= 1), x, 0.0),
    "matmul": lambda x: x @ torch.ones(4, 2),
    "from the right": lambda x: torch.eye(4) @ x.unsqueeze(-1),
    "method": lambda x: x.relu().sum(dim=1, keepdim=True).clamp(max=1.0),
    "property": lambda x: x.unsqueeze(1).mT,
    "index": lambda x: x[:, 1:3],
    "ellipsis": lambda x: x[..., None, 0],
    "shape": lambda x: x.reshape(x.shape[0], 2, -1),
    "size": lambda x: x.view(x.size(0) * 2, 2),
    "arange": lambda x: x + torch.arange(x.shape[-1]),
    "in place is out of place": lambda x: _added(x),
    "function": lambda x: F.layer_norm(x, [4]),
    "unpacked": lambda x: torch.stack(torch.unbind(x, 1)[::-1], 1),
    "loop over a fixed axis": lambda x: sum(column for column in x.T),
}


def _added(x):
    x += 1
    return x


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_any_function_of_torch_is_recorded(function):
    data = _x(5, 4)
    if function(data.clone()).shape[0] == 4:
        pytest.skip("loops over the batch")
    x = Input((4,))
    found = function(x)
    expected = function(data.clone())
    model = Model(x, found)
    assert torch.equal(model(data), expected)
    assert found.shape[1:] == tuple(expected.shape[1:])
    assert found.shape[0] == None  # noqa: E711
    other = function(_x(7, 4))
    assert torch.equal(model(_x(7, 4)), other)


def test_a_shape_shows_what_varies_as_none():
    x = Input((None, 3))
    assert x.shape == (None, None, 3)
    assert str(x.shape) == "(None, None, 3)"
    assert x.mean(1).shape == (None, 3)
    assert x.ndim == 3
    assert x.dtype == torch.float32
    assert repr(x * 1) == "Symbol(shape=(None, None, 3), dtype=torch.float32)"


def test_a_number_of_the_shape_is_right_for_every_batch():
    x = Input((3,))
    model = Model(x, x / x.shape[0])
    for rows in (1, 4):
        data = torch.ones(rows, 3)
        assert torch.equal(model(data), data / rows)


def test_a_tensor_in_the_graph_is_no_weight_and_follows_the_model():
    x = Input((3,))
    model = Model(x, x * torch.tensor([1.0, 2.0, 3.0]))
    assert not model.state_dict()
    assert not list(model.parameters())
    assert model.double()(torch.ones(1, 3).double()).dtype == torch.float64


# what is refused


class _Decides(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * (x if x.sum() > 0 else -x).repeat(torch.tensor([1, 2]).tolist())


class _Selects(nn.Module):
    def forward(self, x):
        return x[x.sum(1) > 0]


def test_a_module_may_read_numbers_if_the_shapes_do_not_depend_on_them():
    module = _Decides()
    x = Input((4,))
    y = kt.call(module, x)
    assert str(y.shape) == "(None, 8)"
    model = Model(x, Dense(3)(y))
    drawn = torch.get_rng_state()
    kt.call(module, x)
    assert torch.equal(drawn, torch.get_rng_state())
    torch.testing.assert_close(model(-torch.ones(2, 4)), model.layers[-1](torch.ones(2, 8)))
    assert model.count_params() == 8 * 3 + 3 + 1


REFUSED = {
    "shape": (lambda x: Dense(3)(x) @ torch.ones(4, 4), r"matmul cannot take inputs of shape \(None, 3\), \(4, 4\)"),
    "shape of a layer": (
        lambda x: kt.call(nn.Linear(5, 2), x), r"Linear cannot take inputs of shape \(None, 4\)"
    ),
    "if": (lambda x: x if (x > 0).all() else -x, "if, and, or, not needs the numbers"),
    "float": (lambda x: float(x.sum()), r"float\(\) needs the numbers"),
    "item": (lambda x: x.sum().item(), r"\.item\(\) needs the numbers"),
    "numpy": (lambda x: np.asarray(x), "NumPy needs the numbers"),
    "loop over the batch": (lambda x: list(iter(x)), "a loop over an axis that varies, needs the numbers"),
    "nonzero": (lambda x: torch.nonzero(x), "nonzero goes by the numbers"),
    "module": (lambda x: kt.call(_Selects(), x), "_Selects goes by the numbers"),
    "torch module": (lambda x: nn.Dropout(0.5)(x), r"Dropout was called on a symbol; call it as kerastorch\.call"),
    "torch module with weights": (lambda x: nn.Linear(4, 2)(x), r"kerastorch\.call\(module, x\)"),
    "in place method": (lambda x: x.relu_(), "relu_ changes a tensor in place"),
    "in place argument": (lambda x: F.relu(x, inplace=True), "relu changes a tensor in place"),
    "item assignment": (lambda x: x.__setitem__(0, 1), "cannot be changed in place"),
    "parameter": (lambda x: x * nn.Parameter(torch.ones(4)), "belong to no module"),
    "made of weights": (lambda x: x + Dense(4)(torch.ones(1, 4)), "made of weights, which would learn nothing"),
    "no such method": (lambda x: x.foo(), "no tensor has 'foo'"),
    "open features": (lambda x: Dense(2)(Input((None,))), "Give Input a number there"),
}  # fmt: skip


@pytest.mark.parametrize(("act", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_no_graph_can_hold_is_refused_where_it_is_written(act, message):
    with pytest.raises((TypeError, ValueError, AttributeError), match=message):
        act(Input((4,)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, z: Model(x, x + z), "the outputs need 'z', which is not among the inputs"),
        (lambda x, z: Model([x, x], x * 2), "an input is given twice"),
        (lambda x, z: Model(x), "needs the outputs too"),
        (lambda x, z: Model(x, torch.ones(3)), "outputs must be symbolic tensors, as Input"),
        (lambda x, z: Model(torch.ones(3), x), "inputs must be symbolic tensors, as Input"),
        (lambda x, z: Model(x, Dense(4, name="d")(Dense(4, name="d")(x))), "two layers are named 'd'"),
        (lambda x, z: Model(nn.Linear(3, 2), x), "inputs must be symbolic tensors, as Input"),
    ],
)
def test_a_graph_that_does_not_hang_together_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(Input((4,), name="x"), Input((4,), name="z"))


def test_a_model_cannot_hold_itself():
    model = Sequential([Dense(3)])
    with pytest.raises(ValueError, match="layer of itself"):
        model.add(model)
    with pytest.raises(ValueError, match="layer of itself"):
        model.add(Sequential([model]))
    assert len(model) == 1


def test_other_models_do_not_have_what_only_functional_ones_have():
    for model in (Sequential([Dense(2)]), Model(nn.Linear(3, 2))):
        assert not any(hasattr(model, name) for name in ("inputs", "outputs", "graph", "code", "input_names"))


def test_a_failed_call_leaves_random_numbers_and_modes_as_they_were():
    layer, wrong = Dropout(0.5), nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 1, 3))
    state = torch.get_rng_state()
    layer(Input((4,)))
    assert layer.training
    with pytest.raises(ValueError, match="cannot take inputs"):
        kt.call(wrong, Input((4,)))
    assert wrong.training
    assert torch.equal(torch.get_rng_state(), state)


def test_building_computes_and_changes_nothing():
    norm = nn.BatchNorm1d(4)
    kt.call(norm, Input((4,)))
    assert norm.num_batches_tracked == 0
    assert norm.training
    assert not norm.running_mean.any()


# what torch and Python do with it


def test_it_compiles_whole_exports_copies_and_pickles():
    model = _two_inputs()
    inputs = (_x(5, 8), _x(5, 4))
    expected = model(*inputs)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), expected)
    torch.testing.assert_close(torch.export.export(model, inputs).module()(*inputs), expected)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(*inputs), expected)
        assert list(other.state_dict()) == list(model.state_dict())
        with torch.no_grad():
            other.head.weight.zero_()
        assert not torch.equal(other(*inputs), expected)
        assert torch.equal(model(*inputs), expected)


def test_a_copy_has_symbols_of_its_own():
    model = copy.deepcopy(_two_inputs())
    inputs = model.inputs
    middle = Model(inputs[0], model.left.output)
    assert middle.left is model.left
    assert [one.shape for one in inputs] == [(None, 8), (None, 4)]


def test_a_model_of_five_hundred_layers_is_no_deeper_than_one_of_two():
    x = y = Input((2,))
    for _ in range(500):
        y = Activation("tanh")(y)
    model = Model(x, y)
    data = _x(3, 2)
    assert torch.equal(copy.deepcopy(model)(data), model(data))
    assert torch.equal(pickle.loads(pickle.dumps(model))(data), model(data))


def test_symbols_that_nobody_needs_are_let_go():
    import gc
    import weakref

    layer = Dense(3)
    symbol = layer(Input((4,)))
    seen = weakref.ref(symbol)
    del symbol
    gc.collect()
    assert seen() is None


# learning


def _separable(rows=240):
    kt.utils.set_random_seed(0)
    x = torch.randn(rows, 8)
    return x.numpy(), (x[:, 0] + x[:, 1] > 0).long().numpy()


def test_it_learns_as_the_sequential_of_the_same_layers():
    x, y = _separable()
    histories = []
    for functional in (False, True):
        kt.utils.set_random_seed(1)
        if functional:
            begin = Input((8,))
            model = Model(begin, Dense(2, "softmax")(Dense(16, "relu")(begin)))
        else:
            model = Sequential([Input((8,)), Dense(16, "relu"), Dense(2, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        kt.utils.set_random_seed(2)
        histories.append(model.fit(x, y, epochs=3, verbose=0, validation_split=0.25).history)
    assert histories[0] == histories[1]


def _three_outputs():
    a, b = Input((8,), name="title"), Input((4,), name="tags")
    h = torch.cat([Dense(16, "relu")(a), Dense(16, "relu")(b)], 1)
    outputs = [
        Dense(1, name="priority")(h), Dense(3, "softmax", name="department")(h), Dense(1, "sigmoid", name="flag")(h),
    ]  # fmt: skip
    return [a, b], outputs


def _tickets(rows=160):
    kt.utils.set_random_seed(0)
    a, b = torch.randn(rows, 8), torch.randn(rows, 4)
    y = {"priority": a[:, :1] * 2, "department": a[:, :3].argmax(1), "flag": (b[:, :1] > 0).float()}
    return {"title": a, "tags": b}, y


_LOSSES = {"priority": "mse", "department": "sparse_categorical_crossentropy", "flag": "binary_crossentropy"}
_WEIGHTS = {"priority": 1.0, "department": 0.5, "flag": 0.2}


def test_outputs_in_a_list_have_their_layers_names_in_losses_metrics_and_logs():
    x, y = _tickets()
    inputs, outputs = _three_outputs()
    model = Model(inputs, outputs)
    model.compile("adam", _LOSSES, _WEIGHTS, metrics={"department": ["accuracy"]})
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "priority_loss", "department_loss", "flag_loss", "department_accuracy"]
    with torch.no_grad():
        priority, department, flag = model(x)
    parts = [
        F.mse_loss(priority, y["priority"]),
        F.nll_loss(department.log(), y["department"]),
        F.binary_cross_entropy(flag, y["flag"]),
    ]
    assert logs["loss"] == pytest.approx(float(parts[0] + 0.5 * parts[1] + 0.2 * parts[2]), rel=1e-5)
    assert [logs[f"{name}_loss"] for name in _LOSSES] == pytest.approx([float(one) for one in parts], rel=1e-5)


def test_losses_and_targets_may_be_lists_in_the_order_of_the_outputs():
    x, y = _tickets()
    found = []
    for listed in (False, True):
        kt.utils.set_random_seed(1)
        model = Model(*_three_outputs())
        model.compile(
            "adam", list(_LOSSES.values()) if listed else _LOSSES, list(_WEIGHTS.values()) if listed else _WEIGHTS
        )
        found.append(
            model.evaluate([x["title"], x["tags"]] if listed else x, list(y.values()) if listed else y, verbose=0)
        )
    assert found[0] == found[1]


def test_the_same_model_with_a_dict_of_outputs_gives_the_same_numbers():
    x, y = _tickets()
    found = []
    for as_dict in (False, True):
        kt.utils.set_random_seed(1)
        inputs, outputs = _three_outputs()
        model = Model(inputs, dict(zip(_LOSSES, outputs, strict=True)) if as_dict else outputs)
        model.compile("adam", _LOSSES, _WEIGHTS)
        kt.utils.set_random_seed(2)
        found.append(model.fit(x, y, epochs=2, verbose=0).history)
    assert found[0] == found[1]


def test_a_loss_for_an_output_that_is_not_there_is_refused():
    model = Model(*_three_outputs())
    with pytest.raises(ValueError, match="'price'"):
        model.compile("adam", {**_LOSSES, "price": "mse"})


def test_a_model_of_ones_own_may_be_put_together_in_its_init():
    class Named(Model):
        def __init__(self):
            x = Input((8,))
            super().__init__(x, Dense(2, "softmax")(Flatten()(x)))

        def train_step(self, batch):
            self.steps = getattr(self, "steps", 0) + 1
            return super().train_step(batch)

    x, y = _separable()
    model = Named()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0, batch_size=60)
    assert model.steps == 4


def test_a_layer_of_ones_own_with_layers_inside_is_built_when_it_is_called_on_a_symbol():
    class Block(Layer):
        def __init__(self):
            super().__init__()
            self.inner = Dense(4, "relu")

        def forward(self, x):
            return x + self.inner(x)

    x = Input((4,))
    model = Model(x, Block()(x))
    data = _x(3, 4)
    inner = model.block.inner
    assert torch.equal(model(data), data + F.relu(F.linear(data, inner.weight, inner.bias)))


def test_a_model_of_ones_own_may_call_its_parts_as_it_likes():
    class Net(Model):
        def __init__(self):
            super().__init__()
            self.input = nn.Linear(4, 3)
            self.output = nn.Linear(3, 2)
            self.code = nn.Parameter(torch.ones(2))
            self.inputs = 4

        def forward(self, x):
            return self.output(self.input(x)) * self.code + self.inputs

    model = Net()
    x = _x(5, 4)
    expected = F.linear(F.linear(x, *model.input.parameters()), *model.output.parameters()) + 4
    torch.testing.assert_close(model(x), expected)
    assert len(list(model.parameters())) == 5


# what a Keras script expects


def test_a_sequential_with_an_input_ends_at_any_of_its_layers():
    model = Sequential([Input((4,)), Dense(3, "relu"), Dense(2, name="head")])
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 2))
    parts = Model(model.inputs, [layer.output for layer in model.layers])
    x = _x(5, 4)
    hidden, head = parts(x)
    assert torch.equal(hidden, model[0](x))
    assert torch.equal(head, model(x))
    model.add(Dense(1))
    assert model.output_shape == (None, 1)
    model.pop()
    assert model.output_shape == (None, 2)


def test_a_sequential_without_an_input_has_no_symbols():
    model = Sequential([Dense(3)])
    assert not hasattr(model, "inputs")
    assert not hasattr(model, "output_shape")


def test_a_model_goes_on_from_the_output_of_another():
    x = Input((4,))
    base = Model(x, Dense(3, name="code")(x))
    chain = Sequential([Input((4,)), Dense(3)])
    for given in (base, chain):
        whole = Model(given.input, Dense(1)(given.output))
        assert whole.output_shape == (None, 1)
        assert whole(_x(2, 4)).shape == (2, 1)


def test_a_table_of_positions_may_be_shorter_than_a_length_that_varies_is_thought_to_be():
    class Positions(Layer):
        def __init__(self):
            super().__init__()
            self.words, self.places = kt.layers.Embedding(50, 8), kt.layers.Embedding(20, 8)

        def forward(self, x):
            return self.words(x) + self.places(torch.arange(x.shape[1]))

    x = Input((None,), dtype="int64")
    layer = Positions()
    model = Model(x, layer(x))
    assert model.output_shape == (None, None, 8)
    numbers = torch.arange(12).reshape(2, 6)
    assert torch.equal(model(numbers), layer.words.weight[numbers] + layer.places.weight[:6])


def test_a_forward_of_ones_own_may_take_training():
    class Noisy(Layer):
        def forward(self, x, training=False):
            return x + 1 if training else x

    assert torch.equal(Noisy()(torch.zeros(2), training=True), torch.ones(2))


def test_an_unpickled_model_calls_its_layers_and_is_not_made_of_their_insides():
    a, b = Input((4,)), Input((4,))
    joined = Concatenate()([a, b])
    model = Model([a, b], Dropout(0.5)(BatchNormalization()(Dense(8)(joined))))
    again = pickle.loads(pickle.dumps(model))
    called = [node.target for node in again.graph.nodes if node.op == "call_module"]
    assert called == ["concatenate", "dense", "batch_normalization", "dropout"]
    given = torch.randn(5, 4), torch.randn(5, 4)
    torch.testing.assert_close(again.eval()(*given), model.eval()(*given))  # dropout and statistics follow eval()
    torch.testing.assert_close(again.predict(given), model.predict(given))


def test_size_comes_apart_as_shape_does():
    x = Input((None, 3))
    batch, steps, channels = x.size()
    model = Model(x, x.reshape(batch * steps, channels))
    assert channels == 3
    assert model(torch.ones(4, 5, 3)).shape == (20, 3)


def test_a_parameter_given_to_a_layer_beside_a_symbol_is_refused():
    with pytest.raises(TypeError, match="parameter, which would belong to no module"):
        Add()([Input((3,)), nn.Parameter(torch.ones(1, 3))])


def test_code_that_compares_a_size_that_varies_is_refused():
    x = Input((None, 3))
    with pytest.raises(TypeError, match="a size that varies needs the numbers"):
        _ = x[:, :4] if x.shape[1] > 4 else x


def test_dicts_within_lists_of_inputs_go_by_their_keys():
    a, b = Input((2,)), Input((2,))
    model = Model([{"a": a, "b": b}], a - b)
    assert model([{"b": torch.ones(1, 2), "a": torch.zeros(1, 2)}]).tolist() == [[-1, -1]]


def test_one_output_in_a_list_is_that_output():
    x = Input((3,))
    model = Model([x], [Dense(1)(x)])
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(_x(8, 3), _x(8, 1), verbose=0)
    assert model.predict(_x(8, 3)).shape == (8, 1)


def test_an_input_may_be_named_self():
    a, b = Input((2,), name="self"), Input((2,), name="b")
    assert Model([a, b], a - b)({"b": torch.ones(1, 2), "self": torch.zeros(1, 2)}).tolist() == [[-1, -1]]


def test_a_layer_that_is_on_another_device_already_may_be_called_on_a_symbol():
    layer = Dense(2)
    layer(torch.zeros(1, 3))
    assert layer.to("meta")(Input((3,))).shape == (None, 2)


def test_a_copy_of_a_model_makes_no_copy_of_the_values_of_its_symbols():
    """torch warns once in a process when the memory of a fake tensor is asked for, as its copy does."""
    script = """
import copy, warnings
warnings.simplefilter("error")
import torch, kerastorch as kt
x = torch.randn(4, 3)
chain = kt.Sequential([start := kt.Input((3,)), kt.layers.Dense(2)])
for model in (chain, kt.Model(start, kt.layers.Dense(2)(start))):
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), model(x))
    twin.layers[-1].weight.data.zero_()
    assert not torch.equal(twin(x), model(x))
part = kt.Model(twin.input, twin.output)
assert torch.equal(part(x), twin(x)), "the symbols of the copy call the layers of the copy"
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_a_copy_of_a_model_shares_the_mode_of_its_symbols():
    """A copy of the mode would free weak references to storages a second time."""
    model = Model(x := Input((4,)), torch.relu(x))
    value = copy.deepcopy(model).symbols[0].values[0]
    assert value.fake_mode is model.symbols[0].values[0].fake_mode
    assert copy.deepcopy(value.fake_mode) is value.fake_mode


def test_inputs_and_outputs_are_lists_in_keras_order():
    a, b = Input((3,), name="a"), Input((2,), name="b")
    first, second = Dense(4)(a), Dense(5)(b)
    model = Model({"b": b, "a": a}, {"z": first, "y": second})
    assert model.inputs == [a, b]
    assert model.outputs == [second, first]
    assert (model.input, model.output) == ({"b": b, "a": a}, {"z": first, "y": second})
    alone = Model(a, first)
    assert alone.inputs == [a]
    assert alone.outputs == [first]
    assert alone.input is a
    again = Model(alone.inputs, alone.outputs)
    x = _x(2, 3)
    assert torch.equal(again(x), alone(x))
    assert torch.equal(again([x]), alone(x))
    assert (again.input_shape, again.output_shape) == ((None, 3), (None, 4))


def test_layers_are_in_the_order_of_sorted_names_of_outputs():
    x = Input((3,))
    hidden = Dense(4, name="hidden")(x)
    model = Model(x, {"z": Dense(1, name="of z")(hidden), "y": Dense(1, name="of y")(hidden)})
    assert [layer.name for layer in model.layers[1:]] == ["hidden", "of y", "of z"]
