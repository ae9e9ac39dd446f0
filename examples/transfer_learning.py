"""Transfer learning: a new question, few labels

A network has learned to read digits. Its frozen features answer another question from few examples: is there a loop?
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

x, y = load_digits(return_X_y=True)
x, x_new, y, y_new = train_test_split(x / 16, y, train_size=1000, stratify=y, random_state=0)
loop = np.isin(y_new, [0, 6, 8, 9]).astype(int)  # the new question
x_test, loop_test = x_new[200:], loop[200:]


def make_features():
    return kt.Sequential([kt.Input((64,)), layers.Dense(64, "relu"), layers.Dense(16, "tanh")])


# %% [markdown]
# First, the features are trained with the digits. The last layer is thrown away.

# %%
kt.utils.set_random_seed(0)
features = make_features()
reader = kt.Sequential([features, layers.Dense(10, "softmax")])
reader.compile(kt.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
reader.fit(x, y, epochs=15, verbose=0)
learned = [weight.detach().clone() for weight in features.parameters()]

# %% [markdown]
# `trainable = False` freezes the features, so that only the new output is trained.

# %% alt="Test accuracy over the number of labeled images, 10 to 160: with transferred features clearly higher."
features.trainable = False
sizes = [10, 20, 40, 80, 160]
accuracy = {"transferred": [], "from scratch": []}
for size in sizes:
    for name, part in {"transferred": features, "from scratch": make_features()}.items():
        model = kt.Sequential([part, layers.Dense(1, "sigmoid")])
        model.compile(kt.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
        model.fit(x_new[:size], loop[:size], epochs=40, verbose=0)
        accuracy[name].append(model.evaluate(x_test, loop_test, verbose=0)[1])

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for name, values in accuracy.items():
    axes.plot(sizes, values, marker="o", label=name)
axes.set(xlabel="labeled images", ylabel="test accuracy", xscale="log", xticks=sizes, xticklabels=sizes)
axes.grid(alpha=0.3)
axes.legend()
plt.show()
