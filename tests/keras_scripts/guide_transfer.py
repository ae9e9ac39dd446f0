# Title: transfer learning

import keras
import numpy as np
from results import store

# trainable of layers

layer = keras.layers.Dense(3)
layer.build((None, 4))
store("dense", [len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)])
layer = keras.layers.BatchNormalization()
layer.build((None, 4))
store("norm", [len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)])
layer.trainable = False
store("frozen", [len(layer.weights), len(layer.trainable_weights), len(layer.non_trainable_weights)])

# A frozen layer does not train

layer1 = keras.layers.Dense(3, activation="relu")
layer2 = keras.layers.Dense(3, activation="sigmoid")
model = keras.Sequential([keras.Input(shape=(3,)), layer1, layer2])
layer1.trainable = False
initial_layer1_weights_values = layer1.get_weights()
model.compile(optimizer="adam", loss="mse")
model.fit(np.random.random((2, 3)), np.random.random((2, 3)), verbose=0)
final_layer1_weights_values = layer1.get_weights()
np.testing.assert_allclose(initial_layer1_weights_values[0], final_layer1_weights_values[0])
np.testing.assert_allclose(initial_layer1_weights_values[1], final_layer1_weights_values[1])

# Nested models

inner_model = keras.Sequential(
    [keras.Input(shape=(3,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(3, activation="relu")]
)
model = keras.Sequential([keras.Input(shape=(3,)), inner_model, keras.layers.Dense(3, activation="sigmoid")])
model.trainable = False
store("nested", [inner_model.trainable, inner_model.layers[0].trainable, len(model.trainable_weights)])

# A frozen base with normalization in inference mode

base_model = keras.Sequential(
    [
        keras.Input((16, 16, 3)),
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
    ],
    name="base",
)
base_model.trainable = False
inputs = keras.Input(shape=(16, 16, 3))
scale_layer = keras.layers.Rescaling(scale=1 / 127.5, offset=-1)
x = scale_layer(inputs)
x = base_model(x, training=False)
x = keras.layers.Dropout(0.2)(x)
outputs = keras.layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
model.summary(show_trainable=True)
store("counts", [model.count_params(), len(model.trainable_weights), len(model.non_trainable_weights)])

# Train the head

model.compile(
    optimizer=keras.optimizers.Adam(),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
images = np.random.randint(0, 256, (8, 16, 16, 3)).astype("float32")
before = base_model.get_weights()
model.fit(images, np.arange(8) % 2, epochs=1, verbose=0)
store("base is unchanged", all(np.array_equal(a, b) for a, b in zip(before, base_model.get_weights())))

# Fine-tuning

base_model.trainable = True
model.compile(
    optimizer=keras.optimizers.Adam(1e-5),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
store("trainable afterwards", len(model.trainable_weights))
model.fit(images, np.arange(8) % 2, epochs=1, verbose=0)
