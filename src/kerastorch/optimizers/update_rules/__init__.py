"""Optimizers of torch that kerastorch implements, because `torch.optim` does not have their rules."""

from kerastorch.optimizers.update_rules.adafactor import Adafactor
from kerastorch.optimizers.update_rules.base import UpdateRule
from kerastorch.optimizers.update_rules.ftrl import Ftrl
from kerastorch.optimizers.update_rules.lamb import Lamb
from kerastorch.optimizers.update_rules.lion import Lion
from kerastorch.optimizers.update_rules.muon import Muon
from kerastorch.optimizers.update_rules.schedule_free_adamw import ScheduleFreeAdamW

RULES: tuple[type[UpdateRule], ...] = (Adafactor, Ftrl, Lamb, Lion, Muon, ScheduleFreeAdamW)
