"""Tensors as short texts in files of expected values, and comparison with them.

A text is `dtype sizes: numbers`, with about six digits, as `float32 2x2: 1 0.5 -2 0`. Of more than `MOST` numbers, some
are written, and behind `=` a weighted sum of all, so that a wrong number is seen wherever it is.
"""

MOST, PICKED = 48, 24
DIGITS = {"float16": 4, "bfloat16": 3}
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-5, "float64": 2e-5, "complex64": 2e-5}


def stored(shape, dtype, flat):
    """Return the text of a tensor with the numbers `flat`."""
    numbers = [_text(value, DIGITS.get(dtype, 6)) for value in _picked(flat)]
    if len(flat) > MOST:
        numbers += ["=", _text(_weighted_sum(flat), 7)]
    return f"{dtype} {'x'.join(map(str, shape)) or '-'}: {' '.join(numbers)}"


def difference(shape, dtype, flat, text):
    """Return how a tensor differs from a stored one; `None` if it does not."""
    head, _, tail = text.partition(":")
    numbers, _, total = tail.partition("=")
    found = f"{dtype} {'x'.join(map(str, shape)) or '-'}"
    if found != head:
        return f"{found} instead of {head}"
    tolerance = TOLERANCE.get(dtype, 0)
    for one, other in zip(_picked(flat), map(_number, numbers.split()), strict=True):
        both_nan = one != one and other != other
        if not both_nan and one != other and not abs(one - other) <= tolerance * max(1, abs(other)):
            return f"{one} instead of {other}"
    if total:
        wanted, scale = _number(total), _weighted_sum([max(1, abs(value)) for value in flat])
        if not abs(_weighted_sum(flat) - wanted) <= tolerance * scale + 1e-6 * abs(wanted):
            return f"numbers whose weighted sum is {_weighted_sum(flat)} instead of {wanted}"
    return None


def _picked(flat):
    if len(flat) <= MOST:
        return flat
    return [flat[at * (len(flat) - 1) // (PICKED - 1)] for at in range(PICKED)]


def _weighted_sum(flat):
    return sum(value * (1 + at % 7) for at, value in enumerate(flat) if abs(value) < float("inf"))


def _text(value, digits):
    value = complex(value) if isinstance(value, complex) else float(value)
    if isinstance(value, complex):
        return f"{value.real:.{digits}g}{value.imag:+.{digits}g}j"
    if value == int(value) if abs(value) < 2**53 else False:
        return "-0" if str(value) == "-0.0" else str(int(value))
    return f"{value:.{digits}g}" if abs(value) >= 1 else f"{round(value, digits - 1):.{digits}g}"


def _number(text):
    return complex(text) if text.endswith("j") else float(text)
