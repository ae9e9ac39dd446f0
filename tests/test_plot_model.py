"""Pictures of models: the right boxes, the right arrows, nothing on top of anything else."""

import itertools
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import layers
from kerastorch.inspection.graph_layout import lay_out
from kerastorch.inspection.module_graph import graph_of
from kerastorch.runtime.input_specs import resolve_input_specs

plot_model = kt.utils.plot_model


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.drop, self.relu = nn.Conv1d(4, 4, 3, padding=1), nn.Dropout(0.5), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(x + self.drop(self.conv(x)))


class Net(nn.Module):
    """Two inputs, three outputs, a skip connection around a block, and a shared layer."""

    def __init__(self):
        super().__init__()
        self.block, self.words = Block(), nn.Embedding(9, 4)
        self.shared = nn.Linear(4, 4)
        self.heads = nn.ModuleList([nn.Linear(8, 2), nn.Linear(4, 1)])

    def forward(self, text, signal):
        a, b = self.shared(self.words(text).mean(1)), self.shared(self.block(signal).mean(2))
        return self.heads[0](torch.cat([a, b], 1)), self.heads[1](a), b.T


DATA = {"text": torch.zeros(2, 5, dtype=torch.int64), "signal": torch.zeros(2, 4, 6)}


def drawn(module, expand=False, **given):
    graph = graph_of(
        module, resolve_input_specs(module, given.get("input_shape"), given.get("input_data")), expand=expand
    )
    names = [node.name or node.kind for node in graph.nodes]
    assert all(source < target for source, target in graph.edges)
    return graph, names, [(names[source], names[target]) for source, target in graph.edges]


def test_boxes_are_inputs_parts_and_functions_and_arrows_go_from_maker_to_user():
    _, names, edges = drawn(Net(), input_data=DATA)
    assert names == [
        "text", "signal", "words", "mean", "shared", "block", "mean", "shared", "cat", "heads.0", "heads.1", "T",
    ]  # fmt: skip
    assert edges == [
        ("text", "words"), ("words", "mean"), ("mean", "shared"), ("signal", "block"), ("block", "mean"),
        ("mean", "shared"), ("shared", "cat"), ("shared", "cat"), ("cat", "heads.0"), ("shared", "heads.1"),
        ("shared", "T"),
    ]  # fmt: skip


def test_inputs_given_by_position_have_the_names_of_forward():
    assert drawn(Net(), input_data=tuple(DATA.values()))[1:] == drawn(Net(), input_data=DATA)[1:]
    assert drawn(kt.Model(Net()), input_data=tuple(DATA.values()))[1][:2] == ["text", "signal"]


def test_opened_parts_show_what_is_in_them_and_are_framed():
    graph, names, edges = drawn(Block(), input_shape=(None, 4, 6))
    # dropout hands its input through in evaluation mode, and the ReLU works in place: each is a box all the same
    assert edges == [("Input", "conv"), ("conv", "drop"), ("Input", "add"), ("drop", "add"), ("add", "relu")]
    assert {node.groups for node in graph.nodes} == {()}
    graph, names, _ = drawn(Net(), expand=True, input_data=DATA)
    assert [name for name in names if name.startswith("block")] == ["block.conv", "block.drop", "block.relu"]
    assert {node.groups for node in graph.nodes if node.name.startswith("block")} == {("block",)}


def test_shapes_and_dtypes_are_those_of_the_tensors():
    graph, _, _ = drawn(Net(), input_data=DATA)
    cat = next(node for node in graph.nodes if node.kind == "cat")
    assert (cat.input_shapes, cat.output_shapes, cat.dtype) == ([(None, 4), (None, 4)], [(None, 8)], "float32")
    assert graph.nodes[0].dtype == "int64"
    assert graph.nodes[2].input_shapes == [(None, 5)]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: x + 1, "add"),
        (lambda x: 1 - x, "sub"),
        (lambda x: x.mul_(2), "mul"),
        (lambda x: x[:, 0], "getitem"),
        (lambda x: F.relu(x), "relu"),
        (lambda x: x.mT, "mT"),
    ],
)
def test_functions_have_the_names_that_users_know(function, name):
    class Own(nn.Module):
        def forward(self, x):
            return function(x)

    # a module without parts is one box; within another that is opened it is one, too
    _, names, _ = drawn(nn.Sequential(Own()), input_shape=(None, 3, 3))
    assert names == ["Input", "0"]

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = nn.Identity()

        def forward(self, x):
            return function(self.part(x))

    assert drawn(Outer(), input_shape=(None, 3, 3))[1] == ["Input", "part", name]


def test_views_chains_and_single_layers_are_drawn():
    chain = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    for module in (chain, kt.Model(chain), kt.Sequential([kt.Input((3,)), *chain])):
        given = {} if isinstance(module, kt.Sequential) else {"input_shape": (None, 3)}
        assert drawn(module, **given)[2] == [("Input", "0"), ("0", "1")]
        assert drawn(kt.Model(chain))[2] == [("Input", "0"), ("0", "1")]
    assert drawn(kt.Model(nn.Linear(3, 2)), input_shape=(None, 3))[2] == [("Input", "Linear")]
    unbuilt = kt.Sequential([layers.Dense(3, name="first"), layers.Dense(2)])
    assert drawn(unbuilt)[2] == [("Input", "first"), ("first", "1")]
    assert not unbuilt.layers[0].built


def test_a_look_leaves_the_model_as_it_was():
    module = Net().train()
    before = torch.get_rng_state()
    drawn(module, expand=True, input_data=DATA)
    assert torch.equal(before, torch.get_rng_state())
    assert all(part.training and not part._forward_hooks for part in module.modules())


@pytest.mark.parametrize("seed", range(4))
def test_boxes_do_not_overlap_and_arrows_point_one_way(seed):
    generator = torch.Generator().manual_seed(seed)
    count = 25
    edges = [(a, b) for a, b in itertools.combinations(range(count), 2) if torch.rand((), generator=generator) < 0.1]
    sizes = [tuple((0.5 + torch.rand(2, generator=generator)).tolist()) for _ in range(count)]
    plan = lay_out(sizes, edges, across=0.3, along=0.4)
    boxes = list(zip(plan.centres, sizes, strict=True))
    for ((x, y), (w, h)), ((u, v), (p, q)) in itertools.combinations(boxes, 2):
        assert abs(x - u) >= (w + p) / 2 + 0.3 - 1e-6 or abs(y - v) >= (h + q) / 2 + 0.4 - 1e-6
    for (source, target), way in zip(edges, plan.paths, strict=True):
        along = [point[1] for point in way]
        assert along == sorted(along)
        assert plan.centres[source][1] < plan.centres[target][1]
        for (x, y), ((u, v), (w, h)) in itertools.product(way[2:-2], boxes):
            assert abs(x - u) > w / 2 or abs(y - v) > h / 2


def test_a_chain_is_drawn_as_a_straight_line():
    plan = lay_out([(1.0 + index % 3, 1.0) for index in range(9)], [(a, a + 1) for a in range(8)], 0.3, 0.4)
    assert len({round(x, 9) for x, _ in plan.centres}) == 1


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".dot"])
@pytest.mark.parametrize("rankdir", ["TB", "LR"])
def test_pictures_are_written_in_the_format_of_their_ending(tmp_path, suffix, rankdir):
    path = tmp_path / f"net{suffix}"
    shown = {f"show_{what}": True for what in ("shapes", "dtype", "layer_names", "layer_activations", "trainable")}
    given = plot_model(Net(), path, rankdir=rankdir, expand_nested=True, dpi=50, input_data=DATA, **shown)
    assert given == path
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".dot": b"digraph"}
    assert path.read_bytes().startswith(begins[suffix])
    if suffix == ".dot":
        text = path.read_text()
        assert f"rankdir={rankdir}" in text
        assert 'label="Linear\\nshared\\nin: (None, 4)\\nout: (None, 4)\\nfloat32\\ntrainable: yes"' in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"to_file": "net.gif"}, r"^to_file must be a file name that ends in \.png, .*, got 'net\.gif'"),
        ({"to_file": "net"}, r"^to_file must be a file name that ends in"),
        ({"rankdir": "UP"}, r"^rankdir must be one of TB, BT, LR, RL, got 'UP'"),
        ({"dpi": 0}, r"^dpi must be an integer >= 1"),
        ({}, r"plot_model needs the shapes of the model's inputs: pass input_shape"),
        ({"input_shape": (None, 4)}, r"missing 1 required positional argument"),
    ],
)
def test_what_cannot_be_drawn_is_told_and_no_file_is_written(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, TypeError), match=sentence):
        plot_model(Net(), **arguments)
    with pytest.raises(ValueError, match=r"^model must be a torch\.nn\.Module"):
        plot_model(F.relu)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_package_to_install_is_named(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import kerastorch as kt\n"
        f"model, folder = kt.Sequential([kt.Input((3,)), kt.layers.Dense(2)]), {str(tmp_path)!r}\n"
        "kt.utils.plot_model(model, folder + '/a.dot')\n"
        "try:\n    kt.utils.plot_model(model, folder + '/a.png')\n"
        "except ImportError as error:\n    print(error)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "plot_model draws with matplotlib: pip install matplotlib\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.dot"]
