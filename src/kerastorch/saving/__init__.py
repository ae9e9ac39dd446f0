"""Models as files: weights, whole models, and programs for where kerastorch is not."""
