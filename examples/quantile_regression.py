"""Custom loss: quantiles instead of means

Three outputs learn the 10 %, 50 % and 90 % quantiles of a target. They show where the target is uncertain.
"""

# %% [markdown]
# The pinball loss has its minimum at the quantile (R. Koenker and G. Bassett, Regression Quantiles, Econometrica 46,
# 1978). A loss is a function of the targets and the outputs.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import kerastorch as kt
from kerastorch import layers

quantiles = torch.tensor([0.1, 0.5, 0.9])


def pinball(y_true, y_pred):
    error = y_true.expand_as(y_pred) - y_pred  # (rows, 3)
    return torch.maximum(quantiles * error, (quantiles - 1) * error).mean()


random = np.random.default_rng(0)


def sample(rows):
    """Return points of a curve whose noise grows from left to right."""
    x = random.uniform(0, 1, (rows, 1))
    return x, np.sin(6 * x) + (0.1 + 0.6 * x) * random.normal(size=(rows, 1))


x, y = sample(2000)
x_test, y_test = sample(2000)

# %%
kt.utils.set_random_seed(0)
model = kt.Sequential([layers.Dense(32, "tanh"), layers.Dense(32, "tanh"), layers.Dense(3)])
model.compile(kt.optimizers.Adam(0.005), loss=pinball)
model.fit(x, y, batch_size=256, epochs=80, verbose=0)
below = (y_test < model.predict(x_test)).mean(axis=0)
print("share of test targets below each output:", *below.round(2))

# %% alt="Noisy points along a curve, its predicted median, and a band of 80 % that widens to the right."
line = np.linspace(0, 1, 200)[:, None]
low, median, high = model.predict(line).T
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.scatter(x[:400], y[:400], s=6, color="gray", label="data")
axes.plot(line, median, label="median")
axes.fill_between(line[:, 0], low, high, alpha=0.3, label="80 % of the data")
axes.set(xlabel="x", ylabel="y")
axes.legend()
plt.show()
