"""
Title: A small convolutional network
"""

import keras
import numpy as np
from keras import layers
from results import store

"""
## Prepare the data
"""

num_classes = 10
input_shape = (28, 28, 1)
rng = np.random.default_rng(0)
x_train = rng.integers(0, 256, (40, 28, 28)).astype("float32") / 255
x_train = np.expand_dims(x_train, -1)
y_train = keras.utils.to_categorical(np.arange(40) % 10, num_classes)
store("targets", y_train[:2])

"""
## Build the model
"""

model = keras.Sequential(
    [
        keras.Input(shape=input_shape),
        layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(num_classes, activation="softmax"),
    ]
)
model.summary()
store("count", model.count_params())
store("shapes", [list(layer.output.shape) for layer in model.layers])

"""
## Train the model
"""

model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=16, epochs=1, validation_split=0.1, verbose=0)
store("keys", sorted(key for key in history.history if key != "learning_rate"))

"""
## Evaluate the trained model
"""

score = model.evaluate(x_train, y_train, verbose=0)
store("score", len(score))

"""
## The numbers of a trained network
"""

small = keras.Sequential(
    [
        keras.Input((6, 6, 1)),
        layers.Conv2D(2, 3, activation="relu", kernel_initializer=keras.initializers.Constant(0.1)),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(2, activation="softmax", kernel_initializer="zeros"),
    ]
)
small.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.SGD(0.5), metrics=["accuracy"])
images = np.linspace(-1, 1, 8 * 36, dtype="float32").reshape(8, 6, 6, 1)
history = small.fit(images, np.eye(2)[np.arange(8) // 4], batch_size=4, epochs=3, shuffle=False, verbose=0)
store("losses", history.history["loss"])
store("probabilities", small.predict(images, verbose=0))
