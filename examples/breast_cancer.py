"""Benign or malignant: two classes, one sigmoid, precision and recall beside accuracy."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import kerastorch as kt
from kerastorch import layers

kt.utils.set_random_seed(0)
x, y = load_breast_cancer(return_X_y=True, as_frame=True)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
scaler = StandardScaler().set_output(transform="pandas").fit(x)

model = kt.Sequential([layers.Dense(16, activation="relu"), layers.Dropout(0.2), layers.Dense(1, activation="sigmoid")])
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy", "precision", "recall", "auc"])
model.fit(scaler.transform(x), y, epochs=60, validation_split=0.2, validation_stratify=True, verbose=0)

scores = model.evaluate(scaler.transform(x_test), y_test, return_dict=True)
accuracy = scores["accuracy"]
print(f"Test accuracy: {accuracy:.3f}")
