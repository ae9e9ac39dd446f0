"""Check how much of Keras' scripts runs with `kerastorch.keras`: `python -m kerastorch.keras.check script.py`."""

from kerastorch.keras.check.check_result import CheckResult
from kerastorch.keras.check.checker import check
from kerastorch.keras.check.results import ScriptResult, SectionResult

__all__ = ["CheckResult", "ScriptResult", "SectionResult", "check"]
