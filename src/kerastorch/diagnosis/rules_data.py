"""Rules on the data: their order, copied rows, columns that give the target away, wrong labels."""

from __future__ import annotations

import numpy as np

from kerastorch.diagnosis.findings import DATA_ORDER, LABELS, LEAKAGE, Finding, Remedy
from kerastorch.diagnosis.remedies import AGAINST_LEAKAGE, AGAINST_WRONG_LABELS, SHUFFLE, SPLIT_AT_RANDOM, STRATIFY
from kerastorch.diagnosis.run import Run
from kerastorch.diagnosis.target_facts import TargetFacts

_COPIED = 0.02
_UNSEEN = 0.1
_WRONG = 0.12
_LEAST_R2, _ROWS = 0.3, 200
_MOST_NAMED = 5


def data_order(run: Run) -> Finding | None:
    """Find rows sorted by their targets that are not shuffled, or that a split has divided."""
    settings = run.settings
    targets = run.data.targets or settings.targets
    held = run.data.validation_targets or settings.validation_targets
    if settings.validation == "split" and targets is not None and held is not None:
        unlike = _unlike(targets, held)
        if unlike:
            return Finding(
                DATA_ORDER, "validation_split takes the last rows, and these differ from the others.", None, (unlike,),
                (SPLIT_AT_RANDOM, STRATIFY) if targets.shares else (SPLIT_AT_RANDOM,),
            )  # fmt: skip
    if settings.validation == "data" and targets is not None and held is not None and targets.shares and held.shares:
        share = sum(one for number, one in held.shares.items() if number not in targets.shares)
        if share > _UNSEEN:
            return Finding(
                DATA_ORDER, "The network cannot learn all classes of the validation.", None,
                (f"{share:.0%} of the validation rows have a class that no training row has.",),
                (SPLIT_AT_RANDOM, STRATIFY),
            )  # fmt: skip
    is_sorted = targets is not None and targets.is_sorted
    if is_sorted and settings.shuffle is not True:
        how = (
            "fit was called with shuffle=False" if settings.shuffle is False else "the data have an order of their own"
        )
        return Finding(
            DATA_ORDER, "The training rows are sorted by their targets, and each batch has others than the next.", None,
            (f"Neighbors have like targets, and {how}.",),
            (SHUFFLE, Remedy("Shuffle a loader.", "DataLoader(..., shuffle=True)")),
        )  # fmt: skip
    return None


def _unlike(targets: TargetFacts, held: TargetFacts) -> str:
    """Return a sentence on how the targets of the split rows differ from the others; empty if they are alike."""
    if targets.shares and held.shares:
        missing = [number for number in held.shares if number not in targets.shares]
        distance = (
            sum(abs(targets.shares.get(n, 0) - held.shares.get(n, 0)) for n in {*targets.shares, *held.shares}) / 2
        )
        limit = 0.25 + 1 / np.sqrt(max(1, held.rows))
        if distance < limit and not (missing and distance > 0.1):
            return ""
        if missing:
            named = ", ".join(map(str, missing[:_MOST_NAMED]))
            return f"The class {named} is in the validation, but not in the training."
        return f"The shares of the classes in the validation differ by {distance:.0%} from those in the training."
    if targets.variance is None or held.variance is None or targets.mean is None or held.mean is None:
        return ""
    deviation = np.sqrt(targets.variance)
    shift = abs(held.mean - targets.mean) / max(deviation, 1e-12)
    if shift < 1 + 3 / np.sqrt(max(1, held.rows)):
        return ""
    return f"The mean target is {targets.mean:.3g} in the training, and {held.mean:.3g} in the validation."


def leakage(run: Run) -> Finding | None:
    """Find validation rows that come from the training, and columns that give the target away."""
    copies, column = run.data.copies, run.data.telling_column
    evidence = []
    if not copies.by_chance and copies.examined and copies.near >= max(2, _COPIED * copies.examined):
        how = "equal" if copies.equal >= copies.near / 2 else "nearly equal"
        count = copies.equal if how == "equal" else copies.near
        evidence.append(f"{count} validation rows {how} a training row.")
    if column is not None:
        evidence.append(f"Column {column} of x alone tells the target.")
    if not evidence:
        return None
    code = "" if column is None else f"x = np.delete(x, {column}, axis=1)"
    without = Remedy("Leave out columns that are made from the target.", code)
    order = (without, *AGAINST_LEAKAGE) if column is not None else (*AGAINST_LEAKAGE, without)
    text = "The validation knows what it should not know, so its numbers are too good."
    return Finding(LEAKAGE, text, None, tuple(evidence), order)


def label_problems(run: Run) -> Finding | None:
    """Find labels that contradict the inputs."""
    copies, wrong = run.data.copies, run.data.reference.wrong_labels
    reference = run.data.reference
    evidence = []
    if copies.conflicts >= max(2, 0.01 * (run.settings.rows or 0)):
        evidence.append(f"{copies.conflicts} training rows equal another row, but have another label.")
    if wrong is not None and wrong >= _WRONG + np.sqrt(_WRONG * (1 - _WRONG) / reference.certain_rows):
        evidence.append(
            f"Of the 30% of the rows that a forest of scikit-learn is most sure about, {wrong:.0%} have another label."
        )
    if wrong is None and reference.score is not None and reference.validation_score is not None:
        apart = reference.validation_score - reference.score
        held = 0 if run.data.validation_targets is None else run.data.validation_targets.rows
        if apart > 0.2 + 1 / np.sqrt(max(1, held)):
            evidence.append(
                f"A forest of scikit-learn explains {reference.validation_score:.0%} of the targets of the validation, "
                f"but {reference.score:.0%} of those of the training."
            )
    rows = run.settings.rows or (0 if run.data.targets is None else run.data.targets.rows)
    if wrong is None and not evidence and reference.score is not None and reference.score < _LEAST_R2 and rows >= _ROWS:
        evidence.append(
            f"A forest of scikit-learn explains {max(0.0, reference.score):.0%} of the targets; the rest is noise in "
            "them, or features are missing."
        )
    if not evidence:
        return None
    text = "Many labels of the training do not fit their rows."
    return Finding(LABELS, text, None, tuple(evidence), AGAINST_WRONG_LABELS)
