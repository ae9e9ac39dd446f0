"""A training that goes on, with all that writes or learns beside it: files, losses, steps of one's own."""

import numpy as np
import pytest
import torch
from support.interrupted_training import BrokenOffError, X, Y, check, dense, script
from support.tensorboard_files import curves
from torch import nn

import kerastorch as kt
from kerastorch import callbacks, layers
from kerastorch.core.errors import CheckpointError


def writers(folder):
    return [
        callbacks.TensorBoard(folder / "board", histogram_freq=1, update_freq=2),
        callbacks.ModelCheckpoint(folder / "best.kt", "loss", save_best_only=True),
        callbacks.ModelCheckpoint(folder / "{epoch}.safetensors", save_weights_only=True),
        callbacks.CSVLogger(folder / "curves.csv"),
    ]


@pytest.mark.parametrize("broken", [4, 9])
def test_what_was_written_is_what_a_training_never_broken_off_writes(broken, tmp_path):
    pytest.importorskip("tensorboard")
    whole, again = tmp_path / "whole", tmp_path / "again"
    script(None, also=writers(whole))
    with pytest.raises(BrokenOffError):
        script(tmp_path / "kept", broken, also=writers(again))
    script(tmp_path / "kept", also=writers(again))
    names = sorted(path.name for path in whole.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    assert (again / "curves.csv").read_text() == (whole / "curves.csv").read_text()
    assert curves(again / "board" / "train") == curves(whole / "board" / "train")
    for name in ("1.safetensors", "2.safetensors", "3.safetensors"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    one, other = kt.load_model(again / "best.kt"), kt.load_model(whole / "best.kt")
    assert np.array_equal(one.predict(X, verbose=0), other.predict(X, verbose=0))


class Centers(nn.Module):
    """Learns as the model does."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, y_pred, y_true):
        return nn.functional.cross_entropy(y_pred * self.scale, y_true) + self.scale.square().sum()


def test_a_loss_that_learns_goes_on(tmp_path):
    def learned(folder, broken=None):
        kt.utils.set_random_seed(1)
        net, loss = dense(), Centers()
        net.compile("adam", loss)
        told = [callbacks.BackupAndRestore(folder, 2)]
        if broken is not None:
            told.append(callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: _stop(broken)))
        net.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=told)
        return [*net.state_dict().values(), loss.scale.detach()]

    def _stop(left):
        left[0] -= 1
        if not left[0]:
            raise BrokenOffError

    whole = learned(tmp_path / "whole")
    with pytest.raises(BrokenOffError):
        learned(tmp_path / "kept", [9])
    found = learned(tmp_path / "kept")
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


class OwnStep(kt.Sequential):
    """Trains on noisy rows, and tells a number of its own."""

    def train_step(self, batch):
        y_pred = self(batch.x + 0.1 * torch.randn_like(batch.x))
        loss = self.compute_loss(batch.x, batch.y, y_pred)
        self.trainer.backward_and_step(loss)
        return {"loss": loss, "spread": y_pred.std()}


def test_a_train_step_of_ones_own_goes_on(tmp_path):
    check(tmp_path, make=lambda: OwnStep([layers.Dense(8, activation="relu"), layers.Dropout(0.4), layers.Dense(2)]))


class Gan(kt.Model):
    """Two networks, each with an optimizer that the model holds."""

    def __init__(self, kind=torch.optim.Adam):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6))
        self.discriminator = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
        self.of_generator = torch.optim.Adam(self.generator.parameters(), lr=0.01)
        self.of_discriminator = kind(self.discriminator.parameters(), lr=0.01)

    def forward(self, noise):
        return self.generator(noise)

    def train_step(self, batch):
        judge = nn.functional.binary_cross_entropy_with_logits
        made = self.generator(torch.randn(len(batch.x), 3))
        real, fake = self.discriminator(batch.x), self.discriminator(made.detach())
        right = judge(real, torch.ones_like(real)) + judge(fake, torch.zeros_like(fake))
        self.of_discriminator.zero_grad()
        right.backward()
        self.of_discriminator.step()
        fooled = self.discriminator(made)
        loss = judge(fooled, torch.ones_like(fooled))
        self.of_generator.zero_grad()
        loss.backward()
        self.of_generator.step()
        return {"loss": loss, "right": right}


def play(folder, broken=None, **about):
    kt.utils.set_random_seed(1)
    gan = Gan(**about)
    gan.compile(loss=None)
    told = [callbacks.BackupAndRestore(folder, 2)]
    if broken is not None:
        told.append(callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: _break(batch, broken)))
    history = gan.fit(X, batch_size=10, epochs=3, verbose=0, callbacks=told)
    return [*gan.state_dict().values()], history.history


def _break(batch, broken):
    broken.append(batch)
    if len(broken) == 9:
        raise BrokenOffError


def test_optimizers_that_a_model_holds_go_on(tmp_path):
    whole, curves_of_whole = play(tmp_path / "whole")
    with pytest.raises(BrokenOffError):
        play(tmp_path / "kept", [])
    found, again = play(tmp_path / "kept")
    assert again == curves_of_whole
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_another_optimizer_that_a_model_holds_is_refused(tmp_path):
    with pytest.raises(BrokenOffError):
        play(tmp_path / "kept", [])
    with pytest.raises(CheckpointError, match="of_discriminator is of the optimizer Adam, this one is RMSprop"):
        play(tmp_path / "kept", kind=torch.optim.RMSprop)
