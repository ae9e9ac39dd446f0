"""A training that goes on with random generators held anywhere, and after signals to workers and in callbacks."""

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from support.interrupted_training import ROWS, BrokenOffError, Rows, Signal, X, Y, check, dense, script
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, default_collate

import kerastorch as kt
from kerastorch import callbacks, layers
from kerastorch.core.errors import CheckpointError


class Noise:
    def __init__(self):
        self.rng = np.random.default_rng(1)

    def __call__(self, x):
        return x + torch.tensor(self.rng.standard_normal(x.shape), dtype=torch.float32)


class Slotted:
    __slots__ = ("parts",)

    def __init__(self, *parts):
        self.parts = parts

    def __call__(self, x):
        return functools.reduce(lambda value, part: part(value), self.parts, x)


class Changed(Dataset):
    def __init__(self, change):
        self.change = change

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        return self.change(X[index]), Y[index]


class Named:
    def __init__(self, parts):
        self.parts = parts

    def __call__(self, x):
        return functools.reduce(lambda value, part: part(value), self.parts.values(), x)


def noisy_rows(rows, noise):
    x, y = default_collate(rows)
    return noise(x), y


def closure():
    noise = Noise()
    return lambda: ((noise(x), y) for x, y in zip(X.split(10), Y.split(10), strict=True))


HELD = {
    "a transform in a list in a dataset in subsets": lambda: DataLoader(
        Subset(Subset(Changed(Slotted(nn.Identity(), Noise())), range(50)), range(45)), 10
    ),
    "keys that look alike": lambda: DataLoader(ConcatDataset([Changed(Named({1: Noise(), "1": Noise()}))]), 20),
    "a dict with an object for a key": lambda: DataLoader(Changed(Named({object(): Noise()})), 10),
    "what collates": lambda: DataLoader(Rows(), 10, collate_fn=functools.partial(noisy_rows, noise=Noise())),
    "the closure of a function": closure,
}


@pytest.mark.parametrize("data", HELD.values(), ids=HELD)
def test_a_generator_goes_on_that_is_held_by(data, tmp_path):
    check(tmp_path, broken_at=(4, 6), data=data)


class LossWithNoise(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, y_pred, y_true):
        return nn.functional.cross_entropy(y_pred + torch.rand(y_pred.shape, generator=self.generator), y_true)


def compiled(net, loss="cross_entropy"):
    net.compile("sgd", loss)
    return net


def broken_and_whole(tmp_path, make, validation=lambda: None):
    """The weights of a training that was broken off and went on, and those of a whole one."""

    def run(folder, also):
        kt.utils.set_random_seed(1)
        net = make()
        told = [*also, callbacks.BackupAndRestore(folder, 2)]
        net.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=told, validation_data=validation())
        return [weight.detach().clone() for weight in net.state_dict().values()]

    count = iter(range(100))

    def stop(batch, logs):
        if next(count) == 8:
            raise BrokenOffError

    whole = run(tmp_path / "whole", [])
    with pytest.raises(BrokenOffError):
        run(tmp_path / "kept", [callbacks.LambdaCallback(on_train_batch_end=stop)])
    return run(tmp_path / "kept", []), whole


def test_a_generator_of_a_loss_goes_on(tmp_path):
    found, whole = broken_and_whole(tmp_path, lambda: compiled(dense(), LossWithNoise()))
    assert all(map(torch.equal, found, whole))


class Late(nn.Module):
    """Makes its generator when it first draws."""

    def __init__(self):
        super().__init__()
        self.generator = None

    def forward(self, x):
        self.generator = self.generator or torch.Generator().manual_seed(1)
        return x + torch.rand(x.shape, generator=self.generator)


def test_a_generator_that_is_not_there_yet_is_told(tmp_path):
    net = functools.partial(kt.Sequential, [kt.Input((6,)), layers.Dense(2)])
    with pytest.warns(UserWarning, match="generator: the random generator of the checkpoint is not here, or not yet"):
        broken_and_whole(tmp_path, lambda: compiled(kt.Model(nn.Sequential(Late(), net()))))


def test_nobody_pays_for_what_nobody_keeps(monkeypatch):
    asked = []
    monkeypatch.setattr("kerastorch.core.rng_state._find_generators", lambda parts: asked.append(parts) or {})
    dense_net = compiled(dense())
    dense_net.fit(X, Y, epochs=2, verbose=0)
    assert asked == []


class Several(nn.Module):
    """Holds its optimizers in a list and a dict."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)
        self.listed = [torch.optim.Adam([self.layer.weight], lr=0.01)]
        self.named = {"bias": torch.optim.SGD([self.layer.bias], lr=0.1, momentum=0.9)}

    def forward(self, x):
        return self.layer(x)


class OwnStep(kt.Model):
    def train_step(self, batch):
        inner = self.module
        loss = self.compute_loss(batch.x, batch.y, self(batch.x))
        self.zero_grad()
        loss.backward()
        inner.listed[0].step()
        inner.named["bias"].step()
        return {"loss": loss}

    def __init__(self):
        super().__init__()
        self.module = Several()

    def forward(self, x):
        return self.module(x)


def test_optimizers_in_lists_and_dicts_go_on(tmp_path):
    found, whole = broken_and_whole(tmp_path, lambda: compiled(OwnStep()))
    assert all(map(torch.equal, found, whole))


def test_an_optimizer_of_what_is_no_parameter_is_refused_before_training(tmp_path):
    net = compiled(dense())
    net.alpha = torch.zeros(1, requires_grad=True)
    net.of_alpha = torch.optim.Adam([net.alpha])
    told = [callbacks.BackupAndRestore(tmp_path), callbacks.LambdaCallback(on_train_batch_begin=_never)]
    with pytest.raises(CheckpointError, match=r"of_alpha: the optimizer holds .* nn\.Parameter of the model"):
        net.fit(X, Y, verbose=0, callbacks=told)


def _never(batch, logs):
    raise AssertionError("trained")


def test_workers_that_stay_for_a_validation_are_begun_where_they_were(tmp_path):
    with pytest.warns(UserWarning, match="persistent_workers=True"):
        found, whole = broken_and_whole(tmp_path, lambda: compiled(dense()), Persistent)
    assert all(map(torch.equal, found, whole))


class Persistent(DataLoader):
    def __init__(self):
        super().__init__([(x, y) for x, y in zip(X[:20], Y[:20], strict=True)], 10, num_workers=1,
                         persistent_workers=True)  # fmt: skip


class Evaluating(callbacks.Callback):
    state_attributes = ("found",)

    def __init__(self):
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        self.found.append(self.model.evaluate(X, Y, batch_size=5, verbose=0))


def test_what_a_callback_evaluates_is_evaluated_whole_despite_a_signal(tmp_path):
    whole = Evaluating()
    script(None, also=[whole])
    broken = Evaluating()
    with pytest.raises(KeyboardInterrupt):
        script(tmp_path, also=[Signal("on_train_batch_end", 12, signal.SIGINT), broken], save_freq="epoch")
    again = Evaluating()
    script(tmp_path, also=[again], save_freq="epoch")
    assert again.found == whole.found


class Counting(callbacks.Callback):
    """Counts in a tensor, in place."""

    state_attributes = ("count",)

    def __init__(self):
        self.count = torch.zeros(1)

    def on_test_batch_end(self, batch, logs=None):
        self.count += 1


def test_what_callbacks_change_within_a_validation_that_is_broken_off_is_kept_from_before_it(tmp_path):
    validation = {"validation_data": (X[:20], Y[:20]), "validation_batch_size": 5}
    with pytest.raises(KeyboardInterrupt):
        script(tmp_path, also=[Counting(), Signal("on_test_batch_end", 6, signal.SIGINT)], **validation)
    again = Counting()
    script(tmp_path, also=[again], **validation)
    assert again.count == 12


def test_a_signal_after_the_last_epoch_leaves_the_checkpoint_and_is_heeded(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        script(tmp_path, also=[Signal("on_train_end", 1, signal.SIGINT)], save_freq="epoch")
    assert list(tmp_path.iterdir())


def test_sigterm_while_an_error_ends_training_is_not_swallowed():
    def fails(batch, logs):
        raise ValueError("as it is")

    told = [
        callbacks.LambdaCallback(on_train_batch_end=fails),
        callbacks.LambdaCallback(on_train_end=lambda logs: signal.raise_signal(signal.SIGTERM)),
    ]
    with (
        pytest.warns(UserWarning, match="SIGTERM has come, and what ran failed: ValueError"),
        pytest.raises(SystemExit),
    ):
        compiled(dense()).fit(X, Y, verbose=0, callbacks=told)


def test_a_sampler_that_fails_is_not_called_a_worker():
    class Broken(torch.utils.data.Sampler):
        def __iter__(self):
            yield from range(10)
            raise IndexError("the sampler's own")

    loader = DataLoader(Rows(), 5, sampler=Broken(), num_workers=1)
    with pytest.raises(IndexError, match="the sampler's own") as caught:
        compiled(dense()).fit(loader, verbose=0)
    assert getattr(caught.value, "__notes__", []) == []


def test_a_fit_that_has_ended_holds_no_workers():
    before = set(multiprocessing.active_children())  # persistent ones of other tests, until those are collected
    loader = DataLoader(Rows(), 5, num_workers=2)
    net = compiled(dense())
    net.fit(loader, steps_per_epoch=3, verbose=0)
    assert not net.trainer.state.is_fitting
    assert set(multiprocessing.active_children()) <= before


GROUP = """
    import os, signal, sys, time, torch
    import kerastorch as kt
    from kerastorch import callbacks

    class Slow(torch.utils.data.Dataset):
        def __len__(self): return 100
        def __getitem__(self, index):
            time.sleep(float(sys.argv[3]))
            return torch.ones(3), torch.ones(1)

    def told(batch, logs):
        if batch == 2:
            print("ready", flush=True)
        end = time.monotonic() + float(sys.argv[2])
        while batch > 1 and time.monotonic() < end:
            pass

    net = kt.Sequential([kt.layers.Dense(1)])
    net.compile("sgd", "mse")
    loader = torch.utils.data.DataLoader(Slow(), 4, num_workers=2)
    also = [callbacks.LambdaCallback(on_train_batch_end=told), callbacks.BackupAndRestore(sys.argv[1], 10**9)]
    net.fit(loader, verbose=0, callbacks=also)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs groups of processes")
@pytest.mark.parametrize(
    ("which", "code", "busy", "slow"),
    [
        pytest.param(signal.SIGINT, -signal.SIGINT, 0.0, 0.2, id="SIGINT while waiting for data"),
        pytest.param(signal.SIGTERM, 143, 0.5, 0.0, id="SIGTERM while busy"),
        pytest.param(signal.SIGINT, -signal.SIGINT, 0.5, 0.0, id="SIGINT while busy", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, 0.0, 0.2, id="SIGTERM while waiting for data", marks=pytest.mark.slow),
    ],
)
def test_a_signal_that_workers_get_too_keeps_the_training(which, code, busy, slow, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(GROUP), str(tmp_path / "kept"), str(busy), str(slow)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert child.stdout.readline() == b"ready\n"
    os.killpg(child.pid, which)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code, said.decode()
    assert list((tmp_path / "kept").iterdir())
