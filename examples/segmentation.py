"""Segmentation: find a disk, pixel by pixel

The output is an image: the probability of each pixel that it belongs to a disk, which is hidden in noise.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import kerastorch as kt
from kerastorch import layers

random = np.random.default_rng(0)
size, count = 20, 500
rows, columns = np.mgrid[:size, :size]
centers = random.uniform(4, size - 4, (count, 2, 1, 1))
radii = random.uniform(3, 6, (count, 1, 1))
disks = (rows - centers[:, 0]) ** 2 + (columns - centers[:, 1]) ** 2 < radii**2
y = disks[:, None].astype("float32")  # (images, 1, 20, 20)
x = (y + random.normal(size=y.shape)).astype("float32")
x, x_test, y, y_test = x[:400], x[400:], y[:400], y[400:]

# %% [markdown]
# The first half of the network reduces the resolution, the second half restores it. `iou` is the area of the
# intersection of prediction and truth, divided by that of their union.

# %%
kt.utils.set_random_seed(0)
model = kt.Sequential(
    [
        kt.Input((1, size, size)),
        layers.Conv2D(8, 5, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(16, 5, padding="same", activation="relu"),
        layers.UpSampling2D(2),
        layers.Conv2D(8, 5, padding="same", activation="relu"),
        layers.Conv2D(1, 1, activation="sigmoid"),
    ]
)
model.compile(kt.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy", "iou"])
model.fit(x, y, epochs=8, verbose=0)
scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
print({name: round(value, 3) for name, value in scores.items()})

# %% alt="Eight noisy test images, the predicted probabilities of the pixels, and the true disks: nearly the same."
pictures = {"image": x_test, "predicted": model.predict(x_test), "true": y_test}
figure, axes = plt.subplots(3, 8, figsize=(8, 3.2), layout="constrained")
for line, (name, images) in zip(axes, pictures.items(), strict=True):
    line[0].set_ylabel(name)
    for panel, image in zip(line, images, strict=False):
        panel.imshow(image[0], cmap="gray")
        panel.set(xticks=[], yticks=[])
plt.show()
