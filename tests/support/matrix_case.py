"""The matrix of trainings in several processes: each by `fit` on all ranks, and by a loop in plain torch in one.

All numbers are float64, so that only a wrong result differs by more than rounding.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

import kerastorch as kt

STEPS = 50
DATA = torch.Generator().manual_seed(0)
X = torch.randn(67, 4, generator=DATA, dtype=torch.float64)
Y = torch.randint(0, 3, (67,), generator=DATA)
WEIGHTS = torch.rand(67, generator=DATA, dtype=torch.float64) + 0.1
CLASS_WEIGHT = {0: 1.0, 1: 3.0, 2: 0.5}
CLASS_WEIGHTS = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
PENALTY, CLIP_NORM, CLIP_VALUE, AVERAGE, ACCUMULATED = 0.01, 0.05, 0.02, 0.9, 3

OWN = {
    "SGD": partial(kt.optimizers.SGD, 0.1, momentum=0.5),
    "Adam": partial(kt.optimizers.Adam, 0.01, epsilon=1e-6),
    "AdamW": partial(kt.optimizers.AdamW, 0.01, epsilon=1e-6, weight_decay=0.1),
}
OF_TORCH = {
    "SGD": partial(torch.optim.SGD, lr=0.1, momentum=0.5),
    "Adam": partial(torch.optim.Adam, lr=0.01, eps=1e-6),
    "AdamW": partial(torch.optim.AdamW, lr=0.01, eps=1e-6, weight_decay=0.1),
}


class Kind(NamedTuple):
    """What is special about a training."""

    rows: int = 40
    batch: int = 8
    optimizer: dict[str, Any] = {}  # options of the optimizer, of `compile` and of `fit`
    compile: dict[str, Any] = {}
    fit: dict[str, Any] = {}

    @property
    def epochs(self):
        """Return the number of epochs of 50 steps."""
        return STEPS * self.batch // (-(-self.rows // self.batch) * self.batch)


KINDS = {
    "plain": Kind(),
    "L2 penalty": Kind(compile={"regularizers": {"*weight": kt.regularizers.L2(PENALTY)}}),
    "clipnorm": Kind(optimizer={"clipnorm": CLIP_NORM}),
    "clipvalue": Kind(optimizer={"clipvalue": CLIP_VALUE}),
    "global_clipnorm": Kind(optimizer={"global_clipnorm": CLIP_NORM}),
    "accumulation": Kind(optimizer={"gradient_accumulation_steps": ACCUMULATED}),
    "EMA": Kind(optimizer={"use_ema": True, "ema_momentum": AVERAGE}),
    "class weights": Kind(fit={"class_weight": CLASS_WEIGHT}),
    "sample weights": Kind(fit={"sample_weight": WEIGHTS}),
    "uneven rows": Kind(rows=67, batch=7),
    "last batch of one row": Kind(rows=41, batch=10),
    "batches of one row": Kind(rows=10, batch=1),
    "one row in all": Kind(rows=1),
    "frozen part": Kind(),
    "own train_step": Kind(rows=67, batch=7),
    "GAN": Kind(rows=67, batch=7),
}


def network(kind):
    """Return the network of a training, with the first weights."""
    torch.manual_seed(0)
    if kind == "GAN":
        return _Adversarial()
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    if kind == "frozen part":
        net[0].requires_grad_(False)
    return OwnStep(net) if kind == "own train_step" else net


class OwnStep(kt.Model):
    """Minimizes the cross-entropy and a term of its own."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)

    def own_loss(self, x, y):
        """Return the loss of some rows."""
        scores = self(x)
        return functional.cross_entropy(scores, y) + 0.1 * scores.square().mean()

    def train_step(self, data):
        x, y = data
        loss = self.own_loss(x, y)
        self.trainer.backward_and_step(loss)
        return {"loss": loss}


class _Adversarial(kt.Model):
    """A generator and a critic; the step calls them, not the model."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(4, 4).double()
        self.critic = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double()

    def forward(self, x):
        return self.generator(x)

    def critic_loss(self, x):
        """Return how badly the critic tells rows from generated ones."""
        made = self.generator(x).detach()
        return functional.softplus(-self.critic(x)).mean() + functional.softplus(self.critic(made)).mean()

    def generator_loss(self, x):
        """Return how well the critic recognizes generated rows."""
        return functional.softplus(-self.critic(self.generator(x))).mean()

    def train_step(self, data):
        x = data[0] if isinstance(data, (tuple, list)) else data
        critic_loss = self.critic_loss(x)
        self.trainer.backward_and_step(critic_loss, "critic")
        loss = self.generator_loss(x)
        self.trainer.backward_and_step(loss, "generator")
        return {"loss": loss, "critic_loss": critic_loss}


def trained(optimizer, kind, distribution):
    """Train by `fit`, on all ranks; return weights, logs, scores and predictions.

    Args:
        optimizer: A name of `OWN`.
        kind: A name of `KINDS`.
        distribution: Settings of `compile`.
    """
    case, module = KINDS[kind], network(kind)
    _spoil_other_ranks(module)
    model = module if isinstance(module, kt.Model) else kt.Model(module)
    settings = {"distribution": distribution, **case.compile}
    if kind == "GAN":
        both = {part: OWN[optimizer](**case.optimizer) for part in ("critic", "generator")}
        model.compile(both, None, **settings)
    else:
        model.compile(OWN[optimizer](**case.optimizer), "cross_entropy", metrics=["accuracy"], **settings)
    x, y = X[: case.rows], Y[: case.rows]
    own = {**case.fit, **({"sample_weight": WEIGHTS[: case.rows]} if "sample_weight" in case.fit else {})}
    history = model.fit(x, y, batch_size=case.batch, epochs=case.epochs, shuffle=False, verbose=0, **own)
    scores = {} if kind == "GAN" else model.evaluate(x, y, batch_size=5, verbose=0, return_dict=True)
    predictions = model.predict(x, batch_size=5, verbose=0)
    logs = {name: values for name, values in history.history.items() if not name.startswith("learning_rate")}
    return _result(case, module, logs, scores, predictions)


def by_hand(optimizer, kind):
    """Return the same, computed in this process by a loop in plain torch."""
    case, net = KINDS[kind], network(kind)
    x, y, weights = X[: case.rows], Y[: case.rows], WEIGHTS[: case.rows]
    logs = (
        _adversarial_loop(case, net, optimizer, x)
        if kind == "GAN"
        else _loop(case, kind, net, optimizer, x, y, weights)
    )
    with torch.no_grad():
        predictions = net(x)
        data_loss = functional.cross_entropy(predictions, y) if kind != "GAN" else None
        penalty = _penalty(net) if kind == "L2 penalty" else 0.0
        accuracy = (predictions.argmax(1) == y).double().mean()
    scores = {} if kind == "GAN" else {"loss": float(data_loss + penalty), "accuracy": float(accuracy)}
    if kind == "L2 penalty":
        scores["data_loss"] = float(data_loss)
    return _result(case, net, logs, scores, predictions.numpy())


def _result(case, module, logs, scores, predictions):
    """Return everything to compare; accuracies, which are float32, as numbers of rows."""
    logs, scores = dict(logs), dict(scores)
    logs["rows right"] = [round(case.rows * one, 3) for one in logs.pop("accuracy", [])]
    scores["rows right"] = round(case.rows * scores.pop("accuracy", 0.0), 3)
    return {"weights": _whole(module), "logs": logs, "scores": scores, "predictions": predictions}


def _loop(case, kind, net, optimizer, x, y, weights):
    trained_weights = [one for one in net.parameters() if one.requires_grad]
    made = OF_TORCH[optimizer](trained_weights)
    averages, batches = None, 0
    logs = {"loss": []} if kind == "own train_step" else {"accuracy": [], "loss": []}
    if kind == "L2 penalty":
        logs["data_loss"] = []
    for _ in range(case.epochs):
        sums = dict.fromkeys(logs, 0.0)
        for rows in torch.arange(case.rows).split(case.batch):
            scores = net(x[rows])
            data_loss = _data_loss(kind, net, scores, x[rows], y[rows], weights[rows])
            loss = data_loss + _penalty(net) if kind == "L2 penalty" else data_loss
            parts = ACCUMULATED if kind == "accumulation" else 1
            (loss / parts).backward()
            batches += 1
            values = {"loss": loss, "data_loss": data_loss, "accuracy": (scores.argmax(1) == y[rows]).double().mean()}
            for name in sums:
                sums[name] += values[name].item() * len(rows)
            if batches % parts:
                continue
            _clip(kind, trained_weights)
            made.step()
            made.zero_grad()
            if kind == "EMA":
                now = [one.detach().clone() for one in trained_weights]
                averages = (
                    now
                    if averages is None
                    else [AVERAGE * old + (1 - AVERAGE) * new for old, new in zip(averages, now, strict=True)]
                )
        for name, total in sums.items():
            logs[name].append(total / case.rows)
    if averages is not None:  # replaces the weights when a fit ends
        with torch.no_grad():
            for one, average in zip(trained_weights, averages, strict=True):
                one.copy_(average)
    return logs


def _data_loss(kind, net, scores, x, y, weights):
    if kind == "own train_step":
        return net.own_loss(x, y)
    losses = functional.cross_entropy(scores, y, reduction="none")
    if kind == "class weights":
        losses = losses * CLASS_WEIGHTS[y]
    if kind == "sample weights":
        losses = losses * weights
    return losses.mean()


def _penalty(net):
    return PENALTY * sum(one.square().sum() for name, one in net.named_parameters() if name.endswith("weight"))


def _clip(kind, weights):
    if kind == "clipnorm":
        for weight in weights:
            weight.grad *= min(1.0, CLIP_NORM / float(weight.grad.norm()))
    elif kind == "clipvalue":
        nn.utils.clip_grad_value_(weights, CLIP_VALUE)
    elif kind == "global_clipnorm":
        nn.utils.clip_grad_norm_(weights, CLIP_NORM)


def _adversarial_loop(case, net, optimizer, x):
    made = {name: OF_TORCH[optimizer](getattr(net, name).parameters()) for name in ("critic", "generator")}
    logs = {"loss": [], "critic_loss": []}
    for _ in range(case.epochs):
        sums = dict.fromkeys(logs, 0.0)
        for rows in torch.arange(case.rows).split(case.batch):
            for name, log in (("critic", "critic_loss"), ("generator", "loss")):
                loss = getattr(net, f"{name}_loss")(x[rows])
                net.zero_grad()
                loss.backward()
                made[name].step()
                sums[log] += loss.item() * len(rows)
        for name, total in sums.items():
            logs[name].append(total / case.rows)
    return logs


def _spoil_other_ranks(module):
    """Change the weights of all ranks but the first, from which the weights come."""
    if torch.distributed.is_initialized() and torch.distributed.get_rank():
        with torch.no_grad():
            for weight in module.parameters():
                weight.add_(1.0)


def _whole(module):
    """Return the weights by name, whole, as arrays."""
    values = {
        name: one.full_tensor() if hasattr(one, "full_tensor") else one for name, one in module.named_parameters()
    }
    return {name: one.detach().clone().numpy() for name, one in values.items()}
