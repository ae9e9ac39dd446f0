"""Variational autoencoder: drawing digits

Each image becomes a small region of a plane. Points of the plane between the images become digits that nobody wrote.
"""

# %% [markdown]
# The loss has two parts: how well the image is drawn again, and how far the regions are from a standard normal
# distribution (D. P. Kingma and M. Welling, [Auto-Encoding Variational Bayes](https://arxiv.org/abs/1312.6114), 2013).

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits

import kerastorch as kt
from kerastorch import layers

x, y = load_digits(return_X_y=True)
x = x / 16


class VAE(kt.Model):
    """An encoder to the mean and the log variance of two numbers, and a decoder."""

    def __init__(self):
        super().__init__()
        self.encoder = kt.Sequential([kt.Input((64,)), layers.Dense(64, "relu"), layers.Dense(4)])
        self.decoder = kt.Sequential([kt.Input((2,)), layers.Dense(64, "relu"), layers.Dense(64)])

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        self.add_loss(divergence / 64)
        return self.decoder(mean + torch.randn_like(mean) * (log_variance / 2).exp())

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return super().compute_loss(x, x, y_pred, sample_weight)


# %%
kt.utils.set_random_seed(0)
model = VAE()
model.compile(kt.optimizers.Adam(0.005), loss=kt.losses.BinaryCrossentropy(from_logits=True))
model.fit(x, batch_size=64, epochs=40, verbose=0)

# %% [markdown]
# The decoder draws the points of a grid, from -2 to 2 in both directions.

# %% alt="Fifteen rows of fifteen drawn digits, which change smoothly from one shape into another."
size = 15
first, second = np.meshgrid(np.linspace(-2, 2, size), np.linspace(2, -2, size))
points = np.stack([first.ravel(), second.ravel()], axis=1)
drawn = 1 / (1 + np.exp(-model.decoder.predict(points)))  # logits to gray values
framed = np.pad(drawn.reshape(size, size, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
picture = framed.swapaxes(1, 2).reshape(10 * size, 10 * size)

plt.figure(figsize=(6, 6), layout="constrained")
plt.imshow(picture, cmap="gray_r", extent=(-2, 2, -2, 2))
plt.show()
