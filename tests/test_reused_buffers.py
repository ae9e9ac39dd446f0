"""Batches whose memory is used again: what is kept of them stays as it was."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, mean_absolute_error
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import kerastorch as kt

SIZE = 10
X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
LABELS = (X[:, 0] > 0).long()


def refilled(tensors):
    """The batches of `tensors`, all of which lie in the same memory."""
    buffers = [torch.empty_like(one[:SIZE]) for one in tensors]
    for start in range(0, len(tensors[0]), SIZE):
        for buffer, one in zip(buffers, tensors, strict=True):
            buffer.copy_(one[start : start + SIZE])
        yield tuple(buffers)


class Refilled(IterableDataset):
    def __init__(self, *tensors, make=lambda *parts: parts):
        self.tensors, self.make = tensors, make

    def __iter__(self):
        return (self.make(*parts) for parts in refilled(self.tensors))


class Collate:
    """Puts every batch into the same two tensors."""

    def __init__(self):
        self.x, self.y = torch.empty(SIZE, 3), torch.empty(SIZE, dtype=torch.int64)

    def __call__(self, rows):
        torch.stack([x for x, _ in rows], out=self.x)
        self.y.copy_(torch.stack([y for _, y in rows]))
        return self.x, self.y


SOURCES = {
    "batch_size=None": lambda: DataLoader(Refilled(X, LABELS), batch_size=None),
    "collate_fn": lambda: DataLoader(list(zip(X, LABELS, strict=True)), batch_size=SIZE, collate_fn=Collate()),
    "numpy": lambda: DataLoader(Refilled(X, LABELS, make=lambda x, y: (x, y.numpy())), batch_size=None),
    "function": lambda: lambda: refilled((X, LABELS)),
    "iterable": lambda: [(x, y) for x, y in zip(X.split(SIZE), LABELS.split(SIZE), strict=True)].__iter__(),
}


def classifier():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


@pytest.mark.parametrize("kind", SOURCES)
def test_metrics_see_the_targets_of_their_own_batch(kind):
    net = classifier()
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(1e-9), "cross_entropy", metrics=["accuracy"])
    wanted = accuracy_score(LABELS, net(X).argmax(1))
    assert model.evaluate(SOURCES[kind](), verbose=0)[1] == pytest.approx(wanted)
    history = model.fit(SOURCES[kind](), validation_data=SOURCES[kind](), validation_steps=6, verbose=0).history
    assert history["accuracy"][0] == pytest.approx(wanted)
    assert history["val_accuracy"][0] == pytest.approx(wanted)


@pytest.mark.parametrize("pack", [tuple, list, lambda parts: dict(zip("ab", parts, strict=True))])
def test_targets_of_several_outputs_are_those_of_their_own_batch(pack):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return pack([self.a(x), self.b(x)])

    net = Two()
    names = ("a", "b") if isinstance(net(X), dict) else ("output_0", "output_1")
    model = kt.Model(net)
    each = {name: ["accuracy"] for name in names}
    losses = ["cross_entropy"] * 2 if names[0] != "a" else dict.fromkeys(names, "cross_entropy")
    model.compile("sgd", losses, metrics=each if names[0] == "a" else [["accuracy"]] * 2)
    data = DataLoader(Refilled(X, LABELS, 1 - LABELS, make=lambda x, a, b: (x, pack([a, b]))), batch_size=None)
    found = model.evaluate(data, verbose=0, return_dict=True)
    assert found[f"{names[0]}_accuracy"] == pytest.approx(accuracy_score(LABELS, net.a(X).argmax(1)))
    assert found[f"{names[1]}_accuracy"] == pytest.approx(accuracy_score(1 - LABELS, net.b(X).argmax(1)))


class Buffered(nn.Module):
    """Gives every output in the same memory while it does not learn."""

    def __init__(self):
        super().__init__()
        self.register_buffer("out", torch.empty(SIZE, 3))

    def forward(self, x):
        return self.out.copy_(x)


@pytest.mark.parametrize("net", [nn.Identity(), nn.Flatten(), Buffered()], ids=lambda net: type(net).__name__)
def test_outputs_that_lie_in_memory_used_again_are_those_of_their_own_batch(net):
    y = X + torch.randn(60, 3, generator=torch.Generator().manual_seed(1)) * torch.arange(60)[:, None]
    model = kt.Model(net)
    model.compile("sgd", "mse", metrics=["mae"])
    loader = DataLoader(Refilled(X, y), batch_size=None)
    assert model.evaluate(loader, verbose=0)[1] == pytest.approx(mean_absolute_error(y, X), rel=1e-5)
    np.testing.assert_array_equal(model.predict(loader, verbose=0), X.numpy())
    np.testing.assert_array_equal(model.predict(lambda: refilled((X, y)), verbose=0), X.numpy())


def test_weights_in_memory_used_again_weigh_their_own_rows():
    y, weight = X @ torch.tensor([[3.0], [0.0], [1.0]]), torch.rand(60, generator=torch.Generator().manual_seed(2))
    net = nn.Linear(3, 1)
    model = kt.Model(net)
    for reduction, wanted in (
        ("sum_over_batch_size", ((net(X) - y)[:, 0] ** 2 * weight).mean()),
        ("mean_with_sample_weight", ((net(X) - y)[:, 0] ** 2 * weight).sum() / weight.sum()),
    ):
        model.compile("sgd", kt.losses.MeanSquaredError(reduction=reduction))
        found = model.evaluate(DataLoader(Refilled(X, y, weight), batch_size=None), verbose=0)
        assert found == pytest.approx(wanted.item(), rel=1e-5)


def test_steps_that_run_together_each_see_their_own_batch():
    """Eight batches are drawn before the first of them is used."""

    def trained(data, **how):
        torch.manual_seed(0)
        model = kt.Model(nn.Linear(3, 1))
        model.compile(kt.optimizers.SGD(0.1), "mse", jit_compile=True, steps_per_execution=2)
        model.fit(data, epochs=4, verbose=0, **how)
        return next(model.parameters()).detach()

    y = X @ torch.tensor([[3.0], [0.0], [1.0]])
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(4):
        for rows, wanted in zip(X.split(SIZE), y.split(SIZE), strict=True):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(rows), wanted).backward()
            optimizer.step()
    torch.testing.assert_close(trained(DataLoader(Refilled(X, y), batch_size=None)), net.weight, rtol=1e-5, atol=1e-6)


SCRIPT = """
    import resource
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
    import kerastorch as kt

    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    x = torch.randn(400, 3)
    y = (x[:, 0] > 0).long()
    class Rows(Dataset):
        def __len__(self):
            return len(x)

        def __getitem__(self, index):
            return x[index], {target}

    if __name__ == "__main__":
        loader = DataLoader(Rows(), batch_size=2, num_workers=2)
        model = kt.Model({model})
        model.compile("sgd", {loss}, metrics=["{metric}"])
        model.fit(loader, validation_data=loader, verbose=0)
        model.evaluate(loader, verbose=0)
        print(len(model.predict(loader, verbose=0)))
"""


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(
            {"target": "y[index]", "model": "nn.Linear(3, 2)", "loss": "'cross_entropy'", "metric": "accuracy"},
            id="classes", marks=pytest.mark.slow,
        ),
        pytest.param(
            {
                "target": "x[index]", "model": "nn.Sequential(nn.Linear(3, 3), nn.Flatten())", "loss": "'mse'",
                "metric": "mae",
            },
            id="values",
        ),
    ],
)  # fmt: skip
def test_workers_files_are_let_go(given):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT).format(**given)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "400\n", done.stderr[-2000:]
