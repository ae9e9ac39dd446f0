"""The table of layers, a file a family, a row a layer."""

import importlib
import pkgutil

import pytest

FAMILIES = [
    importlib.import_module(f"{__name__}.{module.name}").ROWS
    for module in pkgutil.iter_modules(__path__)
    if module.name != "row"
]
TABLE = {name: row for rows in FAMILIES for name, row in rows.items()}
assert len(TABLE) == sum(map(len, FAMILIES)), "two rows of one name"
# for the tests that take long: a layer with other arguments is a row `Layer-variant`, which only `make slow` tries
NAMES_VARIANTS_SLOW = [pytest.param(name, marks=[pytest.mark.slow] if "-" in name else []) for name in TABLE]
