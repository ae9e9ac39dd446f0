"""
Title: Tables with columns of several kinds
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

rng = np.random.default_rng(0)
features = {
    "age": rng.integers(20, 80, (32, 1)).astype("float32"),
    "ca": rng.integers(0, 4, (32, 1)),
    "thal": rng.choice(["fixed", "normal", "reversible"], (32, 1)).astype(object),
}
target = (np.arange(32) % 2).astype("float32")

"""
## Numbers
"""

normalizer = layers.Normalization()
normalizer.adapt(features["age"])
age = keras.Input(shape=(1,), name="age")
store("normalized", float(ops.mean(normalizer(features["age"]))) < 1e-3)

"""
## Integers as categories
"""

lookup = layers.IntegerLookup(output_mode="multi_hot")
lookup.adapt(features["ca"])
store("integers", [lookup.vocabulary_size(), lookup(np.array([[1], [2]]))])

"""
## Strings as categories
"""

lookup = layers.StringLookup(output_mode="int")
lookup.adapt(np.array([["fixed"], ["normal"], ["normal"], ["reversible"], ["reversible"], ["reversible"]]))
store("vocabulary", lookup.get_vocabulary())
store("strings", lookup([["normal"], ["unknown"], ["reversible"]]))
vocabulary = ["a", "b", "c"]
store("one-hot", layers.StringLookup(vocabulary=vocabulary, output_mode="one_hot")([["b"], ["z"]]))

"""
## Crosses of features
"""

crossed = layers.HashedCrossing(num_bins=8, output_mode="int")
store("crossed", crossed((np.array([1, 2]), np.array([3, 4]))))
hashed = layers.Hashing(num_bins=5)
store("hashed", hashed(np.array([[1], [2], [3]])))

"""
## A model of encoded columns
"""

inputs = {
    "age": keras.Input(shape=(1,), name="age"),
    "ca": keras.Input(shape=(1,), name="ca", dtype="int64"),
    "thal": keras.Input(shape=(1,), name="thal", dtype="int64"),
}
encoded = [
    normalizer(inputs["age"]),
    layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")(inputs["ca"]),
    layers.Embedding(5, 3)(inputs["thal"])[:, 0],
]
x = layers.concatenate(encoded)
x = layers.Dense(8, activation="relu")(x)
x = layers.Dropout(0.5)(x)
output = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, output)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
store("count", model.count_params())

"""
## Train on a dict
"""

columns = {"age": features["age"], "ca": features["ca"], "thal": np.asarray(lookup(features["thal"]))}
history = model.fit(columns, target, epochs=1, batch_size=16, verbose=0)
store("keys", sorted(key for key in history.history if key != "learning_rate"))
sample = {"age": np.array([[60.0]]), "ca": np.array([[0]]), "thal": np.array([[1]])}
store("prediction", model.predict(sample, verbose=0).shape)

"""
## Wide, deep and crossed parts
"""


def create_inputs():
    return {name: layers.Input(name=name, shape=(), dtype="float32") for name in ("a", "b", "c")}


inputs = create_inputs()
x0 = layers.concatenate([ops.expand_dims(one, -1) for one in inputs.values()])
cross = x0
for _ in inputs:
    units = cross.shape[-1]
    x = layers.Dense(units)(cross)
    cross = x0 * x + cross
cross = layers.BatchNormalization()(cross)
deep = x0
for units in [8, 8]:
    deep = layers.Dense(units)(deep)
    deep = layers.BatchNormalization()(deep)
    deep = layers.ReLU()(deep)
    deep = layers.Dropout(0.1)(deep)
merged = layers.concatenate([cross, deep])
outputs = layers.Dense(units=3, activation="softmax")(merged)
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.001),
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
data = {name: rng.normal(size=16).astype("float32") for name in inputs}
model.fit(data, np.arange(16) % 3, epochs=1, batch_size=8, verbose=0)
store("wide and deep", model.count_params())
