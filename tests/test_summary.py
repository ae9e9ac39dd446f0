"""What a summary shows: counts, shapes and costs that are true, and a model that is as it was."""

import copy
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import layers
from kerastorch.inspection.module_profile import profile_module
from kerastorch.inspection.summary import summarize
from kerastorch.runtime.input_specs import resolve_input_specs


class Residual(nn.Module):
    def __init__(self, channels=4):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(x + self.norm(self.conv(x)))


class Net(nn.Module):
    """Two residual blocks in a list, a layer used twice, one never called, and a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Residual(), Residual()])
        self.shared = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)
        self.unused = nn.Linear(2, 2).requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.scale * self.head(self.shared(self.shared(x)))


def printed(model, **arguments):
    said = []
    model.summary(print_fn=said.append, **arguments)
    assert len(said) == 1
    return said[0]


def costs(module, shape):
    return profile_module(module, resolve_input_specs(module, shape, None))


def test_counts_are_plain_sums_and_a_shared_layer_counts_once():
    model = kt.Model(Net())
    text = printed(model, input_shape=(None, 4, 8, 8), show_trainable=True)
    total = sum(p.numel() for p in model.parameters())
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert f"Total params: {total:,} ({total * 4 / 1024:.2f} KB)" in text
    assert f"Trainable params: {total - frozen:,} " in text
    assert f"Non-trainable params: {frozen:,} " in text
    assert f"Buffers: {sum(b.numel() for b in model.buffers()):,} " in text
    rows = summarize(model, input_shape=(None, 4, 8, 8)).rows
    assert [row.name for row in rows] == [
        "blocks.0", "blocks.1", "shared", "shared", "head", "(its own)", "unused",
    ]  # fmt: skip
    assert rows[3].params == "shared"
    assert sum(int(row.params) for row in rows if row.params != "shared") == total
    assert rows[-1].shape == "not called"
    assert [row.trainable for row in rows[-2:]] == ["yes", "no"]


def test_shapes_are_those_that_forward_hooks_see():
    module = Net()
    seen = {}
    for name, part in module.named_modules():
        part.register_forward_hook(lambda part, given, output, name=name: seen.__setitem__(name, output.shape))
    found = costs(module, (None, 4, 8, 8))
    seen.clear()
    module(torch.zeros(5, 4, 8, 8))
    assert len(seen) == 11
    for call in found.calls:
        assert call.shapes == [(None, *seen[call.path][1:])], call.path


def test_a_loop_over_time_steps_is_one_row():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTMCell(3, 4)

        def forward(self, x):
            state = None
            for step in x.unbind(1):
                state = self.cell(step, state)
            return state[0]

    rows = summarize(kt.Model(Loop()), input_shape=(None, 6, 3)).rows
    assert [(row.name, row.params) for row in rows] == [("cell", "144"), ("cell", "shared x5")]


def test_axes_that_vary_are_none_and_follow_through_the_model():
    model = kt.Model(nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.AvgPool1d(2), nn.AdaptiveMaxPool1d(1)))
    rows = summarize(model, input_shape=(None, 3, None)).rows
    assert [row.shape for row in rows] == ["(None, 4, None)", "(None, 4, None)", "(None, 4, 1)"]
    rows = summarize(model, input_shape=(6, 3, 10)).rows
    assert rows[0].shape == "(6, 4, 10)"


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.Linear(7, 5), (None, 7), 35),
        (nn.Linear(7, 5), (None, 3, 7), 3 * 35),
        (nn.Conv2d(4, 8, 3, bias=False), (None, 4, 9, 9), 8 * 7 * 7 * 4 * 9),
        (nn.Conv2d(4, 8, 3, stride=2, groups=2), (None, 4, 9, 9), 8 * 4 * 4 * 2 * 9),
        (nn.ConvTranspose2d(4, 8, 3, stride=2, groups=2), (None, 4, 9, 9), 4 * 9 * 9 * 4 * 9),
        (nn.Bilinear(3, 4, 5), [(None, 3), (None, 4)], 3 * 4 * 5),
        # two layers in both directions: gates * (input + state) at each time step
        (nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True), (None, 5, 3), 5 * 2 * 16 * ((3 + 4) + (8 + 4))),
        (nn.GRU(3, 4, batch_first=True), (None, 5, 3), 5 * 12 * (3 + 4)),
        (nn.RNN(3, 4, batch_first=True), (None, 5, 3), 5 * 4 * (3 + 4)),
        # three projections in, the products with keys and with values, one projection out
        (nn.MultiheadAttention(8, 2, batch_first=True), [(None, 5, 8)] * 3, 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8),
    ],
)  # fmt: skip
def test_multiply_adds_are_those_of_algebra(module, shape, expected):
    assert costs(module, shape).multiply_adds == expected


def test_multiply_adds_of_torchs_fused_attention_are_counted():
    class Attend(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x)

    assert costs(Attend(), (None, 2, 5, 8)).multiply_adds == 2 * (2 * 5 * 5 * 8)


def test_what_is_kept_for_the_backward_pass_is_counted_once():
    # the output of the ReLU is what both its own gradient and the next layer's weight's need
    chain = nn.Sequential(nn.Linear(3, 7), nn.ReLU(), nn.Linear(7, 2))
    assert costs(chain, (None, 3)).activation_bytes == 7 * 4
    # batch normalization keeps its input, and numbers that do not grow with the batch
    assert costs(nn.Sequential(nn.Linear(3, 7), nn.BatchNorm1d(7)), (None, 3)).activation_bytes == 7 * 4
    assert costs(chain.requires_grad_(False), (None, 3)).activation_bytes == 0


def test_nothing_is_changed_by_a_look():
    class Drawing(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.register_buffer("calls", torch.zeros(()))
            self.last = None

        def forward(self, x):
            self.calls += 1
            self.last = x
            noise = random.random() + np.random.rand()
            return F.dropout(self.linear(x), 0.5, training=True) + torch.randn_like(x) + noise

    module = nn.Sequential(Drawing(), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.TransformerEncoderLayer(4, 2, 8))
    module[1].eval()
    model = kt.Model(module)
    state = copy.deepcopy(model.state_dict())
    modes = [part.training for part in model.modules()]
    draws = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    model.summary(input_shape=(None, 4), print_fn=str, expand_nested=True)
    assert torch.equal(draws[0], torch.get_rng_state())
    assert draws[1] == random.getstate()
    assert np.array_equal(draws[2], np.random.get_state()[1])
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert module[0].last is None
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_model_that_goes_by_its_numbers_is_run_on_zeros_and_left_as_it_was():
    class Choosy(nn.Module):
        def __init__(self):
            super().__init__()
            self.small, self.large = nn.Linear(4, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.large(x) if x.sum().item() > 0 else self.small(x)

    model = kt.Model(Choosy())
    model.train()
    before = torch.get_rng_state()
    rows = summarize(model, input_shape=(None, 4)).rows
    assert [(row.name, row.shape) for row in rows] == [("small", "(None, 2)"), ("large", "not called")]
    assert torch.equal(before, torch.get_rng_state())
    assert all(part.training and not part._forward_hooks for part in model.modules())


def test_a_model_that_is_not_built_stays_so_and_shows_what_it_will_be():
    def made():
        return kt.Sequential([layers.Dense(5), nn.LazyBatchNorm1d(), nn.LazyLinear(2)])

    model = made()
    assert [row.params for row in summarize(model).rows] == ["unbuilt"] * 3
    text = printed(model)
    assert "so far: the model is not built" in text
    assert "summary(input_shape=(None, 64))" in text
    torch.manual_seed(3)
    rows = summarize(model, input_shape=(None, 4)).rows
    assert [row.params for row in rows] == ["25", "10", "12"]
    assert [row.shape for row in rows] == ["(None, 5)", "(None, 5)", "(None, 2)"]
    assert not model.layers[0].built
    assert nn.parameter.is_lazy(model.layers[2].weight)
    torch.manual_seed(3)
    model.build((None, 4))
    other = made()
    torch.manual_seed(3)
    other.build((None, 4))
    assert all(torch.equal(a, b) for a, b in zip(model.weights, other.weights, strict=True))
    assert summarize(model).rows == rows


def test_shapes_are_known_from_an_input_from_build_and_from_fit():
    with_input = kt.Sequential([kt.Input((4,)), layers.Dense(2)])
    nested = kt.Sequential([kt.Sequential([kt.Input((4,)), layers.Dense(2)]), layers.ReLU()])
    fitted = kt.Model(nn.Sequential(nn.Linear(4, 2)))
    assert summarize(fitted).rows[0].shape == "?"
    fitted.compile("sgd", "mse")
    fitted.fit(np.zeros((6, 4)), np.zeros((6, 2)), batch_size=4, verbose=0)
    for model in (with_input, nested, fitted):
        assert summarize(model).rows[0].shape == "(None, 2)"


def test_several_inputs_are_given_as_a_list_a_dict_or_data():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.numbers = nn.Embedding(10, 4), nn.Linear(3, 4)

        def forward(self, words, numbers):
            return self.words(words).mean(1), self.numbers(numbers)

    model = kt.Model(Two())
    data = {"words": np.zeros((6, 5), "int64"), "numbers": np.zeros((6, 3))}
    for given in (data, (data["words"], data["numbers"])):
        rows = summarize(model, input_data=given).rows
        assert [row.shape for row in rows] == ["(None, 5, 4)", "(None, 4)"]
    added = kt.Model(nn.Bilinear(3, 4, 5))
    rows = summarize(added, input_shape={"input1": (None, 3), "input2": (None, 4)}).rows
    assert [(row.name, row.shape) for row in rows] == [("bilinear", "(None, 5)")]
    with_words = kt.Model(nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 1)))
    assert summarize(with_words, input_shape=(None, 3)).rows[-1].shape == "(None, 1)"


def test_levels_are_shown_as_deep_as_asked():
    model = kt.Model(Net())
    given = {"input_shape": (None, 4, 8, 8)}
    assert {row.depth for row in summarize(model, **given).rows} == {0}
    rows = summarize(model, depth=2, **given).rows
    assert [(row.depth, row.name) for row in rows[:5]] == [
        (0, "blocks.0"), (1, "conv"), (1, "norm"), (1, "relu"), (0, "blocks.1"),
    ]  # fmt: skip
    assert "  └ conv (Conv2d)" in printed(model, expand_nested=True, **given)
    assert [row.name for row in summarize(model, depth=2).rows[:2]] == ["blocks", "0"]


def test_a_range_of_layers_is_shown_with_the_totals_of_all():
    model = kt.Model(Net())
    text = printed(model, layer_range=["shared", "hea."], input_shape=(None, 4, 8, 8))
    assert "blocks.0" not in text
    assert text.count("shared (Linear)") == 2
    assert f"Total params: {sum(p.numel() for p in model.parameters())}" in text
    with pytest.raises(ValueError, match=r"layer_range: no layer's name begins with 'hat'\. Layers: blocks\.0, "):
        printed(model, layer_range=["shared", "hat"], input_shape=(None, 4, 8, 8))
    with pytest.raises(ValueError, match=r"^layer_range must be two names of layers"):
        printed(model, layer_range="shared")


def test_lines_are_no_longer_than_asked_and_names_are_cut():
    model = kt.Model(nn.Sequential(nn.Linear(3, 3)))
    model.add_module("a_name_that_goes_on_" * 5, nn.ReLU())
    text = printed(model, line_length=50, input_shape=(None, 3))
    table = [line for line in text.splitlines() if line[0] in "┏┃┡│└"]
    assert len({len(line) for line in table}) == 1
    assert len(table[0]) == 50
    assert "…" in text
    with pytest.raises(ValueError, match=r"^line_length must be an integer >= 40, got 5\.$"):
        model.summary(line_length=5)


def test_a_notebook_gets_a_table_of_html():
    model = kt.Model(nn.Sequential(nn.Linear(3, 3)))
    model.name = "a<b"
    text = summarize(model, input_shape=(None, 3))._repr_html_()
    assert "<table>" in text
    assert "0 (Linear)" in text
    assert "a&lt;b" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"input_shape": (None, 5)}, r"layer '0' \(Linear.* cannot take its input: .* It expects 3 features"),
        ({"input_shape": 5}, r"^input_shape must be a tuple of sizes >= 1"),
        ({"input_shape": ()}, r"^input_shape must be a tuple of sizes >= 1"),
        ({"input_shape": (None, 0)}, r"^input_shape must be a tuple of sizes >= 1"),
        ({"input_shape": (None, 3), "input_data": np.zeros((1, 3))}, "^Give one of input_shape and input_data"),
        ({"depth": 0}, "^depth must be an integer >= 1, got 0"),
    ],
)
def test_what_a_model_cannot_take_is_told(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        kt.Model(nn.Sequential(nn.Linear(3, 3))).summary(**arguments)


def test_subclasses_and_compiled_parts_are_seen():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = layers.Dense(4), torch.compile(nn.Linear(4, 2), backend="eager")

        def forward(self, x):
            return self.second(self.first(x))

    rows = summarize(Own(), input_shape=(None, 3)).rows
    assert [(row.name, row.shape, row.params) for row in rows] == [
        ("first", "(None, 4)", "16"), ("second", "(None, 2)", "10"),
    ]  # fmt: skip


def test_a_summary_is_printed_where_there_is_no_notebook():
    code = "import kerastorch as kt; kt.Sequential([kt.Input((3,)), kt.layers.Dense(2)]).summary()"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith('Model: "Sequential"\n┏')
    assert found.stdout.endswith("\n")
    assert found.stderr == ""


def test_a_functional_model_in_another_is_shown_as_a_model():
    x = kt.Input((4,))
    inner = kt.Model(x, layers.Dense(3)(x), name="inner")
    y = kt.Input((4,))
    lines = []
    kt.Model(y, inner(y)).summary(print_fn=lines.append)
    assert "inner (Model)" in "\n".join(lines)


def test_inputs_in_a_dict_keep_their_names_in_any_order():
    """`model.inputs` is a list by sorted keys; the trial inputs of summary and plots follow the dict."""
    numbers, district = kt.Input((4,), name="numbers"), kt.Input((1,), name="district")
    model = kt.Model(
        {"numbers": numbers, "district": district}, layers.Dense(1)(layers.Concatenate()([numbers, district]))
    )
    said = []
    model.summary(print_fn=said.append)
    assert "(None, 5)" in "\n".join(said)
    assert [one.name for one in model.inputs] == ["district", "numbers"]
