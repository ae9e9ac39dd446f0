"""Bytes on disk: nested state, tensors among it, as one file that is checked before any of it is decoded."""
