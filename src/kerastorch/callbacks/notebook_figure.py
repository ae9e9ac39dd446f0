"""A matplotlib figure that a notebook shows without pyplot; loaded at the first plot."""

from __future__ import annotations

import io

from matplotlib import figure


class Figure(figure.Figure):
    """As matplotlib's, and a picture where a notebook asks for one."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=100)
        return picture.getvalue()
