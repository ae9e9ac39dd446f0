"""Functional API: two inputs, three outputs

The two halves of a digit enter separately. The outputs are the digit, whether it is odd, and how much ink it has.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import Input, Model
from kerastorch.layers import Concatenate, Dense, Dropout, Flatten

images, labels = load_digits(return_X_y=True)
images = (images / 16).reshape(-1, 8, 8)
x, x_test, y, y_test = train_test_split(images, labels, stratify=labels, random_state=0)


def named(x, y):
    """Return the inputs and the targets by name."""
    return {"top": x[:, :4], "bottom": x[:, 4:]}, {"digit": y, "odd": y % 2, "ink": x.mean((1, 2)) * 16}


# %% [markdown]
# One layer reads both halves, so its weights are shared. `model.code` shows the model as a function.

# %%
kt.utils.set_random_seed(0)
top, bottom = Input((4, 8), name="top"), Input((4, 8), name="bottom")
read = Dense(48, "relu", name="read")
h = Concatenate()([read(Flatten()(top)), read(Flatten()(bottom))])
h = Dropout(0.2)(Dense(64, "relu")(h))
digit, odd = Dense(10, "softmax", name="digit")(h), Dense(1, "sigmoid", name="odd")(h)
model = Model([top, bottom], [digit, odd, Dense(1, name="ink")(h)])
print(model.code)

# %% alt="The graph of the model: both inputs go through the same layer and are joined, then three outputs branch off."
kt.utils.plot_model(model, "model.png", rankdir="LR", show_layer_names=True)
plt.figure(figsize=(8, 2.4), layout="constrained")
plt.imshow(plt.imread("model.png"))
plt.axis("off")
plt.show()

# %% [markdown]
# Each output has its own loss, weight and metrics, by its name.

# %%
model.compile(
    "adam",
    loss={"digit": "sparse_categorical_crossentropy", "odd": "binary_crossentropy", "ink": "mse"},
    loss_weights={"digit": 1.0, "odd": 0.5, "ink": 0.5},
    metrics={"digit": ["accuracy"], "odd": ["accuracy"], "ink": ["mae"]},
)
model.fit(*named(x, y), epochs=15, validation_split=0.1, verbose=0)
scores = model.evaluate(*named(x_test, y_test), verbose=0, return_dict=True)
for name, value in scores.items():
    print(f"{name:>15} {value:.3f}")
