"""What two processes saved is loaded and trained further by one, three and four, whatever divides the weights."""

import pytest
import torch

import kerastorch as kt

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, :2].sum(1) > 0).long()
SETTINGS = {
    "data": kt.distribution.DataParallel(),
    "sharded": kt.distribution.FullyShard(),
    "tensor": kt.distribution.TensorParallel({"0": "column", "1": "row"}),
}


class StopAt(kt.callbacks.Callback):
    every_rank = True
    state_attributes = ()

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise InterruptedError


def compiled(kind):
    kt.utils.set_random_seed(1)
    layers = kt.layers
    model = kt.Sequential([kt.Input((6,)), layers.Dense(24, "tanh"), layers.Dense(12, "tanh"), layers.Dense(2)])
    model.compile(kt.optimizers.AdamW(0.01), "cross_entropy", metrics=["accuracy"], distribution=SETTINGS[kind])
    return model


def fit(model, epochs, **given):
    kt.utils.set_random_seed(2)
    return model.fit(
        X, Y, batch_size=12, verbose=0, initial_epoch=given.pop("start", 0), epochs=epochs, **given
    ).history


def weights(model):
    return [torch.as_tensor(weight).tolist() for weight in model.get_weights()]


def save(folder, kind):
    """Train for two epochs and save in each way."""
    model = compiled(kind)
    fit(model, 2)
    model.save(folder / "model.kt", max_shard_size="400B")
    model.save_weights(folder / "model.safetensors", max_shard_size="400B")
    return weights(model)


def load(folder, kind):
    """Load in each way, and train for an epoch."""
    model = kt.load_model(folder / "model.kt")
    loaded, setting = weights(model), model.trainer.compile_args["distribution"]
    other = compiled(kind)
    other.load_weights(folder / "model.safetensors")
    history = fit(model, 3, start=2)
    return loaded, weights(other), history["loss"], weights(model), setting


def assert_close(one, other):
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b), atol=2e-6, rtol=1e-5)


def cases(*quick):
    """All combinations; those that are not quick are run by `make distributed`."""
    return [
        pytest.param(kind, world, marks=() if (kind, world) in quick else pytest.mark.distributed)
        for kind in SETTINGS
        for world in (1, 3, 4)
    ]


def ranks(world, request):
    names = {3: "three", 4: "four"}
    return request.getfixturevalue(names[world]).run if world > 1 else lambda function, *args: [function(*args)]


@pytest.mark.parametrize(("kind", "world"), cases(("sharded", 3)))
def test_files_of_two_processes(kind, world, two, request, tmp_path):
    saved = two.run(save, tmp_path, kind)[0]
    whole = compiled(kind)
    fit(whole, 2)
    assert_close(weights(whole), saved)
    expected = fit(whole, 3, start=2)["loss"]
    for loaded, others, loss, trained, setting in ranks(world, request)(load, tmp_path, kind):
        assert loaded == others == saved
        assert setting == SETTINGS[kind]
        assert_close([loss], [expected])
        assert_close(trained, weights(whole))


def interrupted(folder, kind, batches):
    model = compiled(kind)
    kt.utils.set_random_seed(2)
    backup = kt.callbacks.BackupAndRestore(folder, save_freq="epoch", delete_checkpoint=False)
    with pytest.raises(InterruptedError):
        model.fit(X, Y, batch_size=12, epochs=3, verbose=0, callbacks=[backup, StopAt(batches)])


def resumed(folder, kind):
    """Resume; return the number of batches, the losses of all epochs and the weights."""
    model, stop = compiled(kind), StopAt(0)
    history = fit(model, 3, resume=folder, callbacks=[stop])
    return -stop.left, history["loss"], weights(model)


@pytest.mark.parametrize(("kind", "world"), cases(("sharded", 1)))
def test_checkpoint_of_two_processes(kind, world, two, request, tmp_path):
    two.run(interrupted, tmp_path / "state", kind, 10)
    whole = compiled(kind)
    expected = fit(whole, 3)["loss"]
    for batches, loss, trained in ranks(world, request)(resumed, tmp_path / "state", kind):
        assert batches == 4  # of the third epoch
        assert_close([loss], [expected])
        assert_close(trained, weights(whole))
