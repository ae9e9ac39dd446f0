"""Inputs reach a model in the dtypes that a loop in plain torch would give them."""

import numpy as np
import pytest
import torch
from support.optional import optional
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

pd = optional("pandas")

N = 24
FLOATS = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
CODES = torch.arange(N) % 5
MASK = FLOATS > 0.3
Y = FLOATS @ torch.tensor([[1.0], [2.0], [0.0], [-1.0]])


class Seen(nn.Module):
    """Remembers the dtypes it was called with."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 1)
        self.seen = []

    def note(self, *inputs):
        self.seen.append(tuple(one.dtype for one in inputs))


class Masked(Seen):
    def forward(self, x, mask):
        self.note(x, mask)
        return self.lin(x.masked_fill(~mask, 0.0))


class OneHot(Seen):
    def __init__(self):
        super().__init__()
        self.codes = nn.Linear(5, 1)

    def forward(self, x, codes):
        self.note(x, codes)
        return self.lin(x) + self.codes(F.one_hot(codes, 5).float())


class Embedded(Seen):
    def __init__(self):
        super().__init__()
        self.rows = nn.Embedding(5, 1)

    def forward(self, x, codes):
        self.note(x, codes)
        return self.lin(x) + self.rows(codes)


class Gathered(Seen):
    """As a layer over a graph: rows are picked by index."""

    def forward(self, x, codes):
        self.note(x, codes)
        return self.lin(x + x[codes])


class Attended(Seen):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(1, 1, batch_first=True)

    def forward(self, x, mask):
        self.note(x, mask)
        steps = x[..., None]
        return self.lin(self.attention(steps, steps, steps, key_padding_mask=mask, need_weights=False)[0][..., 0])


CASES = {
    "~mask": (Masked, MASK),
    "one_hot": (OneHot, CODES),
    "embedding": (Embedded, CODES),
    "index": (Gathered, CODES),
    "attention": (Attended, MASK & (torch.arange(4) > 0)),
}
CONTAINERS = {
    "arrays": lambda x, other, y: {"x": (x.numpy(), other.numpy()), "y": y.numpy(), "batch_size": N},
    "dict": lambda x, other, y: {"x": {"x": x, "other": other}, "y": y, "batch_size": N},
    "Dataset": lambda x, other, y: {"x": Pairs(x, other, y), "batch_size": N},
    "DataLoader": lambda x, other, y: {"x": DataLoader(Pairs(x, other, y), batch_size=N)},
    "function": lambda x, other, y: {"x": lambda: iter([((x, other), y)])},
    "numpy function": lambda x, other, y: {"x": lambda: iter([((x.numpy(), other.numpy()), y.numpy())])},
}  # fmt: skip


class Pairs(torch.utils.data.Dataset):
    def __init__(self, x, other, y):
        self.parts = x, other, y

    def __len__(self):
        return len(self.parts[0])

    def __getitem__(self, index):
        x, other, y = (part[index] for part in self.parts)
        return (x, other), y


def by_hand(make, other):
    torch.manual_seed(0)
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        F.mse_loss(net(FLOATS, other), Y).backward()
        optimizer.step()
    return net


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", CASES)
def test_several_inputs_train_as_in_a_loop_of_torch(case, container):
    make, other = CASES[case]
    torch.manual_seed(0)
    net = make()
    given = CONTAINERS[container](FLOATS, other, Y)
    if container == "dict":
        given["x"] = dict(zip(("x", "mask" if other.dtype == torch.bool else "codes"), (FLOATS, other), strict=True))
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.1), "mse")
    model.fit(**given, epochs=2, shuffle=False, verbose=0)
    wanted = by_hand(make, other)
    torch.testing.assert_close(dict(net.named_parameters()), dict(wanted.named_parameters()))
    with torch.no_grad():
        expected = wanted.eval()(FLOATS, other)
    x = given["x"]
    np.testing.assert_allclose(model.predict(x, batch_size=given.get("batch_size"), verbose=0), expected, atol=1e-5)
    loss = F.mse_loss(expected, Y).item()
    assert model.evaluate(x, given.get("y"), batch_size=given.get("batch_size"), verbose=0) == pytest.approx(loss, 1e-4)
    assert set(net.seen) == {(torch.float32, other.dtype)}


def test_train_on_batch_and_test_on_batch_give_the_dtypes_of_fit():
    net = Masked()
    model = kt.Model(net)
    model.compile("sgd", "mse")
    model.train_on_batch((FLOATS, MASK), Y)
    model.test_on_batch((FLOATS.numpy(), MASK.numpy()), Y)
    model.predict_on_batch((FLOATS, MASK))
    assert set(net.seen) == {(torch.float32, torch.bool)}


INTEGERS = {
    "uint8": lambda x: x.numpy().astype("uint8"), "int64": lambda x: x.numpy(), "lists": lambda x: x.tolist(),
    "bool": lambda x: x.numpy() > 3, "pandas": lambda x: pd.DataFrame(x.numpy()), "tensor": lambda x: x,
    "int16": lambda x: x.numpy().astype("int16"),
}  # fmt: skip


class Own(kt.Model):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 1)

    def forward(self, x):
        return self.lin(x)


class OwnNotBuilt(kt.Model):
    def __init__(self):
        super().__init__()
        self.dense = kt.layers.Dense(1)

    def forward(self, x):
        return self.dense(x)


def functional():
    x = kt.Input((6,))
    return kt.Model(x, kt.layers.Dense(1)(x))


MODELS = {
    "view": lambda: kt.Model(nn.Linear(6, 1)),
    "chain": lambda: kt.Sequential([kt.layers.Dropout(0.1), kt.layers.Dense(1)]),
    "with Input": lambda: kt.Sequential([kt.Input((6,)), kt.layers.Lambda(lambda x: x), kt.layers.Dense(1)]),
    "torch chain": lambda: kt.Model(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(6), nn.Linear(6, 1))),
    "own forward": Own,
    "own forward, not built": OwnNotBuilt,
    "functional": functional,
}


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("name", MODELS)
def test_whole_numbers_become_floats_for_layers_that_need_floats(name, kind):
    numbers = torch.arange(60).reshape(10, 6) % 7
    x, y = INTEGERS[kind](numbers), torch.ones(10, 1)
    floats = np.asarray(x).astype("float32")
    found = []
    for one in (x, floats):
        kt.utils.set_random_seed(0)
        model = MODELS[name]()
        model.compile("sgd", "mse")
        model.fit(one, y, epochs=2, batch_size=5, verbose=0)
        model.train_on_batch(one, y)
        found.append([*model.get_weights(), model.predict(one, verbose=0), model.evaluate(one, y, verbose=0)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("wrap", [lambda loader: loader, lambda loader: lambda: iter(loader)])
def test_images_of_bytes_out_of_a_loader_become_floats_for_a_convolution(wrap):
    images = torch.arange(4 * 3 * 8 * 8).reshape(4, 3, 8, 8).to(torch.uint8)
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.LazyLinear(1))
    net(images.float())
    found = kt.Model(net).predict(wrap(DataLoader(TensorDataset(images), batch_size=2)), verbose=0)
    np.testing.assert_allclose(found, net(images.float()).detach(), rtol=1e-4, atol=1e-4)


class Branches(nn.Module):
    """Floats are used last, in the order of layers; codes come as small integers, counts as integers."""

    def __init__(self):
        super().__init__()
        self.counts = nn.Linear(3, 1)
        self.codes = nn.Embedding(5, 1)
        self.lin = nn.Linear(4, 1)

    def forward(self, counts, codes, x):
        return self.counts(counts) + self.codes(codes) + self.lin(x)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.int16])
def test_each_of_several_inputs_of_integers_is_decided_by_itself(dtype):
    net = Branches()
    counts, codes = torch.arange(3 * N).reshape(N, 3) % 9, CODES
    found = kt.Model(net).predict((counts.to(dtype), codes.to(dtype), FLOATS.double()), verbose=0)
    np.testing.assert_allclose(found, net(counts.float(), codes, FLOATS).detach(), rtol=1e-5, atol=1e-5)


def test_a_functional_model_takes_each_input_in_the_dtype_of_its_symbol():
    numbers, codes = kt.Input((3,), name="numbers"), kt.Input((2,), dtype="int64", name="codes")
    flags = kt.Input((3,), dtype="bool", name="flags")
    rows = kt.layers.Flatten()(kt.layers.Embedding(5, 2)(codes))
    kept = numbers.masked_fill(~flags, 0.0)
    model = kt.Model([numbers, codes, flags], kt.layers.Dense(1)(kt.layers.Concatenate()([kept, rows])))
    a, b = np.arange(12).reshape(4, 3), np.arange(8).reshape(4, 2) % 5
    on = a % 2 == 0
    wanted = model(torch.tensor(a).float(), torch.tensor(b), torch.tensor(on)).detach()
    np.testing.assert_allclose(model.predict([a, b, on], verbose=0), wanted)
    given = {"codes": b.astype("int16"), "flags": on, "numbers": a.astype("uint8")}
    np.testing.assert_allclose(model.predict(given, verbose=0), wanted)


def test_an_input_declared_as_integers_in_front_of_a_chain_stays_so():
    seen = []

    def hot(codes):
        seen.append(codes.dtype)
        return F.one_hot(codes, 5).float()

    model = kt.Sequential([kt.Input((), dtype="int64"), kt.layers.Lambda(hot), kt.layers.Dense(1)])
    model.predict(CODES, verbose=0)
    assert set(seen) == {torch.int64}


def test_a_chain_that_begins_with_a_function_is_given_what_that_takes():
    one_hot = kt.Sequential([kt.layers.Lambda(lambda codes: F.one_hot(codes, 5).float()), kt.layers.Dense(1)])
    assert one_hot.predict(CODES.numpy(), verbose=0).shape == (N, 1)
    scaled = kt.Sequential([kt.layers.Lambda(lambda x: x / 255), kt.layers.Dense(1)])
    pixels = torch.arange(60).reshape(10, 6).to(torch.uint8)
    found = scaled.predict(pixels, verbose=0)
    np.testing.assert_allclose(found, scaled(pixels.float()).detach(), rtol=1e-5)


def test_arithmetic_that_overflows_in_the_integers_given_is_told():
    centred = kt.Sequential([kt.layers.Lambda(lambda x: (x - 100) / 100.0), kt.layers.Dense(1)])
    pixels = torch.arange(60).reshape(10, 6).to(torch.uint8)
    with pytest.warns(UserWarning, match=r"x is uint8 .* overflows.*x\.astype\('float32'\)"):
        centred.predict(pixels, verbose=0)


def test_the_dtypes_are_found_on_a_copy_and_once():
    class Counts(Seen):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            self.note(x)
            return self.lin(x + torch.rand(()))

    net = Counts()
    model = kt.Model(net)
    x = np.arange(8).reshape(2, 4)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    drawn = torch.rand(())
    torch.set_rng_state(state)
    for calls in (1, 2):
        model.predict(x, verbose=0)
        assert net.calls == calls
    torch.set_rng_state(state)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), net.lin(torch.tensor(x).float() + drawn).detach(), rtol=1e-5
    )
    assert set(net.seen) == {(torch.int64,)}  # an integer and a float make a float


def test_a_step_of_ones_own_without_a_forward_is_given_floats_where_a_layer_needs_them():
    class Twice(kt.Model):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 1)

        def train_step(self, batch):
            loss = (self.lin(batch.x) - batch.y).square().mean()
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    model = Twice()
    model.compile("sgd", "mse")
    model.fit(np.arange(4 * N).reshape(N, 4) % 3, Y, verbose=0)


@pytest.mark.parametrize("embedding", [nn.Embedding, kt.layers.Embedding])
def test_an_embedding_of_positions_beside_floats_leaves_the_floats_alone(embedding):
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = embedding(4, 1)
            self.lin = nn.Linear(4, 1)

        def forward(self, x):
            return self.lin(x + self.positions(torch.arange(4))[:, 0])

    net = Positions()
    net(FLOATS)
    for x in (FLOATS.double(), FLOATS.round(), CODES[:, None].expand(N, 4)):
        found = kt.Model(net).predict(x, verbose=0)
        np.testing.assert_allclose(found, net(x.float()).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("embedding", [nn.Embedding, kt.layers.Embedding])
def test_whole_floats_are_looked_up_in_a_forward_of_ones_own(embedding):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(2, 1)
            self.rows = embedding(2**24 + 10, 2)

        def forward(self, codes):
            return self.lin(self.rows(codes))

    net = Words()
    codes = torch.tensor([0, 2**24 + 1, 3])  # the second is no float32
    expected = net(codes).detach()
    for dtype in (torch.float64, torch.int64, torch.int32):
        np.testing.assert_allclose(kt.Model(net).predict(codes.to(dtype), verbose=0), expected)
    few = codes[[0, 2]]
    for dtype in (torch.float32, torch.uint8, torch.int16):
        np.testing.assert_allclose(kt.Model(net).predict(few.to(dtype), verbose=0), expected[[0, 2]])


def test_numbers_that_are_not_whole_are_refused_before_an_embedding_of_a_forward_of_ones_own():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = kt.layers.Embedding(5, 2)

        def forward(self, codes):
            return self.rows(codes)

    with pytest.raises(ValueError, match=r"must hold whole numbers, got 0\.5"):
        kt.Model(Words()).predict(torch.tensor([0.5, 1.0]), verbose=0)


def test_inputs_by_name_may_come_in_another_order():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(5, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.table(x["ids"]) + self.head(x["values"])

    net = Named()
    model = kt.Model(net)
    model.compile("sgd", "mse")
    ids, values = torch.arange(10) % 5, torch.arange(30).reshape(10, 3)
    y = torch.zeros(10, 2)
    model.fit({"ids": ids, "values": values}, y, validation_data=({"values": values, "ids": ids}, y), verbose=0)
    expected = net({"ids": ids, "values": values.float()}).detach()
    for x in ({"values": values, "ids": ids}, {"ids": ids, "values": values}):
        torch.testing.assert_close(torch.as_tensor(model.predict(x, verbose=0)), expected)


def test_integers_become_floats_for_a_lazy_batch_norm_beside_an_embedding():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.table, self.out = nn.LazyBatchNorm1d(), nn.Embedding(5, 2), nn.LazyLinear(1)

        def forward(self, values, words):
            return self.out(torch.cat([self.norm(values), self.table(words)], 1))

    values = torch.arange(2 * N).reshape(N, 2)
    model = kt.Model(Two())
    model.compile("sgd", "mse")
    model.fit((values, CODES), Y, verbose=0)
    net = model.module_viewed.eval()
    with torch.no_grad():
        expected = net(values.float(), CODES)
    np.testing.assert_allclose(model.predict((values, CODES), verbose=0), expected, rtol=1e-5)
