import torch
from job import EPOCHS, make_net, train_loader, val_loader
from poutyne import Model
from torch.utils.data import default_collate


def collate(rows):
    batch = default_collate(rows)
    return batch["image"], batch["mask"]


train_loader.collate_fn = val_loader.collate_fn = collate
net = make_net()
model = Model(net, torch.optim.Adam(net.parameters(), lr=1e-3), "cross_entropy")
logs = model.fit_generator(train_loader, val_loader, epochs=EPOCHS)
val_loss = logs[-1]["val_loss"]
