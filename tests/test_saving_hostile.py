"""Files that somebody has written to do harm: each is refused, and nothing in them runs."""

import contextlib
import sys

import pytest
import torch

import kerastorch as kt
from kerastorch import Input, Model, Sequential, layers
from kerastorch.checkpoint import archive_format
from kerastorch.core.errors import CheckpointError
from kerastorch.saving import deserializer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.kt"


def changed(path, model, change):
    """A file of `model` whose architecture somebody has changed; the checks of bytes pass."""
    model.save(path)
    sections = archive_format.read(path)
    change(sections["model"]["architecture"])
    archive_format.write(path, sections)
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
    sections = archive_format.read(path)
    sections["model"][section] = {"draws": 3}
    archive_format.write(path, sections)
    with contextlib.suppress(CheckpointError):
        kt.load_model(path)


def test_an_optimizer_that_is_not_in_the_table_is_refused(path):
    model = chain()
    model.compile("adam", "mse")
    model.save(path)
    sections = archive_format.read(path)
    for given in ({"held": "os.system", "groups": []}, {"partial": [{"torch": "torch.load"}, {"tuple": []}, {}]}):
        sections["compile"]["settings"]["optimizer"] = given
        archive_format.write(path, sections)
        with pytest.raises(CheckpointError):
            kt.load_model(path)


# --- memory and time -------------------------------------------------------------------------------------------


def doubled(architecture):
    layer = architecture["config"]["layers"][0]
    for number in range(100, 140):
        again = {"again": layer["module"]}
        config = {"name": None, "input": None, "layers": [layer, again]}
        layer = {"module": number, "class_name": "kerastorch.Sequential", "config": config}
    architecture["config"]["layers"][0] = layer


def test_parts_that_hold_one_part_twice_and_so_on_are_refused(path):
    with pytest.raises(CheckpointError, match="more than 20000 times"):
        kt.load_model(changed(path, chain(), doubled))


@pytest.mark.parametrize("most", [1_000, pytest.param(deserializer.MOST_WORK, marks=pytest.mark.slow)])
def test_graphs_that_call_one_graph_twice_and_so_on_are_refused(most, path, monkeypatch):
    monkeypatch.setattr(deserializer, "MOST_WORK", most)
    inner = Model(x := Input((4,)), torch.relu(x))
    for _ in range(3):
        inner = Model(x := Input((4,)), inner(inner(x)))
    model = Model(x := Input((4,)), layers.Dense(2)(inner(x)))
    assert isinstance(kt.load_model(changed(path, model, lambda _: None)), Model)

    def deeper(architecture):
        calls = architecture["config"]["calls"]
        for number in range(100, 130):
            module = calls[0]["call"]
            twice = [
                {"call": what, "args": {"tuple": [{"symbol": at}]}, "kwargs": {}}
                for at, what in enumerate((module, {"again": module["module"]}))
            ]
            config = module["config"] | {"calls": twice, "outputs": {"symbol": 2}}
            calls[0]["call"] = {"module": number, "class_name": "kerastorch.Model", "config": config}

    with pytest.raises(CheckpointError, match=f"more than {most} times"):
        kt.load_model(changed(path, model, deeper))


def test_no_function_of_the_file_fills_the_weights(path):
    def change(architecture):
        large = {"partial": [{"torch": "torch.tile"}, {"tuple": []}, {"dims": [10**9]}]}
        architecture["config"]["layers"][0]["config"]["kernel_initializer"] = large

    kt.load_model(changed(path, chain(), change))  # 32 GiB, if it did


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("IntegerLookup", {"vocabulary": [1], "num_oov_indices": 10**9}),
        ("StringLookup", {"vocabulary": ["a"], "num_oov_indices": 10**9}),
        ("StringLookup", {"vocabulary": ["a"], "max_tokens": 10**9, "pad_to_max_tokens": True,
                          "output_mode": "tf_idf", "idf_weights": [1.0]}),
        ("TextVectorization", {"vocabulary": ["a"], "ngrams": 10**9}),
    ],
)  # fmt: skip
def test_sizes_of_lookups_that_only_memory_limits_are_refused(kind, config, path):
    def change(architecture):
        architecture["config"]["layers"][0] = {"module": 9, "class_name": f"layers.{kind}", "config": config}

    with pytest.raises(CheckpointError, match="at most 1048576"):
        kt.load_model(changed(path, chain(), change))


@pytest.mark.parametrize("name", ["torch.unbind", "torch.split", "Tensor.chunk", "torch.tensor_split"])
def test_a_function_that_takes_a_tensor_into_a_million_pieces_is_refused(name, path):
    def change(architecture):
        architecture["config"]["given"][0]["shape"] = [10**7]
        more = {"torch.unbind": [], "torch.split": [1]}.get(name, [10**7])
        architecture["config"]["calls"][0] |= {"call": name, "args": {"tuple": [{"symbol": 0}, *more, 1]}}

    with pytest.raises(CheckpointError, match="more than 10000 tensors"):
        kt.load_model(changed(path, graph(), change))


def test_a_recurrent_layer_over_a_million_steps_is_made_in_no_more_than_two(path):
    x = Input((5, 4))

    def change(architecture):
        architecture["config"]["given"][0]["shape"] = [10**6, 4]

    model = Model(x, layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True))(x))
    assert kt.load_model(changed(path, model, change)).output.shape == (None, 10**6, 4)


def compiled(path, change):
    model = chain()
    model.compile("adam", "mse")
    model.save(path)
    sections = archive_format.read(path)
    change(sections)
    archive_format.write(path, sections)
    return path


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("MulticlassConfusionMatrix", {"num_classes": 10**5}),
        ("MulticlassPrecisionRecallCurve", {"num_classes": 10**4, "thresholds": 10**5}),
    ],
)
def test_metrics_as_large_as_the_memory_are_refused(name, config, path):
    def change(sections):
        sections["compile"]["settings"]["metrics"] = [{"torchmetric": name, "config": config}]

    with pytest.raises(CheckpointError, match="would take more than"):
        kt.load_model(compiled(path, change))


def test_a_function_of_torch_is_no_optimizer(path):
    def change(sections):
        outer = {"partial": [{"torch": "torch.einsum"}, {"tuple": ["ij,k->ijk"]}, {}]}
        sections["compile"]["settings"]["optimizer"] = outer

    with pytest.raises(CheckpointError, match=r"torch\.einsum is no optimizer"):
        kt.load_model(compiled(path, change))


# --- content that no save writes -------------------------------------------------------------------------------

MALFORMED = {
    "flags": ("model", "condition", "trainable", [()]),
    "flags that are short": ("model", "condition", "trainable", [("0", True)]),
    "frozen": ("model", "condition", "frozen", [[]]),
    "formats": ("model", "condition", "formats", {"0.weight": []}),
    "loss": ("compile", "settings", "loss", "nothing"),
    "format": ("compile", "settings", "memory_format", "sideways"),
    "steps": ("compile", "settings", "steps_per_execution", -1),
    "epochs": ("optimizer", None, "epochs_done", float("inf")),
    "learned": ("optimizer", None, "losses", [torch.ones(2)]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_no_save_writes_is_an_error_of_the_file(name, path):
    section, part, key, value = MALFORMED[name]

    def change(sections):
        held = sections[section]
        (held if part is None else held[part])[key] = value

    with pytest.raises(CheckpointError):
        kt.load_model(compiled(path, change))
