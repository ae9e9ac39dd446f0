"""Keep the best model of a training, survive a crash, load the model again elsewhere."""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers

kt.utils.set_random_seed(0)
images, labels = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)

model = kt.Sequential([layers.Dense(64, "relu"), layers.Dropout(0.3), layers.Dense(10, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(
    x,
    y,
    epochs=20,
    validation_split=0.2,
    callbacks=[callbacks.ModelCheckpoint("best.kt", "val_accuracy", save_best_only=True, verbose=1)],
    resume="training",  # killed? run this script again: it goes on, and ends with the same numbers
)

best = kt.load_model("best.kt")
loss, accuracy = best.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {accuracy:.3f}")
best.save_weights("best.weights.safetensors")  # for whoever has the same network in plain torch
