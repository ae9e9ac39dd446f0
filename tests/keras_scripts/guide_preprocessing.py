# Title: preprocessing layers

import keras
import numpy as np
from keras import layers
from results import store

# adapt

data = np.array([[0.1, 0.2, 0.3], [0.8, 0.9, 1.0], [1.5, 1.6, 1.7]])
layer = layers.Normalization()
layer.adapt(data)
normalized_data = layer(data)
store("normalized", normalized_data)
store("mean of features", float(keras.ops.mean(normalized_data)))

# Augmentation and rescaling in a model

data_augmentation = keras.Sequential(
    [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)]
)
inputs = keras.Input(shape=(12, 12, 3))
x = data_augmentation(inputs)
x = layers.Rescaling(1.0 / 255)(x)
x = layers.Conv2D(4, 3, activation="relu")(x)
x = layers.Flatten()(x)
outputs = layers.Dense(3, activation="softmax")(x)
model = keras.Model(inputs, outputs)
model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")
model.fit(np.random.randint(0, 256, (8, 12, 12, 3)), np.arange(8) % 3, epochs=1, verbose=0)
store("count", model.count_params())

# Integers as one-hot vectors

data = np.array([[10], [20], [20], [10], [30], [0]])
lookup = layers.IntegerLookup(output_mode="multi_hot")
lookup.adapt(data)
test_data = np.array([[10], [10], [20], [50], [60], [0]])
encoded_data = lookup(test_data)
store("multi-hot", list(encoded_data.shape))

# Categories

encoder = layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")
store("one-hot", encoder(np.array([3, 2, 0, 1])))
encoder = layers.CategoryEncoding(num_tokens=4, output_mode="multi_hot")
store("multi-hot of rows", encoder(np.array([[0, 1], [0, 0], [1, 2], [3, 1]])))
encoder = layers.CategoryEncoding(num_tokens=4, output_mode="count")
store(
    "weighted",
    encoder(np.array([[0, 1], [0, 0], [1, 2]]), count_weights=np.array([[0.1, 0.2], [0.1, 0.1], [0.2, 0.3]])),
)

# Bins and images

store("bins", layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])(np.array([[-1.5, 1.0, 3.4, 0.5]])))
image = np.arange(4 * 6 * 3, dtype="float32").reshape(1, 4, 6, 3)
store("crop", layers.CenterCrop(2, 2)(image))
store("resized", list(layers.Resizing(8, 8)(image).shape))
store("rescaled", layers.Rescaling(1.0 / 127.5, offset=-1)(image)[0, 0, 0])

# A normalization with known numbers

layer = layers.Normalization(mean=3.0, variance=2.0)
store("known", layer(np.array([[1.0], [2.0], [3.0]])))
layer = layers.Normalization(axis=None)
layer.adapt(np.array([1.0, 2.0, 3.0, 4.0, 5.0], dtype="float32"))
store("scalar", layer(np.array([1.0, 2.0, 3.0], dtype="float32")))
