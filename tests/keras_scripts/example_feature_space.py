"""
Title: A table of patients, encoded by a FeatureSpace
"""

import keras
import numpy as np
from keras.utils import FeatureSpace
from results import store

rng = np.random.default_rng(0)
table = {
    "age": rng.integers(20, 80, 24).astype("float32"),
    "sex": rng.choice(["f", "m"], 24).astype(object),
    "pain": rng.integers(1, 5, 24),
    "pressure": rng.normal(130, 15, 24).astype("float32"),
    "code": np.array([f"c{number}" for number in range(24)], dtype=object),
}
target = (np.arange(24) % 2).astype("float32")

"""
## The kinds of the columns
"""

feature_space = FeatureSpace(
    features={
        "age": FeatureSpace.float_discretized(num_bins=3),
        "sex": "string_categorical",
        "pain": FeatureSpace.integer_categorical(num_oov_indices=2),
        "pressure": "float_normalized",
        "code": FeatureSpace.string_hashed(num_bins=4),
    },
    crosses=[("sex", "pain"), ("pain", "age")],
    crossing_dim=6,
    output_mode="concat",
)
feature_space.adapt(table)

"""
## Encoded rows
"""

encoded = feature_space(table)
store("rows", encoded)
store("row", feature_space({name: values[3] for name, values in table.items()}))

"""
## A dict of features
"""

features = FeatureSpace(
    features={
        "sex": FeatureSpace.string_categorical(output_mode="int"),
        "pain": FeatureSpace.integer_hashed(num_bins=5),
        "age": FeatureSpace.float_rescaled(scale=0.1, offset=-1.0),
        "pressure": "float",
    },
    crosses=[FeatureSpace.cross(("sex", "pain"), crossing_dim=7, output_mode="int")],
    output_mode="dict",
)
features.adapt(table)
store("dict", features({name: values for name, values in table.items() if name != "code"}))

"""
## Training on the encoded rows
"""

inputs = feature_space.get_encoded_features()
x = keras.layers.Dense(8, activation="relu", kernel_initializer="ones")(inputs)
outputs = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")(x)
model = keras.Model(inputs, outputs)
model.compile(keras.optimizers.SGD(0.01), "binary_crossentropy")
history = model.fit(encoded, target, epochs=2, batch_size=24, verbose=0)
store("shape", model.input_shape)
store("losses", history.history["loss"])
