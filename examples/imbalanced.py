"""Imbalanced classes: weights and thresholds

Few tumors are malignant here, and a model that overlooks them still has a high accuracy. Class weights and a lower
threshold find more of them.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import kerastorch as kt
from kerastorch import layers

x, y = load_breast_cancer(return_X_y=True)
x, y = x[:, :5], 1 - y  # five columns; 1 is malignant
x, x_test, y, y_test = train_test_split(x, y, test_size=0.4, stratify=y, random_state=0)
few = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:15]])
x, y = x[few], y[few]
scaler = StandardScaler().fit(x)
x, x_test = scaler.transform(x), scaler.transform(x_test)
print("training rows of each class:", np.bincount(y))

# %% [markdown]
# With these weights both classes contribute equally to the loss.

# %%
balanced = {label: len(y) / (2 * count) for label, count in enumerate(np.bincount(y))}
scores = {}
for name, class_weight in {"plain": None, "weighted": balanced}.items():
    kt.utils.set_random_seed(0)
    model = kt.Sequential([layers.Dense(16, "relu"), layers.Dense(1, "sigmoid")])
    model.compile(kt.optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy", "precision", "recall"])
    model.fit(x, y, epochs=60, class_weight=class_weight, verbose=0)
    scores[name] = model.evaluate(x_test, y_test, return_dict=True, verbose=0)
    scores[name]["probability"] = model.predict(x_test)[:, 0]
    print(name, {key: round(scores[name][key], 3) for key in ("accuracy", "precision", "recall")})

# %% [markdown]
# The threshold of 0.5 is a choice. Each one gives a point on the curve. Choose it on validation rows in a real project.

# %% alt="Precision over recall for both models; at the threshold 0.5 the plain model has less recall."
figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
for name, found in scores.items():
    precision, recall, _ = precision_recall_curve(y_test, found["probability"])
    (line,) = axes.plot(recall, precision, label=name)
    axes.plot(found["recall"], found["precision"], "o", color=line.get_color(), label=f"{name}, threshold 0.5")
axes.set(xlabel="recall", ylabel="precision")
axes.legend()
plt.show()
