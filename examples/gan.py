"""Generative adversarial network: digits on demand

A generator draws digits, a discriminator learns to distinguish them from real ones, and each has its own optimizer
([Goodfellow et al., 2014](https://arxiv.org/abs/1406.2661)). Both networks also get the class of the digit.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

import kerastorch as kt
from kerastorch import layers, optimizers

x, y = load_digits(return_X_y=True)
x = (x / 16).astype("float32")


class GAN(kt.Model):
    """Two networks that are trained against each other."""

    def __init__(self):
        super().__init__()
        wide = [layers.Dense(256, "relu"), layers.Dense(256, "relu"), layers.Dense(64, "sigmoid")]
        self.generator = kt.Sequential([kt.Input((32 + 10,)), *wide])  # random numbers, and the class as one-hot
        answer = [part for _ in range(2) for part in (layers.Dense(256, "leaky_relu"), layers.Dropout(0.4))]
        self.discriminator = kt.Sequential([kt.Input((64 + 10,)), *answer, layers.Dense(1)])

    def forward(self, noise_and_digit):
        return self.generator(noise_and_digit)

    def train_step(self, batch):
        digit = F.one_hot(batch.y.long(), 10).float()
        fake = self(torch.cat([torch.randn(len(digit), 32, device=digit.device), digit], dim=1))
        on_real, on_fake = (self.discriminator(torch.cat([one, digit], 1)) for one in (batch.x, fake.detach()))
        d_loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        self.trainer.minimize(d_loss, "discriminator")
        g_loss = F.softplus(-self.discriminator(torch.cat([fake, digit], 1))).mean()
        self.trainer.minimize(g_loss, "generator")
        return {"d_loss": d_loss, "g_loss": g_loss}


kt.utils.set_random_seed(0)
gan = GAN()
averaged = optimizers.Adam(1e-3, beta_1=0.5, use_ema=True, ema_momentum=0.999)
gan.compile(optimizer={"generator": averaged, "discriminator": optimizers.Adam(1e-3, beta_1=0.5)})
gan.fit(x, y, batch_size=64, epochs=120, verbose=0)
digits = np.repeat(np.arange(10), 10)
drawn = gan.predict(np.hstack([np.random.default_rng(0).normal(size=(100, 32)), np.eye(10)[digits]]))

# %% alt="Two squares of ten by ten digits, one class in each row. The generated ones look like the real ones."
rows = {"real": np.concatenate([x[y == digit][:10] for digit in range(10)]), "generated": drawn}
figure, axes = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
for panel, (name, images) in zip(axes, rows.items(), strict=True):
    framed = np.pad(images.reshape(10, 10, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    panel.imshow(framed.swapaxes(1, 2).reshape(100, 100), cmap="gray_r")
    panel.set(title=name, xticks=[], yticks=[])
plt.show()
