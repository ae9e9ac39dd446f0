"""
Title: Layers of one's own in a few forms
"""

import keras
import numpy as np
from keras import initializers, layers, ops
from results import store

"""
## Antirectifier
"""


class Antirectifier(layers.Layer):
    def __init__(self, initializer="he_normal", **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        output_dim = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(output_dim * 2, output_dim), initializer=self.initializer, name="kernel", trainable=True
        )

    def call(self, inputs):
        inputs -= ops.mean(inputs, axis=-1, keepdims=True)
        pos = ops.relu(inputs)
        neg = ops.relu(-inputs)
        concatenated = ops.concatenate([pos, neg], axis=-1)
        return ops.matmul(concatenated, self.kernel)

    def get_config(self):
        base_config = super().get_config()
        config = {"initializer": keras.initializers.serialize(self.initializer)}
        return dict(list(base_config.items()) + list(config.items()))


store("antirectifier", Antirectifier("ones")(ops.convert_to_tensor([[1.0, 2.0, 6.0]])))
model = keras.Sequential(
    [keras.Input(shape=(12,)), layers.Dense(8), Antirectifier(), layers.Dropout(0.5), layers.Dense(3)]
)
model.compile(
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    optimizer=keras.optimizers.RMSprop(),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
model.fit(np.random.random((16, 12)), np.arange(16) % 3, batch_size=8, epochs=1, validation_split=0.15, verbose=0)
store("count", model.count_params())
model.save("antirectifier.keras")
again = keras.models.load_model("antirectifier.keras", custom_objects={"Antirectifier": Antirectifier})
store("loaded", again.count_params())

"""
## The loss as a layer
"""


class LogisticEndpoint(keras.layers.Layer):
    def __init__(self, name=None):
        super().__init__(name=name)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.accuracy_metric = keras.metrics.BinaryAccuracy(name="accuracy")

    def call(self, logits, targets=None, sample_weight=None):
        if targets is not None:
            loss = self.loss_fn(targets, logits, sample_weight)
            self.add_loss(loss)
            self.accuracy_metric.update_state(targets, logits, sample_weight)
        return ops.sigmoid(logits)


inputs = keras.Input((4,), name="inputs")
targets = keras.Input((1,), name="targets")
logits = keras.layers.Dense(1, kernel_initializer="ones")(inputs)
probabilities = LogisticEndpoint(name="predictions")(logits, targets)
model = keras.Model([inputs, targets], probabilities)
model.compile(keras.optimizers.SGD(0.1))
x = np.linspace(-1, 1, 24, dtype="float32").reshape(6, 4)
data = {"inputs": x, "targets": np.array([[0.0], [0.0], [1.0], [0.0], [1.0], [1.0]])}
history = model.fit(data, epochs=2, batch_size=6, verbose=0)
store("losses of the endpoint", history.history["loss"])

"""
## A dense layer from its parts
"""


class NaiveDense(keras.Layer):
    def __init__(self, units, activation=None):
        super().__init__()
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        input_dim = input_shape[-1]
        self.w = self.add_weight(
            shape=(input_dim, self.units), initializer=initializers.Constant(0.1), name="kernel", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer=initializers.Zeros(), name="bias", trainable=True)

    def call(self, inputs):
        x = ops.matmul(inputs, self.w) + self.b
        return self.activation(x)


model = keras.Sequential([NaiveDense(4, activation="relu"), NaiveDense(2, activation="softmax")])
model.build((None, 3))
store("dense", [model.count_params(), model(np.ones((1, 3)))])
store("names", [weight.name for weight in model.layers[0].weights])

"""
## Variables
"""

v = keras.Variable(initializer=np.array([1.0, 2.0], dtype="float32"))
v.assign(ops.ones((2,)) * 3)
store("assigned", v.numpy())
v.assign_add(ops.ones((2,)))
store("added", ops.convert_to_numpy(v))
v.assign_sub(ops.ones((2,)) * 2)
store("subtracted", [float(one) for one in v.numpy()])
store("arithmetic", ops.convert_to_numpy(v + 1.0))
store("facts", [list(v.shape), v.trainable, v.dtype if isinstance(v.dtype, str) else str(v.dtype)[6:]])

"""
## Weights of the layers of Keras
"""

dense = layers.Dense(2, kernel_initializer="ones")
dense.build((None, 3))
store("kernel", [sorted(dense.kernel.shape), list(dense.bias.shape)])
dense.bias.assign([1.0, 2.0])
store("with the bias", dense(np.ones((1, 3))))
embedding = layers.Embedding(4, 2, embeddings_initializer="ones")
embedding.build()
store("embeddings", list(embedding.embeddings.shape))
norm = layers.BatchNormalization()
norm.build((None, 3))
store("norm", [norm.gamma.numpy(), norm.moving_variance.numpy()])

"""
## A model with convolutions and an attribute for each layer
"""


class ImageNet(keras.Model):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv_1 = layers.Conv2D(8, 3, activation="relu")
        self.pool = layers.GlobalAveragePooling2D()
        self.drop = layers.Dropout(0.5)
        self.out = layers.Dense(num_classes)
        self.blocks = [layers.Dense(8, activation="relu") for _ in range(2)]

    def call(self, x, training=None):
        x = self.conv_1(x)
        x = self.pool(x)
        for block in self.blocks:
            x = block(x)
        x = self.drop(x, training=training)
        return self.out(x)


model = ImageNet()
model.compile(keras.optimizers.Adam(), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"])
model.fit(np.random.random((8, 9, 9, 3)), np.arange(8), epochs=1, verbose=0)
store("image net", [model.count_params(), len(model.layers), len(model.weights)])
assert [layer.name for layer in model.layers]

"""
## A layer that uses torch
"""

import torch


class TorchLayer(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(3, kernel_initializer="ones")

    def call(self, x):
        return torch.nn.functional.softplus(self.dense(x))


model = keras.Sequential([keras.Input((2,)), TorchLayer()])
store("softplus", model(np.array([[1.0, -1.0]])))
