"""Three kinds of iris from four lengths: one-hot targets and a model written as a class."""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from torch import nn

import kerastorch as kt
from kerastorch import layers


class Net(kt.Model):
    """A `forward` of its own; `fit` and the rest come with `kt.Model`."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(16, activation="tanh")
        self.output = nn.LazyLinear(3)

    def forward(self, x):
        return self.output(self.hidden(x))


kt.utils.set_random_seed(0)
x, y = load_iris(return_X_y=True)
x = scale(x)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.3, random_state=0, stratify=y)
one_hot = np.eye(3)

model = Net()
model.compile(
    optimizer=kt.optimizers.SGD(0.05, momentum=0.9),
    loss=kt.losses.CategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(x, one_hot[y], epochs=100, verbose=0)
_, accuracy = model.evaluate(x_test, one_hot[y_test])
print(f"Test accuracy: {accuracy:.3f}")
