"""Models of plain torch modules under TensorParallel: masks, buffers, attention and random numbers of one process."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import kerastorch as kt
from kerastorch.core.distributed_tensors import full_tensor, is_distributed_tensor
from kerastorch.distribution import TensorParallel

X = torch.randint(0, 12, (21, 6), generator=torch.Generator().manual_seed(3))
Y = torch.randint(0, 12, (21, 6), generator=torch.Generator().manual_seed(4))


class Attention(nn.Module):
    def __init__(self, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8, bias=one != 1) for one in range(4))

    def forward(self, x):
        q, k, v = (layer(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mask = torch.ones(len(x), 1, 6, 6, dtype=torch.bool).tril() if self.dropout else None
        rate = self.dropout if self.training else 0.0
        out = functional.scaled_dot_product_attention(q, k, v, mask, rate, is_causal=mask is None)
        return self.o(out.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, heads=2, dropout=0.0):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.attention = Attention(heads, dropout)
        self.up, self.down, self.dropout = nn.Linear(8, 16), nn.Linear(16, 8), dropout
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 16))
        self.register_buffer("shift", torch.linspace(-1.0, 1.0, 16))

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        inner = functional.gelu(self.up(self.norms[1](x))) * self.scale + self.shift
        inner = inner.masked_fill(x[..., :1] > 0.5, 0.0)
        return x + self.down(functional.dropout(inner, self.dropout, self.training))


class Language(nn.Module):
    """A small language model."""

    def __init__(self, heads=2, dropout=0.0, *, tied=False, recomputes=False):
        super().__init__()
        self.embed, self.position = nn.Embedding(12, 8), nn.Embedding(6, 8)
        self.blocks = nn.ModuleList(Block(heads, dropout) for _ in range(2))
        self.head, self.recomputes = nn.Linear(8, 12, bias=False), recomputes
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, x):
        out = self.embed(x) + self.position(torch.arange(6))
        for block in self.blocks:
            out = checkpoint(block, out, use_reentrant=False) if self.recomputes else block(out)
        return self.head(out).transpose(1, 2)


class InPlace(nn.Module):
    """Changes plain and divided activations in place, and reads numbers from them."""

    def __init__(self):
        super().__init__()
        self.embed, self.up, self.head = nn.Embedding(12, 8), nn.Linear(8, 16), nn.Linear(16, 12)

    def forward(self, x):
        out = self.up(self.embed(x))
        sums = torch.zeros(out.shape)
        sums[..., :4] = out[..., :4].tanh()
        sums += out
        out = out.clone()
        out[x == 1] = 0.5
        out.mul_(torch.linspace(0.0, 1.0, 16)).add_(sums)
        return self.head(out / (1.0 + float(out.detach().abs().mean()))).transpose(1, 2)


ATTENTION = {"*.[qkv]": "column", "*.o": "row", "*.up": "column", "*.down": "row"}
CASES = {
    "heads": (Language, {}, ATTENTION),
    "one head": (Language, {"heads": 1}, ATTENTION),
    "dropout": (Language, {"dropout": 0.3}, ATTENTION),
    "tied": (Language, {"tied": True}, {**ATTENTION, "embed": "row", "head": "column"}),
    "recomputed": (Language, {"recomputes": True}, ATTENTION),
    "in place": (InPlace, {}, {"up": "column", "head": "row"}),
}


def _fitted(name, distribution=None):
    make, options, plan = CASES[name]
    torch.manual_seed(0)
    model = kt.Model(make(**options))
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy", distribution=TensorParallel(plan) if distribution else None)
    history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0).history
    if distribution:
        assert any(map(is_distributed_tensor, model.parameters()))
    weights = [full_tensor(one.detach()).numpy() for one in model.state_dict().values()]
    return history["loss"], model.predict(X, verbose=0), weights


@pytest.mark.parametrize("name", CASES)
def test_two_processes_give_the_numbers_of_one(two, name):
    expected = _fitted(name)
    for loss, predictions, weights in two.run(_fitted, name, True):
        np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
        np.testing.assert_allclose(predictions, expected[1], atol=5e-5)
        for one, other in zip(weights, expected[2], strict=True):
            np.testing.assert_allclose(one, other, atol=5e-5)


class Parts(kt.Model):
    """A step of its own that calls layers by themselves, one of which is divided."""

    def __init__(self):
        super().__init__()
        self.embed, self.up, self.head = nn.Embedding(12, 8), nn.Linear(8, 16), nn.Linear(16, 12)

    def forward(self, x):
        return self.head(torch.relu(self.up(self.embed(x)))).transpose(1, 2)

    def train_step(self, data):
        inner = self.up(self.embed(data[0]))
        outputs = self.head(torch.relu(inner) * torch.ones(16)).transpose(1, 2)
        loss = 0.1 * inner.pow(2).mean() + functional.cross_entropy(outputs, data[1])
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 0.3)
        self.optimizer.step()
        return {"loss": loss, "size": inner.abs().mean()}

    def test_step(self, data):
        inner = self.up(self.embed(data[0]))
        return {"loss": functional.cross_entropy(self(data[0]), data[1]), "size": inner.abs().mean() * torch.ones(())}


def _with_own_step(distribution=None):
    torch.manual_seed(0)
    model = Parts()
    model.compile(kt.optimizers.Adam(0.01, epsilon=1e-3), distribution=distribution)
    history = model.fit(X, Y, batch_size=8, epochs=2, validation_data=(X, Y), verbose=0).history
    return history, [full_tensor(one.detach()).numpy() for one in model.parameters()]


def test_a_step_may_call_divided_layers_by_themselves(two):
    logs, expected = _with_own_step()
    for history, weights in two.run(_with_own_step, TensorParallel({"up": "column", "head": "row"})):
        for name, values in logs.items():
            np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
        for one, other in zip(weights, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("plan", "error", "text"),
    [
        ({"head": "column"}, ValueError, "'embed.weight' and 'head.weight' are one weight"),
        ({"embed": "column", "head": "column"}, ValueError, "are one weight"),
        ({"transformer.self_attn.out_proj": "row"}, TypeError, "belongs to nn.MultiheadAttention"),
    ],
)
def test_a_plan_that_would_part_weights_that_belong_together_is_an_error(plan, error, text):
    from kerastorch.distribution.tensor_parallel import find_layers

    model = Language(tied=True)
    model.transformer = nn.TransformerEncoderLayer(8, 2, 16)
    with pytest.raises(error, match=text):
        find_layers(model, plan, 2)
