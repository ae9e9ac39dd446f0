"""Small problems and hand-written loops that tests compare with."""

import torch
from torch import nn

import kerastorch as kt
from kerastorch.checkpoint import archive_format
from kerastorch.data import permutation


def classification(n=200, features=6, classes=3):
    """Inputs, and class numbers that a linear map of them decides."""
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(n, features, generator=generator)
    y = (x @ torch.randn(features, classes, generator=generator)).argmax(1)
    return x, y


def regression(n=200, features=6):
    """Inputs, and values that a noisy linear map of them gives, `(n, 1)`."""
    generator = torch.Generator().manual_seed(8)
    x = torch.randn(n, features, generator=generator)
    y = x @ torch.randn(features, 1, generator=generator) + 0.1 * torch.randn(n, 1, generator=generator)
    return x, y


def net(features=6, classes=3, dropout=0.3):
    """A small classifier of torch's own layers."""
    return nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, classes))


def hand_loop(module, optimizer, loss_function, x, y, *, epochs, batch_size, seed):
    """What a PyTorch user writes, over the batches that kerastorch takes; the mean loss of each epoch."""
    losses = []
    module.train()
    for epoch in range(epochs):
        total = 0.0
        for rows in permutation(len(x), seed, epoch).split(batch_size):
            optimizer.zero_grad()
            loss = loss_function(module(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
    return losses


def same_weights(a, b):
    """Whether two modules hold the same bits."""
    first, second = list(a.state_dict().values()), list(b.state_dict().values())
    return len(first) == len(second) and all(torch.equal(p, q) for p, q in zip(first, second, strict=True))


class Told(kt.Model):
    """A model whose `val_loss` takes the given values, one an epoch; it saves what it is as torch does."""

    def __init__(self, values, optimizer="sgd"):
        super().__init__()
        self.layer, self.values = nn.Linear(6, 1), iter(values)
        self.compile(optimizer, "mse")

    def forward(self, x):
        return self.layer(x)

    def test_step(self, batch):
        return {"loss": torch.tensor(float(next(self.values)))}

    def save(self, filepath, overwrite=True):
        torch.save(self.state_dict(), filepath)

    def save_weights(self, filepath, overwrite=True):
        self.save(filepath)


def fit_told(model, epochs, callbacks, **given):
    """Fit it: four batches an epoch, one of validation."""
    x, y = regression(32)
    arguments = {"batch_size": 8, "validation_data": (x[:4], y[:4]), "validation_batch_size": 4, "verbose": 0} | given
    return model.fit(x, y, epochs=epochs, callbacks=callbacks, **arguments)


def through_a_file(state, path):
    """What a state is once it was saved and read."""
    archive_format.write(path, {"state": state})
    return archive_format.read(path)["state"]
