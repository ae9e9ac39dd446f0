"""What contenders that train a torch module share: the module, tensors, and a way back to the first weights."""

import copy

import nets_torch
import torch
from tasks import BETAS, EPSILON, LEARNING_RATE
from torch.utils.data import DataLoader, TensorDataset

from contenders import Unsupported

ADAM = {"lr": LEARNING_RATE, "betas": BETAS, "eps": EPSILON}


class TorchContender:
    """Base of a contender; what it cannot do it leaves as it is here.

    Args:
        task: what is to be done.
        x: rows as NumPy.
        y: classes as NumPy.
    """

    def __init__(self, task, x, y):
        torch.manual_seed(0)
        self.task = task
        self.net = nets_torch.NETS[task.net](task.classes)
        self.x = torch.from_numpy(x).unsqueeze(1) if task.net == "conv" else torch.from_numpy(x)
        self.y = torch.from_numpy(y)
        self._first = copy.deepcopy(self.net.state_dict())
        self.prepare()

    def prepare(self):
        """Once: what a script does before it trains."""

    def reset(self):
        """Before each timed run."""
        self.net.load_state_dict(self._first)

    def loader(self, shuffle=True):
        """The `DataLoader` of tutorials."""
        return DataLoader(TensorDataset(self.x, self.y), batch_size=self.task.batch, shuffle=shuffle)

    def row(self):
        """What `predict_one` predicts."""
        return self.x[:1]

    def fit(self, epochs):
        """Train; the mean loss of each epoch."""
        raise Unsupported("it has no verb to train")

    def evaluate(self):
        """The mean loss over all rows."""
        raise Unsupported("it has no verb for the loss over data")

    def predict(self, x):
        """The outputs for `x`, as NumPy, in order."""
        raise Unsupported("it has no verb for the outputs of data in memory")
