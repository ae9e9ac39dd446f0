import lightning
import torch
from job import EPOCHS, make_net, train_loader, val_loader


class Lit(lightning.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def training_step(self, batch, index):
        return self.net(**batch).loss

    def validation_step(self, batch, index):
        self.log("val_loss", self.net(**batch).loss, prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


net = make_net()
trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu")
trainer.fit(Lit(net), train_loader, val_loader)
val_loss = trainer.callback_metrics["val_loss"]
