"""`save_weights` and `load_weights` of a model."""

from __future__ import annotations

import os

from kerastorch.core.traceback_filter import public_api
from kerastorch.functional.module_view import ModuleView


class WeightsFileMixin(ModuleView):
    """Base of a model whose weights are saved to files and loaded from them."""

    @public_api
    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write parameters and buffers to a safetensors file with a checksum.

        The names are those of `state_dict()` of the bare module, without the prefixes that `torch.compile` and
        `DistributedDataParallel` add. `safetensors.torch.load_file` opens the file. The file is replaced as a whole: at
        any time it is the old or the new one.

        Args:
            filepath: Path of the file, which ends in `.safetensors`, such as `"model.weights.safetensors"`; missing
                folders are created.
            overwrite: Whether an existing file is replaced. If not, it is an error.

        Raises:
            FileExistsError: The file exists and `overwrite` is `False`.
            TypeError: The format cannot hold an entry of `state_dict()`.
            ValueError: The suffix is not `.safetensors`; the model is not built.

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

    @public_api
    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Load parameters and buffers from a safetensors file; nothing is changed unless all of them fit.

        Values are copied into the model's own tensors: their device, memory format and `requires_grad` and the state of
        the optimizer stay. Floats are converted to the model's dtype. The checksum of a file that `save_weights` wrote
        is verified; files of other programs are read too.

        Args:
            filepath: Path of the file, which ends in `.safetensors`.
            skip_mismatch: Whether to load the weights that have the same name and shape, and warn of the others.

        Raises:
            CheckpointCorruptError: The file is damaged.
            CheckpointError: The weights do not fit, and the message lists the first differences; with `skip_mismatch`,
                none of them fits.
            FileNotFoundError: The file does not exist.
            ValueError: The suffix is not `.safetensors`; the model is not built and its inputs are not known.

        Warns:
            UserWarning: Weights were rounded to a narrower dtype; `skip_mismatch` left weights out.
        """
        from kerastorch.saving.model_weights import load_weights

        load_weights(self, filepath, skip_mismatch)
