"""Quickstart: handwritten digits

A small network learns to read images of 8 by 8 pixels. This is a whole project: data, model, training, curves, test.
"""

# %% [markdown]
# The images come with scikit-learn. A fifth of them is set aside for the test.

# %%
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

kt.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x = x / 16  # gray values from 0 to 1
x, x_test, y, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)

# %%
model = kt.Sequential(
    [
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=kt.optimizers.Adam(0.003),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
history = model.fit(x, y, epochs=15, validation_split=0.2)

# %% [markdown]
# The circle marks the epoch with the smallest validation loss.

# %% alt="Loss and accuracy over 15 epochs. Both losses fall and stay close; the accuracy rises above 0.95."
figure = history.plot("digits.png")

# %%
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {accuracy:.3f}")
