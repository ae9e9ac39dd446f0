"""Callbacks under their Keras names."""

from kerastorch.callbacks.backup import BackupAndRestore
from kerastorch.callbacks.base import Callback, CallbackList
from kerastorch.callbacks.early_stopping import EarlyStopping
from kerastorch.callbacks.history import History
from kerastorch.callbacks.progress import ProgressBar
from kerastorch.callbacks.simple import LambdaCallback, TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "ProgressBar",
    "TerminateOnNaN",
]
