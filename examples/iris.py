"""Subclassing: iris species

A model as a class with its own `forward`. It predicts the species of a flower from four lengths, with one-hot targets.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from torch import nn

import kerastorch as kt
from kerastorch import layers

kt.utils.set_random_seed(0)
iris = load_iris()
x, y = scale(iris.data), iris.target
x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=0)
one_hot = np.eye(3)  # row k is the target of class k

# %% [markdown]
# Layers of kerastorch and modules of PyTorch can be mixed. `compile`, `fit`, `evaluate` and `predict` come from
# `kt.Model`.


# %%
class Net(kt.Model):
    """One hidden layer, and an output for each species."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(16, activation="tanh")
        self.output = nn.LazyLinear(3)

    def forward(self, x):
        return self.output(self.hidden(x))


model = Net()
model.compile(
    optimizer=kt.optimizers.SGD(0.05, momentum=0.9),
    loss=kt.losses.CategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(x, one_hot[y], epochs=100, verbose=0)
_, accuracy = model.evaluate(x_test, one_hot[y_test], verbose=0)
print(f"Test accuracy: {accuracy:.3f}")

# %% alt="Confusion matrix of the test flowers: only versicolor and virginica are confused."
kt.utils.plot_confusion_matrix(y_test, model.predict(x_test), iris.target_names)
plt.show()
