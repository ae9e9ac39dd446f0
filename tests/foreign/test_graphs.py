"""Graph networks of PyTorch Geometric: full graphs with masks, and mini-batches of graphs."""

import pytest
import torch
from support.foreign_case import ForeignCase, accuracy
from torch import nn
from torch.nn import functional as F

pyg = pytest.importorskip("torch_geometric")
from torch_geometric import nn as graph_layers  # noqa: E402
from torch_geometric.data import Data  # noqa: E402
from torch_geometric.loader import DataLoader  # noqa: E402

NODES, FEATURES, CLASSES = 24, 5, 3


def seeded(number):
    return torch.Generator().manual_seed(number)


def full_graph():
    """One graph, a class for each node, and the nodes to train with."""
    return Data(
        x=torch.randn(NODES, FEATURES, generator=seeded(0)),
        edge_index=torch.randint(0, NODES, (2, 80), generator=seeded(1)),
        y=torch.randint(0, CLASSES, (NODES,), generator=seeded(2)),
        train_mask=torch.rand(NODES, generator=seeded(3)) < 0.6,
    )


class NodeClassifier(nn.Module):
    """Two convolutions of a kind, over all nodes."""

    def __init__(self, kind):
        super().__init__()
        self.conv1 = kind(FEATURES, 8)
        self.conv2 = kind(8, CLASSES)

    def forward(self, x, edge_index):
        x = F.dropout(F.relu(self.conv1(x, edge_index)), p=0.5, training=self.training)
        return self.conv2(x, edge_index)


def training_nodes(graph):
    """Give the graph's tensors and the classes; those of other nodes do not count."""
    return (graph.x, graph.edge_index), torch.where(graph.train_mask, graph.y, -100)


@pytest.mark.filterwarnings("ignore:a batch is a Data")  # evaluate and predict say once how they read a batch
class FullGraphCase(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"], "prepare_batch": training_nodes}
    epochs = 3

    def optimizer(self, net):
        return torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=5e-4)

    def loader(self, shuffle):
        return [full_graph()]

    def hand_loss(self, net, batch):
        mask = batch.train_mask
        return F.cross_entropy(net(batch.x, batch.edge_index)[mask], batch.y[mask])

    def hand_outputs(self, net, batch):
        return net(batch.x, batch.edge_index)

    def hand_scores(self, net, batches):
        (graph,) = batches
        labels = graph.y.masked_fill(~graph.train_mask, -100)
        return {"accuracy": accuracy([net(graph.x, graph.edge_index)], [labels])}

    def rows(self, batch):
        return 1

    def export_call(self, batch):
        return (batch.x, batch.edge_index), {}


class TestGCNOnAFullGraph(FullGraphCase):
    def make(self):
        return NodeClassifier(graph_layers.GCNConv)


class TestGATOnAFullGraph(FullGraphCase):
    def make(self):
        return NodeClassifier(graph_layers.GATConv)


class TestSAGEOnAFullGraph(FullGraphCase):
    def make(self):
        return NodeClassifier(graph_layers.SAGEConv)


def small_graph(number):
    """A graph of some nodes, with a class of the whole."""
    nodes, generator = 4 + number % 5, seeded(100 + number)
    return Data(
        x=torch.randn(nodes, FEATURES, generator=generator),
        edge_index=torch.randint(0, nodes, (2, 3 * nodes), generator=generator),
        y=torch.tensor([number % 2]),
    )


class GIN(nn.Module):
    """Two isomorphism layers, and the sum over the nodes of each graph."""

    def __init__(self):
        super().__init__()
        self.conv1 = graph_layers.GINConv(self.perceptron(FEATURES))
        self.conv2 = graph_layers.GINConv(self.perceptron(8))
        self.head = nn.Linear(8, 2)

    @staticmethod
    def perceptron(inputs):
        return nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8))

    def forward(self, data):
        x = F.relu(self.conv1(data.x, data.edge_index))
        x = self.conv2(x, data.edge_index)
        return self.head(graph_layers.global_add_pool(x, data.batch))


@pytest.mark.filterwarnings("ignore:a batch is a DataBatch")  # fit says once how it reads a batch
class TestGINOnMiniBatches(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}
    skips = {
        "plot": "a graph has no shape to draw",
        "export": "torch.export takes tensors only; a forward of tensors is exported below",
    }

    def make(self):
        return GIN()

    def optimizer(self, net):
        return torch.optim.Adam(net.parameters(), lr=0.01)

    def loader(self, shuffle):
        return DataLoader([small_graph(number) for number in range(20)], 6, shuffle, generator=seeded(4))

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch), batch.y)

    def hand_outputs(self, net, batch):
        return net(batch)

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(batch) for batch in batches], [batch.y for batch in batches])}

    def rows(self, batch):
        return len(batch.y)


class GINOfTensors(GIN):
    def forward(self, x, edge_index, batch):
        return super().forward(Data(x=x, edge_index=edge_index, batch=batch))


class TestGINOfTensorsOnMiniBatches(TestGINOnMiniBatches):
    skips = {"export": "the number of graphs is read from `batch`, which has values in a program only"}

    def make(self):
        return GINOfTensors()

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch.x, batch.edge_index, batch.batch), batch.y)

    def hand_outputs(self, net, batch):
        return net(batch.x, batch.edge_index, batch.batch)

    def hand_scores(self, net, batches):
        logits = [self.hand_outputs(net, batch) for batch in batches]
        return {"accuracy": accuracy(logits, [batch.y for batch in batches])}
