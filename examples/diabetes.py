"""Regression: diabetes, with early stopping

How far has the disease progressed after a year? Training stops when the validation loss no longer falls.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers

kt.utils.set_random_seed(0)
x, y = load_diabetes(return_X_y=True)
x, x_test, y, y_test = train_test_split(x, y, random_state=0)

# %% [markdown]
# Targets around 150 are far from the first outputs of a network, which are around 0. So the targets are
# standardized, with the mean and the spread of the training rows.

# %%
mean, spread = y.mean(), y.std()

model = kt.Sequential([layers.Dense(32, "relu", kernel_regularizer="l2"), layers.Dense(1)])
model.compile(kt.optimizers.Adam(0.01), loss="mse", metrics=["r2"])
history = model.fit(
    x,
    (y - mean) / spread,
    epochs=200,
    validation_split=0.2,
    callbacks=[callbacks.EarlyStopping(patience=15, restore_best_weights=True, verbose=1)],
    verbose=0,
)

# %% [markdown]
# `loss` includes the L2 penalty of the first layer. `data_loss` is the squared error alone.

# %% alt="Loss, squared error and R squared over the epochs, for training and validation."
history.plot()
plt.show()

# %% alt="Predicted over true values of the test rows, around the diagonal; large values are predicted too small."
r2 = model.evaluate(x_test, (y_test - mean) / spread, return_dict=True, verbose=0)["r2"]
predicted = model.predict(x_test)[:, 0] * spread + mean
print(f"Test R2: {r2:.3f}, mean absolute error: {abs(predicted - y_test).mean():.1f}")

figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
axes.scatter(y_test, predicted, s=12)
axes.axline((150, 150), slope=1, color="black", linewidth=1)
axes.set(xlabel="true progression", ylabel="predicted progression", aspect="equal")
plt.show()
