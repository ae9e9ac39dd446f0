"""
Title: Frames
"""

import keras
import numpy as np
from keras import layers
from results import store

"""
## Predict the next frame
"""

inp = layers.Input(shape=(None, 8, 8, 1))
x = layers.ConvLSTM2D(filters=4, kernel_size=(5, 5), padding="same", return_sequences=True, activation="relu")(inp)
x = layers.BatchNormalization()(x)
x = layers.ConvLSTM2D(filters=4, kernel_size=(3, 3), padding="same", return_sequences=True, activation="relu")(x)
x = layers.Conv3D(filters=1, kernel_size=(3, 3, 3), activation="sigmoid", padding="same")(x)
model = keras.models.Model(inp, x)
model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer=keras.optimizers.Adam())
store("count", model.count_params())

"""
## Train it
"""

frames = np.random.random((2, 4, 8, 8, 1)).astype("float32")
early_stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=10)
reduce_lr = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=5)
model.fit(
    frames[:, :-1],
    frames[:, 1:],
    batch_size=2,
    epochs=1,
    validation_data=(frames[:, :-1], frames[:, 1:]),
    callbacks=[early_stopping, reduce_lr],
    verbose=0,
)
new_prediction = model.predict(np.expand_dims(frames[0, :3], axis=0), verbose=0)
store("prediction", new_prediction.shape)

"""
## The numbers of the layer
"""

x = np.linspace(-1, 1, 2 * 3 * 4 * 4 * 1, dtype="float32").reshape(2, 3, 4, 4, 1)
constant = keras.initializers.Constant(0.1)
layer = layers.ConvLSTM2D(1, 3, padding="same", kernel_initializer=constant, recurrent_initializer=constant)
store("numbers", layer(x)[..., 0])

"""
## Volumes
"""

inputs = keras.Input((10, 10, 6, 1))
x = layers.Conv3D(filters=4, kernel_size=3, activation="relu")(inputs)
x = layers.MaxPool3D(pool_size=2)(x)
x = layers.BatchNormalization()(x)
x = layers.GlobalAveragePooling3D()(x)
x = layers.Dense(units=8, activation="relu")(x)
outputs = layers.Dense(units=1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs, name="3dcnn")
lr_schedule = keras.optimizers.schedules.ExponentialDecay(0.0001, decay_steps=100000, decay_rate=0.96, staircase=True)
model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(learning_rate=lr_schedule), metrics=["acc"])
model.fit(np.random.random((4, 10, 10, 6, 1)), np.arange(4) % 2, epochs=1, shuffle=True, verbose=0)
store("volumes", [model.count_params(), [list(layer.output.shape) for layer in model.layers[:3]]])

"""
## The same layer for each frame
"""

inputs = keras.Input((5, 8, 8, 3))
x = layers.TimeDistributed(layers.Conv2D(4, 3, kernel_initializer="ones"))(inputs)
x = layers.TimeDistributed(layers.GlobalMaxPooling2D())(x)
x = layers.GRU(4)(x)
model = keras.Model(inputs, layers.Dense(2)(x))
store("frames", [model.count_params(), list(model.layers[1].output.shape)])

"""
## Names of older scripts
"""

model = keras.models.Sequential()
model.add(layers.Convolution2D(4, (3, 3), input_shape=(8, 8, 1)))
model.add(layers.MaxPool2D((2, 2)))
model.add(layers.GlobalAvgPool2D())
model.add(layers.Dense(1))
store("older names", model.count_params())
