"""
Title: Time series
"""

import keras
import numpy as np
from keras import layers
from results import store

rng = np.random.default_rng(0)
x_train = rng.normal(size=(24, 50, 1))
y_train = np.arange(24) % 2

"""
## A classifier with convolutions
"""


def make_model(input_shape, num_classes):
    input_layer = keras.layers.Input(input_shape)
    conv1 = keras.layers.Conv1D(filters=8, kernel_size=3, padding="same")(input_layer)
    conv1 = keras.layers.BatchNormalization()(conv1)
    conv1 = keras.layers.ReLU()(conv1)
    conv2 = keras.layers.Conv1D(filters=8, kernel_size=3, padding="same")(conv1)
    conv2 = keras.layers.BatchNormalization()(conv2)
    conv2 = keras.layers.ReLU()(conv2)
    gap = keras.layers.GlobalAveragePooling1D()(conv2)
    output_layer = keras.layers.Dense(num_classes, activation="softmax")(gap)
    return keras.models.Model(inputs=input_layer, outputs=output_layer)


model = make_model(input_shape=x_train.shape[1:], num_classes=2)
store("classifier", [model.count_params(), len(model.trainable_weights)])

"""
## Train with callbacks that save the best model
"""

callbacks = [
    keras.callbacks.ModelCheckpoint("best_model.keras", save_best_only=True, monitor="val_loss"),
    keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=20, min_lr=0.0001),
    keras.callbacks.EarlyStopping(monitor="val_loss", patience=50, verbose=0),
]
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
history = model.fit(x_train, y_train, batch_size=8, epochs=2, callbacks=callbacks, validation_split=0.25, verbose=0)
store("keys", sorted(history.history))

"""
## Evaluate the best model
"""

model = keras.models.load_model("best_model.keras")
test_loss, test_acc = model.evaluate(x_train, y_train, verbose=0)
store("accuracy", 0 <= test_acc <= 1)

"""
## Windows of a series
"""

data = np.arange(20.0).reshape(20, 1)
dataset = keras.utils.timeseries_dataset_from_array(
    data, data[5:, 0], sequence_length=3, sequence_stride=2, sampling_rate=2, batch_size=4
)
windows, targets = next(iter(dataset))
store("windows", [np.asarray(windows)[..., 0], np.asarray(targets)])

"""
## Forecast with these windows
"""

inputs = keras.layers.Input(shape=(3, 1))
lstm_out = keras.layers.LSTM(8)(inputs)
outputs = keras.layers.Dense(1)(lstm_out)
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss="mse")
modelckpt_callback = keras.callbacks.ModelCheckpoint(
    monitor="val_loss", filepath="model_checkpoint.weights.h5", verbose=0, save_weights_only=True, save_best_only=True
)
history = model.fit(dataset, epochs=1, validation_data=dataset, callbacks=[modelckpt_callback], verbose=0)
store("forecast", [model.count_params(), sorted(key for key in history.history if key != "learning_rate")])
for x, y in dataset:
    store("prediction", model.predict(x, verbose=0).shape)
    break

"""
## Find anomalies with an autoencoder
"""

model = keras.Sequential(
    [
        layers.Input(shape=(x_train.shape[1] - 2, x_train.shape[2])),
        layers.Conv1D(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Dropout(rate=0.2),
        layers.Conv1D(filters=4, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=4, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Dropout(rate=0.2),
        layers.Conv1DTranspose(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(filters=1, kernel_size=7, padding="same"),
    ]
)
model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.001), loss="mse")
model.summary()
short = x_train[:, :48]
history = model.fit(
    short,
    short,
    epochs=2,
    batch_size=8,
    validation_split=0.1,
    callbacks=[keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, mode="min")],
    verbose=0,
)
train_mae_loss = np.mean(np.abs(model.predict(short, verbose=0) - short), axis=1)
store("anomalies", [model.count_params(), train_mae_loss.shape])

"""
## A transformer of series
"""


def transformer_encoder(inputs, head_size, num_heads, ff_dim, dropout=0):
    x = layers.MultiHeadAttention(key_dim=head_size, num_heads=num_heads, dropout=dropout)(inputs, inputs)
    x = layers.Dropout(dropout)(x)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    res = x + inputs
    x = layers.Conv1D(filters=ff_dim, kernel_size=1, activation="relu")(res)
    x = layers.Dropout(dropout)(x)
    x = layers.Conv1D(filters=inputs.shape[-1], kernel_size=1)(x)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    return x + res


inputs = keras.Input(shape=(50, 1))
x = inputs
for _ in range(2):
    x = transformer_encoder(x, 8, 2, 4, 0.1)
x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
outputs = layers.Dense(2, activation="softmax")(x)
model = keras.Model(inputs, outputs)
model.compile(
    loss="sparse_categorical_crossentropy",
    optimizer=keras.optimizers.Adam(learning_rate=1e-4),
    metrics=["sparse_categorical_accuracy"],
)
model.fit(x_train, y_train, validation_split=0.2, epochs=1, batch_size=8, verbose=0)
store("transformer", model.count_params())
