import torch
from job import EPOCHS, criterion, make_net, train_loader, val_loader

net = make_net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(EPOCHS):
    net.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        criterion(net(x), y).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        val_losses = [criterion(net(x), y).item() for x, y in val_loader]
    val_loss = sum(val_losses) / len(val_losses)
    print(f"epoch {epoch + 1}: val_loss {val_loss:.4f}")
