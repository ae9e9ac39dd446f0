"""Saving: best model, resumed training, weights

The best model of a training is saved to a file and loaded again. A training that was killed resumes where it stopped.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers

kt.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.2, stratify=y, random_state=0)

# %% [markdown]
# `resume` saves the state of the training in a folder while it runs. If the process is killed, run the script again:
# it ends with the same weights as an uninterrupted training. The folder is removed at the end.

# %%
model = kt.Sequential([layers.Dense(64, "relu"), layers.Dropout(0.3), layers.Dense(10, "softmax")])
model.compile(kt.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
checkpoint = callbacks.ModelCheckpoint("best.kt", "val_accuracy", save_best_only=True, verbose=1)
history = model.fit(
    x,
    y,
    epochs=15,
    validation_split=0.2,
    callbacks=[checkpoint],
    resume="training",
    verbose=0,
)

# %% alt="Loss and accuracy over the epochs, with a circle at the epoch with the best validation accuracy."
history.plot()
plt.show()

# %% [markdown]
# The file holds the architecture, the weights, the arguments of `compile` and the state of the optimizer. It contains
# no code, so it is safe to load files from other people.

# %%
best = kt.load_model("best.kt")
loss, accuracy = best.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {accuracy:.3f}")

# %% [markdown]
# The weights alone, in the safetensors format, for a network in plain PyTorch with the same layers.

# %%
best.save_weights("best.weights.safetensors")
print({name: tuple(weight.shape) for name, weight in best.state_dict().items()})
