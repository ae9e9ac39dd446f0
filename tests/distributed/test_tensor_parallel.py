"""Tensor parallelism: outputs, weights after some steps, and saved weights are those of plain torch in one process."""

import fnmatch

import pytest
import torch
from support.sharded_case import largest_difference, whole
from torch import nn

import kerastorch as kt
from kerastorch.distribution import tensor_parallel
from kerastorch.distribution.settings import TensorParallel


class Block(nn.Module):
    """Attention and a gated network on tokens, of layers of torch or of kerastorch."""

    def __init__(self, *, own):
        super().__init__()
        if own:
            self.embed = kt.layers.Embedding(12, 8)
            # a bias of the keys has no gradient but rounding errors, of which Adam would make whole steps
            layers = [kt.layers.Dense(8, use_bias=one != 1) for one in range(4)]
            layers += [kt.layers.Dense(16, "gelu"), kt.layers.Dense(16)]
            layers += [kt.layers.Dense(8), kt.layers.Dense(6)]
        else:
            self.embed = nn.Embedding(12, 8)
            layers = [nn.Linear(8, 8, bias=one != 1) for one in range(4)]
            layers += [nn.Sequential(nn.Linear(8, 16), nn.GELU()), nn.Linear(8, 16)]
            layers += [nn.Linear(16, 8), nn.Linear(8, 6)]
        self.q, self.k, self.v, self.o, self.gate, self.up, self.down, self.head = layers
        self.norm = nn.LayerNorm(8)

    def forward(self, tokens):
        x = self.embed(tokens)
        heads = [layer(x).unflatten(-1, (4, 2)).transpose(1, 2) for layer in (self.q, self.k, self.v)]
        scores = (heads[0] @ heads[1].transpose(-1, -2)).softmax(-1)
        x = x + self.o((scores @ heads[2]).transpose(1, 2).flatten(-2))
        x = x + self.down(self.gate(x) * self.up(x))
        return self.head(self.norm(x)).mean(1)


PLANS = {
    "pairs": {"[qkv]": "column", "o": "row", "gate*": "column", "up": "column", "down": "row"},
    "columns": {"embed": "column", "up": "column", "gate*": "column", "head": "column"},
    "rows": {"embed": "row", "o": "row", "down": "row", "head": "row"},
}


def _block(own):
    torch.manual_seed(0)
    block = Block(own=own)
    block(torch.zeros(1, 3, dtype=torch.long))
    return block


def _data():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 12, (24, 5), generator=generator), torch.randint(0, 6, (24,), generator=generator)


def _plan(plan, own):
    return {name.replace("*", "" if own else ".0"): how for name, how in PLANS[plan].items()}


def _against_one_process(plan, own, optimizer):
    x, y = _data()
    plain, divided = _block(own), _block(own)
    start = plain(x)
    nn.functional.cross_entropy(start, y).backward()
    gradients = {name: weight.grad.clone() for name, weight in plain.named_parameters()}
    if torch.distributed.get_rank():
        for weight in divided.parameters():
            if weight.ndim == 2:
                weight.data.zero_()  # the values of rank 0 count
        divided.norm.load_state_dict(plain.norm.state_dict())
        for name, weight in divided.named_parameters():
            if not _is_divided(name, plan, own):
                weight.data.copy_(plain.get_parameter(name))
    tensor_parallel.apply(divided, TensorParallel(_plan(plan, own)))
    outputs = divided(x)
    nn.functional.cross_entropy(outputs, y).backward()
    found = {name: _full(weight.grad) for name, weight in divided.named_parameters()}
    differences = [(outputs - start).abs().max().item(), largest_difference(gradients, found)]
    plain.zero_grad()
    divided.zero_grad()
    made = getattr(torch.optim, optimizer)(plain.parameters(), lr=0.01)
    for _ in range(5):
        for at in range(0, 24, 8):
            made.zero_grad()
            nn.functional.cross_entropy(plain(x[at : at + 8]), y[at : at + 8]).backward()
            made.step()
    model = kt.Model(divided)
    model.compile(kt.optimizers.Torch(getattr(torch.optim, optimizer), lr=0.01), "cross_entropy", distribution=None)
    model.fit(x, y, batch_size=8, epochs=5, shuffle=False, verbose=0)
    return [*differences, largest_difference(whole(plain), whole(divided))], type(outputs) is torch.Tensor


def _is_divided(name, plan, own):
    return any(fnmatch.fnmatch(name.rpartition(".")[0], pattern) for pattern in _plan(plan, own))


def _full(value):
    return value.full_tensor() if hasattr(value, "full_tensor") else value


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_outputs_gradients_and_weights_are_those_of_plain_torch_in_one_process(two, plan, own, optimizer):
    for differences, is_plain in two.run(_against_one_process, plan, own, optimizer):
        assert max(differences) < 1e-6
        assert is_plain


def _options(name):
    x, y = _data()
    found = []
    for is_divided in (False, True):
        block = _block(True)
        if is_divided:
            tensor_parallel.apply(block, TensorParallel(_plan("pairs", True)))
        model = kt.Model(block)
        optimizers = {
            "global clipnorm": lambda: kt.optimizers.SGD(0.1, global_clipnorm=0.1),
            "clipnorm": lambda: kt.optimizers.SGD(0.1, clipnorm=0.05),
            "decay": lambda: kt.optimizers.SGD(0.1, weight_decay=0.1),
            "average": lambda: kt.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5),
            "penalty": lambda: kt.optimizers.SGD(0.1),
            "accumulation": lambda: kt.optimizers.Adam(0.01, gradient_accumulation_steps=3),
        }
        regularizers = {"*weight": kt.regularizers.L2(0.1)} if name == "penalty" else {}
        model.compile(optimizers[name](), "cross_entropy", regularizers=regularizers, distribution=None)
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        found.append(whole(block))
    return largest_difference(*found)


@pytest.mark.parametrize("name", ["global clipnorm", "clipnorm", "decay", "average", "penalty", "accumulation"])
def test_options_of_a_step_act_on_plain_and_divided_weights_as_in_one_process(two, name):
    assert max(two.run(_options, name)) < 1e-6


def _saved(path):
    block = _block(True)
    tensor_parallel.apply(block, TensorParallel(_plan("pairs", True)))
    kt.Model(block).save_weights(path)
    torch.manual_seed(5)
    plain = Block(own=True)
    plain(torch.zeros(1, 3, dtype=torch.long))
    kt.Model(plain).load_weights(path)
    return largest_difference(whole(_block(True)), whole(plain))


def test_weights_are_saved_whole(two, tmp_path):
    assert two.run(_saved, str(tmp_path / "model.safetensors")) == [0, 0]


@pytest.mark.parametrize(
    ("plan", "error", "text"),
    [
        ({"qq": "column"}, ValueError, "'qq' matches no module. Did you mean 'q'"),
        ({"norm": "column"}, TypeError, "'norm' is LayerNorm"),
        ({"head": "column"}, ValueError, "'head' has 6 units, which 4 processes cannot divide equally"),
    ],
)
def test_a_plan_that_cannot_be_applied_is_an_error_in_words(plan, error, text):
    with pytest.raises(error, match=text):
        tensor_parallel.find_layers(_block(False), plan, 4)


def test_the_plan_is_checked():
    with pytest.raises(ValueError, match="must be 'column' or 'row', got 'rows'"):
        TensorParallel({"q": "rows"})
    with pytest.raises(ValueError, match="the plan is empty"):
        TensorParallel({})
    with pytest.raises(TypeError, match="takes a dict"):
        TensorParallel(["q"])
