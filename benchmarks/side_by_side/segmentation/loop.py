import torch
from job import EPOCHS, make_net, train_loader, val_loader
from torch import nn

net = make_net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(EPOCHS):
    net.train()
    for batch in train_loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(batch["image"]), batch["mask"]).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        val_losses = [nn.functional.cross_entropy(net(batch["image"]), batch["mask"]).item() for batch in val_loader]
    val_loss = sum(val_losses) / len(val_losses)
    print(f"epoch {epoch + 1}: val_loss {val_loss:.4f}")
