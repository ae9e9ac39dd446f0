"""`class_weight` is the same as `sample_weight` with the weight of each row's class, bit for bit."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import kerastorch as kt

N = 24
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
LABELS = (torch.arange(N) * 7) % 3
TABLE = np.array([1 / 3, 1.7, 5.0])
WEIGHTS = dict(enumerate(TABLE.tolist()))
ROWS = TABLE[LABELS.numpy()]


class Rows(Dataset):
    """Rows whose targets are in memory, under the name that torchvision uses."""

    def __init__(self, x, y):
        self.x, self.y, self.targets = x, y, y.tolist()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def net(outputs=3, last=()):
    kt.utils.set_random_seed(0)
    return nn.Sequential(nn.Linear(4, outputs), *last)


def weights_after(module, loss, data, compiled=False, dtype=None, **arguments):
    model = kt.Model(module if dtype is None else module.to(dtype))
    model.compile(kt.optimizers.SGD(0.1), loss, jit_compile=compiled)
    history = model.fit(*data, epochs=2, verbose=0, **arguments).history
    return [*history["loss"], *(p.detach().clone() for p in module.parameters())]


def assert_same_bits(first, second):
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(first, second, strict=True))


def assert_different(first, second):
    assert not torch.equal(first[1 + 1], second[1 + 1])


LOSSES = {
    "logits of torch": ("cross_entropy", (), lambda y: y),
    "a weighted loss of torch": (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5])), (), lambda y: y),
    "a sum": (nn.CrossEntropyLoss(reduction="sum"), (), lambda y: y),
    "sparse": ("sparse_categorical_crossentropy", (nn.Softmax(1),), lambda y: y),
    "columns": ("sparse_categorical_crossentropy", (nn.Softmax(1),), lambda y: y[:, None]),
    "floats": ("sparse_categorical_crossentropy", (nn.Softmax(1),), lambda y: y.float()),
    "one-hot": ("categorical_crossentropy", (nn.Softmax(1),), lambda y: F.one_hot(y, 3).float()),
    "one-hot integers": ("categorical_crossentropy", (nn.Softmax(1),), lambda y: F.one_hot(y, 3)),
    "over the weights": (
        kt.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"), (), lambda y: y,
    ),
    "summed": (kt.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"), (), lambda y: y),
}  # fmt: skip
DATA = {
    "arrays": lambda x, y, w: ((x, y), {"batch_size": 7, "sample_weight": w}),
    "loader": lambda x, y, w: (
        (DataLoader(TensorDataset(x, y) if w is None else TensorDataset(x, y, torch.from_numpy(w)), 7),), {},
    ),
    "generator": lambda x, y, w: (
        (lambda: zip(x.split(7), y.split(7), *([] if w is None else [torch.from_numpy(w).split(7)]), strict=True),), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", LOSSES)
def test_class_weights_are_the_sample_weights_of_the_classes_to_the_bit(name, kind):
    loss, last, targets = LOSSES[name]
    results = []
    for weight, more in ((None, {"class_weight": WEIGHTS}), (ROWS, {}), (None, {})):
        data, arguments = DATA[kind](X, targets(LABELS), weight)
        results.append(weights_after(net(3, last), loss, data, **arguments, **more))
    assert_same_bits(results[0], results[1])
    assert_different(results[0], results[2])


@pytest.mark.parametrize("name", ["sparse", "one-hot"])
def test_compiled_steps_take_class_weights_to_the_bit(name):
    loss, last, targets = LOSSES[name]
    data = (X, targets(LABELS))
    first, second = (
        weights_after(net(3, last), loss, data, True, batch_size=6, **more)
        for more in ({"class_weight": WEIGHTS}, {"sample_weight": ROWS})
    )
    assert_same_bits(first, second)


def test_weights_are_as_precise_as_the_model():
    first, second = (
        weights_after(net(), "cross_entropy", (X.double(), LABELS), dtype=torch.float64, **more)
        for more in ({"class_weight": WEIGHTS}, {"sample_weight": ROWS})
    )
    assert_same_bits(first, second)


@pytest.mark.parametrize("given", [{1: 3.0}, [1.0, 3.0, 1.0], np.array([1.0, 3.0, 1.0]), {1.0: 3.0, 7: 9.0}])
def test_classes_that_are_left_out_have_the_weight_one(given):
    rows = np.where(LABELS.numpy() == 1, 3.0, 1.0)
    first, second = (
        weights_after(net(), "cross_entropy", (X, LABELS), **more)
        for more in ({"class_weight": given}, {"sample_weight": rows})
    )
    assert_same_bits(first, second)


def test_labels_of_minus_one_and_one_have_weights():
    y = (LABELS > 0).float() * 2 - 1
    first, second = (
        weights_after(net(1), "hinge", (X, y), **more)
        for more in ({"class_weight": {-1: 0.25, 1: 4.0}}, {"sample_weight": np.where(y == 1, 4.0, 0.25)})
    )
    assert_same_bits(first, second)


@pytest.mark.parametrize("make", [lambda x, y: (x, y), lambda x, y: (TensorDataset(x, y),), lambda x, y: (Rows(x, y),)])
def test_balanced_weights_are_those_of_scikit_learn(make):
    y = LABELS.clone()
    y[3:14] = 0
    table = compute_class_weight("balanced", classes=np.arange(3), y=y.numpy())
    first, second = (
        weights_after(net(), "cross_entropy", make(X, y), shuffle=False, class_weight=given)
        for given in ("balanced", dict(enumerate(table)))
    )
    assert_same_bits(first, second)


def test_balanced_weights_count_the_rows_that_train():
    y = LABELS.clone()
    y[12:] = 0
    table = compute_class_weight("balanced", classes=np.arange(3), y=y[:12].numpy())
    found = []
    for given in ("balanced", dict(enumerate(table))):
        with pytest.warns(UserWarning, match="the data seems sorted"):
            found.append(
                weights_after(net(), "cross_entropy", (X, y), class_weight=given, validation_split=0.5, shuffle=False)
            )
    assert_same_bits(*found)


def test_balanced_weights_of_one_hot_targets_are_those_of_their_classes():
    y = F.one_hot(LABELS[torch.tensor([0, 1, 2, *[0] * (N - 3)])], 3).float()
    labels = y.argmax(1).numpy()
    table = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    given = dict(zip(np.unique(labels).tolist(), table, strict=True))
    first, second = (
        weights_after(net(3, (nn.Softmax(1),)), "categorical_crossentropy", (X, y), class_weight=one)
        for one in ("balanced", given)
    )
    assert_same_bits(first, second)


def test_balanced_weights_of_batches_are_refused_with_what_to_do():
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    with pytest.raises(ValueError, match=r"class_weight='balanced' needs all targets in memory, which a DataLoader"):
        model.fit(DataLoader(TensorDataset(X, LABELS), 8), class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="which a generator does not show"):
        model.fit(iter([(X, LABELS)]), class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="counts the classes of all training rows, of which train_on_batch knows one"):
        model.train_on_batch(X, LABELS, class_weight="balanced")


@pytest.mark.parametrize("weight", [ROWS[::-1].copy(), ROWS[::-1].copy()[:, None]])
def test_class_weights_are_multiplied_with_sample_weights(weight):
    first, second = (
        weights_after(net(), "cross_entropy", (X, LABELS), **more)
        for more in ({"class_weight": WEIGHTS, "sample_weight": weight}, {"sample_weight": ROWS * weight.ravel()})
    )
    assert_same_bits(first, second)
    loader = DataLoader(TensorDataset(X, LABELS, torch.from_numpy(weight)), N)
    third = weights_after(net(), "cross_entropy", (loader,), class_weight=WEIGHTS)
    fourth = weights_after(
        net(), "cross_entropy", (X, LABELS), batch_size=N, shuffle=False, sample_weight=ROWS * weight.ravel()
    )
    assert_same_bits(third, fourth)


class Pixels(nn.Module):
    def __init__(self):
        super().__init__()
        kt.utils.set_random_seed(0)
        self.layer = nn.Conv2d(2, 3, 1)

    def forward(self, x):
        return self.layer(x)


IMAGES = torch.randn(6, 2, 4, 5, generator=torch.Generator().manual_seed(1))
MASKS = torch.randint(0, 3, (6, 4, 5), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 1, 4, 5)])
def test_images_of_class_numbers_have_a_weight_for_each_pixel(shape):
    module = Pixels()
    model = kt.Model(module)
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy")
    wanted = (
        (F.cross_entropy(module(IMAGES), MASKS, reduction="none") * torch.tensor(TABLE)[MASKS].float()).mean().item()
    )
    found = model.fit(IMAGES, MASKS.reshape(shape), batch_size=6, class_weight=WEIGHTS, verbose=0).history["loss"]
    assert found == pytest.approx([wanted], rel=1e-5)
    first, second = (
        weights_after(Pixels(), "cross_entropy", (IMAGES, MASKS), batch_size=2, **more)
        for more in ({"class_weight": WEIGHTS}, {"sample_weight": TABLE[MASKS.numpy()]})
    )
    assert_same_bits(first, second)


@pytest.mark.parametrize("channels_first", [True, False])
def test_one_hot_images_have_a_weight_for_each_pixel(channels_first):
    y = F.one_hot(MASKS, 3).float()
    axis = 1 if channels_first else -1
    module = Pixels()
    model = kt.Sequential(
        [module, nn.Softmax(1)] if channels_first else [module, kt.layers.Permute((2, 3, 1)), nn.Softmax(-1)]
    )
    model.compile(kt.optimizers.SGD(0.1), kt.losses.CategoricalCrossentropy(axis=axis))
    wanted = (F.cross_entropy(module(IMAGES), MASKS, reduction="none") * torch.tensor(TABLE)[MASKS].float()).mean()
    y = y.movedim(-1, 1) if channels_first else y
    found = model.fit(IMAGES, y, batch_size=6, class_weight=WEIGHTS, verbose=0).history["loss"]
    assert found == pytest.approx([wanted.item()], rel=1e-4)


def test_sequences_of_class_numbers_have_a_weight_for_each_step():
    x, y = torch.randn(5, 6, 4, generator=torch.Generator().manual_seed(3)), torch.arange(30).reshape(5, 6) % 3
    module = net(3, (nn.Softmax(-1),))
    model = kt.Model(module)
    model.compile("sgd", "sparse_categorical_crossentropy")
    p = module(x)
    wanted = (-p.gather(-1, y[..., None])[..., 0].log() * torch.tensor(TABLE)[y]).mean().item()
    history = model.fit(x, y, class_weight=WEIGHTS, verbose=0).history
    assert history["loss"] == pytest.approx([wanted], rel=1e-5)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ([1.0, 2.0], ValueError, r"class_weight is a list of 2 weights, which has no entry for class 2 \(classes in y"),
        ("equal", TypeError, "class_weight must be a dict of class number -> weight, a list .* or 'balanced'"),
        ({}, TypeError, "class_weight must be a dict"),
        ({0: -1.0}, ValueError, r"class_weight\[0\] must be a finite number >= 0, got -1.0"),
        ({0: float("nan")}, ValueError, r"class_weight\[0\] must be a finite number >= 0"),
        ({0.5: 1.0}, ValueError, "a class must be an integer, got 0.5"),
        ({True: 1.0}, ValueError, "a class must be an integer, got True"),
        ({"a": {0: 2.0}}, ValueError, r"y has the targets of one output: 'a' is no output. Write class_weight=..."),
        (3.0, TypeError, "class_weight must be a dict"),
    ],
)
def test_other_class_weights_are_refused_in_a_sentence(given, kind, message):
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    for data in ((X, LABELS), (DataLoader(TensorDataset(X, LABELS), 8),)):
        with pytest.raises(kind, match=message):
            model.fit(*data, class_weight=given, verbose=0)
    with pytest.raises(kind, match=message):
        model.train_on_batch(X, LABELS, class_weight=given)


def test_weights_of_classes_that_do_not_occur_are_warned_of():
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy")
    with pytest.warns(UserWarning, match=r"class_weight has no effect: .*\(classes in y: 0, 1, 2\)"):
        model.fit(X, LABELS, class_weight={3: 5.0}, verbose=0)


def test_rows_of_several_classes_are_refused():
    model = kt.Model(net(3, (nn.Sigmoid(),)))
    model.compile("sgd", "binary_crossentropy")
    y = torch.tensor([[1.0, 1.0, 0.0]]).repeat(N, 1)
    for data in ((X, y), (DataLoader(TensorDataset(X, y), 8),)):
        with pytest.raises(ValueError, match=r"class_weight needs one class for each row, y has shape"):
            model.fit(*data, class_weight={0: 2.0}, verbose=0)


def test_a_fit_with_class_weights_resumes_to_the_bit(tmp_path):
    class Stop(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.count = getattr(self, "count", 0) + 1
            if self.count == 4:
                raise KeyboardInterrupt

    def train(folder, callbacks=()):
        module = net()
        model = kt.Model(module)
        model.compile("adam", "cross_entropy")
        saver = kt.callbacks.BackupAndRestore(folder, save_freq=1)
        model.fit(X, LABELS, batch_size=8, epochs=3, verbose=0, class_weight="balanced", callbacks=[*callbacks, saver])
        return [p.detach() for p in module.parameters()]

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", [Stop()])
    assert_same_bits(train(tmp_path / "broken"), whole)


def test_a_class_that_is_text_and_targets_that_are_no_classes_are_explained():
    model = kt.Sequential([kt.Input((4,)), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match="a class must be an integer, got '0'"):
        model.fit(X, LABELS, class_weight={"0": 1.0}, verbose=0)
    for given in ("balanced", {1: 2.0}):
        with pytest.raises(ValueError, match="class_weight is for targets that are classes: y must hold whole"):
            model.fit(X, X[:, :1], class_weight=given, verbose=0)
