"""What a model gives away: its weights as a file, and itself as a program for others."""

from __future__ import annotations

import os
from typing import Any

from kerastorch.functional.module_view import View


class Portable(View):
    """A view whose weights are saved and loaded, and that can be exported."""

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write parameters and buffers as safetensors, whole or not at all, with a checksum.

        The names are those of `state_dict()` of the bare module: what `torch.compile` and `DistributedDataParallel`
        put before them is left out. `safetensors.torch.load_file` opens the file.

        Args:
            filepath: ends in `.safetensors`, as `"model.weights.safetensors"`; folders on the way are made.
            overwrite: whether a file that is there is replaced.

        Raises:
            FileExistsError: it is there, and `overwrite=False`.
            TypeError: something in `state_dict()` that the format cannot hold.
            ValueError: another ending; a model that has not been built.

        >>> import os, tempfile
        >>> from kerastorch import Input, Model, Sequential
        >>> from kerastorch.layers import Dense
        >>> model, other = (Sequential([Input((3,)), Dense(2)]) for _ in range(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_weights(os.path.join(folder, "model.weights.safetensors"))
        ...     other.load_weights(os.path.join(folder, "model.weights.safetensors"))
        >>> bool((model.weights[0] == other.weights[0]).all())
        True
        """
        from kerastorch.saving.model_weights import save_weights

        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Read what `save_weights`, or anybody, wrote as safetensors; nothing is changed unless all of it fits.

        Numbers are copied into the model's own tensors: device, memory format, what is frozen and the optimizer's
        state stay. Floats are converted to the model's dtype. Each byte of a file that kerastorch wrote is checked.

        Args:
            filepath: ends in `.safetensors`.
            skip_mismatch: load what has the same name and shape, and warn of the rest.

        Raises:
            CheckpointCorruptError: the file is damaged.
            CheckpointError: it does not fit: the first differences; with `skip_mismatch`, nothing in it does.
            FileNotFoundError: there is none.
            ValueError: another ending; a model that has not been built, and of which the input is not known.

        Warns:
            UserWarning: weights were rounded, because the model has a narrower dtype; what `skip_mismatch` left out.
        """
        from kerastorch.saving.model_weights import load_weights

        load_weights(self, filepath, skip_mismatch)

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
