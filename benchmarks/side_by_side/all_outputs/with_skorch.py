import torch
from job import EPOCHS, criterion, make_net, train_loader, val_loader
from skorch import NeuralNet
from skorch.helper import predefined_split


class CriterionNet(NeuralNet):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        return criterion(y_pred, y_true)


net = make_net()
model = CriterionNet(
    net,
    torch.nn.Identity,
    optimizer=torch.optim.Adam,
    lr=1e-3,
    max_epochs=EPOCHS,
    batch_size=train_loader.batch_size,
    iterator_valid__batch_size=val_loader.batch_size,
    train_split=predefined_split(val_loader.dataset),
)
model.initialize()
model.partial_fit(train_loader.dataset, y=None)
net, val_loss = model.module_, model.history[-1, "valid_loss"]
