"""skorch: a `NeuralNet` without validation and printing."""

import torch
from skorch import NeuralNet
from tasks import BETAS, EPSILON, LEARNING_RATE
from torch import nn

from contenders.base import TorchContender


class Contender(TorchContender):
    def prepare(self):
        self.model = NeuralNet(
            self.net,
            nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            optimizer__betas=BETAS,
            optimizer__eps=EPSILON,
            batch_size=self.task.batch,
            iterator_train__shuffle=True,
            train_split=None,
            predict_nonlinearity=None,
            verbose=0,
        ).initialize()

    def fit(self, epochs):
        self.model.partial_fit(self.x, self.y, epochs=epochs)  # fit() would draw new weights first
        return self.model.history[-epochs:, "train_loss"]

    def predict(self, x):
        return self.model.predict_proba(x)
