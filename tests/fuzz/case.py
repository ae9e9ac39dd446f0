"""What one random training is: plain values, so that a case prints as the call that makes it again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Output:
    """One output of the model, and its targets.

    Attributes:
        task: `'values'`, `'binary'` (each column a yes-or-no question) or `'classes'`.
        width: columns, or classes.
        end: `'linear'`, `'sigmoid'`, `'softmax'` or `'log_softmax'`.
        loss: a key of `losses.LOSSES`.
        form: of the targets: `'same'` (the outputs' shape), `'flat'` (without the axis of size 1), `'column'` (with
            one), `'numbers'` (class numbers), `'one-hot'`, `'wider'` (a column too many).
        dtype: of the targets.
        metrics: their names.
        flat: the model returns this output without its axis of size 1.
    """

    task: str
    width: int
    end: str
    loss: str
    form: str
    dtype: str = "float32"
    metrics: tuple[str, ...] = ()
    flat: bool = False


@dataclass(frozen=True)
class Case:
    """One model, its data, and what is done with them.

    Attributes:
        outputs: one or two.
        seed: of weights, data and the order of rows.
        body: `'dense'`, `'norm'` (with batch normalization), `'embedding'` or `'image'`.
        made: `'module'` (a class in torch), `'chain'` (`nn.Sequential`), `'layers'` (kerastorch's `Sequential`) or
            `'functional'`.
        structure: of several outputs, `'tuple'` or `'dict'`.
        precision: of the model.
        x_dtype: of the inputs.
        rows: how many.
        container: see `containers.contained`.
        batch_size: rows of a batch; `None` is not said.
        epochs: of each fit.
        fits: how often `fit` is called.
        shuffle: a new order each epoch, where it is kerastorch's to choose.
        split: `validation_split`.
        validation: a container of rows that validate, or `None`.
        weights: `'rows'` `(n,)`, `'column'` `(n, 1)`, `'class'` or `None`.
        loss_weights: a number for each output, or `None`.
        loss_weights_as: `'number'`, `'list'` or `'dict'`.
        penalty: `(l1, l2)` on the weights, or `None`.
        optimizer: a key of `optimizers.OPTIMIZERS`.
        evaluated_by: the batch size of `evaluate` and `predict`.
        on_batch: `train_on_batch` is called first, and `test_on_batch` last.
    """

    outputs: tuple[Output, ...]
    seed: int = 0
    body: str = "dense"
    made: str = "module"
    structure: str = "tuple"
    precision: str = "float32"
    x_dtype: str = "float32"
    rows: int = 12
    container: str = "numpy"
    batch_size: int | None = 4
    epochs: int = 1
    fits: int = 1
    shuffle: bool = False
    split: float = 0.0
    validation: str | None = None
    weights: str | None = None
    loss_weights: tuple[float, ...] | None = None
    loss_weights_as: str = "list"
    penalty: tuple[float, float] | None = None
    optimizer: str = "sgd"
    evaluated_by: int | None = None
    on_batch: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs, as logs have them."""
        if len(self.outputs) == 1:
            return ("",)
        return ("a", "b") if self.structure == "dict" else ("output_0", "output_1")
