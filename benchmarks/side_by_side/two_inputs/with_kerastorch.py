import torch
from job import EPOCHS, make_net, train_loader, val_loader
from torch import nn

import kerastorch as kt

net = make_net()
model = kt.Model(net)
model.compile(torch.optim.Adam(net.parameters(), lr=1e-3), nn.BCEWithLogitsLoss())
history = model.fit(train_loader, epochs=EPOCHS, validation_data=val_loader, verbose=2)
val_loss = history.history["val_loss"][-1]
