"""Language models that return `(logits, loss)`, or the loss alone."""

import pytest
import torch
from support.foreign_case import CompiledStepsCase, ForeignCase
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

WORDS, LENGTH = 20, 8


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1))

    def forward(self, x):
        rows, steps, width = x.shape
        split = self.qkv(self.norm_1(x)).view(rows, steps, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (rows, heads, steps, width / heads)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, steps, width))
        return x + self.mlp(self.norm_2(x))


class SmallGPT(nn.Module):
    """As nanoGPT: tied weights, and logits of the last place alone if there are no targets."""

    def __init__(self, width=16):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList([Block(width, 2) for _ in range(2)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, WORDS, bias=False)
        self.head.weight = self.words.weight

    def forward(self, idx, targets=None):
        x = self.words(idx) + self.places(torch.arange(idx.shape[1], device=idx.device))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if targets is None:
            return self.head(x[:, [-1]]), None
        logits = self.head(x)
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


class AllLogitsGPT(SmallGPT):
    """As minGPT: the logits of all places, with and without targets."""

    def forward(self, idx, targets=None):
        x = self.words(idx) + self.places(torch.arange(idx.shape[1], device=idx.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss


class LanguageModelCase(ForeignCase):
    """Batches `(idx, targets)`, as the loops of such models call `model(idx, targets)`."""

    compile_args = {"loss": "model"}

    def texts(self):
        return torch.randint(0, WORDS, (26, LENGTH + 1), generator=torch.Generator().manual_seed(3))

    def loader(self, shuffle):
        texts = self.texts()
        rows = TensorDataset(texts[:, :-1], texts[:, 1:])
        return DataLoader(rows, 8, shuffle, generator=torch.Generator().manual_seed(4))

    def hand_loss(self, net, batch):
        return net(*batch)[1]

    def hand_outputs(self, net, batch):
        return net(batch[0])[0]

    def export_call(self, batch):
        return (batch[0],), {}


class TestNanoGPT(LanguageModelCase, CompiledStepsCase):
    def make(self):
        return SmallGPT()


class TestMinGPT(LanguageModelCase):
    def make(self):
        return AllLogitsGPT()


class TestAutoregressiveWrapper(LanguageModelCase):
    """x-transformers: the wrapper takes texts and returns the loss alone."""

    skips = {
        "predict": "the wrapper returns no outputs, only the loss",
        "export": "the wrapper returns no outputs, only the loss",
    }

    def make(self):
        reason = "x-transformers is not installed: make test-foreign"
        library = pytest.importorskip("x_transformers", reason=reason)
        layers = library.Decoder(dim=16, depth=1, heads=2, attn_dim_head=8, attn_dropout=0.1)
        return library.AutoregressiveWrapper(
            library.TransformerWrapper(num_tokens=WORDS, max_seq_len=LENGTH + 1, attn_layers=layers)
        )

    def loader(self, shuffle):
        return DataLoader(self.texts(), 8, shuffle, generator=torch.Generator().manual_seed(4))

    def hand_loss(self, net, batch):
        return net(batch)
