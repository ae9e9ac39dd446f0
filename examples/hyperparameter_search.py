"""Hyperparameter search with Optuna: end bad trials early

Optuna proposes a width, a dropout rate and a learning rate for each trial. A callback reports the validation loss after
each epoch, and ends the trials that are worse than the others at that epoch. Optuna: `pip install optuna`.
"""

# %%
import matplotlib.pyplot as plt
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerastorch as kt
from kerastorch import callbacks, layers

optuna.logging.set_verbosity(optuna.logging.WARNING)
x, y = load_digits(return_X_y=True)
x_rest, x_test, y_rest, y_test = train_test_split(x / 16, y, test_size=500, stratify=y, random_state=0)
x_train, x_val, y_train, y_val = train_test_split(x_rest, y_rest, test_size=400, stratify=y_rest, random_state=0)


def make_model(trial):
    units = trial.suggest_int("units", 8, 64, log=True)
    dropout = trial.suggest_float("dropout", 0.0, 0.6)
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    model = kt.Sequential([layers.Dense(units, "relu"), layers.Dropout(dropout), layers.Dense(10, "softmax")])
    model.compile(kt.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# %% [markdown]
# The seed of a trial depends on its number, so that each trial can be repeated. The value of a trial is that of its
# best epoch.


# %%
def objective(trial):
    kt.utils.set_random_seed(trial.number)
    model, pruning = make_model(trial), callbacks.OptunaPruning(trial, "val_loss")
    stopping = callbacks.EarlyStopping("val_loss", patience=5)
    model.fit(x_train, y_train, epochs=20, validation_data=(x_val, y_val), callbacks=[stopping, pruning], verbose=0)
    return pruning.best


study = optuna.create_study(
    sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.MedianPruner(n_warmup_steps=3)
)
study.optimize(objective, n_trials=20)
pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
print(f"best: {study.best_value:.3f} with {study.best_params}; {len(pruned)} of {len(study.trials)} trials pruned")

# %% alt="The validation loss of 20 trials. Gray lines of pruned trials end early; the best one is orange."
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for trial in study.trials:
    color = "lightgray" if trial in pruned else "tab:blue" if trial.value > study.best_value else "tab:orange"
    axes.plot(*zip(*trial.intermediate_values.items(), strict=True), color=color, marker=".", alpha=0.8)
axes.set(xlabel="epoch", ylabel="validation loss", yscale="log")
plt.show()
