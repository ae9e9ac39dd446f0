"""Files that somebody has written to do harm: each is refused, and nothing in them runs."""

import contextlib
import sys

import pytest
import torch

import kerastorch as kt
from kerastorch import Input, Model, Sequential, layers
from kerastorch.archive import file
from kerastorch.errors import CheckpointError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.kt"


def changed(path, model, change):
    """A file of `model` whose architecture somebody has changed; the checks of bytes pass."""
    model.save(path)
    sections = file.read(path)
    change(sections["model"]["architecture"])
    file.write(path, sections)
    return path


def graph():
    x = Input((4,), name="x")
    return Model(x, layers.Dense(2)(torch.relu(x).sum(-1, keepdim=True) * torch.ones(3)))


def chain():
    return Sequential([Input((4,)), layers.Dense(2)])


def function(name):
    def change(architecture):
        architecture["config"]["calls"][0]["call"] = name

    return change


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "builtins.eval", "torch.load", "torch.save", "torch.hub.load", "torch.nn.functional.__import__",
        "operator.attrgetter", "operator.methodcaller", "torch.from_file", "eval", "", None, 7,
        "Tensor.__reduce_ex__", "Tensor.__class__", "Tensor.__setstate__", "Tensor.numpy", "Tensor.register_hook",
        "Tensor.apply_", "Tensor.share_memory_", "Tensor.relu(__import__('os').getcwd())",
    ],
)  # fmt: skip
def test_a_function_that_is_not_in_the_table_is_refused(name, path):
    with pytest.raises(CheckpointError, match="architecture cannot be made"):
        kt.load_model(changed(path, graph(), function(name)))


@pytest.mark.parametrize("name", ["__class__", "__dict__", "data", "grad_fn", "numpy", ["T"]])
def test_an_attribute_that_is_not_in_the_table_is_refused(name, path):
    def change(architecture):
        architecture["config"]["calls"][0] |= {"call": "getattr", "args": {"tuple": [{"symbol": 0}, name]}}

    with pytest.raises(CheckpointError):
        kt.load_model(changed(path, graph(), change))


HARM = "__import__('builtins').__dict__.setdefault('kt_harmed', 1)"


@pytest.mark.parametrize("name", [f"dim={HARM}, keepdim", "a b", "class", "__x__", "x\n", "\uff4beepdim", ""])
def test_an_argument_whose_name_is_no_identifier_is_refused(name, path):
    def change(architecture):
        architecture["config"]["calls"][1]["kwargs"] = {name: True}

    with pytest.raises(CheckpointError):
        kt.load_model(changed(path, graph(), change))
    assert not hasattr(sys.modules["builtins"], "kt_harmed")


@pytest.mark.parametrize(
    "value",
    [
        {"torch": "torch.cat"},
        {"kind": "layers.Dense"},
        {"module": 50, "class_name": "layers.Dense", "config": {"units": 3, "name": f"0) or {HARM} or (0"}},
        {"class_name": "initializers.Constant", "config": {"value": HARM}},
        {"pairs": [[{"tuple": [HARM]}, 1]]},
    ],
)
def test_an_argument_that_is_no_value_does_not_get_into_the_text_of_a_graph(value, path):
    def change(architecture):
        architecture["config"]["calls"][1]["kwargs"] = {"dim": value}

    with pytest.raises(CheckpointError, match="architecture cannot be made"):
        kt.load_model(changed(path, graph(), change))
    assert not hasattr(sys.modules["builtins"], "kt_harmed")


@pytest.mark.parametrize("name", [f"x): {HARM} #", "x=" + HARM, "\n" + HARM + "\n", "²", "ﬁ", "import", "self"])
def test_names_of_inputs_and_layers_are_made_identifiers(name, path):
    def change(architecture):
        architecture["config"]["given"][0]["name"] = name
        architecture["config"]["calls"][-1]["call"]["config"]["name"] = name.replace(".", "")

    try:
        model = kt.load_model(changed(path, graph(), change))
    except CheckpointError:
        pass  # the weights have other names then
    else:
        model.predict(torch.ones(2, 4), verbose=0)
    assert not hasattr(sys.modules["builtins"], "kt_harmed")


def test_text_in_a_graph_stays_text(path):
    x = Input((4, 4))
    text = f"') or {HARM} or ('"
    model = Model(x, torch.einsum("bij->bji", x) + 1)

    def change(architecture):
        architecture["config"]["calls"][0]["args"]["tuple"][0] = text

    with pytest.raises(CheckpointError):
        kt.load_model(changed(path, model, change))
    assert not hasattr(sys.modules["builtins"], "kt_harmed")


@pytest.mark.parametrize(
    "name", ["os.system", "torch.nn.Module", "torch.nn.DataParallel", "activations.relu", "layers.Nothing", "a.b", None]
)
def test_a_class_that_is_not_in_the_table_is_refused(name, path):
    def change(architecture):
        architecture["config"]["layers"][0]["class_name"] = name

    with pytest.raises(CheckpointError):
        kt.load_model(changed(path, chain(), change))


def test_a_class_that_was_not_given_is_named(path):
    def change(architecture):
        architecture["config"]["layers"][0]["class_name"] = "Evil"

    with pytest.raises(CheckpointError, match="uses 'Evil'"):
        kt.load_model(changed(path, chain(), change))


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("layers.Dense", {"units": 10**12}),
        ("layers.Embedding", {"input_dim": 10**12, "output_dim": 4}),
        ("torch.nn.Linear", {"in_features": 10**7, "out_features": 10**7}),
        ("torch.nn.LSTM", {"input_size": 4, "hidden_size": 4, "num_layers": 10**9}),
        ("torch.nn.Upsample", {"size": 3, "device": "cuda"}),
        ("layers.Rescaling", {"scale": "x" * 10}),
        ("layers.StringLookup", {"vocabulary": "/etc/passwd"}),
        ("layers.TextVectorization", {"vocabulary": "/etc/passwd"}),
        ("layers.IntegerLookup", {"vocabulary": [1], "max_tokens": 10**13, "pad_to_max_tokens": True,
                                  "output_mode": "tf_idf", "idf_weights": [1.0, 1.0]}),
    ],
)  # fmt: skip
def test_sizes_and_paths_in_a_config_are_refused_before_anything_is_taken_or_opened(kind, config, path):
    def change(architecture):
        layer = architecture["config"]["layers"][0]
        layer |= {"class_name": kind, "config": config}
        if kind == "layers.Embedding":
            layer["built"] = {"": {"tuple": [{"tuple": [-1, 3]}]}}

    changed(path, chain(), change)
    opened = []
    _HEARD.append(opened)
    try:
        with pytest.raises(CheckpointError):
            kt.load_model(path)
    finally:
        _HEARD.remove(opened)
    assert {str(name) for name in opened if "passwd" in str(name)} == set()


_HEARD = []


def _hook(event, args):
    if event == "open":
        for one in _HEARD:
            one.append(args[0])


sys.addaudithook(_hook)


@pytest.mark.parametrize("change", [lambda a: a.clear(), lambda a: a.update(config=3), lambda a: a["config"].clear()])
def test_an_architecture_that_is_none_is_refused(change, path):
    with pytest.raises(CheckpointError):
        kt.load_model(changed(path, chain(), change))


@pytest.mark.parametrize("section", ["condition", "built", "seen"])
def test_what_stands_beside_the_architecture_may_be_anything(section, path):
    chain().save(path)
    sections = file.read(path)
    sections["model"][section] = {"draws": 3}
    file.write(path, sections)
    with contextlib.suppress(CheckpointError):
        kt.load_model(path)


def test_an_optimizer_that_is_not_in_the_table_is_refused(path):
    model = chain()
    model.compile("adam", "mse")
    model.save(path)
    sections = file.read(path)
    for given in ({"held": "os.system", "groups": []}, {"partial": [{"torch": "torch.load"}, {"tuple": []}, {}]}):
        sections["compile"]["settings"]["optimizer"] = given
        file.write(path, sections)
        with pytest.raises(CheckpointError):
            kt.load_model(path)
