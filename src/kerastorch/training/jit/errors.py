"""What cannot be compiled."""


class UntraceableError(Exception):
    """A step that cannot be compiled, with the cause in words."""
