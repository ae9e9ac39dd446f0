"""Store files that Keras 2 has written, with inputs and the outputs of Keras, in `keras2_files.zip`.

To make the file again, install `tf_keras` and TensorFlow into an environment of their own, and run there:

    python tests/support/make_keras2_files.py
"""

import io
import pathlib
import tempfile
import zipfile

import numpy as np

WORDS = np.array([["a", "b", "c"], ["dog", "cat", "zebra"], ["x y", "\u00e9", "a long text of words"]])
HERE = pathlib.Path(__file__).parent


def image_chain(keras):
    """Return a chain of layers for images, whose first layer knows the shape."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3), kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(3, 3, depth_multiplier=2),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )


def text_chain(keras):
    """Return a chain of recurrent layers."""
    layers = keras.layers
    bidirectional = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    return keras.Sequential(
        [keras.Input((5,), dtype="int32"), layers.Embedding(10, 4), bidirectional, layers.GRU(3), layers.Dense(1)]
    )


def shortcut(keras):
    """Return a functional model with a shortcut, shared layers and two outputs."""
    layers = keras.layers
    x = keras.Input((6,), name="rows")
    shared = layers.Dense(6, activation="tanh", name="shared")
    y = layers.add([shared(x), shared(shared(x))])
    return keras.Model(x, [layers.Dense(2, name="first")(y), layers.Concatenate(name="second")([x, y])])


def frozen_base(keras):
    """Return a functional model on a chain whose weights are frozen."""
    layers = keras.layers
    base = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.BatchNormalization()], name="base")
    base.trainable = False
    x = keras.Input((6,))
    return keras.Model(x, layers.Dense(2)(base(x, training=False)))


def attention(keras):
    """Return a functional model whose calls have arguments by name."""
    layers = keras.layers
    x = keras.Input((5, 4))
    y = layers.MultiHeadAttention(2, 3)(x, x)
    y = layers.LayerNormalization()(layers.Add()([x, y]))
    return keras.Model(x, layers.GlobalAveragePooling1D()(y))


def texts(keras):
    """Return a chain that looks words up; unknown ones have one of five indices."""
    layers = keras.layers
    lookup = layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=5)
    return keras.Sequential([keras.Input((3,), dtype="string"), lookup, layers.Embedding(7, 2)])


def numbers(keras):
    """Return a chain that looks numbers up; unknown ones have one of three indices."""
    layers = keras.layers
    lookup = layers.IntegerLookup(vocabulary=[1, 2], num_oov_indices=3)
    return keras.Sequential([keras.Input((3,), dtype="int64"), lookup, layers.Embedding(5, 2)])


MODELS = (image_chain, text_chain, shortcut, frozen_base, attention, texts, numbers)
SAMPLES = {texts: WORDS, numbers: np.array([[1, 2, 3], [-7, 100, 5]])}


def main():
    """Write the file."""
    import tensorflow as tf
    import tf_keras as keras

    path = HERE / "keras2_files.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, tempfile.TemporaryDirectory() as folder:
        for make in MODELS:
            rng = np.random.default_rng(0)
            model = make(keras)
            model.set_weights([np.abs(rng.normal(size=one.shape)) / 2 + 0.1 for one in model.get_weights()])
            if make is image_chain:
                model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            shape = (3, *model.input_shape[1:])
            drawn = rng.integers(0, 10, shape) if make is text_chain else rng.normal(size=shape).astype("float32")
            sample = SAMPLES.get(make, drawn)
            outputs = model(tf.constant(sample), training=False)
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            model.save(pathlib.Path(folder) / "model.h5")
            archive.write(pathlib.Path(folder) / "model.h5", f"{make.__name__}.h5")
            model.save_weights(pathlib.Path(folder) / "weights.h5")
            archive.write(pathlib.Path(folder) / "weights.h5", f"weights of {make.__name__}.h5")
            buffer = io.BytesIO()
            np.savez(buffer, input=sample, **{f"output {index}": np.asarray(one) for index, one in enumerate(outputs)})
            archive.writestr(f"{make.__name__}.npz", buffer.getvalue())


if __name__ == "__main__":
    main()
