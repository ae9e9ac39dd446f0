"""Hints for keyword arguments that do not exist: the name that was meant, or what to do instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from types import CodeType
from typing import Any, ClassVar, Self

from kerastorch.core.errors import shown, suggest

# arguments of Keras' methods that have no equivalent
_METHOD_ADVICE = {
    "workers": "Pass a DataLoader with num_workers.",
    "use_multiprocessing": "fit(dataset, workers=4) reads samples in processes; utils.PyDataset has this argument.",
    "max_queue_size": "utils.PyDataset has this argument; a DataLoader has prefetch_factor.",
    **dict.fromkeys(
        ("validation", "val", "val_data", "valid_data", "test_data"),
        "Validation data are validation_data=(x, y), or a part of the rows, validation_split=0.2.",
    ),
    "nb_epoch": "Its name is epochs.",
    "samples_per_epoch": "steps_per_epoch is the number of batches.",
    "learning_rate": "It is an argument of the optimizer: compile(optimizers.Adam(learning_rate=...), ...).",
    "lr": "It is an argument of the optimizer: compile(optimizers.Adam(learning_rate=...), ...).",
}


class KeywordHints:
    """Base of classes whose constructors refuse unknown keyword arguments with a hint.

    Attributes:
        keyword_advice: Argument -> sentence that says what to do, for arguments that users know from elsewhere.
            Subclasses inherit those of their bases.
    """

    keyword_advice: ClassVar[Mapping[str, str]] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Create an instance.

        Raises:
            TypeError: `__init__` has no argument of one of the names.
        """
        if (args or kwargs) and cls.__init__ is object.__init__:  # which would ignore them
            raise TypeError(f"{cls.__name__}() takes no arguments, got {', '.join([*map(shown, args), *kwargs])}.")
        known = _keywords(cls.__init__) if kwargs else None
        if known is not None:
            for name in kwargs:
                if name not in known:
                    raise TypeError(_message(cls.__name__, name, known, _advice_of(cls)))
        return super().__new__(cls)


def _advice_of(kind: type) -> dict[str, str]:
    return {name: text for one in reversed(kind.__mro__) for name, text in vars(one).get("keyword_advice", {}).items()}


def _keywords(function: Any) -> list[str] | None:
    """Return the names of the arguments that a method of Python takes by keyword; `None` if it takes any."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or code.co_flags & inspect.CO_VARKEYWORDS:
        return None
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    first = code.co_posonlyargcount or int(code.co_argcount > 0)  # of a method, `self`
    return list(names[first:])


def _message(owner: str, name: str, known: Collection[str], advice: Mapping[str, str]) -> str:
    hint = f" {advice[name]}" if name in advice and name not in known else suggest(name, known)
    return f"{owner}() has no argument {name!r}.{hint} It takes: {', '.join(known) or 'none'}."


def explain_unknown_keyword(error: TypeError, function: Callable[..., Any], given: Collection[str]) -> None:
    """Replace the message of an error if a call of `function` failed because of an unknown keyword argument.

    Args:
        error: The error of the call.
        function: The method that was called.
        given: Names of the keyword arguments of the call.
    """
    known = _keywords(function)
    traceback = error.__traceback__
    if known is None or traceback is None or traceback.tb_next is not None:  # the error is from within the method
        return
    wrong = next((name for name in given if name not in known), None)
    if wrong is not None:
        error.args = (_message(function.__name__, wrong, known, _METHOD_ADVICE),)
