"""What TensorBoard shows of weights: histograms, images, embeddings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.callbacks.tensorboard.event_files import PROJECTOR, BoardFiles
from kerastorch.core.errors import mismatch, unknown, warn
from kerastorch.layers.embedding import Embedding

Metadata = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None


def write_weights(writer: Any, model: nn.Module, epoch: int, images: bool) -> None:
    """A histogram, and where asked for an image, of every parameter and buffer."""
    spoilt = []
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        values = tensor.detach().to("cpu", torch.float32)
        finite = values[values.isfinite()]
        if len(finite) < values.numel():
            spoilt.append(name)
        if not len(finite):
            continue
        tag = name.replace(".", "/")
        writer.add_histogram(f"{tag}/histogram", finite, epoch)
        image = _image(values) if images else None
        if image is not None:
            writer.add_images(f"{tag}/image", image, epoch)
    if spoilt:
        warn(f"TensorBoard: {', '.join(spoilt)}: NaN and infinite values are left out of the histograms.")


def _image(values: Tensor) -> Tensor | None:
    """A weight as pictures `(count, colours, height, width)`, its smallest value black, its largest white."""
    values = values.nan_to_num().squeeze()
    low, high = values.min(), values.max()
    values = (values - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)
    if values.ndim <= 1:
        return values.reshape(1, 1, 1, -1)
    if values.ndim == 2:
        values = values if values.shape[0] <= values.shape[1] else values.T
        return values[None, None]
    if values.ndim == 3:
        return values[:, None]
    return values if values.ndim == 4 and values.shape[1] == 3 else None


def check_metadata(metadata: Metadata) -> dict[str | None, Path]:
    """The files with the labels of embeddings by layer name; `None` is the name of all.

    Raises:
        ValueError: something else, or a file that is not there.
    """
    if metadata is None:
        return {}
    files = metadata if isinstance(metadata, Mapping) else {None: metadata}
    for path in files.values():
        if not isinstance(path, (str, os.PathLike)) or not Path(path).is_file():
            raise mismatch("embeddings_metadata", path, "the path of a file that is there, or a dict of them")
    return {name: Path(path) for name, path in files.items()}


def find_embeddings(model: nn.Module, metadata: Mapping[str | None, Path]) -> dict[str, tuple[Any, Path | None]]:
    """The embedding layers by name, with the files of their labels.

    Raises:
        ValueError: a name that no embedding layer has; a file without a line for each row.
    """
    layers = {name: part for name, part in model.named_modules() if isinstance(part, (Embedding, nn.Embedding))}
    for given in metadata:
        if given is not None and given not in layers:
            raise unknown("embedding layer in embeddings_metadata", given, layers)
    found = {name: (layer, metadata.get(name, metadata.get(None))) for name, layer in layers.items()}
    for name, (layer, path) in found.items():
        rows = getattr(layer, "num_embeddings", None) or getattr(layer, "input_dim", None)
        if path is not None and rows is not None:
            lines = path.read_text(encoding="utf-8").splitlines()
            header = bool(lines) and "\t" in lines[0]  # TensorBoard expects one where there are several columns
            if len(lines) - header != rows:
                raise ValueError(f"{path} has {len(lines) - header} labels, the embedding {name!r} {rows} rows.")
    return found


def write_embeddings(files: BoardFiles, found: Mapping[str, tuple[Any, Path | None]], epoch: int) -> None:
    """The vectors of each embedding, with their labels, for TensorBoard's projector.

    The list of them is added to, so that those of an interrupted training stay in it.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig

    config = ProjectorConfig()
    for name, (layer, labels) in found.items():
        place = f"{epoch:05d}/{name.replace('.', '/')}"
        folder = files.folder / "train" / place
        folder.mkdir(parents=True, exist_ok=True)
        vectors = layer.weight.detach().to("cpu", torch.float32).numpy()
        np.savetxt(folder / "tensors.tsv", vectors, fmt="%.9g", delimiter="\t")
        info = EmbeddingInfo(tensor_name=f"{name}:{epoch:05d}", tensor_path=f"{place}/tensors.tsv")
        if labels is not None:
            shutil.copyfile(labels, folder / "metadata.tsv")
            info.metadata_path = f"{place}/metadata.tsv"
        config.embeddings.append(info)
    with (files.folder / PROJECTOR).open("a" if files.projects else "w", encoding="utf-8") as file:
        file.write(text_format.MessageToString(config))
    files.projects = True
