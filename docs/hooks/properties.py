"""The reference shows what `overridable_property` decorates as the property that it is to a user."""

from __future__ import annotations

from typing import Any

import griffe


class Properties(griffe.Extension):
    """Makes an attribute of each such method as its class is loaded."""

    def on_class_members(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        for name, member in list(cls.members.items()):
            if isinstance(member, griffe.Function) and any(
                str(one.value) == "overridable_property" for one in member.decorators
            ):
                shown = griffe.Attribute(
                    name, lineno=member.lineno, endlineno=member.endlineno, annotation=member.returns,
                    docstring=member.docstring, parent=cls,
                )  # fmt: skip
                shown.labels.add("property")
                cls.set_member(name, shown)
