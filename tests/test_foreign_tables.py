"""Transformers for tables as people bring them: embedded categories beside numbers, and optimizers of their own."""

import torch
from sklearn.metrics import roc_auc_score
from support.foreign_case import ForeignCase
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

ROWS, NUMBERS, KINDS = 30, 6, (4, 5)


def columns():
    generator = torch.Generator().manual_seed(0)
    categories = torch.stack([torch.randint(0, kinds, (ROWS,), generator=generator) for kinds in KINDS], dim=1)
    numbers = torch.randn(ROWS, NUMBERS, generator=generator)
    return categories, numbers, (numbers[:, :3].sum(1, keepdim=True) > 0).float()


def encoder(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)


class TabTransformer(nn.Module):
    """Attention over the categories; the numbers are joined after it."""

    def __init__(self):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(kinds, 8) for kinds in KINDS)
        self.body = encoder()
        self.norm = nn.LayerNorm(NUMBERS)
        self.head = nn.Sequential(nn.Linear(8 * len(KINDS) + NUMBERS, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, categories, numbers):
        tokens = torch.stack([one(categories[:, place]) for place, one in enumerate(self.embeddings)], dim=1)
        return self.head(torch.cat([self.body(tokens).flatten(1), self.norm(numbers)], dim=1))


class TestTabTransformer(ForeignCase):
    compile_args = {"loss": nn.BCEWithLogitsLoss(), "metrics": ["accuracy", "auc"]}

    def make(self):
        return TabTransformer()

    def loader(self, shuffle):
        categories, numbers, target = columns()
        rows = list(zip(zip(categories, numbers, strict=True), target, strict=True))
        return DataLoader(rows, 8, shuffle, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return F.binary_cross_entropy_with_logits(net(*batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(*batch[0])

    def hand_scores(self, net, batches):
        logits = torch.cat([net(*x) for x, _ in batches])
        target = torch.cat([y for _, y in batches])
        return {
            "accuracy": ((logits > 0) == (target > 0.5)).float().mean().item(),
            "auc": roc_auc_score(target.flatten(), logits.flatten()),
        }

    def rows(self, batch):
        return len(batch[1])

    def export_call(self, batch):
        return tuple(batch[0]), {}


class FeatureTokens(nn.Module):
    """Attention over a token for each column, and one for the answer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(NUMBERS, 8))
        self.bias = nn.Parameter(torch.zeros(NUMBERS, 8))
        self.answer = nn.Parameter(torch.randn(1, 8))
        self.embeddings = nn.ModuleList(nn.Embedding(kinds, 8) for kinds in KINDS)
        self.body = encoder(norm_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, categories, numbers):
        answer = self.answer.expand(numbers.shape[0], 1, -1)
        of_numbers = numbers[..., None] * self.weight + self.bias
        of_categories = torch.stack([one(categories[:, place]) for place, one in enumerate(self.embeddings)], dim=1)
        return self.head(self.body(torch.cat([answer, of_numbers, of_categories], dim=1))[:, 0])

    def make_optimizer(self):
        plain = [weight for name, weight in self.named_parameters() if name.endswith("bias") or "norm" in name]
        others = [weight for weight in self.parameters() if all(weight is not one for one in plain)]
        groups = [{"params": others}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.1)


class TestFeatureTokensWithAnOptimizerOfTheirOwn(TestTabTransformer):
    def make(self):
        return FeatureTokens()

    def optimizer(self, net):
        return net.make_optimizer()


class ArcFace(nn.Module):
    """A loss over angles to the centres of the classes, which it learns."""

    def __init__(self):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(2, 4, generator=torch.Generator().manual_seed(5)))

    def forward(self, input, target):  # noqa: A002  # torch's names
        cosines = F.normalize(input) @ F.normalize(self.centres).T
        angles = cosines.clamp(-0.999, 0.999).acos()
        chosen = F.one_hot(target, len(self.centres)).bool()
        return F.cross_entropy(8 * torch.where(chosen, (angles + 0.3).cos(), cosines), target)


def embedding():
    return nn.Sequential(nn.Linear(NUMBERS, 16), nn.ReLU(), nn.Linear(16, 4))


def test_a_loss_with_weights_of_its_own_trains_as_the_loop():
    _, numbers, target = columns()
    dataset = TensorDataset(numbers, target.flatten().long())
    results = []
    for by_hand in (False, True):
        torch.manual_seed(0)
        net, loss = embedding(), ArcFace()
        optimizer = torch.optim.SGD([*net.parameters(), *loss.parameters()], lr=0.1)
        loader = DataLoader(dataset, 8, shuffle=True, generator=torch.Generator().manual_seed(1))
        if by_hand:
            for _ in range(2):
                for x, y in loader:
                    optimizer.zero_grad()
                    loss(net(x), y).backward()
                    optimizer.step()
        else:
            model = kt.Model(net)
            model.compile(optimizer, loss)
            model.fit(loader, epochs=2, verbose=0)
        results.append([*net.parameters(), *loss.parameters()])
    assert not torch.equal(results[0][-1], ArcFace().centres)
    assert all(map(torch.equal, *results))


class Triplet(nn.Module):
    """One network for three rows: an anchor, one of the same kind, and another."""

    def __init__(self):
        super().__init__()
        self.body = embedding()

    def forward(self, anchor, positive, negative):
        return self.body(anchor), self.body(positive), self.body(negative)


def triplet_loss(outputs, y):
    return F.triplet_margin_loss(*outputs)


def three_inputs(batch):
    anchor, positive, negative = batch
    return (anchor, positive, negative), anchor.new_zeros(len(anchor))


class TestTripletsWithoutTargets(ForeignCase):
    compile_args = {"loss": triplet_loss, "prepare_batch": three_inputs}

    def make(self):
        return Triplet()

    def loader(self, shuffle):
        _, numbers, _ = columns()
        dataset = TensorDataset(numbers, numbers.roll(3, 0), numbers.roll(7, 0))
        return DataLoader(dataset, 8, shuffle, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return F.triplet_margin_loss(*net(*batch))

    def hand_outputs(self, net, batch):
        return net(*batch)

    def export_call(self, batch):
        return tuple(batch), {}
