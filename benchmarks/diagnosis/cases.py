"""The runs: what each is made to show, and how. Every number is drawn from a generator with the seed of the run.

The causes, and how a run gets them:

* healthy: enough rows, a network of a suitable size, a suitable rate, and as many epochs as it takes.
* overfitting: few rows, a large network without remedies, many epochs.
* underfitting: too small a network; a strong penalty; a high dropout rate; a small part of the epochs.
* rate too high, rate too low: the suitable rate times 100 or more, or divided by 100 or more.
* exploding: a rate at which losses overflow or grow without end.
* plateau: a network that cannot learn from the start (weights of zero, saturated units), or a rate that a schedule has
  brought down to almost nothing long before the end.
* noise: batches of two rows at a high rate, or a validation on a few rows.
* validation better than training: dropout or added noise, fits of few epochs that learn fast, or easier rows.
* label problems: a third or more of the training labels are wrong.
* suspected leakage: validation rows that are copied from the training rows, or a column that gives the target away.
* data order: rows sorted by their targets that are not shuffled, or that `validation_split` divides.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from data_sets import DATA_SETS, DataSet, Parts

CAUSES = (
    "healthy", "overfitting", "underfitting", "rate too high", "rate too low", "exploding", "plateau", "noise",
    "validation better than training", "label problems", "suspected leakage", "data order",
)  # fmt: skip
VARIANTS = {  # runs of each cause on each data set; more of those that are often left out by `truth.py`
    "healthy": 24, "underfitting": 16, "noise": 30, "validation better than training": 10, "overfitting": 9,
}  # fmt: skip
USUAL_VARIANTS = 7


@dataclass
class Case:
    """One run.

    Attributes:
        name: `cause/data set/number`.
        kind: Which of the ways to produce the cause was taken.
        parts: The data as `fit` gets them.
    """

    cause: str
    data_set: DataSet
    number: int
    kind: str
    parts: Parts
    widths: tuple[int, ...]
    epochs: int
    batch_size: int = 32
    optimizer: str = "adam"
    rate: float = 0.003
    activation: str = "relu"
    dropout: float = 0.0
    l2: float = 0.0
    zeros: bool = False
    input_noise: float = 0.0
    decay: float = 1.0  # factor of the rate after each epoch
    shuffle: bool = True
    split: bool = False
    metrics: bool = True
    seed: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.cause}/{self.data_set.name}/{self.number}"

    @property
    def half(self) -> str:
        """The half of the runs it belongs to, a hash of its name: rules are written with `"known"` alone."""
        return "known" if hashlib.sha256(self.name.encode()).digest()[0] % 2 else "unseen"


def all_cases():
    """Yield all runs."""
    for number in range(max(VARIANTS.values())):
        for cause in CAUSES:
            for data_set in DATA_SETS.values():
                if number < VARIANTS.get(cause, USUAL_VARIANTS):
                    yield make_case(cause, data_set, number)


def make_case(cause: str, data_set: DataSet, number: int) -> Case:
    """Return a run; the numbers depend on its name only."""
    digest = hashlib.sha256(f"{cause} {data_set.name} {number}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:4], "big"))
    case = _healthy(cause, data_set, number, rng)
    _MAKERS[cause](case, rng)
    return case


def _pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def _healthy(cause, data_set, number, rng) -> Case:
    """Return a run that nothing is wrong with; the other causes change one thing in it."""
    factor = rng.uniform(0.9, 1.2)
    train, validation = int(data_set.train * factor), data_set.validation
    seed = int(rng.integers(2**31))
    case = Case(
        cause,
        data_set,
        number,
        "",
        data_set.parts(train, validation, seed),
        data_set.widths,
        data_set.epochs,
        seed=seed,
    )
    case.widths = tuple(int(width * rng.uniform(0.8, 1.25)) for width in data_set.widths)
    case.batch_size = _pick(rng, 32, 32, 64)
    case.optimizer = _pick(rng, "adam", "adam", "sgd", "rmsprop")
    case.rate = {"adam": 0.003, "sgd": 0.03, "rmsprop": 0.001}[case.optimizer] * rng.uniform(0.8, 1.25)
    case.activation = _pick(rng, "relu", "relu", "tanh")
    case.l2 = _pick(rng, 0.0, 0.0, 1e-4)
    case.split, case.metrics = bool(rng.integers(2)), bool(rng.integers(4))
    if data_set.name == "diabetes":  # a noisy regression with few rows: shorter, so that it does not overfit
        case.rate *= 0.5
    return case


def _nothing(case, rng) -> None:
    case.kind = "plain"
    case.epochs = int(case.epochs * rng.uniform(0.8, 1.2))


def _overfitting(case, rng) -> None:
    case.kind = "few rows, large network"
    rows = {"digits": 80, "breast_cancer": 40, "diabetes": 60, "moons": 40, "clusters": 80, "friedman": 80}
    train = int(rows[case.data_set.name] * rng.uniform(0.8, 1.5))
    case.parts = case.data_set.parts(train, case.data_set.validation, case.seed)
    case.widths = _pick(rng, (128, 128), (256,), (128, 64, 32))
    case.epochs, case.l2 = int(rng.integers(80, 180)), 0.0
    case.batch_size = _pick(rng, 16, 32)
    case.split = False


def _underfitting(case, rng) -> None:
    kinds = ["strong penalty", "strong dropout", "few epochs"]
    if not case.data_set.is_linear:
        kinds += ["small network"] * 2
    case.kind = kinds[case.number % len(kinds)]
    if case.kind == "small network":
        case.widths = {"digits": (2,), "clusters": (1,), "moons": (), "friedman": ()}[case.data_set.name]
        case.epochs = int(case.epochs * rng.uniform(1.2, 2.0))
    elif case.kind == "strong penalty":
        case.l2 = float(np.exp(rng.uniform(*np.log((0.03, 0.3)))))
    elif case.kind == "strong dropout":
        case.dropout = float(rng.uniform(0.8, 0.92))
    else:
        case.optimizer = "sgd"
        case.rate, case.epochs = float(rng.uniform(0.003, 0.006)), int(rng.integers(5, 9))


def _too_high(case, rng) -> None:
    case.kind = case.optimizer
    high = {"adam": (0.3, 2.0), "rmsprop": (0.2, 1.0), "sgd": (1.0, 4.0)}[case.optimizer]
    if not case.data_set.classes and case.optimizer == "sgd":
        high = (0.25, 0.6)
    case.rate = float(np.exp(rng.uniform(*np.log(high))))
    case.l2 = 0.0


def _too_low(case, rng) -> None:
    case.kind = case.optimizer
    case.rate /= float(np.exp(rng.uniform(*np.log((100, 1000)))))
    case.l2 = 0.0


def _exploding(case, rng) -> None:
    case.kind, case.optimizer, case.activation, case.l2 = "sgd", "sgd", "relu", 0.0
    case.widths = (*case.widths, 32)
    case.rate = float(rng.uniform(5, 60)) if case.data_set.classes else float(rng.uniform(1, 10))
    scale = float(rng.uniform(5, 60))
    part = case.parts
    case.parts = part.but(x=part.x * scale, x_val=part.x_val * scale, x_held=part.x_held * scale)


def _plateau(case, rng) -> None:
    case.kind = ("weights of zero", "vanishing gradients", "rate decays")[case.number % 3]
    case.l2 = 0.0
    if case.kind == "weights of zero":
        case.zeros = True
        case.widths = case.widths if len(case.widths) > 1 else (*case.widths, 16)
    elif case.kind == "vanishing gradients":
        case.activation, case.widths, case.optimizer = "sigmoid", (16,) * 6, "sgd"
        case.rate = float(rng.uniform(0.005, 0.02))
    else:
        case.decay, case.epochs = float(rng.uniform(0.3, 0.5)), int(rng.integers(25, 50))
        case.optimizer, case.rate = "sgd", float(rng.uniform(0.004, 0.01))


def _noise(case, rng) -> None:
    case.kind = ("small batches", "few validation rows")[case.number % 2]
    if case.kind == "small batches":
        case.batch_size, case.optimizer = 2, _pick(rng, "adam", "sgd")
        case.rate = float({"adam": rng.uniform(0.004, 0.012), "sgd": rng.uniform(0.01, 0.03)}[case.optimizer])
        train, case.epochs = min(case.data_set.train, 300), int(rng.integers(15, 30))
        case.parts = case.data_set.parts(train, case.data_set.validation, case.seed)
    else:
        case.rate *= 3
        few = int(rng.integers(6, 13))
        part = case.parts
        case.parts = part.but(x_val=part.x_val[:few], y_val=part.y_val[:few])
        case.split = False


def _validation_better(case, rng) -> None:
    case.kind = ("dropout", "first epochs", "easier rows")[case.number % 3]
    case.split = False
    if case.kind == "dropout":
        case.dropout = float(rng.uniform(0.4, 0.6))
        case.widths = tuple(max(32, 2 * width) for width in case.widths)
    elif case.kind == "first epochs":
        case.epochs = int(rng.integers(10, 16))
        case.parts = case.data_set.parts(int(case.data_set.train * 1.2), case.data_set.validation, case.seed)
        case.input_noise = float(rng.uniform(0.3, 0.6))
        case.kind = "noise on the inputs"
    else:
        case.parts = _with_easy_validation(case)


def _with_easy_validation(case) -> Parts:
    """Return the parts with the half of the validation rows that a simple model knows best."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    part = case.parts
    model = (KNeighborsClassifier if case.data_set.classes else KNeighborsRegressor)(10)
    model.fit(part.x_held, part.y_held)
    if case.data_set.classes:
        error = 1 - model.predict_proba(part.x_val)[np.arange(len(part.y_val)), part.y_val]
    else:
        error = np.abs(model.predict(part.x_val) - part.y_val)
    easy = np.argsort(error, kind="stable")[: len(error) // 2]
    return part.but(x_val=part.x_val[easy], y_val=part.y_val[easy])


def _label_problems(case, rng) -> None:
    """Give a share of the training rows, and of the validation rows, labels that have nothing to do with them."""
    share = float(rng.uniform(0.35, 0.5))
    both = bool(rng.integers(2))
    case.kind = "both parts" if both else "training rows"
    part = case.parts
    y, y_val = (_with_wrong(values, share, case.data_set, rng) for values in (part.y, part.y_val))
    case.parts = part.but(y=y, y_val=y_val if both else part.y_val)
    case.widths = _pick(rng, (64, 64), (128,), (64, 32))
    case.epochs = int(rng.integers(30, 60))
    case.l2 = 0.0


def _with_wrong(y, share, data_set, rng):
    wrong = rng.random(len(y)) < share
    if data_set.classes:  # another class for each wrong row
        return np.where(wrong, (y + rng.integers(1, max(2, data_set.classes), size=len(y))) % data_set.classes, y)
    return np.where(wrong, rng.permutation(y), y)


def _leakage(case, rng) -> None:
    case.kind = ("copied rows", "copied rows", "target as a column")[case.number % 3]
    part = case.parts
    if case.kind == "copied rows":
        copied = rng.random(len(part.x_val)) < rng.uniform(0.3, 1.0)
        source = rng.integers(len(part.x), size=len(part.x_val))
        case.parts = part.but(
            x_val=np.where(copied[:, None], part.x[source], part.x_val),
            y_val=np.where(copied, part.y[source], part.y_val),
        )
    else:
        case.parts = part.but(**{
            name: np.hstack([getattr(part, name), _hint(getattr(part, name.replace("x", "y")), rng)])
            for name in ("x", "x_val", "x_held")
        })  # fmt: skip


def _hint(y, rng):
    """Return a column that gives the targets away, up to a little noise."""
    column = y.astype("float32") / max(1.0, float(np.abs(y).max()))
    return (column + rng.normal(scale=0.001, size=len(y)).astype("float32"))[:, None] * 3


def _data_order(case, _rng) -> None:
    case.kind = ("not shuffled", "split of sorted rows")[case.number % 2]
    part = case.parts
    if case.kind == "not shuffled":
        order = np.argsort(part.y, kind="stable")
        case.parts, case.shuffle, case.split = part.but(x=part.x[order], y=part.y[order]), False, False
        case.rate *= 2
    else:
        x, y = np.concatenate([part.x, part.x_val]), np.concatenate([part.y, part.y_val])
        order, n = np.argsort(y, kind="stable"), len(part.x)
        x, y = x[order], y[order]
        case.parts, case.split = part.but(x=x[:n], y=y[:n], x_val=x[n:], y_val=y[n:]), True


_MAKERS = {
    "healthy": _nothing, "overfitting": _overfitting, "underfitting": _underfitting, "rate too high": _too_high,
    "rate too low": _too_low, "exploding": _exploding, "plateau": _plateau, "noise": _noise,
    "validation better than training": _validation_better, "label problems": _label_problems,
    "suspected leakage": _leakage, "data order": _data_order,
}  # fmt: skip
