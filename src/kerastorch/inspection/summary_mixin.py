"""What a model shows of itself: its layers, by name and by number, and a summary."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from kerastorch.callbacks.progress_bar import in_notebook
from kerastorch.core.errors import check_int, unknown
from kerastorch.core.name_lookup import own_name
from kerastorch.core.overridable_property import overridable_property
from kerastorch.core.traceback_filter import public_api
from kerastorch.functional.module_view import ModuleView

ALL = 2**31


class SummaryMixin(ModuleView):
    """A view whose layers can be seen."""

    _seen: Any = None  # the specs of what it was built for

    @overridable_property
    def layers(self) -> list[nn.Module]:
        """The direct children, in order; an attribute of your own under this name stays yours."""
        return list(self.children())

    def get_layer(self, name: str | None = None, index: int | None = None) -> nn.Module:
        """A layer.

        Args:
            name: its `name`, or the path of its attribute: `"encoder.0"`.
            index: its number in `layers`, from 0; negative from the end.

        Raises:
            ValueError: both or neither; a name nobody has; a number too high.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes one of name and index.")
        layers: list[nn.Module] = list(self.layers)
        if index is not None:
            if check_int("index", index, -len(layers)) >= len(layers):
                raise ValueError(f"get_layer(): there is no layer {index}, the model has {len(layers)}.")
            return layers[index]
        assert name is not None
        paths: dict[str, nn.Module] = {path: part for path, part in self.named_modules(remove_duplicate=False) if path}
        for part in (*layers, *paths.values()):
            if own_name(part) == name:
                return part
        if name not in paths:
            raise unknown("layer", name, {*paths, *filter(None, map(own_name, paths.values()))})
        return paths[name]

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
        """Print the layers with their output shapes and parameters, the totals, and what a call costs.

        Shapes are those of one call in evaluation mode on tensors that have no numbers: nothing is computed, drawn or
        changed. A model that is not built is built in a copy.

        `Total params` are the numbers in parameters, each shared one once: those that require a gradient are trainable,
        the others not. Buffers have a line of their own; Keras counts the running means of batch normalization and the
        like as non-trainable params.

        Args:
            line_length: of a line at most; `None` is the terminal's width, 100 at most.
            print_fn: is given the text in the place of `print`.
            expand_nested: show the parts of layers, theirs, and so on.
            show_trainable: a column that says whether a layer learns.
            layer_range: two patterns: show the layers from the first one whose name begins with the first to the last
                one whose name begins with the second.
            depth: how many levels are shown.
            input_shape: of what the model is given, the batch's axis first, `None` where a size varies:
                `(None, 64)`; a list or dict of such tuples for several inputs. Not needed with an `Input`, after
                `build`, and after `fit` or `evaluate`.
            input_data: in the place of it, a batch of arrays, for their shapes and dtypes.

        Raises:
            ValueError: inputs that the model cannot take, with the layer's name; an unknown layer in `layer_range`.
        """
        from kerastorch.inspection.summary import summarize  # a good part of what there is to import, seldom needed

        width = min(shutil.get_terminal_size((100, 24)).columns, 100) if line_length is None else line_length
        found = summarize(
            self,
            depth=ALL if expand_nested else check_int("depth", depth),
            show_trainable=show_trainable,
            layer_range=layer_range,
            input_shape=input_shape,
            input_data=input_data,
        )
        if print_fn is None and in_notebook():
            from IPython import display

            show: Any = display.display
            show(found)
        else:
            (print_fn or print)(found.text(check_int("line_length", width, 40)))
