"""Batches of WebDataset and TensorDict."""

import io
import json
import tarfile

import pytest
import torch
from support.foreign_classifier import ClassifierCase, perceptron
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import kerastorch as kt

SIZE = 8


@pytest.fixture
def shard(tmp_path):
    """A tar file of samples, as WebDataset reads them."""
    x, y = ClassifierCase().loader(False).dataset.tensors
    with tarfile.open(tmp_path / "samples.tar", "w") as tar:
        for number, (row, label) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
            for ending, value in (("json", json.dumps(row)), ("cls", str(label))):
                entry = tarfile.TarInfo(f"{number:04d}.{ending}")
                entry.size = len(value)
                tar.addfile(entry, io.BytesIO(value.encode()))
    return str(tmp_path / "samples.tar")


def pipeline(wds, shard):
    samples = wds.WebDataset(shard, shardshuffle=False).decode().to_tuple("json", "cls")
    return samples.map_tuple(torch.tensor, torch.tensor)


def trained(fit):
    kt.utils.set_random_seed(1)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))  # without dropout: loaders draw a seed each
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    kt.utils.set_random_seed(2)
    fit(net, optimizer)
    return net


def by_hand(net, optimizer, loader):
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def by_fit(net, optimizer, data, **options):
    model = kt.Model(net)
    model.compile(optimizer, nn.CrossEntropyLoss(), metrics=["accuracy"])
    model.fit(data, epochs=2, verbose=0, **options)


def assert_same_training(loader, data, **options):
    found = trained(lambda net, optimizer: by_fit(net, optimizer, data(), **options))
    expected = trained(lambda net, optimizer: by_hand(net, optimizer, loader()))
    assert all(map(torch.equal, found.parameters(), expected.parameters()))


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # WebDataset leaves the closing of files to Python
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestTarFiles:
    def test_the_samples_of_a_tar_file_train_as_a_loop_over_them(self, shard):
        wds = pytest.importorskip("webdataset")

        def loader():
            return DataLoader(pipeline(wds, shard), SIZE)

        assert_same_training(loader, loader)
        assert_same_training(loader, lambda: pipeline(wds, shard), batch_size=SIZE)

    def test_a_loader_of_webdataset_is_asked_whether_it_yields_batches(self, shard):
        wds = pytest.importorskip("webdataset")

        def loader():
            return wds.WebLoader(pipeline(wds, shard).batched(SIZE), batch_size=None)

        with pytest.raises(
            TypeError, match=r"WebLoader yields .* Pass DataLoader\(dataset, batch_size=None\) if these"
        ):
            trained(lambda net, optimizer: by_fit(net, optimizer, loader()))
        assert_same_training(
            lambda: DataLoader(loader(), batch_size=None), lambda: DataLoader(loader(), batch_size=None)
        )


def features_and_label(batch):
    return batch["x"], batch["y"]


class TestTensorDicts(ClassifierCase):
    compile_args = {**ClassifierCase.compile_args, "prepare_batch": features_and_label}
    needs_compile_to_predict = True

    def make(self):
        return perceptron()

    def loader(self, shuffle):
        tensordict = pytest.importorskip("tensordict")
        x, y = super().loader(False).dataset.tensors
        rows = tensordict.TensorDict({"x": x, "y": y}, batch_size=[len(x)])
        generator = torch.Generator().manual_seed(1)
        return DataLoader(rows, SIZE, shuffle, collate_fn=lambda batch: batch, generator=generator)

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch["x"]), batch["y"])

    def hand_outputs(self, net, batch):
        return net(batch["x"])

    def hand_scores(self, net, batches):
        hits = torch.cat([net(batch["x"]).argmax(1) == batch["y"] for batch in batches])
        return {"accuracy": hits.float().mean().item()}

    def rows(self, batch):
        return len(batch)

    def export_call(self, batch):
        return (batch["x"],), {}
