"""Where nobody says how many rows a batch has, evaluate and predict take as many as work well."""

import numpy as np
import pytest
import torch
from support.problems import classification, net, regression
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt


class Sizes(kt.callbacks.Callback):
    """The rows of each batch that a model was given."""

    def __init__(self, model):
        self.rows = []
        model.register_forward_pre_hook(lambda module, args: self.rows.append(len(args[0])))


class Attention(nn.Module):
    """Token numbers in, thousands of times as many bytes on the way."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 64)
        self.encode = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
        self.out = nn.Linear(64, 3)

    def forward(self, x):
        return self.out(self.encode(self.embed(x)).mean(1))


def convolution():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))


MODELS = {
    "dense": (net, lambda n: torch.randn(n, 6)),
    "convolution": (convolution, lambda n: torch.randn(n, 1, 8, 8)),
    "attention": (Attention, lambda n: torch.randint(0, 50, (n, 16))),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_are_those_of_any_batch_size(name):
    make, inputs = MODELS[name]
    x, y = inputs(1000), torch.randint(0, 3, (1000,))
    model = kt.Model(make())
    model.compile("sgd", "cross_entropy", metrics=["accuracy", "f1"])
    np.testing.assert_allclose(model.predict(x), model.predict(x, batch_size=32), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.evaluate(x, y, verbose=0), model.evaluate(x, y, batch_size=32, verbose=0), rtol=1e-5
    )


def test_two_passes_take_the_same_batches_and_give_the_same_bits():
    x, y = classification(3000)
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    sizes = Sizes(model)
    first, second = (model.evaluate(x, y, verbose=0) for _ in range(2))
    assert first == second
    assert sizes.rows == [32, 256, 2048, 664] * 2


def test_a_model_that_makes_much_of_little_is_given_few_rows():
    model = kt.Model(Attention())
    largest = []
    model.module_viewed.encode.register_forward_pre_hook(lambda module, args: largest.append(args[0].nbytes))
    model.predict(torch.randint(0, 50, (3000, 256)))  # 64 KiB a row after the embedding, and more within
    assert max(largest) <= 2**21
    largest.clear()
    model.predict(torch.randint(0, 50, (3000, 4)))
    assert 2**17 < max(largest) <= 2**21


def test_rows_that_are_large_themselves_are_counted():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean(1, keepdim=True)

    model = kt.Model(Mean())
    sizes = Sizes(model)
    model.predict(torch.zeros(500, 2**15))
    assert max(sizes.rows) == 32


def test_what_grows_with_the_square_of_the_rows_is_held():
    class Pairs(nn.Module):
        def forward(self, x):
            return (x[:, None] - x[None]).pow(2).sum(1)

    model = kt.Model(Pairs())
    sizes = Sizes(model)
    model.predict(torch.zeros(4000, 8))
    assert max(sizes.rows) == 256  # 32: 32 KiB; 256: 2 MiB


def test_a_batch_size_that_is_given_is_kept():
    x, y = classification(500)
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    sizes = Sizes(model)
    model.predict(x, batch_size=200)
    model.evaluate(x, y, batch_size=100, verbose=0)
    assert sizes.rows == [200, 200, 100] + [100] * 5


def test_validation_goes_by_the_batch_size_of_training_where_one_is_given():
    x, y = classification(500)
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    validation = []
    seen = kt.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: validation.append(batch))
    model.fit(x, y, batch_size=50, validation_data=(x, y), verbose=0, callbacks=seen)
    assert validation == list(range(10))
    validation.clear()
    model.fit(x, y, validation_batch_size=250, validation_split=0.5, verbose=0, callbacks=seen)
    assert validation == [0]
    validation.clear()
    model.fit(x, y, epochs=2, validation_split=0.6, verbose=0, callbacks=seen)
    assert validation == [0, 1, 2] * 2  # 32, 256 and the last 12 of 300 rows


def test_limited_steps_count_batches_of_32():
    x, y = classification(500)
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    sizes = Sizes(model)
    model.predict(x, steps=3)
    model.evaluate(x, y, steps=2, verbose=0)
    assert sizes.rows == [32] * 5


def rmse(y_true, y_pred):
    return ((y_true - y_pred) ** 2).mean().sqrt()


@pytest.mark.parametrize(
    "loss",
    [rmse, nn.MSELoss(reduction="sum"), kt.losses.MeanSquaredError(reduction="sum")],
    ids=["own", "sum", "keras"],
)
def test_a_loss_that_may_be_no_mean_of_rows_has_batches_of_32(loss):
    x, y = regression(200)
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", loss)
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x, y, batch_size=32, verbose=0)
    sizes = Sizes(model)
    model.evaluate(x, y, verbose=0)
    assert max(sizes.rows) == 32


def test_a_test_step_of_ones_own_has_batches_of_32():
    class Contrastive(kt.Model):
        def test_step(self, batch):
            own = self(batch[0])
            return {"loss": F.cross_entropy(own @ own.T, torch.arange(len(own)))}

    x, y = classification(300)
    model = Contrastive(nn.Linear(6, 4))
    model.compile("sgd", "cross_entropy")
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x, y, batch_size=32, verbose=0)


def test_outputs_without_a_row_for_each_row_are_those_of_batches_of_32():
    class Total(nn.Module):
        def forward(self, x):
            return x.sum(0, keepdim=True)

    x = torch.randn(300, 4)
    model = kt.Model(Total())
    np.testing.assert_array_equal(model.predict(x), model.predict(x, batch_size=32))


def test_a_predict_step_of_ones_own_is_asked_for_every_row_once():
    class Twice(kt.Model):
        def predict_step(self, x):
            return {"a": self(x), "b": [2 * self(x)]}

    x = torch.randn(700, 6)
    model = Twice(nn.Linear(6, 2).eval())
    found = model.predict(x)
    np.testing.assert_allclose(found["b"][0], 2 * found["a"])
    np.testing.assert_allclose(found["a"], model.predict(x, batch_size=700)["a"], rtol=1e-5, atol=1e-6)


def test_a_dataset_grows_and_a_loader_keeps_its_batches():
    class Rows(Dataset):
        def __len__(self):
            return 400

        def __getitem__(self, index):
            return torch.full((3,), float(index))

    model = kt.Model(nn.ReLU())
    sizes = Sizes(model)
    found = model.predict(Rows())
    np.testing.assert_array_equal(found[:, 0], np.arange(400))
    assert sizes.rows == [32, 256, 112]
    sizes.rows.clear()
    model.predict(DataLoader(TensorDataset(torch.zeros(100, 3)), 50))
    assert sizes.rows == [50, 50]


def test_a_model_that_is_not_built_yet_grows_too():
    model = kt.Sequential([kt.layers.Dense(3)])
    assert model.predict(torch.zeros(300, 5)).shape == (300, 3)


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_callbacks_are_told_that_the_number_of_batches_is_not_known(verbose):
    x, y = classification(500)
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    steps, batches = [], []
    seen = kt.callbacks.LambdaCallback(
        on_test_begin=lambda logs: steps.append(seen.params["steps"]),
        on_test_batch_end=lambda batch, logs: batches.append(batch),
    )
    model.evaluate(x, y, verbose=verbose, callbacks=seen)
    assert steps == [None]
    assert batches == [0, 1, 2]
    model.evaluate(x[:20], y[:20], verbose=verbose, callbacks=seen)
    assert steps == [None, 1]


def test_a_failure_in_the_first_batch_leaves_nothing_switched_on():
    class Fails(nn.Module):
        def forward(self, x):
            raise KeyError("no")

    with pytest.raises(KeyError):
        kt.Model(Fails()).predict(torch.zeros(100, 2))
    assert torch.overrides._get_current_function_mode_stack() == []


def test_a_model_that_hides_what_it_makes_has_batches_of_32():
    class Compiled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.compile(nn.Linear(4, 2), backend="eager")

        def forward(self, x):
            return self.inner(x)

    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    x = torch.zeros(100, 4)
    for module, given in (
        (Compiled(), x),
        (nn.TransformerEncoder(layer, 1, enable_nested_tensor=True), x[:, None]),
    ):
        model = kt.Model(module)
        sizes = Sizes(model)
        model.predict(given)
        assert sizes.rows == [32, 32, 32, 4]
