"""`summary` of a model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

from kerastorch.callbacks.progress_bar import in_notebook
from kerastorch.core.errors import check_int
from kerastorch.core.traceback_filter import public_api
from kerastorch.inspection.layers_mixin import LayersMixin

_ALL_LEVELS = 2**31


class SummaryMixin(LayersMixin):
    """Base of a model that prints a summary."""

    _seen: Any = None  # specs of the inputs that the model was built for

    @public_api
    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
        *,
        depth: int = 1,
        input_shape: Any = None,
        input_data: Any = None,
    ) -> None:
        """Print the layers with their output shapes and parameters, the totals, and the costs of a call.

        Shapes are those of one call in evaluation mode on fake tensors, which have shapes but no values: nothing is
        computed or changed, and no random numbers are drawn. A model that is not built is built in a copy.

        `Total params` is the number of elements in all parameters, where a shared parameter counts once. A parameter is
        trainable if it requires a gradient. Buffers are counted in a line of their own; Keras counts buffers such as
        the running means of batch normalization as non-trainable params.

        Args:
            line_length: Maximum length of a line in characters. Default: the width of the terminal, at most 100.
            print_fn: Function that is called with the text. Default: `print`.
            expand_nested: Whether to show all nesting levels.
            show_trainable: Whether to show which layers are trainable.
            layer_range: Two regular expressions for the beginnings of names; the layers from the first match of the
                first one to the last match of the second one are shown.
            depth: Number of nesting levels to show, if `expand_nested` is `False`.
            input_shape: Shape of the input with the batch axis, `None` for sizes that vary: `(None, 64)`; a list or
                dict of shapes for several inputs. Not needed for a model with an `Input`, nor after `build`, `fit` or
                `evaluate`.
            input_data: A batch of arrays, used for its shapes and dtypes in place of `input_shape`.

        Raises:
            ValueError: The model cannot take the inputs, and the message names the layer; no layer matches
                `layer_range`.
        """
        from kerastorch.inspection.summary import summarize  # rarely used, so imported late

        width = min(shutil.get_terminal_size((100, 24)).columns, 100) if line_length is None else line_length
        result = summarize(
            self,
            depth=_ALL_LEVELS if expand_nested else check_int("depth", depth),
            show_trainable=show_trainable,
            layer_range=layer_range,
            input_shape=input_shape,
            input_data=input_data,
        )
        if print_fn is None and in_notebook():
            from IPython import display

            show: Any = display.display
            show(result)
        else:
            (print_fn or print)(result.text(check_int("line_length", width, 40)))
