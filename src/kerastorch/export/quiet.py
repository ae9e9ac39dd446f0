"""For the time of an export, what torch and onnx say among themselves is not said to the user."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_LOGGERS = ("torch.onnx", "torch.export", "torch._export", "torch._dynamo", "torch.fx", "onnxscript", "onnx_ir")
_MODULES = r"(torch|onnx|onnxscript|onnx_ir|onnxruntime)(\.|$)"  # warnings from the user's own modules are heard


@contextmanager
def quiet() -> Iterator[None]:
    """Errors are still raised."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=_MODULES)
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")  # torch's, blamed on copyreg
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        yield
