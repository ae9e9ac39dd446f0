"""The hooks of the site, which are in `docs/hooks` and need packages of the extra `docs`."""

import pathlib
import sys

from support.optional import optional

HOOKS = pathlib.Path(__file__).parents[2] / "docs" / "hooks"


def load_hook(name):
    """Return a hook as a module, or what skips the test that uses it if a package is absent.

    Args:
        name: of the file in `docs/hooks`, without `.py`.
    """
    if str(HOOKS) not in sys.path:
        sys.path.append(str(HOOKS))
    return optional(name)
