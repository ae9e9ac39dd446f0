"""
Title: A stack of layers
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

"""
## Define a model with three layers
"""

model = keras.Sequential(
    [
        layers.Dense(2, activation="relu", name="layer1", kernel_initializer="ones"),
        layers.Dense(3, activation="relu", name="layer2", kernel_initializer="ones"),
        layers.Dense(4, name="layer3", kernel_initializer="ones"),
    ]
)
x = ops.ones((3, 3))
y = model(x)
store("call", y)
store("count", model.count_params())

"""
## The same by hand
"""

layer1 = layers.Dense(2, activation="relu", name="layer1")
layer2 = layers.Dense(3, activation="relu", name="layer2")
layer3 = layers.Dense(4, name="layer3")
y = layer3(layer2(layer1(ops.ones((3, 3)))))
store("names", [layer.name for layer in model.layers])

"""
## Add and remove layers
"""

model = keras.Sequential(name="my_sequential")
model.add(layers.Dense(2, activation="relu"))
model.add(layers.Dense(3, activation="relu"))
model.add(layers.Dense(4))
model.pop()
store("length", len(model.layers))
store("name", model.name)

"""
## Weights are made at the first call
"""

layer = layers.Dense(3)
store("no weights", len(layer.weights))
layer(ops.ones((1, 4)))
store("weights", sorted([sorted(weight.shape) for weight in layer.weights], key=len))

"""
## The shape of the input in advance
"""

model = keras.Sequential()
model.add(keras.Input(shape=(4,)))
model.add(layers.Dense(2, activation="relu"))
model.summary()
store("layers", len(model.layers))
store("output shape", model.output_shape)

"""
## A model that is debugged while it grows
"""

model = keras.Sequential()
model.add(keras.Input(shape=(50, 50, 3)))
model.add(layers.Conv2D(8, 5, strides=2, activation="relu"))
model.add(layers.Conv2D(8, 3, activation="relu"))
model.add(layers.MaxPooling2D(3))
store("shape", model.output_shape)
model.add(layers.Conv2D(8, 3, activation="relu"))
model.add(layers.GlobalMaxPooling2D())
model.add(layers.Dense(10))
store("count of the convolutions", model.count_params())
store("last shape", model.output_shape)

"""
## Features of each layer
"""

initial_model = keras.Sequential(
    [
        keras.Input(shape=(20, 20, 3)),
        layers.Conv2D(4, 5, strides=2, activation="relu", kernel_initializer="ones"),
        layers.Conv2D(4, 3, activation="relu", name="my_intermediate_layer", kernel_initializer="ones"),
        layers.Conv2D(4, 3, activation="relu", kernel_initializer="ones"),
    ]
)
feature_extractor = keras.Model(
    inputs=initial_model.inputs,
    outputs=[layer.output for layer in initial_model.layers],
)
features = feature_extractor(ops.ones((1, 20, 20, 3)))
store("shapes of features", [tuple(one.shape) for one in features])
store("sums of features", [float(ops.sum(one)) for one in features])

"""
## One layer of it
"""

feature_extractor = keras.Model(
    inputs=initial_model.inputs,
    outputs=initial_model.get_layer(name="my_intermediate_layer").output,
)
features = feature_extractor(ops.ones((1, 20, 20, 3)))
store("one feature", features[0, 0, 0])

"""
## Freeze all but the last layer
"""

model = keras.Sequential([keras.Input(shape=(6,)), layers.Dense(4), layers.Dense(4), layers.Dense(2)])
for layer in model.layers[:-1]:
    layer.trainable = False
store("trainable weights", len(model.trainable_weights))
model.compile(optimizer="sgd", loss="mse")
before = [np.array(w) for w in model.layers[0].get_weights()]
model.fit(np.ones((8, 6)), np.ones((8, 2)), verbose=0)
store("unchanged", all(np.array_equal(a, b) for a, b in zip(before, model.layers[0].get_weights())))
