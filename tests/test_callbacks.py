"""Callbacks: hooks, their order, EarlyStopping, TerminateOnNaN, History."""

import inspect
import math
import warnings

import numpy as np
import pytest
import torch
from support.problems import classification, regression, same_weights, through_a_file
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback, EarlyStopping, History, LambdaCallback, TerminateOnNaN
from kerastorch.callbacks.base import HOOKS


@pytest.fixture
def pyplot():
    """Return pyplot without figures and without windows; close those of the test."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    yield plt
    plt.close("all")


def model_for_values(metrics=None, rate=1e-9):
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(rate), "mse", metrics=metrics)
    return model


class Record(Callback):
    """Writes every hook down."""

    def __init__(self):
        self.calls = []


def _recorder(hook):
    def function(self, *args):
        self.calls.append((hook, *[arg for arg in args if isinstance(arg, int)]))

    return function


for _hook in HOOKS:
    if _hook not in ("on_batch_begin", "on_batch_end"):
        setattr(Record, _hook, _recorder(_hook))


def test_hooks_come_in_keras_order():
    x, y = regression(40)
    record = Record()
    model_for_values().fit(
        x, y, batch_size=20, epochs=2, validation_data=(x[:20], y[:20]), verbose=0, callbacks=[record]
    )
    epoch = [
        ("on_train_batch_begin", 0), ("on_train_batch_end", 0), ("on_train_batch_begin", 1), ("on_train_batch_end", 1),
        ("on_test_begin",), ("on_test_batch_begin", 0), ("on_test_batch_end", 0), ("on_test_end",),
    ]  # fmt: skip
    assert record.calls == [
        ("on_train_begin",),
        ("on_epoch_begin", 0), *epoch, ("on_epoch_end", 0),
        ("on_epoch_begin", 1), *epoch, ("on_epoch_end", 1),
        ("on_train_end",),
    ]  # fmt: skip


def test_evaluate_and_predict_have_their_hooks():
    x, y = regression(40)
    record = Record()
    model = model_for_values()
    model.evaluate(x, y, batch_size=20, verbose=0, callbacks=[record])
    model.predict(x, batch_size=40, verbose=0, callbacks=[record])
    assert [call[0] for call in record.calls] == [
        "on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_batch_begin", "on_test_batch_end",
        "on_test_end", "on_predict_begin", "on_predict_batch_begin", "on_predict_batch_end", "on_predict_end",
    ]  # fmt: skip


def test_callbacks_know_model_and_params():
    x, y = regression(40)
    seen = []

    class Look(Callback):
        def on_train_begin(self, logs=None):
            seen.append((self.model, self.params))

    model = model_for_values()
    history = model.fit(x, y, batch_size=16, epochs=3, verbose=0, callbacks=[Look()])
    assert seen == [(model, {"verbose": 0, "epochs": 3, "steps": 3})]
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 3}
    assert history.history == model.history.history
    assert history.model is model


def test_one_callback_needs_no_list():
    x, y = regression(40)
    record = Record()
    model_for_values().fit(x, y, verbose=0, callbacks=record)
    assert record.calls[0] == ("on_train_begin",)


def test_the_older_batch_hooks_are_called():
    x, y = regression(40)
    calls = []

    class Older(Callback):
        def on_batch_end(self, batch, logs=None):
            calls.append(batch)

    model_for_values().fit(x, y, batch_size=10, verbose=0, callbacks=[Older()])
    assert calls == [0, 1, 2, 3]


def test_a_callback_may_add_to_the_logs_for_those_after_it_and_for_the_history():
    x, y = regression(40)

    class Add(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["rate"] = 0.5**epoch

    seen = []
    read = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["rate"]))
    history = model_for_values().fit(x, y, epochs=2, verbose=0, callbacks=[Add(), read])
    assert seen == history.history["rate"] == [1.0, 0.5]


def test_batch_logs_are_read_only_when_asked_for(monkeypatch):
    from kerastorch.training.metrics_tracker import MetricsTracker

    reads = []
    read = MetricsTracker.read
    monkeypatch.setattr(MetricsTracker, "read", lambda self: reads.append(1) or read(self))
    x, y = regression(100)
    for look, times in ((None, 1), ("loss", 1), ("mae", 11)):
        reads.clear()
        note = LambdaCallback(on_train_batch_end=lambda batch, logs, look=look: look and logs[look])
        model_for_values(["mae"]).fit(x, y, batch_size=10, verbose=0, callbacks=[note])
        assert len(reads) == times


def test_the_loss_in_batch_logs_is_the_running_mean():
    x, y = regression(60)
    found = []
    model = model_for_values(rate=1e-12)
    each = (torch.tensor(model.predict(x, verbose=0)) - y).square()
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: found.append(logs["loss"]))
    model.fit(x, y, batch_size=25, shuffle=False, verbose=0, callbacks=[note])
    assert found == pytest.approx([each[:25].mean().item(), each[:50].mean().item(), each.mean().item()], rel=1e-5)


def test_a_callback_that_evaluates_and_predicts_in_fit_disturbs_nothing():
    x, y = classification()

    def trained(callbacks):
        torch.manual_seed(0)
        model = kt.Sequential([kt.layers.Dense(8, "relu"), kt.layers.Dropout(0.5), kt.layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
        return model, history.history

    class Busy(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.evaluate(x, y, verbose=0)
            self.model.predict(x[:3], verbose=0)
            self.model.test_on_batch(x[:3], y[:3])

    plain, curves = trained([])
    busy, others = trained([Busy()])
    assert same_weights(plain, busy)
    assert curves == others


def test_stop_training_ends_after_the_batch_and_still_validates():
    x, y = regression(100)
    seen = []

    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            self.model.stop_training = batch == 2

    history = model_for_values().fit(x, y, batch_size=10, epochs=5, validation_split=0.2, verbose=0, callbacks=[Stop()])
    assert seen == [0, 1, 2]
    assert len(history.history["val_loss"]) == 1
    model = history.model
    assert len(model.fit(x, y, epochs=2, verbose=0).epoch) == 2


@pytest.mark.parametrize("name", ["on_epoch_ends", "on_train_batch_edn", "on_batchend"])
def test_a_misspelt_hook_is_refused_before_training(name):
    x, y = regression(40)
    wrong = type("Wrong", (Callback,), {name: lambda self, *args: None})
    model = model_for_values()
    before = model.get_weights()
    with pytest.raises(TypeError, match=rf"Wrong\.{name} is not a hook\. Did you mean 'on_"):
        model.fit(x, y, verbose=0, callbacks=[wrong()])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_class_or_another_thing_is_no_callback():
    x, y = regression(40)
    with pytest.raises(TypeError, match=r"pass EarlyStopping\(\), not the class EarlyStopping"):
        model_for_values().fit(x, y, verbose=0, callbacks=[EarlyStopping])
    with pytest.raises(TypeError, match=r"'early' is text. Pass instances"):
        model_for_values().fit(x, y, verbose=0, callbacks=["early"])


# --- EarlyStopping ----------------------------------------------------------------------------------------------


class Fake:
    """Stands for a model whose metric takes the given values, so that the rule alone is looked at."""

    def __init__(self):
        self.stop_training = False
        self.state = 0

    def state_dict(self):
        return {"state": torch.tensor(self.state)}

    def load_state_dict(self, state):
        self.state = int(state["state"])


def run(values, **given):
    """Epochs with these values of val_loss: the callback, how many ran, and the state at the end."""
    model = Fake()
    callback = EarlyStopping(**given)
    callback.set_model(model)
    callback.on_train_begin()
    ran = 0
    for epoch, value in enumerate(values):
        model.state = epoch
        callback.on_epoch_end(epoch, {"val_loss": value, "val_accuracy": value})
        ran += 1
        if model.stop_training:
            break
    callback.on_train_end()
    return callback, ran, model.state


@pytest.mark.parametrize(
    ("values", "given", "epochs"),
    [
        ([3, 2, 1, 1, 1], {"patience": 2}, 5),
        ([3, 2, 1, 1, 1, 0], {"patience": 2}, 5),
        ([1, 2, 3], {}, 2),
        ([1, 1, 1], {"patience": 1}, 2),
        ([1, 0.95, 0.9, 0.85], {"min_delta": 0.2, "patience": 2}, 3),
        ([1, 0.95, 0.9, 0.85], {"min_delta": -0.2, "patience": 2}, 3),
        ([1, 0.7, 0.4, 0.1], {"min_delta": 0.2, "patience": 1}, 4),
        ([1, 2, 3, 4], {"monitor": "val_accuracy", "patience": 1}, 4),
        ([1, 2, 3, 4], {"mode": "max", "patience": 1}, 4),
        ([1, 2, 3, 4], {"mode": "min", "patience": 1}, 2),
        ([5, 4, 3, 2, 1], {"baseline": 1.5, "patience": 3}, 5),
        ([5, 4, 3, 2, 1.4, 1], {"baseline": 0.5, "patience": 3}, 6),
        ([5, 4, 3, 3, 3], {"baseline": 0.5, "patience": 3}, 4),
        ([1, 9, 9, 9, 9], {"start_from_epoch": 3, "patience": 1}, 5),
        ([2, 1, 3, 3], {"patience": 0}, 3),
    ],
)
def test_early_stopping_stops_when_keras_does(values, given, epochs):
    assert run(values, **given)[1] == epochs


def test_early_stopping_never_stops_in_the_first_epoch():
    assert run([math.inf, 1], patience=0)[1] == 2


@pytest.mark.parametrize("values", [[3, 1, 2, 2, 2, 2], [3, 1, 2]])
def test_the_best_weights_come_back_whether_stopped_or_run_to_the_end(values):
    callback, _, state = run(values, patience=3, restore_best_weights=True)
    assert state == callback.best_epoch == 1


def test_without_restoring_the_last_weights_stay():
    assert run([3, 1, 2], patience=5)[2] == 2


@pytest.mark.parametrize("values", [[math.nan, 2, 1, 3, 3], [2, math.nan, 1, 3, 3], [2, 1, math.nan, math.nan, 3]])
def test_nan_is_never_best_and_counts_against_patience(values):
    with pytest.warns(UserWarning, match="val_loss is NaN in epoch"):
        callback, ran, state = run(values, patience=2, restore_best_weights=True)
    assert callback.best == 1
    assert values[state] == 1
    assert ran == (4 if math.isnan(values[2]) else 5)


def test_all_nan_stops_by_patience():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run([math.nan] * 5, patience=2)[1] == 2


def test_state_is_reset_at_each_fit():
    callback, _, _ = run([1, 2], patience=1)
    callback.set_model(Fake())
    callback.on_train_begin()
    assert callback.best is None
    assert callback.wait == 0


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("val_acuracy", "Did you mean 'val_accuracy'"),
        ("acc", "Known: accuracy, learning_rate, loss, val_accuracy, val_loss"),
    ],
)
def test_a_monitor_that_cannot_appear_is_refused_before_the_first_epoch(monitor, message):
    x, y = classification()
    model = kt.Model(nn.Linear(6, 3))
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, validation_split=0.1, verbose=0, callbacks=[EarlyStopping(monitor, mode="max")])
    assert model.optimizer is None or not model.optimizer.state


def test_monitoring_validation_without_validation_data_says_so():
    x, y = regression(40)
    with pytest.raises(ValueError, match="EarlyStopping monitors 'val_loss', but no validation data was given"):
        model_for_values().fit(x, y, verbose=0, callbacks=[EarlyStopping()])


def test_a_monitor_that_another_callback_logs_is_let_through():
    x, y = regression(40)

    class Add(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["my_loss"] = float(epoch)

    history = model_for_values().fit(x, y, epochs=9, verbose=0, callbacks=[Add(), EarlyStopping("my_loss", patience=2)])
    assert len(history.epoch) == 3


def test_a_monitor_that_nobody_logged_after_all_is_told():
    x, y = regression(40)

    class Nothing(Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    with pytest.raises(ValueError, match=r"Unknown metric 'los'. Did you mean 'loss'"):
        model_for_values().fit(x, y, verbose=0, callbacks=[Nothing(), EarlyStopping("los", mode="min")])
    with pytest.warns(UserWarning, match="val_los was never logged; logged were loss, learning_rate, val_loss"):
        model_for_values().fit(
            x, y, verbose=0, validation_split=0.2, callbacks=[Nothing(), EarlyStopping("val_los", mode="min")]
        )


def test_an_unknown_direction_asks_for_the_mode():
    def closeness(y_true, y_pred):
        return (y_true - y_pred).mean()

    x, y = regression(40)
    model = model_for_values([closeness])
    with pytest.raises(ValueError, match="pass mode='min' or mode='max'"):
        model.fit(x, y, verbose=0, callbacks=[EarlyStopping("closeness")])
    model.fit(x, y, verbose=0, callbacks=[EarlyStopping("closeness", mode="max")])


def test_the_metric_itself_says_which_way_is_better():
    import torchmetrics

    x, y = regression(40)
    model = model_for_values([torchmetrics.regression.MeanAbsolutePercentageError(), "r2"])
    stopping = EarlyStopping("r2")
    model.fit(x, y, verbose=0, callbacks=[stopping])
    assert stopping._sign == 1
    stopping = EarlyStopping("mean_absolute_percentage_error")
    model.fit(x, y, verbose=0, callbacks=[stopping])
    assert stopping._sign == -1


@pytest.mark.parametrize(
    "given", [{"patience": -1}, {"patience": 1.5}, {"mode": "best"}, {"baseline": math.nan}, {"min_delta": "1"}]
)
def test_bad_arguments_of_early_stopping_are_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        EarlyStopping(**given)


# --- TerminateOnNaN and History ---------------------------------------------------------------------------------


def test_terminate_on_nan_stops_at_the_batch(capsys):
    x, y = regression(100)
    y[35] = 1e30
    model = model_for_values(rate=0.1)
    seen = []
    count = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(x, y, batch_size=10, shuffle=False, epochs=3, verbose=0, callbacks=[TerminateOnNaN(), count])
    assert seen == [0, 1, 2, 3]
    assert "invalid loss" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="NaN or Inf loss"):
        model.fit(x, y, verbose=0, callbacks=[TerminateOnNaN(raise_error=True)])


def test_history_has_floats_sorted_names_and_zero_based_epochs():
    x, y = regression()
    history = model_for_values(["mae"]).fit(x, y, epochs=3, validation_split=0.2, verbose=0)
    assert list(history.history) == ["learning_rate", "loss", "mae", "val_loss", "val_mae"]
    assert history.epoch == [0, 1, 2]
    assert all(type(value) is float for values in history.history.values() for value in values)
    later = history.model.fit(x, y, epochs=5, initial_epoch=3, verbose=0)
    assert later.epoch == [3, 4]


def test_history_finds_the_best_epoch_and_makes_a_frame():
    pytest.importorskip("pandas")
    history = History()
    history.on_train_begin()
    for epoch, value in enumerate([3.0, 1.0, math.nan, 2.0]):
        history.on_epoch_end(epoch, {"val_loss": value, "acc": -value})
    assert history.best() == (2, 1.0)  # the epochs that people read are counted from 1
    assert history.best("acc", "max") == (2, -1.0)
    assert history.epoch == [0, 1, 2, 3]  # as in Keras
    frame = history.frame()
    assert frame["acc"].tolist()[:2] == [-3.0, -1.0]
    assert frame.index.tolist() == [1, 2, 3, 4]
    assert frame.index.name == "epoch"
    assert frame.loc[history.best()[0], "val_loss"] == 1.0
    with pytest.raises(ValueError, match="the history has no epoch yet"):
        History().best()
    alone = History()
    alone.on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(ValueError, match="the fit had no validation"):
        alone.best()
    with pytest.raises(ValueError, match=r"Unknown curve 'val_los'. Did you mean 'val_loss'"):
        history.best("val_los")


def test_history_takes_the_modes_of_the_callbacks():
    history = History()
    history.on_train_begin()
    for epoch, value in enumerate([1.0, 3.0, 2.0]):
        history.on_epoch_end(epoch, {"val_loss": value, "val_accuracy": value, "thing": value})
    assert history.best("val_loss", "auto") == (1, 1.0)
    assert history.best("val_accuracy", "auto") == (2, 3.0)
    for mode in ("Max", "maximum", None):
        with pytest.raises(ValueError, match="mode must be 'auto', 'min' or 'max', got"):
            history.best("val_loss", mode)
    with pytest.raises(ValueError, match="whether a larger 'thing' is better"):
        history.best("thing", "auto")


def test_history_infers_the_mode_from_the_metric():
    x, y = regression()
    history = model_for_values(["mae"]).fit(x, y, epochs=2, verbose=0)
    assert history.best("mae", "auto") == history.best("mae", "min")


def test_a_checkpoint_callback_counts_no_epochs():
    checkpoint = kt.callbacks.ModelCheckpoint("best.kt")
    assert not hasattr(checkpoint, "wait")
    assert not hasattr(checkpoint, "min_delta")


def history_of(**logs):
    """Return a History of one epoch for each value; `None` is an epoch without the log."""
    history = History()
    history.on_train_begin()
    for epoch, values in enumerate(zip(*logs.values(), strict=True)):
        history.on_epoch_end(epoch, {n: v for n, v in zip(logs, values, strict=True) if v is not None})
    return history


def curves_of(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_history_plots_training_beside_validation(tmp_path, pyplot):
    x, y = regression()
    history = model_for_values(["mae"]).fit(x, y, epochs=3, validation_split=0.2, verbose=0)
    figure = history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == [figure.number]  # what plt.show() shows
    assert pyplot.gcf() is figure
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "mae"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    for axes, name in zip(figure.axes, ("loss", "mae"), strict=True):
        curves = curves_of(axes)
        assert curves["training"] == ([1, 2, 3], history.history[name])
        assert curves["validation"] == ([1, 2, 3], history.history[f"val_{name}"])


def test_the_plot_marks_the_best_epoch_of_the_validation_by_the_direction_of_each_log(pyplot):
    history = history_of(
        loss=[4.0, 3.0, 2.0], val_loss=[5.0, 2.0, 3.0], accuracy=[0.1, 0.2, 0.3], val_accuracy=[0.5, 0.4, 0.7],
        thing=[1.0, 2.0, 3.0], val_thing=[1.0, 2.0, 3.0], rate=[0.1, 0.1, 0.1], val_mae=[math.nan] * 3,
    )  # fmt: skip
    panels = {axes.get_ylabel(): axes for axes in history.plot().axes}
    assert curves_of(panels["loss"])["best: epoch 2"] == ([2], [2.0])
    assert curves_of(panels["accuracy"])["best: epoch 3"] == ([3], [0.7])
    assert set(curves_of(panels["thing"])) == {"training", "validation"}  # its direction is unknown
    assert set(curves_of(panels["mae"])) == {"validation"}  # NaN is never the best
    assert set(curves_of(panels["rate"])) == {"training"}
    assert panels["rate"].get_legend() is None  # the rate has no validation
    texts = [text.get_text() for text in panels["loss"].get_legend().get_texts()]
    assert texts == ["training", "validation", "best: epoch 2"]


def test_the_plot_takes_the_epochs_of_each_log(pyplot):
    history = history_of(loss=[3.0, 2.0, 1.0, 0.5], val_loss=[None, 2.5, None, 2.0])
    curves = curves_of(history.plot().axes[0])
    assert curves["training"] == ([1, 2, 3, 4], [3.0, 2.0, 1.0, 0.5])
    assert curves["validation"] == ([2, 4], [2.5, 2.0])
    assert curves["best: epoch 4"] == ([4], [2.0])


def test_the_plot_of_a_training_that_begins_later_has_its_epochs(pyplot):
    x, y = regression()
    history = model_for_values().fit(x, y, epochs=12, initial_epoch=10, validation_split=0.2, verbose=0)
    axes = history.plot().axes[0]
    assert curves_of(axes)["training"][0] == [11, 12]
    assert history.best("loss")[0] in (11, 12)
    left, right = axes.get_xlim()
    assert 10 < left < 11 < 12 < right < 13


def test_the_plot_has_whole_epochs_from_1_at_its_ticks(pyplot):
    for n_epochs in (1, 2, 5, 80):
        figure = history_of(loss=[1.0 / (1 + epoch) for epoch in range(n_epochs)]).plot()
        figure.canvas.draw()
        left, right = figure.axes[0].get_xlim()
        ticks = [tick for tick in figure.axes[0].get_xticks() if left <= tick <= right]
        assert ticks
        assert all(tick == round(tick) and 1 <= tick <= n_epochs for tick in ticks), ticks


def test_the_panels_are_in_at_most_three_columns_and_begin_with_the_losses(pyplot):
    names = ["accuracy", "auc", "data_loss", "loss", "precision"]
    figure = history_of(**{name: [1.0, 0.5] for name in names}).plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "data_loss", "accuracy", "auc", "precision"]
    grid = figure.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 3)


def test_the_plot_says_what_is_wrong_before_it_makes_a_figure(tmp_path, pyplot):
    history = history_of(loss=[1.0])
    with pytest.raises(ValueError, match=r"path must be a file name that ends in \.png"):
        history.plot(tmp_path / "curves.xyz")
    with pytest.raises(ValueError, match="no epoch to plot"):
        History().plot()
    assert pyplot.get_fignums() == []


NOTEBOOK = [
    """
import kerastorch as kt
history = kt.callbacks.History()
for epoch in range(3):
    history.on_epoch_end(epoch, {"loss": 1 / (1 + epoch), "val_loss": 2 / (1 + epoch)})
""",
    "history.plot()",
    "figure = history.plot()",
    "figure",
    "history.plot();",
    "history.plot()\nprint('after it')",
    "from IPython.display import display\ndisplay(history.plot())",
    "import matplotlib.pyplot as plt\nhistory.plot()\nplt.show()",
    "history.plot()\nhistory.plot()",
    "kt.utils.plot_activation('relu')",
    "with plt.ioff():\n    figure = history.plot()\nfigure",
    "%config InlineBackend.close_figures = False\nhistory.plot()",
    "%config InlineBackend.figure_formats = ['svg']\nplt.close('all')\nhistory.plot()",
    "print(plt.get_fignums())\nplt.switch_backend('agg')\nhistory.plot()",
]
PICTURES = [0, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1]  # what each cell displays


@pytest.mark.timeout(400)  # a kernel starts slowly on a busy machine
def test_a_notebook_displays_a_plot_once_however_the_cell_ends(monkeypatch, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in NOTEBOOK])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=200, startup_timeout=200).execute(
        cwd=str(tmp_path)
    )
    shown = []
    for cell in notebook.cells:
        pictures = [one["data"] for one in cell.outputs if "data" in one]
        assert all({"image/png", "image/svg+xml"} & set(data) for data in pictures), cell
        shown.append(len(pictures))
    assert shown == PICTURES
    formats = [set(one["data"]) for one in notebook.cells[-2].outputs]
    assert formats == [{"image/svg+xml", "text/plain"}]  # only the format that the user has chosen
    assert notebook.cells[-1].outputs[0]["text"] == "[]\n"


# --- resuming -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", range(8))
def test_early_stopping_goes_on_from_its_state_with_the_best_weights(tmp_path, cut):
    values = [5, 3, 4, 2.5, 3, 3, 3, 3]

    def begun(model):
        callback = EarlyStopping(patience=4, restore_best_weights=True, baseline=2.8)
        callback.set_model(model)
        callback.on_train_begin()
        return callback

    def go(callback, model, epochs):
        for epoch in epochs:
            model.state = epoch
            callback.on_epoch_end(epoch, {"val_loss": values[epoch]})
            if model.stop_training:
                break

    whole = Fake()
    straight = begun(whole)
    go(straight, whole, range(8))
    straight.on_train_end()
    model, again = Fake(), Fake()
    first = begun(model)
    go(first, model, range(cut))
    second = begun(again)
    second.load_state_dict(through_a_file(first.state_dict(), tmp_path / "state.kt"))
    go(second, again, range(cut, 8))
    second.on_train_end()
    assert (second.wait, second.stopped_epoch, second.best, second.best_epoch) == (4, 7, 2.5, 3)
    assert (straight.wait, straight.stopped_epoch, straight.best, straight.best_epoch) == (4, 7, 2.5, 3)
    assert again.state == whole.state == 3


def test_the_history_goes_on_from_its_state(tmp_path):
    pytest.importorskip("pandas")
    x, y = regression(40)
    straight = model_for_values(["mae"]).fit(x, y, epochs=2, validation_data=(x, y), validation_freq=2, verbose=0)
    other = History()
    other.on_train_begin()
    other.load_state_dict(through_a_file(straight.state_dict(), tmp_path / "state.kt"))
    assert (other.history, other.epoch) == (straight.history, straight.epoch)
    assert other.best() == straight.best()
    other.on_epoch_end(2, {"loss": 1.0})
    assert other.epoch == [0, 1, 2]
    assert straight.epoch == [0, 1]
    assert other.frame()["val_loss"].isna().tolist() == [True, False, True]


def test_callbacks_without_a_state_have_an_empty_one():
    for callback in (TerminateOnNaN(), LambdaCallback(), Callback()):
        assert callback.state_dict() == {}
        callback.load_state_dict({})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (
            "ModelCheckpoint",
            {"filepath": None, "monitor": "val_loss", "verbose": 0, "save_best_only": False,
             "save_weights_only": False, "mode": "auto", "save_freq": "epoch", "initial_value_threshold": None,
             "save_top_k": None},
        ),
        (
            "ReduceLROnPlateau",
            {"monitor": "val_loss", "factor": 0.1, "patience": 10, "verbose": 0, "mode": "auto", "min_delta": 1e-4,
             "cooldown": 0, "min_lr": 0.0},
        ),
        ("LearningRateScheduler", {"schedule": None, "verbose": 0}),
        ("SwapEMAWeights", {"swap_on_epoch": False}),
        ("TerminateOnNaN", {"raise_error": False}),
        ("LRScheduler", {"scheduler": None, "monitor": None, "interval": None, "optimizer": None, "arguments": None}),
    ],
)  # fmt: skip
def test_arguments_are_keras_own_in_name_order_and_default(name, arguments):
    found = inspect.signature(getattr(kt.callbacks, name)).parameters.values()
    assert [(one.name, None if one.default is one.empty else one.default) for one in found] == [*arguments.items()]
