"""Training in several processes: the settings of `compile(distribution=...)`, and what a script asks about them."""

from kerastorch.core.process_group import initialize, rank, world_size
from kerastorch.distribution.main_first import main_first
from kerastorch.distribution.settings import DataParallel

__all__ = ["DataParallel", "initialize", "main_first", "rank", "world_size"]
