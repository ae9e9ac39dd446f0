"""`full_shard.apply`: which blocks it shards, and that the training is that of one process."""

import pytest
import torch
from support.sharded_case import BATCH, STEPS, largest_difference, network, rows, whole
from torch import nn

import kerastorch as kt
from kerastorch.distribution import full_shard
from kerastorch.distribution.settings import FullyShard


class Decoder(nn.Module):
    """Blocks in a list, between an embedding and an output layer."""

    def __init__(self, *, tied=False):
        super().__init__()
        self.embed = nn.Embedding(10, 6)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 6)) for _ in range(2))
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 10, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.norm(x)).mean(1)


def _names(module, settings):
    blocks = full_shard.find_blocks(module, settings)
    return [name for name, part in module.named_modules() if any(part is block for block in blocks)]


def test_by_default_the_children_and_the_items_of_lists_are_blocks():
    assert _names(Decoder(), FullyShard()) == ["embed", "blocks.0", "blocks.1", "norm", "head"]
    assert _names(Decoder(tied=True), FullyShard()) == ["blocks.0", "blocks.1", "norm"]
    assert _names(network(), FullyShard()) == ["0", "2", "4"]
    assert _names(nn.Sequential(Decoder()), FullyShard()) == [
        "0", "0.embed", "0.blocks.0", "0.blocks.1", "0.norm", "0.head",
    ]  # fmt: skip


def test_blocks_by_size_have_at_least_so_many_parameters():
    assert _names(Decoder(), FullyShard(shard=60)) == ["embed", "blocks.0", "blocks.1", "head"]
    assert _names(Decoder(), FullyShard(shard=40)) == [
        "embed", "blocks.0.0", "blocks.0.2", "blocks.1.0", "blocks.1.2", "head",
    ]  # fmt: skip
    attention = nn.TransformerEncoderLayer(4, 2, 8)
    assert _names(attention, FullyShard(shard=4 * 4 + 4)) == ["self_attn", "linear1", "linear2"]


def test_blocks_by_pattern_are_the_modules_of_these_names():
    assert _names(Decoder(), FullyShard(shard=["blocks.?", "head"])) == ["blocks.0", "blocks.1", "head"]


@pytest.mark.parametrize(
    ("module", "pattern", "text"),
    [
        (Decoder(), "block.*", r"'block\.\*' matches no module with weights.* Did you mean 'blocks"),
        (Decoder(), "blocks", r"'blocks' is a ModuleList, which is never called. Write 'blocks\.\*'"),
        (Decoder(), "blocks.0.1", "matches no module with weights"),
        (Decoder(tied=True), "head", "'head' shares 'weight' with another module"),
    ],
)
def test_a_pattern_that_cannot_be_sharded_is_an_error_in_words(module, pattern, text):
    with pytest.raises(ValueError, match=text):
        full_shard.find_blocks(module, FullyShard(shard=[pattern]))


def test_settings_are_checked():
    with pytest.raises(TypeError, match="shard must be a list of patterns"):
        FullyShard(shard="blocks.*")
    with pytest.raises(ValueError, match="shard must be an integer >= 1"):
        FullyShard(shard=0)
    with pytest.raises(ValueError, match="precision must be None or 'bf16'"):
        FullyShard(precision="fp8")


def test_a_model_without_weights_is_to_be_built_first():
    with pytest.raises(ValueError, match="Build it first"):
        full_shard.apply(kt.Sequential([kt.layers.Dense(1)]), FullyShard())


def _functional():
    x = kt.Input((6,))
    hidden = kt.layers.Dense(7, "tanh")(x)
    return kt.Model(x, kt.layers.Dense(3)(kt.layers.Concatenate()([hidden, x])))


def _sequential():
    return kt.Sequential([kt.Input((6,)), kt.layers.Dense(7, "tanh"), kt.layers.Dense(3)])


MODELS = {"view": lambda: kt.Model(network()), "functional": _functional, "sequential": _sequential}


def _train(kind, settings, optimizer):
    """Return how far the weights of a sharded training are from those of a loop by hand, and the shares of memory."""
    torch.manual_seed(0)
    plain, (x, y) = MODELS[kind](), rows()
    start = {name: value.clone() for name, value in plain.state_dict().items()}
    made = getattr(torch.optim, optimizer)(plain.parameters(), lr=0.01)
    for step in range(STEPS):
        at = step * BATCH % len(x)
        made.zero_grad()
        nn.functional.mse_loss(plain(x[at : at + BATCH]), y[at : at + BATCH]).backward()
        made.step()
    torch.manual_seed(torch.distributed.get_rank())
    model = MODELS[kind]()  # with other weights on each rank: those of rank 0 count
    if torch.distributed.get_rank() == 0:
        model.load_state_dict(start)
    full_shard.apply(model, settings)
    full_shard.apply(model, settings)  # a second time, nothing happens
    model.compile(kt.optimizers.Torch(getattr(torch.optim, optimizer), lr=0.01), "mse")
    model.fit(x, y, batch_size=BATCH, epochs=STEPS * BATCH // len(x), verbose=0, shuffle=False)
    here = sum(weight.to_local().numel() for weight in model.parameters())
    return largest_difference(plain.state_dict(), whole(model)), here, model.count_params()


SETTINGS = {
    "default": FullyShard(),
    "size": FullyShard(shard=40),
    "kept": FullyShard(reshard=False),
    "offloaded": FullyShard(offload=True),
}


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_sharded_model_trains_as_a_loop_by_hand_in_one_process(two, kind, optimizer):
    ranks = two.run(_train, kind, SETTINGS["default"], optimizer)
    assert all(difference < 1e-6 for difference, _, _ in ranks)
    assert sum(here for _, here, _ in ranks) == ranks[0][2]


@pytest.mark.distributed
@pytest.mark.parametrize("settings", list(SETTINGS)[1:])
@pytest.mark.parametrize("kind", MODELS)
def test_all_settings_train_as_a_loop_by_hand_in_one_process(three, kind, settings):
    assert all(difference < 1e-6 for difference, _, _ in three.run(_train, kind, SETTINGS[settings], "Adam"))


def _in_bf16():
    module, (x, y) = network(), rows()
    full_shard.apply(module, FullyShard(precision="bf16"))
    model = kt.Model(module)
    model.compile("adam", "mse")
    loss = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    found = module(x)
    return loss, str(found.dtype), {str(weight.dtype) for weight in module.parameters()}


def test_in_bf16_weights_and_outputs_stay_float32(two):
    for loss, output, weights in two.run(_in_bf16):
        assert loss[-1] < loss[0]
        assert output == "torch.float32"
        assert weights == {"torch.float32"}
