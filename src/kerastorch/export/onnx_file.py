"""ONNX: an exported program as a graph that onnxruntime and others run."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from kerastorch.core.errors import ExportError
from kerastorch.export.inputs import ExportInputs, named, unique
from kerastorch.export.pt2_file import Run

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
_MOST = 2**31 - 2**20  # bytes of one protobuf


def require() -> None:
    """Check that all packages for ONNX can be imported.

    Raises:
        ImportError: a package is missing; the message says how to install it.
    """
    for package in _NEEDED:
        try:
            importlib.import_module(package)
        except ImportError as error:
            message = f"Exporting to .onnx needs {package}: pip install {' '.join(_NEEDED)}"
            raise ImportError(message, name=package) from error


def encoded(program: ExportedProgram, inputs: ExportInputs) -> tuple[bytes, Run]:
    """The bytes of an `.onnx` file, and what onnxruntime makes of them on the CPU.

    Raises:
        ExportError: something in the model has no counterpart in ONNX, or onnxruntime cannot run it.
    """
    names = inputs.names()
    outputs = unique(_output_names(inputs), names)
    if sum(tensor.nbytes for tensor in program.state_dict.values()) > _MOST:
        raise ExportError("the model has more than 2 GiB of weights, too many for one .onnx file; export it as .pt2.")
    try:
        made = torch.onnx.export(
            program,
            input_names=names,
            output_names=outputs,
            dynamo=True,
            verbose=False,
            custom_translation_table={torch.ops.aten.sort.stable: _sorted},
        )
        assert made is not None
        proto = made.model_proto
        _strip(proto)
        _name_axes(proto, inputs)
        data: bytes = proto.SerializeToString()
        run = _session(data)
    except Exception as error:
        raise ExportError(f"this model has no counterpart in ONNX: {_cause(error)}") from error

    def called(x: Any) -> Any:
        return run({name: one.detach().cpu().numpy() for name, one in zip(names, inputs.leaves(x), strict=True)})

    return data, called


def _sorted(self: Any, stable: Any = True, dim: int = -1, descending: bool = False) -> Any:  # noqa: ARG001
    """`aten.sort.stable`, which torch has no ONNX for: the first so many of all, of equals the first one first."""
    from onnxscript import opset18

    op: Any = opset18

    whole = self if self.dtype.is_floating_point() else op.Cast(self, to=7)  # int64: TopK has no uint8
    many = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]))
    values, places = op.TopK(whole, many, axis=dim, largest=int(descending), sorted=1)
    return op.CastLike(values, self), places


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; what it says of unused initializers is no matter
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda given: [torch.from_numpy(array) for array in session.run(None, given)]


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0]


def _name_axes(proto: Any, inputs: ExportInputs) -> None:
    """`batch`, and `x_1` for another axis that varies, in the place of torch's `s77`."""
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


def _strip(proto: Any) -> None:
    """Take out what torch notes beside the nodes: where in whose files they come from."""
    for holder in (proto, proto.graph, *proto.functions):
        del holder.metadata_props[:]
        for node in getattr(holder, "node", ()):
            del node.metadata_props[:]
            node.doc_string = ""


def _output_names(inputs: ExportInputs) -> list[str]:
    """Those of a functional model's outputs in a list, the keys of a dict, else `output`, `output_0`, ..."""
    found = inputs.expected[0]
    if isinstance(found, Tensor):
        return ["output"]
    own = getattr(inputs.model, "_output_names", None)
    if own is not None and isinstance(found, (tuple, list)) and len(own) == len(found):
        return list(own)
    return [f"output_{name}" if name[:1].isdigit() else name for name in named(found)]
