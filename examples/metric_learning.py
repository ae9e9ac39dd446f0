"""Metric learning: a map of the digits

A loss on pairs brings images of the same digit together and pushes others apart. The result is a map of two dimensions.
"""

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

import kerastorch as kt
from kerastorch import layers

kt.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.3, stratify=y, random_state=0)

# %% [markdown]
# All pairs of a batch count (R. Hadsell, S. Chopra and Y. LeCun, Dimensionality Reduction by Learning an Invariant
# Mapping, CVPR 2006): equal digits cost their squared distance, different ones cost if they are closer than 1.


# %%
def contrastive(y_true, y_pred):
    """Return the loss of all pairs in a batch of points of the map."""
    squares = (y_pred[:, None] - y_pred).square().sum(dim=2)  # (rows, rows)
    same = y_true[:, None] == y_true
    distances = (squares + 1e-6).sqrt()
    return torch.where(same, squares, (1 - distances).clamp(min=0).square()).mean()


model = kt.Sequential([layers.Dense(128, "relu"), layers.Dense(64, "relu"), layers.Dense(2)])
model.compile(kt.optimizers.Adam(0.003), loss=contrastive)
model.fit(x, y, batch_size=128, epochs=60, verbose=0)

# %% [markdown]
# New images are classified by their five neighbors on the map.

# %% alt="The test digits as points of a plane, colored by class: ten groups, most of them well apart."
points, test_points = model.predict(x), model.predict(x_test)
accuracy = KNeighborsClassifier(5).fit(points, y).score(test_points, y_test)
print(f"Accuracy of the five neighbors: {accuracy:.3f}")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
dots = axes.scatter(*test_points.T, c=y_test, cmap="tab10", s=10)
axes.legend(*dots.legend_elements(), title="digit", ncols=2)
axes.set(xlabel="first coordinate", ylabel="second coordinate")
plt.show()
