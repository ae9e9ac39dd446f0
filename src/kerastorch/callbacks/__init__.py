"""Callbacks under their Keras names."""

from kerastorch.callbacks.base import Callback, CallbackList
from kerastorch.callbacks.csv_logger import CSVLogger
from kerastorch.callbacks.early_stopping import EarlyStopping
from kerastorch.callbacks.gradient_norm import GradientNorm
from kerastorch.callbacks.history import History
from kerastorch.callbacks.mlflow_logger import MLflowLogger
from kerastorch.callbacks.progress import ProgressBar
from kerastorch.callbacks.remote_monitor import RemoteMonitor
from kerastorch.callbacks.simple import LambdaCallback, TerminateOnNaN
from kerastorch.callbacks.tensorboard import TensorBoard
from kerastorch.callbacks.timer import Timer
from kerastorch.callbacks.wandb_logger import WandbLogger

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "GradientNorm",
    "History",
    "LambdaCallback",
    "MLflowLogger",
    "ProgressBar",
    "RemoteMonitor",
    "TensorBoard",
    "TerminateOnNaN",
    "Timer",
    "WandbLogger",
]
