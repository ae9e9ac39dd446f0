"""cross_validate: a new model for each fold, trained on the other rows and evaluated on those that are held out."""

from __future__ import annotations

from typing import Any

from kerastorch.core.errors import check_int
from kerastorch.core.traceback_filter import public_api
from kerastorch.data.arrays import check_indexes
from kerastorch.model_selection.fold_arguments import FoldArguments
from kerastorch.model_selection.fold_models import FoldBuilder
from kerastorch.model_selection.fold_run import FoldRun, check_verbose
from kerastorch.model_selection.fold_training import FoldTask
from kerastorch.model_selection.folds import divide
from kerastorch.model_selection.held_out_metrics import parse_metrics
from kerastorch.model_selection.result import CrossValidation, out_of_fold
from kerastorch.model_selection.rows import count_rows
from kerastorch.model_selection.targets import read_targets, targets_of


@public_api
def cross_validate(
    build_fn: Any,
    x: Any,
    y: Any = None,
    cv: Any = 5,
    *,
    groups: Any = None,
    stratify: Any = None,
    repeats: int = 1,
    metrics: Any = None,
    seed: int = 0,
    held_out_curves: bool = False,
    return_train_score: bool = False,
    return_models: bool = False,
    together: bool = True,
    verbose: Any = "auto",
    **fit_arguments: Any,
) -> CrossValidation:
    """Train a new model for each fold on the other rows, and evaluate it on the rows that are held out.

    Held-out rows have no influence on training: `build_fn` and `fit` get the training rows alone. What callbacks
    follow during training comes from the training rows, too: `validation_split=0.1`.

    Args:
        build_fn: Function that is called as `build_fn(x, y)` with a copy of the training rows of a fold, so that
            scalers and vocabularies are fitted on them alone. Returns a compiled model. May also return
            `(model, transform)`: a function, or an object with the method `transform`, such as a fitted scaler of
            scikit-learn. It is applied to the training rows before `fit`, and to the held-out rows before they are
            evaluated.
        x: Inputs of all rows: an array, tensor, DataFrame or list; a tuple, list or dict of them; or a `Dataset` with a
            length, which yields `(x, y)`.
        y: Targets of all rows, or a structure of them for several outputs; not given with a `Dataset`.
        cv: Number of folds; or a splitter of scikit-learn, such as `KFold`, `GroupKFold`, `TimeSeriesSplit` or
            `LeaveOneOut`; or pairs of training rows and held-out rows. A number `k` stands for
            `KFold(k, shuffle=True, random_state=seed)`, `StratifiedKFold` with the same arguments if the folds are
            stratified, or `GroupKFold(k)` if there are groups. Default 5.
        groups: Group of each row, such as a patient, or the name of a column of `x`: no group is both trained on and
            held out. Default: no groups.
        stratify: Whether each fold gets the same proportion of each class; or labels to do so for, or the name
            of their column in `x`. The default `None` stratifies if the targets are class labels (names, whole numbers
            that repeat, one-hot rows) and there are no groups, because the scores of folds without a class would differ
            for no good reason.
        repeats: How often all rows are divided into folds, in different ways. Default 1.
        metrics: Metrics beside those of `compile`, computed on the predictions for the held-out rows of a fold: names
            of scikit-learn's scorers (`"roc_auc"`, `"f1_macro"`), scorers, functions of `sklearn.metrics`, or your own
            functions of targets and predictions; a list of them, or a dict by name. They do not use `sample_weight`.
            Default: none.
        seed: Seed of the folds. Before `build_fn` is called for fold `i`, counted from 1, Python, NumPy and torch are
            seeded with `seed + i - 1`. Their states are restored at the end. Default 0.
        held_out_curves: Whether the held-out rows are evaluated after each epoch. Callbacks do not see the values.
            Default `False`.
        return_train_score: Whether the training rows are evaluated after training, too. Default `False`.
        return_models: Whether the trained models are returned. Default `False`.
        together: Whether small models are trained together, which is faster, as far as that gives the same numbers;
            else they are trained one after the other. `folds[0].alone_because` says why. Default `True`.
        verbose: 0 prints nothing; 1 and the default `"auto"` print a line for each fold; 2 also prints a line for each
            epoch.
        fit_arguments: Arguments of `fit` for each fold, such as `epochs` and `batch_size`. `sample_weight` has a weight
            for each row of `x`. Each fold gets a copy of the `callbacks`; callbacks that write files come from a
            function of the number of the fold: `callbacks=lambda fold: [CSVLogger(f"fold-{fold}.csv")]`. `resume` and
            `nan_report` are folders, with a subfolder for each fold. After an interruption the same script with
            `resume` restores the folds that have ended, and continues the running one. `validation_data` is not
            accepted.

    Returns:
        Scores, predictions, logs and models of the folds.

    Raises:
        TypeError: `build_fn` cannot be called as `build_fn(x, y)`, or does not return a compiled model; `x` has no rows
            that can be selected; an argument is unknown.
        ValueError: The arrays have different lengths; the folds are impossible, or have rows or groups on both sides;
            `build_fn` returns a model or weights of an earlier fold, or a transform that drops rows.

    >>> import numpy as np
    >>> from kerastorch import Sequential, layers
    >>> def build_fn(x, y):
    ...     scale = layers.Normalization()
    ...     scale.adapt(x)
    ...     model = Sequential([scale, layers.Dense(1, "sigmoid")])
    ...     model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    ...     return model
    >>> x = np.arange(20.0)[:, None]
    >>> result = cross_validate(build_fn, x, (x[:, 0] > 9).astype(int), cv=5, epochs=2, verbose=0)
    >>> result.scores["accuracy"].shape, result.predictions.shape
    ((5,), (20, 1))
    """
    rows = count_rows(x=x, y=y)
    check_indexes(x, y)
    seed = check_int("seed", seed, 0)
    targets = read_targets(x, y) if stratify is True else targets_of(x, y)
    divisions = divide(cv, rows, x=x, y=targets, groups=groups, stratify=stratify, repeats=repeats, seed=seed)
    tasks = [FoldTask(at + 1, seed + at, one.train, one.test) for at, one in enumerate(divisions.folds)]
    run = FoldRun(
        FoldArguments("cross_validate", fit_arguments, rows), parse_metrics(metrics), check_verbose(verbose),
        curves=held_out_curves, train_scores=return_train_score, keeps_models=return_models, together=together,
    )  # fmt: skip
    folds = tuple(run.folds(FoldBuilder("cross_validate", build_fn), tasks, x, y))
    predictions, counts = out_of_fold(folds, rows)
    run.delete_checkpoints(tasks)
    return CrossValidation(folds, predictions, counts, divisions.splitter)
