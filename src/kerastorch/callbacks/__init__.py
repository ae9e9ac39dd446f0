"""Callbacks under their Keras names."""

from kerastorch.callbacks.base import Callback, CallbackList
from kerastorch.callbacks.csv_logger import CSVLogger
from kerastorch.callbacks.early_stopping import EarlyStopping
from kerastorch.callbacks.history import History
from kerastorch.callbacks.progress import ProgressBar
from kerastorch.callbacks.simple import LambdaCallback, TerminateOnNaN

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "ProgressBar",
    "TerminateOnNaN",
]
