"""Encode an exported program as an ONNX file, and run it with ONNX Runtime."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from kerastorch.core.errors import ExportError
from kerastorch.export.inputs import ExportInputs, tensor_names, unique
from kerastorch.export.pt2_file import Run

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_MAX_BYTES = 2**31 - 2**20  # of one protobuf


def require_packages() -> None:
    """Check that all packages for ONNX can be imported.

    Raises:
        ImportError: A package is missing; the message says how to install it.
    """
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            message = f"Exporting to .onnx needs {package}: pip install {' '.join(_PACKAGES)}"
            raise ImportError(message, name=package) from error


def encode(program: ExportedProgram, inputs: ExportInputs) -> tuple[bytes, Run]:
    """Return the bytes of an `.onnx` file, and these bytes run by ONNX Runtime on the CPU as a function.

    Raises:
        ExportError: The model is larger than 2 GiB, has operations without a counterpart in ONNX, or ONNX Runtime
            cannot run it.
    """
    names = inputs.names()
    outputs = unique(_output_names(inputs), names)
    if sum(tensor.nbytes for tensor in program.state_dict.values()) > _MAX_BYTES:
        raise ExportError("the model has more than 2 GiB of weights, too many for one .onnx file; export it as .pt2.")
    try:
        onnx_program = torch.onnx.export(
            program,
            input_names=names,
            output_names=outputs,
            dynamo=True,
            verbose=False,
            custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
        )
        assert onnx_program is not None
        proto = onnx_program.model_proto
        _remove_metadata(proto)
        _name_axes(proto, inputs)
        data: bytes = proto.SerializeToString()
        run_session = _make_session(data)
    except Exception as error:
        raise ExportError(f"this model has no counterpart in ONNX: {_cause(error)}") from error

    def run(x: Any) -> list[Tensor]:
        leaves = zip(names, inputs.leaves(x), strict=True)
        return run_session({name: leaf.detach().cpu().numpy() for name, leaf in leaves})

    return data, run


def _stable_sort(self: Any, stable: Any = True, dim: int = -1, descending: bool = False) -> Any:  # noqa: ARG001
    """Translate `aten.sort.stable`, for which torch has no ONNX: TopK of all elements keeps the order of equal ones."""
    from onnxscript import opset18

    op: Any = opset18

    values = self if self.dtype.is_floating_point() else op.Cast(self, to=7)  # 7 is int64; TopK does not take uint8
    n = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]))
    values, indices = op.TopK(values, n, axis=dim, largest=int(descending), sorted=1)
    return op.CastLike(values, self), indices


def _make_session(data: bytes) -> Callable[[dict[str, Any]], list[Tensor]]:
    """Return a function that runs an ONNX model on arrays by name and returns its outputs in order."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; warnings of unused initializers do not matter
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda arrays: [torch.from_numpy(array) for array in session.run(None, arrays)]


def _cause(error: BaseException) -> str:
    """Return the first line of the innermost cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0]


def _name_axes(proto: Any, inputs: ExportInputs) -> None:
    """Rename axes that vary from names such as `s77` to `batch`, and `x_1` for a further axis of the input `x`."""
    names: dict[str, str] = {}
    for value, axes in zip(proto.graph.input, inputs.varying(), strict=True):
        for number, axis in enumerate(axes):
            names.setdefault(
                value.type.tensor_type.shape.dim[axis].dim_param, f"{value.name}_{axis}" if number else "batch"
            )
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]


def _remove_metadata(proto: Any) -> None:
    """Remove the notes about nodes, in which torch writes paths of source files on this machine."""
    for holder in (proto, proto.graph, *proto.functions):
        del holder.metadata_props[:]
        for node in getattr(holder, "node", ()):
            del node.metadata_props[:]
            node.doc_string = ""


def _output_names(inputs: ExportInputs) -> list[str]:
    """Return the names of the outputs.

    A functional model's outputs have the names of their layers, those in a dict their keys, others are called `output`,
    or `output_0`, `output_1`, ...
    """
    outputs = inputs.expected[0]
    if isinstance(outputs, Tensor):
        return ["output"]
    own_names = getattr(inputs.model, "_output_names", None)
    if own_names is not None and isinstance(outputs, (tuple, list)) and len(own_names) == len(outputs):
        return list(own_names)
    return [f"output_{name}" if name[:1].isdigit() else name for name in tensor_names(outputs)]
