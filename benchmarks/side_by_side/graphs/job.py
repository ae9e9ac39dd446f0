"""Classification of graphs in batches of PyTorch Geometric, which are objects and not tensors."""

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINConv, global_add_pool

EPOCHS = 3


def _graph(draws):
    """Draw a ring of 6 to 10 nodes, or a path; the label says which."""
    count, is_ring = int(torch.randint(6, 11, (1,), generator=draws)), int(torch.randint(0, 2, (1,), generator=draws))
    nodes = torch.arange(count)
    start, end = (nodes, (nodes + 1) % count) if is_ring else (nodes[:-1], nodes[1:])
    edges = torch.stack([torch.cat([start, end]), torch.cat([end, start])])
    return Data(x=torch.randn(count, 4, generator=draws), edge_index=edges, y=torch.tensor([is_ring]))


_draws = torch.Generator().manual_seed(0)
_graphs = [_graph(_draws) for _ in range(200)]
train_loader, val_loader = DataLoader(_graphs[:160], batch_size=20), DataLoader(_graphs[160:], batch_size=40)


class GIN(nn.Module):
    """Return two logits for each graph of a batch."""

    def __init__(self):
        super().__init__()
        self.conv = GINConv(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16)))
        self.head = nn.Linear(16, 2)

    def forward(self, data):
        hidden = self.conv(data.x, data.edge_index).relu()
        return self.head(global_add_pool(hidden, data.batch, size=data.num_graphs))


def make_net():
    """Make the network, always with the same weights."""
    torch.manual_seed(0)
    return GIN()
