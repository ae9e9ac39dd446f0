"""Physics-informed network: a differential equation

The network learns the solution of u'' = -u with u(0) = 0 and u'(0) = 1, the sine, from the equation alone.
"""

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch

import kerastorch as kt
from kerastorch import layers

# %% [markdown]
# The network computes $n(t)$, and $u(t) = t + t^2 n(t)$ has the initial values for every $n$. The loss is the mean
# square of $u'' + u$, so the steps need derivatives with respect to the inputs.


# %%
class Oscillator(kt.Sequential):
    """Learns u'' = -u."""

    def predict_step(self, t):
        return t + t**2 * self(t)

    def residual(self, t):
        t = t.detach().requires_grad_()
        u = self.predict_step(t)
        (slope,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), t, create_graph=True)
        return (curvature + u).square().mean()

    def train_step(self, data):
        loss = self.residual(data)
        self.trainer.backward_and_step(loss)
        return {"loss": loss}

    def test_step(self, data):
        return {"loss": self.residual(data)}


# %% [markdown]
# `gradients_in_evaluation=True` records gradients in the validation, too. L-BFGS takes all points at once.

# %%
kt.utils.set_random_seed(0)
t = np.random.default_rng(0).uniform(0, 6, (200, 1))
grid = np.linspace(0, 6, 121)[:, None]
model = Oscillator([layers.Dense(20, "tanh"), layers.Dense(20, "tanh"), layers.Dense(1)])
optimizer = partial(torch.optim.LBFGS, max_iter=50, line_search_fn="strong_wolfe")
model.compile(optimizer, gradients_in_evaluation=True)
history = model.fit(t, batch_size=200, epochs=8, validation_data=grid, verbose=0)
u = model.predict(grid)

# %% alt="The solution of the network for t from 0 to 6 lies on the sine."
plt.plot(grid, np.sin(grid), color="0.75", linewidth=5, label="sine")
plt.plot(grid, u, label="network")
plt.legend(title=f"largest error: {abs(u - np.sin(grid)).max():.4f}")
