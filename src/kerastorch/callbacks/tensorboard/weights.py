"""Histograms, images and embeddings of weights for TensorBoard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerastorch.callbacks.tensorboard.event_files import PROJECTOR, EventFiles
from kerastorch.core.errors import mismatch, unknown, warn
from kerastorch.layers.embedding import Embedding

Metadata = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None
LabelledLayers = dict[str, tuple[Any, Path | None]]  # embedding layers by name, with the files of their labels


def write_weights(writer: Any, model: nn.Module, epoch: int, images: bool) -> None:
    """Write a histogram, and optionally an image, of every parameter and buffer.

    Args:
        writer: `SummaryWriter` of torch.
        model: Model whose weights are written.
        epoch: Number of the epoch, from 0.
        images: Whether to write images, too.

    Warns:
        UserWarning: A weight has NaN or infinite values, which are left out of the histograms.
    """
    not_finite = []
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        values = tensor.detach().to("cpu", torch.float32)
        finite = values[values.isfinite()]
        if len(finite) < values.numel():
            not_finite.append(name)
        if not len(finite):
            continue
        tag = name.replace(".", "/")
        writer.add_histogram(f"{tag}/histogram", finite, epoch)
        image = _to_images(values) if images else None
        if image is not None:
            writer.add_images(f"{tag}/image", image, epoch)
    if not_finite:
        warn(f"TensorBoard: {', '.join(not_finite)}: NaN and infinite values are left out of the histograms.")


def _to_images(values: Tensor) -> Tensor | None:
    """Return a weight as images `(n, colours, height, width)` from black, its minimum, to white, its maximum.

    `None` if the weight has four dimensions without three colours, or more dimensions.
    """
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
    """Return the files with the labels of embeddings by layer name; the key `None` is for all layers.

    Raises:
        ValueError: The argument is neither a path nor a dict of paths, or a file does not exist.
    """
    if metadata is None:
        return {}
    files = metadata if isinstance(metadata, Mapping) else {None: metadata}
    for path in files.values():
        if not isinstance(path, (str, os.PathLike)) or not Path(path).is_file():
            raise mismatch("embeddings_metadata", path, "the path of a file that is there, or a dict of them")
    return {name: Path(path) for name, path in files.items()}


def find_embeddings(model: nn.Module, metadata: Mapping[str | None, Path]) -> LabelledLayers:
    """Return the embedding layers of a model by name, each with the file of its labels or `None`.

    Args:
        model: Model to search.
        metadata: Result of `check_metadata`.

    Raises:
        ValueError: No embedding layer has a name in `metadata`, or a file does not have a line for each row.
    """
    layers = {name: part for name, part in model.named_modules() if isinstance(part, (Embedding, nn.Embedding))}
    for name in metadata:
        if name is not None and name not in layers:
            raise unknown("embedding layer in embeddings_metadata", name, layers)
    found = {name: (layer, metadata.get(name, metadata.get(None))) for name, layer in layers.items()}
    for name, (layer, path) in found.items():
        rows = getattr(layer, "num_embeddings", None) or getattr(layer, "input_dim", None)
        if path is not None and rows is not None:
            lines = path.read_text(encoding="utf-8").splitlines()
            has_header = bool(lines) and "\t" in lines[0]  # TensorBoard expects a header if there are several columns
            if len(lines) - has_header != rows:
                raise ValueError(f"{path} has {len(lines) - has_header} labels, the embedding {name!r} {rows} rows.")
    return found


def write_embeddings(files: EventFiles, embeddings: LabelledLayers, epoch: int) -> None:
    """Write the vectors of each embedding, with their labels, for TensorBoard's projector.

    The list of embeddings is appended to, so that those of an interrupted training stay in it.

    Args:
        files: Files of this training.
        embeddings: Result of `find_embeddings`.
        epoch: Number of the epoch, from 0.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig

    config = ProjectorConfig()
    for name, (layer, labels) in embeddings.items():
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
    with (files.folder / PROJECTOR).open("a" if files.has_projector else "w", encoding="utf-8") as file:
        file.write(text_format.MessageToString(config))
    files.has_projector = True
