"""Callbacks under their Keras names."""

from kerastorch.callbacks.backup import BackupAndRestore
from kerastorch.callbacks.base import Callback, CallbackList
from kerastorch.callbacks.early_stopping import EarlyStopping
from kerastorch.callbacks.history import History
from kerastorch.callbacks.learning_rate_scheduler import LearningRateScheduler
from kerastorch.callbacks.model_checkpoint import ModelCheckpoint
from kerastorch.callbacks.progress import ProgressBar
from kerastorch.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from kerastorch.callbacks.schedule import Schedule
from kerastorch.callbacks.simple import LambdaCallback
from kerastorch.callbacks.swap_ema_weights import SwapEMAWeights
from kerastorch.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "Schedule",
    "SwapEMAWeights",
    "TerminateOnNaN",
]
