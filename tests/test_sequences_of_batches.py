"""Objects whose `[i]` is a batch, and iterables that may yield batches: never batched twice."""

import tempfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset

import kerastorch as kt

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[3.0], [0.0], [1.0]])


class PyDataset:
    """As Keras' class of this name."""

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


class Batchwise(PyDataset):
    def __init__(self, size=16, weight=None):
        self.size, self.weight, self.calls = size, weight, []

    def __len__(self):
        return -(-len(X) // self.size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        self.calls.append(index)
        rows = slice(index * self.size, (index + 1) * self.size)
        parts = (X[rows].numpy(), Y[rows].numpy())
        return parts if self.weight is None else (*parts, self.weight[rows])


def by_hand(orders, weight=None):
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for order in orders:
        for index in order:
            rows = slice(index * 16, (index + 1) * 16)
            optimizer.zero_grad()
            each = F.mse_loss(net(X[rows]), Y[rows], reduction="none")[:, 0]
            (each if weight is None else each * torch.as_tensor(weight[rows])).mean().backward()
            optimizer.step()
    return net


def compiled():
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    model.compile(kt.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def test_a_sequence_of_batches_makes_a_step_a_batch():
    model, batches = compiled(), Batchwise()
    model.fit(batches, epochs=3, shuffle=False, verbose=0)
    assert batches.calls == ["begin", 0, 1, 2, "end"] * 3
    torch.testing.assert_close(model.get_weights()[0], by_hand([range(3)] * 3).weight.detach().numpy())


def test_the_order_of_batches_is_a_new_one_each_epoch():
    model, batches = compiled(), Batchwise()
    model.fit(batches, epochs=4, verbose=0)
    drawn = [call for call in batches.calls if isinstance(call, int)]
    orders = [tuple(drawn[at : at + 3]) for at in range(0, 12, 3)]
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    assert len(set(orders)) > 1
    torch.testing.assert_close(model.get_weights()[0], by_hand(orders).weight.detach().numpy())


def test_evaluate_predict_and_validation_take_the_batches_in_order():
    model, batches = compiled(), Batchwise()
    wanted = by_hand([])
    with torch.no_grad():
        outputs = wanted(X)
    loss, mae = model.evaluate(batches, verbose=0)
    assert loss == pytest.approx(F.mse_loss(outputs, Y).item(), rel=1e-5)
    assert mae == pytest.approx(F.l1_loss(outputs, Y).item(), rel=1e-5)
    np.testing.assert_allclose(model.predict(batches, verbose=0), outputs, rtol=1e-5)
    assert batches.calls == ["begin", 0, 1, 2, "end"] * 2
    history = model.fit(X, Y, validation_data=batches, epochs=2, verbose=0).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X, Y, verbose=0)[0], rel=1e-5)
    assert model.evaluate(batches, steps=3, verbose=0)[0] == pytest.approx(history["val_loss"][-1], rel=1e-5)
    assert batches.calls[-1] == "end"


def test_weights_of_a_sequence_weigh():
    weight = np.linspace(0, 1, 40, dtype="float32")
    model = compiled()
    model.fit(Batchwise(weight=weight), shuffle=False, verbose=0)
    torch.testing.assert_close(model.get_weights()[0], by_hand([range(3)], weight).weight.detach().numpy())


def test_steps_per_epoch_of_a_whole_pass_ends_the_pass_with_the_epoch():
    batches = Batchwise()
    compiled().fit(batches, epochs=2, steps_per_epoch=3, shuffle=False, verbose=0)
    assert batches.calls == ["begin", 0, 1, 2, "end"] * 2


def test_a_batch_size_has_no_effect_and_targets_are_refused():
    model = compiled()
    with pytest.warns(UserWarning, match="batch_size has no effect on a PyDataset"):
        model.fit(Batchwise(), batch_size=8, shuffle=False, verbose=0)
    torch.testing.assert_close(model.get_weights()[0], by_hand([range(3)]).weight.detach().numpy())
    with pytest.raises(ValueError, match="y cannot be given with a sequence of batches"):
        compiled().fit(Batchwise(), Y)


class Plain(Batchwise):
    """Draws noise, and has no hook that could not be kept."""

    on_epoch_begin = None
    on_epoch_end = None

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + np.random.normal(size=x.shape).astype("float32"), y

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize("more", [{}, {"steps_per_epoch": 2}])
def test_a_training_on_a_sequence_goes_on_exactly(more):
    class Stop(kt.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            self.seen += 1
            if self.seen == 5:
                raise KeyboardInterrupt

    def run(folder, *callbacks):
        kt.utils.set_random_seed(0)
        model = compiled()
        keeps = kt.callbacks.BackupAndRestore(folder, save_freq=1)
        try:
            model.fit(Plain(), epochs=3, verbose=0, callbacks=[*callbacks, keeps], **more)
        except KeyboardInterrupt:
            return None
        return model.get_weights()[0]

    folder = tempfile.mkdtemp()
    assert run(folder, Stop()) is None
    np.testing.assert_array_equal(run(folder), run(tempfile.mkdtemp()))


def test_a_sequence_with_a_hook_is_told_to_begin_anew(tmp_path):
    class Stop(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    keeps = kt.callbacks.BackupAndRestore(tmp_path / "kept", save_freq=1)
    with pytest.raises(KeyboardInterrupt):
        compiled().fit(Batchwise(), epochs=3, verbose=0, callbacks=[Stop(), keeps])
    with pytest.warns(UserWarning, match=r"Batchwise has an on_epoch_begin or on_epoch_end.*load_state_dict"):
        compiled().fit(
            Batchwise(), epochs=3, verbose=0, callbacks=kt.callbacks.BackupAndRestore(tmp_path / "kept", save_freq=1)
        )


class Unsaid:
    """Neither torch's `Dataset` nor Keras' `PyDataset`."""

    def __init__(self, item, length=8):
        self.item, self.length = item, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index >= self.length:
            raise IndexError(index)
        return self.item


@pytest.mark.parametrize(
    "item", [(X[:10], Y[:10]), (X[:10], torch.arange(10)), (torch.arange(10), torch.arange(10)), X[:10]]
)
def test_an_object_that_may_give_samples_or_batches_is_refused(item):
    model = compiled()
    with pytest.raises(TypeError, match=r"subclass of torch\.utils\.data\.Dataset; .* batch_size=None"):
        model.predict(Unsaid(item))
    if isinstance(item, tuple):
        for verb in (model.fit, model.evaluate):
            with pytest.raises(TypeError, match="is a sample or a batch"):
                verb(Unsaid(item))
        with pytest.raises(TypeError, match="is a sample or a batch"):
            model.fit(X, Y, validation_data=Unsaid(item))


@pytest.mark.parametrize("item", [(X[0], Y[0]), (X[0].numpy(), float(Y[0]))])
def test_an_object_that_gives_samples_for_sure_is_batched(item):
    model = compiled()
    assert model.predict(Unsaid(item), verbose=0).shape == (8, 1)
    seen = []
    told = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(Unsaid(item), batch_size=4, verbose=0, callbacks=told)
    assert seen == [0, 1]


class Stream(IterableDataset):
    def __init__(self, *items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


BATCHES = [(X[:20], Y[:20]), (X[20:], Y[20:])]


def test_an_iterable_dataset_that_yields_batches_is_never_batched_again():
    model = compiled()
    for verb in (model.fit, model.evaluate, model.predict):
        with pytest.raises(TypeError, match=r"DataLoader\(dataset, batch_size=None\) if these are batches"):
            verb(Stream(*BATCHES), verbose=0)
    model.fit(DataLoader(Stream(*BATCHES), batch_size=None), verbose=0)
    assert next(iter(model.optimizer.state.values()))["step"] == 2


def test_an_iterable_dataset_of_samples_is_batched():
    model = compiled()
    model.fit(Stream(*zip(X, Y, strict=True)), batch_size=10, verbose=0)
    assert next(iter(model.optimizer.state.values()))["step"] == 4


def test_a_datasets_samples_are_samples_whatever_their_shapes():
    class Steps(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return X[:10], Y[:10]

    found = kt.Model(nn.Linear(3, 1)).predict(Steps(), verbose=0)
    assert found.shape == (4, 10, 1)


class Shuffled:
    """Draws the order of its rows at the beginning of each pass, and notes the rows of each batch."""

    def __init__(self, seen):
        self.rows, self.seen = np.arange(len(X)), seen

    def __len__(self):
        return 4

    def on_epoch_begin(self):
        self.rows = np.random.permutation(len(X))

    def __getitem__(self, index):
        rows = self.rows[index * 10 : (index + 1) * 10]
        self.seen.append(sorted(rows.tolist()))
        return X[rows], Y[rows]

    def state_dict(self):
        return {"rows": torch.as_tensor(self.rows.copy())}

    def load_state_dict(self, state):
        self.rows = state["rows"].numpy()


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 6])
def test_an_order_that_is_drawn_when_a_pass_begins_is_drawn_again_on_resume(cut, tmp_path):
    class Stop(kt.callbacks.Callback):
        left = cut

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                raise SystemError

    def run(*callbacks):
        seen = []
        kt.utils.set_random_seed(0)
        compiled().fit(Shuffled(seen), epochs=2, verbose=0, shuffle=False, callbacks=list(callbacks))
        return seen

    whole = run()
    keeps = kt.callbacks.BackupAndRestore(tmp_path / "kept", save_freq=1)
    with pytest.raises(SystemError):
        run(Stop(), keeps)
    resumed = run(kt.callbacks.BackupAndRestore(tmp_path / "kept", save_freq=1))
    assert resumed == whole[-len(resumed) :]
    assert len(resumed) >= len(whole) - cut


def test_rows_that_are_lists_of_numpys_numbers_are_one_array():
    rows = [list(row) for row in X[:, :2].numpy()]
    net = nn.Linear(2, 1)
    torch.testing.assert_close(torch.as_tensor(kt.Model(net).predict(rows, verbose=0)), net(X[:, :2]).detach())


def test_a_dataset_of_more_than_three_tensors_is_refused_as_a_loader_of_it_is():
    four = torch.utils.data.TensorDataset(X, Y, Y, Y)
    for source in (four, DataLoader(four, batch_size=10)):
        with pytest.raises(ValueError, match=r"expected \(x,\), \(x, y\) or \(x, y, sample_weight\)"):
            compiled().fit(source, verbose=0)


class Sharded(IterableDataset):
    """Gives each worker a part of ten rows, so that there may be a batch more than its length says."""

    def __len__(self):
        return 10

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        rows = range(10) if worker is None else range(worker.id, 10, worker.num_workers)
        for row in rows:
            yield torch.tensor([float(row), 0.0, 0.0]), Y[row]


@pytest.mark.filterwarnings("ignore:Length of IterableDataset:UserWarning")
def test_no_more_steps_are_made_than_asked_for_and_no_batch_is_dropped():
    rows = []

    class Notes(kt.Model):
        def __init__(self):
            super().__init__()
            self.head = kt.layers.Dense(1)

        def forward(self, x):
            rows.append(x[:, 0].tolist())
            return self.head(x)

    model = Notes()
    model(torch.zeros(1, 3))
    model.compile("sgd", "mse")
    loader = DataLoader(Sharded(), batch_size=4, num_workers=2)  # two batches each, and len(loader) is three
    rows.clear()
    model.evaluate(loader, steps=3, verbose=0)
    assert len(rows) == 3
    for steps in (2, 3):
        rows.clear()
        model.fit(loader, steps_per_epoch=steps, epochs=2, verbose=0)
        assert len(rows) == 2 * steps
        assert sorted(row for batch in rows[:4] for row in batch) == list(map(float, range(10)))
