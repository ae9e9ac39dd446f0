"""Plots for lessons and reports: activations, decision boundaries, confusion matrices, predictions and weights.

The public functions are in `kerastorch.utils`. They need matplotlib, which is imported when the first plot is made.
"""
