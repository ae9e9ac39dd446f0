import torch
from job import EPOCHS, make_net, train_loader, val_loader
from poutyne import Model

net = make_net()
model = Model(net, torch.optim.Adam(net.parameters(), lr=1e-3), "cross_entropy")
train_batches = [(batch, batch.y) for batch in train_loader]
val_batches = [(batch, batch.y) for batch in val_loader]
logs = model.fit_generator(train_batches, val_batches, epochs=EPOCHS)
val_loss = logs[-1]["val_loss"]
