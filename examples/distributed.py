"""Several processes: one script for python and torchrun

The script runs in one process as it is. `torchrun --nproc-per-node=2 distributed.py` starts it in two, which train one
model together.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers

kt.utils.set_random_seed(0)
with kt.distribution.main_first():  # rank 0 reads, downloads or prepares the data before the others do
    x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.2, stratify=y, random_state=0)

# %% [markdown]
# All processes are given the same data. Each computes its part of every batch: `batch_size` is that of the whole batch,
# and the gradients are averaged. Loss and metrics in the logs are those of all rows.

# %%
model = kt.Sequential([layers.Dense(64, "relu"), layers.Dense(10, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    x,
    y,
    batch_size=64,
    epochs=15,
    validation_split=0.2,
    callbacks=[callbacks.EarlyStopping(patience=3)],
    resume="training",  # with torchrun --max-restarts=3, a training whose process was killed resumes by itself
    verbose=0,
)

# %% [markdown]
# `evaluate` and `predict` return the result for all rows in every process. What only one process needs is written
# after `if rank() == 0`, such as printing and plots. `save` is called by all of them, and writes the file once.

# %%
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
predictions = model.predict(x_test, verbose=0)
model.save("digits.kt")
if kt.distribution.rank() == 0:
    share = (predictions.argmax(1) == y_test).mean()
    print(f"Processes: {kt.distribution.world_size()}")
    print(f"Test accuracy: {accuracy:.3f}; of {len(predictions)} predictions, {share:.3f} are right")

# %% alt="Loss and accuracy over the epochs, of training and validation."
if kt.distribution.rank() == 0:
    history.plot()
    plt.show()
