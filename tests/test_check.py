"""`model.check` finds faults before a training, is silent on healthy data, and changes nothing."""

import copy
import random

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris, load_wine
from support.problems import classification, regression
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt
from kerastorch import layers
from kerastorch.model_check.input_checks import hash_rows
from kerastorch.model_check.report import CheckReport, Finding

RANDOM = np.random.default_rng(0)


def standardized(load):
    x, y = load(return_X_y=True)
    return (x - x.mean(0)) / (x.std(0) + (x.std(0) == 0)), y


def shuffled(x, y):
    order = np.random.default_rng(0).permutation(len(x))
    return x[order], y[order]


WINE, DIGITS, IRIS = (standardized(load) for load in (load_wine, load_digits, load_iris))


def network(outputs, *, hidden=16, last=None, loss="cross_entropy", optimizer="adam", first=()):
    kt.utils.set_random_seed(0)
    model = kt.Sequential([*first, layers.Dense(hidden, "relu"), layers.Dense(outputs, last)])
    model.compile(optimizer, loss)
    return model


def found(report, level="warning"):
    return [one.name for one in report.of_level(level)]


def text(report, name):
    return " ".join(one.text for one in report.findings if one.name == name)


# --- healthy data --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "classes"), [(WINE, 3), (DIGITS, 10), (IRIS, 3)], ids=["wine", "digits", "iris"])
@pytest.mark.parametrize("kind", ["arrays", "loader", "dataset"])
def test_nothing_is_wrong_with_healthy_data(data, classes, kind):
    x, y = shuffled(*data)
    given = {"x": x, "y": y, "validation_split": 0.2}
    pairs = TensorDataset(torch.from_numpy(x).float(), torch.from_numpy(y))
    if kind == "loader":
        given = {"x": DataLoader(pairs, batch_size=32, shuffle=True)}
    elif kind == "dataset":
        given = {"x": Pairs(pairs), "validation_split": 0.2}
    report = network(classes).check(**given)
    assert found(report, "error") == found(report) == []
    assert report
    assert {"shapes", "memory", "time", "first loss"} <= set(found(report, "note"))


class Pairs(Dataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", kt.optimizers.SGD(0.1, momentum=0.9), "lbfgs"])
def test_usual_optimizers_pass(optimizer):
    report = network(3, optimizer=optimizer).check(*WINE, batch_size=178)
    assert found(report, "error") == found(report) == []


def test_regression_passes():
    x, y = regression(200)
    report = network(1, loss="mse").check(x, y)
    assert found(report, "error") == found(report) == []


def test_a_trained_model_passes():
    model = network(3)
    model.fit(*WINE, epochs=60, verbose=0)
    assert found(model.check(*WINE)) == []


# --- faults --------------------------------------------------------------------------------------------------------


def test_columns_of_different_scales_are_found():
    report = network(3).check(*load_wine(return_X_y=True))
    assert "scale" in found(report)
    assert "column 12 reaches 1" in text(report, "scale")  # proline, up to 1680


def test_a_layer_that_scales_the_columns_is_noticed():
    x, y = load_wine(return_X_y=True)
    normalization = layers.Normalization()
    normalization.adapt(x)
    assert found(network(3, first=[normalization]).check(x, y)) == []


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_that_are_not_scaled_are_found(dtype):
    images = RANDOM.integers(0, 256, (64, 8, 8)).astype(dtype)
    y = np.arange(64) % 2
    report = network(2, first=[layers.Flatten()]).check(images, y)
    assert "unscaled" in found(report)
    assert "255" in text(report, "unscaled")
    scaled = network(2, first=[layers.Rescaling(1 / 255), layers.Flatten()]).check(images, y)
    assert "unscaled" not in found(scaled)


def test_a_forward_that_scales_its_input_itself_is_noticed():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 2)

        def forward(self, x):
            return self.layer(x / 255)

    model = kt.Model(Scaled())
    model.compile("adam", "cross_entropy")
    report = model.check(RANDOM.integers(0, 256, (64, 64)).astype("float32"), np.arange(64) % 2)
    assert found(report) == []


def test_constant_data_are_found():
    x, y = WINE
    assert "constant" in found(network(3).check(np.zeros_like(x), y))
    changed = x.copy()
    changed[:, 4] = 1.5
    report = network(3).check(changed, y)
    assert "1 of 13 columns of x are the same in all rows: 4." in text(report, "constant")
    assert "targets" in found(network(3).check(x, np.ones_like(y)))


def test_a_constant_input_beside_others_is_a_note():
    values, mask = kt.Input((13,)), kt.Input((13,))
    model = kt.Model([values, mask], layers.Dense(3)(values * mask))
    model.compile("adam", "cross_entropy")
    report = model.check((WINE[0], np.ones((178, 13))), WINE[1])
    assert found(report) == []
    assert "All rows of x[1] are the same." in text(report, "constant")


@pytest.mark.parametrize(("rare", "is_found"), [(5, True), (40, False)])
def test_unbalanced_classes_are_found(rare, is_found):
    x = RANDOM.normal(size=(100, 4))
    y = np.arange(100) < rare
    model = network(1, last="sigmoid", loss="binary_crossentropy")
    report = model.check(x, y)
    assert ("balance" in found(report)) is is_found
    if is_found:
        assert "class 0 has 95.0% of the rows, class 1 has 5.0%" in text(report, "balance")
        assert "balance" not in found(model.check(x, y, class_weight="balanced"))


def test_one_hot_targets_have_a_balance_too():
    y = np.eye(3)[np.array([0] * 90 + [1] * 8 + [2] * 2)]
    report = network(3, last="softmax", loss="categorical_crossentropy").check(RANDOM.normal(size=(100, 4)), y)
    assert "class 0 has 90.0% of the rows, class 2 has 2.0%" in text(report, "balance")


def test_classes_without_rows_are_found():
    x, y = WINE
    assert "5 outputs, and y has the classes 0..2 alone" in text(network(5).check(x, y), "missing classes")
    kept = y != 1
    assert "no row of the class 1, for" in text(network(3).check(x[kept], y[kept]), "missing classes")


def test_what_fit_refuses_is_an_error():
    x, y = WINE
    report = network(3).check(x, y + 1)
    assert not report
    assert "y[130] = 3, but the model has 3 outputs (valid: 0..2)" in text(report, "training")
    with pytest.raises(ValueError, match=r"training: y\[130\] = 3"):
        report.raise_if_errors()
    assert "x has 178 samples, y has 3" in text(network(3).check(x, y[:3]), "training")
    assert "fit(x, y)" in text(network(3).check((x, y)), "training")
    narrow = network(3)
    narrow.fit(x, y, verbose=0)
    assert "expects 13 features, its input has 5" in text(narrow.check(x[:, :5], y), "training")


def test_nan_is_an_error_and_the_training_is_not_tried():
    x, y = WINE[0].copy(), WINE[1]
    x[17, 2] = np.nan
    report = network(3).check(x, y)
    assert found(report, "error") == ["not finite"]
    assert "x has 1 NaN values, first at row 17, column 2" in text(report, "not finite")
    held_out = network(3).check(*WINE, validation_data=(x, y))
    assert "validation x has 1 NaN values" in text(held_out, "not finite")


@pytest.mark.parametrize(
    ("last", "loss", "outputs", "message"),
    [
        ("sigmoid", "sparse_categorical_crossentropy", 3, "ends in a sigmoid"),
        ("relu", "cross_entropy", 3, "ends in relu, which limits its outputs to 0 and more"),
        ("tanh", "cross_entropy", 3, "ends in tanh, which limits its outputs to -1 to 1"),
        ("softmax", "sparse_categorical_crossentropy", 3, ""),
        (None, "cross_entropy", 3, ""),
    ],
)
def test_a_last_activation_that_does_not_fit_the_loss_is_found(last, loss, outputs, message):
    report = network(outputs, last=last, loss=loss).check(*WINE)
    assert ("last activation" in found(report)) is bool(message)
    assert message in text(report, "last activation")


@pytest.mark.parametrize(
    ("last", "low", "high", "is_found"),
    [("sigmoid", -3, 5, True), ("sigmoid", 0, 1, False), ("relu", -2, 2, True), ("relu", 0, 9, False),
     ("tanh", -1, 2, True), ("tanh", -1, 1, False), (None, -50, 50, False)],
)  # fmt: skip
def test_targets_that_the_last_activation_cannot_reach_are_found(last, low, high, is_found):
    y = np.linspace(low, high, 50)[:, None]
    report = network(1, last=last, loss="mse").check(RANDOM.normal(size=(50, 4)), y)
    assert ("last activation" in found(report)) is is_found


def test_a_softmax_over_one_unit_and_logits_with_a_loss_of_probabilities_are_errors():
    x, y = WINE
    assert "softmax over one unit" in text(network(1, last="softmax", loss="mse").check(x, y), "training")
    report = network(3, loss="sparse_categorical_crossentropy").check(x, y)
    assert "expects probabilities" in text(report, "training")


class Detached(kt.Model):
    def __init__(self):
        super().__init__()
        self.first, self.unused, self.last = nn.Linear(13, 8), nn.Linear(13, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x).detach()))


def test_parameters_without_a_gradient_are_named():
    model = Detached()
    model.compile("sgd", "cross_entropy")
    report = model.check(*WINE)
    message = text(report, "no gradient")
    assert "4 parameters have (first.weight, first.bias, unused.weight, unused.bias) no gradient" in message
    assert "last" not in message


def test_parameters_whose_gradient_is_always_0_are_named():
    model = network(3)
    model.build((None, 13))
    with torch.no_grad():
        model.layers[0].bias.fill_(-100.0)
    report = model.check(*WINE)
    # the units are 0, and so is the gradient of the weights behind them
    assert "3 parameters have (0.weight, 0.bias, 1.weight) a gradient of 0" in text(report, "no gradient")
    assert "100% of the units are 0 for all 32 rows of a batch, before the first step" in text(report, "dead units")


def test_a_gradient_that_is_0_in_the_first_step_alone_is_fine():
    model = kt.Sequential([layers.Dense(8, "tanh"), layers.Dense(3, kernel_initializer="zeros")])
    model.compile("adam", "cross_entropy")
    assert found(model.check(*WINE)) == []


def test_frozen_weights_are_a_note():
    model = network(3)
    model.build((None, 13))
    model.layers[0].trainable = False
    report = model.check(*WINE)
    assert "224 of 275 weights are frozen." in text(report, "frozen")  # 13 * 16 + 16, and 16 * 3 + 3 more
    assert found(report) == []


@pytest.mark.parametrize(
    ("optimizer", "level"), [(kt.optimizers.SGD(1e3), "warning"), (kt.optimizers.SGD(1e30), "error")]
)
def test_a_learning_rate_that_is_far_too_large_is_found(optimizer, level):
    report = network(3, optimizer=optimizer).check(*WINE)
    assert "learning rate" in found(report, level)
    assert "learning rate 1e+" in text(report, "learning rate") or "rate 1000" in text(report, "learning rate")


def test_the_learning_rate_that_is_set_counts():
    model = network(3, optimizer=kt.optimizers.SGD(0.01))
    model.build((None, 13))
    assert found(model.check(*WINE)) == []
    model.optimizer.learning_rate = 1e3
    assert "learning rate" in found(model.check(*WINE))


@pytest.mark.parametrize(("scale", "is_found"), [(1.0, False), (1000.0, True)])
def test_a_first_loss_far_above_that_of_a_guess_is_found(scale, is_found):
    model = kt.Sequential([layers.Dense(3, kernel_initializer=kt.initializers.RandomNormal(stddev=0.1 * scale))])
    model.compile("adam", "cross_entropy")
    report = model.check(*WINE)
    assert ("first loss" in found(report)) is is_found
    assert "1.1, ln 3" in text(report, "first loss")


def test_the_first_loss_is_compared_with_the_variance_of_values():
    x, y = regression(200)
    report = network(1, loss="mse").check(x, y)
    assert f"has {float(np.var(y.numpy())):.4g}" in text(report, "first loss")
    far = network(1, loss="mse").check(x, y / y.std() + 2000)
    assert "first loss" in found(far)


def test_rows_in_training_and_validation_are_counted():
    x, y = WINE
    report = network(3).check(x, y, validation_data=(x[:50], y[:50]))
    assert "50 of 50 validation rows are also in the training data" in text(report, "shared rows")
    other = RANDOM.normal(size=(50, 13))
    other[:10] = x[:10]
    assert "10 of 50 validation rows" in text(network(3).check(x, y, validation_data=(other, y[:50])), "shared rows")
    doubled = np.concatenate([x, x]), np.concatenate([y, y])
    assert "shared rows" in found(network(3).check(*doubled, validation_split=0.5))


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, divides):
        self.divides = divides

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        step, start = (worker.num_workers, worker.id) if self.divides and worker else (1, 0)
        for x, y in list(zip(*WINE, strict=True))[start::step]:
            yield torch.from_numpy(x).float(), int(y)


@pytest.mark.parametrize("divides", [True, False])
def test_workers_that_yield_the_same_samples_are_found(divides):
    report = network(3).check(DataLoader(Stream(divides), batch_size=32, num_workers=2))
    assert ("repeated batches" in found(report)) is not divides
    if not divides:
        assert "each of the 2 workers yields all samples" in text(report, "repeated batches")


def test_data_with_few_different_rows_share_them_by_chance():
    x = RANDOM.integers(0, 2, (400, 3)).astype("float32")
    report = network(2).check(x, np.arange(400) % 2, validation_split=0.2)
    assert "shared rows" not in found(report)


def test_hashes_of_rows_are_equal_for_equal_rows_alone():
    rows = torch.from_numpy(RANDOM.integers(0, 5, (3000, 4)))
    hashes = hash_rows([rows])
    _, expected = np.unique(rows.numpy(), axis=0, return_inverse=True)
    _, actual = np.unique(hashes, return_inverse=True)
    pairs = set(zip(expected.ravel().tolist(), actual.tolist(), strict=True))
    assert len(pairs) == len(set(expected.ravel().tolist())) == len(set(actual.tolist()))


def test_sorted_labels_with_a_split_are_found():
    assert "the data seems sorted" in text(network(3).check(*WINE, validation_split=0.2), "data")
    assert "contain classes never seen in training: {2}" in text(network(3).check(*WINE, validation_split=0.3), "data")
    assert found(network(3).check(*WINE, validation_split=0.3, validation_stratify=True)) == []


def test_a_batch_of_one_row_with_batch_normalization_is_an_error():
    model = kt.Model(nn.Sequential(nn.Linear(13, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)))
    model.compile("sgd", "cross_entropy")
    x, y = WINE
    assert "leaves a batch of 1" in text(model.check(x[:33], y[:33]), "training")


# --- notes ---------------------------------------------------------------------------------------------------------


def test_memory_is_that_of_weights_gradients_and_moments():
    weights = 4 * (13 * 16 + 16 + 16 * 3 + 3)
    message = text(network(3).check(*WINE), "memory")
    assert f"weights {weights / 1024:.2f} KB, gradients {weights / 1024:.2f} KB" in message
    steps = 4 * 4  # Adam counts the steps of each of the four parameters in a float32
    assert f"state of the optimizer {(2 * weights + steps) / 1024:.2f} KB" in message
    assert "state of the optimizer 0 B" in text(network(3, optimizer="sgd").check(*WINE), "memory")


def test_the_time_of_an_epoch_is_that_of_its_batches():
    assert "5 batches of" in text(network(3).check(*WINE, batch_size=40), "time")
    loader = DataLoader(TensorDataset(*map(torch.as_tensor, WINE)), batch_size=32)
    assert "6 batches of" in text(network(3).check(loader), "time")


def test_shapes_are_those_of_rows():
    message = text(network(3).check(*WINE), "shapes")
    assert "x (13,)" in message
    assert "y () int64" in message
    assert "the model makes (3,) float32" in message


# --- which models and data -----------------------------------------------------------------------------------------


def test_a_model_that_is_not_compiled_is_called_but_not_trained():
    model = kt.Sequential([layers.Dense(16, "relu"), layers.Dense(3)])
    report = model.check(*load_wine(return_X_y=True))
    assert "compile" in found(report, "note")
    assert "scale" in found(report)
    assert not model.layers[0].built
    assert found(kt.Model(nn.Linear(13, 3)).check(*WINE)) == []


def test_several_outputs_are_checked_by_name():
    inputs = kt.Input((13,))
    hidden = layers.Dense(8, "relu")(inputs)
    outputs = {
        "kind": layers.Dense(3, "sigmoid", name="kind")(hidden),
        "size": layers.Dense(1, "relu", name="size")(hidden),
    }
    model = kt.Model(inputs, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    x, y = WINE
    report = model.check(x, {"kind": y, "size": -1.0 - x[:, :1] ** 2})
    messages = [one.message for one in report.findings if one.name == "last activation"]
    assert len(messages) == 2
    assert any("sigmoid" in one for one in messages)
    assert any("y['size'] goes from" in one for one in messages)


def test_a_train_step_of_ones_own_is_tried():
    class Own(kt.Sequential):
        def train_step(self, data):
            x, y = data
            loss = self.compute_loss(x, y, self(x))
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    model = Own([layers.Dense(16, "relu"), layers.Dense(3)])
    model.compile(kt.optimizers.SGD(1e3), "cross_entropy")
    assert "learning rate" in found(model.check(*WINE))


def test_a_compile_of_ones_own_is_no_obstacle():
    class Own(kt.Sequential):
        def compile(self, rate):
            super().compile(kt.optimizers.SGD(rate), "cross_entropy")

    model = Own([layers.Dense(3)])
    model.compile(0.01)
    assert found(model.check(*WINE)) == []


def test_a_compiled_module_runs_eagerly_in_the_check():
    net = nn.Sequential(nn.Linear(13, 8), nn.ReLU(), nn.Linear(8, 3))
    model = kt.Model(torch.compile(net, backend="eager"))
    model.compile("adam", "cross_entropy")
    with torch.no_grad():
        net[0].bias.fill_(-100.0)
    assert "dead units" in found(model.check(*WINE))


def test_two_optimizers_are_tried_and_each_gives_gradients():
    class Pair(kt.Model):
        def __init__(self):
            super().__init__()
            self.one, self.other, self.unused = nn.Linear(13, 1), nn.Linear(13, 1), nn.Linear(13, 1)

        def forward(self, x):
            return self.one(x)

        def train_step(self, batch):
            x = batch[0]
            first = (self.one(x) - 1).square().mean()
            self.trainer.minimize(first, "one")
            second = (self.other(x) + self.one(x).detach()).square().mean()
            self.trainer.minimize(second, "other")
            return {"first": first, "second": second}

    model = Pair()
    model.compile({"one": "sgd", "other": "adam", "unused": "sgd"})
    report = model.check(WINE[0])
    assert "2 parameters have (unused.weight, unused.bias) no gradient" in text(report, "no gradient")


def test_dicts_of_a_loader_are_read_as_in_fit():
    rows = [{"x": torch.from_numpy(x).float(), "label": int(y)} for x, y in zip(*WINE, strict=True)]
    report = network(3).check(DataLoader(rows, batch_size=32))
    assert found(report, "error") == []
    assert "'label' is taken as the target" in text(report, "data")
    assert "label" not in text(report, "shapes")


def test_generators_are_refused():
    batches = ((WINE[0][:8], WINE[1][:8]) for _ in range(3))
    with pytest.raises(
        ValueError, match=r"check\(\): x is a generator, .* Pass a function that returns a new generator"
    ):
        network(3).check(batches)
    assert next(batches) is not None
    with pytest.raises(ValueError, match=r"check\(\): validation_data is a generator"):
        network(3).check(*WINE, validation_data=batches)
    assert (
        found(network(3).check(lambda: ((WINE[0][i : i + 32], WINE[1][i : i + 32]) for i in range(0, 160, 32)))) == []
    )


def test_a_misspelt_argument_has_a_hint():
    with pytest.raises(TypeError, match="Did you mean 'validation_split'"):
        network(3).check(*WINE, validation_splits=0.1)


# --- nothing changes -----------------------------------------------------------------------------------------------


def fitted(model):
    history = model.fit(*loaded(), epochs=2, verbose=0)
    return history.history, {name: value.clone() for name, value in model.state_dict().items()}


def loaded():
    x, y = torch.from_numpy(WINE[0]).float(), torch.from_numpy(WINE[1])
    generator = torch.Generator().manual_seed(3)
    return [DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True, generator=generator)]


def deep(jit=False):
    kt.utils.set_random_seed(0)
    model = kt.Sequential(
        [layers.Dense(16), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(8, "relu"), layers.Dense(3)]
    )
    model.compile(
        kt.optimizers.Adam(kt.optimizers.schedules.CosineDecay(0.01, 20), use_ema=True),
        "cross_entropy",
        metrics=["accuracy"],
        regularizers={"0.weight": "l2"},
        jit_compile=jit,
    )
    return model


@pytest.mark.parametrize("is_built", [False, True])
def test_a_training_after_a_check_is_that_without_it_to_the_bit(is_built):
    results = []
    for checks in (False, True):
        model = deep()
        data = loaded()
        if is_built:
            model.fit(*data, verbose=0)
        if checks:
            assert model.check(*data)
        history = model.fit(*data, epochs=2, verbose=0).history
        results.append((history, {name: value.clone() for name, value in model.state_dict().items()}, torch.rand(3)))
    (logs, weights, drawn), (other_logs, other_weights, other_drawn) = results
    assert logs == other_logs
    assert torch.equal(drawn, other_drawn)
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


def test_weights_gradients_optimizer_modes_hooks_and_generators_are_as_before():
    model = deep()
    model.fit(*loaded(), verbose=0)
    model.layers[0].eval()
    state, gradients = copy.deepcopy(model.state_dict()), [p.grad for p in model.parameters()]
    optimizer = copy.deepcopy(model.optimizer.state_dict())
    modes = [part.training for part in model.modules()]
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()]
    generators = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    model.check(*WINE, validation_split=0.1)
    model.check(*WINE[:1], WINE[1] + 1)  # with an error in the trial
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(one is other for one, other in zip(gradients, (p.grad for p in model.parameters()), strict=True))
    now = model.optimizer.state_dict()
    assert now["param_groups"] == optimizer["param_groups"]
    for index, about in optimizer["state"].items():
        assert all(torch.equal(torch.as_tensor(now["state"][index][name]), torch.as_tensor(value))
                   for name, value in about.items())  # fmt: skip
    assert modes == [part.training for part in model.modules()]
    assert hooks == [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules()]
    assert generators[0] == random.getstate()
    assert generators[1] == np.random.get_state()[1].tolist()
    assert torch.equal(generators[2], torch.get_rng_state())
    assert model.history is not None


def test_an_optimizer_of_torch_made_for_the_model_is_left_alone():
    net = nn.Linear(13, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    model = kt.Model(net)
    model.compile(optimizer, "cross_entropy")
    before = net.weight.clone()
    assert found(model.check(*WINE)) == []
    assert torch.equal(before, net.weight)
    assert not optimizer.state


def test_lazy_modules_of_torch_with_their_optimizer_stay_lazy():
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    model = kt.Model(net)
    model.compile("sgd", "cross_entropy")
    assert found(model.check(*WINE)) == []
    assert isinstance(net[0].weight, nn.parameter.UninitializedParameter)


# --- the report ----------------------------------------------------------------------------------------------------


def test_a_report_shows_its_findings_by_level():
    report = CheckReport("Net", [Finding("note", "time", "2 s."), Finding("error", "training", "x <b>.", "Do y.")])
    assert repr(report).splitlines() == [
        "Check of Net: 1 error, 0 warnings",
        "  error    training   x <b>. Do y.",
        "  note     time       2 s.",
    ]
    assert not report
    assert "<b>Check of Net: 1 error, 0 warnings</b>" in report._repr_html_()
    assert "x &lt;b&gt;. Do y." in report._repr_html_()
    assert CheckReport("Net", []).raise_if_errors() is None
    assert CheckReport("Net", [])


# --- the warning of fit --------------------------------------------------------------------------------------------

IMAGES = RANDOM.integers(0, 256, (40, 1, 8, 8)).astype("uint8")
KINDS = np.arange(40) % 2


def convolutional(*first):
    model = kt.Sequential([*first, layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    model.compile("adam", "cross_entropy")
    return model


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda x: x.astype("float64")])
def test_fit_warns_once_of_pixels_that_are_not_scaled(kind):
    with pytest.warns(UserWarning, match=r"x has whole numbers from 0 to 255.*Conv2.*Divide x by 255") as caught:
        convolutional().fit(kind(IMAGES), KINDS, epochs=2, verbose=0)
    assert len(caught) == 1


def test_fit_warns_of_flat_images_in_a_module_of_torch_and_in_a_functional_model():
    flat = IMAGES.reshape(40, 64)
    model = kt.Model(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
    model.compile("adam", "cross_entropy")
    with pytest.warns(UserWarning, match="x has whole numbers"):
        model.fit(flat, KINDS, verbose=0)
    inputs = kt.Input((64,))
    model = kt.Model(inputs, layers.Dense(2)(inputs))
    model.compile("adam", "cross_entropy")
    with pytest.warns(UserWarning, match="x has whole numbers"):
        model.fit(flat, KINDS, verbose=0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("model", "x"),
    [
        (lambda: convolutional(layers.Rescaling(1 / 255)), IMAGES),
        (lambda: convolutional(layers.BatchNormalization(axis=1)), IMAGES),
        (lambda: convolutional(), IMAGES / 255),
        (lambda: kt.Sequential([layers.Embedding(256, 4), layers.Flatten(), layers.Dense(2)]), IMAGES.reshape(40, 64)),
        (lambda: kt.Sequential([layers.Dense(2)]), IMAGES.reshape(40, 64)[:, :6]),  # few columns are no image
        (lambda: kt.Sequential([layers.Dense(2)]), IMAGES.reshape(40, 64) // 2),  # 0 to 127
    ],
)
def test_fit_is_silent_about_other_data(model, x):
    model = model()
    model.compile("adam", "cross_entropy")
    model.fit(x, KINDS, verbose=0)


def test_the_rows_of_the_classification_problem_pass():
    x, y = classification(200)
    assert found(network(3).check(x, y)) == []
