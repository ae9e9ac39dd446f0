"""Training several models of one architecture at once: their steps run as one graph."""
