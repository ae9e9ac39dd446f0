"""Plain words about the curves of a fit: what went wrong, since which epoch, and what to try.

`History.diagnose` returns a `Diagnosis` with its `Finding`s; `history.settings` are `FitSettings`.
"""

from kerastorch.diagnosis.diagnosis import Diagnosis
from kerastorch.diagnosis.findings import CAUSES, Finding, Remedy
from kerastorch.diagnosis.settings import FitSettings
from kerastorch.diagnosis.target_facts import TargetFacts

__all__ = ["CAUSES", "Diagnosis", "Finding", "FitSettings", "Remedy", "TargetFacts"]
