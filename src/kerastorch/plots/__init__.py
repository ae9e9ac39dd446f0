"""Plots for lessons and reports: activations, decision boundaries, confusion matrices, predictions, weights, trainings.

The public functions are in `kerastorch.utils`, and `plot_histories` is `kerastorch.plot_histories`. They need
matplotlib, which is imported when the first plot is made.
"""
