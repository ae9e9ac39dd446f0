"""The table of layers, a file a family, a row a layer."""

import importlib
import pkgutil

FAMILIES = [
    importlib.import_module(f"{__name__}.{module.name}").ROWS
    for module in pkgutil.iter_modules(__path__)
    if module.name != "row"
]
TABLE = {name: row for rows in FAMILIES for name, row in rows.items()}
assert len(TABLE) == sum(map(len, FAMILIES)), "two rows of one name"
