"""`export` of a model."""

from __future__ import annotations

import os
from typing import Any

from kerastorch.core.traceback_filter import public_api
from kerastorch.functional.module_view import ModuleView


class ExportMixin(ModuleView):
    """Base of a model that can be exported as a program."""

    @public_api
    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002
        verbose: bool | None = None,
        input_signature: Any = None,
    ) -> None:
        """Write the model in evaluation mode as a program that runs without kerastorch.

        The batch size, and each other size that is `None`, varies in the program. Before the file is written, the
        program is run and compared with the model for batches of one, two and three rows. A program whose outputs
        differ is not written.

        Args:
            filepath: Path of the file, which ends in `.pt2` (a program of `torch.export`) or `.onnx`
                (needs `pip install onnx onnxscript onnxruntime`).
            format: `"torch"` or `"onnx"`. Default: according to the suffix.
            verbose: Whether to print the size of the file and the largest difference to the model.
            input_signature: The inputs of the model: shapes with the batch axis, such as `(None, 28, 28)`, or examples
                as arrays, which are then used for the comparison; for several inputs a list or dict of them. Default:
                the shapes that the model knows from its `Input`, `build` or `fit`, without the labels from which a
                model computes its loss.

        Raises:
            ExportError: Torch cannot export the model, or the outputs of the program differ from those of the model.
            ImportError: Onnx, onnxscript or onnxruntime is missing.
            ValueError: The suffix is unknown; the inputs are not known, or the model cannot take them.
        """
        from kerastorch.export.export import export

        export(self, filepath, format, verbose, input_signature)
