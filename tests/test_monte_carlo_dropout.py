"""Monte Carlo dropout: `predict(x, mc_dropout=n)` beside loops by hand, in which only the dropout layers train."""

import copy
import inspect
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

X = np.random.default_rng(0).normal(size=(10, 6)).astype("float32")
IMAGES = np.random.default_rng(1).normal(size=(10, 3, 4, 4)).astype("float32")
STEPS = np.random.default_rng(2).normal(size=(10, 5, 6)).astype("float32")
VOLUMES = np.random.default_rng(3).normal(size=(10, 2, 3, 3, 3)).astype("float32")

OF_TORCH = (
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.LSTM, nn.GRU,
    nn.MultiheadAttention, nn.TransformerEncoderLayer,
)  # fmt: skip


def by_hand(module, x, samples, batch_size, trains=OF_TORCH, seed=7, loads=False):
    """Return the outputs of a loop in plain torch, `(samples, rows, ...)`."""
    module = copy.deepcopy(module).eval()
    for part in module.modules():
        if isinstance(part, trains):
            part.training = True
    rows = [(batch,) for batch in torch.as_tensor(x).split(batch_size)]
    torch.manual_seed(seed)
    batches = []
    with torch.no_grad():
        for (batch,) in DataLoader(TensorDataset(torch.as_tensor(x)), batch_size) if loads else rows:
            batches.append(torch.stack([module(batch.clone()) for _ in range(samples)]))
    return torch.cat(batches, 1).numpy()


def predicted(model, x, samples, seed=7, **options):
    kt.utils.set_random_seed(seed)
    return model.predict(x, verbose=0, mc_dropout=samples, **options)


def first(module):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            return self.inner(x)[0]

    return First()


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, dropout=0.4, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


def encoder(rate=0.3):
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=rate, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


MODULES = {
    "Dropout": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)), X),
    "Dropout1d": (lambda: nn.Sequential(nn.Conv1d(5, 4, 3), nn.Dropout1d(0.5), nn.Flatten()), STEPS),
    "Dropout2d": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout2d(0.5), nn.Flatten()), IMAGES),
    "Dropout3d": (lambda: nn.Sequential(nn.Conv3d(2, 4, 2), nn.Dropout3d(0.5), nn.Flatten()), VOLUMES),
    "AlphaDropout": (lambda: nn.Sequential(nn.Linear(6, 8), nn.SELU(), nn.AlphaDropout(0.2), nn.Linear(8, 2)), X),
    "FeatureAlphaDropout": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.FeatureAlphaDropout(0.5)), IMAGES),
    "batch norm": (lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)), X),
    "in place": (lambda: nn.Sequential(nn.Dropout(0.5, inplace=True), nn.ReLU(inplace=True), nn.Linear(6, 2)), X),
    "LSTM": (lambda: first(nn.LSTM(6, 4, num_layers=2, dropout=0.5, batch_first=True)), STEPS),
    "GRU": (lambda: first(nn.GRU(6, 4, num_layers=3, dropout=0.5, batch_first=True)), STEPS),
    "MultiheadAttention": (Attends, STEPS),
    "TransformerEncoder": (encoder, STEPS),
}


@pytest.mark.parametrize("name", MODULES)
def test_the_samples_of_a_module_are_those_of_a_loop_by_hand(name):
    make, x = MODULES[name]
    torch.manual_seed(3)
    module = make()
    expected = by_hand(module, x, 4, 4)
    found = predicted(kt.Model(module), x, 4, batch_size=4)
    assert found.shape == expected.shape == (4, 10, *expected.shape[2:])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.std(0).max() > 0.01


L = kt.layers
LAYERS = {
    "Dropout": (lambda: [L.Dense(8), L.Dropout(0.5), L.Dense(2)], X),
    "Dropout of one row of noise": (lambda: [L.Dropout(0.5, noise_shape=(1, None)), L.Dense(2)], X),
    "AlphaDropout": (lambda: [L.Dense(8, "selu"), L.AlphaDropout(0.2)], X),
    "GaussianDropout": (lambda: [L.GaussianDropout(0.3), L.Dense(2)], X),
    "SpatialDropout1D": (lambda: [L.SpatialDropout1D(0.5), L.Flatten()], STEPS),
    "SpatialDropout2D": (lambda: [L.SpatialDropout2D(0.5), L.Flatten()], IMAGES),
    "SpatialDropout3D": (lambda: [L.SpatialDropout3D(0.5), L.Flatten()], VOLUMES),
    "LSTM": (lambda: [L.LSTM(4, dropout=0.3, recurrent_dropout=0.3)], STEPS),
    "GRU": (lambda: [L.GRU(4, dropout=0.3)], STEPS),
    "Bidirectional": (lambda: [L.Bidirectional(L.LSTM(4, recurrent_dropout=0.4))], STEPS),
    "RNN of cells": (lambda: [L.RNN(L.GRUCell(4, dropout=0.4))], STEPS),
    "TimeDistributed": (lambda: [L.TimeDistributed(L.Dropout(0.5)), L.Flatten()], STEPS),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_whose_only_mode_is_dropout_gives_what_it_gives_in_training(name):
    make, x = LAYERS[name]
    kt.utils.set_random_seed(3)
    model = kt.Sequential(make())
    model.predict(x, verbose=0)  # makes the weights
    trained = copy.deepcopy(model).train()
    torch.manual_seed(7)
    with torch.no_grad():
        expected = torch.stack([trained(torch.as_tensor(x)) for _ in range(3)]).numpy()
    found = predicted(model, x, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.std(0).max() > 0.01


@pytest.mark.parametrize("kind", [L.Attention, L.AdditiveAttention])
def test_attention_layers_drop_weights(kind):
    query = kt.Input(shape=(5, 6))
    model = kt.Model(query, kind(dropout=0.5)([query, query]))
    trained = copy.deepcopy(model).train()
    torch.manual_seed(7)
    with torch.no_grad():
        expected = torch.stack([trained(torch.as_tensor(STEPS)) for _ in range(3)]).numpy()
    np.testing.assert_allclose(predicted(model, STEPS, 3), expected, rtol=1e-5, atol=1e-6)


def test_multi_head_attention_drops_weights():
    x = kt.Input(shape=(5, 6))
    model = kt.Model(x, L.MultiHeadAttention(2, 4, dropout=0.5)(x, x))
    found = predicted(model, STEPS, 3)
    trained = copy.deepcopy(model).train()
    torch.manual_seed(7)
    with torch.no_grad():
        expected = torch.stack([trained(torch.as_tensor(STEPS)) for _ in range(3)]).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_noise_augmentation_and_batch_statistics_stay_off():
    model = kt.Sequential([L.GaussianNoise(1.0), L.RandomFlip(), L.Conv2D(4, 3), L.BatchNormalization()])
    model.predict(IMAGES, verbose=0)
    model.add(L.Dropout(1e-7))  # drops nothing in so few elements
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    found = predicted(model, IMAGES, 2)
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(found, np.stack([expected, expected]), rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())


class Functional(nn.Module):
    """Drops with functions, as many models of PyTorch do."""

    def __init__(self, call):
        super().__init__()
        self.linear, self.call = nn.Linear(6, 8), call

    def forward(self, x):
        return self.call(self.linear(x), self.training)


CALLS = {
    "positional": lambda x, training: F.dropout(x, 0.5, training),
    "by name": lambda x, training: F.dropout(x, p=0.5, training=training),
    "default rate": lambda x, training: F.dropout(x, training=training),
    "alpha": lambda x, training: F.alpha_dropout(x, 0.2, training),
    "of torch": lambda x, training: torch.dropout(x, 0.5, training),
    "of torch, by name": lambda x, training: torch.dropout(x, p=0.5, train=training),
    "channels": lambda x, training: F.dropout1d(x[:, :, None], 0.5, training=training),
    "in place": lambda x, training: F.dropout(x, 0.5, training, inplace=True),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_in_a_forward_drop_too(name):
    torch.manual_seed(3)
    module = Functional(CALLS[name])
    expected = by_hand(module, X, 4, 5, trains=Functional)
    np.testing.assert_allclose(predicted(kt.Model(module), X, 4, batch_size=5), expected, rtol=1e-6)
    assert expected.std(0).max() > 0.01


class SelfAttention(nn.Module):
    """Passes its rate to the kernel if it trains, as language models do."""

    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout

    def forward(self, x):
        rate = self.dropout.p if isinstance(self.dropout, nn.Dropout) else self.dropout
        return F.scaled_dot_product_attention(x, x, x, dropout_p=rate if self.training else 0.0)


@pytest.mark.parametrize("dropout", [0.4, nn.Dropout(0.4)], ids=["rate", "layer"])
def test_attention_of_the_users_own_drops_weights(dropout):
    module = nn.Sequential(SelfAttention(dropout))
    expected = by_hand(module, STEPS, 3, 5, trains=SelfAttention)
    np.testing.assert_allclose(predicted(kt.Model(module), STEPS, 3, batch_size=5), expected, rtol=1e-5, atol=1e-6)
    assert expected.std(0).max() > 0.01


def test_a_dropout_layer_of_the_users_own_is_active():
    class MyDropout(nn.Module):
        def forward(self, x):
            return x * (torch.rand_like(x) < 0.5) if self.training else x

    module = nn.Sequential(nn.Linear(6, 3), MyDropout())
    expected = by_hand(module, X, 3, 5, trains=MyDropout)
    np.testing.assert_allclose(predicted(kt.Model(module), X, 3, batch_size=5), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(6, 2),
        lambda: nn.Sequential(nn.Linear(6, 2), nn.Dropout(0.0)),
        lambda: kt.Sequential([L.Dense(2), L.Dropout(0.0), L.GaussianNoise(0.5)]),
        lambda: Functional(lambda x, training: F.dropout(x, 0.0, training)),
        lambda: nn.Sequential(nn.Unflatten(1, (1, 6)), first(nn.LSTM(6, 4, dropout=0.0, batch_first=True))),
    ],
)
def test_a_model_without_dropout_is_refused(make):
    model = make()
    model = model if isinstance(model, kt.Model) else kt.Model(model)
    message = "mc_dropout=3 needs dropout, and this model has no dropout with a rate above 0"
    with pytest.raises(ValueError, match=message):
        model.predict(X, verbose=0, mc_dropout=3)
    with pytest.raises(ValueError, match=message):
        list(model.predict_iter(X, mc_dropout=3))
    with pytest.raises(ValueError, match=message):
        model.predict_on_batch(X, mc_dropout=3)


@pytest.mark.parametrize("wrong", [True, False, 0, -1, 2.0, "50"])
def test_something_that_is_no_number_of_samples_is_an_error(wrong):
    model = network()
    for call in (model.predict, model.predict_on_batch, model.predict_iter):
        with pytest.raises(ValueError, match=r"mc_dropout must be an integer >= 1.* as in mc_dropout=50"):
            call(X, mc_dropout=wrong)


def test_a_stateful_layer_is_refused():
    model = kt.Sequential([L.LSTM(3, stateful=True, dropout=0.5)])
    model.predict(STEPS, batch_size=5, verbose=0)
    with pytest.raises(ValueError, match="stateful=False"):
        model.predict(STEPS, batch_size=5, verbose=0, mc_dropout=2)


def network(rate=0.5):
    torch.manual_seed(0)
    return kt.Model(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(rate), nn.Linear(8, 2)))


def test_one_sample_has_the_axis_too_and_seeds_repeat_samples():
    model = network()
    assert predicted(model, X, 1).shape == (1, 10, 2)
    first, second, other = predicted(model, X, 5), predicted(model, X, 5), predicted(model, X, 5, seed=8)
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


def test_the_mean_of_many_samples_of_a_linear_network_is_the_output_without_dropout():
    model = kt.Model(nn.Sequential(nn.Dropout(0.3), nn.Linear(6, 2)))
    found = predicted(model, X, 1000)
    deviation = found.std(0) / np.sqrt(1000)
    assert np.all(np.abs(found.mean(0) - model.predict(X, verbose=0)) < 5 * deviation)


SOURCES = {
    "arrays": lambda: X,
    "loader": lambda: DataLoader(TensorDataset(torch.as_tensor(X)), batch_size=4),
    "dataset": lambda: TensorDataset(torch.as_tensor(X)),
    "generator": lambda: (X[i : i + 4] for i in range(0, 10, 4)),
    "function": lambda: lambda: iter([X[:4], X[4:8], X[8:]]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_all_kinds_of_data_give_the_samples(name):
    model = network()
    expected = by_hand(model, X, 3, 4, loads=name == "loader")  # a loader draws a random number of its own
    batch_size = 4 if name in ("arrays", "dataset") else None
    np.testing.assert_allclose(predicted(model, SOURCES[name](), 3, batch_size=batch_size), expected, rtol=1e-5)


def test_predict_iter_and_predict_on_batch_give_the_samples_of_predict():
    model = network()
    whole = predicted(model, X, 3, batch_size=4)
    kt.utils.set_random_seed(7)
    batches = []
    for outputs in model.predict_iter(X, batch_size=4, mc_dropout=3):
        batches.append(outputs)
        assert all(part.training for part in model.modules())  # the modes of before, between two batches
    assert [one.shape for one in batches] == [(3, 4, 2), (3, 4, 2), (3, 2, 2)]
    np.testing.assert_array_equal(np.concatenate(batches, 1), whole)
    kt.utils.set_random_seed(7)
    np.testing.assert_array_equal(model.predict_on_batch(X[:4], mc_dropout=3), whole[:, :4])


class Several(nn.Module):
    def __init__(self, structure):
        super().__init__()
        self.body, self.a, self.b = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5)), nn.Linear(8, 2), nn.Linear(8, 3)
        self.structure = structure

    def forward(self, x):
        hidden = self.body(x)
        return self.structure(self.a(hidden), self.b(hidden))


@pytest.mark.parametrize(
    ("structure", "parts"),
    [
        (lambda a, b: (a, b), lambda found: found),
        (lambda a, b: [a, b], lambda found: found),
        (lambda a, b: {"a": a, "b": b}, lambda found: (found["a"], found["b"])),
        (lambda a, b: {"a": a, "more": (b,)}, lambda found: (found["a"], found["more"][0])),
    ],
    ids=["tuple", "list", "dict", "nested"],
)
def test_each_output_has_the_axis_of_samples(structure, parts):
    torch.manual_seed(3)
    module = Several(structure)
    found = predicted(kt.Model(module), X, 4, batch_size=5)
    a, b = parts(found)
    assert (a.shape, b.shape) == ((4, 10, 2), (4, 10, 3))
    module.structure = lambda a, b: torch.cat((a, b), 1)  # the same masks
    np.testing.assert_allclose(np.concatenate((a, b), 2), by_hand(module, X, 4, 5), rtol=1e-5, atol=1e-6)


def test_a_functional_model_of_several_inputs_gives_samples():
    a, b = kt.Input(shape=(6,), name="a"), kt.Input(shape=(6,), name="b")
    model = kt.Model([a, b], L.Dense(2)(L.Dropout(0.5)(L.concatenate([a, b]))))
    trained = copy.deepcopy(model).train()
    torch.manual_seed(7)
    with torch.no_grad():
        expected = torch.stack([trained(torch.as_tensor(X), torch.as_tensor(X)) for _ in range(3)]).numpy()
    np.testing.assert_allclose(predicted(model, [X, X], 3), expected, rtol=1e-5)


def test_outputs_are_written_into_an_array_of_the_caller(tmp_path):
    model = network()
    expected = predicted(model, X, 3, batch_size=4)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", dtype="float32", shape=(3, 10, 2))
    assert predicted(model, X, 3, batch_size=4, out=out) is out
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(ValueError, match=r"must have the shape \(3, rows, ...\), got \(10, 2\)"):
        predicted(model, X, 3, out=np.zeros((10, 2), "float32"))
    with pytest.raises(ValueError, match=r"numpy.empty\(\(3, 10, 2\), 'float32'\)"):
        predicted(model, X, 3, out=np.zeros((3, 10, 2)))
    with pytest.raises(ValueError, match="out has 9 rows, the data have 10"):
        predicted(model, X, 3, out=np.zeros((3, 9, 2), "float32"))


def test_modes_are_restored_after_errors_too():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.norm, self.calls = nn.Dropout(0.5), nn.BatchNorm1d(6), 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 3:
                raise RuntimeError("third call")
            return self.norm(self.drop(x))

    module = Fails()
    module.norm.eval()
    model = kt.Model(module)
    with pytest.raises(RuntimeError, match="third call"):
        model.predict(X, verbose=0, mc_dropout=5)
    assert (module.training, module.drop.training, module.norm.training) == (True, True, False)
    model.eval()
    model.predict(X, verbose=0, mc_dropout=2)
    assert not any(part.training for part in module.modules())
    assert F.dropout(torch.ones(50), 0.5, False).sum() == 50  # functions are as before


def test_a_callback_receives_the_samples_of_its_batch():
    shapes = []
    look = kt.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: shapes.append(logs["outputs"].shape))
    network().predict(X, batch_size=4, verbose=0, callbacks=look, mc_dropout=3)
    assert shapes == [(3, 4, 2), (3, 4, 2), (3, 2, 2)]


def test_within_fit_the_model_trains_on_as_before():
    class Uncertain(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["spread"] = float(self.model.predict(X, verbose=0, mc_dropout=4).std(0).mean())
            assert self.model.module_viewed[1].training

    model = network()
    model.compile("sgd", "mse")
    history = model.fit(X, X[:, :2], epochs=2, verbose=0, callbacks=Uncertain())
    assert min(history["spread"]) > 0


def test_the_samples_within_a_fit_are_those_of_the_averaged_weights():
    model, averages, found = network(), [], []

    class Look(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weights = [weight.detach().clone() for weight in model.parameters()]
            last = averages[-1] if averages else weights
            averages.append([0.9 * old + 0.1 * new for old, new in zip(last, weights, strict=True)])
            twin = copy.deepcopy(model)
            with torch.no_grad():
                for weight, average in zip(twin.parameters(), averages[-1], strict=True):
                    weight.copy_(average)
            found.append((predicted(model, X, 3, batch_size=5), by_hand(twin, X, 3, 5), by_hand(model, X, 3, 5)))

    model.compile(kt.optimizers.SGD(0.3), "mse")
    average = kt.callbacks.ExponentialMovingAverage(0.9)
    model.fit(X, X[:, :2], batch_size=5, epochs=2, verbose=0, callbacks=[average, Look()])
    for samples, expected, of_trained_weights in found[1:]:
        np.testing.assert_allclose(samples, expected, rtol=1e-4, atol=1e-5)
        assert not np.allclose(samples, of_trained_weights, atol=1e-3)


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"precision": "bf16"}])
def test_compiled_models_and_other_precisions_give_samples(options):
    model = network()
    model.compile("sgd", "mse", **options)
    model.fit(X, X[:, :2], epochs=1, verbose=0)
    found = predicted(model, X, 3, batch_size=5)
    np.testing.assert_allclose(found, by_hand(model, X, 3, 5), atol=1e-5 if "jit_compile" in options else 0.05)


def test_the_softmax_of_a_classifier_is_part_of_each_sample():
    model = kt.Sequential([L.Dropout(0.5), L.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, np.arange(10) % 3, epochs=1, verbose=0)
    np.testing.assert_allclose(predicted(model, X, 4).sum(-1), 1, rtol=1e-5)


def test_memory_running_out_splits_a_batch_and_keeps_the_rows():
    class Hungry(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.linear = nn.Dropout(1e-9), nn.Linear(6, 2)

        def forward(self, x):
            if len(x) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.linear(self.drop(x))

    module = Hungry()
    with pytest.warns(UserWarning, match="memory ran out"):
        found = predicted(kt.Model(module), X, 3, batch_size=10)
    expected = module.linear(torch.as_tensor(X)).detach().numpy()
    np.testing.assert_allclose(found, np.stack([expected] * 3), rtol=1e-5, atol=1e-6)


def test_outputs_whose_shape_is_random_are_refused():
    class Detects(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.calls = nn.Dropout(0.5), 0

        def forward(self, x):
            self.calls += 1
            return self.drop(x)[:, : self.calls]

    with pytest.raises(ValueError, match=r"same shape in each sample, got \(10, 1\), \(10, 2\)"):
        kt.Model(Detects()).predict(X, batch_size=10, verbose=0, mc_dropout=2)


def test_batches_of_other_lengths_are_a_list_with_the_samples_of_each():
    model = kt.Model(nn.Dropout(0.5))
    found = model.predict(lambda: iter([np.ones((2, 3), "f4"), np.ones((2, 5), "f4")]), verbose=0, mc_dropout=4)
    assert [one.shape for one in found] == [(4, 2, 3), (4, 2, 5)]


def test_only_the_samples_of_one_batch_and_the_result_are_kept(monkeypatch):
    alive = []

    class Watches(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.outputs = nn.Dropout(0.5), 0

        def forward(self, x):
            return self.drop(x)

    stacked = torch.stack

    def stack(tensors, dim=0):
        alive.append(sum(one.nbytes for one in tensors))
        return stacked(tensors, dim)

    monkeypatch.setattr(torch, "stack", stack)
    kt.Model(Watches()).predict(X, batch_size=2, verbose=0, mc_dropout=8)
    assert alive == [8 * 2 * 6 * 4] * 5


def test_another_thread_never_predicts_with_active_dropout():
    started, release = threading.Event(), threading.Event()

    class Waits(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            y = self.drop(x)
            if self.drop.training and not started.is_set():
                started.set()
                release.wait(10)
            return y

    model = kt.Model(Waits())
    found = []
    sampling = threading.Thread(target=lambda: model.predict(X, verbose=0, mc_dropout=3))
    sampling.start()
    started.wait(10)
    plain = threading.Thread(target=lambda: found.append(model.predict(X, verbose=0)))
    plain.start()
    plain.join(0.2)
    assert not found  # it waits
    release.set()
    sampling.join(10)
    plain.join(10)
    np.testing.assert_array_equal(found[0], X)


def test_a_module_compiled_by_torch_gives_samples():
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    expected = by_hand(module, X, 3, 5)
    found = predicted(kt.Model(torch.compile(module, backend="eager")), X, 3, batch_size=5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_scripted_module_gives_samples():
    module = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    with pytest.warns((DeprecationWarning, FutureWarning), match="script"):  # FutureWarning since torch 2.14
        scripted = torch.jit.script(module)
    found = predicted(kt.Model(scripted), X, 20, batch_size=5)
    assert found.std(0).min() > 0
    assert scripted.training


def test_an_own_predict_step_is_called_for_each_sample():
    class Doubles(kt.Model):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return self.drop(x)

        def predict_step(self, x):
            return 2 * self(x)

    found = predicted(Doubles(), np.ones((10, 6), "f4"), 30)
    assert set(np.unique(found)) == {0.0, 4.0}


def test_the_argument_comes_last_and_by_name_alone():
    for method in (kt.Model.predict, kt.Model.predict_iter, kt.Model.predict_on_batch):
        last = list(inspect.signature(method).parameters.values())[-1]
        assert (last.name, last.kind, last.default) == ("mc_dropout", inspect.Parameter.KEYWORD_ONLY, None)
