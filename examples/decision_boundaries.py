"""Decision boundaries: underfitting and overfitting

Two classes in the plane: one unit draws a straight line, four a curve that fits, two hundred a curve around each point.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import layers

x, y = make_moons(1200, noise=0.3, random_state=0)
x, x_test, y, y_test = train_test_split(x, y, train_size=100, random_state=0)

# %% alt="Regions of two classes for three networks: a straight boundary, one with two bends, and a ragged one."
sizes = {"1 unit": [1], "4 units": [4], "200 units": [100, 100]}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
results = {}
for (name, hidden), panel in zip(sizes.items(), axes, strict=True):
    kt.utils.set_random_seed(0)
    model = kt.Sequential([*(layers.Dense(units, "tanh") for units in hidden), layers.Dense(1, "sigmoid")])
    model.compile(kt.optimizers.Adam(0.03), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=100, epochs=400, verbose=0)
    results[name] = model.evaluate(x, y, verbose=0), model.evaluate(x_test, y_test, verbose=0)
    kt.utils.plot_decision_boundary(model, x, y, resolution=150, ax=panel)
    panel.set_title(name)
plt.show()

# %% [markdown]
# The largest network is right about all training points. On new points it is worse than four units, and its errors are
# expensive: it is sure of them.

# %%
for name, ((loss, accuracy), (test_loss, test_accuracy)) in results.items():
    print(f"{name:>9}: training loss {loss:.2f}, accuracy {accuracy:.2f}")
    print(f"{' ':>9}      test loss {test_loss:.2f}, accuracy {test_accuracy:.2f}")
