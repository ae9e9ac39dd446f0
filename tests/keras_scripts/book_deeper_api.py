# Title: a closer look at models, callbacks, metrics

import keras
import numpy as np
from keras import layers, ops
from results import store

rng = np.random.default_rng(0)

# A model with several inputs and outputs

vocabulary_size, num_tags, num_departments = 100, 10, 4
title = keras.Input(shape=(vocabulary_size,), name="title")
text_body = keras.Input(shape=(vocabulary_size,), name="text_body")
tags = keras.Input(shape=(num_tags,), name="tags")
features = layers.Concatenate()([title, text_body, tags])
features = layers.Dense(16, activation="relu", name="dense_features")(features)
priority = layers.Dense(1, activation="sigmoid", name="priority")(features)
department = layers.Dense(num_departments, activation="softmax", name="department")(features)
model = keras.Model(inputs=[title, text_body, tags], outputs=[priority, department])
store("count", model.count_params())

# Trained with lists

num_samples = 24
title_data = rng.integers(0, 2, size=(num_samples, vocabulary_size))
text_body_data = rng.integers(0, 2, size=(num_samples, vocabulary_size))
tags_data = rng.integers(0, 2, size=(num_samples, num_tags))
priority_data = rng.random(size=(num_samples, 1))
department_data = np.eye(num_departments)[rng.integers(0, num_departments, size=num_samples)]
model.compile(
    optimizer="adam",
    loss=["mean_squared_error", "categorical_crossentropy"],
    metrics=[["mean_absolute_error"], ["accuracy"]],
)
model.fit([title_data, text_body_data, tags_data], [priority_data, department_data], epochs=1, verbose=0)
results = model.evaluate([title_data, text_body_data, tags_data], [priority_data, department_data], verbose=0)
priority_preds, department_preds = model.predict([title_data, text_body_data, tags_data], verbose=0)
store("lists", [len(results), priority_preds.shape, department_preds.shape])

# Trained with dicts

model.compile(
    optimizer="adam",
    loss={"priority": "mean_squared_error", "department": "categorical_crossentropy"},
    metrics={"priority": ["mean_absolute_error"], "department": ["accuracy"]},
)
data = {"title": title_data, "text_body": text_body_data, "tags": tags_data}
targets = {"priority": priority_data, "department": department_data}
history = model.fit(data, targets, epochs=1, verbose=0)
store("dicts", sorted(key for key in history.history if key != "learning_rate"))
scores = model.evaluate(data, targets, verbose=0, return_dict=True)
store("scores", sorted(key for key in scores if not key.startswith("data_")))

# Layers of a model and their outputs

store("layers", [type(layer).__name__ for layer in model.layers])
store("input of a layer", [list(one.shape) for one in model.layers[3].input])
store("output of a layer", list(model.layers[3].output.shape))
features = model.layers[4].output
difficulty = layers.Dense(3, activation="softmax", name="difficulty")(features)
new_model = keras.Model(inputs=[title, text_body, tags], outputs=[priority, department, difficulty])
store("new model", new_model.count_params())

# A picture of the model

try:
    import pydot  # noqa: F401

    keras.utils.plot_model(new_model, "ticket_classifier.png", show_shapes=True, show_layer_names=True)
except ImportError:
    pass
new_model.summary(line_length=80)

# A subclass with a functional part


class CustomerTicketModel(keras.Model):
    def __init__(self, num_departments):
        super().__init__()
        self.concat_layer = layers.Concatenate()
        self.mixing_layer = layers.Dense(16, activation="relu")
        self.priority_scorer = layers.Dense(1, activation="sigmoid")
        self.department_classifier = layers.Dense(num_departments, activation="softmax")

    def call(self, inputs):
        title = inputs["title"]
        text_body = inputs["text_body"]
        tags = inputs["tags"]
        features = self.concat_layer([title, text_body, tags])
        features = self.mixing_layer(features)
        priority = self.priority_scorer(features)
        department = self.department_classifier(features)
        return priority, department


model = CustomerTicketModel(num_departments=4)
priority, department = model({"title": title_data, "text_body": text_body_data, "tags": tags_data})
store("subclass", [list(priority.shape), list(department.shape), model.count_params()])
model.compile(
    optimizer="adam",
    loss=["mean_squared_error", "categorical_crossentropy"],
    metrics=[["mean_absolute_error"], ["accuracy"]],
)
model.fit(data, [priority_data, department_data], epochs=1, verbose=0)
store("evaluated", len(model.evaluate(data, [priority_data, department_data], verbose=0)))

# A mix of both


class Classifier(keras.Model):
    def __init__(self, num_classes=2):
        super().__init__()
        if num_classes == 2:
            num_units, activation = 1, "sigmoid"
        else:
            num_units, activation = num_classes, "softmax"
        self.dense = layers.Dense(num_units, activation=activation)

    def call(self, inputs):
        return self.dense(inputs)


inputs = keras.Input(shape=(3,))
features = layers.Dense(64, activation="relu")(inputs)
outputs = Classifier(num_classes=10)(features)
model = keras.Model(inputs=inputs, outputs=outputs)
store("mixed", [model.count_params(), list(model.output_shape)])

# A metric of one's own


class RootMeanSquaredError(keras.metrics.Metric):
    def __init__(self, name="rmse", **kwargs):
        super().__init__(name=name, **kwargs)
        self.mse_sum = self.add_weight(name="mse_sum", initializer="zeros")
        self.total_samples = self.add_weight(name="total_samples", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = ops.one_hot(y_true, num_classes=ops.shape(y_pred)[1])
        mse = ops.sum(ops.square(y_true - y_pred))
        self.mse_sum.assign_add(mse)
        num_samples = ops.shape(y_pred)[0]
        self.total_samples.assign_add(num_samples)

    def result(self):
        return ops.sqrt(self.mse_sum / self.total_samples)

    def reset_state(self):
        self.mse_sum.assign(0.0)
        self.total_samples.assign(0.0)


def get_mnist_model():
    inputs = keras.Input(shape=(12,))
    features = layers.Dense(8, activation="relu", kernel_initializer="zeros")(inputs)
    features = layers.Dropout(0.5)(features)
    outputs = layers.Dense(10, activation="softmax", kernel_initializer="zeros")(features)
    return keras.Model(inputs, outputs)


images, labels = rng.random((20, 12)).astype("float32"), np.arange(20) % 10
model = get_mnist_model()
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy", RootMeanSquaredError()])
store("rmse", model.evaluate(images, labels, batch_size=8, verbose=0))
model.fit(images, labels, epochs=1, verbose=0)

# Callbacks by name and by hand

callbacks_list = [
    keras.callbacks.EarlyStopping(monitor="accuracy", patience=1),
    keras.callbacks.ModelCheckpoint(filepath="checkpoint_path.keras", monitor="val_loss", save_best_only=True),
    keras.callbacks.CSVLogger("log.csv"),
    keras.callbacks.TerminateOnNaN(),
    keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr * 0.5),
]
model = get_mnist_model()
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(images, labels, epochs=3, callbacks=callbacks_list, validation_data=(images, labels), verbose=0)
store("rate", float(model.optimizer.learning_rate) < 0.01)
model = keras.models.load_model("checkpoint_path.keras")
store("loaded", model.count_params())


class LossHistory(keras.callbacks.Callback):
    def on_train_begin(self, logs):
        self.per_batch_losses = []
        self.hooks = ["train begin"]

    def on_batch_end(self, batch, logs):
        self.per_batch_losses.append(logs.get("loss"))

    def on_epoch_begin(self, epoch, logs=None):
        self.hooks.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs):
        self.per_batch_losses = []
        self.model.optimizer.learning_rate = 0.001 * (epoch + 1)


watcher = LossHistory()
model.fit(images, labels, epochs=2, callbacks=[watcher], verbose=0)
store("hooks", [watcher.hooks, float(model.optimizer.learning_rate)])

# Metrics by hand

metric = keras.metrics.SparseCategoricalAccuracy()
targets = ops.array([0, 1, 2])
predictions = ops.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
metric.update_state(targets, predictions)
store("accuracy", float(metric.result()))
values = [0, 1, 2, 3, 4]
mean_tracker = keras.metrics.Mean()
for value in values:
    mean_tracker.update_state(value)
store("mean", float(mean_tracker.result()))
mean_tracker.reset_state()
store("reset", float(mean_tracker.result()))
store("names of metrics", [metric.name for metric in model.metrics][:1])

# Steps on one batch

model = get_mnist_model()
model.compile(optimizer=keras.optimizers.SGD(0.0), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
store("train_on_batch", model.train_on_batch(images[:10], labels[:10]))
store("test_on_batch", model.test_on_batch(images[:10], labels[:10])[0])
store("predict_on_batch", model.predict_on_batch(images[:2]))
store("eager", model(images[:2], training=False))
