"""Seeing a model: its layers, shapes, counts and graph."""
