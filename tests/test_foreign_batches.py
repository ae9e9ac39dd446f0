"""Batches in forms that are not `(x, y)`: dataclasses, text and dicts beside tensors, targets by name."""

import collections
import dataclasses

import torch
from support.foreign_classifier import ClassifierCase, perceptron
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


@dataclasses.dataclass
class Rows:
    features: torch.Tensor
    label: torch.Tensor

    def to(self, device):
        return Rows(self.features.to(device), self.label.to(device))


def features_and_label(batch):
    return batch.features, batch.label


class TestDataclasses(ClassifierCase):
    compile_args = {**ClassifierCase.compile_args, "prepare_batch": features_and_label}
    needs_compile_to_predict = True

    def make(self):
        return perceptron()

    def form(self, x, y):
        return Rows(x, y)

    def loader(self, shuffle):
        dataset = super().loader(False).dataset

        def collate(samples):
            return self.form(*map(torch.stack, zip(*samples, strict=True)))

        return DataLoader(dataset, 8, shuffle, collate_fn=collate, generator=torch.Generator().manual_seed(1))

    def hand_loss(self, net, batch):
        return F.cross_entropy(self.hand_outputs(net, batch), batch.label)

    def hand_outputs(self, net, batch):
        return net(batch.features)

    def hand_scores(self, net, batches):
        hits = torch.cat([self.hand_outputs(net, batch).argmax(1) == batch.label for batch in batches])
        return {"accuracy": hits.float().mean().item()}

    def rows(self, batch):
        return len(batch.label)

    def export_call(self, batch):
        return (batch.features,), {}


class TakesRows(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = perceptron()

    def forward(self, rows):
        return self.body(rows.features)


def whole_and_label(batch):
    return batch, batch.label


class TestDataclassesForTheModel(TestDataclasses):
    compile_args = {**ClassifierCase.compile_args, "prepare_batch": whole_and_label}
    skips = {"plot": "an object has no shape to draw", "export": "torch.export takes tensors only"}

    def make(self):
        return TakesRows()

    def hand_outputs(self, net, batch):
        return net(batch)


Pair = collections.namedtuple("Pair", ["features", "label"])


class TestNamedTuples(TestDataclasses):
    compile_args = ClassifierCase.compile_args
    needs_compile_to_predict = False

    def form(self, x, y):
        return Pair(x, y)


Named = collections.namedtuple("Named", ["features", "label", "names"])


def without_names(batch):
    return batch[:2]


class TestTextBesideTensors(TestDataclasses):
    compile_args = {**ClassifierCase.compile_args, "prepare_batch": without_names}

    def form(self, x, y):
        return Named(x, y, [f"row {number}" for number in range(len(x))])


class TestDictsBesideTensors(TestTextBesideTensors):
    def form(self, x, y):
        return Named(x, y, {"place": list(range(len(x))), "source": "a file"})


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = perceptron()

    def forward(self, features):
        logits = self.body(features)
        return {"scores": logits, "total": logits.sum(1)}


def joint_loss(outputs, target):
    return F.cross_entropy(outputs["scores"], target["label"]) + F.mse_loss(outputs["total"], target["sum"])


Targets = collections.namedtuple("Targets", ["features", "target"])


class TestTargetsByName(TestDataclasses):
    compile_args = {"loss": joint_loss}

    def make(self):
        return TwoOutputs()

    def form(self, x, y):
        return Targets(x, {"label": y, "sum": x.sum(1)})

    def hand_loss(self, net, batch):
        return joint_loss(net(batch.features), batch.target)

    def hand_scores(self, net, batches):
        return {}

    def rows(self, batch):
        return len(batch.features)
