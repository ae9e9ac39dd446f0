"""TensorBoard: scalars, histograms, the graph and profiles of a training as event files."""
