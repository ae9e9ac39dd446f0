"""Strategies: what hypothesis draws cases from; the first choice of each is the simplest."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fuzz.case import Case, Output
from fuzz.containers import BATCHED
from fuzz.losses import LOSSES, Meaning, weights_of
from fuzz.optimizers import OPTIMIZERS

FLOATS = ("float32", "float64")
OF_NUMBERS = ("smooth_focal", "labelled_crossentropy")  # functions that torch gives `(n,)` integers, or an error
WHOLE = ("int64", "int32", "int16", "int8")


def choice(*options: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(options)


@st.composite
def outputs(draw: Any, task: str, end: str | None = None, image: bool = False, refused: bool = False) -> Output:
    """One output with a loss and targets that fit it; with `refused`, targets of any form."""
    fitting = [name for name, one in LOSSES.items() if task in one.tasks and end in (None, *one.ends)]
    if image:
        fitting = [name for name in fitting if name not in ("cosine_similarity", "MeanSquaredError(sum)")]
    loss = draw(st.sampled_from(fitting))
    meaning = LOSSES[loss]
    width = draw(choice(3, 2, 4) if task == "classes" else choice(1, 2, 3))
    if loss == "cosine_similarity":
        width = max(width, 2)
    flat = width == 1 and task != "classes" and not image and draw(st.booleans())
    form = draw(st.sampled_from(_forms(task, width, meaning, refused)))
    if loss in OF_NUMBERS:
        form = "numbers"
    dtype = draw(st.sampled_from(_dtypes(task, width, loss, form)))
    scored = _metrics(task, width, meaning, image)
    metrics = tuple(draw(st.lists(st.sampled_from(scored), unique=True, max_size=3))) if scored else ()
    return Output(task, width, meaning.ends[0], loss, form, dtype, metrics, flat)


def _forms(task: str, width: int, meaning: Meaning, refused: bool) -> list[str]:
    if task == "classes":
        if refused and meaning.counts is not weights_of:  # torch takes one-hot targets there, and divides otherwise
            return ["numbers", "column", "one-hot"]
        return {"numbers": ["numbers", "column"], "one-hot": ["one-hot"], "both": ["numbers", "column", "one-hot"]}[
            meaning.takes
        ]
    wrong = ["wider"] if refused else []
    return [*wrong, *(["same", "flat", "column"] if width == 1 else ["same"])]


def _dtypes(task: str, width: int, loss: str, form: str) -> tuple[str, ...]:
    if task == "values":
        return (*FLOATS, *WHOLE, "uint8", "bool")
    if task == "binary":
        signed = LOSSES[loss].labels == (-1, 1)
        return (*FLOATS, *WHOLE, *(() if signed else ("uint8", "bool")))
    if form == "one-hot":
        return FLOATS if LOSSES[loss].takes == "both" else (*FLOATS, *WHOLE, "uint8", "bool")
    if loss in OF_NUMBERS:
        return WHOLE
    return (*WHOLE, *FLOATS, "uint8", *(("bool",) if width == 2 else ()))


def _metrics(task: str, width: int, meaning: Meaning, image: bool) -> list[str]:
    if task == "values":
        return ["mae", "mse", "rmse", "mape"] + ([] if image else ["r2"])
    if task == "binary":
        of_values = meaning.give() == "mse"  # it leaves open whether several columns are one class or several questions
        if meaning.tells is None or (width > 1 and of_values):
            return []
        return ["accuracy", "binary_accuracy"] + (
            ["auc", "precision", "recall", "f1"] if width == 1 and not image else []
        )
    return ["accuracy", "f1"] + (["top_2_accuracy"] if width > 2 else [])


@st.composite
def cases(draw: Any, outs: st.SearchStrategy[tuple[Output, ...]], body: str | None = None, **fixed: Any) -> Case:
    """A training of outputs that are drawn first."""
    some = draw(outs)
    several = len(some) > 1
    found: dict[str, Any] = {"outputs": some, "seed": draw(st.integers(0, 99))}
    ranked = any("auc" in output.metrics for output in some)  # rows that are alike would be ties but for rounding
    found["body"] = body = body or draw(choice("dense", "norm", *(() if ranked else ("embedding",))))
    found["made"] = draw(st.sampled_from(_makes(some, body)))
    found["structure"] = draw(choice("tuple", "dict")) if several else "tuple"
    found["precision"] = draw(choice("float32", "float64"))
    found["x_dtype"] = draw(st.sampled_from(FLOATS) if ranked else _x_dtypes(body))
    found["rows"] = draw(choice(12, 7, 8, 16, 33, 40))
    # of one row there is no r2, and rows of a function in torch's order are a scalar
    least_two = any("r2" in output.metrics or LOSSES[output.loss].plain_scalar for output in some)
    found["batch_size"] = draw(choice(4, *(() if least_two or body == "norm" else (1,)), 3, 5, 8, 64, None))
    containers = ("numpy", "tensor", "list", "Dataset", "TensorDataset", *BATCHED)
    if several:
        containers = tuple(one for one in containers if one not in ("list", "TensorDataset"))
    found["container"] = container = draw(st.sampled_from(containers))
    found["epochs"], found["fits"] = draw(choice(1, 2)), draw(choice(1, 1, 2))
    found["shuffle"] = container not in ("DataLoader", "reused", "generator", "function") and draw(st.booleans())
    validates = draw(choice(None, "split", "numpy", "DataLoader", "function", "Dataset"))
    if validates == "split" and container not in BATCHED:
        found["split"] = draw(choice(0.25, 0.5))
    elif validates != "split":
        found["validation"] = validates
    found["weights"] = draw(st.sampled_from(_weights(some, body)))
    if draw(st.booleans()):
        found["loss_weights"] = tuple(draw(choice(0.5, 2.0, 0.0, 1.0)) for _ in some)
        found["loss_weights_as"] = draw(choice("list", "dict", "number") if not several else choice("list"))
        if several and found["structure"] == "dict":
            found["loss_weights_as"] = "dict"
    found["penalty"] = draw(choice(None, None, (0.0, 0.1), (0.01, 0.0), (0.01, 0.02)))
    found["optimizer"] = draw(st.sampled_from(sorted(OPTIMIZERS)))
    found["evaluated_by"] = None if container in BATCHED else draw(choice(None, 3, 100))
    found["on_batch"] = draw(st.booleans())
    return Case(**(found | fixed))


def _makes(some: tuple[Output, ...], body: str) -> list[str]:
    if body == "norm":  # kerastorch's own has Keras' momentum
        return ["module"] if len(some) > 1 else ["module", "chain"]
    keras = not any(output.flat for output in some)
    if len(some) > 1:
        return ["module", *(["functional"] if keras else [])]
    return ["module", "chain", *(["layers", "functional"] if keras else [])]


def _x_dtypes(body: str) -> st.SearchStrategy[str]:
    if body == "embedding":
        return choice("int64", "int32")
    return choice("float32", "float64", "int64", "uint8")


def _weights(some: tuple[Output, ...], body: str) -> list[str | None]:
    by_class = len(some) == 1 and body != "image" and _one_class_a_row(some[0])
    return [None, None, "rows", "column", *(["class"] if by_class else [])]


def _one_class_a_row(output: Output) -> bool:
    if output.task == "classes":
        return True
    return output.task == "binary" and output.width == 1 and LOSSES[output.loss].labels == (0, 1)
