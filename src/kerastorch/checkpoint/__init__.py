"""State on disk: the archive format, atomic files, and the state of modules, optimizers and metrics."""
