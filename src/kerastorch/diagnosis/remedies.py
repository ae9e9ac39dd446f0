"""Remedies: what to try against each cause, in the order of a lecture, with the line of code."""

from __future__ import annotations

import math

from kerastorch.diagnosis.findings import Remedy
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
CLIP = Remedy("Clip the gradients.", "optimizer=kt.optimizers.Adam(learning_rate=0.001, clipnorm=1.0)")

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
AGAINST_WRONG_LABELS = (
    Remedy("Look at the rows whose loss is largest, and correct their labels."),
    Remedy("Check that rows and labels were joined in the same order.", "x[:5], y[:5]"),
    Remedy("Stop early, since wrong labels are learned last.", EARLY_STOPPING.code),
    Remedy("Take a loss that wrong labels influence less.", "kt.losses.CategoricalCrossentropy(label_smoothing=0.1)"),
)
COMPARE = (
    Remedy("Compare both parts in the same way after training.", "model.evaluate(x, y); model.evaluate(x_val, y_val)"),
    Remedy("Look for validation rows that are copies of training rows.", "history.diagnose(x, y, validation_data)"),
    SPLIT_AT_RANDOM,
)


def against_overfitting(run: Run) -> tuple[Remedy, ...]:
    """Return the remedies against overfitting; those that the fit has already are left out."""
    settings, found = run.settings, [Remedy("Train with more rows, the best remedy if you can get them.")]
    found.append(Remedy("Augment images, sound and text: make more rows by changes that keep the answer."))
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
        kind: `"penalty"`, `"dropout"`, `"epochs"`, `"size"` or `"unknown"`: what the evidence speaks for.
    """
    penalty = Remedy("Make the penalty ten times weaker, or leave it out.", "kernel_regularizer=None")
    dropout = Remedy("Drop fewer hidden values.", "kt.layers.Dropout(0.2)")
    longer = Remedy("Train longer.", f"model.fit(..., epochs={max(10, 3 * run.epochs)})")
    larger = Remedy("Take a larger network: more units, or one more hidden layer.", _wider(run))
    features = Remedy("Give the network better features, and scale them.", SCALE.code)
    faster = Remedy("Raise the learning rate a little.", optimizer_line(run, 3))
    if run.is_regression and run.best_skill < 0:
        return (SCALE_TARGETS, longer, faster, larger)
    order = {
        "penalty": (penalty, longer, larger, features),
        "dropout": (dropout, larger, longer, features),
        "epochs": (longer, faster, larger),
        "size": (larger, features, longer),
        "unknown": (larger, features, longer, faster),
    }[kind]
    return order if kind in ("penalty", "dropout") or not run.settings.penalties else (*order, penalty)


def against_high_rate(run: Run) -> tuple[Remedy, ...]:
    """Return the remedies against a rate that is too high."""
    factor = 1 / max(10.0, 3 * run.rate.excess)
    return (
        Remedy("Lower the learning rate.", optimizer_line(run, factor)),
        Remedy("Measure which rates work.", "model.find_lr(x, y)"),
        SCALE,
        CLIP,
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
    rows = Remedy("Validate on more rows.", "model.fit(..., validation_split=0.2)")
    repeat = Remedy("Do not trust a single epoch: average over folds.", "kt.model_selection.cross_validate(...)")
    smooth = Remedy("Average the weights over the last steps.", "optimizer=kt.optimizers.Adam(use_ema=True)")
    return (larger, lower, smooth) if of_batches else (rows, repeat, lower)


def optimizer_line(run: Run, factor: float) -> str:
    """Return the line of code that sets another learning rate.

    Args:
        run: The fit.
        factor: The new rate divided by the present one.
    """
    rate, usual = run.rate.value, run.rate.usual
    if rate is None:
        return "optimizer=kt.optimizers.Adam(learning_rate=0.001)"
    new = rate * factor
    if usual is not None:
        new = min(max(new, usual[0]), usual[1])
    digits = -math.floor(math.log10(new)) if new > 0 else 3
    name = "Adam" if usual is None else run.rate.optimizer
    return f"optimizer=kt.optimizers.{name}(learning_rate={round(new, digits):g})"


def _more_dropout(run: Run) -> float:
    return min(0.6, round(max(run.settings.dropout) + 0.2, 2))


def _narrower(run: Run) -> str:
    hidden = run.settings.widths[:-1]
    return f"kt.layers.Dense({max(4, max(hidden) // 4)}, ...)  # instead of {max(hidden)}" if hidden else ""


def _wider(run: Run) -> str:
    hidden = run.settings.widths[:-1]
    if not hidden:
        return 'kt.layers.Dense(32, "relu")  # before the last layer'
    return f"kt.layers.Dense({max(32, 4 * max(hidden))}, ...)  # instead of {max(hidden)}"
