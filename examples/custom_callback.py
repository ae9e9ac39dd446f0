"""Custom callback: watching a prediction

A callback looks at the same image after each epoch. The picture shows when the network changes its mind.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers

kt.utils.set_random_seed(0)
x, y = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(x / 16, y, test_size=0.2, stratify=y, random_state=0)

# %% [markdown]
# A callback overrides the hooks that it needs. What it puts into `logs` becomes a part of the history.


# %%
class Watch(callbacks.Callback):
    """Stores the probabilities of one image after each epoch, and logs how sure the model is."""

    logs_added = ("confidence",)

    def __init__(self, image):
        self.image = image[None]

    def on_train_begin(self, logs=None):
        self.probabilities = []

    def on_epoch_end(self, epoch, logs=None):
        self.probabilities.append(self.model.predict_on_batch(self.image)[0])
        logs["confidence"] = self.probabilities[-1].max()


hard = 7
watch = Watch(x_test[hard])
model = kt.Sequential([layers.Dense(32, "relu"), layers.Dense(10, "softmax")])
model.compile(kt.optimizers.Adam(0.002), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=30, callbacks=[watch], verbose=0)

# %% alt="The watched digit, and the probabilities of its likeliest classes over the epochs."
probabilities = np.array(watch.probabilities)  # (epochs, 10)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), width_ratios=[1, 2.5], layout="constrained")
left.imshow(x_test[hard].reshape(8, 8), cmap="gray_r")
left.set(title=f"a {y_test[hard]}", xticks=[], yticks=[])
for digit in np.argsort(probabilities.max(axis=0))[-3:]:
    right.plot(range(1, 31), probabilities[:, digit], label=f"{digit}")
right.set(xlabel="epoch", ylabel="probability")
right.legend(title="digit")
plt.show()
