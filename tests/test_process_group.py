"""Several processes: what is warned of without a group, and what holds with one."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, SequentialSampler, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import kerastorch as kt

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([[3.0], [0.0], [1.0]])


def compiled():
    model = kt.Model(nn.Linear(3, 1))
    model.compile("sgd", "mse")
    return model


def test_processes_without_a_group_are_warned_of(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    model = compiled()
    with pytest.warns(UserWarning, match=r"WORLD_SIZE is 2.*torchrun.*on all rows.*init_process_group") as found:
        model.fit(X, Y, epochs=2, validation_split=0.2, verbose=0)
    assert len(found) == 1
    with pytest.warns(UserWarning, match="WORLD_SIZE"):
        model.evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("world", ["1", "", "0"])
def test_one_process_is_not_warned_of(monkeypatch, world):
    monkeypatch.setenv("WORLD_SIZE", world)
    compiled().fit(X, Y, verbose=0)


class Tells:
    """Remembers the epochs it was told of."""

    def set_epoch(self, epoch):
        self.__dict__.setdefault("seen", []).append(epoch)


class Sampler(Tells, RandomSampler):
    pass


class Grouped(Tells, BatchSampler):
    pass


class Stream(Tells, IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


class Loader(Tells, DataLoader):
    pass


ROWS = TensorDataset(X, Y)


def of_sampler():
    sampler = Sampler(ROWS)
    return sampler, DataLoader(ROWS, batch_size=10, sampler=sampler)


def of_batch_sampler():
    batches = Grouped(SequentialSampler(ROWS), 10, False)
    return batches, DataLoader(ROWS, batch_sampler=batches)


def within_batch_sampler():
    sampler = Sampler(ROWS)
    return sampler, DataLoader(ROWS, batch_sampler=BatchSampler(sampler, 10, False))


def of_dataset():
    stream = Stream()
    return stream, DataLoader(stream, batch_size=10)


def of_dataset_alone():
    stream = Stream()
    return stream, stream


def of_loader():
    loader = Loader(ROWS, batch_size=10)
    return loader, loader


MAKERS = [of_sampler, of_batch_sampler, within_batch_sampler, of_dataset, of_dataset_alone, of_loader]


@pytest.mark.parametrize("make", MAKERS)
def test_who_has_set_epoch_is_told_each_epoch_and_nothing_by_evaluation(make):
    told, data = make()
    model = compiled()
    model.fit(data, epochs=3, validation_data=data, verbose=0)
    assert told.seen == [0, 1, 2]
    model.fit(data, verbose=0)  # the fourth since compile
    model.evaluate(data, verbose=0)
    assert told.seen == [0, 1, 2, 3]


def test_each_pass_of_steps_per_epoch_has_a_number_of_its_own():
    told, data = of_sampler()
    compiled().fit(data, epochs=4, steps_per_epoch=2, verbose=0)  # two passes
    assert len(told.seen) == 2
    assert told.seen == sorted(set(told.seen))


def test_a_resumed_training_tells_the_epoch_it_goes_on_with(tmp_path):
    class Stop(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    told, data = of_sampler()
    with pytest.raises(KeyboardInterrupt):
        compiled().fit(data, epochs=4, verbose=0, callbacks=Stop(), resume=tmp_path / "kept")
    assert told.seen == [0, 1]
    told, data = of_sampler()
    compiled().fit(data, epochs=4, verbose=0, resume=tmp_path / "kept")
    assert told.seen == [0, 1, 2, 3]  # 0 for the batch that builds a model, before the checkpoint is read


def test_a_distributed_sampler_shuffles_anew_each_epoch():
    drawn = []

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            drawn.append(index)
            return X[index], Y[index]

    sampler = DistributedSampler(Rows(), num_replicas=2, rank=1, seed=5)
    compiled().fit(DataLoader(Rows(), batch_size=10, sampler=sampler), epochs=3, verbose=0)
    wanted = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        wanted += list(sampler)
    assert drawn == wanted


def test_predict_refuses_a_sampler_that_leaves_out_rows():
    sampler = DistributedSampler(ROWS, num_replicas=2, rank=0, shuffle=False)
    for loader in (
        DataLoader(ROWS, batch_size=10, sampler=sampler),
        DataLoader(ROWS, batch_sampler=BatchSampler(sampler, 10, False)),
    ):
        with pytest.raises(ValueError, match="DistributedSampler leaves out the rows of other processes"):
            compiled().predict(loader)
    alone = DistributedSampler(ROWS, num_replicas=1, rank=0, shuffle=True)
    with pytest.raises(ValueError, match="shuffles"):
        compiled().predict(DataLoader(ROWS, batch_size=10, sampler=alone))


SCRIPT = """
    import datetime, json, pathlib, sys
    import torch
    from torch import distributed, nn
    from torch.utils.data import DataLoader, Subset, TensorDataset
    from torch.utils.data.distributed import DistributedSampler
    import kerastorch as kt

    folder, rank = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2,
        timeout=datetime.timedelta(seconds=60),
    )
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    y = (x[:, :1] + 0.5 * torch.randn(64, 1) > 0).float()
    torch.manual_seed(0)
    net = nn.parallel.DistributedDataParallel(
        nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    )
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.1), "bce_with_logits", metrics=["accuracy", "auc"])
    rows = TensorDataset(x, y)
    C = kt.callbacks
    writes = [
        C.ModelCheckpoint(folder / f"weights{rank}.safetensors", save_weights_only=True),
        C.CSVLogger(folder / f"log{rank}.csv"),
    ]
    loader = DataLoader(rows, batch_size=8, sampler=DistributedSampler(rows))
    model.fit(loader, epochs=2, verbose=2, callbacks=writes)
    own = slice(32 * rank, 32 * rank + 32)
    found = {"own": model.evaluate(x[own], y[own], verbose=0), "weights": float(model.get_weights()[0].sum())}
    found["logits"] = model.predict(x[own], verbose=0)[:, 0].tolist()
    found["y"] = y[own, 0].tolist()
    distributed.barrier()
    if rank == 0:  # the other process does nothing meanwhile
        found["alone"] = model.evaluate(x[own], y[own], verbose=0)
        model.evaluate(x[own].numpy() > 0, y[own], verbose=0)
    distributed.barrier()
    print("RESULT", json.dumps(found))
"""


def test_in_a_group_numbers_are_of_the_process_and_files_of_the_first(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = os.environ | {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", str(script), str(tmp_path), str(rank)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        said = [one.communicate(timeout=150) for one in running]
    finally:
        for one in running:
            one.kill()
    assert [one.returncode for one in running] == [0, 0], said[0][1][-3000:] + said[1][1][-3000:]
    found = [json.loads(out.partition("RESULT ")[2]) for out, _ in said]
    assert found[0]["weights"] == pytest.approx(found[1]["weights"])
    from sklearn.metrics import accuracy_score, roc_auc_score

    for one in found:
        y, logits = np.array(one["y"]), np.array(one["logits"])
        loss, accuracy, auc = one["own"]
        assert loss == pytest.approx(np.mean(np.logaddexp(0, logits) - y * logits), rel=1e-4)
        assert accuracy == pytest.approx(accuracy_score(y, logits > 0))
        assert auc == pytest.approx(roc_auc_score(y, logits), abs=1e-6)
    assert found[0]["alone"] == pytest.approx(found[0]["own"])
    assert {path.name for path in tmp_path.iterdir()} & {
        f"{name}" for name in ("weights1.safetensors", "log1.csv")
    } == set()
    assert (tmp_path / "weights0.safetensors").exists()
    assert len((tmp_path / "log0.csv").read_text().splitlines()) == 3
    assert "loss" in said[0][0].partition("RESULT")[0]
    assert said[1][0].partition("RESULT")[0].strip() == ""


def test_a_script_knows_its_rank_before_there_is_a_group(monkeypatch):
    assert (kt.distribution.rank(), kt.distribution.world_size()) == (0, 1)
    for name, value in {"RANK": "2", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert (kt.distribution.rank(), kt.distribution.world_size()) == (2, 4)
    monkeypatch.delenv("MASTER_PORT")  # nothing joins the processes
    assert (kt.distribution.rank(), kt.distribution.world_size()) == (0, 1)
