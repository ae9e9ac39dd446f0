import torch
from job import EPOCHS, make_net, train_loader, val_loader
from poutyne import Model
from torch import nn
from torch.utils.data import default_collate


class Wrapper(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, batch):
        return self.net(**batch)


def collate(rows):
    batch = default_collate(rows)
    return batch, batch["labels"]


train_loader.collate_fn = val_loader.collate_fn = collate
net = make_net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
model = Model(Wrapper(net), optimizer, lambda outputs, labels: outputs.loss)
logs = model.fit_generator(train_loader, val_loader, epochs=EPOCHS)
val_loss = logs[-1]["val_loss"]
