"""Binary classification: breast cancer

Is a tumor benign or malignant? One sigmoid unit answers, and precision and recall are measured beside the accuracy.
"""

# %% [markdown]
# The data are a pandas DataFrame of 30 measurements. Class 0 is malignant, class 1 is benign. The scale of each
# column is learned from the training rows alone.

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import kerastorch as kt
from kerastorch import layers

kt.utils.set_random_seed(0)
x, y = load_breast_cancer(return_X_y=True, as_frame=True)
x, x_test, y, y_test = train_test_split(x, y, stratify=y, random_state=0)
scaler = StandardScaler().set_output(transform="pandas").fit(x)
x, x_test = scaler.transform(x), scaler.transform(x_test)

# %% [markdown]
# `validation_stratify=True` keeps the proportion of the classes in the validation rows.

# %%
model = kt.Sequential(
    [
        layers.Dense(16, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(
    optimizer=kt.optimizers.Adam(0.003),
    loss="binary_crossentropy",
    metrics=["accuracy", "precision", "recall", "auc"],
)
history = model.fit(x, y, epochs=20, validation_split=0.2, validation_stratify=True, verbose=0)
epoch, best = history.best("val_loss")
print(f"lowest validation loss: {best:.3f} in epoch {epoch}")

# %% [markdown]
# Precision is the share of benign tumors among those that are called benign. Recall is the share of benign tumors that
# are found.

# %%
scores = model.evaluate(x_test, y_test, return_dict=True, verbose=0)
accuracy = scores["accuracy"]
print({name: round(value, 3) for name, value in scores.items()})

# %% alt="Confusion matrix of the test rows. Nearly all counts are on the diagonal."
kt.utils.plot_confusion_matrix(y_test, model.predict(x_test), ["malignant", "benign"])
plt.show()
