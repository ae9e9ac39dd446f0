"""`compile(distribution=FullyShard())`: training, evaluation, prediction and files are those of one process."""

import copy

import numpy as np
import pytest
import torch
from support.rank_fits import FITS, X, Y, check_same, network, trained, trained_on_ranks
from torch import distributed, nn

import kerastorch as kt
from kerastorch.core.distributed_tensors import full_tensor, is_distributed_tensor
from kerastorch.distribution import FullyShard

QUICK = ["plain", "adam", "validation", "accumulation", "clip", "l2"]


@pytest.mark.parametrize("name", QUICK)
def test_two_ranks_give_the_numbers_of_one_process(two, name):
    options, fit_options = FITS[name]
    sharded = {**options, "distribution": FullyShard()}
    check_same(two.run(trained_on_ranks, sharded, fit_options), trained(options, fit_options))


@pytest.mark.distributed
@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("settings", [FullyShard(shard=20), FullyShard(reshard=False)], ids=["size", "kept"])
def test_three_ranks_give_the_numbers_of_one_process(three, name, settings):
    options, fit_options = FITS[name]
    sharded = {**options, "distribution": settings}
    check_same(three.run(trained_on_ranks, sharded, fit_options), trained(options, fit_options))


def _lazy():
    torch.manual_seed(distributed.get_rank())
    model = kt.Sequential([kt.layers.Dense(9, "relu"), kt.layers.Dropout(0.0), kt.layers.Dense(3)])
    model.compile("adam", "cross_entropy", metrics=["accuracy"], distribution=FullyShard())
    return model


def _without_training():
    model = _lazy()
    scores = model.evaluate(X, Y, verbose=0)  # builds the model, and shards it
    outputs = model.predict(X, verbose=0)
    few = model.predict(X[:1], verbose=0)  # one rank has nothing
    loss = nn.functional.cross_entropy(torch.from_numpy(outputs), Y).item()
    parts = [weight.to_local().numel() for weight in model.parameters()]
    return scores[0], loss, outputs, few, sum(parts), all(map(is_distributed_tensor, model.parameters()))


def test_a_model_that_is_built_by_its_first_batch_is_sharded_before_it_is_evaluated(two):
    ranks = two.run(_without_training)
    for score, loss, outputs, few, _, is_sharded in ranks:
        assert score == pytest.approx(loss, abs=1e-6)
        assert is_sharded
        np.testing.assert_array_equal(outputs, ranks[0][2])
        np.testing.assert_allclose(few, outputs[:1], atol=1e-6)
    assert sum(rank[4] for rank in ranks) == 4 * 9 + 9 + 9 * 3 + 3


def _data_kinds(kind):
    data = torch.utils.data.TensorDataset(X, Y)
    given = {
        "arrays": lambda: ((X, Y), {}),
        "loader": lambda: ((torch.utils.data.DataLoader(data, batch_size=5),), {}),
        "dataset": lambda: ((data,), {"batch_size": 5}),
        "generator": lambda: ((lambda: iter([(X[:9], Y[:9])]),), {}),
        "limited": lambda: ((X, Y), {"batch_size": 4, "steps": 3}),
    }[kind]
    found = []
    for settings in (None, FullyShard()):
        model = kt.Model(network())
        model.compile("sgd", "cross_entropy", metrics=["accuracy"], distribution=settings)
        arguments, options = given()
        scores = model.evaluate(*arguments, **options, verbose=0)
        outputs = None if kind in ("loader", "dataset") else model.predict(arguments[0], **options, verbose=0)
        if kind in ("loader", "dataset"):
            outputs = model.predict(torch.utils.data.DataLoader(X, batch_size=5), verbose=0)
        found.append((scores, outputs))
    return found


@pytest.mark.parametrize("kind", ["arrays", "loader", "dataset", "generator", "limited"])
def test_ranks_with_fewer_batches_take_part_in_the_batches_of_the_others(two, kind):
    for one, sharded in two.run(_data_kinds, kind):
        assert sharded[0] == pytest.approx(one[0], abs=1e-6)
        np.testing.assert_allclose(sharded[1], one[1], atol=1e-6)


def _with_an_optimizer_of_torch(steps_before):
    module = network()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(steps_before):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(X), Y).backward()
        optimizer.step()
    plain = network()
    plain.load_state_dict(module.state_dict())
    loop = torch.optim.Adam(plain.parameters(), lr=0.01)
    loop.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        loop.zero_grad()
        nn.functional.cross_entropy(plain(X), Y).backward()
        loop.step()
    model = kt.Model(module)
    model.compile(optimizer, "cross_entropy", distribution=FullyShard())
    model.fit(X, Y, batch_size=len(X), epochs=3, verbose=0)
    assert model.optimizer is optimizer
    assert all(map(is_distributed_tensor, model.parameters()))
    pairs = zip(model.parameters(), plain.parameters(), strict=True)
    return max((full_tensor(one) - two).abs().max().item() for one, two in pairs)


@pytest.mark.parametrize("steps_before", [0, 4])
def test_an_optimizer_of_the_script_goes_on_with_the_sharded_weights(two, steps_before):
    assert max(two.run(_with_an_optimizer_of_torch, steps_before)) < 1e-6


def _saved(folder):
    model = _lazy()
    best = kt.callbacks.ModelCheckpoint(f"{folder}/best.kt", "loss", save_best_only=True)
    history = model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[best])
    model.save(f"{folder}/model.kt")
    outputs = model.predict(X, verbose=0)
    model.compile("adam", "cross_entropy")  # once more: the weights stay sharded
    again = model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    return outputs, history.history["loss"], again.history["loss"], model.evaluate(X, Y, verbose=0)


def test_files_of_a_sharded_model_open_in_one_process(two, tmp_path):
    ranks = two.run(_saved, str(tmp_path))
    for name in ("model.kt", "best.kt"):
        model = kt.load_model(tmp_path / name)
        np.testing.assert_allclose(model.predict(X, verbose=0), ranks[0][0], atol=1e-6)
    for _, losses, again, loss in ranks:
        assert losses[1] < losses[0]
        assert again == ranks[0][2]
        assert loss == pytest.approx(ranks[0][3])


def _loaded(path):
    model = kt.load_model(path)
    model.compile(model.optimizer, "cross_entropy", distribution=FullyShard())
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0, shuffle=False)
    return model.predict(X, verbose=0)


def test_a_model_loaded_from_a_file_goes_on_sharded(two, tmp_path):
    model = kt.Model(network())
    model.compile("adam", "cross_entropy", distribution=None)
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0, shuffle=False)
    sequential = kt.Sequential([kt.Input((4,)), kt.layers.Dense(8, "tanh"), kt.layers.Dense(3)])
    sequential.compile("adam", "cross_entropy")
    sequential.fit(X, Y, batch_size=16, epochs=1, verbose=0, shuffle=False)
    sequential.save(tmp_path / "model.kt")
    sequential.fit(X, Y, batch_size=16, epochs=2, verbose=0, shuffle=False)
    for outputs in two.run(_loaded, str(tmp_path / "model.kt")):
        np.testing.assert_allclose(outputs, sequential.predict(X, verbose=0), atol=1e-6)


def _resumed(folder, epochs):
    model = _lazy()
    model.fit(X, Y, batch_size=16, epochs=epochs, verbose=0, resume=folder)
    return [full_tensor(weight.detach()).numpy() for weight in model.parameters()]


def _stopped(folder):
    class Stop(kt.callbacks.Callback):
        every_rank = True

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    model = _lazy()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=16, epochs=4, verbose=0, resume=folder, callbacks=[Stop()])


@pytest.mark.distributed
def test_a_fit_resumes_with_the_same_bits(two, tmp_path):
    whole = two.run(_resumed, str(tmp_path / "one"), 4)
    two.run(_stopped, str(tmp_path / "two"))
    for weights, expected in zip(two.run(_resumed, str(tmp_path / "two"), 4), whole, strict=True):
        for one, other in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def _on_meta():
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    torch.manual_seed(5 if distributed.get_rank() == 0 else 6)
    model = kt.Model(module)
    model.compile("adam", "cross_entropy", distribution=FullyShard())
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0, shuffle=False)
    return model.predict(X, verbose=0)


def test_a_model_on_the_meta_device_gets_its_weights_when_it_is_sharded(two):
    torch.manual_seed(5)
    model = kt.Model(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)))
    model.compile("adam", "cross_entropy", distribution=None)
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0, shuffle=False)
    for outputs in two.run(_on_meta):
        np.testing.assert_allclose(outputs, model.predict(X, verbose=0), atol=1e-6)


def _wrapped():
    model = kt.Model(nn.parallel.DistributedDataParallel(network()))
    model.compile("sgd", "cross_entropy", distribution=FullyShard())
    with pytest.raises(ValueError, match="DistributedDataParallel") as error:
        model.fit(X, Y, verbose=0)
    return str(error.value)


def test_a_model_in_a_wrapper_that_keeps_all_weights_is_refused(two):
    assert all("Give compile() the model within it" in text for text in two.run(_wrapped))


def test_in_one_process_the_settings_change_nothing():
    options, fit_options = FITS["adam"]
    check_same([trained({**options, "distribution": FullyShard()}, fit_options)], trained(options, fit_options))
