"""`save_weights` and `load_weights` of a model."""

from __future__ import annotations

import os

from kerastorch.core.traceback_filter import public_api
from kerastorch.functional.module_view import ModuleView


class WeightsFileMixin(ModuleView):
    """Base of a model whose weights are saved to files and loaded from them."""

    @public_api
    def save_weights(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: int | float | str | None = None,
    ) -> None:
        """Write parameters and buffers to a safetensors file with a checksum, or to several with an index.

        The names are those of `state_dict()` of the bare module, without the prefixes that `torch.compile` and
        `DistributedDataParallel` add. `safetensors.torch.load_file` opens the file. The file is replaced as a whole: at
        any time it is the old or the new one.

        If several processes train the model together, rank 0 writes the file, and the others return when it is there.

        Args:
            filepath: Path of the file, which ends in `.safetensors`, such as `"model.weights.safetensors"`, or in
                `.weights.h5`, a file that Keras reads into a model of the same layers; missing folders are created.
            overwrite: Whether existing files are replaced. If not, it is an error.
            max_shard_size: Largest size of the tensors in one file: a number of GB (10**9 bytes), or a text such as
                `"500MB"`. Weights that do not fit into one file are written to `model-00001-of-00002.safetensors`, ...,
                and `model.safetensors.index.json` lists them, as files of Hugging Face. Default: one file.

        Raises:
            FileExistsError: The file or the index exists and `overwrite` is `False`.
            TypeError: The format cannot hold an entry of `state_dict()`.
            ValueError: The name ends in another way; the model is not built; `max_shard_size` is no size.

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

        save_weights(self, filepath, overwrite, max_shard_size)

    @public_api
    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Load parameters and buffers from a safetensors file; nothing is changed unless all of them fit.

        Values are copied into the model's own tensors: their device, memory format and `requires_grad` and the state of
        the optimizer stay. Floats are converted to the model's dtype. The checksum of a file that `save_weights` wrote
        is verified; files of other programs are read too.

        Args:
            filepath: Path of the file, which ends in `.safetensors`, or of the index of several, which ends in
                `.safetensors.index.json`. If only the index exists, the path that was given to `save_weights` will do.
                A name that ends in `.weights.h5` or `.h5` is that of a file of Keras, for a model of the same layers;
                Keras 2 has the weights in the order of the layers.
            skip_mismatch: Whether to load the weights that have the same name and shape, and warn of the others.

        Raises:
            CheckpointCorruptError: The file is damaged.
            CheckpointError: The weights do not fit, and the message lists the first differences; with `skip_mismatch`,
                none of them fits; a file that the index lists is missing.
            FileNotFoundError: The file does not exist.
            ValueError: The name ends in another way; the model is not built and its inputs are not known.

        Warns:
            UserWarning: Weights were rounded to a narrower dtype; `skip_mismatch` left weights out.
        """
        from kerastorch.saving.model_weights import load_weights

        load_weights(self, filepath, skip_mismatch)
