"""fit is the hand-written torch loop, bit for bit."""

import copy

import pytest
import torch
from support.problems import classification, hand_loop, net, regression, same_weights
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch.optimizers.keras_optimizers import Adam


def network(base):
    """A network written as a class on `base`."""

    class Net(base):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(6, 16)
            self.drop = nn.Dropout(0.3)
            self.second = nn.Linear(16, 3)

        def forward(self, x):
            return self.second(self.drop(F.relu(self.first(x))))

    return Net


def view():
    return kt.Model(net())


def chain():
    return kt.Sequential(net().children())


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("make", "plain"), [(view, net), (chain, net), (network(kt.Model), network(nn.Module))])
def test_fit_equals_the_hand_written_loop_bit_for_bit(make, plain, optimizer):
    x, y = classification()
    torch.manual_seed(3)
    model = make()
    model.compile(OPTIMIZERS[optimizer](model.parameters()), nn.CrossEntropyLoss())
    history = model.fit(x, y, epochs=3, batch_size=32, verbose=0)

    torch.manual_seed(3)
    reference = plain()
    losses = hand_loop(
        reference, OPTIMIZERS[optimizer](reference.parameters()), nn.CrossEntropyLoss(), x, y,
        epochs=3, batch_size=32, seed=3,
    )  # fmt: skip
    assert same_weights(model, reference)
    assert history.history["loss"] == pytest.approx(losses, rel=1e-6)


def test_fit_on_a_data_loader_equals_the_loop_over_that_loader():
    x, y = classification()

    def loader():
        return DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)

    torch.manual_seed(5)
    model = kt.Model(net())
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    model.fit(loader(), epochs=3, verbose=0)

    torch.manual_seed(5)
    reference = net()
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1)
    batches = loader()
    for _ in range(3):
        for inputs, targets in batches:
            optimizer.zero_grad()
            F.cross_entropy(reference(inputs), targets).backward()
            optimizer.step()
    assert same_weights(model, reference)


def test_keras_layers_by_name_equal_torch_written_by_hand():
    x, y = classification()
    model = kt.Sequential([kt.Input((6,)), kt.layers.Dense(8, "relu"), kt.layers.Dropout(0.2), kt.layers.Dense(3)])
    reference = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        theirs.data.copy_(mine.data)
    state = torch.get_rng_state()
    loss = kt.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(Adam(1e-2), loss)
    model.fit(x, y, epochs=2, batch_size=32, verbose=0)
    torch.set_rng_state(state)
    optimizer = torch.optim.Adam(reference.parameters(), lr=1e-2, eps=1e-7, fused=True)
    hand_loop(reference, optimizer, nn.CrossEntropyLoss(), x, y, epochs=2, batch_size=32, seed=0)
    assert same_weights(model, reference)


def test_two_runs_with_one_seed_are_the_same_bits_and_another_seed_is_not():
    x, y = classification()

    def run(seed, verbose=0):
        kt.utils.set_random_seed(seed)
        model = kt.Sequential([kt.layers.Dense(8, "relu"), kt.layers.Dropout(0.2), kt.layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", "auc"])
        history = model.fit(x, y, epochs=2, verbose=verbose, validation_split=0.2)
        return model, history.history

    (first, curves), (again, same) = run(1), run(1)
    other, _ = run(2)
    assert same_weights(first, again)
    assert curves == same
    assert not same_weights(first, other)


def test_epochs_in_one_fit_are_epochs_in_several():
    x, y = classification()
    torch.manual_seed(4)
    once = kt.Model(net(dropout=0))
    often = kt.Model(copy.deepcopy(once.module_viewed))
    once.compile(torch.optim.SGD(once.parameters(), lr=0.1), "cross_entropy")
    often.compile(torch.optim.SGD(often.parameters(), lr=0.1), "cross_entropy")
    once.fit(x, y, epochs=3, verbose=0)
    for _ in range(3):
        often.fit(x, y, epochs=1, verbose=0)
    assert same_weights(once, often)


def test_a_fresh_process_that_starts_at_epoch_two_sees_the_batches_of_epoch_two():
    x, y = regression()
    whole, later = [kt.Model(nn.Linear(6, 1)) for _ in range(2)]
    later.load_state_dict(whole.state_dict())
    for model in (whole, later):
        model.compile(torch.optim.SGD(model.parameters(), lr=0.01), "mse")
    whole.fit(x, y, epochs=2, verbose=0)
    later.load_state_dict(whole.state_dict())
    whole.fit(x, y, epochs=3, initial_epoch=2, verbose=0)
    later.fit(x, y, epochs=3, initial_epoch=2, verbose=0)
    assert same_weights(whole, later)


@pytest.mark.parametrize("make", [nn.LazyLinear, kt.layers.Dense])
def test_l2_on_every_weight_under_plain_sgd_is_twice_the_weight_decay(make):
    x, y = regression()
    decay = 1e-2
    model = kt.Sequential([make(8), nn.Tanh(), make(1)])
    model.build((None, 6))
    reference = copy.deepcopy(model)
    model.compile(torch.optim.SGD(model.parameters(), lr=0.05), "mse", regularizers={"*": kt.regularizers.L2(decay)})
    reference.compile(torch.optim.SGD(reference.parameters(), lr=0.05, weight_decay=2 * decay), "mse")
    for one in (model, reference):
        one.fit(x, y, epochs=3, verbose=0)
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_lbfgs_by_name_trains_as_by_hand():
    x, y = regression(64)
    model = kt.Model(nn.Linear(6, 1))
    reference = copy.deepcopy(model.module_viewed)
    model.compile("lbfgs", "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=64, epochs=2, shuffle=False, verbose=0)
    optimizer = torch.optim.LBFGS(reference.parameters())
    first = []
    for _ in range(2):

        def closure():
            optimizer.zero_grad()
            loss = F.mse_loss(reference(x), y)
            loss.backward()
            return loss

        first.append((F.mse_loss(reference(x), y).item(), F.l1_loss(reference(x), y).item()))
        optimizer.step(closure)
    assert same_weights(model, reference)
    assert history.history["loss"] == pytest.approx([loss for loss, _ in first])
    assert history.history["mae"] == pytest.approx([mae for _, mae in first])


def test_gradient_accumulation_equals_the_larger_batch():
    x, y = regression(128)
    torch.manual_seed(0)
    small = kt.Model(nn.Linear(6, 1))
    large = kt.Model(copy.deepcopy(small.module_viewed))
    small.compile(kt.optimizers.SGD(0.1, gradient_accumulation_steps=4, loss_scale_factor=8.0), "mse")
    large.compile(kt.optimizers.SGD(0.1), "mse")
    small.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    large.fit(x, y, batch_size=64, epochs=2, shuffle=False, verbose=0)
    for mine, theirs in zip(small.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
