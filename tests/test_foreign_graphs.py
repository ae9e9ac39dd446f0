"""Graph networks written by hand: adjacency matrices that are sparse, and attention over a dense one."""

import pytest
import torch
from support.foreign_case import ForeignCase, accuracy
from torch import nn
from torch.nn import functional as F

NODES, FEATURES, CLASSES = 24, 5, 3


def seeded(number):
    return torch.Generator().manual_seed(number)


def nodes():
    """Features of each node, and its class or -100."""
    classes = torch.randint(0, CLASSES, (NODES,), generator=seeded(2))
    hidden = torch.rand(NODES, generator=seeded(3)) < 0.4
    return torch.randn(NODES, FEATURES, generator=seeded(0)), classes.masked_fill(hidden, -100)


def adjacency():
    """A matrix of edges, each row of which has the sum 1."""
    edges = torch.eye(NODES)
    start, end = torch.randint(0, NODES, (2, 80), generator=seeded(1))
    edges[start, end] = 1
    return edges / edges.sum(1, keepdim=True)


class SparseGCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(FEATURES, 8)
        self.second = nn.Linear(8, CLASSES)

    def forward(self, x, adjacency):
        x = F.relu(torch.sparse.mm(adjacency, self.first(x)))
        return self.second(torch.sparse.mm(adjacency, F.dropout(x, 0.5, self.training)))


class TestGCNWithASparseMatrix(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}
    epochs = 3
    skips = {"plot": "a sparse matrix has no shape to draw", "export": "torch.export takes no sparse input"}

    def make(self):
        return SparseGCN()

    def loader(self, shuffle):
        x, y = nodes()
        return [((x, adjacency().to_sparse()), y)]

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(*batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(*batch[0])

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(*x) for x, _ in batches], [y for _, y in batches])}

    def rows(self, batch):
        return len(batch[1])


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
class TestGCNWithCompressedRows(TestGCNWithASparseMatrix):
    def loader(self, shuffle):
        x, y = nodes()
        return [((x, adjacency().to_sparse_csr()), y)]


class GraphAttention(nn.Module):
    """One head of attention over the neighbours in a dense matrix."""

    def __init__(self):
        super().__init__()
        self.features = nn.Linear(FEATURES, 8, bias=False)
        self.of_source = nn.Linear(8, 1)
        self.of_target = nn.Linear(8, 1)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x, adjacency):
        hidden = self.features(x)
        scores = F.leaky_relu(self.of_source(hidden) + self.of_target(hidden).T, 0.2)
        shares = torch.where(adjacency > 0, scores, -1e9).softmax(1)
        return self.out(F.elu(F.dropout(shares, 0.6, self.training) @ hidden))


@pytest.mark.filterwarnings("ignore:export. the model cannot be called with other lengths")
class TestGraphAttention(TestGCNWithASparseMatrix):
    skips = {}

    def make(self):
        return GraphAttention()

    def loader(self, shuffle):
        x, y = nodes()
        return [((x, adjacency()), y)]

    def export_call(self, batch):
        return batch[0], {}
