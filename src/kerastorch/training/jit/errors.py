"""The error of a training step that cannot be compiled."""


class UntraceableError(Exception):
    """A training step cannot be compiled; the message is the reason, shown to the user."""
