"""Plain words about the curves of a fit: what went wrong, since which epoch, and what to try."""
