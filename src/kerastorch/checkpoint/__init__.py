"""Checkpoints: archive format, atomic files, state of modules, optimizers and metrics."""
