"""Regularization: wine with an L2 penalty

With few rows, many weights and useless columns, a network learns by heart. An L2 penalty keeps the weights small.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import kerastorch as kt
from kerastorch import layers, regularizers

x, y = load_wine(return_X_y=True)
x = np.hstack([x, np.random.default_rng(0).normal(size=(len(x), 50))])  # 50 columns of noise
x, x_test, y, y_test = train_test_split(x, y, train_size=36, stratify=y, random_state=0)
scaler = StandardScaler().fit(x)
x, x_test = scaler.transform(x), scaler.transform(x_test)

# %% [markdown]
# The baseline predicts the proportions of the three wines in the training rows for each test row.

# %%
shares = np.bincount(y) / len(y)
baseline = -np.log(shares[y_test]).mean()
print(f"{'baseline':>10}: crossentropy {baseline:.3f}, accuracy {(y_test == shares.argmax()).mean():.3f}")

# %% [markdown]
# `val_loss` includes the penalty, `val_data_loss` does not. So the latter is compared with the model without penalty.

# %% alt="Test crossentropy over 60 epochs: far below the baseline for both models, and lower with the L2 penalty."
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
models, crossentropy = {}, {}
for name, penalty in {"no penalty": None, "L2(0.01)": regularizers.L2(0.01)}.items():
    kt.utils.set_random_seed(0)
    hidden = layers.Dense(64, "relu", kernel_regularizer=penalty)
    model = kt.Sequential([hidden, layers.Dense(3, "softmax", kernel_regularizer=penalty)])
    model.compile(kt.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=60, validation_data=(x_test, y_test), verbose=0).history
    losses = history["val_data_loss" if penalty else "val_loss"]
    models[name], crossentropy[name] = model, losses[-1]
    print(f"{name:>10}: crossentropy {losses[-1]:.3f}, accuracy {history['val_accuracy'][-1]:.3f}")
    axes.plot(range(1, 61), losses, label=name)
axes.axhline(baseline, color="gray", linestyle=":", label="baseline")
axes.set(xlabel="epoch", ylabel="test crossentropy")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
