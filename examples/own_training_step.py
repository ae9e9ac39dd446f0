"""Learning differently: each batch is trained beside a noisy copy of itself."""

import torch
from sklearn.datasets import load_wine
from sklearn.preprocessing import scale

import kerastorch as kt
from kerastorch import layers


class Consistent(kt.Sequential):
    """Adds to the loss how far apart the outputs for a batch and for its noisy copy are."""

    def train_step(self, batch):
        x, y, sample_weight = batch
        y_pred = self(x)
        apart = (y_pred - self(x + 0.1 * torch.randn_like(x))).square().mean()
        loss = self.compute_loss(x, y, y_pred, sample_weight) + apart
        self.trainer.backward_and_step(loss)
        self.compute_metrics(x, y, y_pred, sample_weight)
        return {"loss": loss, "apart": apart}


kt.utils.set_random_seed(0)
x, y = load_wine(return_X_y=True)
model = Consistent([layers.Dense(16, "relu"), layers.Dense(3)])
model.compile("adam", "cross_entropy", metrics=["accuracy"])
history = model.fit(scale(x), y, epochs=40, batch_size=16, validation_split=0.3, validation_stratify=True, verbose=0)
accuracy = history.history["val_accuracy"][-1]
print(f"Validation accuracy: {accuracy:.3f}, outputs apart by {history.history['apart'][-1]:.4f}")
