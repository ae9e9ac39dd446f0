import torch
from job import EPOCHS, criterion, make_net, train_loader, val_loader
from poutyne import Model

net = make_net()
model = Model(net, torch.optim.Adam(net.parameters(), lr=1e-3), criterion)
logs = model.fit_generator(train_loader, val_loader, epochs=EPOCHS)
val_loss = logs[-1]["val_loss"]
