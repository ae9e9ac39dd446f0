"""Time series: forecasting a chaotic signal

A network forecasts the next 24 values of a series from the last 24. A linear model is good for one step only.
"""

# %% [markdown]
# The series follows the equation of Mackey and Glass (Science 197, 1977), a model of blood cells: the change depends on
# the value 17 steps ago.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LinearRegression

import kerastorch as kt
from kerastorch import callbacks, layers

values = [1.2] * 18
for _ in range(4500):
    values.append(0.9 * values[-1] + 0.2 * values[-18] / (1 + values[-18] ** 10))
series = np.array(values[500::2], dtype="float32") - 1.0

windows = np.lib.stride_tricks.sliding_window_view(series, 48)
x, y = windows[:, :24], windows[:, 24:]
x, x_test, y, y_test = x[:1400], x[1448:], y[:1400], y[1448:]  # 48 rows between them: no common value

# %% [markdown]
# The learning rate falls to zero. The small steps at the end make the forecasts precise.

# %%
kt.utils.set_random_seed(0)
model = kt.Sequential([layers.Dense(128, "relu"), layers.Dense(128, "relu"), layers.Dense(24)])
model.compile(kt.optimizers.Adam(0.01), loss="mse")
decay = callbacks.LearningRateScheduler(lambda epoch: 0.01 * (1 - epoch / 20))
model.fit(x, y, epochs=20, callbacks=[decay], verbose=0)

forecasts = {
    "last value": x_test[:, -1:].repeat(24, axis=1),
    "linear model": LinearRegression().fit(x, y).predict(x_test),
    "network": model.predict(x_test),
}
errors = {name: np.sqrt(((one - y_test) ** 2).mean(axis=0)) for name, one in forecasts.items()}

# %% alt="Left: the network follows the series for 24 steps. Right: its error stays small, those of the others grow."
steps = np.arange(1, 25)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(np.arange(-23, 25), np.append(x_test[0], y_test[0]), color="black", label="series")
for name, forecast in forecasts.items():
    left.plot(steps, forecast[0], linestyle="--", label=name)
    right.plot(steps, errors[name], marker=".", label=name)
left.axvline(0.5, color="gray", linestyle=":")
left.set(xlabel="step", ylabel="value")
right.set(xlabel="steps ahead", ylabel="root mean squared error")
left.legend(fontsize="small")
right.legend()
plt.show()
