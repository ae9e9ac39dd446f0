"""Methods and options in several processes beside one: reports, searches, ensembles, callbacks, precision."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt

DATA = torch.Generator().manual_seed(0)
X = torch.randn(61, 4, generator=DATA)
Y = (X[:, 0] + torch.randn(61, generator=DATA)).mul(1.5).round().clamp(-1, 1).long() + 1
PIXELS = torch.randn(22, 3, 8, 8, generator=DATA)


def compiled(*last, metrics=("accuracy",), optimizer=None, net=None, **options):
    torch.manual_seed(0)
    model = kt.Model(net or nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), *last))
    model.compile(optimizer or kt.optimizers.SGD(0.1), "cross_entropy", metrics=list(metrics), **options)
    return model


def fitted(model, **options):
    torch.manual_seed(3)
    history = model.fit(X, Y, **{"batch_size": 10, "epochs": 3, "verbose": 0, **options})
    return {
        "weights": [one.detach().numpy() for one in model.parameters()],
        "logs": history.history,
        "predictions": model.predict(X, verbose=0),
    }


def builder(rate=0.01):
    model = kt.Sequential([kt.layers.Dense(6, "tanh"), kt.layers.Dense(3)])
    model.compile(kt.optimizers.Adam(rate, epsilon=1e-4), "cross_entropy", metrics=["accuracy"])
    return model


def checked():
    return [(one.name, one.level) for one in compiled().check(X, Y, batch_size=10).findings]


def rates():
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(4, 1))
    model.compile("sgd", "mse")
    torch.manual_seed(3)
    curve = model.find_lr(X, X[:, :1], batch_size=10, steps=40, verbose=0)
    return [curve.rates, curve.losses, curve.suggestion, *(one.detach().numpy() for one in model.parameters())]


def cross_validated(**options):
    found = kt.model_selection.cross_validate(_for_rows, X, Y, cv=3, epochs=3, batch_size=10, verbose=0, **options)
    return {"scores": found.scores, "predictions": found.predictions, "mean": found.mean}


def curve(kind):
    x, y = X.numpy(), Y.numpy()
    fit = {"cv": 2, "epochs": 2, "batch_size": 10, "verbose": 0}
    if kind == "learning":
        found = kt.model_selection.learning_curve(_for_rows, x, y, sizes=[0.5, 1.0], **fit)
    else:
        found = kt.model_selection.validation_curve(_with_rate, x, y, values=[0.1, 0.01], **fit)
    return {"train": dict(found.train_scores), "test": dict(found.test_scores)}


def _for_rows(x, y):
    return builder()


def _with_rate(x, y, rate):
    return builder(rate)


def ensemble(**options):
    members = kt.ensemble(builder, 2)
    members.fit(X, Y, epochs=2, batch_size=10, verbose=0, **options)
    uncertainty = members.uncertainty(X)
    parts = dataclasses.asdict(uncertainty) if dataclasses.is_dataclass(uncertainty) else {}
    return {
        "predictions": members.predict(X),
        "scores": members.evaluate(X, Y, verbose=0),
        "uncertainty": {name: one for name, one in parts.items() if isinstance(one, np.ndarray)},
    }


def sklearn_classifier():
    found = kt.wrappers.SKLearnClassifier(hidden=(6,), epochs=3, batch_size=10, random_state=0)
    found.fit(X.numpy(), Y.numpy())
    return [found.predict_proba(X.numpy()), found.score(X.numpy(), Y.numpy())]


def sklearn_regressor():
    found = kt.wrappers.SKLearnRegressor(hidden=(6,), epochs=3, batch_size=10, random_state=0)
    return [found.fit(X.numpy(), X[:, 0].numpy()).predict(X.numpy())]


def sklearn_search():
    from sklearn.model_selection import cross_val_score

    found = kt.wrappers.SKLearnClassifier(hidden=(6,), epochs=2, batch_size=10, random_state=0)
    return [cross_val_score(found, X.numpy(), Y.numpy(), cv=3)]


def diagnosed():
    model = compiled()
    torch.manual_seed(3)
    history = model.fit(X, Y, batch_size=10, epochs=6, verbose=0, validation_data=(X, Y))
    return str(history.diagnose()) + str(history.diagnose(X, Y).causes)


def channels_last():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    model = compiled(net=net, memory_format="channels_last")
    model.fit(PIXELS, Y[:22], batch_size=8, epochs=2, verbose=0)
    return [*(one.detach().numpy() for one in model.parameters()), model.predict(PIXELS, verbose=0)]


def reported():
    model = compiled()
    found = model.evaluate(X, Y, batch_size=7, verbose=0, report=True)
    return str(found), found.metrics, found.intervals, [one.index for one in found.worst]


def reported_by_turns():
    """Each rank evaluates every second batch; the rows of the report are in the order of the data."""
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), 7)
    found = compiled().evaluate(loader, verbose=0, report={"by": np.arange(61) % 2})
    return [one.index for one in found.worst], {name: one.metrics for name, one in found.slices.items()}, found.metrics


def report_function():
    return kt.evaluation.report(compiled(), X, Y, batch_size=7).metrics


def temperature():
    model = compiled()
    model.fit(X, Y, batch_size=10, epochs=2, verbose=0, shuffle=False)
    found = kt.evaluation.temperature_scaling(model, X, Y, batch_size=7)
    return [found.temperature, found.after.ece, found.before.log_loss]


def by_batches():
    model = compiled()
    found = [list(model.predict_iter(X, batch_size=7)), model.predict(X, batch_size=7, steps=3, verbose=0)]
    out = np.empty((61, 3), "float32")
    model.predict(X, batch_size=7, verbose=0, out=out)
    return [*found, out, model.evaluate(X, Y, batch_size=7, steps=4, verbose=0)]


def balanced(**options):
    return fitted(compiled(weighted_metrics=["accuracy", "f1"]), class_weight="balanced", **options)


def own_metrics():
    chosen = ["accuracy", "f1", "auc", kt.metrics.SparseTopKCategoricalAccuracy(2), "crossentropy"]
    model = compiled(metrics=chosen)
    return {**fitted(model), "scores": model.evaluate(X, Y, batch_size=7, verbose=0, return_dict=True)}


def averaging(make, **options):
    return fitted(compiled(), callbacks=[make()], **options)


def tuned():
    callbacks = [
        kt.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1.0),
        kt.callbacks.EarlyStopping("val_loss", patience=1, min_delta=0.05, restore_best_weights=True),
        kt.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        kt.callbacks.GradientNorm(),
    ]
    return fitted(compiled(), callbacks=callbacks, epochs=6, validation_split=0.2)


CASES = {
    "check": checked,
    "find_lr": rates,
    "cross_validate": cross_validated,
    "cross_validate, one after the other": lambda: cross_validated(together=False),
    "learning_curve": lambda: curve("learning"),
    "validation_curve": lambda: curve("validation"),
    "ensemble": ensemble,
    "ensemble, bootstrap": lambda: ensemble(bootstrap=True),
    "SKLearnClassifier": sklearn_classifier,
    "SKLearnRegressor": sklearn_regressor,
    "cross_val_score of scikit-learn": sklearn_search,
    "diagnose": diagnosed,
    "channels_last": channels_last,
    "evaluate(report=True)": reported,
    "evaluate(report=) of a loader": reported_by_turns,
    "report": report_function,
    "temperature_scaling": temperature,
    "predict_iter, steps, out": by_batches,
    "balanced class weights": balanced,
    "metrics": own_metrics,
    "steps_per_execution": lambda: fitted(compiled(steps_per_execution=3)),
    "validation_freq": lambda: fitted(compiled(), validation_split=0.2, validation_freq=2),
    "stratified validation": lambda: fitted(
        compiled(), validation_split=0.2, validation_stratify=True, validation_shuffle=True, validation_seed=1
    ),
    "overfit_batches": lambda: fitted(compiled(), overfit_batches=2),
    "SWA": lambda: averaging(lambda: kt.callbacks.StochasticWeightAveraging(start_epoch=1)),
    "ExponentialMovingAverage": lambda: averaging(lambda: kt.callbacks.ExponentialMovingAverage(0.9)),
    "SwapEMAWeights": lambda: fitted(
        compiled(optimizer=kt.optimizers.SGD(0.1, use_ema=True)),
        callbacks=[kt.callbacks.SwapEMAWeights(swap_on_epoch=True)],
        validation_split=0.2,
    ),
    "callbacks that change the rate": tuned,
    "nan_report": lambda: fitted(compiled(), nan_report="nan"),
}


def run(name):
    return CASES[name]()


def check(found, expected, where="", atol=3e-6):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for name in expected:
            check(found[name], expected[name], f"{where} {name}", atol)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for index, (one, two) in enumerate(zip(found, expected, strict=True)):
            check(one, two, f"{where} {index}", atol)
    elif isinstance(expected, str) or expected is None:
        assert found == expected, where
    else:
        np.testing.assert_allclose(found, expected, atol=atol, rtol=1e-5, err_msg=where)


CHOSEN = ["evaluate(report=) of a loader", "cross_validate", "callbacks that change the rate", "SWA"]


@pytest.mark.parametrize("name", CHOSEN)
def test_two_processes_give_what_one_gives(two, name):
    expected = run(name)
    for found in two.run(run, name):
        check(found, expected, name)


@pytest.mark.distributed
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("world", ["two", "three"])
def test_each_method_and_option_gives_what_it_gives_in_one_process(request, world, name):
    expected = run(name)
    for found in request.getfixturevalue(world).run(run, name):
        check(found, expected, name)
