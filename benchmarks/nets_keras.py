"""The networks in Keras 3, as its documentation writes them: channels last, logits out."""

import keras
from keras import layers
from tasks import VOCABULARY


def tiny(classes):
    return keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(classes),
        ]
    )


def dense(classes):
    return keras.Sequential(
        [keras.Input((784,)), layers.Dense(512, activation="relu"), layers.Dropout(0.2), layers.Dense(classes)]
    )


def conv(classes):
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(classes),
        ]
    )


def lstm(classes):
    return keras.Sequential([keras.Input((50, 16)), layers.LSTM(64), layers.Dense(classes)])


def _normal(deviation):
    """As torch begins; Keras' own embeddings are twenty times smaller and learn faster."""
    return keras.initializers.RandomNormal(stddev=deviation)


class Positions(layers.Layer):
    """Adds a learned vector to each token."""

    def build(self, input_shape):
        self.vectors = self.add_weight(shape=input_shape[1:], initializer=_normal(0.02))

    def call(self, inputs):
        return inputs + self.vectors


def _block(x, width, heads):
    attention = layers.MultiHeadAttention(heads, width // heads, dropout=0.1)(x, x)
    x = layers.LayerNormalization(epsilon=1e-5)(x + layers.Dropout(0.1)(attention))
    hidden = layers.Dropout(0.1)(layers.Dense(2 * width, activation="relu")(x))
    return layers.LayerNormalization(epsilon=1e-5)(x + layers.Dropout(0.1)(layers.Dense(width)(hidden)))


def transformer(classes, width=64, heads=4, tokens=32):
    inputs = keras.Input((tokens,), dtype="int32")
    x = Positions()(layers.Embedding(VOCABULARY, width, _normal(1.0))(inputs))
    for _ in range(2):
        x = _block(x, width, heads)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling1D()(x)))


NETS = {"tiny": tiny, "dense": dense, "conv": conv, "lstm": lstm, "transformer": transformer}
