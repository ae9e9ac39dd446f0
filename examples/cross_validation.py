"""Cross-validation: five folds

With few rows, the test accuracy depends on the split. Five splits show how much: here more than on the model.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

import kerastorch as kt
from kerastorch import layers

x, y = load_wine(return_X_y=True)
x = x[:, :6]  # the first six measurements: all thirteen would make the task too easy


def make_model(units):
    hidden = [layers.Dense(units, "relu")] if units else []
    model = kt.Sequential([*hidden, layers.Dense(3, "softmax")])
    model.compile(kt.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# %% [markdown]
# Each fold has a new model and a new scaler, which learns from the training rows of the fold alone.

# %%
folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(x, y))
scores = {}
for units in (0, 2, 32):
    scores[units] = []
    for train, test in folds:
        kt.utils.set_random_seed(0)
        scaler = StandardScaler().fit(x[train])
        model = make_model(units)
        model.fit(scaler.transform(x[train]), y[train], epochs=40, verbose=0)
        scores[units].append(model.evaluate(scaler.transform(x[test]), y[test], verbose=0)[1])
    print(f"{units:>2} hidden units: accuracy {np.mean(scores[units]):.3f} +- {np.std(scores[units]):.3f}")

# %% alt="The accuracy of each fold as a dot, and the mean of five, for 0, 2 and 32 hidden units."
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
values = np.array([*scores.values()])  # (models, folds)
axes.plot(values, "o", color="tab:blue", alpha=0.5, label=["fold", *[None] * 4])
axes.plot(values.mean(axis=1), "_", color="black", markersize=24, markeredgewidth=2, label="mean")
axes.set(xlabel="hidden units", ylabel="test accuracy", xlim=(-0.5, 2.5), xticks=range(3), xticklabels=scores)
axes.legend(loc="upper center")
plt.show()
