"""One feature without a feature axis, x of shape (rows,): it trains, and a single sample is not taken for rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt
from kerastorch import layers

X = np.linspace(-1, 1, 20).astype(np.float32)
Y = 3 * X + 1


def functional():
    x = kt.Input((1,))
    return kt.Model(x, layers.Dense(1)(x))


MODELS = {
    "Input": lambda: kt.Sequential([kt.Input((1,)), layers.Dense(1)]),
    "no Input": lambda: kt.Sequential([layers.Dense(1)]),
    "nn.Linear": lambda: kt.Model(nn.Linear(1, 1)),
    "nn.LazyLinear": lambda: kt.Model(nn.Sequential(nn.LazyLinear(1))),
    "Sequential of nn.Linear": lambda: kt.Sequential([nn.Linear(1, 1)]),
    "functional": functional,
    "nested": lambda: kt.Sequential([kt.Sequential([layers.Dense(1)])]),
    "dropout first": lambda: kt.Sequential([layers.Dropout(0.0), layers.Dense(1)]),
    "normalization first": lambda: kt.Sequential(
        [layers.Normalization(axis=None, mean=0.0, variance=1.0), layers.Dense(1)]
    ),
    "adapted normalization first": lambda: kt.Sequential([adapted(), layers.Dense(1)]),
    "data parallel": lambda: kt.Model(nn.DataParallel(nn.Linear(1, 1))),
}
FORMS = {
    "NumPy": np.asarray,
    "float64": lambda x: x.astype(np.float64),
    "list": np.ndarray.tolist,
    "torch": torch.tensor,
    "Series": pd.Series,
    "list of one": lambda x: [x],
}


def adapted():
    layer = layers.Normalization()
    layer.adapt(np.array([[-1.0], [1.0]]))  # mean 0, variance 1
    return layer


class Scalars(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return float(X[index]), float(Y[index])


def compiled(make):
    model = make()
    model.compile(kt.optimizers.SGD(0.1), "mse")
    return model


def line(model):
    """The weight and the bias, made by a first prediction if need be."""
    model.predict(X[:2, None], verbose=0)
    weight, bias = (value.detach().item() for value in model.parameters())
    return weight, bias


def after_one_step(weight, bias):
    error = weight * X + bias - Y
    return weight - 0.1 * 2 * (error * X).mean(), bias - 0.1 * 2 * error.mean()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", MODELS)
def test_every_method_takes_one_number_a_row(kind, form):
    model, x = compiled(MODELS[kind]), FORMS[form](X)
    predicted = model.predict(x, verbose=0)  # builds the model
    weight, bias = line(model)
    assert predicted.shape == (20, 1)
    np.testing.assert_allclose(predicted[:, 0], weight * X + bias, atol=1e-6)
    expected = ((weight * X + bias - Y) ** 2).mean()
    assert model.evaluate(x, Y, verbose=0) == pytest.approx(expected, rel=1e-4)
    assert model.test_on_batch(x, Y) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(model.predict_on_batch(x), predicted, atol=1e-6)
    history = model.fit(x, Y, batch_size=20, validation_data=(x, Y), verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)
    weight, bias = after_one_step(weight, bias)
    np.testing.assert_allclose(line(model), (weight, bias), rtol=1e-4)
    assert history["val_loss"][0] == pytest.approx(((weight * X + bias - Y) ** 2).mean(), rel=1e-4)
    model.train_on_batch(x, Y)
    np.testing.assert_allclose(line(model), after_one_step(weight, bias), rtol=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_an_unbuilt_model_is_built_with_one_feature_by_fit(kind):
    model = compiled(MODELS[kind])
    model.fit(X, Y, batch_size=7, epochs=60, verbose=0, validation_split=0.1, validation_shuffle=True)
    np.testing.assert_allclose(line(model), (3, 1), atol=0.05)


SOURCES = {
    "TensorDataset": lambda: TensorDataset(torch.tensor(X), torch.tensor(Y)),
    "Dataset of scalars": Scalars,
    "DataLoader of scalars": lambda: DataLoader(Scalars(), batch_size=20),
    "generator": lambda: lambda: iter([(torch.tensor(X), torch.tensor(Y))]),
    "generator of arrays": lambda: lambda: iter([(X, Y)]),
    "generator of lists": lambda: lambda: iter([(X.tolist(), Y.tolist())]),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", ["no Input", "nn.Linear", "functional"])
def test_data_that_yield_scalars_have_one_feature(source, kind):
    model = compiled(MODELS[kind])
    weight, bias = line(model)
    data = SOURCES[source]()
    own_batches = source.startswith(("generator", "DataLoader"))
    model.fit(data, verbose=0, **({} if own_batches else {"batch_size": 20}))
    np.testing.assert_allclose(line(model), after_one_step(weight, bias), rtol=1e-4)
    assert model.predict(data, verbose=0).shape == (20, 1)


def test_inputs_of_one_number_among_several_get_their_axis():
    one, many = kt.Input((1,), name="one"), kt.Input((3,), name="many")
    layer = layers.Dense(1)
    model = kt.Model([one, many], layer(torch.cat([one, many], 1)))
    others = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    weight, bias = layer.weight.detach().numpy()[0], layer.bias.detach().numpy()
    expected = np.column_stack([X, others]) @ weight + bias
    for x in ([X, others], {"one": X, "many": others}, (X[:, None], others)):
        np.testing.assert_allclose(model.predict(x, verbose=0)[:, 0], expected, atol=1e-5)


def test_the_summary_knows_one_feature():
    model = kt.Sequential([layers.Dense(2)])
    model.summary(input_data=X, print_fn=lambda text: None)
    model.predict(X, verbose=0)
    assert model[0].weight.shape == (2, 1)


# --- a single sample, and too few features ------------------------------------------------------------------------

WIDE = {
    "nn.Linear": lambda k: kt.Model(nn.Linear(k, 1)),
    "Input": lambda k: kt.Sequential([kt.Input((k,)), layers.Dense(1)]),
    "functional": lambda k: (lambda x: kt.Model(x, layers.Dense(1)(x)))(kt.Input((k,))),
    "dropout first": lambda k: kt.Sequential([kt.Input((k,)), layers.Dropout(0.5), layers.Dense(1)]),
    "nn.BatchNorm1d first": lambda k: kt.Model(nn.Sequential(nn.BatchNorm1d(k), nn.Linear(k, 1))),
}


@pytest.mark.parametrize("form", ["NumPy", "list", "torch"])
@pytest.mark.parametrize("features", [2, 30, 64])
@pytest.mark.parametrize("kind", WIDE)
def test_a_single_sample_is_refused_with_what_to_write(kind, features, form):
    model = compiled(lambda: WIDE[kind](features))
    sample = FORMS[form](np.ones(features, dtype=np.float32))
    message = rf"x has shape \({features},\), which is that of one sample; the model takes batches of shape \(rows, "
    message += rf"{features}\).*x\[:1\] instead of x\[0\]"
    for call in (
        lambda: model.predict(sample, verbose=0),
        lambda: model.predict_on_batch(sample),
        lambda: model.evaluate(sample, np.ones(features), verbose=0),
        lambda: model.fit(sample, np.ones(features), verbose=0),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert model.predict(np.ones((1, features), dtype=np.float32), verbose=0).shape == (1, 1)


@pytest.mark.parametrize("kind", WIDE)
def test_one_number_a_row_is_refused_where_more_features_are_needed(kind):
    message = r"x has shape \(20,\), one number for each row; the model takes 3 features for each row, \(rows, 3\)"
    with pytest.raises(ValueError, match=message):
        WIDE[kind](3).predict(X, verbose=0)


def test_a_single_image_is_refused_with_what_to_write():
    model = kt.Sequential([kt.Input((8, 8)), layers.Flatten(), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"x has shape \(8, 8\), which is that of one sample.*x\[None\]"):
        model.predict(np.ones((8, 8)), verbose=0)
    assert model.predict(np.ones((1, 8, 8)), verbose=0).shape == (1, 1)


def test_a_batch_of_one_row_and_one_feature_is_one_row():
    model = compiled(MODELS["Input"])
    assert model.predict(X[:1], verbose=0).shape == (1, 1)
    assert model.predict(X[:1, None], verbose=0).shape == (1, 1)


# --- where one number a row means something else ------------------------------------------------------------------


def test_an_embedding_keeps_one_index_a_row():
    model = kt.Sequential([layers.Embedding(5, 3)])
    indices = np.array([0, 4, 2])
    expected = None
    for x in (indices, indices.tolist(), torch.tensor(indices)):
        found = model.predict(x, verbose=0)
        expected = model[0].weight.detach().numpy()[indices] if expected is None else expected
        np.testing.assert_array_equal(found, expected)
    assert kt.Model(nn.Embedding(5, 3)).predict(indices, verbose=0).shape == (3, 3)


def test_a_declared_axis_of_an_embedding_is_there():
    x = kt.Input((1,), dtype="int64")
    model = kt.Model(x, layers.Flatten()(layers.Embedding(5, 3)(x)))
    assert model.predict(np.array([0, 4, 2]), verbose=0).shape == (3, 3)


def test_a_lookup_keeps_one_index_a_row():
    model = kt.Sequential([layers.IntegerLookup(vocabulary=[7, 8, 9])])
    np.testing.assert_array_equal(model.predict(np.array([8, 7, 1]), verbose=0), [2, 1, 0])


def test_a_module_of_ones_own_gets_what_was_given():
    class Column(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = nn.Linear(1, 1)

        def forward(self, x):
            assert x.ndim == 1
            return self.inside(x[:, None])

    assert kt.Model(Column()).predict(X, verbose=0).shape == (20, 1)
    assert kt.Sequential([layers.Lambda(lambda x: 2 * x)]).predict(X, verbose=0).shape == (20,)


def test_rows_without_axes_stay_if_they_are_declared():
    model = kt.Sequential([kt.Input(()), layers.Lambda(lambda x: x + 1)])
    np.testing.assert_allclose(model.predict(X, verbose=0), X + 1)


def test_inside_a_module_of_ones_own_the_error_says_what_to_write():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = nn.Linear(1, 1)

        def forward(self, x):
            return self.inside(x)

    with pytest.raises(ValueError, match=r"It expects one feature and a feature axis, \(rows, 1\): use x\[:, None\]"):
        kt.Model(Whole()).predict(X, verbose=0)
