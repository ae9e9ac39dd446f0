"""Rules on the data: their order, copied rows, columns that give the target away, wrong labels."""

from __future__ import annotations

import numpy as np

from kerastorch.diagnosis.findings import DATA_ORDER, LABELS, LEAKAGE, Finding, Remedy
from kerastorch.diagnosis.input_kind import IMAGES, SEQUENCES
from kerastorch.diagnosis.remedies import (
    AGAINST_LEAKAGE,
    AGAINST_OUTLIERS,
    AGAINST_UNRELATED,
    SHUFFLE,
    SPLIT_AT_RANDOM,
    STRATIFY,
    against_wrong_labels,
)
from kerastorch.diagnosis.run import Run
from kerastorch.diagnosis.target_facts import TargetFacts

_COPIED = 0.02
_UNSEEN = 0.1
_WRONG = 0.12
_LEAST_R2, _ROWS = 0.3, 200
_MOST_NAMED = 5
_MOST_OF_IT = 0.5  # of the variance
_EXPLAINED = 0.5  # of the squared error of a constant prediction
_CERTAINLY = 3  # standard errors
_SOME_SKILL = 0.1
OUTLIERS, UNRELATED = "outliers", "unrelated"  # kinds of label problems


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
    evidence, flat = [], ""
    if not copies.by_chance and copies.examined and copies.near >= max(2, _COPIED * copies.examined):
        how = "equal" if copies.equal >= copies.near / 2 else "nearly equal"
        count = copies.equal if how == "equal" else copies.near
        evidence.append(f"{count} validation rows {how} a training row.")
    if column is not None:
        flat = ", flattened," if run.settings.input_kind in (IMAGES, SEQUENCES) else ""
        evidence.append(f"Column {column} of x{flat} alone tells the target.")
    if not evidence:
        return None
    code = "" if column is None or flat else f"x = np.delete(x, {column}, axis=1)"
    without = Remedy("Leave out columns that are made from the target.", code)
    order = (without, *AGAINST_LEAKAGE) if column is not None else (*AGAINST_LEAKAGE, without)
    text = "The validation knows what it should not know, so its numbers are too good."
    return Finding(LEAKAGE, text, None, tuple(evidence), order)


def label_problems(run: Run) -> Finding | None:
    """Find labels that contradict the inputs, targets far from all others, and inputs without a relation to them."""
    return _outliers(run) or _unrelated(run) or _contradictions(run) or _unexplained(run)


def _outliers(run: Run) -> Finding | None:
    """Find few targets that have most of the squared error of a constant prediction."""
    targets = run.settings.targets or run.data.targets
    is_squared = "squared_error" in run.settings.loss.lower()
    if targets is None or not is_squared or targets.outlier_variance < _MOST_OF_IT or run.best_skill > _EXPLAINED:
        return None
    evidence = (
        f"{targets.outliers:.1%} of the training rows have targets more than ten usual deviations from the median. "
        f"They have {targets.outlier_variance:.0%} of the variance."
    )
    text = "A few targets are so far from all others that they decide the squared error."
    return Finding(LABELS, text, None, (evidence,), AGAINST_OUTLIERS, OUTLIERS)


def _unrelated(run: Run) -> Finding | None:
    """Find inputs that say nothing about the targets, neither to a forest nor to the network."""
    reference = run.data.reference
    skill = run.training_skill if run.validation is None else run.validation_skill
    if reference.relation is None or reference.relation >= _CERTAINLY or skill > _SOME_SKILL:
        return None
    text = "The inputs seem to say nothing about the targets: rows were mixed up, or the features lack what decides."
    evidence = "A forest of scikit-learn finds no relation between them either."
    return Finding(LABELS, text, None, (evidence,), AGAINST_UNRELATED, UNRELATED)


def _contradictions(run: Run) -> Finding | None:
    """Find labels that contradict equal rows, or what a forest finds in the other rows."""
    reference = run.data.reference
    copies, wrong, evidence = run.data.copies, reference.wrong_labels, []
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
    if not evidence:
        return None
    text = "Many labels of the training do not fit their rows."
    return Finding(LABELS, text, None, tuple(evidence), against_wrong_labels(is_regression=wrong is None))


def _unexplained(run: Run) -> Finding | None:
    """Find values most of whose variance a forest cannot explain."""
    reference = run.data.reference
    rows = run.settings.rows or (0 if run.data.targets is None else run.data.targets.rows)
    if reference.wrong_labels is not None or reference.score is None or reference.score >= _LEAST_R2 or rows < _ROWS:
        return None
    text = "Most of the differences between the targets do not follow from the inputs: noise, or missing features."
    evidence = f"A forest of scikit-learn explains {max(0.0, reference.score):.0%} of the variance of the targets."
    return Finding(LABELS, text, None, (evidence,), against_wrong_labels(is_regression=True))
