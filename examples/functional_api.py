"""Two inputs, three outputs: what the two halves of a digit tell, each by itself and together."""

from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import Input, Model
from kerastorch.layers import Concatenate, Dense, Dropout, Flatten

images, digit = load_digits(return_X_y=True)
images = (images / 16).reshape(-1, 8, 8)
x, x_test, y, y_test = train_test_split(images, digit, stratify=digit, random_state=0)


def halves(x):
    """The inputs by name."""
    return {"top": x[:, :4], "bottom": x[:, 4:]}


def answers(x, y):
    """The targets by name: the digit, whether it is odd, and how much ink there is."""
    return {"digit": y, "odd": y % 2, "ink": x.sum((1, 2)) / 4}


kt.utils.set_random_seed(0)
top, bottom = Input((4, 8), name="top"), Input((4, 8), name="bottom")
look = Dense(48, "relu", name="look")  # one layer for both halves
h = Concatenate()([look(Flatten()(top)), look(Flatten()(bottom))])
h = Dropout(0.2)(Dense(64, "relu")(h))
outputs = [Dense(10, "softmax", name="digit")(h), Dense(1, "sigmoid", name="odd")(h), Dense(1, name="ink")(h)]
model = Model([top, bottom], outputs)

model.compile(
    "adam",
    loss={"digit": "sparse_categorical_crossentropy", "odd": "binary_crossentropy", "ink": "mse"},
    loss_weights={"digit": 1.0, "odd": 0.5, "ink": 0.5},
    metrics={"digit": ["accuracy"], "odd": ["accuracy"], "ink": ["mae"]},
)
model.fit(halves(x), answers(x, y), epochs=25, validation_split=0.1, verbose=0)
found = model.evaluate(halves(x_test), answers(x_test, y_test), verbose=0, return_dict=True)

print(model.code)
model.summary()
print(", ".join(f"{name} {value:.3f}" for name, value in found.items()))
print("drawn:", Path(kt.utils.plot_model(model, "model.png", show_shapes=True, show_layer_names=True)).name)
