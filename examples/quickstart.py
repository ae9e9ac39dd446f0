"""Handwritten digits, 8 x 8 pixels: train, look at the curves, test."""

import sys

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers, regularizers

kt.utils.set_random_seed(0)
images, labels = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)

model = kt.Sequential(
    [
        layers.Dense(64, activation="relu", kernel_regularizer=regularizers.L2(1e-4)),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    x,
    y,
    epochs=30,
    batch_size=32,
    validation_split=0.2,
    callbacks=[callbacks.EarlyStopping(patience=3, restore_best_weights=True)],
)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {accuracy:.3f}")
picture = sys.argv[1] if len(sys.argv) > 1 else "digits.png"
history.plot(picture)
print(f"Curves: {picture}")
