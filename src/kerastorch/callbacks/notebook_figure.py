"""A matplotlib figure that notebooks display without pyplot; imported when the first plot is made."""

from __future__ import annotations

import io

from matplotlib import figure


class Figure(figure.Figure):
    """A matplotlib figure that gives a notebook its picture."""

    def _repr_png_(self) -> bytes:
        """Return the figure as PNG; IPython calls this to display an object."""
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=100)
        return picture.getvalue()
