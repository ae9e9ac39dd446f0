"""Names of losses, metrics and optimizers, looked up without regard to case style, as Keras does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from kerastorch.core.errors import shown, unknown

T = TypeVar("T")


def snake_case(name: str) -> str:
    """Convert the name of a class to snake case.

    >>> snake_case("MulticlassF1Score"), snake_case("BCELoss"), snake_case("Conv2D")
    ('multiclass_f1_score', 'bce_loss', 'conv2d')
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])|(?<=\d)(?=[A-Z]\d)", "_", name)
    return parted.lower()


def look_up(kind: str, name: str, table: Mapping[str, T], advice: Mapping[str, str] = MappingProxyType({})) -> T:
    """Return the entry of `table` for `name`, its snake case or its lower case.

    Args:
        kind: Kind of the entries, for the message.
        name: As the user wrote it.
        table: Entries by name.
        advice: Sentences that say what to take instead, for names that are not in the table.

    Raises:
        ValueError: No entry has this name; the message has the advice for it, or suggests the most similar name.
    """
    candidates = spellings(name)
    for candidate in candidates:
        if candidate in table:
            return table[candidate]
    raise unknown(kind, name, table, next((advice[one] for one in candidates if one in advice), ""))


def spellings(name: str) -> tuple[str, ...]:
    """Return the spellings of a name in which `look_up` searches for it.

    >>> spellings("Newton-CG")
    ('Newton-CG', 'newton-cg', 'newton-cg', 'newton_cg')
    """
    return name, snake_case(name), name.lower(), re.sub(r"[\s-]+", "_", name.lower())


def advice_by_name(sentences: Mapping[str, str]) -> dict[str, str]:
    """Return advice for `look_up`: sentences by name.

    Args:
        sentences: Sentences, each with the names that it is for, separated by spaces.

    >>> advice_by_name({"Its name is 'mse'.": "quadratic squared"})
    {'quadratic': "Its name is 'mse'.", 'squared': "Its name is 'mse'."}
    """
    return {name: sentence for sentence, names in sentences.items() for name in names.split()}


def resolve(kind: str, identifier: Any, table: Mapping[str, Any], check: Callable[[Any], bool]) -> Any:
    """Return the object that an argument such as `loss` or `activation` stands for.

    Args:
        kind: Kind of the object, for messages, such as `"loss"`.
        identifier: A name in `table`, a class, which is called without arguments, or an object that passes `check`.
        table: Objects and classes by name.
        check: Whether an object is of this kind.

    Raises:
        ValueError: The name is unknown.
        TypeError: The object does not pass `check`.
    """
    given = identifier
    if isinstance(identifier, str):
        identifier = look_up(kind, identifier, table)
    if isinstance(identifier, type):
        identifier = identifier()
    if not check(identifier):
        article = "An" if kind[0] in "aeiou" else "A"
        raise TypeError(f"{article} {kind} is a name, a class, an instance or a callable, got {shown(given)}.")
    return identifier


def public_name(thing: Any) -> str:
    """Return the name of a function, or that of the class of an instance in snake case.

    Of a `functools.partial` it is the name of the function within.
    """
    inner = thing
    while hasattr(inner, "func"):
        inner = inner.func
    name = getattr(inner, "__name__", None)
    return name if isinstance(name, str) else snake_case(type(inner).__name__)


def own_name(part: Any) -> str | None:
    """Return the `name` that a layer or model was given, if any."""
    name = vars(part).get("name")
    return name if isinstance(name, str) else None


_RESERVED_LOGS = ("loss", "data_loss", "learning_rate")  # names that the logs of an epoch have already


def is_free_log_name(name: str) -> bool:
    """Return whether a metric may have this name in the logs."""
    return name not in _RESERVED_LOGS and not name.startswith("val_")


def check_log_name(name: str, *, has_prefix: bool = False) -> None:
    """Check that a metric has a name of its own in the logs.

    Args:
        name: Name of the metric.
        has_prefix: Whether the name of an output comes before it, so that only the loss of the output has such a name.

    Raises:
        ValueError: It would replace the loss, the learning rate, or a log of the validation.

    >>> check_log_name("accuracy")
    >>> check_log_name("val_loss")
    Traceback (most recent call last):
    ValueError: a metric cannot be called 'val_loss': names with val_ are those of the validation. Give it another ...
    """
    if name in (("loss",) if has_prefix else _RESERVED_LOGS):
        reason = f"the logs have {name!r} already"
    elif name.startswith("val_") and not has_prefix:
        reason = "names with val_ are those of the validation"
    else:
        return
    raise ValueError(
        f"a metric cannot be called {name!r}: {reason}. Give it another name, in metrics=[('my_name', metric)] or in "
        "add_metric(value, name='my_name')."
    )
