"""Several targets: exercises and bodies

Three exercises predict the weight, the waist and the pulse of twenty men. Without a hidden layer, the result of the
training is known: least squares.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_linnerud
from sklearn.preprocessing import scale

import kerastorch as kt
from kerastorch import layers

data = load_linnerud()
x, y = scale(data.data), scale(data.target)
print("exercises:", *data.feature_names, "| targets:", *data.target_names)

# %% [markdown]
# Twenty rows are one batch, so the loss has no noise, and BFGS finds the minimum in one epoch. The weights are the
# solution of the normal equations.

# %%
kt.utils.set_random_seed(0)
model = kt.Sequential([kt.Input((3,)), layers.Dense(3)])
model.compile(kt.optimizers.BFGS(), loss="mse", metrics=["r2"])
model.fit(x, y, batch_size=20, epochs=1, verbose=0)

weights = model.get_parameter("0.weight").detach().numpy()
exact, *_ = np.linalg.lstsq(x, y, rcond=None)
print(weights.round(3))
print("largest difference to least squares:", f"{abs(weights - exact.T).max():.0e}")

# %% alt="Weights from three exercises to three targets as a heat map; that from sit-ups to the waist is the largest."
figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
image = axes.imshow(weights, cmap="RdBu_r", vmin=-2, vmax=2)
axes.set_xticks(range(3), data.feature_names)
axes.set_yticks(range(3), data.target_names)
for (row, column), value in np.ndenumerate(weights):
    axes.text(column, row, f"{value:.2f}", ha="center", va="center")
figure.colorbar(image, label="weight")
plt.show()
