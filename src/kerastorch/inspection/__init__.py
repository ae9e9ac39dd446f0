"""Summaries and pictures of models: layers, shapes, counts and graph."""
