"""Batches that are or hold objects: graphs, packed sequences, sparse and nested tensors, text beside tensors."""

import collections.abc
import copy

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import kerastorch as kt

X, Y = torch.randn(24, 5, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3
DEVICES = []


class Graph:
    """Nodes, edges and a class for each node, as graph libraries hold them."""

    def __init__(self, x, edges, y=None):
        self.x, self.edges, self.y = x, edges, y

    def __len__(self):
        return 3  # the number of its attributes, as in those libraries

    def __getitem__(self, name):
        return getattr(self, name)

    def to(self, device):
        DEVICES.append(torch.device(device))
        return Graph(*(None if one is None else one.to(device) for one in (self.x, self.edges, self.y)))


def graph(seed, nodes=8):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(nodes, 5, generator=random)
    edges = torch.randint(0, nodes, (2, 3 * nodes), generator=random)
    return Graph(x, edges, torch.randint(0, 3, (nodes,), generator=random))


GRAPHS = [graph(0), graph(1, 12), graph(2, 5)]


class Convolution(nn.Module):
    """A graph convolution, called with a graph."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, data):
        source, target = data.edges
        return self.layer(data.x.index_add(0, target, data.x[source]))


class Separate(Convolution):
    """The same, called with nodes and edges."""

    def forward(self, x, edges):
        source, target = edges
        return self.layer(x.index_add(0, target, x[source]))


def make(net=Convolution, **options):
    torch.manual_seed(0)
    model = kt.Model(net())
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy", **options)
    return model


def hand_loop(epochs=2):
    torch.manual_seed(0)
    net = Convolution()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(epochs):
        for one in GRAPHS:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(one), one.y).backward()
            optimizer.step()
    return net


def assert_same(model, module):
    for one, other in zip(model.parameters(), module.parameters(), strict=True):
        assert torch.equal(one, other)


SAID = r"a batch is a Graph: it is the input as a whole, and its attribute y is taken as the target"


@pytest.mark.parametrize("data", [GRAPHS, lambda: iter(GRAPHS), torch.utils.data.DataLoader(GRAPHS, batch_size=None)])
def test_a_graph_reaches_the_model_as_it_is_and_its_y_is_the_target(data):
    model = make(metrics=["accuracy"])
    with pytest.warns(UserWarning, match=SAID) as caught:
        logs = model.fit(data, epochs=2, validation_data=data, verbose=0).history
    assert len(caught) == 1
    net = hand_loop()
    assert_same(model, net)
    with torch.no_grad():
        losses = [nn.functional.cross_entropy(net(one), one.y, reduction="sum").item() for one in GRAPHS]
        hits = sum((net(one).argmax(1) == one.y).sum().item() for one in GRAPHS)
    assert logs["val_loss"][-1] == pytest.approx(sum(losses) / 25, rel=1e-5)
    assert logs["val_accuracy"][-1] == pytest.approx(hits / 25, rel=1e-5)
    found = model.predict(data, verbose=0)
    np.testing.assert_allclose(found, torch.cat([net(one) for one in GRAPHS]).detach(), rtol=1e-5, atol=1e-6)
    assert [len(part) for part in model.predict_iter(data)] == [8, 12, 5]
    assert set(DEVICES) == {next(model.parameters()).device}


def test_a_single_graph_is_one_batch_in_all_methods():
    model, one = make(), GRAPHS[0]
    with pytest.warns(UserWarning, match=SAID):
        loss = model.evaluate(one, verbose=0)
    with torch.no_grad():
        assert loss == pytest.approx(nn.functional.cross_entropy(model(one), one.y).item(), rel=1e-5)
    assert model.test_on_batch(one) == pytest.approx(loss)
    assert model.train_on_batch(one) == pytest.approx(loss)
    np.testing.assert_array_equal(model.predict_on_batch(one), model.predict(one, verbose=0))
    model.fit(Graph(one.x, one.edges), one.y, verbose=0)


class Plain:
    """The same attributes as those of a graph, without a method `to`."""

    def __init__(self, x, edges, y=None):
        self.x, self.edges, self.y = x, edges, y


PLAIN = [Plain(one.x, one.edges, one.y) for one in GRAPHS]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        tuple(PLAIN),
        lambda: iter(PLAIN),
        torch.utils.data.DataLoader(PLAIN, batch_size=None),
        [(one, one.y) for one in PLAIN],
    ],
)
@pytest.mark.filterwarnings("ignore:a batch is a Plain")
def test_objects_without_a_method_to_reach_the_model_as_they_are(data):
    model = make()
    model.fit(data, epochs=2, validation_data=list(PLAIN), verbose=0)
    net = hand_loop()
    assert_same(model, net)
    with torch.no_grad():
        outputs = torch.cat([net(one) for one in PLAIN])
    expected = nn.functional.cross_entropy(outputs, torch.cat([one.y for one in PLAIN])).item()
    assert model.evaluate(data, verbose=0) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(model.predict(data, verbose=0), outputs, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:a batch is a Plain")
def test_a_single_object_without_a_method_to_is_one_batch_in_all_methods():
    model, one = make(), PLAIN[0]
    expected = model(one).detach()
    loss = nn.functional.cross_entropy(expected, one.y).item()
    assert model.evaluate(one, verbose=0) == pytest.approx(loss, rel=1e-5)
    assert model.test_on_batch(one) == pytest.approx(loss, rel=1e-5)
    for found in (model.predict(one, verbose=0), model.predict_on_batch(one), *model.predict_iter(one)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert model.train_on_batch(one) == pytest.approx(loss, rel=1e-5)
    assert model.train_on_batch(Plain(one.x, one.edges), one.y) < loss
    model.summary(input_data=one, print_fn=lambda line: None)


class Sealed:
    """What a model takes, without attributes that show it."""

    def __init__(self, values):
        self.get = lambda: values


def test_objects_that_show_nothing_are_answered_with_a_function_of_the_batch():
    for data in ([Sealed(X)], Sealed(X)):
        with pytest.raises(TypeError, match=r"Sealed.*prepare_batch=lambda batch: \(batch, batch\.y\)"):
            make().evaluate(data, verbose=0)


def test_attributes_are_the_inputs_of_a_forward_that_requires_several():
    model = make(Separate)
    with pytest.warns(UserWarning, match=r"a batch is a Graph, and forward\(x, edges\) requires several inputs"):
        model.fit(GRAPHS, epochs=2, verbose=0)
    assert_same(model, hand_loop())


def test_a_training_on_graphs_resumed_within_an_epoch_ends_with_the_same_bits(tmp_path):
    def fit(callbacks):
        model = make(prepare_batch=lambda one: (one, one.y))
        model.fit(GRAPHS, epochs=2, callbacks=callbacks, verbose=0)
        return model

    whole, resumed = whole_and_resumed(fit, (1, 1), tmp_path)
    assert_same(whole, resumed)
    assert_same(whole, hand_loop())


def test_masks_are_left_to_a_function_of_the_batch():
    weight = torch.tensor([1.0, 0, 1, 0, 1, 1, 0, 0])
    model, one = make(prepare_batch=lambda data: (data, data.y, weight)), GRAPHS[0]
    with torch.no_grad():
        losses = nn.functional.cross_entropy(model(one), one.y, reduction="none")
    assert model.evaluate(one, verbose=0) == pytest.approx((losses * weight).sum().item() / 8, rel=1e-5)


def test_a_step_of_the_users_own_gets_the_object_of_the_loader():
    seen = []

    class Own(kt.Model):
        def train_step(self, data):
            seen.append(type(data))
            loss = nn.functional.cross_entropy(self(data), data.y)
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    torch.manual_seed(0)
    model = Own(Convolution())
    model.compile(kt.optimizers.SGD(0.1))
    model.fit(GRAPHS, epochs=2, verbose=0)
    assert seen == [Graph] * 6
    assert_same(model, hand_loop())


def test_a_model_that_writes_into_its_object_does_not_change_the_batch_while_it_is_built():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.LazyLinear(3)

        def forward(self, data):
            data.x = data.x + 1
            return self.layer(data.x)

    model = kt.Model(Lazy())
    model.compile("sgd", "cross_entropy", prepare_batch=lambda one: (one, one.y))
    one = graph(0)
    model.fit(lambda: iter([copy.copy(one)]), verbose=0)
    expected = model.module_viewed.layer(one.x + 1)
    np.testing.assert_allclose(model.predict(lambda: iter([copy.copy(one)]), verbose=0), expected.detach(), rtol=1e-5)


def test_summary_plot_and_file_know_a_model_of_graphs(tmp_path):
    model = make(prepare_batch=None)
    lines = []
    model.summary(input_data=GRAPHS[1], print_fn=lines.append)
    assert "(12, 3)" in lines[0]
    with pytest.warns(UserWarning, match=SAID):
        model.fit(GRAPHS, verbose=0)
    model.summary(print_fn=lines.append)
    assert "(5, 3)" in lines[1]  # of the last batch
    kt.utils.plot_model(model, tmp_path / "model.dot")
    assert "Linear" in (tmp_path / "model.dot").read_text()
    model.save(tmp_path / "model.kt")
    with pytest.raises(kt.errors.ExportError, match="no dense tensor"):
        model.export(tmp_path / "model.pt2")


def test_compiled_steps_go_on_uncompiled_with_the_reason():
    model = make(prepare_batch=lambda one: (one, one.y), jit_compile=True)
    with pytest.warns(UserWarning, match=r"is a Graph, and a graph takes tensors alone"):
        model.fit(GRAPHS, epochs=2, verbose=0)
    assert_same(model, hand_loop())


def test_objects_cannot_be_divided_for_validation_or_balanced():
    model = make()
    with pytest.raises(ValueError, match=r"validation_split needs arrays .*got a list of batches; pass"):
        model.fit(GRAPHS, validation_split=0.5, verbose=0)
    with pytest.raises(ValueError, match="batch_size cannot be given with a list of batches"):
        model.fit(GRAPHS, batch_size=2, verbose=0)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all targets in memory"):
        model.fit(GRAPHS, class_weight="balanced", verbose=0)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.last = nn.GRU(5, 4), nn.Linear(4, 3)

    def forward(self, packed):
        return self.last(self.gru(packed)[1][0])


def test_packed_sequences_are_one_input():
    packed = pack_sequence([X[:6], X[6:10], X[10:12]])
    model = make(Recurrent)
    expected = model(packed).detach()
    loss = nn.functional.cross_entropy(expected, Y[:3]).item()
    assert model.evaluate(lambda: [(packed, Y[:3])], verbose=0) == pytest.approx(loss, rel=1e-5)
    assert model.fit([(packed, Y[:3])], verbose=0).history["loss"][0] == pytest.approx(loss, rel=1e-5)
    assert model.predict(lambda: [packed], verbose=0).shape == (3, 3)


def test_a_packed_sequence_alone_is_one_batch_in_all_methods():
    packed = pack_sequence([X[:6], X[6:10], X[10:12]])
    model = make(Recurrent)
    expected = model(packed).detach()
    loss = nn.functional.cross_entropy(expected, Y[:3]).item()
    assert model.evaluate(packed, Y[:3], verbose=0) == pytest.approx(loss, rel=1e-5)
    assert model.test_on_batch(packed, Y[:3]) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(packed), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(packed, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert model.train_on_batch(packed, Y[:3]) == pytest.approx(loss, rel=1e-5)
    assert model.fit(packed, Y[:3], verbose=0).history["loss"][0] < loss


class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, adjacency, x):
        return torch.sparse.mm(adjacency, self.layer(x))


def test_sparse_tensors_stay_sparse():
    adjacency = (torch.rand(24, 24, generator=torch.Generator().manual_seed(1)) < 0.2).float().to_sparse()
    model = make(Weighted)
    expected = nn.functional.cross_entropy(model(adjacency, X), Y).item()
    assert model.evaluate([((adjacency, X), Y)], verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.fit([((adjacency, X), Y)], verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-5)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, rows):
        return torch.stack([part.mean(0) for part in self.layer(rows).unbind()])


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_stay_nested(layout):
    nested = torch.nested.nested_tensor([X[:6], X[6:10], X[10:12]], layout=layout)
    model = make(Pooled)
    expected = nn.functional.cross_entropy(model(nested), Y[:3]).item()
    assert model.evaluate(lambda: [(nested, Y[:3])], verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.fit(lambda: [(nested, Y[:3])], verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert model.predict(lambda: [nested], verbose=0).shape == (3, 3)


class Described(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(5, 3), []

    def forward(self, x, names, extra, number):
        self.seen.append((names, extra, number))
        return self.layer(x)


def test_text_none_and_numbers_beside_tensors_reach_the_model():
    model = make(Described)
    names = [f"{row}.png" for row in range(24)]
    model.fit(lambda: [((X, names, None, 7), Y)], verbose=0)
    assert model.module_viewed.seen == [(names, None, 7)]
    assert model.predict(lambda: [((X, names, None, 7),)], verbose=0).shape == (24, 3)


class Columns(collections.abc.Mapping):
    """Tensors by name that iterate over their rows, as those of `tensordict` do."""

    def __init__(self, **columns):
        self.columns = columns

    def __getitem__(self, name):
        return self.columns[name]

    def __iter__(self):
        return iter(zip(*self.columns.values(), strict=True))

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __bool__(self):
        raise RuntimeError("not permitted")

    def keys(self):
        return self.columns.keys()

    def values(self):
        return self.columns.values()

    def items(self):
        return self.columns.items()

    def to(self, device):
        return Columns(**{name: column.to(device) for name, column in self.columns.items()})


class OfColumns(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, columns):
        return self.layer(columns["values"])


class OfValues(OfColumns):
    def forward(self, values):
        return self.layer(values)


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (OfColumns, "a batch is a Columns: it is the input as a whole, and 'label'"),
        (OfValues, "a batch is a dict: 'label'"),
    ],
)
def test_a_dict_that_is_an_object_is_read_by_name_or_goes_to_the_model_as_a_whole(net, said):
    model, batch = make(net), Columns(values=X, label=Y)
    expected = nn.functional.cross_entropy(model.module_viewed.layer(X), Y).item()
    with pytest.warns(UserWarning, match=said):
        assert model.evaluate(lambda: [batch], verbose=0) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(
        model.predict(lambda: [batch], verbose=0), model.module_viewed.layer(X).detach(), rtol=1e-5
    )


def test_sparse_arrays_are_refused_with_what_to_do():
    with pytest.raises(TypeError, match="x is a sparse tensor"):
        make(Weighted).fit(X.to_sparse(), Y, verbose=0)


class OfTexts(nn.Module):
    """Computes outputs of texts from their lengths; it may be given their languages, too."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 3)

    def forward(self, texts, languages=None):
        assert languages is None
        return self.layer(torch.tensor([[float(len(text))] for text in texts]))


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_batch_of_texts_is_one_argument_whatever_its_length(rows, kind):
    texts, model = kind("a" * (1 + row) for row in range(rows)), make(OfTexts)
    expected = model.module_viewed.layer(torch.arange(1.0, rows + 1)[:, None]).detach()
    loss = nn.functional.cross_entropy(expected, Y[:rows]).item()
    np.testing.assert_allclose(model.predict(lambda: [texts], verbose=0), expected, rtol=1e-5)
    assert model.evaluate(lambda: [(texts, Y[:rows])], verbose=0) == pytest.approx(loss, rel=1e-5)
    assert model.fit(lambda: [(texts, Y[:rows])], verbose=0).history["loss"][0] == pytest.approx(loss, rel=1e-5)
