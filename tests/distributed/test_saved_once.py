"""Files of a model that several processes train: rank 0 writes them once, and never waits for the others."""

import os
import time
import warnings

import pytest
import torch
from torch import distributed, nn

import kerastorch as kt
from kerastorch.checkpoint import atomic_file
from kerastorch.core.process_group import alone
from kerastorch.saving import first_rank

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def trained():
    torch.manual_seed(distributed.get_rank())
    model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(8), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=1, batch_size=10, verbose=0)
    return model


def save(path, verb, seconds=0.0, **options):
    """Save on all ranks; return whether the file is there and how often this rank has written one."""
    model, written, write = trained(), [], atomic_file.write

    def counted(path, parts):
        time.sleep(seconds)
        write(path, parts)
        written.append(str(path))

    atomic_file.write = counted
    try:
        getattr(model, verb)(path, **options)
        there = path.exists() or path.with_name(f"{path.name}.index.json").exists()
    finally:
        atomic_file.write = write
    return there, len(written), [weight.tolist() for weight in model.parameters()]


@pytest.mark.parametrize(
    ("verb", "name", "options", "files"),
    [
        ("save_weights", "model.safetensors", {}, 1),
        ("save_weights", "model.safetensors", {"max_shard_size": "40B"}, 4),
        ("save", "model.kt", {}, 1),
        ("save", "model.kt", {"max_shard_size": "100B"}, 4),
    ],
)
def test_rank_0_writes_and_all_find_the_file(verb, name, options, files, two, tmp_path):
    path = tmp_path / name
    found = two.run(save, path, verb, seconds=0.2, **options)
    assert [(there, count) for there, count, _ in found] == [(True, files), (True, 0)]
    if verb == "save":
        model = kt.load_model(path)
    else:
        model = kt.Sequential([kt.Input((3,)), kt.layers.Dense(8), kt.layers.Dense(1)])
        model.load_weights(path)
    assert [weight.tolist() for weight in model.parameters()] == found[0][2] == found[1][2]


def save_again(path):
    """Save several times to one path; the third time on rank 0 alone, as a callback does."""
    model = trained()
    values = []
    for number in range(5):
        with torch.no_grad():
            model[0].bias.fill_(number)
        if number == 2:
            if distributed.get_rank() == 0:
                with alone():
                    model.save_weights(path)
            continue
        if distributed.get_rank() == 0:
            time.sleep(0.1)
        model.save_weights(path)
        distributed.barrier()
        other = kt.Sequential([kt.Input((3,)), kt.layers.Dense(8), kt.layers.Dense(1)])
        other.load_weights(path)
        values.append(other[0].bias[0].item())
        distributed.barrier()
    return values


def test_each_save_waits_for_its_own_file(two, tmp_path):
    assert two.run(save_again, tmp_path / "model.safetensors") == [[0.0, 1.0, 3.0, 4.0]] * 2


def save_on_first(path):
    model = trained()
    if distributed.get_rank() == 0:
        start = time.monotonic()
        model.save_weights(path)
        model.save(path.with_suffix(".kt"))
        return time.monotonic() - start
    return 0.0


def test_a_script_may_save_on_rank_0_alone(two, tmp_path):
    assert max(two.run(save_on_first, tmp_path / "model.safetensors")) < 10
    assert sorted(os.listdir(tmp_path)) == ["model.kt", "model.safetensors"]


def error_of(path, **options):
    model = trained()
    try:
        model.save_weights(path, **options)
    except (OSError, kt.errors.CheckpointError) as error:
        return type(error).__name__, str(error)
    return None


def test_all_ranks_raise_if_rank_0_cannot_write(two, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    first, second = two.run(error_of, path, overwrite=False)
    assert first == (
        "FileExistsError",
        f"{path} is there already. Pass overwrite=True to replace it, or choose another name.",
    )
    assert second == ("CheckpointError", f"{path} could not be written. Rank 0: FileExistsError: {first[1]}")


def save_on_second(path):
    model, before = trained(), first_rank.WAIT_SECONDS
    first_rank.WAIT_SECONDS = 1
    try:
        if distributed.get_rank() == 1:
            model.save_weights(path)
    except kt.errors.CheckpointError as error:
        return str(error)
    finally:
        first_rank.WAIT_SECONDS = before
    return None


def test_a_rank_that_saves_alone_is_told_after_some_time(two, tmp_path):
    text = two.run(save_on_second, tmp_path / "model.safetensors")[1]
    assert "was not written by rank 0 within 1 seconds" in text
    assert "save the same file on all ranks, or on rank 0 alone" in text


def save_apart(folder):
    """Save models that are trained apart, each rank to its own file."""
    torch.manual_seed(0)
    model = kt.Model(nn.Linear(3, 1))
    model.compile("sgd", "mse", distribution=None)
    model.fit(X, Y, epochs=1, verbose=0)
    path = folder / f"{distributed.get_rank()}.safetensors"
    model.save_weights(path)
    return path.exists()


def test_ranks_that_train_apart_write_their_own_files(two, tmp_path):
    assert two.run(save_apart, tmp_path) == [True, True]


def save_with_callback(path):
    model = trained()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keep = kt.callbacks.ModelCheckpoint(str(path), save_weights_only=True)
        model.fit(X, Y, epochs=3, batch_size=10, verbose=0, callbacks=keep)
    model.save_weights(path)
    return path.exists()


def test_model_checkpoint_saves_on_rank_0_and_the_script_on_all(two, tmp_path):
    assert two.run(save_with_callback, tmp_path / "model.safetensors") == [True, True]
