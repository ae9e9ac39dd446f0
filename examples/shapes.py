"""Image classification: drawn shapes

Circles, squares and triangles in noise, drawn by a few lines of code. A small convolutional network tells them apart.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import kerastorch as kt
from kerastorch import layers

random = np.random.default_rng(0)
size, names = 20, ["circle", "square", "triangle"]
rows, columns = np.mgrid[:size, :size]


def draw(kind):
    """Return an image of a shape at a random place, in a random size, with noise."""
    radius = random.uniform(3.5, 6)
    row, column = random.uniform(radius, size - radius, 2)
    down, right = (rows - row) / radius, (columns - column) / radius
    inside = {
        "circle": down**2 + right**2 < 1,
        "square": np.maximum(abs(down), abs(right)) < 0.85,
        "triangle": (down < 0.8) & (2 * abs(right) < down + 1.2),
    }[kind]
    return 0.8 * inside + 0.25 * random.normal(size=(size, size))


y = random.integers(0, 3, 900)
x = np.stack([draw(names[label]) for label in y]).astype("float32")[:, None]  # (images, 1, 20, 20)
x, x_test, y, y_test = x[:600], x[600:], y[:600], y[600:]

# %% [markdown]
# Shapes may be at any place, so the network ends in the maximum over all places.

# %%
kt.utils.set_random_seed(0)
model = kt.Sequential(
    [
        kt.Input((1, size, size)),
        layers.Conv2D(16, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(32, 5, activation="relu"),
        layers.GlobalMaxPooling2D(),
        layers.Dense(3, "softmax"),
    ]
)
model.compile(kt.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=10, verbose=0)
accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
print(f"Test accuracy: {accuracy:.3f}")

# %% alt="Sixteen noisy test images of circles, squares and triangles with their true and predicted names."
kt.utils.plot_predictions(x_test, y_test, model.predict(x_test), class_names=names, n=16, columns=8)
plt.show()
