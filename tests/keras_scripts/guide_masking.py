# Title: masks and padding

import keras
import numpy as np
from keras import layers, ops
from results import store

# Pad sequences

raw_inputs = [[711, 632, 71], [73, 8, 3215, 55, 927], [83, 91, 1, 645, 1253, 927]]
padded_inputs = keras.utils.pad_sequences(raw_inputs, padding="post")
store("padded", padded_inputs)
store("other side", keras.preprocessing.sequence.pad_sequences(raw_inputs, maxlen=4))

# Masks of an embedding and of a masking layer

embedding = layers.Embedding(input_dim=5000, output_dim=16, mask_zero=True)
masked_output = embedding(padded_inputs)
store("mask of the embedding", masked_output._keras_mask)
masking_layer = layers.Masking()
unmasked_embedding = ops.cast(ops.tile(ops.expand_dims(padded_inputs, axis=-1), [1, 1, 10]), dtype="float32")
masked_embedding = masking_layer(unmasked_embedding)
store("mask of the layer", masked_embedding._keras_mask)

# Masks go through a stack of layers

model = keras.Sequential(
    [
        layers.Embedding(input_dim=50, output_dim=4, mask_zero=True, embeddings_initializer="ones"),
        layers.LSTM(3, kernel_initializer="ones", recurrent_initializer="ones"),
    ]
)
store("sequential", model(np.array([[1, 2, 3], [1, 0, 0]])))
inputs = keras.Input(shape=(None,), dtype="int32")
x = layers.Embedding(input_dim=50, output_dim=4, mask_zero=True, embeddings_initializer="ones")(inputs)
outputs = layers.LSTM(3, kernel_initializer="ones", recurrent_initializer="ones")(x)
model = keras.Model(inputs, outputs)
store("functional", model(np.array([[1, 2, 3], [1, 0, 0]])))

# A mask passed by hand


class MyLayer(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(input_dim=50, output_dim=4, mask_zero=True, embeddings_initializer="ones")
        self.lstm = layers.LSTM(3, kernel_initializer="ones", recurrent_initializer="ones")

    def call(self, inputs):
        x = self.embedding(inputs)
        mask = self.embedding.compute_mask(inputs)
        return self.lstm(x, mask=mask)


layer = MyLayer()
store("by hand", layer(np.array([[1, 2, 3], [1, 0, 0]])))

# A layer that makes a mask


class TemporalSplit(keras.layers.Layer):
    def call(self, inputs):
        return ops.split(inputs, 2, axis=1)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        return ops.split(mask, 2, axis=1)


first_half, second_half = TemporalSplit()(masked_embedding)
store("halves", [first_half._keras_mask, second_half._keras_mask])


class CustomEmbedding(keras.layers.Layer):
    def __init__(self, input_dim, output_dim, mask_zero=False, **kwargs):
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.mask_zero = mask_zero

    def build(self, input_shape):
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim), initializer="random_normal", dtype="float32"
        )

    def call(self, inputs):
        inputs = ops.cast(inputs, "int32")
        return ops.take(self.embeddings, inputs, axis=0)

    def compute_mask(self, inputs, mask=None):
        if not self.mask_zero:
            return None
        return ops.not_equal(inputs, 0)


layer = CustomEmbedding(10, 32, mask_zero=True)
x = np.array([[3, 9, 0], [4, 0, 2]])
y = layer(x)
store("mask of one's own", layer.compute_mask(x))

# A layer that lets masks pass


class MyActivation(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return ops.relu(inputs)


inputs = keras.Input(shape=(None,), dtype="int32")
x = layers.Embedding(input_dim=50, output_dim=4, mask_zero=True, embeddings_initializer="ones")(inputs)
x = MyActivation()(x)
outputs = layers.LSTM(3, kernel_initializer="ones", recurrent_initializer="ones")(x)
model = keras.Model(inputs, outputs)
store("passed on", model(np.array([[1, 2, 3], [1, 0, 0]])))

# A layer that uses a mask


class TemporalSoftmax(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        broadcast_float_mask = ops.expand_dims(ops.cast(mask, "float32"), -1)
        inputs_exp = ops.exp(inputs) * broadcast_float_mask
        inputs_sum = ops.sum(inputs_exp * broadcast_float_mask, axis=1, keepdims=True)
        return inputs_exp / inputs_sum


inputs = keras.Input(shape=(None,), dtype="int32")
x = layers.Embedding(input_dim=10, output_dim=2, mask_zero=True, embeddings_initializer="ones")(inputs)
x = layers.Dense(1, kernel_initializer="ones")(x)
outputs = TemporalSoftmax()(x)
model = keras.Model(inputs, outputs)
store("softmax over time", model(np.array([[1, 2, 3, 0], [1, 0, 0, 0]])))

# Masks in training

model = keras.Sequential(
    [
        keras.Input((None,), dtype="int32"),
        layers.Embedding(10, 2, mask_zero=True, embeddings_initializer="ones"),
        layers.SimpleRNN(2, return_sequences=True, kernel_initializer="ones", recurrent_initializer="zeros"),
        layers.Dense(1, kernel_initializer="ones"),
    ]
)
model.compile(keras.optimizers.SGD(0.1), "mse")
tokens = np.array([[1, 2, 3, 0], [1, 0, 0, 0]])
history = model.fit(tokens, np.zeros((2, 4, 1)), epochs=2, verbose=0)
store("one weight of the mask", len(history.history["loss"]))
