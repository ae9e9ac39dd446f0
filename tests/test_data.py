"""Every kind of data, put right where nothing is lost."""

import numpy as np
import pytest
import scipy.sparse
import torch
from support.optional import optional
from support.problems import classification, net, regression, same_weights
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import kerastorch as kt
from kerastorch.data.batches import ArrayBatches, Batch
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.validation_split import split_rows

pd = optional("pandas")


class Rows(Dataset):
    def __init__(self, x, y):
        self.x, self.targets = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.targets[index]


class Stream(IterableDataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __iter__(self):
        return iter(zip(self.x, self.y, strict=True))


def read_only(x):
    array = x.numpy().copy()
    array.flags.writeable = False
    return array


ARRAYS = {
    "tensor": lambda x: x,
    "numpy": lambda x: x.numpy(),
    "float64": lambda x: x.numpy().astype("float64"),
    "big-endian": lambda x: x.numpy().astype(">f4"),
    "fortran": lambda x: np.asfortranarray(x.numpy()),
    "reversed strides": lambda x: x.numpy()[::-1].copy()[::-1],
    "read-only": read_only,
    "pandas": lambda x: pd.DataFrame(x.numpy(), columns=list("abcdef")),
    "nested lists": lambda x: x.tolist(),
    "sparse": lambda x: scipy.sparse.csr_matrix(x.numpy()),
    "with a graph": lambda x: x.clone().requires_grad_() * 1,
}


def trained(x, y, **given):
    torch.manual_seed(0)
    model = kt.Model(net(dropout=0.0))
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    model.fit(x, y, verbose=0, **given)
    return model


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_kind_train_alike(kind):
    x, y = classification()
    assert same_weights(trained(ARRAYS[kind](x), y), trained(x, y))


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.to(torch.int32), lambda y: y.to(torch.uint8), lambda y: y[:, None], lambda y: y.float(),
        lambda y: y.double()[:, None], lambda y: y.tolist(), lambda y: pd.Series(y.numpy()), lambda y: y.numpy(),
    ],
)  # fmt: skip
def test_labels_of_every_kind_train_alike(change):
    x, y = classification()
    assert same_weights(trained(x, change(y)), trained(x, y))


def test_values_with_and_without_a_trailing_one_train_alike():
    x, y = regression()

    def fitted(targets):
        torch.manual_seed(0)
        model = kt.Model(nn.Linear(6, 1))
        model.compile("sgd", "mse", metrics=["r2"])
        model.fit(x, targets, verbose=0)
        return model

    assert same_weights(fitted(y), fitted(y.squeeze(1)))
    assert same_weights(fitted(y), fitted(y.double().numpy()))


SOURCES = {
    "TensorDataset": lambda x, y: {"x": TensorDataset(x, y)},
    "Dataset": lambda x, y: {"x": Rows(x, y)},
    "IterableDataset": lambda x, y: {"x": Stream(x, y), "batch_size": 32},
    "DataLoader": lambda x, y: {"x": DataLoader(Rows(x, y), batch_size=32)},
    "generator": lambda x, y: {"x": iter(DataLoader(Rows(x, y), batch_size=32))},
    "function": lambda x, y: {"x": lambda: zip(x.split(32), y.split(32), strict=True)},
    "list of batches": lambda x, y: {"x": lambda: list(zip(x.split(32), y.split(32), strict=True))},
    "numpy batches": lambda x, y: {"x": lambda: zip(np.split(x.numpy(), 4), np.split(y.numpy(), 4), strict=True)},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_sources_of_every_kind_are_read_whole_and_in_order(kind):
    x, y = classification()
    model = trained(x, y)
    expected = model.evaluate(x, y, verbose=0)
    given = SOURCES[kind](x, y)
    assert model.evaluate(**given, verbose=0) == pytest.approx(expected, rel=1e-5)
    given = SOURCES[kind](x, y)
    np.testing.assert_allclose(model.predict(**given, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    given = SOURCES[kind](x, y)
    model.fit(**given, epochs=1, verbose=0)


@pytest.mark.parametrize("kind", ["TensorDataset", "Dataset"])
def test_a_map_style_dataset_trains_in_the_order_that_arrays_do(kind):
    x, y = classification()
    assert same_weights(trained(**(SOURCES[kind](x, y) | {"y": None})), trained(x, y))


def test_a_function_gives_a_new_pass_each_epoch():
    x, y = classification()
    model = trained(x, y)
    history = model.fit(
        SOURCES["function"](x, y)["x"], epochs=3, verbose=0, validation_data=SOURCES["function"](x, y)["x"]
    )
    assert len(history.epoch) == 3


def test_several_inputs_come_as_tuples_dicts_and_loaders():
    class Sum(kt.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, left, right):
            return self.a(left) + self.b(right)

    x, y = regression()
    left, right = x[:, :3], x[:, 3:]
    models = []
    for data in (
        (left, right), [left.numpy(), right.numpy()], {"left": left, "right": right},
        {"right": right, "left": left.double()},
    ):  # fmt: skip
        torch.manual_seed(0)
        model = Sum()
        model.compile("sgd", "mse")
        model.fit(data, y, verbose=0, validation_split=0.1)
        models.append(model)
    torch.manual_seed(0)
    model = Sum()
    model.compile("sgd", "mse")
    model.fit(DataLoader(list(zip(zip(left, right, strict=True), y, strict=True)), batch_size=32), verbose=0)
    assert all(same_weights(models[0], other) for other in models[1:])


def test_a_forward_that_takes_one_dict_or_one_tuple_is_given_it():
    class OfDict(kt.Model):
        def forward(self, inputs):
            return inputs["a"] + inputs["b"]

    class OfPair(kt.Model):
        def forward(self, inputs):
            return inputs[0] + inputs[1]

    a = np.ones((3, 1), "float32")
    assert OfDict().predict({"a": a, "b": a}, verbose=0).sum() == 6
    assert OfPair().predict((a, a), verbose=0).sum() == 6


def test_integers_become_floats_unless_the_model_looks_them_up():
    x = np.arange(24, dtype="uint8").reshape(4, 6)
    found = kt.Model(nn.Linear(6, 1)).predict(x, verbose=0)
    assert found.dtype == np.float32
    words = kt.Model(nn.Sequential(nn.Embedding(24, 2), nn.Flatten(), nn.Linear(12, 1)))
    found = words.predict(x.astype("int64"), verbose=0)
    assert found.shape == (4, 1)
    for dtype in ("float64", "uint8", "int16", "int32"):
        np.testing.assert_array_equal(words.predict(x.astype(dtype), verbose=0), found)
    with pytest.raises(ValueError, match=r"goes into an embedding and must hold whole numbers, got 0\.5"):
        words.predict(x + 0.5, verbose=0)


def test_a_model_that_begins_with_parameters_of_its_own_is_given_what_there_is():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.randn(5, 2))

        def forward(self, x):
            return self.table[x]

    model = Own()
    assert model.predict(np.array([0, 4]), verbose=0).shape == (2, 2)
    assert kt.Model(model).predict(np.array([0, 4]), verbose=0).shape == (2, 2)


def test_a_double_model_computes_in_double():
    x, y = regression()
    model = kt.Sequential([kt.layers.Dense(1)]).double()
    model.compile("sgd", "mse")
    model.fit(x.numpy(), y.numpy(), verbose=0)
    assert model[0].weight.dtype == torch.float64
    assert model.predict(x, verbose=0).dtype == np.float64


def test_the_users_arrays_are_never_written_to_and_weights_do_not_share_their_memory():
    x, y = classification()
    before = x.clone(), y.clone()
    trained(x, y, epochs=2, validation_split=0.2)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_class_weights_are_sample_weights_for_every_kind_of_data():
    x, y = classification()
    weights = {0: 0.5, 1: 2.0, 2: 1.0}
    each = torch.tensor([weights[int(label)] for label in y])
    expected = trained(x, y, sample_weight=each, shuffle=False)
    assert same_weights(trained(x, y, class_weight=weights, shuffle=False), expected)
    assert same_weights(trained(DataLoader(Rows(x, y), 32), None, class_weight=weights), expected)
    assert same_weights(trained(DataLoader(TensorDataset(x, y, each), 32), None), expected)
    assert same_weights(
        trained(lambda: zip(x.split(32), y.split(32), strict=True), None, class_weight=weights), expected
    )


def test_class_weights_work_on_a_model_that_is_not_built_and_on_booleans():
    x, y = regression()
    model = kt.Sequential([kt.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy", "f1"])
    history = model.fit(x, y > 0, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    assert 0 <= history.history["accuracy"][0] <= 1


def test_class_weights_do_not_weigh_validation():
    x, y = classification()
    model = trained(x, y)
    kept = model.get_weights()
    model.compile(kt.optimizers.SGD(1e-9), "cross_entropy")
    history = model.fit(x, y, class_weight={0: 9.0, 1: 1.0, 2: 1.0}, validation_data=(x, y), verbose=0).history
    model.set_weights(kept)
    assert history["val_loss"][0] == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-4)
    assert history["loss"][0] != pytest.approx(history["val_loss"][0], rel=0.1)


def test_validation_split_takes_the_last_rows_before_shuffling():
    x, y = classification(101)
    model = trained(x, y)
    model.compile(kt.optimizers.SGD(1e-12), "cross_entropy", metrics=["accuracy"])
    history = model.fit(x, y, validation_split=0.3, epochs=2, verbose=0).history
    cut = 70  # floor(101 * 0.7)
    expected = model.evaluate(x[cut:], y[cut:], verbose=0, return_dict=True)
    assert history["val_loss"] == pytest.approx([expected["loss"]] * 2, rel=1e-5)
    assert history["loss"][0] == pytest.approx(model.evaluate(x[:cut], y[:cut], verbose=0)[0], rel=1e-5)


def test_validation_split_splits_weights_too():
    x, y = regression()
    weight = torch.cat([torch.ones(150), torch.full((50,), 3.0)])
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(1e-12), "mse")
    history = model.fit(x, y, sample_weight=weight, validation_split=0.25, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(3 * model.evaluate(x[150:], y[150:], verbose=0), rel=1e-5)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"validation_shuffle": True},
        {"validation_stratify": True},
        {"validation_seed": 3, "validation_shuffle": True},
    ],
)
def test_a_dataset_splits_as_arrays_do(how):
    x, y = classification()
    assert same_weights(
        trained(Rows(x, y), None, validation_split=0.25, **how), trained(x, y, validation_split=0.25, **how)
    )


def test_split_rows_are_disjoint_complete_reproducible_and_stratified():
    labels = torch.tensor([0] * 80 + [1] * 20)
    for how in ({}, {"shuffle": True}, {"stratify": labels}, {"shuffle": True, "seed": 4}):
        train, held = split_rows(100, 0.25, **how)
        assert sorted([*train.tolist(), *held.tolist()]) == list(range(100))
        again = split_rows(100, 0.25, **how)
        assert torch.equal(train, again[0])
        assert torch.equal(held, again[1])
    _, held = split_rows(100, 0.25, stratify=labels)
    assert labels[held].sum() == 5
    assert not torch.equal(
        split_rows(100, 0.25, shuffle=True, seed=1)[1], split_rows(100, 0.25, shuffle=True, seed=2)[1]
    )


def test_a_split_that_hides_a_class_from_training_warns():
    x, _ = classification()
    y = torch.tensor([0] * 80 + [1] * 80 + [2] * 40)
    with pytest.warns(UserWarning, match=r"classes never seen in training: \{2\}"):
        trained(x, y, validation_split=0.2)
    trained(x, y, validation_split=0.2, validation_stratify=True)


def test_no_random_state_is_moved_by_order_split_or_data():
    x, y = classification()
    model = trained(x, y)
    state = torch.get_rng_state()
    model.fit(Rows(x, y), epochs=2, validation_split=0.2, validation_shuffle=True, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(Rows(x, y), verbose=0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("rows", [None, torch.arange(0, 500, 3)])
def test_every_row_comes_once_an_epoch_and_orders_differ_between_epochs(size, rows):
    data = Batch(torch.arange(500), torch.arange(500) * 2, None)
    batches = ArrayBatches(data, size, True, seed=1, rows=rows)
    first, second = ([row for batch in batches.epoch(n) for row in batch.x.tolist()] for n in (0, 1))
    expected = list(range(500)) if rows is None else rows.tolist()
    assert sorted(first) == sorted(second) == expected
    assert first != second
    assert all(torch.equal(batch.y, batch.x * 2) for batch in batches.epoch(0))
    assert batches.steps() == sum(1 for _ in batches.epoch(0)) == -(-len(expected) // size)


def test_shuffle_batch_stays_within_batches():
    batches = ArrayBatches(Batch(torch.arange(100), None, None), 10, "batch", seed=1)
    found = [batch.x.tolist() for batch in batches.epoch(0)]
    assert [sorted(batch) for batch in found] == [list(range(i, i + 10)) for i in range(0, 100, 10)]
    assert found[0] != sorted(found[0])


def test_steps_per_epoch_goes_on_where_the_last_epoch_ended():
    x = torch.arange(100.0)[:, None]
    seen = []

    class Watch(kt.Model):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, x):
            seen.append(x.flatten().tolist())
            return self.layer(x)

    model = Watch()
    model.compile(kt.optimizers.SGD(1e-9), "mse")
    model.fit(x, x, batch_size=10, epochs=5, steps_per_epoch=4, shuffle=False, verbose=0)
    assert [rows[0] for rows in seen] == [10.0 * (i % 10) for i in range(20)]


def test_validation_steps_and_steps_take_the_first_batches():
    x, y = regression()
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(1e-12), "mse")
    first = model.evaluate(x[:64], y[:64], verbose=0)
    assert model.evaluate(x, y, steps=2, verbose=0) == pytest.approx(first, rel=1e-5)
    history = model.fit(x, y, validation_data=(x, y), validation_steps=2, verbose=0, epochs=2).history
    assert history["val_loss"] == pytest.approx([first] * 2, rel=1e-5)
    assert model.predict(x, steps=2, verbose=0).shape == (64, 1)


def test_validation_freq_is_a_number_or_a_list_of_epochs():
    x, y = regression()
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    assert len(model.fit(x, y, epochs=6, validation_data=(x, y), validation_freq=2, verbose=0).history["val_loss"]) == 3
    history = model.fit(x, y, epochs=6, validation_data=(x, y), validation_freq=[1, 6], verbose=0)
    assert len(history.history["val_loss"]) == 2
    assert history.frame()["val_loss"].notna().tolist() == [True, False, False, False, False, True]


def test_a_source_of_arrays_shares_their_memory():
    x = np.ones((10, 2), "float32")
    assert DataAdapter(x, x).targets().data_ptr() == x.__array_interface__["data"][0]


def test_a_model_that_works_in_place_leaves_the_users_array_alone(tmp_path):
    x = torch.randn(50, 6)
    before = x.clone()
    model = kt.Model(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 1)))
    model.compile("sgd", "mse")
    model.predict(x, verbose=0)
    model.evaluate(x, torch.zeros(50, 1), verbose=0)
    model.fit(x, torch.zeros(50, 1), shuffle=False, validation_data=(x, torch.zeros(50, 1)), verbose=0)
    assert torch.equal(x, before)
    np.save(tmp_path / "x.npy", x.numpy())
    found = model.predict(np.load(tmp_path / "x.npy", mmap_mode="r"), verbose=0)
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-6)


@pytest.mark.parametrize(
    "empty", [(np.empty((50, 6), "float32"), np.empty(50, "int64")), (torch.empty(50, 6), torch.empty(50).long())]
)
def test_a_generator_that_fills_the_same_arrays_again_is_measured_right(empty):
    x, y = classification()
    model = trained(x, y)

    def batches():
        inputs, targets = empty
        for rows in range(0, 200, 50):
            inputs[:], targets[:] = x[rows : rows + 50], y[rows : rows + 50]
            yield inputs, targets

    assert model.evaluate(batches, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)


def test_a_generator_may_yield_nested_lists():
    x, y = classification()
    model = trained(x, y)
    batches = [(x[:10].tolist(), y[:10].tolist())]
    assert model.evaluate(lambda: batches, verbose=0) == pytest.approx(model.evaluate(x[:10], y[:10], verbose=0))


def test_validation_split_copies_no_inputs():
    x = torch.zeros(1000, 6)
    batches = DataAdapter(x, x[:, :1]).batches(32, rows=torch.arange(900))
    assert batches.targets.shape == (900, 1)
    assert batches._data.x.data_ptr() == x.data_ptr()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "sparseadam"])
def test_sparse_embeddings_learn(optimizer):
    words = torch.randint(0, 24, (60, 4))
    model = kt.Model(nn.Sequential(nn.Embedding(24, 2, sparse=True), nn.Flatten()))
    model.compile(optimizer, "mse")
    before = model.evaluate(words, torch.ones(60, 8), verbose=0)
    model.fit(words, torch.ones(60, 8), epochs=5, verbose=0)
    assert model.evaluate(words, torch.ones(60, 8), verbose=0) < before
