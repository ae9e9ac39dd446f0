import lightning
import torch
from job import EPOCHS, criterion, make_net, train_loader, val_loader


class Lit(lightning.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def compute_loss(self, batch):
        x, y = batch
        return criterion(self.net(x), y)

    def training_step(self, batch, index):
        return self.compute_loss(batch)

    def validation_step(self, batch, index):
        self.log("val_loss", self.compute_loss(batch), prog_bar=True, batch_size=1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


net = make_net()
trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu")
trainer.fit(Lit(net), train_loader, val_loader)
val_loss = trainer.callback_metrics["val_loss"]
