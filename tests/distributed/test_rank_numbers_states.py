"""What layers change while several processes train: running statistics and random numbers; and weights that differ."""

import numpy as np
import pytest
import torch
from torch import distributed, nn

import kerastorch as kt

X = torch.randn(22, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (22,), generator=torch.Generator().manual_seed(1))


class OwnDropout(kt.layers.Layer):
    """Dropout as Keras' guides write it, with a generator of its own."""

    def __init__(self, seed):
        super().__init__()
        self.seed_generator = kt.random.SeedGenerator(seed)

    def call(self, x, training=None):
        return kt.random.dropout(x, 0.5, seed=self.seed_generator) if training else x


class Record(kt.callbacks.Callback):
    """Keeps what the layer `where` gives, and the running mean of the model at each end of an epoch."""

    every_rank = True

    def on_train_begin(self, logs=None):
        self.means, self.masks = [], []
        for part in self.model.modules():
            if isinstance(part, (nn.Dropout, kt.layers.Dropout, OwnDropout)):
                part.register_forward_hook(self.keep)

    def keep(self, layer, args, output):
        if layer.training:
            self.masks.append((output != 0).numpy())

    def on_epoch_end(self, epoch, logs=None):
        self.means.extend(one.clone().numpy() for one in self.model.buffers())


def normalized():
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    torch.manual_seed(0)
    model = kt.Model(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)))
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy")
    record = Record()
    history = model.fit(
        X, Y, batch_size=8, epochs=2, verbose=0, shuffle=False, validation_data=(X, Y), callbacks=[record]
    )
    with torch.no_grad():
        model.get_submodule("1").running_mean += rank  # a rank has changed them: those of rank 0 are used
    scores = model.evaluate(X, Y, verbose=0, return_dict=True)
    return record.means, history.history["val_loss"], scores, model.predict(X, verbose=0)


def test_all_ranks_have_the_running_statistics_of_rank_0(two):
    first, second = two.run(normalized)
    np.testing.assert_equal(second, first)
    # plain torch: the weights learn from both halves of a batch, the statistics from the half of rank 0
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        for rows in torch.arange(22).split(8):
            optimizer.zero_grad()
            for half in reversed(rows.tensor_split(2)):
                before = [one.clone() for one in net.buffers()]
                loss = nn.functional.cross_entropy(net(X[half]), Y[half]) * len(half) / len(rows)
                loss.backward()
                if half[0] != rows[0]:
                    for one, old in zip(net.buffers(), before, strict=True):
                        one.copy_(old)
            optimizer.step()
    net.eval()
    np.testing.assert_allclose(first[0][3], net[1].running_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(first[3], net(X).detach().numpy(), atol=1e-5)


def dropped(kind, seed):
    torch.manual_seed(0)
    layer = {"seeded": lambda: kt.layers.Dropout(0.5, seed=seed), "own": lambda: OwnDropout(seed)}.get(
        kind, lambda: nn.Dropout(0.5)
    )()
    model = kt.Model(nn.Sequential(nn.Linear(4, 50), layer, nn.Linear(50, 3)))
    model.compile(kt.optimizers.SGD(0.01), "cross_entropy")
    record = Record()
    model.fit(X[:16], Y[:16], batch_size=8, epochs=1, verbose=0, callbacks=[record], shuffle=False)
    generator = {"seeded": "_draws", "own": "seed_generator"}.get(kind)
    count = getattr(layer, generator).count.tolist() if generator else None
    return record.masks, count, torch.get_rng_state().numpy()


@pytest.mark.parametrize("kind", ["of torch", "seeded", "own"])
def test_dropout_differs_by_rank_and_rank_0_gives_the_random_state_after_the_fit(two, kind):
    (masks, count, state), (other_masks, other_count, other_state) = two.run(dropped, kind, 5)
    assert len(masks) == len(other_masks) == 2
    assert all((one != two).any() for one, two in zip(masks, other_masks, strict=True))
    assert count == other_count
    assert count in (None, [5, 2])  # the seed that was given, and one sample for each batch
    np.testing.assert_array_equal(state, other_state)


def several_fits():
    """Fit three times, evaluate between, compile anew, and train a second model of the same layers."""
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    found = []
    torch.manual_seed(rank)
    model = kt.Sequential([kt.layers.Dense(6, activation="tanh"), kt.layers.Dense(3)])  # built by the first batch
    torch.manual_seed(7)
    model.compile(kt.optimizers.Adam(0.01, epsilon=1e-4, gradient_accumulation_steps=4), "cross_entropy")
    for _ in range(3):
        found.append(model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history)
        found.append(model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True))
    if rank:
        with torch.no_grad():
            next(model.parameters()).add_(1.0)
    found.append(model.evaluate(X, Y, batch_size=30, verbose=0, return_dict=True))
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    found.append(model.fit(X, Y, batch_size=5, epochs=2, verbose=0).history)
    other = kt.Model(nn.Sequential(nn.LazyLinear(6), nn.Tanh(), nn.LazyLinear(3)))
    other.compile("sgd", "cross_entropy", metrics=["accuracy"])
    found.append(other.fit(X, Y, batch_size=5, epochs=2, verbose=0).history)
    found.append(other.train_on_batch(X, Y, return_dict=True))
    found.append(other.test_on_batch(X, Y, return_dict=True))
    found.extend(model.predict(X, batch_size=5, verbose=0).tolist())
    found.extend(other.predict_on_batch(X).tolist())
    return found


@pytest.mark.parametrize("world", ["two", "three"])
def test_fits_one_after_the_other_give_the_numbers_of_one_process(request, world):
    expected = several_fits()
    for found in request.getfixturevalue(world).run(several_fits):
        for one, two in zip(found, expected, strict=True):
            if not isinstance(two, dict):
                np.testing.assert_allclose(one, two, atol=2e-6)
                continue
            assert one.keys() == two.keys()
            for name, values in two.items():
                np.testing.assert_allclose(one[name], values, atol=2e-6, err_msg=name)
