"""Losses, weights of rows and classes, several outputs, metrics, and steps of one's own."""

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import metrics
from support.feature_rows.data_kinds import LABELS, VALUES, WEIGHTS
from support.feature_rows.feature import Feature, mean_loss, sgd, stacked
from support.feature_rows.networks import Charged, TwoHeads
from support.feature_rows.plain_loop import cross_entropy

NO_TARGETS = {
    kind: (ValueError, sentence)
    for kind, sentence in {
        "loader": "class_weight='balanced' needs all targets in memory, which a DataLoader",
        "generator": "class_weight='balanced' needs all targets in memory, which a function that returns batches",
        "loader of dicts": "class_weight='balanced' needs all targets in memory, which a DataLoader",
    }.items()
}


CLASS_WEIGHTS = {0: 1.5, 1: 0.25, 2: 3.0}
BALANCED = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())


def two_losses(module, x, outputs, y, weight):
    label = F.cross_entropy(outputs["label"], y["label"])
    return 2.0 * label + 0.25 * F.mse_loss(outputs["value"], y["value"])


def two_weighted_losses(module, x, outputs, y, weight):
    values = (outputs["value"] - y["value"]).square()[:, 0]
    return cross_entropy(module, x, outputs["label"], y["label"], weight["label"]) + (weight["value"] * values).mean()


def focal(module, x, outputs, y, weight):
    p = outputs.softmax(1)
    return (0.25 * (1 - p) ** 2 * y * -p.log()).sum(1).mean()


def with_squares(module, x, outputs, y, weight):
    return F.cross_entropy(outputs, y) + 0.01 * outputs.square().mean()


def with_charge(module, x, outputs, y, weight):
    return F.cross_entropy(outputs, y) + 0.01 * module.hidden(x).square().sum() / len(x)


def weighted_accuracy(seen):
    outputs, targets, weights = stacked(seen)
    return np.average(outputs.argmax(1) == targets, weights=weights)


def accuracy(seen):
    outputs, targets, _ = stacked(seen)
    return (outputs.argmax(1) == targets).mean()


def second_best(seen):
    outputs, targets, _ = stacked(seen)
    return (np.argsort(-outputs, 1)[:, :2] == targets[:, None]).any(1).mean()


class OwnStep(kt.Model):
    """The loss of the step has a term of its own."""

    def train_step(self, data):
        x, y = data
        y_pred = self(**x) if isinstance(x, dict) else self(x)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred) + 0.01 * y_pred.square().mean()
        self.trainer.backward_and_step(loss)
        return {**self.compute_metrics(x, y, y_pred), "loss": loss}


class OwnLoss(kt.Model):
    """The loss of `compile` gets a term."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return super().compute_loss(x, y, y_pred, sample_weight) + 0.01 * y_pred.square().mean()


FEATURES = {
    "sample_weight": Feature(sgd(), weights=WEIGHTS, logs={"loss": mean_loss}),
    "class_weight": Feature(
        sgd(),
        fit=lambda: {"class_weight": CLASS_WEIGHTS},
        loop_weights=torch.tensor([CLASS_WEIGHTS[label] for label in LABELS.tolist()]),
        logs={"loss": mean_loss},
    ),
    "balanced classes": Feature(
        sgd(),
        fit=lambda: {"class_weight": "balanced"},
        loop_weights=torch.from_numpy(BALANCED[LABELS.numpy()]).float(),
        logs={"loss": mean_loss},
        refused=NO_TARGETS,
    ),
    "several outputs": Feature(
        lambda: {
            **sgd()(),
            "loss": {"label": "cross_entropy", "value": "mse"},
            "loss_weights": {"label": 2.0, "value": 0.25},
        },
        {"loss": two_losses},
        net=TwoHeads,
        targets={"label": LABELS, "value": VALUES},
        logs={"loss": mean_loss},
        rtol=1e-5,
    ),
    "weights by output": Feature(
        lambda: {**sgd()(), "loss": {"label": "cross_entropy", "value": "mse"}},
        {"loss": two_weighted_losses},
        net=TwoHeads,
        targets={"label": LABELS, "value": VALUES},
        weights={"label": WEIGHTS, "value": 0.1 * WEIGHTS.flip(0)},
        logs={"loss": mean_loss},
        rtol=1e-5,
    ),
    "weighted_metrics": Feature(
        lambda: {**sgd()(), "metrics": ["accuracy"], "weighted_metrics": [("by_weight", "accuracy")]},
        weights=WEIGHTS,
        logs={"accuracy": accuracy, "by_weight": weighted_accuracy},
    ),
    "a metric class": Feature(
        lambda: {**sgd()(), "metrics": [metrics.SparseTopKCategoricalAccuracy(k=2, name="top_2")]},
        logs={"top_2": second_best},
    ),
    "focal loss": Feature(
        lambda: {**sgd()(), "loss": kt.losses.CategoricalFocalCrossentropy(from_logits=True)},
        {"loss": focal},
        targets=F.one_hot(LABELS, 3).float(),
        logs={"loss": mean_loss},
        rtol=1e-5,
    ),
    "own train_step": Feature(sgd(), {"loss": with_squares}, model_class=OwnStep, logs={"loss": mean_loss}),
    "own compute_loss": Feature(sgd(), {"loss": with_squares}, model_class=OwnLoss, logs={"loss": mean_loss}),
    "add_loss": Feature(sgd(), {"loss": with_charge}, net=Charged, logs={"loss": mean_loss}, rtol=1e-5),
}  # fmt: skip
