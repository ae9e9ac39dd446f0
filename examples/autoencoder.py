"""Autoencoder: digits through eight numbers

The network describes each image by eight numbers and draws it again, better than eight principal components do.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

kt.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.2, stratify=y, random_state=0)

# %% [markdown]
# Encoder and decoder are models of their own. The target is the input.

# %%
encoder = kt.Sequential([kt.Input((64,)), layers.Dense(64, "relu"), layers.Dense(8)])
decoder = kt.Sequential([kt.Input((8,)), layers.Dense(64, "relu"), layers.Dense(64, "sigmoid")])
autoencoder = kt.Sequential([encoder, decoder])
autoencoder.compile(kt.optimizers.Adam(0.005), loss="mse")
autoencoder.fit(x, x, batch_size=64, epochs=40, verbose=0)
codes = encoder.predict(x_test)  # (images, 8)
copies = autoencoder.predict(x_test)

pca = PCA(8).fit(x)
pca_copies = pca.inverse_transform(pca.transform(x_test))
error, pca_error = ((copies - x_test) ** 2).mean(), ((pca_copies - x_test) ** 2).mean()
print(f"squared error of a pixel: autoencoder {error:.4f}, PCA {pca_error:.4f}")

# %% alt="Ten test digits in the first row, the copies of the autoencoder in the second, those of PCA in the third."
rows = {"original": x_test, "autoencoder": copies, "PCA": pca_copies}
figure, axes = plt.subplots(3, 10, figsize=(8, 2.6), layout="constrained")
for row, (name, images) in zip(axes, rows.items(), strict=True):
    row[0].set_ylabel(name)
    for panel, image in zip(row, images, strict=False):
        panel.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
plt.show()
