"""
Title: Models of layers that are called on tensors
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

"""
## A small classifier
"""

inputs = keras.Input(shape=(784,))
dense = layers.Dense(64, activation="relu")
x = dense(inputs)
x = layers.Dense(64, activation="relu")(x)
outputs = layers.Dense(10)(x)
model = keras.Model(inputs=inputs, outputs=outputs, name="mnist_model")
model.summary()
store("input", [list(inputs.shape), str(inputs.dtype).split(".")[-1]])
store("count", model.count_params())
store("layers", [type(layer).__name__ for layer in model.layers])

"""
## Training
"""

x_train = np.random.random((96, 784)).astype("float32")
y_train = np.random.randint(0, 10, (96,))
model.compile(
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    optimizer=keras.optimizers.RMSprop(),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
)
history = model.fit(x_train, y_train, batch_size=32, epochs=2, validation_split=0.25, verbose=0)
store("keys", sorted(key for key in history.history if key != "learning_rate"))
test_scores = model.evaluate(x_train, y_train, verbose=0)
store("scores", len(test_scores))

"""
## An autoencoder of two models that share a graph
"""

encoder_input = keras.Input(shape=(28, 28, 1), name="img")
x = layers.Conv2D(16, 3, activation="relu")(encoder_input)
x = layers.Conv2D(32, 3, activation="relu")(x)
x = layers.MaxPooling2D(3)(x)
x = layers.Conv2D(32, 3, activation="relu")(x)
x = layers.Conv2D(16, 3, activation="relu")(x)
encoder_output = layers.GlobalMaxPooling2D()(x)
encoder = keras.Model(encoder_input, encoder_output, name="encoder")
x = layers.Reshape((4, 4, 1))(encoder_output)
x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
x = layers.Conv2DTranspose(32, 3, activation="relu")(x)
x = layers.UpSampling2D(3)(x)
x = layers.Conv2DTranspose(16, 3, activation="relu")(x)
decoder_output = layers.Conv2DTranspose(1, 3, activation="relu")(x)
autoencoder = keras.Model(encoder_input, decoder_output, name="autoencoder")
store("autoencoder", [encoder.count_params(), autoencoder.count_params(), autoencoder.output_shape])

"""
## Models are called like layers
"""

decoder_input = keras.Input(shape=(16,), name="encoded_img")
x = layers.Reshape((4, 4, 1))(decoder_input)
decoder_output = layers.Conv2DTranspose(1, 25, activation="relu")(x)
decoder = keras.Model(decoder_input, decoder_output, name="decoder")
autoencoder_input = keras.Input(shape=(28, 28, 1), name="img")
decoded = decoder(encoder(autoencoder_input))
autoencoder = keras.Model(autoencoder_input, decoded, name="autoencoder")
store("nested", [layer.name for layer in autoencoder.layers])
store("nested count", autoencoder.count_params())

"""
## An ensemble
"""


def get_model():
    inputs = keras.Input(shape=(4,))
    outputs = layers.Dense(1, kernel_initializer="ones")(inputs)
    return keras.Model(inputs, outputs)


inputs = keras.Input(shape=(4,))
outputs = layers.average([get_model()(inputs), get_model()(inputs), get_model()(inputs)])
ensemble_model = keras.Model(inputs=inputs, outputs=outputs)
store("ensemble", ensemble_model(np.arange(4.0).reshape(1, 4)))

"""
## Two inputs and two outputs
"""

num_tags, num_words, num_departments = 12, 100, 4
title_input = keras.Input(shape=(None,), name="title")
body_input = keras.Input(shape=(None,), name="body")
tags_input = keras.Input(shape=(num_tags,), name="tags")
title_features = layers.LSTM(8)(layers.Embedding(num_words, 16)(title_input))
body_features = layers.LSTM(4)(layers.Embedding(num_words, 16)(body_input))
x = layers.concatenate([title_features, body_features, tags_input])
priority_pred = layers.Dense(1, name="priority")(x)
department_pred = layers.Dense(num_departments, name="department")(x)
model = keras.Model(
    inputs=[title_input, body_input, tags_input],
    outputs={"priority": priority_pred, "department": department_pred},
)
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={
        "priority": keras.losses.BinaryCrossentropy(from_logits=True),
        "department": keras.losses.CategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"priority": 1.0, "department": 0.2},
)
store("two outputs count", model.count_params())

"""
## Training with dicts
"""

title_data = np.random.randint(num_words, size=(32, 10))
body_data = np.random.randint(num_words, size=(32, 20))
tags_data = np.random.randint(2, size=(32, num_tags)).astype("float32")
priority_targets = np.random.random(size=(32, 1))
dept_targets = np.eye(num_departments)[np.random.randint(num_departments, size=32)]
history = model.fit(
    {"title": title_data, "body": body_data, "tags": tags_data},
    {"priority": priority_targets, "department": dept_targets},
    epochs=1,
    batch_size=16,
    verbose=0,
)
store("two outputs keys", sorted(key for key in history.history if key != "learning_rate"))

"""
## A small ResNet
"""

inputs = keras.Input(shape=(32, 32, 3), name="img")
x = layers.Conv2D(32, 3, activation="relu")(inputs)
x = layers.Conv2D(64, 3, activation="relu")(x)
block_1_output = layers.MaxPooling2D(3)(x)
x = layers.Conv2D(64, 3, activation="relu", padding="same")(block_1_output)
x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
block_2_output = layers.add([x, block_1_output])
x = layers.Conv2D(64, 3, activation="relu")(block_2_output)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(256, activation="relu")(x)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(10)(x)
model = keras.Model(inputs, outputs, name="toy_resnet")
store("resnet", [model.count_params(), len(model.layers)])

"""
## Shared layers
"""

shared_embedding = layers.Embedding(1000, 8)
text_input_a = keras.Input(shape=(None,), dtype="int32")
text_input_b = keras.Input(shape=(None,), dtype="int32")
encoded_input_a = shared_embedding(text_input_a)
encoded_input_b = shared_embedding(text_input_b)
model = keras.Model([text_input_a, text_input_b], [encoded_input_a, encoded_input_b])
store("shared", [model.count_params(), [list(one.shape) for one in model.outputs]])

"""
## Features of a model by the outputs of its layers
"""

inputs = keras.Input((8, 8, 3))
x = layers.Conv2D(2, 3, kernel_initializer="ones", name="first")(inputs)
outputs = layers.Conv2D(1, 3, kernel_initializer="ones", name="second")(x)
base = keras.Model(inputs, outputs)
features_list = [layer.output for layer in base.layers]
feature_extraction_model = keras.Model(inputs=base.input, outputs=features_list)
extracted = feature_extraction_model(np.ones((1, 8, 8, 3), dtype="float32"))
store("extracted", [list(one.shape) for one in extracted])
store("extracted sums", [float(ops.sum(one)) for one in extracted])

"""
## A layer of one's own
"""


class CustomDense(layers.Layer):
    def __init__(self, units=32):
        super().__init__()
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {"units": self.units}


inputs = keras.Input((4,))
outputs = CustomDense(10)(inputs)
model = keras.Model(inputs, outputs)
config = model.get_config()
new_model = keras.Model.from_config(config, custom_objects={"CustomDense": CustomDense})
store("custom", model(np.arange(8.0).reshape(2, 4)))
store("again", new_model.output_shape)

"""
## A functional model inside a layer of one's own
"""

units, timesteps, input_dim = 32, 10, 5


class CustomRNN(layers.Layer):
    def __init__(self):
        super().__init__()
        self.units = units
        self.projection_1 = layers.Dense(units=units, activation="tanh")
        self.projection_2 = layers.Dense(units=units, activation="tanh")
        self.classifier = layers.Dense(1)

    def call(self, inputs):
        outputs = []
        state = ops.zeros(shape=(inputs.shape[0], self.units))
        for t in range(inputs.shape[1]):
            x = inputs[:, t, :]
            h = self.projection_1(x)
            y = h + self.projection_2(state)
            state = y
            outputs.append(y)
        features = ops.stack(outputs, axis=1)
        return self.classifier(features)


rnn_model = CustomRNN()
store("rnn", list(rnn_model(ops.zeros((1, timesteps, input_dim))).shape))
inputs = keras.Input(batch_shape=(1, timesteps, input_dim))
x = layers.Conv1D(32, 3)(inputs)
outputs = CustomRNN()(x)
model = keras.Model(inputs, outputs)
store("rnn model", list(model(ops.zeros((1, 10, 5))).shape))

"""
## Unused and optional parts
"""

inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
x = layers.Concatenate()([inputs["a"], inputs["b"]])
model = keras.Model(inputs, layers.Dense(1, kernel_initializer="ones")(x))
store("dict of inputs", model({"a": np.ones((2, 3)), "b": np.ones((2, 2))}))
store("from predict", model.predict({"b": np.ones((2, 2)), "a": np.zeros((2, 3))}, verbose=0))
