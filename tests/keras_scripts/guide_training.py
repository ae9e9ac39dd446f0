"""
Title: Training and evaluation with the methods of a model
"""

import keras
import numpy as np
from keras import layers, ops
from results import store

inputs = keras.Input(shape=(20,), name="digits")
x = layers.Dense(16, activation="relu", name="dense_1")(inputs)
x = layers.Dense(16, activation="relu", name="dense_2")(x)
outputs = layers.Dense(10, activation="softmax", name="predictions")(x)
model = keras.Model(inputs=inputs, outputs=outputs)
x_train = np.random.random((80, 20)).astype("float32")
y_train = np.random.randint(0, 10, 80).astype("float32")
x_val, y_val = x_train[-20:], y_train[-20:]
x_train, y_train = x_train[:-20], y_train[:-20]

"""
## compile, fit, evaluate, predict
"""

model.compile(
    optimizer=keras.optimizers.RMSprop(),
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=[keras.metrics.SparseCategoricalAccuracy()],
)
history = model.fit(x_train, y_train, batch_size=32, epochs=2, validation_data=(x_val, y_val), verbose=0)
store("keys", sorted(key for key in history.history if key != "learning_rate"))
store("epochs", history.epoch)
results = model.evaluate(x_val, y_val, batch_size=128, verbose=0)
store("results", len(results))
store("predictions", list(model.predict(x_val[:3], verbose=0).shape))

"""
## Losses and metrics by name, in many forms
"""

model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
model.compile("adam", loss=keras.losses.sparse_categorical_crossentropy, metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=32, epochs=1, verbose=0)
store("keys by name", sorted(key for key in history.history if key != "learning_rate"))

"""
## A loss function
"""


def get_uncompiled_model(units=10):
    inputs = keras.Input(shape=(20,), name="digits")
    outputs = layers.Dense(units, name="predictions", kernel_initializer=keras.initializers.Constant(0.1))(inputs)
    return keras.Model(inputs=inputs, outputs=outputs)


def custom_mean_squared_error(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


ramp = np.linspace(0, 1, 20 * 12, dtype="float32").reshape(12, 20)
model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.1), loss=custom_mean_squared_error)
one_hot = ops.one_hot(np.arange(12) % 10, num_classes=10)
history = model.fit(ramp, one_hot, batch_size=4, epochs=3, shuffle=False, verbose=0)
store("losses of a function", history.history["loss"])
store("loss afterwards", model.evaluate(ramp, one_hot, verbose=0))

"""
## A loss with a parameter
"""


class CustomMSE(keras.losses.Loss):
    def __init__(self, regularization_factor=0.1, name="custom_mse"):
        super().__init__(name=name)
        self.regularization_factor = regularization_factor

    def call(self, y_true, y_pred):
        mse = ops.mean(ops.square(y_true - y_pred), axis=-1)
        reg = ops.mean(ops.square(0.5 - y_pred), axis=-1)
        return mse + reg * self.regularization_factor


model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.1), loss=CustomMSE())
history = model.fit(ramp, one_hot, batch_size=12, epochs=2, verbose=0)
store("losses of a class", history.history["loss"])
store("the loss alone", float(CustomMSE()(np.ones((2, 3)), np.zeros((2, 3)))))

"""
## A metric of one's own
"""


class CategoricalTruePositives(keras.metrics.Metric):
    def __init__(self, name="categorical_true_positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.true_positives = self.add_variable(shape=(), name="ctp", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = ops.reshape(ops.argmax(y_pred, axis=1), (-1, 1))
        values = ops.cast(y_true, "int32") == ops.cast(y_pred, "int32")
        values = ops.cast(values, "float32")
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, "float32")
            values = ops.multiply(values, sample_weight)
        self.true_positives.assign_add(ops.sum(values))

    def result(self):
        return self.true_positives

    def reset_state(self):
        self.true_positives.assign(0)


model = keras.Sequential([keras.Input((10,)), layers.Dense(10, kernel_initializer="identity")])
model.compile(
    optimizer=keras.optimizers.SGD(0.0),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[CategoricalTruePositives()],
)
classes = np.arange(12)[:, None] % 4
history = model.fit(np.eye(10)[np.arange(12) % 3], classes, batch_size=5, epochs=2, verbose=0)
store("true positives", history.history["categorical_true_positives"])
store("evaluated", model.evaluate(np.eye(10)[np.arange(12) % 3], classes, batch_size=5, verbose=0))

"""
## Sample weights and class weights
"""

class_weight = {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 2.0, 6: 1.0, 7: 1.0, 8: 1.0, 9: 1.0}
labels = np.arange(12) % 10
model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = model.fit(ramp, labels, class_weight=class_weight, batch_size=12, epochs=2, verbose=0)
store("class weights", history.history["loss"])
sample_weight = np.ones(shape=(len(labels),))
sample_weight[labels == 5] = 2.0
model = get_uncompiled_model()
model.compile(
    optimizer=keras.optimizers.SGD(0.1),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    weighted_metrics=[keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="weighted")],
)
history = model.fit(ramp, labels, sample_weight=sample_weight, batch_size=12, epochs=1, verbose=0)
store("sample weights", history.history["loss"])

"""
## Class weights that name one class
"""

model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = model.fit(ramp, labels, class_weight={5: 3.0}, batch_size=12, epochs=1, verbose=0)
store("one class weight", history.history["loss"])

"""
## Two inputs and two outputs
"""

image_input = keras.Input(shape=(8, 8, 3), name="img_input")
timeseries_input = keras.Input(shape=(None, 10), name="ts_input")
x1 = layers.Conv2D(3, 3)(image_input)
x1 = layers.GlobalMaxPooling2D()(x1)
x2 = layers.Conv1D(3, 3)(timeseries_input)
x2 = layers.GlobalMaxPooling1D()(x2)
x = layers.concatenate([x1, x2])
score_output = layers.Dense(1, name="score_output")(x)
class_output = layers.Dense(5, name="class_output")(x)
model = keras.Model(inputs=[image_input, timeseries_input], outputs=[score_output, class_output])
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss=[keras.losses.MeanSquaredError(), keras.losses.CategoricalCrossentropy(from_logits=True)],
    metrics=[
        [keras.metrics.MeanAbsolutePercentageError(), keras.metrics.MeanAbsoluteError()],
        [keras.metrics.CategoricalAccuracy()],
    ],
    loss_weights=[2.0, 1.0],
)
img_data = np.random.random_sample(size=(20, 8, 8, 3))
ts_data = np.random.random_sample(size=(20, 20, 10))
score_targets = np.random.random_sample(size=(20, 1))
class_targets = np.eye(5)[np.random.randint(5, size=20)]
history = model.fit([img_data, ts_data], [score_targets, class_targets], batch_size=10, epochs=1, verbose=0)
store("two outputs", sorted(key for key in history.history if key != "learning_rate"))
history = model.fit(
    {"img_input": img_data, "ts_input": ts_data},
    {"score_output": score_targets, "class_output": class_targets},
    batch_size=10,
    epochs=1,
    verbose=0,
)

"""
## A loss for one of two outputs
"""

model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss=[None, keras.losses.CategoricalCrossentropy(from_logits=True)],
)
history = model.fit([img_data, ts_data], [score_targets, class_targets], batch_size=10, epochs=1, verbose=0)
store("one loss", "loss" in history.history)

"""
## A PyDataset
"""


class ExamplePyDataset(keras.utils.PyDataset):
    def __init__(self, x, y, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return int(np.ceil(len(self.x) / float(self.batch_size)))

    def __getitem__(self, idx):
        low = idx * self.batch_size
        high = min(low + self.batch_size, len(self.x))
        return self.x[low:high], self.y[low:high]


train_py_dataset = ExamplePyDataset(ramp, labels, batch_size=5)
model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = model.fit(
    train_py_dataset, batch_size=64, validation_data=train_py_dataset, epochs=1, shuffle=False, verbose=0
)
store("PyDataset", [history.history["loss"], history.history["val_loss"]])
store("evaluate a PyDataset", model.evaluate(train_py_dataset, verbose=0))

"""
## A generator and a DataLoader
"""

import torch
from torch.utils.data import DataLoader, TensorDataset


def generator():
    while True:
        yield ramp[:6], np.ones((6, 10))


model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
history = model.fit(generator(), steps_per_epoch=3, epochs=1, verbose=0)
store("generator", len(history.history["loss"]))
loader = DataLoader(TensorDataset(torch.tensor(ramp), torch.ones(12, 10)), batch_size=4)
model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
store("loader", model.fit(loader, epochs=2, verbose=0).history["loss"])

"""
## Callbacks
"""

model = get_uncompiled_model()
model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
callbacks = [
    keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=1e-2, patience=2, verbose=0),
    keras.callbacks.ModelCheckpoint(filepath="mymodel_{epoch}.keras", save_best_only=True, monitor="val_loss"),
]
history = model.fit(ramp, np.ones((12, 10)), epochs=10, callbacks=callbacks, validation_split=0.25, verbose=0)
store("stopped", len(history.history["loss"]))
model = keras.models.load_model("mymodel_1.keras")
store("from the checkpoint", model.predict(ramp[:2], verbose=0))


class LossHistory(keras.callbacks.Callback):
    def on_train_begin(self, logs):
        self.per_batch_losses = []

    def on_batch_end(self, batch, logs):
        self.per_batch_losses.append(logs.get("loss"))


losses = LossHistory()
model.compile(optimizer="sgd", loss="mse")
model.fit(ramp, np.ones((12, 10)), batch_size=4, epochs=2, callbacks=[losses], verbose=0)
store("batches", len(losses.per_batch_losses))

"""
## Schedules
"""

lr_schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.96, staircase=True)
optimizer = keras.optimizers.RMSprop(learning_rate=lr_schedule)
store("schedule", [float(lr_schedule(step)) for step in (0, 99, 100, 250)])
