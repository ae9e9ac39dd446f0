"""Regression: the progress of diabetes after a year, with early stopping and a learned scale."""

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers

kt.utils.set_random_seed(0)
x, y = load_diabetes(return_X_y=True)
x, x_test, y, y_test = train_test_split(x, y, test_size=0.25, random_state=0)
mean, spread = y.mean(), y.std()

model = kt.Sequential([layers.Dense(32, activation="relu", kernel_regularizer="l2"), layers.Dense(1)])
model.compile(optimizer=kt.optimizers.Adam(0.01), loss="mse", metrics=["mae", "r2"])
model.fit(
    x,
    (y - mean) / spread,
    epochs=200,
    validation_split=0.2,
    verbose=0,
    callbacks=[callbacks.EarlyStopping(patience=20, restore_best_weights=True, verbose=1)],
)

scores = model.evaluate(x_test, (y_test - mean) / spread, return_dict=True)
r2 = scores["r2"]
print(f"Test R2: {r2:.3f}, mean error {scores['mae'] * spread:.1f}")
