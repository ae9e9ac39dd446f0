"""The first axis of inputs need not be a batch: graphs, time-first sequences, and lists of batches or samples."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import kerastorch as kt

RANDOM = torch.Generator().manual_seed(0)
X, EDGES, Y = (
    torch.randn(20, 5, generator=RANDOM),
    torch.randint(0, 20, (2, 60), generator=RANDOM),
    torch.arange(20) % 3,
)


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x, edges):
        source, target = edges
        return self.layer(x.index_add(0, target, x[source]))


class TimeFirst(nn.Module):
    """An attention over the first axis, with a mask over pairs of time steps."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)

    def forward(self, x, mask):
        return self.layer(x, mask)


def make(net, loss="cross_entropy", **options):
    torch.manual_seed(0)
    model = kt.Model(net)
    model.compile(kt.optimizers.SGD(0.1), loss, **options)
    return model


def test_a_graph_as_a_list_of_one_batch_trains_like_a_loop_by_hand():
    model = make(Convolution(), metrics=["accuracy"])
    model.fit([((X, EDGES), Y)], epochs=3, validation_data=[((X, EDGES), Y)], verbose=0)
    net = make(Convolution()).module_viewed
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X, EDGES), Y).backward()
        optimizer.step()
    for one, other in zip(model.parameters(), net.parameters(), strict=True):
        assert torch.equal(one, other)
    np.testing.assert_allclose(model.predict([((X, EDGES),)], verbose=0), net(X, EDGES).detach(), rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch((X, EDGES)), net(X, EDGES).detach(), rtol=1e-5)


def test_arrays_of_different_lengths_name_the_list_of_one_batch():
    for call in (make(Convolution()).fit, make(Convolution()).evaluate):
        with pytest.raises(ValueError, match=r"x\[0\] has 20 samples, x\[1\] has 2\..*pass a list of batches: fit\(\["):
            call((X, EDGES), Y, verbose=0)


def test_summary_plot_and_export_take_a_graph_as_it_was(tmp_path):
    model = make(Convolution())
    model.fit([((X, EDGES), Y)], verbose=0)
    lines = []
    model.summary(print_fn=lines.append)
    assert "(20, 3)" in lines[0]
    assert "Multiply-adds, one call: 300" in lines[0]
    kt.utils.plot_model(model, tmp_path / "model.dot", show_shapes=True)
    assert "(2, 60)" in (tmp_path / "model.dot").read_text()
    model.export(tmp_path / "model.pt2", verbose=False)
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(X, EDGES), model(X, EDGES))


def test_examples_of_export_are_taken_as_given(tmp_path):
    model = make(Convolution())
    model.export(tmp_path / "model.pt2", verbose=False, input_signature=(X, EDGES))
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(X, EDGES), model(X, EDGES))


def test_sizes_are_fixed_with_a_word_if_no_other_first_axis_is_possible(tmp_path):
    steps, mask = torch.randn(6, 4, 8), torch.zeros(6, 6)
    model = make(TimeFirst(), "mse")
    lines = []
    model.summary(input_data=(steps, mask), print_fn=lines.append)
    assert "(6, 4, 8)" in lines[0]
    assert "Sizes: those of the data" in lines[0]
    with pytest.warns(UserWarning, match=r"inputs of these sizes alone: \(6, 4, 8\), \(6, 6\)"):
        model.export(tmp_path / "model.pt2", verbose=False, input_signature=(steps, mask))
    program = torch.export.load(tmp_path / "model.pt2").module()
    torch.testing.assert_close(program(steps, mask), model.eval()(steps, mask), rtol=1e-4, atol=1e-5)


def test_the_batch_size_of_other_examples_still_varies(tmp_path):
    model = make(nn.Linear(5, 3))
    model.export(tmp_path / "model.pt2", verbose=False, input_signature=X)
    program = torch.export.load(tmp_path / "model.pt2").module()
    assert program(X[:7]).shape == (7, 3)


class Cells(nn.Module):
    """Inputs with time first, outputs with the batch first."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x.mean(0))


@pytest.mark.parametrize("loss", [nn.MSELoss(), "mse", lambda y, y_pred: ((y - y_pred) ** 2).mean()])
def test_logged_means_are_weighted_by_the_rows_of_the_targets(loss):
    batches = [(torch.randn(7, 4, 5), torch.randn(4, 3)), (torch.randn(3, 9, 5), torch.randn(9, 3))]
    model = make(Cells(), loss)
    with torch.no_grad():
        errors = torch.cat([((model(x) - y) ** 2).mean(1) for x, y in batches])
    assert model.evaluate(batches, verbose=0) == pytest.approx(errors.mean().item(), rel=1e-5)


class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x)


def test_predictions_of_ragged_batches_are_a_list_of_batches():
    batches = [torch.randn(4, 6, 5), torch.randn(4, 6, 5), torch.randn(3, 9, 5)]
    model = kt.Model(Padded())
    found = model.predict(lambda: batches, verbose=0)
    assert [part.shape for part in found] == [(4, 6, 3), (4, 6, 3), (3, 9, 3)]
    for part, other, x in zip(found, model.predict_iter(lambda: batches), batches, strict=True):
        np.testing.assert_array_equal(part, other)
        np.testing.assert_allclose(part, model(x).detach(), rtol=1e-5)
    equal = model.predict(lambda: batches[:2], verbose=0)
    assert equal.shape == (8, 6, 3)


def test_predictions_of_ragged_batches_of_known_rows_are_a_list_too():
    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return torch.full((5 if index < 4 else 7, 5), float(index))

    found = kt.Model(Padded()).predict(DataLoader(Rows(), batch_size=2), verbose=0)
    assert [part.shape for part in found] == [(2, 5, 3), (2, 5, 3), (2, 7, 3)]


def test_an_array_for_ragged_predictions_is_refused():
    model = kt.Model(Padded())
    with pytest.raises(ValueError, match="the outputs need shape"):
        model.predict(
            lambda: [torch.randn(4, 6, 5), torch.randn(3, 9, 5)], verbose=0, out=np.empty((7, 6, 3), "float32")
        )


class LastStep(nn.Module):
    """A recurrent network with time first, and one output for each sequence."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.LSTM(5, 4), nn.Linear(4, 3)

    def forward(self, x, lengths=None):
        return self.head(self.layer(x)[0][-1])


class Pair(LastStep):
    def forward(self, source, target):
        return self.head(self.layer(source)[0][-1] + self.layer(target)[0][-1])


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (LastStep, X.reshape(5, 4, 5)),
        (LastStep, X.reshape(5, 4, 5).numpy()),
        (Pair, (X.reshape(5, 4, 5), X[:12].reshape(3, 4, 5))),
        (Pair, [X.reshape(5, 4, 5), -X.reshape(5, 4, 5)]),
        (Pair, {"source": X.reshape(5, 4, 5), "target": -X.reshape(5, 4, 5)}),
    ],
)
def test_one_batch_may_have_time_first_in_the_methods_for_a_batch(net, x):
    model, y = make(net()), Y[:4]
    module = net()
    module.load_state_dict(model.state_dict())
    tensors = [torch.as_tensor(one) for one in (x.values() if isinstance(x, dict) else x)]
    inputs = tensors if net is Pair else [torch.as_tensor(x)]
    outputs = module(*inputs)
    loss = nn.functional.cross_entropy(outputs, y)
    np.testing.assert_allclose(model.predict_on_batch(x), outputs.detach(), rtol=1e-5, atol=1e-6)
    assert model.test_on_batch(x, y) == pytest.approx(loss.item(), rel=1e-5)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    loss.backward()
    optimizer.step()
    assert model.train_on_batch(x, y) == pytest.approx(loss.item(), rel=1e-5)
    for one, other in zip(model.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_weights_of_time_first_batches_belong_to_the_rows_of_the_target():
    model, x, y = make(LastStep()), X.reshape(5, 4, 5), Y[:4]
    weight = torch.tensor([0.0, 1.0, 2.0, 1.0])
    losses = nn.functional.cross_entropy(model(x).detach(), y, reduction="none")
    assert model.test_on_batch(x, y, weight) == pytest.approx((losses * weight).mean().item(), rel=1e-5)


def test_rows_that_no_axis_explains_are_refused_in_the_methods_for_a_batch():
    model = make(LastStep())
    for method in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="x has 5 samples, y has 3"):
            method(X.reshape(5, 4, 5), Y[:3])


# Time first in arrays, whose rows are batched


class Reads(nn.Module):
    """A module of torch for sequences behind what `before` does with the inputs."""

    def __init__(self, inner, before=lambda x: x, after=lambda y: y):
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, x):
        x = self.before(x)
        found = self.inner(x, x, x) if isinstance(self.inner, nn.MultiheadAttention) else self.inner(x)
        return self.after(found[0] if isinstance(found, tuple) else found)


class Embedded(nn.Sequential):
    def __init__(self, batch_first):
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
        super().__init__(nn.Embedding(9, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


STEPS = torch.randn(40, 6, 8, generator=RANDOM)
IDS = torch.randint(0, 9, (40, 6), generator=RANDOM)
ROWS_AS_STEPS = {
    "LSTM": (lambda: Reads(nn.LSTM(8, 4)), STEPS, (6, 4)),
    "GRU": (lambda: nn.Sequential(nn.LazyLinear(8), Reads(nn.GRU(8, 4))), STEPS, (6, 4)),
    "RNN": (lambda: Reads(nn.RNN(8, 4), lambda x: x[:, None]), STEPS[:, 0], (1, 4)),
    "MultiheadAttention": (lambda: Reads(nn.MultiheadAttention(8, 2)), STEPS, (6, 8)),
    "MultiheadAttention 'layers.0.self_attn'": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 1, enable_nested_tensor=False),
        STEPS,
        (6, 8),
    ),
    "MultiheadAttention '1.layers.0.self_attn'": (lambda: Embedded(batch_first=False), IDS, (6, 8)),
}


class Items(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


@pytest.mark.parametrize("kind", ROWS_AS_STEPS)
def test_rows_that_would_be_steps_of_the_same_sequences_are_refused(kind):
    make_net, x, shape = ROWS_AS_STEPS[kind]
    y = torch.zeros(len(x), *shape)
    sentence = rf"{kind}.* takes the first axis as time \(batch_first=False\).*batch_first=True.*predict_on_batch"
    model = make(make_net(), "mse")
    calls = [
        lambda: model.fit(x, y, verbose=0),
        lambda: model.fit(x.numpy(), y, verbose=0, validation_split=0.5),
        lambda: model.fit(Items(x, y), verbose=0),
        lambda: model.fit(lambda: [(x, y)], validation_data=(x, y), verbose=0),
        lambda: model.fit(x, y, batch_size=40, verbose=0),  # shuffled
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.predict(x, verbose=0),
        lambda: list(model.predict_iter(x)),
        lambda: model.find_lr(x, y),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=sentence):
            call()


@pytest.mark.parametrize("kind", ROWS_AS_STEPS)
def test_one_batch_with_time_first_is_the_sequence_of_a_call_by_hand(kind):
    make_net, x, _ = ROWS_AS_STEPS[kind]
    model = make(make_net(), "mse")
    found = model.predict_on_batch(x)
    with torch.no_grad():
        outputs = model.eval()(x)
    np.testing.assert_allclose(found, outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(x, batch_size=len(x), verbose=0), outputs, rtol=1e-5, atol=1e-6)
    loader = DataLoader([(x, outputs + 2)], batch_size=None)
    assert model.evaluate(loader, verbose=0) == pytest.approx(4, rel=1e-4)
    assert model.evaluate(x, outputs + 2, batch_size=len(x), verbose=0) == pytest.approx(4, rel=1e-4)
    model.fit(loader, verbose=0)
    model.fit(x, outputs, batch_size=len(x), shuffle=False, verbose=0)


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (lambda: Reads(nn.LSTM(8, 4, batch_first=True)), STEPS),
        (lambda: Reads(nn.LSTM(8, 4), lambda x: x.transpose(0, 1), lambda y: y.transpose(0, 1)), STEPS),
        (lambda: Reads(nn.MultiheadAttention(8, 2, batch_first=True)), STEPS),
        (lambda: Embedded(batch_first=True), IDS),
        (lambda: Reads(nn.GRU(8, 4, batch_first=True), lambda x: x[:, None]), STEPS[:, 0]),
        (lambda: Reads(nn.LSTM(8, 4), lambda x: x.transpose(0, 1), lambda y: y.transpose(0, 1)), STEPS[:6]),
    ],
)
def test_modules_with_the_batch_where_they_expect_it_train_on_arrays(net, x):
    model = make(net(), "mse")
    with torch.no_grad():
        outputs = model.eval()(x)
    np.testing.assert_allclose(model.predict(x, batch_size=7, verbose=0), outputs, rtol=1e-4, atol=1e-5)
    model.fit(x, outputs, verbose=0)
    assert model.evaluate(x, outputs, verbose=0) < 1


def test_rows_that_would_be_the_steps_of_one_sequence_are_refused():
    model = make(Reads(nn.LSTM(8, 4, batch_first=True)), "mse")
    for call in (lambda: model.fit(STEPS[:, 0], torch.zeros(40, 4), verbose=0), lambda: model.predict(STEPS[:, 0])):
        with pytest.raises(ValueError, match=r"LSTM 'inner' of torch takes a tensor with two axes as one sequence"):
            call()
    assert model.predict_on_batch(STEPS[:, 0]).shape == (40, 4)


def test_a_loader_that_stacks_samples_before_a_module_with_time_first_is_warned_about():
    rows = Items(STEPS, torch.zeros(40, 6, 4))
    model = make(Reads(nn.LSTM(8, 4)), "mse")
    for verb in (model.fit, model.evaluate, model.predict):
        with pytest.warns(UserWarning, match=r"DataLoader stacks samples.*batch_first=True.*torch.stack\(samples, 1\)"):
            verb(DataLoader(rows, batch_size=8), verbose=0)

    def put_time_first(samples):
        return tuple(torch.stack(column, 1) for column in zip(*samples, strict=True))

    model.fit(DataLoader(rows, batch_size=8, collate_fn=put_time_first), verbose=0)


def test_a_state_that_a_module_keeps_is_not_changed_by_the_check():
    class Stateful(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.calls, self.state = nn.GRU(8, 4), 0, None

        def forward(self, x):
            self.calls += 1
            found, self.state = self.rnn(x.transpose(0, 1))
            return found.transpose(0, 1)

    net = Stateful()
    make(net, "mse").fit(STEPS, torch.zeros(40, 6, 4), batch_size=20, verbose=0)
    assert net.calls == 2
    assert type(net.state) is torch.Tensor


# Lists of batches, and of samples


def batches_of(size):
    return [(X[at : at + size], Y[at : at + size]) for at in range(0, 20, size)]


@pytest.mark.parametrize("items", [batches_of(5), batches_of(8), [{"input": x, "label": y} for x, y in batches_of(5)]])
@pytest.mark.filterwarnings("ignore:a batch is a dict")
def test_a_list_of_batches_is_read_in_its_order(items):
    model, expected = make(nn.Linear(5, 3)), make(nn.Linear(5, 3))
    model.fit(items, epochs=2, validation_data=items, verbose=0)
    expected.fit(lambda: items, epochs=2, verbose=0)
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other)


class Centred(nn.Module):
    """Its outputs depend on the other rows of the batch, so that stacked batches give another loss."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x, names=None):
        return self.layer(x - x.mean(0))


NAMED = [(x, ["text"] * len(x), y) for x, y in batches_of(8)]


@pytest.mark.parametrize(
    ("items", "prepare"),
    [
        ([((x, names), y) for x, names, y in NAMED], None),
        ([((x, names), y) for x, names, y in NAMED[:2]], None),
        ([{"x": x, "names": names, "y": y} for x, names, y in NAMED], None),
        ([{"names": names, "x": x, "y": y} for x, names, y in NAMED[:2]], None),
        ([(x.numpy(), y.numpy(), names) for x, names, y in NAMED], lambda batch: batch[:2]),
        ([{"x": x, "file": "a.csv", "size": 8, "y": y} for x, _, y in NAMED], lambda batch: (batch["x"], batch["y"])),
        ([(x, y, 8) for x, _, y in NAMED], lambda batch: batch[:2]),
    ],
)
@pytest.mark.filterwarnings("ignore:a batch is a dict", "ignore:forward")
def test_a_list_of_batches_may_hold_texts_and_numbers(items, prepare):
    module = Centred()
    used = [batch for batch, _ in zip(NAMED, items, strict=False)]
    with torch.no_grad():
        outputs = [module(x) for x, _, _ in used]
    losses = [nn.functional.cross_entropy(out, y) for out, (_, _, y) in zip(outputs, used, strict=True)]
    total = sum(float(loss) * len(y) for loss, (_, _, y) in zip(losses, used, strict=True))
    model = make(module, prepare_batch=prepare)
    assert model.evaluate(items, verbose=0) == pytest.approx(total / sum(len(y) for _, _, y in used))
    np.testing.assert_allclose(model.predict(items, verbose=0), torch.cat(outputs), rtol=1e-5, atol=1e-6)


def test_batches_with_a_number_beside_them_are_asked_about_if_they_may_be_samples():
    model = make(Own(), prepare_batch=lambda batch: (batch["values"], batch["target"]))
    with pytest.raises(TypeError, match=r"a list of 4 items, the first \(5, 5\) and \(5,\), which may be batches"):
        model.evaluate([{"values": x, "n": 5, "target": y} for x, y in batches_of(5)], verbose=0)


@pytest.mark.parametrize("count", [5, 7])
def test_a_sample_with_a_number_as_target_stays_a_sample(count):
    ids = torch.randint(0, 9, (6, count))
    items = [{"ids": one, "mask": torch.ones_like(one), "labels": int(one[0]) % 3} for one in ids]

    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(9, 3)

        def forward(self, ids, mask):
            return (self.embed(ids) * mask[..., None]).sum(1)

    module = Bag()
    expected = nn.functional.cross_entropy(module.embed(ids).sum(1), ids[:, 0] % 3)
    with pytest.warns(UserWarning, match="a batch is a dict"):
        assert make(module).evaluate(items, verbose=0) == pytest.approx(expected.item())


class Own(nn.Module):
    """A forward that does not show whether its rows have axes beside that of the features."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, values):
        return self.layer(values)


SAMPLES = list(zip(X, Y, strict=True))


@pytest.mark.parametrize(
    "items",
    [
        SAMPLES,
        [(x.numpy(), int(y)) for x, y in SAMPLES],
        [{"values": x, "label": y} for x, y in SAMPLES],
    ],
)
@pytest.mark.filterwarnings("ignore:a batch is a dict")
def test_a_list_of_samples_trains_as_the_arrays_do(items):
    model, expected = make(Own()), make(Own())
    model.fit(items, epochs=2, batch_size=8, shuffle=False, verbose=0)
    expected.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other)
    assert model.evaluate(items, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))
    np.testing.assert_allclose(model.predict(items, verbose=0), model(X).detach(), rtol=1e-5)


def test_batches_of_different_sizes_can_only_be_batches():
    model, expected = make(Own()), make(Own())
    model.fit(batches_of(8), verbose=0)
    expected.fit(lambda: batches_of(8), verbose=0)
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other)


def test_items_that_may_be_batches_or_samples_are_asked_about():
    question = (
        r"x is a list of 4 items, the first \(5, 5\) and \(5,\).*lambda: batches.*DataLoader\(samples, batch_size=32\)"
    )
    model = make(Own())
    for verb in (model.fit, model.evaluate, model.predict):
        with pytest.raises(TypeError, match=question):
            verb(batches_of(5), verbose=0)


def test_lists_of_arrays_stay_several_inputs():
    a, b = kt.Input(shape=(5,)), kt.Input(shape=(5,))
    model = kt.Model([a, b], kt.layers.Add()([a, b]))
    np.testing.assert_allclose(model.predict([X, X], verbose=0), 2 * X, rtol=1e-6)
