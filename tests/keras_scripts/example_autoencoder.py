"""
Title: A convolutional autoencoder
"""

import numpy as np
from keras import layers
from keras.models import Model
from results import store


def preprocess(array):
    array = array.astype("float32") / 255.0
    return np.reshape(array, (len(array), 28, 28, 1))


def noise(array):
    noise_factor = 0.4
    noisy_array = array + noise_factor * np.random.normal(loc=0.0, scale=1.0, size=array.shape)
    return np.clip(noisy_array, 0.0, 1.0)


"""
## Data
"""

train_data = preprocess(np.random.randint(0, 256, (16, 28, 28)))
noisy_train_data = noise(train_data)
store("shape", noisy_train_data.shape)

"""
## Build the autoencoder
"""

input = layers.Input(shape=(28, 28, 1))
x = layers.Conv2D(32, (3, 3), activation="relu", padding="same")(input)
x = layers.MaxPooling2D((2, 2), padding="same")(x)
x = layers.Conv2D(32, (3, 3), activation="relu", padding="same")(x)
x = layers.MaxPooling2D((2, 2), padding="same")(x)
x = layers.Conv2DTranspose(32, (3, 3), strides=2, activation="relu", padding="same")(x)
x = layers.Conv2DTranspose(32, (3, 3), strides=2, activation="relu", padding="same")(x)
x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)
autoencoder = Model(input, x)
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
autoencoder.summary()
store("count", [autoencoder.count_params(), autoencoder.output_shape])

"""
## Train it
"""

history = autoencoder.fit(
    x=noisy_train_data,
    y=train_data,
    epochs=1,
    batch_size=8,
    shuffle=True,
    validation_data=(noisy_train_data, train_data),
    verbose=0,
)
store("keys", sorted(key for key in history.history if key != "learning_rate"))
predictions = autoencoder.predict(noisy_train_data[:2], verbose=0)
store("predictions", predictions.shape)

"""
## The transposed convolution's numbers
"""

x = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
for padding in ("same", "valid"):
    for strides in (1, 2):
        layer = layers.Conv2DTranspose(1, 3, strides=strides, padding=padding, kernel_initializer="ones")
        store(f"transposed {padding} {strides}", layer(x)[0, :, :, 0])
store("pooled", layers.MaxPooling2D((3, 3), strides=2, padding="same")(x)[0, :, :, 0])
store("averaged", layers.AveragePooling2D((3, 3), strides=2, padding="same")(x)[0, :, :, 0])
