"""The table of layers, a file a family, a row a layer."""

import importlib
import pkgutil

TABLE = {
    name: row
    for module in pkgutil.iter_modules(__path__)
    if module.name != "row"
    for name, row in importlib.import_module(f"{__name__}.{module.name}").ROWS.items()
}
