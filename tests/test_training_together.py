"""Training several models together: the numbers of each model are those of its own fit, bit by bit."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import callbacks, layers, optimizers
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.layers import dropout_noise
from kerastorch.training_together.errors import CannotTrainTogether
from kerastorch.training_together.train_together import FitTask, train_together

ROWS = 96


def data_of(member, rows=ROWS, classes=2, seed=0):
    random = np.random.default_rng((seed, member))
    x = random.normal(size=(rows, 5)).astype("float32")
    return x, (x[:, 0] + x[:, 1] ** 2 > 0.5).astype("int64") % classes


def dense(*extra, last=2, activation="relu", **options):
    return kt.Sequential(
        [
            layers.Dense(16, activation=activation, **options),
            *(make() for make in extra),
            layers.Dense(16),
            layers.Dense(last),
        ]
    )


def compiled(make, optimizer="adam", loss="cross_entropy", **options):
    def build():
        model = make()
        model.compile(optimizer() if callable(optimizer) else optimizer, loss, **options)
        return model

    return build


def tasks_of(build, arguments, n=4):
    tasks = []
    for member in range(n):
        kt.utils.set_random_seed(10 + member)
        model = build()
        tasks.append(FitTask(model, arguments(member), capture_rng_states()))
    return tasks


def trained_both_ways(build, arguments, n=4):
    """Return models and histories of single fits, and those of the fits together, with the reason of a fallback."""
    alone = tasks_of(build, arguments, n)
    histories = []
    for task in alone:
        restore_rng_states(task.rng_states)
        histories.append(task.model.fit(**task.arguments))
    state_alone = torch.get_rng_state()
    together = tasks_of(build, arguments, n)
    result = train_together(together)
    assert torch.equal(torch.get_rng_state(), state_alone)
    return [one.model for one in alone], histories, [one.model for one in together], result


def assert_equal_fits(build, arguments, n=4, *, are_stacked=True):
    """Compare fits; with `are_stacked=None` their steps may run as one graph or not."""
    alone, histories, together, result = trained_both_ways(build, arguments, n)
    assert are_stacked is None or (result.reason is None) == are_stacked, result.reason
    for own, history, model, found in zip(alone, histories, together, result.histories, strict=True):
        assert_equal_states(own.state_dict(), model.state_dict())
        assert_equal_states(own.optimizer.state_dict()["state"], model.optimizer.state_dict()["state"])
        assert found.epoch == history.epoch
        assert found.history.keys() == history.history.keys()
        for name, values in history.history.items():
            np.testing.assert_allclose(found.history[name], values, atol=1e-6, err_msg=name)
    return alone, together


def assert_equal_states(expected, found):
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        if isinstance(value, dict):
            assert_equal_states(value, found[key])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, found[key]), key
        else:
            assert value == found[key], key


def fit_arguments(**options):
    def arguments(member):
        x, y = data_of(member)
        return {"x": x, "y": y, "epochs": 3, "verbose": 0, "batch_size": 16, **options}

    return arguments


def test_models_trained_together_equal_models_trained_alone():
    assert_equal_fits(compiled(dense, metrics=["accuracy"]), fit_arguments())


def test_a_further_fit_continues_as_after_a_fit_alone():
    build, arguments = compiled(dense), fit_arguments()
    alone, together = assert_equal_fits(build, arguments)
    for own, model in zip(alone, together, strict=True):
        kt.utils.set_random_seed(5)
        first = own.fit(**arguments(1))
        kt.utils.set_random_seed(5)
        second = model.fit(**arguments(1))
        assert first.history == second.history
        assert_equal_states(own.state_dict(), model.state_dict())


@pytest.mark.parametrize("extra", [layers.BatchNormalization, lambda: layers.Dropout(0.4), layers.LayerNormalization])
def test_layers_with_buffers_and_random_numbers_give_the_same_numbers(extra):
    assert_equal_fits(compiled(lambda: dense(extra)), fit_arguments())


def test_masks_of_many_elements_are_those_of_single_fits():
    def make():
        return kt.Sequential([layers.Dense(1024), layers.Dropout(0.4), layers.Dense(2)])

    assert dropout_noise.LEAST <= 16 * 1024
    assert_equal_fits(compiled(make), fit_arguments(epochs=2), n=3)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: optimizers.SGD(0.05),
        lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        lambda: optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: optimizers.RMSprop(0.01, weight_decay=0.01),
        "adagrad", "adadelta", "adamax", "nadam", "lion", "ftrl",
        lambda: torch.optim.Adam,
        lambda: optimizers.Adam(0.01, clipnorm=0.05),
        lambda: optimizers.Adam(0.01, clipvalue=0.01),
        lambda: optimizers.Adam(0.01, global_clipnorm=0.05),
        lambda: optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=4),
        lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)),
        lambda: optimizers.Adam({"*bias*": 0.01, "*": 0.001}, weight_decay={"*bias*": 0.0, "*": 0.1}),
    ],
)  # fmt: skip
def test_each_elementwise_optimizer_makes_the_same_steps(optimizer):
    assert_equal_fits(compiled(dense, optimizer), fit_arguments(epochs=2), n=3)


def test_penalties_constraints_and_weights_of_rows_and_classes_are_kept():
    def make():
        return dense(kernel_regularizer="l2", activity_regularizer="l1", kernel_constraint=kt.constraints.MaxNorm(0.5))

    def arguments(member):
        x, y = data_of(member)
        weights = np.random.default_rng(member).uniform(0.5, 2, len(y))
        return {"x": x, "y": y, "epochs": 2, "verbose": 0, "class_weight": {0: 1.0, 1: 3.0}, "sample_weight": weights}

    assert_equal_fits(compiled(make, metrics=["accuracy"], weighted_metrics=["auc"]), arguments)


def test_folds_of_different_sizes_train_their_last_batches_alone():
    def arguments(member):
        x, y = data_of(member, rows=60 + member)
        return {"x": x, "y": y, "epochs": 3, "verbose": 0, "validation_data": data_of(member, rows=20, seed=1)}

    assert_equal_fits(compiled(dense, metrics=["accuracy"]), arguments)


def test_early_stopping_ends_each_fit_at_its_own_epoch_with_its_best_weights():
    def arguments(member):
        x, y = data_of(member)
        stopping = callbacks.EarlyStopping(patience=member, restore_best_weights=True)
        validation = data_of(member, rows=20, seed=1)
        return {
            "x": x, "y": y, "epochs": 12, "verbose": 0, "validation_data": validation, "callbacks": [stopping],
        }  # fmt: skip

    alone, _ = assert_equal_fits(compiled(dense, lambda: optimizers.Adam(0.05)), arguments, n=5)
    assert len({len(model.history.epoch) for model in alone}) > 1


def test_learning_rates_that_callbacks_change_stay_apart():
    def arguments(member):
        x, y = data_of(member)
        reducing = callbacks.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.05)
        return {
            "x": x, "y": y, "epochs": 6, "verbose": 0, "validation_split": 0.2, "callbacks": [reducing],
        }  # fmt: skip

    _, together = assert_equal_fits(compiled(dense, lambda: optimizers.Adam(0.02)), arguments)
    assert len({model.optimizer.learning_rate for model in together}) > 1


def test_several_inputs_shared_layers_and_several_outputs():
    def make():
        one, other = kt.Input((5,)), kt.Input((5,))
        shared = layers.Dense(8, activation="relu")
        joined = layers.Concatenate()([shared(one), shared(other)])
        return kt.Model([one, other], {"a": layers.Dense(2)(joined), "b": layers.Dense(1)(joined)})

    def arguments(member):
        x, y = data_of(member)
        return {"x": [x, x[::-1].copy()], "y": {"a": y, "b": x[:, :1]}, "epochs": 2, "verbose": 0}

    build = compiled(make, loss={"a": "cross_entropy", "b": "mse"}, metrics={"a": ["accuracy"]})
    assert_equal_fits(build, arguments)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)),
        lambda: nn.Sequential(nn.Linear(5, 7), nn.Sigmoid(), nn.Linear(7, 7), nn.GELU(), nn.Linear(7, 2)),
    ],
)
def test_modules_of_torch(make):
    assert_equal_fits(compiled(lambda: kt.Model(make()), lambda: optimizers.Adam(0.01)), fit_arguments())


def test_recurrent_and_embedding_layers():
    def make():
        return kt.Sequential([layers.Embedding(7, 4), layers.GRU(6), layers.Dense(2)])

    def arguments(member):
        x = np.random.default_rng(member).integers(0, 7, (64, 5))
        return {"x": x, "y": (x.sum(1) % 2).astype("int64"), "epochs": 2, "verbose": 0}

    assert_equal_fits(compiled(make), arguments, n=3, are_stacked=None)


def test_a_layer_that_a_callback_unfreezes_is_trained_from_then_on():
    class Unfreeze(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.layers[0].trainable = True

    def make():
        model = dense()
        model.build((None, 5))
        model.layers[0].trainable = False
        return model

    def arguments(member):
        x, y = data_of(member)
        return {"x": x, "y": y, "epochs": 5, "verbose": 0, "callbacks": [Unfreeze()]}

    assert_equal_fits(compiled(make), arguments)


def test_a_forward_that_depends_on_values_is_trained_one_after_the_other():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(5, 2), nn.Linear(5, 2)

        def forward(self, x):
            return self.one(x) if x.sum() > 0 else self.other(x)

    assert_equal_fits(compiled(lambda: kt.Model(Branching())), fit_arguments(), are_stacked=False)


def test_models_that_differ_in_a_setting_keep_it():
    rates = iter([0.1, 0.6, 0.1, 0.6])

    def make():
        return dense(lambda: layers.Dropout(next(rates)))

    tasks = tasks_of(compiled(make), fit_arguments())
    result = train_together(tasks)
    assert result.reason is not None
    rates = iter([0.1, 0.6, 0.1, 0.6])
    for alone, task in zip(tasks_of(compiled(make), fit_arguments()), tasks, strict=True):
        restore_rng_states(alone.rng_states)
        alone.model.fit(**alone.arguments)
        assert_equal_states(alone.model.state_dict(), task.model.state_dict())


def test_an_error_in_one_fit_is_raised_and_ends_all():
    class Failing(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("no more")

    ended = []

    class Ending(callbacks.Callback):
        def on_train_end(self, logs=None):
            ended.append(self)

    def arguments(member):
        return {**fit_arguments()(member), "callbacks": [Ending(), *([Failing()] if member == 2 else [])]}

    tasks = tasks_of(compiled(dense), arguments)
    with pytest.raises(RuntimeError, match="no more"):
        train_together(tasks)
    assert len(ended) == 4
    for task in tasks:  # nothing is locked
        task.model.fit(*data_of(0), verbose=0)


def _generator(member):
    x, y = data_of(member)
    while True:
        yield x[:16], y[:16]


class _OwnStep(kt.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class _EachBatch(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


_SHARED = callbacks.EarlyStopping("loss")


@pytest.mark.parametrize(
    ("build", "arguments", "n", "reason"),
    [
        (compiled(dense), fit_arguments(), 1, "one model"),
        (compiled(dense, "lamb"), fit_arguments(), 2, "each element"),
        (compiled(dense, "lbfgs"), fit_arguments(), 2, "each element"),
        (compiled(dense, lambda: optimizers.Adam(gradient_accumulation_steps=2)), fit_arguments(), 2, "accumulates"),
        (compiled(dense, jit_compile=True), fit_arguments(), 2, "jit_compile"),
        (compiled(lambda: _OwnStep([layers.Dense(2)])), fit_arguments(), 2, "a way of its own"),
        (compiled(dense), fit_arguments(callbacks=[_SHARED]), 2, "several fits"),
        (compiled(dense), lambda i: {**fit_arguments()(i), "callbacks": [_EachBatch()]}, 2, "each batch"),
        (compiled(dense), fit_arguments(max_time=100), 2, "max_time"),
        (compiled(dense), lambda i: {"x": _generator(i), "steps_per_epoch": 2, "verbose": 0}, 2, "generator"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_together_is_refused_before_anything_changes(build, arguments, n, reason):
    tasks = tasks_of(build, arguments, n)
    state = torch.get_rng_state()
    with pytest.raises(CannotTrainTogether, match=reason):
        train_together(tasks)
    assert torch.equal(torch.get_rng_state(), state)
    for task in tasks:
        assert task.model.history is None
        assert task.model.optimizer is None


def test_the_same_model_twice_is_refused():
    task = tasks_of(compiled(dense), fit_arguments(), 1)[0]
    with pytest.raises(CannotTrainTogether, match="share layers or weights"):
        train_together([task, task])


def test_a_metric_object_that_all_models_update_has_the_values_of_each():
    shared = kt.metrics.AUC()
    with pytest.raises(CannotTrainTogether, match="a metric object belongs to several models"):
        train_together(tasks_of(
            compiled(lambda: dense(last=1), loss="bce_with_logits", metrics=[shared]),
            lambda member: dict(zip("xy", data_of(member), strict=True), verbose=0),
        ))  # fmt: skip


def test_a_loss_with_weights_that_all_models_train_is_refused():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, output, target):
            return nn.functional.cross_entropy(self.scale * output, target)

    with pytest.raises(CannotTrainTogether, match="a loss that has weights or buffers belongs to several models"):
        train_together(tasks_of(
            compiled(dense, loss=Scaled()), lambda member: dict(zip("xy", data_of(member), strict=True), verbose=0)
        ))  # fmt: skip


def test_a_layer_with_random_numbers_of_its_own_that_all_models_call_is_refused():
    shared = layers.Dropout(0.3, seed=7)
    with pytest.raises(CannotTrainTogether, match="two of the models share layers or weights"):
        train_together(tasks_of(
            compiled(lambda: dense(lambda: shared)),
            lambda member: dict(zip("xy", data_of(member), strict=True), verbose=0),
        ))  # fmt: skip
