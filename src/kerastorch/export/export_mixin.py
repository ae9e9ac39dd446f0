"""ExportMixin: `export` of a model."""

from __future__ import annotations

import os
from typing import Any

from kerastorch.core.traceback_filter import public_api
from kerastorch.functional.module_view import ModuleView


class ExportMixin(ModuleView):
    """A view that is exported as a program."""

    @public_api
    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002
        verbose: bool | None = None,
        input_signature: Any = None,
    ) -> None:
        """Write the model, as it is in evaluation mode, as a program that runs without kerastorch.

        The batch's size, and others that are `None`, vary in it. Before the file is there, the program is run beside
        the model, for batches of one, two and three rows; one that does not give the same is not written.

        Args:
            filepath: ends in `.pt2` (a program of `torch.export`), or `.onnx`
                (needs `pip install onnx onnxscript onnxruntime`).
            format: `"torch"` or `"onnx"`; `None` goes by the ending.
            verbose: say what was written.
            input_signature: what the model is given: shapes with the batch's axis, `(None, 28, 28)`, or examples as
                arrays, which it is compared on; a list or dict of them for several inputs. `None`: as the model
                knows from its `Input`, `build` or `fit`.

        Raises:
            ExportError: torch cannot export it, or the program gives something else than the model.
            ImportError: onnx, onnxscript or onnxruntime is missing.
            ValueError: another ending; inputs that nobody knows, or that the model cannot take.
        """
        from kerastorch.export.export import export

        export(self, filepath, format, verbose, input_signature)
