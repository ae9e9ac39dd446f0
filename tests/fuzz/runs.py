"""A case run with kerastorch, and beside it in plain torch; the numbers compared."""

from __future__ import annotations

import fnmatch
from typing import Any

import numpy as np
import torch

import kerastorch as kt
from fuzz.case import Case
from fuzz.containers import ARRAYS, BATCHED, MAPPED, contained
from fuzz.data import class_weights, data
from fuzz.losses import given
from fuzz.models import model
from fuzz.optimizers import OPTIMIZERS
from fuzz.oracle import VALIDATION_ROWS, Loop, as_list, modules_with_buffers
from fuzz.ours import foreign_warnings, is_own_error
from kerastorch.training.output_names import OutputNames

Numbers = dict[str, Any]


def check(case: Case) -> None:
    """Compare kerastorch with the loop: equal numbers, or an error of its own where there is no loop.

    Where the loop fails, as batch normalization of one row does, kerastorch may fail with the same error.
    """
    try:
        expected, failure = of_the_loop(case), None
    except Exception as error:
        expected, failure = None, error
    with foreign_warnings() as foreign:
        try:
            found = of_kerastorch(case)
        except Exception as error:
            if failure is None or not (is_own_error(error) or _alike(error, failure)):
                raise
            return
    if "contains NaN" in str(failure) or (expected is not None and _diverged(expected)):
        return
    assert expected is not None, f"not refused: {failure}"
    assert not foreign
    compare(found, expected, case)


def _diverged(expected: Numbers) -> bool:
    """Whether losses grew beyond what float32 compares, in a training whose learning rate is too large for it."""
    weights = torch.cat([torch.as_tensor(one).double().flatten() for one in expected["weights"]])
    return not bool((weights.abs() < 1e3).all())


def _alike(error: Exception, other: Exception) -> bool:
    return type(error) is type(other) and str(error) == str(other)


def of_the_loop(case: Case) -> Numbers:
    """The numbers of the plain loop."""
    loop, found = Loop(case), {}
    if case.on_batch:
        first = loop.training.rows(slice(0, case.batch_size or 32))
        found["train_on_batch"] = loop.one_pass(iter([first]), training=True)
    found["history"] = [loop.fit() for _ in range(case.fits)]
    found["weights"] = modules_with_buffers(loop.net)
    found["evaluate"] = loop.evaluate(
        loop.all, case.evaluated_by or (case.batch_size if _comes_batched(case) else None)
    )
    found["predict"] = loop.predict()
    if case.on_batch:
        found["test_on_batch"] = loop.evaluate(loop.all, case.rows)
    return found


def of_kerastorch(case: Case) -> Numbers:
    """The same of kerastorch."""
    rows, found, made = data(case, case.rows, case.seed), {}, model(case)
    compiled(case, made)
    torch.manual_seed(case.seed)
    kept = rows.rows(slice(None, int(case.rows * (1 - case.split))))
    weighted = {} if case.weights != "class" else {"class_weight": class_weights(case)}
    if case.on_batch:
        first = kept.rows(slice(0, case.batch_size or 32))
        batch = contained(case, "tensor", first, None)
        found["train_on_batch"] = made.train_on_batch(**batch, **weighted, return_dict=True)
    histories = [made.fit(**fit_arguments(case, rows), **weighted).history for _ in range(case.fits)]
    found["history"] = [{k: v for k, v in one.items() if not k.startswith("learning_rate")} for one in histories]
    found["weights"] = modules_with_buffers(made)
    size = {} if _comes_batched(case) or case.evaluated_by is None else {"batch_size": case.evaluated_by}
    by = case.evaluated_by or case.batch_size
    whole = contained(case, case.container, rows, by)
    found["evaluate"] = made.evaluate(**whole, **size, verbose=0, return_dict=True)
    whole = contained(case, case.container, rows, by)
    found["predict"] = [torch.as_tensor(one) for one in as_list(made.predict(whole["x"], **size, verbose=0))]
    if case.on_batch:
        found["test_on_batch"] = made.test_on_batch(**contained(case, "tensor", rows, None), return_dict=True)
    return found


def compiled(case: Case, made: kt.Model) -> None:
    """Call `compile` as the case says."""
    dtype = getattr(torch, case.precision)
    losses: Any = [given(output.loss, output.width, dtype) for output in case.outputs]
    metrics = [list(output.metrics) for output in case.outputs]
    scales: Any = case.loss_weights
    if scales is not None:
        only = next(iter(OutputNames.of(made).aliases("")), "out")  # a name that is known must be right
        named = dict(zip([name or only for name in case.names], scales, strict=True))
        scales = {"number": scales[0], "list": list(scales), "dict": named}[case.loss_weights_as]
    several = len(case.outputs) > 1
    if several and case.structure == "dict":
        losses, metrics = dict(zip(case.names, losses, strict=True)), dict(zip(case.names, metrics, strict=True))
    penalties = None
    if case.penalty is not None:
        matrices = [name for name, weight in made.named_parameters() if weight.ndim > 1]
        assert matrices == fnmatch.filter(matrices, "*")
        penalties = {name: kt.regularizers.L1L2(*case.penalty) for name in matrices}
    made.compile(
        OPTIMIZERS[case.optimizer].give(made),
        losses if several else losses[0],
        loss_weights=scales,
        metrics=metrics if several else metrics[0],
        regularizers=penalties,
    )


def fit_arguments(case: Case, rows: Any) -> dict[str, Any]:
    """What `fit` is called with."""
    arguments = contained(case, case.container, rows, case.batch_size, case.epochs)
    arguments |= {"epochs": case.epochs, "shuffle": case.shuffle, "verbose": 0}
    if not _comes_batched(case):
        arguments["batch_size"] = case.batch_size
    if case.container == "generator":
        arguments["steps_per_epoch"] = -(-case.rows // (case.batch_size or 32))
    if case.split:
        arguments["validation_split"] = case.split
    if case.validation is not None:
        validating = data(case, VALIDATION_ROWS, case.seed + 1)
        held = contained(case, case.validation, validating, case.batch_size)
        arguments["validation_data"] = tuple(held.values()) if case.validation in ARRAYS else held["x"]
        if case.validation in (*ARRAYS, *MAPPED):
            arguments["validation_batch_size"] = case.batch_size
    return arguments


def _comes_batched(case: Case) -> bool:
    return case.container in BATCHED


def compare(found: Numbers, expected: Numbers, case: Case) -> None:
    """All numbers, within what rounding explains."""
    near = {"rtol": 1e-3, "atol": 2e-5} if case.precision == "float32" else {"rtol": 1e-6, "atol": 1e-9}
    assert found.keys() == expected.keys()
    for part in ("train_on_batch", "evaluate", "test_on_batch"):
        if part in found:
            same_logs(part, found[part], expected[part], near)
    for index, (one, other) in enumerate(zip(found["history"], expected["history"], strict=True)):
        same_logs(f"history of fit {index}", one, other, near)
    for part in ("weights", "predict"):
        assert len(found[part]) == len(expected[part])
        for one, other in zip(found[part], expected[part], strict=True):
            assert one.shape == other.shape, f"{part}: {tuple(one.shape)} instead of {tuple(other.shape)}"
            np.testing.assert_allclose(one.double().numpy(), other.double().numpy(), err_msg=part, **near)


def same_logs(part: str, found: Any, expected: Any, near: Any) -> None:
    """The same names, the same numbers."""
    assert set(found) == set(expected), part
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], err_msg=f"{part}: {name}", **near)
