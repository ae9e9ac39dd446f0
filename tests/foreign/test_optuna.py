"""OptunaPruning: what studies hold of trials that `fit` trained, and how `fit` ends if a trial is pruned."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import BackupAndRestore, EarlyStopping, LambdaCallback, OptunaPruning

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.ERROR)

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = (X @ np.array([1.0, -2.0, 0.5, 0.0], "float32"))[:, None]


class Always(optuna.pruners.BasePruner):
    """Prunes each trial at a step."""

    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return trial.last_step >= self.step


def fitted(callbacks, rate=0.05, epochs=4, seed=0, model=None, **options):
    kt.utils.set_random_seed(seed)
    model = model or kt.Sequential([kt.layers.Dense(4, "tanh"), kt.layers.Dropout(0.2), kt.layers.Dense(1)])
    model.compile(kt.optimizers.SGD(rate), "mse", metrics=["mae"])
    options = {"validation_data": (X[40:], Y[40:])} | options
    model.fit(X[:40], Y[:40], epochs=epochs, verbose=0, callbacks=callbacks, **options)
    return model


def only_trial(objective, pruner=None, **options):
    study = optuna.create_study(pruner=pruner or optuna.pruners.NopPruner(), **options)
    study.optimize(objective, n_trials=1)
    return study.trials[0]


def test_each_epoch_is_reported_under_its_number():
    histories = []

    def objective(trial):
        histories.append(fitted([OptunaPruning(trial)]).history.history)
        return 0.0

    trial = only_trial(objective)
    assert trial.intermediate_values == dict(enumerate(histories[0]["val_loss"]))
    assert trial.state.name == "COMPLETE"


def test_an_interval_reports_every_second_epoch():
    trial = only_trial(lambda trial: fitted([OptunaPruning(trial, interval=2)], epochs=5) and 0.0)
    assert list(trial.intermediate_values) == [1, 3]


def test_epochs_without_validation_are_not_reported():
    trial = only_trial(lambda trial: fitted([OptunaPruning(trial)], validation_freq=2) and 0.0)
    assert list(trial.intermediate_values) == [1, 3]


def test_a_pruned_trial_ends_after_all_callbacks_have_seen_its_epoch():
    seen, models = [], []
    model = kt.Sequential([kt.layers.Dense(4, "tanh"), kt.layers.BatchNormalization(), kt.layers.Dense(1)])
    after = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch), on_train_end=lambda logs: seen.append("end")
    )

    def objective(trial):
        pruning = OptunaPruning(trial)
        try:
            fitted([pruning, after], epochs=9, model=model)
        finally:
            models.append(pruning)

    trial = only_trial(objective, Always(2))
    assert trial.state.name == "PRUNED"
    assert seen == [0, 1, 2, "end"]
    assert model.history.epoch == [0, 1, 2]
    assert trial.value == model.history["val_loss"][2]  # Optuna takes the last value
    assert models[0].pruned_epoch == 2
    assert all(part.training for part in model.modules())  # as a model is before its first fit
    assert not any(part._forward_hooks for part in model.modules())


def test_a_pruned_model_can_be_trained_further():
    models = []

    def objective(trial):
        model = kt.Sequential([kt.layers.Dense(1)])
        models.append(model)
        fitted([OptunaPruning(trial)], model=model)

    assert only_trial(objective, Always(0)).state.name == "PRUNED"
    history = models[0].fit(X, Y, epochs=3, verbose=0)
    assert len(history.epoch) == 3


def test_early_stopping_restores_the_best_weights_of_a_pruned_trial():
    found = []

    def objective(trial):
        model = kt.Sequential([kt.layers.Dense(1)])
        early = EarlyStopping("val_loss", patience=50, restore_best_weights=True)
        found.append((model, early))
        fitted([early, OptunaPruning(trial)], rate=1.2, epochs=6, model=model)  # diverges

    assert only_trial(objective, Always(4)).state.name == "PRUNED"
    model, early = found[0]
    assert early.best_epoch < 4
    assert model.evaluate(X[40:], Y[40:], verbose=0, return_dict=True)["loss"] == pytest.approx(early.best)


@pytest.mark.parametrize("order", [1, -1])
def test_the_best_value_is_that_of_early_stopping(order):
    found = []

    def objective(trial):
        early, pruning = EarlyStopping("val_loss", patience=1), OptunaPruning(trial)
        model = fitted([early, pruning][::order], rate=0.9, epochs=30)
        found.append((model.history["val_loss"], early, pruning))
        return pruning.best

    trial = only_trial(objective)
    values, early, pruning = found[0]
    assert trial.value == pruning.best == early.best == min(values)
    assert pruning.best_epoch == early.best_epoch == int(np.argmin(values))
    assert len(values) < 30
    assert values[-1] > trial.value


def test_a_trial_is_repeated_from_its_number_alone():
    def objective(trial):
        rate = trial.suggest_float("rate", 1e-3, 0.3, log=True)
        pruning = OptunaPruning(trial)
        fitted([pruning], rate=rate, seed=100 + trial.number)
        return pruning.best

    def study(trials):
        found = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1), pruner=optuna.pruners.NopPruner())
        found.optimize(objective, n_trials=trials)
        return found

    first, second = study(5), study(5)
    assert [one.value for one in first.trials] == [one.value for one in second.trials]
    assert len({one.value for one in first.trials}) == 5
    fixed = optuna.trial.FixedTrial(first.trials[3].params, number=3)
    assert objective(fixed) == first.trials[3].value


def test_a_median_pruner_stops_what_is_worse_than_the_median():
    def objective(trial):
        rate = [0.1, 0.1, 0.1, 1e-7][trial.number]
        pruning = OptunaPruning(trial)
        fitted([pruning], rate=rate)
        return pruning.best

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1))
    study.optimize(objective, n_trials=4)
    assert [one.state.name for one in study.trials] == ["COMPLETE"] * 3 + ["PRUNED"]
    assert list(study.trials[3].intermediate_values) == [0, 1]


@pytest.mark.parametrize(
    ("direction", "monitor", "mode", "problem"),
    [
        ("minimize", "val_loss", "auto", None),
        ("maximize", "val_loss", "auto", "maximizes, but smaller values of 'val_loss'"),
        ("maximize", "val_loss", "max", None),
        ("minimize", "val_loss", "max", "minimizes, but larger values of 'val_loss'"),
        ("maximize", "val_mae", "auto", "maximizes, but smaller values of 'val_mae'"),
        ("maximize", "note", "auto", None),
    ],
)
def test_the_direction_of_the_study_must_be_that_of_the_log(direction, monitor, mode, problem):
    def objective(trial):
        add = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(note=float(epoch)))
        pruning = OptunaPruning(trial, monitor, mode=mode)
        fitted([add, pruning])
        return pruning.best

    study = optuna.create_study(direction=direction, pruner=optuna.pruners.NopPruner())
    if problem is None:
        study.optimize(objective, n_trials=1)
        values = study.trials[0].intermediate_values.values()
        assert study.best_value == (max(values) if direction == "maximize" else min(values))
    else:
        with pytest.raises(ValueError, match=problem):
            study.optimize(objective, n_trials=1)


def test_a_missing_log_is_an_error_before_the_first_epoch():
    with pytest.raises(ValueError, match=r"val_los.*Did you mean"):
        only_trial(lambda trial: fitted([OptunaPruning(trial, "val_los")]))
    with pytest.raises(ValueError, match="no validation data"):
        only_trial(lambda trial: fitted([OptunaPruning(trial)], validation_data=None))


def test_several_objectives_are_an_error():
    study = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.raises(ValueError, match="one objective, and the study has 2"):
        study.optimize(lambda trial: OptunaPruning(trial), n_trials=1)


@pytest.mark.parametrize("wrong", [None, 3, "trial", optuna])
def test_something_that_is_no_trial_is_an_error(wrong):
    with pytest.raises(TypeError, match="trial must be what Optuna passes"):
        OptunaPruning(wrong)


def test_an_interval_of_zero_is_an_error():
    with pytest.raises(ValueError, match="interval must be an integer >= 1"):
        OptunaPruning(optuna.trial.FixedTrial({}), interval=0)


def test_nan_is_reported_and_never_the_best():
    def objective(trial):
        pruning = OptunaPruning(trial, "note", mode="min")
        values = [2.0, math.nan, 3.0]
        add = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(note=values[epoch]))
        with pytest.warns(UserWarning, match="note is NaN"):
            fitted([add, pruning], epochs=3)
        return pruning.best

    trial = only_trial(objective)
    assert trial.value == 2.0
    assert math.isnan(trial.intermediate_values[1])


def test_a_second_fit_of_a_trial_continues_with_initial_epoch():
    def objective(trial):
        pruning = OptunaPruning(trial)
        model = fitted([pruning], epochs=2)
        model.fit(X[:40], Y[:40], epochs=4, initial_epoch=2, verbose=0, callbacks=pruning, validation_split=0.2)
        return pruning.best

    trial = only_trial(objective)
    assert list(trial.intermediate_values) == [0, 1, 2, 3]


def test_a_second_fit_that_counts_from_0_again_is_an_error():
    def objective(trial):
        for rate in (0.05, 0.1):
            fitted([OptunaPruning(trial)], rate=rate, epochs=2)

    with pytest.raises(ValueError, match=r"value for epoch 1 already.*initial_epoch=2"):
        only_trial(objective)


def test_a_killed_trial_resumes_and_has_each_epoch_once(tmp_path):
    class Killed(Exception):
        pass

    whole, resumed = [], []

    def stop(epoch, logs):
        if epoch == 2:
            raise Killed

    def objective(trial):
        whole.append(fitted([], epochs=5).history.history["val_loss"])
        kill = LambdaCallback(on_epoch_end=stop)
        with pytest.raises(Killed):
            fitted([OptunaPruning(trial), kill, BackupAndRestore(tmp_path)], epochs=5)
        pruning = OptunaPruning(trial)
        resumed.append(pruning)
        fitted([pruning, LambdaCallback(), BackupAndRestore(tmp_path)], epochs=5)
        return pruning.best

    trial = only_trial(objective)
    assert trial.intermediate_values == dict(enumerate(whole[0]))
    assert trial.value == min(whole[0])


def test_a_pruned_trial_that_is_resumed_is_pruned_again(tmp_path):
    outcomes = []

    def objective(trial):
        for _ in range(2):
            try:
                fitted([OptunaPruning(trial)], epochs=5, resume=tmp_path)
            except optuna.TrialPruned as error:
                outcomes.append(str(error))
        raise optuna.TrialPruned

    assert only_trial(objective, Always(1)).intermediate_values.keys() == {0, 1}
    assert len(outcomes) == 2
    assert outcomes[0] == outcomes[1]
    assert "after epoch 2" in outcomes[0]


def test_an_error_of_training_is_not_hidden_by_the_pruning():
    def fail(epoch, logs):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        only_trial(lambda trial: fitted([OptunaPruning(trial), LambdaCallback(on_epoch_end=fail)]), Always(0))
    assert not getattr(caught.value, "__notes__", [])


def test_a_pruned_model_has_the_weights_of_a_fit_that_ends_there():
    models = []

    def train(*callbacks, epochs):
        kt.utils.set_random_seed(2)
        models.append(kt.Model(nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.Linear(3, 1))))
        average = kt.callbacks.ExponentialMovingAverage(0.5)
        fitted([average, *callbacks], model=models[-1], epochs=epochs)

    assert only_trial(lambda trial: train(OptunaPruning(trial), epochs=6), Always(1)).state.name == "PRUNED"
    train(epochs=2)
    pruned, ended = [model.state_dict() for model in models]
    assert all(torch.equal(pruned[name], ended[name]) for name in ended)


def test_its_text_names_its_arguments():
    pruning = OptunaPruning(optuna.trial.FixedTrial({}), "val_mae", interval=2)
    assert repr(pruning) == "OptunaPruning(trial=<FixedTrial>, monitor='val_mae', interval=2)"
    assert copy.copy(pruning).interval == 2


def test_an_estimator_of_scikit_learn_is_pruned_and_reports_to_the_trial():
    found = []

    def objective(trial):
        net = kt.wrappers.SKLearnRegressor(
            hidden=4, epochs=6, validation_fraction=0.25, random_state=0, callbacks=[OptunaPruning(trial)]
        )
        found.append(net)
        net.fit(X, Y[:, 0])
        return net.history_.best("val_loss")[1]

    pruned = only_trial(objective, Always(2))
    assert pruned.state.name == "PRUNED"
    assert list(pruned.intermediate_values) == [0, 1, 2]
    whole = only_trial(objective)
    assert whole.value == min(whole.intermediate_values.values())
    assert whole.intermediate_values == dict(enumerate(found[1].history_["val_loss"]))
