"""Convolutional network: few images and augmentation

200 digits are few. Random shifts by a pixel make new images of them while the network trains.
"""

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

images, labels = load_digits(return_X_y=True)
images = (images / 16).reshape(-1, 1, 8, 8)  # (rows, channels, height, width)
x, x_test, y, y_test = train_test_split(
    images, labels, train_size=200, test_size=1000, stratify=labels, random_state=0
)  # fmt: skip
shift = layers.RandomTranslation(0.125, 0.125, fill_mode="constant", interpolation="nearest")

# %% [markdown]
# One digit and nine shifted copies of it. In training the layer draws a new shift for each image of each batch. In
# `evaluate` and `predict` it does nothing.

# %% alt="The digit 4 ten times: as it is, and shifted by up to one pixel."
kt.utils.set_random_seed(0)
copies = torch.tensor(x[:1], dtype=torch.float32).repeat(10, 1, 1, 1)
copies[1:] = shift.train()(copies[1:])
kt.utils.plot_predictions(copies, y[:1].repeat(10), columns=10)
plt.show()

# %%
accuracy = {}
for augmented in (False, True):
    kt.utils.set_random_seed(0)
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
    model.compile(kt.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=50, verbose=0)
    accuracy[augmented] = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]

model.summary()
print(f"test accuracy: {accuracy[False]:.3f}, with shifts {accuracy[True]:.3f}")
