"""WeightsFileMixin: `save_weights` and `load_weights` of a model."""

from __future__ import annotations

import os

from kerastorch.functional.module_view import ModuleView


class WeightsFileMixin(ModuleView):
    """A view whose weights are saved to a file and loaded from one."""

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
