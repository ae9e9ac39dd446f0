# Title: networks from their parts

import keras
import numpy as np
import torch
from keras import ops
from results import store

# A dense layer as a class of Python


class NaiveDense:
    def __init__(self, input_size, output_size, activation=None):
        self.activation = activation
        self.W = keras.Variable(shape=(input_size, output_size), initializer="uniform")
        self.b = keras.Variable(shape=(output_size,), initializer="zeros")

    def __call__(self, inputs):
        x = ops.matmul(inputs, self.W)
        x = x + self.b
        if self.activation is not None:
            x = self.activation(x)
        return x

    @property
    def weights(self):
        return [self.W, self.b]


class NaiveSequential:
    def __init__(self, layers):
        self.layers = layers

    def __call__(self, inputs):
        x = inputs
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def weights(self):
        weights = []
        for layer in self.layers:
            weights += layer.weights
        return weights


model = NaiveSequential([NaiveDense(12, 8, ops.relu), NaiveDense(8, 3, ops.softmax)])
assert len(model.weights) == 4
store("shapes", [list(weight.shape) for weight in model.weights])

# One step by hand

optimizer = keras.optimizers.SGD(learning_rate=1e-1)
images = np.random.random((16, 12)).astype("float32")
labels = np.arange(16) % 3
losses = []
for _ in range(20):
    predictions = model(images)
    loss = ops.mean(keras.losses.sparse_categorical_crossentropy(labels, predictions))
    loss.backward()
    gradients = [weight.value.grad for weight in model.weights]
    with torch.no_grad():
        optimizer.apply(gradients, model.weights)
    for weight in model.weights:
        weight.value.grad = None
    losses.append(float(loss))
store("smaller", losses[-1] < losses[0])

# Batches

import math


class BatchGenerator:
    def __init__(self, images, labels, batch_size=128):
        assert len(images) == len(labels)
        self.index = 0
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.num_batches = math.ceil(len(images) / batch_size)

    def next(self):
        images = self.images[self.index : self.index + self.batch_size]
        labels = self.labels[self.index : self.index + self.batch_size]
        self.index += self.batch_size
        return images, labels


generator = BatchGenerator(images, labels, 6)
store("batches", [len(generator.next()[0]) for _ in range(generator.num_batches)])
matches = ops.equal(ops.argmax(model(images), axis=1), labels)
store("accuracy", 0 <= float(ops.mean(ops.cast(matches, "float32"))) <= 1)

# Operations on tensors

x = ops.ones(shape=(2, 2))
store("ones", x)
store("random", list(keras.random.normal(shape=(3, 1), mean=0.0, stddev=1.0).shape))
a = ops.ones((2, 2)) * 4
store("squares", [ops.square(a), ops.sqrt(a), ops.add(a, 1), ops.matmul(a, a)])
store("concatenated", ops.concatenate((a, a), axis=0))
store("transposed", ops.transpose(ops.reshape(ops.arange(6), (2, 3))))

# A linear classifier with torch's gradients

num = 20
negative = np.random.default_rng(0).multivariate_normal(mean=[0, 3], cov=[[1, 0.5], [0.5, 1]], size=num)
positive = np.random.default_rng(1).multivariate_normal(mean=[3, 0], cov=[[1, 0.5], [0.5, 1]], size=num)
inputs = np.vstack((negative, positive)).astype(np.float32)
targets = np.vstack((np.zeros((num, 1), dtype="float32"), np.ones((num, 1), dtype="float32")))
W = torch.full((2, 1), 0.1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)


def model(inputs, W, b):
    return torch.matmul(inputs, W) + b


def mean_squared_error(targets, predictions):
    per_sample_losses = torch.square(targets - predictions)
    return torch.mean(per_sample_losses)


losses = []
for step in range(10):
    predictions = model(torch.tensor(inputs), W, b)
    loss = mean_squared_error(torch.tensor(targets), predictions)
    loss.backward()
    with torch.no_grad():
        W -= W.grad * 0.1
        b -= b.grad * 0.1
    W.grad = b.grad = None
    losses.append(float(loss))
store("losses of torch", losses)

# The same with a layer of Keras and torch's optimizer

layer = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(0.1))
layer.build((None, 2))
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
losses = []
for step in range(10):
    loss = mean_squared_error(torch.tensor(targets), layer(inputs))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(float(loss.detach()))
store("losses of a layer", losses)

# The same with compile and fit

model = keras.Sequential([keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(0.1))])
model.compile(
    optimizer=keras.optimizers.RMSprop(learning_rate=0.1),
    loss=keras.losses.MeanSquaredError(),
    metrics=[keras.metrics.BinaryAccuracy()],
)
history = model.fit(inputs, targets, epochs=3, batch_size=40, verbose=0)
store("history of fit", {key: history.history[key] for key in ("loss", "binary_accuracy")})
rng = np.random.default_rng(0)
indices_permutation = rng.permutation(len(inputs))
shuffled_inputs, shuffled_targets = inputs[indices_permutation], targets[indices_permutation]
loss_and_metrics = model.evaluate(shuffled_inputs, shuffled_targets, batch_size=16, verbose=0)
store("evaluated", loss_and_metrics)
