"""Files of Keras 3, read and written as data: `.keras`, a zip file of a config and weights, and `.weights.h5`.

The config of Keras is translated into the encoding that `.kt` files have, so that the same closed table of classes, and
the same checks on fake tensors, apply to both.
"""
