"""Training in several processes: the settings of `compile(distribution=...)`, and what a script asks about them."""

from typing import TYPE_CHECKING, NoReturn

from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import DISTRIBUTION
from kerastorch.core.process_group import initialize
from kerastorch.distribution.main_first import main_first
from kerastorch.distribution.ranks import rank, world_size
from kerastorch.distribution.settings import DataParallel, FullyShard, TensorParallel

__all__ = ["DataParallel", "FullyShard", "TensorParallel", "initialize", "main_first", "rank", "world_size"]


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, DISTRIBUTION)
