"""Learning rate finder

One short run with a growing learning rate shows which rates are useful: where the loss falls, and before it explodes.
"""

# %% [markdown]
# The idea is from L. N. Smith, [Cyclical Learning Rates](https://arxiv.org/abs/1506.01186) (2015).

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.2, stratify=y, random_state=0)


def make_model(rate):
    kt.utils.set_random_seed(0)
    model = kt.Sequential([kt.Input((64,)), layers.Dense(64, "relu"), layers.Dense(10)])
    model.compile(kt.optimizers.SGD(rate, momentum=0.9), "cross_entropy", metrics=["accuracy"])
    return model


# %% [markdown]
# `train_on_batch` makes one step and returns the loss of the batch before it.

# %% alt="Loss over the learning rate: flat at 0.001, falling around 0.1, and rising steeply above 1."
rates = np.geomspace(1e-4, 10, 120)
model, random = make_model(rates[0]), np.random.default_rng(0)
losses = []
for rate in rates:
    model.optimizer.learning_rate = rate
    batch = random.choice(len(x), 64, replace=False)
    losses.append(model.train_on_batch(x[batch], y[batch])[0])
smooth = np.convolve(losses, np.ones(7) / 7, mode="same")
best = rates[3:-3][smooth[3:-3].argmin()]

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot(rates, losses, alpha=0.4, label="loss of the batch")
axes.plot(rates[3:-3], smooth[3:-3], label="mean of seven")
axes.axvline(best / 10, color="black", linestyle=":", label="a tenth of the lowest point")
axes.set(xlabel="learning rate", ylabel="loss", xscale="log", ylim=(0, 4))
axes.legend()
plt.show()

# %% [markdown]
# A tenth of the rate with the lowest loss is a safe choice.

# %%
accuracy = {}
for rate in (best / 1000, best / 10, best * 10):
    model = make_model(rate)
    model.fit(x, y, epochs=5, verbose=0)
    accuracy[rate] = model.evaluate(x_test, y_test, verbose=0)[1]
    print(f"learning rate {rate:.5f}: test accuracy {accuracy[rate]:.3f}")
