"""A fit of several processes that is broken off and run again: the bits of one that never was."""

import signal
import warnings

import pytest
import torch
from support.break_off import BreakOff, BrokenOffError
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils import _pytree as pytree

import kerastorch as kt
from kerastorch.checkpoint import sharded

ROWS, BATCH, EPOCHS = 58, 10, 3
X = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, :2].sum(1) > 0).long()


def network():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 2))


def divided():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    fully_shard(net[0], mesh=mesh)
    return fully_shard(net, mesh=mesh)


OPTIMIZERS = {
    "adam": lambda: "adam",
    "accumulating": lambda: kt.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=4),
    "averaging": lambda: kt.optimizers.Adam(use_ema=True, ema_overwrite_frequency=3),
}


def values(state):
    leaves = [leaf for leaf in pytree.tree_leaves(state) if leaf is not None]
    whole = [leaf.full_tensor() if hasattr(leaf, "full_tensor") else leaf for leaf in leaves]
    return [torch.as_tensor(leaf).clone() for leaf in whole]


def script(folder, broken=None, make=network, optimizer="adam", save_freq=2, epochs=EPOCHS, metrics=("accuracy",)):
    """What a user runs, and runs again: weights, optimizer, random state and history in the end."""
    kt.utils.set_random_seed(1)
    net = kt.Model(make())
    net.compile(OPTIMIZERS[optimizer](), "cross_entropy", metrics=list(metrics))
    told = [] if folder is None else [kt.callbacks.BackupAndRestore(folder, save_freq)]
    if broken is not None:
        told.append(BreakOff(broken))
    try:
        history = net.fit(
            X, Y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=told, validation_split=0.2
        ).history
    except BrokenOffError:
        return None
    state = values([net.state_dict(), list(net.optimizer.state.values())])
    return [tensor.tolist() for tensor in state], torch.get_rng_state().tolist(), history


def check(ranks, folder, broken, **options):
    """Break a fit off after some batches, and compare what it ends with after a second run."""
    whole = ranks.run(script, None, **options)
    assert ranks.run(script, folder, broken, **options) == [None] * ranks.world
    assert [path.name.startswith("checkpoint-") for path in folder.iterdir()] == [True] * len(list(folder.iterdir()))
    found = ranks.run(script, folder, **options)
    assert repr(found) == repr(whole)
    assert not folder.exists()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("save_freq", "broken"),
    [
        pytest.param(*case, marks=[] if case in [("epoch", 7), (1, 3)] else pytest.mark.distributed)
        for case in [("epoch", 7), (1, 3), (2, 8), (1, 4), (0.0001, 6)]
    ],
)
def test_it_ends_with_the_same_bits(optimizer, save_freq, broken, two, tmp_path):
    check(two, tmp_path / "state", broken, optimizer=optimizer, save_freq=save_freq)


@pytest.mark.distributed
@pytest.mark.parametrize("broken", [1, 2, 5, 9, 11])
def test_it_ends_with_the_same_bits_with_three(broken, three, tmp_path):
    check(three, tmp_path / "state", broken, save_freq=1, metrics=("accuracy", "auc"))


@pytest.mark.parametrize("save_freq", ["epoch", pytest.param(2, marks=pytest.mark.distributed)])
def test_divided_weights_resume_with_the_same_bits(save_freq, two, tmp_path):
    check(two, tmp_path / "state", 7, make=divided, save_freq=save_freq)


def resume_with_argument(folder, broken=None):
    kt.utils.set_random_seed(1)
    net = kt.Model(network())
    net.compile("adam", "cross_entropy")
    told = [] if broken is None else [BreakOff(broken)]
    try:
        net.fit(X, Y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=told, resume=folder)
    except BrokenOffError:
        return None
    return [weight.tolist() for weight in net.parameters()]


def test_resume_is_the_argument_for_it(two, tmp_path):
    whole = two.run(resume_with_argument, tmp_path / "whole")
    assert two.run(resume_with_argument, tmp_path / "state", 8) == [None, None]
    assert two.run(resume_with_argument, tmp_path / "state") == whole


# --- another number of processes --------------------------------------------------------------------------------------


def told_by(folder, **options):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = script(folder, **options)
    return result, [str(one.message) for one in told]


def without_dropout():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))


def assert_close(found, expected):
    """Compare weights and optimizer state, and the curves."""
    for one, two in zip(found[0], expected[0], strict=True):
        torch.testing.assert_close(torch.tensor(one), torch.tensor(two), atol=2e-6, rtol=1e-5)
    assert found[2].keys() == expected[2].keys()
    for name, curve in expected[2].items():
        assert found[2][name] == pytest.approx(curve, abs=1e-5)


@pytest.mark.parametrize("after", [1, 3])
def test_another_number_of_processes_goes_on_after_an_epoch(after, two, three, tmp_path):
    options = {"make": without_dropout, "save_freq": "epoch"}
    whole = script(None, **options)
    assert two.run(script, tmp_path / "state", 7, **options) == [None, None]
    found = (
        [told_by(tmp_path / "state", **options)] if after == 1 else three.run(told_by, tmp_path / "state", **options)
    )
    for result, told in found:
        assert told == []
        assert_close(result, whole)


def test_two_processes_go_on_with_the_archive_of_one(two, tmp_path):
    options = {"make": without_dropout, "save_freq": "epoch"}
    whole = script(None, **options)
    assert script(tmp_path / "state", 7, **options) is None
    for result, told in two.run(told_by, tmp_path / "state", **options):
        assert told == []
        assert_close(result, whole)


@pytest.mark.parametrize("after", [1, 3])
def test_within_an_epoch_the_weights_are_the_same_and_the_logs_those_of_the_rest(after, two, three, tmp_path):
    options = {"make": without_dropout, "save_freq": 1}
    whole = script(None, **options)
    assert two.run(script, tmp_path / "state", 8, **options) == [None, None]
    found = (
        [told_by(tmp_path / "state", **options)] if after == 1 else three.run(told_by, tmp_path / "state", **options)
    )
    for rank, (result, told) in enumerate(found):
        for one, other in zip(result[0], whole[0], strict=True):
            torch.testing.assert_close(torch.tensor(one), torch.tensor(other), atol=2e-6, rtol=1e-5)
        assert len(told) == (rank == 0)
    assert "was saved by 2 processes and is resumed by" in found[0][1][0]
    assert "the logs of epoch 2 are those of its batches from 3 on" in found[0][1][0]


def dropout_on_rank(folder):
    """Return the random numbers that a rank draws after a resume."""
    kt.utils.set_random_seed(1)
    net = kt.Model(network())
    net.compile("sgd", "mse")
    drawn = []

    class Draw(kt.callbacks.Callback):
        every_rank = True

        def on_train_batch_begin(self, batch, logs=None):
            if not drawn:
                drawn.append(torch.rand(3).tolist())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.compile("adam", "cross_entropy", metrics=["accuracy"])
        backup = kt.callbacks.BackupAndRestore(folder, 2)
        net.fit(X, Y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[backup, Draw()], validation_split=0.2)
    return drawn[0]


def test_a_new_rank_draws_random_numbers_of_its_own(two, three, tmp_path):
    assert two.run(script, tmp_path / "state", 7) == [None, None]
    drawn = three.run(dropout_on_rank, tmp_path / "state")
    assert len({tuple(numbers) for numbers in drawn}) == 3


def other_model():
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 2))


def error_of(folder, **options):
    try:
        script(folder, **options)
    except kt.errors.CheckpointError as error:
        return str(error)
    return None


def test_another_model_is_an_error_on_all_ranks(two, tmp_path):
    assert two.run(script, tmp_path / "state", 7, make=without_dropout) == [None, None]
    errors = two.run(error_of, tmp_path / "state", make=other_model)
    assert all("Is it of another model?" in error for error in errors)


# --- interrupts -------------------------------------------------------------------------------------------------------


class SignalOnRank(kt.callbacks.Callback):
    """A signal that comes to one rank after some batches."""

    every_rank = True
    state_attributes = ()

    def __init__(self, rank, batches, number):
        self.rank, self.left, self.number = rank, batches, number

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left and distributed.get_rank() == self.rank:
            signal.raise_signal(self.number)


def interrupted(folder, rank, batches, number):
    kt.utils.set_random_seed(1)
    net = kt.Model(network())
    net.compile("adam", "cross_entropy")
    told = [SignalOnRank(rank, batches, number)]
    try:
        net.fit(X, Y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=told, resume=folder, validation_split=0.2)
    except (KeyboardInterrupt, SystemExit) as error:
        return type(error).__name__
    return [weight.tolist() for weight in net.parameters()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_rank_saves_the_state_of_all_between_two_batches(number, two, tmp_path):
    whole = two.run(interrupted, tmp_path / "whole", 0, 0, number)
    name = "SystemExit" if number == signal.SIGTERM else "KeyboardInterrupt"
    assert two.run(interrupted, tmp_path / "state", 1, 7, number) == [name, name]
    path = max((tmp_path / "state").iterdir())
    saved = sharded.read(path).state["fit"]
    assert (saved["epoch"], saved["done"]) == (1, 2)
    assert two.run(interrupted, tmp_path / "state", 0, 0, number) == whole
