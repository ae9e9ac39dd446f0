"""Optimizers: first and second order

Gradient descent, Adam, conjugate gradients and BFGS fit the same small network. With few data, curvature helps a lot.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import kerastorch as kt
from kerastorch import layers, optimizers

x = np.linspace(-1, 1, 60)[:, None]
y = np.sin(4 * x)

# %% [markdown]
# All rows are one batch, so the loss is the same function in each step. Gradient descent and Adam make one step in an
# epoch. For the others, `max_iter` is the number of iterations of a step.

# %%
makers = {
    "gradient descent": lambda n: (optimizers.SGD(0.1), n),
    "Adam": lambda n: (optimizers.Adam(0.02), n),
    "conjugate gradients": lambda n: (optimizers.ConjugateGradient(max_iter=n), 1),
    "BFGS": lambda n: (optimizers.BFGS(max_iter=n), 1),
}
iterations = [1, 3, 10, 30, 100, 300]
losses = {}
for name, make in makers.items():
    losses[name] = []
    for n in iterations:
        kt.utils.set_random_seed(0)
        model = kt.Sequential([kt.Input((1,)), layers.Dense(10, "tanh"), layers.Dense(1)])
        optimizer, epochs = make(n)
        model.compile(optimizer, loss="mse")
        model.fit(x, y, batch_size=60, epochs=epochs, verbose=0)
        losses[name].append(model.evaluate(x, y, verbose=0))
    print(f"{name:>20}: loss {losses[name][-1]:.1e} after {n} iterations")

# %% alt="Loss over iterations, both logarithmic: BFGS falls fastest, then conjugate gradients, Adam, gradient descent."
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for name, values in losses.items():
    axes.plot(iterations, values, marker="o", label=name)
axes.set(xlabel="iterations", ylabel="mean squared error", xscale="log", yscale="log")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
