"""ensemble: builds the members of an ensemble, each with its own initial weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from kerastorch.core.errors import check_int
from kerastorch.core.rng_state import capture_rng_states, preserved_rng_states
from kerastorch.core.traceback_filter import public_api
from kerastorch.ensembles.ensemble import Ensemble
from kerastorch.model import Model
from kerastorch.utils import set_random_seed


@public_api
def ensemble(build_fn: Callable[[], Model], n: int = 5, *, seed: int = 0) -> Ensemble:
    """Build several models of one kind, whose predictions are averaged.

    Args:
        build_fn: Function without arguments that returns a new compiled model.
        n: Number of members, >= 2. Default 5.
        seed: Before member `i`, counted from 1, is built, Python, NumPy and torch are seeded with `seed + i - 1`, so
            that its initial weights and the order of its rows are those of a model that is built and fitted after
            `kt.utils.set_random_seed(seed + i - 1)`. The states of the generators are restored. Default 0.

    Returns:
        The ensemble, with `fit`, `predict`, `evaluate`, `uncertainty` and `save`.

    Raises:
        TypeError: `build_fn` is no function without arguments, or does not return a model.
        ValueError: A model is not compiled; two members share weights.

    >>> import kerastorch as kt
    >>> def build():
    ...     model = kt.Sequential([kt.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> x = [[0.0], [1.0], [2.0], [3.0]]
    >>> models = kt.ensemble(build, 3)
    >>> histories = models.fit(x, x, epochs=2)
    >>> models.predict(x).shape
    (4, 1)
    """
    if isinstance(build_fn, nn.Module) or not callable(build_fn):
        raise TypeError(f"ensemble() needs a function that builds a new model: def build(), got {build_fn!r}.")
    _check_signature(build_fn)
    check_int("n", n, 2)
    check_int("seed", seed, 0)
    members: list[Model] = []
    states = []
    with preserved_rng_states():
        for index in range(n):
            set_random_seed(seed + index)
            members.append(_checked(build_fn(), members))
            states.append(capture_rng_states())
    return Ensemble(members, states)


def _check_signature(build_fn: Callable[[], Model]) -> None:
    """Check that a function can be called without arguments.

    Raises:
        TypeError: It requires some.
    """
    try:
        inspect.signature(build_fn).bind()
    except ValueError:  # a callable of C, whose signature is unknown
        return
    except TypeError as error:
        raise TypeError(
            f"ensemble() calls build_fn without arguments: {error}. Write def build(), or give it the values: "
            "kt.ensemble(lambda: build(...), n)."
        ) from None


def _checked(built: Any, earlier: Sequence[Model]) -> Model:
    """Return a new member.

    Raises:
        TypeError: It is no model.
        ValueError: It is not compiled, or shares weights with an earlier one.
    """
    if not isinstance(built, Model):
        advice = " Wrap the module: kt.Model(module)." if isinstance(built, nn.Module) else " Does it end with return?"
        raise TypeError(f"build_fn must return a compiled model, got {type(built).__name__}.{advice}")
    if vars(built).get("_trainer") is None:
        raise ValueError("build_fn returned a model that is not compiled; call model.compile(...) before it returns.")
    held = {id(one) for other in earlier for one in (other, *other.parameters())}
    if any(id(one) in held for one in (built, *built.parameters())):
        raise ValueError("build_fn returned a model with the weights of an earlier member. Build the layers within it.")
    return built
