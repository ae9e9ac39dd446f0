"""200 images are few: a convolutional network on digits, with and without random shifts while it trains."""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

images, labels = load_digits(return_X_y=True)
images = (images / 16).reshape(-1, 1, 8, 8)  # (rows, channels, height, width)
x, x_test, y, y_test = train_test_split(images, labels, train_size=200, stratify=labels, random_state=0)

accuracy = {}
for augmented in (False, True):
    kt.utils.set_random_seed(0)
    shift = layers.RandomTranslation(0.125, 0.125, fill_mode="constant", interpolation="nearest")  # by up to a pixel
    model = kt.Sequential(
        [
            kt.Input((1, 8, 8)),
            *([shift] if augmented else []),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=120, verbose=0)
    accuracy[augmented] = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]

model.summary()
print(f"test accuracy: {accuracy[False]:.3f}, with shifts {accuracy[True]:.3f}")
