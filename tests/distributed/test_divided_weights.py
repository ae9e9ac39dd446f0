"""Models of many kinds with divided weights: `FullyShard` and `TensorParallel` give the numbers of one process."""

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.core.distributed_tensors import full_tensor
from kerastorch.distribution import FullyShard, TensorParallel

X = torch.randn(45, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (45,), generator=torch.Generator().manual_seed(1))
SEQUENCES, IMAGES = X[:40].reshape(8, 5, 6), X[:32].reshape(4, 3, 4, 4)
QUIET = {"verbose": 0, "shuffle": False}


def _dense(**options):
    return kt.Sequential(
        [kt.Input((6,)), kt.layers.Dense(8, "tanh", **options), kt.layers.Dense(8, "tanh"), kt.layers.Dense(3)]
    )


def _fit(model, x, y, distribution, batch_size=10, optimizer="adam", **options):
    model.compile(optimizer, "cross_entropy", metrics=["accuracy"], distribution=distribution)
    logs = model.fit(x, y, batch_size=batch_size, epochs=2, **{**QUIET, **options}).history
    return model, logs, model.predict(x, verbose=0)


def frozen(distribution):
    model = _dense()
    model.layers[0].trainable = False
    return _fit(model, X, Y, distribution)


def unfrozen(distribution):
    callback = kt.callbacks.Unfreeze({1: "2.*", 2: "*"})
    return _fit(_dense(), X, Y, distribution, callbacks=[callback])


class Adversarial(kt.Model):
    """Two networks that a step calls in parts, before the whole model is ever called."""

    def __init__(self):
        super().__init__()
        self.maker = nn.Linear(6, 6)
        self.judge = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x):
        return self.judge(self.maker(x))

    def train_step(self, data):
        x, softplus = data[0] if isinstance(data, tuple) else data, nn.functional.softplus
        judged = softplus(-self.judge(x)).mean() + softplus(self.judge(self.maker(x).detach())).mean()
        self.trainer.minimize(judged, "judge")
        made = softplus(-self.judge(self.maker(x))).mean()
        self.trainer.minimize(made, "maker")
        return {"judged": judged, "made": made}


def adversarial(distribution):
    model = Adversarial()
    optimizers = {"maker": kt.optimizers.SGD(0.1), "judge": kt.optimizers.Adam(0.01)}
    model.compile(optimizers, distribution=distribution)
    logs = model.fit(X, batch_size=10, epochs=2, **QUIET).history
    return model, logs, model.predict(X, verbose=0)


def convolutions(distribution):
    parts = [kt.layers.Conv2D(4, 3, activation="relu"), kt.layers.GlobalAveragePooling2D(), kt.layers.Dense(4)]
    model = kt.Sequential([kt.Input((3, 4, 4)), *parts])
    return _fit(model, IMAGES, Y[:4], distribution, 3, validation_data=(IMAGES[:3], Y[:3]))


class Encoder(nn.Module):
    """A Transformer encoder of torch with a linear layer behind it."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(6, 2, 12, dropout=0.0, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(6, 4)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


def transformer(distribution):
    # the bias of the keys has no gradient but rounding errors, of which Adam would make whole steps
    return _fit(kt.Model(Encoder()), SEQUENCES, Y[:8], distribution, 3, "sgd")


def recurrent(distribution):
    model = kt.Sequential([kt.Input((5, 6)), kt.layers.LSTM(4), kt.layers.Dense(4)])
    return _fit(model, SEQUENCES, Y[:8], distribution, 3)


def masked(distribution):
    tokens = torch.randint(0, 10, (15, 4), generator=torch.Generator().manual_seed(5))
    parts = [kt.layers.Embedding(10, 6, mask_zero=True), kt.layers.GRU(4), kt.layers.Dense(3)]
    return _fit(kt.Sequential([kt.Input((4,), dtype="int64"), *parts]), tokens, Y[:15], distribution, 4)


class Evaluation(kt.callbacks.Callback):
    """Evaluates and predicts within a fit, on all ranks."""

    every_rank = True

    def on_epoch_end(self, epoch, logs=None):
        logs["extra"] = self.model.evaluate(X, Y, verbose=0)[0]
        logs["sum"] = float(self.model.predict(X[:3], verbose=0).sum())


def callbacks(distribution):
    used = [Evaluation(), kt.callbacks.ReduceLROnPlateau("loss"), kt.callbacks.StochasticWeightAveraging(1)]
    model = _dense(kernel_regularizer="l2")
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    model, logs, outputs = _fit(
        model, X, Y, distribution, callbacks=used, class_weight=weights, validation_split=0.2, shuffle=True
    )
    model.summary(print_fn=lambda *_: None)
    model.set_weights(model.get_weights())
    return model, logs, outputs


def single_batches(distribution):
    parts = [kt.layers.Dense(8, "tanh"), kt.layers.Dense(3)]
    model = kt.Sequential([kt.Input((6,)), *parts])
    model.compile("adam", "cross_entropy", distribution=distribution)
    losses = [model.train_on_batch(X[:9], Y[:9]) for _ in range(3)]
    return model, {"trained": losses, "tested": [model.test_on_batch(X[:9], Y[:9])]}, model.predict_on_batch(X[:4])


def several_outputs(distribution):
    inputs = kt.Input((6,))
    hidden = kt.layers.Dense(8, "tanh", name="hidden")(inputs)
    model = kt.Model(inputs, {"a": kt.layers.Dense(3)(hidden), "b": kt.layers.Dense(1)(hidden)})
    losses, metrics = {"a": "cross_entropy", "b": "mse"}, {"a": ["accuracy", "f1"], "b": ["mae"]}
    model.compile("adam", losses, metrics=metrics, distribution=distribution)
    targets = {"a": Y, "b": Y[:, None].float()}
    logs = model.fit(X, targets, batch_size=10, epochs=2, validation_split=0.3, **QUIET).history
    return model, logs, model.predict(X, verbose=0)["a"]


CASES = [
    frozen, unfrozen, adversarial, convolutions, transformer, recurrent, masked, callbacks, single_batches,
    several_outputs,
]  # fmt: skip
PLANS = {
    "frozen": {"0": "column", "1": "row"},
    "unfrozen": {"0": "column", "1": "row"},
    "adversarial": {"judge.0": "column", "judge.2": "row"},
    "convolutions": {"2": "column"},
    "transformer": {"head": "column"},
    "recurrent": {"1": "row"},
    "masked": {"0": "row"},
    "callbacks": {"0": "column", "1": "row"},
    "single_batches": {"0": "column"},
    "several_outputs": {"hidden": "column"},
}


def run(case, distribution):
    """Run a case; return weights, logs and outputs."""
    torch.manual_seed(0)
    model, logs, outputs = case(distribution)
    return [full_tensor(weight.detach()).numpy() for weight in model.parameters()], logs, outputs


def check(ranks, expected):
    """Compare what all ranks return with what one process returns."""
    for weights, logs, outputs in ranks:
        for one, two in zip(weights, expected[0], strict=True):
            np.testing.assert_allclose(one, two, atol=2e-6)
        assert logs.keys() == expected[1].keys()
        for name, values in expected[1].items():
            np.testing.assert_allclose(logs[name], values, atol=2e-6, err_msg=name)
        np.testing.assert_allclose(outputs, expected[2], atol=2e-6)


@pytest.mark.parametrize("case", [adversarial, recurrent, callbacks])
def test_a_sharded_model_gives_the_numbers_of_one_process(two, case):
    check(two.run(run, case, FullyShard()), run(case, None))


def _summary_on_rank_0(distribution):
    model, lines = _dense(), []
    model.compile("adam", "cross_entropy", distribution=distribution)
    model.fit(X, Y, epochs=1, **QUIET)
    if kt.distribution.rank() == 0:
        model.summary(print_fn=lines.append)
    before = model.evaluate(X, Y, verbose=0)
    model.fit(X, Y, epochs=1, **QUIET)
    return lines, before > model.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("distribution", [FullyShard(), FullyShard(shard=60), TensorParallel({"0": "column"})], ids=str)
def test_rank_0_alone_can_print_the_summary(two, distribution):
    (lines, learns), (none, _) = two.run(_summary_on_rank_0, distribution)
    plain, expected = _dense(), []
    plain.compile("adam", "cross_entropy", distribution=None)
    plain.fit(X, Y, epochs=1, **QUIET)
    plain.summary(print_fn=expected.append)
    assert lines == expected
    assert learns
    assert not none


@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES)
def test_all_kinds_of_sharded_models_give_the_numbers_of_one_process(three, case):
    check(three.run(run, case, FullyShard(shard=30)), run(case, None))


@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES)
def test_models_with_divided_layers_give_the_numbers_of_one_process(two, case):
    check(two.run(run, case, TensorParallel(PLANS[case.__name__])), run(case, None))
