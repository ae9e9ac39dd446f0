"""export: programs for torch.export and ONNX that give what the model gives, or no file."""

import copy
import logging
import os
import random
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from support.optional import is_installed
from torch import nn

import kerastorch as kt
from kerastorch.core.errors import ExportError
from kerastorch.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePooling2D,
    MaxPooling2D,
    StringLookup,
)

needs_onnx = pytest.mark.skipif(not is_installed("onnx", "onnxscript", "onnxruntime"), reason="needs the extra onnx")
BOTH = pytest.mark.parametrize("ending", ["pt2", pytest.param("onnx", marks=needs_onnx)])


def run(path, *args):
    """What a file gives: one array for each output."""
    if str(path).endswith(".pt2"):
        with torch.no_grad():
            found = torch.export.load(path).module()(*args)
        return [one.numpy() for one in torch.utils._pytree.tree_leaves(found)]
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x.numpy() for i, x in zip(session.get_inputs(), args, strict=True)})


def same_as_predicted(model, path, *args, **like):
    x = args[0] if len(args) == 1 else list(args)
    expected = model.predict(x, verbose=0)
    for one, other in zip(torch.utils._pytree.tree_leaves(expected), run(path, *args), strict=True):
        np.testing.assert_allclose(one, other, **{"rtol": 1e-4, "atol": 1e-6, **like})


def images():
    return kt.Sequential(
        [
            kt.Input((1, 8, 8)),
            Conv2D(4, 3, padding="same", activation="relu"),
            BatchNormalization(),
            MaxPooling2D(2),
            Flatten(),
            Dropout(0.5),
            Dense(3, activation="softmax"),
        ]
    )


@BOTH
def test_a_convolutional_model_gives_the_same_for_every_batch_size(ending, tmp_path):
    model = images()
    path = tmp_path / "deep" / f"model.{ending}"
    model.export(path)
    for rows in (1, 2, 5, 64):
        same_as_predicted(model, path, torch.randn(rows, 1, 8, 8))
    assert os.listdir(path.parent) == [path.name]


@BOTH
def test_names_of_inputs_and_outputs_are_kept(ending, tmp_path):
    features, steps = kt.Input((6,), name="features"), kt.Input((5, 4), name="steps")
    both = Concatenate()([Dense(8, activation="relu")(features), LSTM(3)(steps)])
    model = kt.Model([features, steps], [Dense(3, name="kind")(both), Dense(1, name="price")(both)])
    path = tmp_path / f"model.{ending}"
    model.export(str(path))
    x = torch.randn(4, 6), torch.randn(4, 5, 4)
    same_as_predicted(model, path, *x)
    if ending == "pt2":
        assert torch.export.load(path).graph_signature.user_inputs == ("features", "steps")
    else:
        import onnx

        graph = onnx.load(path).graph
        assert [one.name for one in graph.input] == ["features", "steps"]
        assert [one.name for one in graph.output] == ["kind", "price"]
        assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


@BOTH
def test_dicts_of_inputs_and_outputs(ending, tmp_path):
    a, b = kt.Input((3,)), kt.Input((3,))
    model = kt.Model({"left": a, "right": b}, {"sum": Dense(2)(a + b), "product": a * b})
    path = tmp_path / f"model.{ending}"
    model.export(path)
    left, right = torch.randn(2, 3), torch.randn(2, 3)
    expected = model.predict({"left": left, "right": right}, verbose=0)
    found = run(path, left, right)
    for name, one in zip(("sum", "product"), found, strict=True):
        np.testing.assert_allclose(expected[name], one, rtol=1e-4, atol=1e-6)
    if ending == "onnx":
        import onnx

        assert [one.name for one in onnx.load(path).graph.output] == ["sum", "product"]


@BOTH
def test_an_embedding_takes_whole_numbers_and_its_mask_goes_on(ending, tmp_path):
    model = kt.Sequential([kt.Input((7,)), Embedding(20, 4, mask_zero=True), GRU(5), Dense(2)])
    path = tmp_path / f"model.{ending}"
    model.export(path)
    x = torch.tensor([[1, 0, 3, 0, 0, 2, 0], [19, 2, 3, 4, 5, 6, 7], [4, 0, 0, 0, 0, 0, 0]])
    same_as_predicted(model, path, x)


@BOTH
def test_other_sizes_that_vary_vary_in_the_program(ending, tmp_path):
    model = kt.Sequential([kt.Input((3, None, None)), Conv2D(4, 3, padding="same"), GlobalAveragePooling2D()])
    path = tmp_path / f"model.{ending}"
    model.export(path)
    for size in ((9, 30), (50, 11)):
        same_as_predicted(model, path, torch.randn(2, 3, *size))


@BOTH
def test_a_foreign_module_is_exported_with_its_own_names_by_a_shape_or_by_an_example(ending, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 4), nn.Linear(3, 4)

        def forward(self, query, key, scale=2.0):
            return {"mixed": self.first(query) + self.second(key) * scale, "more": [query > 0]}

    model = kt.Model(Net())
    x = torch.randn(1, 3), torch.randn(1, 3)
    signatures = [
        {"key": (None, 3), "query": (None, 3)},
        x,
        [(None, 3), (None, 3)],
        {"key": x[1].numpy(), "query": x[0]},
    ]
    for number, signature in enumerate(signatures[: 4 if ending == "pt2" else 1]):
        path = tmp_path / f"model{number}.{ending}"
        model.export(path, input_signature=signature)
        for rows in (1, 4):
            given = torch.randn(rows, 3), torch.randn(rows, 3)
            same_as_predicted(model, path, *given)
    if ending == "onnx":
        import onnx

        assert [one.name for one in onnx.load(path).graph.input] == ["query", "key"]


def test_a_fixed_batch_is_exported_where_the_shape_has_one(tmp_path):
    model = kt.Model(nn.Linear(3, 2))
    model.export(tmp_path / "model.pt2", input_signature=(4, 3))
    same_as_predicted(model, tmp_path / "model.pt2", torch.randn(4, 3))
    with pytest.raises(RuntimeError, match="to be equal to 4, but got 5"):
        run(tmp_path / "model.pt2", torch.randn(5, 3))


def test_what_fit_saw_is_enough_to_export_a_subclass(tmp_path):
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = Dense(4, activation="relu"), Dense(2)

        def forward(self, x):
            return torch.softmax(self.out(self.hidden(x)), -1)

    model = Own()
    with pytest.raises(ValueError, match="Build the model first"):
        model.export(tmp_path / "model.pt2", input_signature=(None, 3))
    model.compile("adam", "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    model.export(tmp_path / "model.pt2")
    same_as_predicted(model, tmp_path / "model.pt2", torch.randn(5, 3))


class _WithLoss(nn.Module):
    """Logits, and their loss if there are labels."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, words, labels=None):
        logits = self.head(self.words(words).mean(1))
        loss = {} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}
        return {"logits": logits, **loss}


class _OwnLoss(kt.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return y_pred["loss"]


@pytest.mark.parametrize("name", ["labels", "y"])
def test_labels_that_only_the_loss_needs_are_no_input_of_the_program(name, tmp_path):
    net = _WithLoss()
    if name == "y":
        net.forward = lambda words, y=None: _WithLoss.forward(net, words, y)
    model = _OwnLoss(net)
    model.compile("sgd")
    words = torch.randint(0, 9, (8, 5))
    model.fit({"words": words, name: torch.arange(8) % 3}, verbose=0)
    model.export(tmp_path / "model.pt2", verbose=False)
    program = torch.export.load(tmp_path / "model.pt2").module()
    found, expected = program(words), net(words)
    assert list(found) == ["logits"]
    torch.testing.assert_close(found["logits"], expected["logits"])


def test_labels_that_the_outputs_need_stay_inputs_of_the_program(tmp_path):
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, x, labels=None):
            return self.head(x) + labels.unsqueeze(1)

    net = Shifted()
    model = kt.Model(net)
    model.compile("sgd", "mse")
    x, labels = torch.randn(8, 3), torch.arange(8.0)
    model.fit({"x": x, "labels": labels}, torch.randn(8, 3), verbose=0)
    model.export(tmp_path / "model.pt2", verbose=False)
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(x, labels), net(x, labels))


@BOTH
def test_caches_and_other_objects_beside_the_tensors_are_no_outputs_of_the_program(ending, tmp_path):
    class Cache:
        def __init__(self, keys):
            self.keys = keys

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x):
            return {"logits": self.head(x), "cache": Cache(x)}

    net = Net()
    forward = net.forward
    kt.Model(net).export(tmp_path / f"model.{ending}", input_signature=(None, 3), verbose=False)
    assert net.forward == forward
    x = torch.randn(5, 3)
    (found,) = run(tmp_path / f"model.{ending}", x)
    torch.testing.assert_close(torch.as_tensor(found), net(x)["logits"])


def test_inputs_that_nobody_knows_are_asked_for(tmp_path):
    model = kt.Model(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="input_signature, a shape"):
        model.export(tmp_path / "model.pt2")
    with pytest.raises(ValueError, match="It expects 3 features"):
        model.export(tmp_path / "model.pt2", input_signature=(None, 4))
    model.export(tmp_path / "model.pt2", input_signature=kt.Input((3,)))


def test_a_compiled_module_is_exported_as_what_it_compiles(tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    kt.Model(torch.compile(net, backend="eager")).export(tmp_path / "model.pt2", input_signature=(None, 3))
    assert set(torch.export.load(tmp_path / "model.pt2").state_dict) == set(net.state_dict())


def test_a_transformer_with_positions_of_any_number_is_exported(tmp_path):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = kt.Model(nn.TransformerEncoder(layer, 1))
    model.export(tmp_path / "model.pt2", input_signature=(None, None, 8))
    same_as_predicted(model, tmp_path / "model.pt2", torch.randn(2, 6, 8), atol=1e-5)


# --- nothing else changes, nothing wrong is written ---------------------------------------------------------------


@BOTH
def test_modes_random_numbers_and_weights_stay(ending, tmp_path, capfd, recwarn):
    model = kt.Sequential([images(), GaussianNoise(0.1, seed=3), Dense(2)])
    model.build((None, 1, 8, 8))
    model.train()
    model[0].layers[1].eval()
    modes = [part.training for part in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    levels = logging.getLogger("torch.onnx").level
    model.export(tmp_path / f"model.{ending}")
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), str(np.random.get_state())) == states[1:]
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert logging.getLogger("torch.onnx").level == levels
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@BOTH
def test_a_program_that_gives_something_else_is_not_written(ending, tmp_path):
    class Drawing(nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    path = tmp_path / f"model.{ending}"
    path.write_bytes(b"old")
    with pytest.raises(ExportError, match="differ by up to"):
        kt.Model(Drawing()).export(path, input_signature=(None, 3))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_a_branch_that_only_other_inputs_take_is_found_by_examples(tmp_path):
    class Counting(nn.Module):
        """What is traced is the first call's."""

        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return x * min(self.calls, 4)

    with pytest.raises(ExportError):
        kt.Model(Counting()).export(tmp_path / "model.pt2", input_signature=torch.ones(2, 3))
    assert not os.listdir(tmp_path)


def test_outputs_without_a_finite_number_ask_for_examples(tmp_path):
    class Roots(nn.Module):
        def forward(self, x):
            return torch.log(-x.abs() - 1)

    with pytest.raises(ExportError, match="a batch of data"):
        kt.Model(Roots()).export(tmp_path / "model.pt2", input_signature=(None, 3))


def test_a_forward_that_goes_by_numbers_is_refused_with_the_cause(tmp_path, capfd):
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ExportError, match="depends on values of its input") as caught:
        kt.Model(Branch()).export(tmp_path / "model.pt2", input_signature=(None, 3))
    assert caught.value.__cause__ is not None
    assert capfd.readouterr() == ("", "")


def test_a_size_that_cannot_vary_is_named(tmp_path):
    model = kt.Sequential([kt.Input((None, 3)), LSTM(4)])
    with pytest.raises(ExportError, match=r"fixed number within it: .*size\(\)\[1\].*input_signature"):
        model.export(tmp_path / "model.pt2")
    model.export(tmp_path / "model.pt2", input_signature=(None, 6, 3))


def test_a_stateful_layer_is_refused_before_its_state_moves(tmp_path):
    model = kt.Sequential([LSTM(4, stateful=True)])
    x = torch.randn(2, 5, 3)
    model(x)
    other = copy.deepcopy(model)
    with pytest.raises(ExportError, match="LSTM is stateful"):
        model.export(tmp_path / "model.pt2", input_signature=(2, 5, 3))
    assert torch.equal(model(x), other(x))


def test_buffers_that_a_forward_writes_are_put_back(tmp_path):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, x):
            self.calls += 1
            self.mean = x.mean(0)
            return x * 2

    net = Counting()
    mean = net.mean
    kt.Model(net).export(tmp_path / "model.pt2", input_signature=(None, 3))
    assert net.calls == 0
    assert net.mean is mean
    assert not mean.any()


def test_layers_on_strings_cannot_be_exported(tmp_path):
    words = StringLookup()
    words.adapt(["a"])
    with pytest.raises((ExportError, TypeError), match="StringLookup"):
        kt.Sequential([words]).export(tmp_path / "model.pt2", input_signature=(None, 1))


def test_other_endings_and_formats_are_refused(tmp_path):
    model = images()
    for name in ("model", "model.pt", "model.keras"):
        with pytest.raises(ValueError, match=r"\.pt2 .* or \.onnx"):
            model.export(tmp_path / name)
    with pytest.raises(ValueError, match="does not go with"):
        model.export(tmp_path / "model.pt2", format="onnx")
    with pytest.raises(ValueError, match="Unknown format 'tf_saved_model'"):
        model.export(tmp_path / "model.pt2", format="tf_saved_model")
    with pytest.raises(TypeError, match="must be a path"):
        model.export(None)
    assert not os.listdir(tmp_path)


@needs_onnx
def test_a_missing_package_is_named_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"needs onnxscript: pip install onnx onnxscript onnxruntime$"):
        images().export(tmp_path / "model.onnx")


def test_verbose_says_what_was_written(tmp_path, capsys):
    model = images()
    model.export(tmp_path / "model.pt2", format="torch", verbose=True)
    assert str(tmp_path / "model.pt2") in capsys.readouterr().out


@BOTH
def test_no_path_of_this_machine_and_no_example_is_in_the_file(ending, tmp_path):
    secret = np.full((2, 3), 1234.5678, dtype="float32")
    path = tmp_path / f"model.{ending}"
    kt.Model(nn.Linear(3, 2)).export(path, input_signature=secret)
    if ending == "pt2":
        with zipfile.ZipFile(path) as file:
            held = b"".join(map(file.read, file.namelist()))
    else:
        held = path.read_bytes()
    assert secret[0, :1].tobytes() not in held
    for word in (os.path.dirname(kt.__file__), os.path.dirname(torch.__file__), __file__):
        assert word.encode() not in held


def test_a_program_runs_where_kerastorch_is_not(tmp_path):
    model = images()
    model.export(tmp_path / "model.pt2")
    code = (
        "import sys, torch; program = torch.export.load(sys.argv[1]).module(); "
        "print(*program(torch.ones(1, 1, 8, 8))[0].tolist()); assert 'kerastorch' not in sys.modules"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.pt2")], capture_output=True, text=True, check=True
    )
    expected = model.predict(np.ones((1, 1, 8, 8), dtype="float32"), verbose=0)[0]
    np.testing.assert_allclose([float(one) for one in found.stdout.split()], expected, rtol=1e-5)
