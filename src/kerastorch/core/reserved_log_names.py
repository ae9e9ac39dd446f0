"""Names that the logs of an epoch have already, so that no metric can have them."""

from __future__ import annotations

_TAKEN = ("loss", "data_loss", "learning_rate")


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
    if name in (("loss",) if has_prefix else _TAKEN):
        reason = f"the logs have {name!r} already"
    elif name.startswith("val_") and not has_prefix:
        reason = "names with val_ are those of the validation"
    else:
        return
    raise ValueError(
        f"a metric cannot be called {name!r}: {reason}. Give it another name, in metrics=[('my_name', metric)] or in "
        "add_metric(value, name='my_name')."
    )
