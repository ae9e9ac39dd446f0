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
        self.encoder = kt.Sequential([kt.Input((64,)), layers.Dense(256, "relu"), layers.Dense(4)])
        self.decoder = kt.Sequential([kt.Input((2,)), layers.Dense(256, "relu"), layers.Dense(64)])

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
model.fit(x, batch_size=64, epochs=100, verbose=0)

# %% [markdown]
# Above: images and their reconstructions. Below: the decoder draws a grid of points, from -2 to 2 in both directions.

# %% alt="A row of ten digits, their blurred reconstructions, and a square of drawn digits, which change smoothly."
means = model.encoder.predict(x)[:, :2]
points = np.stack(np.meshgrid(np.linspace(-2, 2, 15), np.linspace(2, -2, 15)), axis=-1).reshape(-1, 2)
again, drawn = (1 / (1 + np.exp(-model.decoder.predict(one))) for one in (means, points))  # logits to gray values

figure, axes = plt.subplots(2, figsize=(6, 7.4), height_ratios=[1, 5], layout="constrained")
for panel, images, columns in zip(axes, [np.concatenate([x[:10], again[:10]]), drawn], [10, 15], strict=True):
    framed = np.pad(images.reshape(-1, columns, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    panel.imshow(framed.swapaxes(1, 2).reshape(-1, 10 * columns), cmap="gray_r")
    panel.axis("off")
plt.show()
