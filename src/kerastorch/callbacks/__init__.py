"""Callbacks under their Keras names."""

from typing import TYPE_CHECKING, Any

from kerastorch.callbacks.backup_and_restore import BackupAndRestore
from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import CallbackList
from kerastorch.callbacks.csv_logger import CSVLogger
from kerastorch.callbacks.early_stopping import EarlyStopping
from kerastorch.callbacks.exponential_moving_average import ExponentialMovingAverage
from kerastorch.callbacks.gradient_norm import GradientNorm
from kerastorch.callbacks.history import History
from kerastorch.callbacks.lambda_callback import LambdaCallback
from kerastorch.callbacks.learning_rate_scheduler import LearningRateScheduler
from kerastorch.callbacks.lr_scheduler import LRScheduler
from kerastorch.callbacks.mlflow_logger import MLflowLogger
from kerastorch.callbacks.model_checkpoint import ModelCheckpoint
from kerastorch.callbacks.optuna_pruning import OptunaPruning
from kerastorch.callbacks.progress_bar import ProgressBar
from kerastorch.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from kerastorch.callbacks.remote_monitor import RemoteMonitor
from kerastorch.callbacks.renamed_attributes import warn_renamed
from kerastorch.callbacks.stochastic_weight_averaging import StochasticWeightAveraging
from kerastorch.callbacks.swap_ema_weights import SwapEMAWeights
from kerastorch.callbacks.tensorboard.tensorboard import TensorBoard
from kerastorch.callbacks.terminate_on_nan import TerminateOnNaN
from kerastorch.callbacks.timer import Timer
from kerastorch.callbacks.unfreeze import Unfreeze
from kerastorch.callbacks.wandb_logger import WandbLogger
from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import CALLBACKS

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "ExponentialMovingAverage",
    "GradientNorm",
    "History",
    "LRScheduler",
    "LambdaCallback",
    "LearningRateScheduler",
    "MLflowLogger",
    "ModelCheckpoint",
    "OptunaPruning",
    "ProgressBar",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "StochasticWeightAveraging",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "Timer",
    "Unfreeze",
    "WandbLogger",
]


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # so that type checkers still report unknown names

    def __getattr__(name: str) -> Any:
        if name == "Schedule":
            warn_renamed("kerastorch.callbacks.Schedule", "LRScheduler", stacklevel=2)
            return LRScheduler
        raise absent_name(__name__, name, __all__, CALLBACKS)
