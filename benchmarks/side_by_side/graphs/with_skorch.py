import torch
from job import EPOCHS, make_net, train_loader, val_loader
from skorch import NeuralNet
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import Dataset
from torch_geometric.data import Batch


class Graphs(Dataset):
    def __init__(self, graphs):
        self.graphs = graphs

    def __len__(self):
        return len(self.graphs)

    def __getitem__(self, index):
        return self.graphs[index]


def collate(rows):
    batch = Batch.from_data_list(rows)
    return batch, batch.y


net = make_net()
model = NeuralNet(
    net,
    nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=1e-3,
    max_epochs=EPOCHS,
    batch_size=train_loader.batch_size,
    iterator_train__collate_fn=collate,
    iterator_valid__collate_fn=collate,
    iterator_valid__batch_size=val_loader.batch_size,
    train_split=predefined_split(Graphs(val_loader.dataset)),
)
model.initialize()
model.partial_fit(Graphs(train_loader.dataset), y=None)
net, val_loss = model.module_, model.history[-1, "valid_loss"]
