"""The methods that a dataset of `utils` shares with `tf.data.Dataset`, beside slices of the same rows."""

from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt


class Rows:
    """The source of rows with two columns; counts how often each row is read."""

    def __init__(self, count):
        self.x, self.reads = torch.arange(2 * count).reshape(count, 2), [0] * count

    def __len__(self):
        return len(self.x)

    def checksum(self):
        return len(self.x)

    def read(self, rows):
        for row in rows:
            self.reads[row] += 1
        return [(self.x[row], self.x[row, 0]) for row in rows]


def dataset_of(count=10, batch_size=4, **options):
    return kt.data.BatchedDataset(Rows(count), batch_size=batch_size, **options)


def first_column(dataset):
    return [batch[0][:, 0].tolist() for batch in dataset]


def test_map_gets_batches_and_the_tensors_of_a_batch():
    seen = []

    def double(x, y):
        seen.append(x.shape)
        return 2 * x, y + 1

    mapped = dataset_of().map(double)
    batches = list(mapped)
    assert seen == [(4, 2), (4, 2), (2, 2)]
    assert torch.equal(torch.cat([x for x, _ in batches]), 2 * torch.arange(20).reshape(10, 2))
    assert torch.cat([y for _, y in batches]).tolist() == list(range(1, 21, 2))
    assert mapped[3][0].tolist() == [12, 14]
    assert mapped[3][1] == 7
    assert len(mapped) == 10


def test_map_may_return_inputs_alone_dicts_texts_and_arrays():
    assert torch.equal(torch.cat(list(dataset_of().map(lambda x, y: x))), torch.arange(20).reshape(10, 2))
    named = dataset_of().map(lambda x, y: ({"a": x[:, :1], "b": x[:, 1:]}, y))
    x, _ = next(iter(named))
    assert x["b"].tolist() == [[1], [3], [5], [7]]
    assert named[1][0]["a"].tolist() == [2]
    texts = dataset_of().map(lambda x, y: [str(int(row)) for row in y])
    assert next(iter(texts)) == ["0", "2", "4", "6"]
    assert texts.map(lambda batch: [one + "!" for one in batch])[1] == "2!"
    assert torch.equal(dataset_of().map(lambda x, y: x.numpy() * 1.5)[1], torch.tensor([3.0, 4.5]).double())


def test_map_of_single_samples_gets_them_one_by_one():
    shapes = []
    mapped = dataset_of(3, None).map(lambda x, y: (shapes.append(x.shape), (x.sum(), y))[1]).batch(2)
    assert [x.tolist() for x, _ in mapped] == [[1, 5], [9]]
    assert set(shapes) == {(2,)}


def test_map_records_no_gradients():
    layer = nn.Linear(2, 3)
    mapped = dataset_of().map(lambda x, y: (layer(x.float()), y))
    assert not next(iter(mapped))[0].requires_grad
    loader = torch.utils.data.DataLoader(mapped, 4, num_workers=1)
    assert torch.allclose(torch.cat([x for x, _ in loader]), layer(torch.arange(20.0).reshape(10, 2)), atol=1e-6)


def test_map_that_changes_the_number_of_rows_is_an_error():
    for function in (lambda x, y: (x[:1], y), lambda x, y: x.sum(), lambda x, y: None):
        with pytest.raises(ValueError, match="got a batch of 4 rows and returned"):
            next(iter(dataset_of().map(function)))
    with pytest.raises(TypeError, match="map takes a function"):
        dataset_of().map(3)


def test_take_and_skip_count_batches_and_divide_the_samples():
    dataset = dataset_of(targets=torch.arange(10), file_paths=[f"{row}.txt" for row in range(10)])
    first, others = dataset.take(1), dataset.skip(1)
    assert first_column(first) == [[0, 2, 4, 6]]
    assert first_column(others) == [[8, 10, 12, 14], [16, 18]]
    assert first.file_paths + others.file_paths == dataset.file_paths
    assert others.targets.tolist() == [4, 5, 6, 7, 8, 9]
    assert len(dataset.take(7)) == 10
    assert len(dataset.take(-1)) == 10
    assert len(dataset.skip(3)) == 0
    assert first_column(dataset.skip(1).take(1)) == [[8, 10, 12, 14]]
    assert [y.item() for _, y in dataset.unbatch().take(2)] == [0, 2]
    with pytest.raises(ValueError, match="count must be an integer >= 0"):
        dataset.take(1.5)


def test_cardinality_counts_batches_or_samples():
    assert dataset_of().cardinality() == 3
    assert dataset_of(8).cardinality() == 2
    assert dataset_of(10, None).cardinality() == 10


def test_batches_are_made_and_undone():
    assert first_column(dataset_of(5, None).batch(3)) == [[0, 2, 4], [6, 8]]
    assert first_column(dataset_of(5, 2).unbatch().batch(3)) == [[0, 2, 4], [6, 8]]
    with pytest.raises(ValueError, match=r"already has batches of 4. Write dataset.unbatch\(\).batch\(2\)"):
        dataset_of().batch(2)
    with pytest.raises(ValueError, match="drop_last=True"):
        dataset_of(5, None).batch(2, drop_remainder=True)


def test_shuffle_gives_each_pass_the_order_of_the_seed():
    dataset = dataset_of().shuffle(1000, seed=3)
    orders = [torch.cat([y for _, y in dataset]).tolist() for _ in range(2)]
    assert orders == [(2 * kt.data.permutation(10, 3, number)).tolist() for number in range(2)]
    kt.utils.set_random_seed(8)
    assert torch.cat([y for _, y in dataset_of(shuffle=True)]).tolist() == (2 * kt.data.permutation(10, 8, 0)).tolist()
    assert first_column(dataset_of()) == first_column(dataset_of())
    with pytest.raises(ValueError, match="one fixed order"):
        dataset.shuffle(10, reshuffle_each_iteration=False)


def test_methods_return_new_datasets():
    dataset = dataset_of()
    for changed in (
        dataset.shuffle(),
        dataset.take(1),
        dataset.unbatch(),
        dataset.map(lambda x, y: x),
        dataset.cache(),
    ):
        assert changed is not dataset
    assert first_column(dataset) == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    assert dataset.prefetch(2) is dataset


def test_a_cache_reads_each_sample_once():
    source = Rows(10)
    dataset = kt.data.BatchedDataset(source, batch_size=4, shuffle=True, seed=0)
    cached = dataset.cache().map(lambda x, y: (x + 1, y))
    for _ in range(3):
        assert sorted(chain.from_iterable(first_column(cached))) == list(range(1, 21, 2))
    assert cached[2][0].tolist() == [5, 6]
    assert source.reads == [1] * 10


def test_a_cached_sample_is_not_changed_by_what_comes_after_it():
    cached = dataset_of().cache().map(lambda x, y: (x.add_(1), y))
    assert first_column(cached) == first_column(cached) == [[1, 3, 5, 7], [9, 11, 13, 15], [17, 19]]


def test_classes_are_kept_by_every_method():
    dataset = dataset_of(class_names=["a", "b"])
    for changed in (
        dataset.map(lambda x, y: x),
        dataset.cache(),
        dataset.shuffle(),
        dataset.take(1),
        dataset.unbatch(),
    ):
        assert changed.class_names == ["a", "b"]
    assert repr(dataset) == "BatchedDataset(samples=10, batch_size=4, shuffle=False, classes=2)"


def test_targets_are_unknown_after_a_function():
    dataset = dataset_of(targets=torch.arange(10))
    assert dataset.map(lambda x, y: (x, 1 - y)).targets is None


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("repeat", "fit starts a new pass by itself"),
        ("filter", "dataset.select"),
        ("as_numpy_iterator", r"x.numpy\(\)"),
        ("concatenate", "ConcatDataset"),
        ("mapp", "Did you mean 'map'"),
    ],
)
def test_methods_of_tf_data_that_are_not_here_say_what_to_write(name, advice):
    with pytest.raises(AttributeError, match=advice):
        getattr(dataset_of(), name)


def test_the_sum_of_two_datasets_is_that_of_torch():
    both = dataset_of() + dataset_of(3)
    assert len(both) == 13
    assert both[11][0].tolist() == [2, 3]


def test_numpy_indices_are_indices_and_others_are_not():
    assert dataset_of()[np.int64(2)][1] == 4
    with pytest.raises(TypeError):
        dataset_of()["a"]


def test_an_augmented_dataset_trains_and_validates_without_leaving_its_pipeline():
    kt.utils.set_random_seed(0)
    dataset = dataset_of(40, 8, shuffle=True).map(lambda x, y: (x.float() / 80, y.float() / 80))
    model = kt.Sequential([kt.layers.Dense(1)])
    model.compile(kt.optimizers.Adam(0.05), "mse")
    history = model.fit(dataset.skip(1), validation_data=dataset.take(1), epochs=30, verbose=0)
    assert history.history["val_loss"][-1] < 0.1 * history.history["val_loss"][0]
