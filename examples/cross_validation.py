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
for number, values in enumerate(scores.values()):
    axes.plot([number] * 5, values, "o", alpha=0.5, color="tab:blue", label="fold" if number == 0 else None)
    axes.plot(number, np.mean(values), "_", markersize=40, color="black", label="mean" if number == 0 else None)
axes.set(xlabel="hidden units", ylabel="test accuracy", xticks=range(3), xticklabels=scores)
axes.legend()
plt.show()
