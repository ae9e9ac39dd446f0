"""The model in the golden files, made and trained; run as a script, it writes the file of this release.

    python tests/faults/golden_model.py

A file is never written anew: what a release has written must be read by all that follow.
"""

import sys

import numpy as np
import torch
from golden_states import FOLDER, LABEL

import kerastorch as kt
from kerastorch import layers


def inputs():
    """Two rows of words, of images and of numbers."""
    words = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])
    images = (np.arange(2 * 3 * 6 * 6) % 17 / 8).reshape(2, 3, 6, 6).astype("float32")
    numbers = (np.arange(8) % 5 / 2).reshape(2, 4).astype("float32")
    return {"words": words, "images": images, "numbers": numbers}


def targets():
    return {"kind": np.array([0, 2]), "size": np.array([[0.5], [1.5]], "float32")}


def trained():
    """A graph with parts of many kinds, compiled, after three steps."""
    kt.utils.set_random_seed(0)
    words, images = kt.Input((5,), "int64", "words"), kt.Input((3, 6, 6), name="images")
    numbers = kt.Input((4,), name="numbers")
    normal = layers.Normalization()
    normal.adapt(inputs()["numbers"])
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(layers.Embedding(6, 3, mask_zero=True)(words))
    x = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 2)(x, x))
    y = layers.Conv2D(2, 3, activation="relu", kernel_regularizer="l2")(images)
    y = layers.Flatten()(layers.BatchNormalization(axis=1)(layers.MaxPooling2D()(y)))
    z = kt.Sequential([normal, layers.Dense(3, "tanh", kernel_constraint="max_norm"), torch.nn.Linear(3, 2)])(numbers)
    x = layers.Dropout(0.2, seed=1)(torch.cat([x, y, z * 2], dim=1))
    outputs = {"kind": layers.Dense(3, "softmax", name="kind")(x), "size": layers.Dense(1, name="size")(x)}
    model = kt.Model({"words": words, "images": images, "numbers": numbers}, outputs, name="golden")
    losses = {"kind": kt.losses.SparseCategoricalCrossentropy(), "size": kt.losses.Huber(delta=0.5)}
    model.compile(kt.optimizers.Adam(0.01, clipnorm=1.0), losses, metrics={"kind": ["accuracy"], "size": ["mae"]})
    model.fit(inputs(), targets(), epochs=3, verbose=0)
    return model


if __name__ == "__main__":
    path = FOLDER / f"model-{LABEL}.kt"
    if path.exists():
        sys.exit(f"{path} is there already.")
    model = trained()
    model.save(path)
    outputs = model.predict(inputs(), verbose=0)
    np.savez(path.with_suffix(".npz"), **{name: outputs[name] for name in sorted(outputs)})
