"""LSTM: adding two marked numbers

A sequence holds random numbers, two of which are marked. The LSTM must find both, remember the first, and add.
"""

# %% [markdown]
# The task is from S. Hochreiter and J. Schmidhuber, Long Short-Term Memory (Neural Computation 9, 1997). A step has two
# values: the number, and a 1 if it is marked.

# %%
import matplotlib.pyplot as plt
import numpy as np

import kerastorch as kt
from kerastorch import layers

steps, rows = 10, 3000
random = np.random.default_rng(0)
numbers, marks = random.random((rows, steps)), np.zeros((rows, steps))
for row in marks:
    row[random.choice(steps, 2, replace=False)] = 1
x, y = np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1)  # (rows, steps, 2), (rows,)
x, x_test, y, y_test = x[:2500], x[2500:], y[:2500], y[2500:]
print("numbers:", *x[0, :, 0].round(2), "| marks:", *x[0, :, 1].astype(int), "| sum:", y[0].round(2))

# %% [markdown]
# The mean of all sums is 1. A model that always answers 1 has a squared error of about 1/6.

# %%
kt.utils.set_random_seed(0)
model = kt.Sequential([kt.Input((steps, 2)), layers.LSTM(24), layers.Dense(1)])
model.compile(kt.optimizers.Adam(0.01, clipnorm=1.0), loss="mse")
history = model.fit(x, y, batch_size=64, epochs=20, validation_data=(x_test, y_test), verbose=0)
error = history.history["val_loss"][-1]
print(f"squared error: always 1: {np.mean((y_test - 1) ** 2):.4f}, LSTM: {error:.4f}")

# %% alt="Loss over 20 epochs: it falls slowly at first, and is close to zero after epoch 10."
history.plot()
plt.show()
