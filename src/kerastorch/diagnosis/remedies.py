"""Remedies: what to try against each cause, in the order of a lecture, with the line of code."""

from __future__ import annotations

import math

from kerastorch.diagnosis.findings import Remedy
from kerastorch.diagnosis.input_kind import IMAGES, SEQUENCES, TABLE, TEXT
from kerastorch.diagnosis.run import Run

EARLY_STOPPING = Remedy(
    "Stop when the validation loss no longer improves, and take the weights of the best epoch.",
    "callbacks=[kt.callbacks.EarlyStopping(patience=5, restore_best_weights=True)]",
)
CHECK = Remedy("Let the library check the model and the data.", "model.check(x, y)")
SHUFFLE = Remedy("Shuffle the rows in each epoch.", "model.fit(x, y, shuffle=True)")
SCALE = Remedy(
    "Scale the inputs to mean 0 and deviation 1.", "kt.layers.Normalization()  # first layer; adapt(x) before"
)
SCALE_TARGETS = Remedy(
    "Scale the targets to mean 0 and deviation 1, and end the network without an activation.",
    "y = (y - y.mean()) / y.std()",
)

BY_HEART = "The network learns the training rows by heart, with their noise, and not only the rule."
SPLIT_AT_RANDOM = Remedy(
    "Draw the validation rows at random.", "model.fit(..., validation_split=0.2, validation_shuffle=True)"
)
STRATIFY = Remedy(
    "Give both parts the same shares of the classes.", "model.fit(..., validation_split=0.2, validation_stratify=True)"
)
AGAINST_LEAKAGE = (
    Remedy("Remove copies before the split.", "x, index = np.unique(x, axis=0, return_index=True); y = y[index]"),
    Remedy("Keep the rows of one person, place or day in one part.", "sklearn.model_selection.GroupShuffleSplit()"),
)
_SAME_ORDER = Remedy("Check that rows and targets were joined in the same order.", "x[:5], y[:5]")
_BETTER_FEATURES = Remedy("Look for features that the targets depend on.")
_LOOK = Remedy("Look at the rows whose loss is largest, and correct their targets.")
_HUBER = Remedy("Take a loss that far values influence less.", "loss=kt.losses.Huber()")
AGAINST_UNRELATED = (
    _SAME_ORDER, _BETTER_FEATURES,
    Remedy("Test the network on a few rows: it should learn these by heart.", "model.fit(x[:50], y[:50], epochs=200)"),
)  # fmt: skip
AGAINST_OUTLIERS = (
    Remedy("Look at these rows, and correct them or leave them out.", "np.argsort(-np.abs(y - np.median(y)))[:20]"),
    _HUBER,
    Remedy("If the values are positive and right, learn their logarithm.", "y = np.log1p(y)"),
)
AGAINST_RARE_CLASS = (
    Remedy("Give the rows of the rare class more weight.", 'model.fit(..., class_weight="balanced")'),
    Remedy("Judge by metrics that see it, not by the accuracy.", 'metrics=["auc", "average_precision"]'),
    Remedy("Collect more rows of the rare class."),
)
COMPARE = (
    Remedy("Compare both parts in the same way after training.", "model.evaluate(x, y); model.evaluate(x_val, y_val)"),
    Remedy("Look for validation rows that are copies of training rows.", "history.diagnose(x, y, validation_data)"),
    SPLIT_AT_RANDOM,
)


def against_wrong_labels(*, is_regression: bool) -> tuple[Remedy, ...]:
    """Return the remedies against targets that do not fit their rows."""
    smooth = Remedy(
        "Take a loss that wrong labels influence less.", "kt.losses.CategoricalCrossentropy(label_smoothing=0.1)"
    )
    stop = Remedy("Stop early, since wrong labels are learned last.", EARLY_STOPPING.code)
    return (_LOOK, _SAME_ORDER, _BETTER_FEATURES, stop, _HUBER) if is_regression else (_LOOK, _SAME_ORDER, stop, smooth)


def against_overfitting(run: Run) -> tuple[Remedy, ...]:
    """Return the remedies against overfitting; those that the fit has already are left out."""
    settings, found = run.settings, [Remedy("Train with more rows, the best remedy if you can get them.")]
    found += _augmentation(run)
    found.append(EARLY_STOPPING if "EarlyStopping" not in settings.callbacks else Remedy(
        "EarlyStopping is there: let it take the weights of the best epoch.", "restore_best_weights=True"))  # fmt: skip
    if not settings.dropout:
        found.append(Remedy("Drop a part of the hidden values in training.", "kt.layers.Dropout(0.3)"))
    else:
        found.append(Remedy("Drop more of the hidden values.", f"kt.layers.Dropout({_more_dropout(run):g})"))
    found.append(
        Remedy("Add a penalty on large weights.", "kt.layers.Dense(..., kernel_regularizer=kt.regularizers.L2(0.001))")
        if not settings.penalties
        else Remedy("Make the penalty on large weights three times as strong.", f"instead of {settings.penalties[0]}")
    )
    found.append(Remedy("Take a smaller network.", _narrower(run)))
    return tuple(found)


def against_underfitting(run: Run, kind: str) -> tuple[Remedy, ...]:
    """Return the remedies against underfitting.

    Args:
        run: The fit.
        kind: `"penalty"`, `"dropout"`, `"epochs"`, `"rare"`, `"size"` or `"unknown"`: what the evidence speaks for.
    """
    penalty = Remedy("Make the penalty ten times weaker, or leave it out.", "kernel_regularizer=None")
    dropout = Remedy("Drop fewer hidden values.", "kt.layers.Dropout(0.2)")
    longer = Remedy("Train longer.", f"model.fit(..., epochs={max(10, 3 * run.epochs)})")
    larger = Remedy("Take a larger network: more units, or one more hidden layer.", _wider(run))
    features = Remedy("Give the network better features, and scale them.", SCALE.code)
    faster = Remedy("Raise the learning rate a little.", optimizer_line(run, 3))
    if has_unscaled_targets(run) and run.best_skill < 0.1:
        return (SCALE_TARGETS, longer, faster, larger)
    if kind == "rare":
        return (*AGAINST_RARE_CLASS, larger)
    order = {
        "penalty": (penalty, longer, larger, features),
        "dropout": (dropout, larger, longer, features),
        "epochs": (longer, faster, larger),
        "size": (larger, features, longer),
        "unknown": (*ask_for_data(run), larger, features, longer, faster),
    }[kind]
    return order if kind in ("penalty", "dropout") or not run.settings.penalties else (*order, penalty)


def against_high_rate(run: Run) -> tuple[Remedy, ...]:
    """Return the remedies against a rate that is too high."""
    return (
        Remedy("Lower the learning rate.", optimizer_line(run, _slower(run))),
        Remedy("Measure which rates work.", "model.find_lr(x, y)"),
        SCALE,
        clip(run),
        Remedy("Lower the rate when the loss stands still.", "callbacks=[kt.callbacks.ReduceLROnPlateau()]"),
    )


def against_low_rate(run: Run) -> tuple[Remedy, ...]:
    """Return the remedies against a rate that is too low."""
    return (
        Remedy("Raise the learning rate.", optimizer_line(run, max(10.0, 3 * run.rate.lack))),
        Remedy("Measure which rates work.", "model.find_lr(x, y)"),
        Remedy("Train longer.", f"model.fit(..., epochs={5 * run.epochs})"),
    )


def against_noise(run: Run, *, of_batches: bool) -> tuple[Remedy, ...]:
    """Return the remedies against curves that jump.

    Args:
        run: The fit.
        of_batches: Whether the training loss jumps too.
    """
    size = run.settings.batch_size
    larger = Remedy("Take larger batches.", f"model.fit(..., batch_size={max(32, 8 * (size or 4))})")
    lower = Remedy("Lower the learning rate.", optimizer_line(run, 0.3))
    rows = Remedy("Validate on more rows.", _larger_validation(run))
    repeat = Remedy("Do not trust a single epoch: average over folds.", "kt.model_selection.cross_validate(...)")
    smooth = Remedy("Average the weights over the last steps.", optimizer_line(run, 1, "use_ema=True"))
    return (larger, lower, smooth) if of_batches else (rows, repeat, lower)


def ask_for_data(run: Run) -> tuple[Remedy, ...]:
    """Return the remedy of a diagnosis with the data, if they were not given."""
    look = Remedy("Find out whether the inputs say anything.", "history.diagnose(x, y, validation_data)")
    return () if run.data.is_known else (look,)


def clip(run: Run) -> Remedy:
    """Return the remedy of clipped gradients, with the optimizer of the fit at a lower rate."""
    return Remedy("Clip the gradients.", optimizer_line(run, _slower(run), "clipnorm=1.0"))


def _slower(run: Run) -> float:
    return 1 / max(10.0, 3 * run.rate.excess)


def has_unscaled_targets(run: Run) -> bool:
    """Return whether the targets are values with a mean or a deviation far from those of a standard distribution."""
    targets = run.settings.targets
    if targets is None or targets.variance is None or targets.mean is None or not targets.variance:
        return False
    return not 0.01 <= targets.variance <= 100 or targets.mean**2 > 9 * max(1.0, targets.variance)


def optimizer_line(run: Run, factor: float, more: str = "") -> str:
    """Return the line of code that sets another learning rate, and keeps the momentum.

    Args:
        run: The fit.
        factor: The new rate divided by the present one.
        more: Another argument of the optimizer. Default: none.
    """
    rate, usual, more = run.rate.value, run.rate.usual, f", {more}" if more else ""
    if rate is None:
        return f"optimizer=kt.optimizers.Adam(learning_rate=0.001{more})"
    new = rate * factor
    if usual is not None:
        new = min(max(new, usual[0]), usual[1])
    digits = -math.floor(math.log10(new)) if new > 0 else 3
    name = "Adam" if usual is None else run.rate.optimizer
    momentum = run.settings.momentum
    more = f", momentum={momentum:g}{more}" if momentum and name in ("SGD", "RMSprop") else more
    return f"optimizer=kt.optimizers.{name}(learning_rate={round(new, digits):g}{more})"


def _augmentation(run: Run) -> list[Remedy]:
    """Return how to augment the inputs; nothing if they are a table."""
    kind = run.settings.input_kind
    if kind == TABLE:
        return []
    if kind == IMAGES and run.settings.augmentation:
        names = ", ".join(run.settings.augmentation)
        return [Remedy("Augment the images more, or in more ways.", f"besides {names}: kt.layers.RandomRotation(0.05)")]
    known = {
        IMAGES: Remedy(
            "Augment the images: move, zoom or flip them, as far as this keeps the answer.",
            "kt.layers.RandomTranslation(0.1, 0.1), kt.layers.RandomZoom(0.1)  # first layers",
        ),
        SEQUENCES: Remedy("Augment the sequences: add a little noise.", "kt.layers.GaussianNoise(0.1)  # first layer"),
        TEXT: Remedy(
            "Drop whole features of the embedding in training.",
            "kt.layers.SpatialDropout1D(0.3)  # after the embedding",
        ),
    }
    return [
        known.get(
            kind, Remedy("If the inputs are images, sound or text, augment them by changes that keep the answer.")
        )
    ]


def _larger_validation(run: Run) -> str:
    """Return the line of code that validates on more rows; empty if the fit was given validation data."""
    rows, held = run.settings.rows, run.settings.validation_rows
    if run.settings.validation == "data":
        return ""
    share = held / (rows + held) if rows and held else 0.1
    return f"model.fit(..., validation_split={min(0.5, max(0.2, round(1.5 * share, 1))):g})" if share < 0.4 else ""


def _more_dropout(run: Run) -> float:
    return min(0.6, round(max(run.settings.dropout) + 0.2, 2))


def _narrower(run: Run) -> str:
    hidden = run.settings.hidden_widths
    return f"kt.layers.Dense({max(4, max(hidden) // 4)}, ...)  # instead of {max(hidden)}" if hidden else ""


def _wider(run: Run) -> str:
    hidden = run.settings.hidden_widths
    if not hidden:
        return 'kt.layers.Dense(32, "relu")  # before the last layer'
    return f"kt.layers.Dense({max(32, 4 * max(hidden))}, ...)  # instead of {max(hidden)}"
