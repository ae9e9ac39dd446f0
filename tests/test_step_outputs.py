"""What the loop makes of the logs of a step: which loss is logged, and what a pass within a pass leaves alone."""

import signal

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.core.errors import CheckpointError
from kerastorch.training.jit.graph_output import join_step_outputs
from kerastorch.training.step_output import StepOutput

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
LABELS = (torch.arange(24) * 7 // 5) % 3  # 0 is ignored, unlike often in each batch


class TwoHeads(kt.Model):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.classes, self.values = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x):
        return {"classes": self.classes(x), "values": self.values(x)}


class Inherits(TwoHeads):
    def train_step(self, batch):
        return super().train_step(batch)

    def test_step(self, batch):
        return super().test_step(batch)


class Doubles(TwoHeads):
    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


def evaluated(kind):
    """The logs of an evaluation with frozen weights, and of each of its batches."""
    model = kind()
    model.compile("sgd", {"classes": nn.CrossEntropyLoss(ignore_index=0), "values": "mse"})
    y = {"classes": LABELS, "values": X.sum(1, keepdim=True)}
    logs = model.evaluate(X, y, batch_size=5, verbose=0, return_dict=True)
    batches = [
        model.test_on_batch(X[i : i + 5], {name: one[i : i + 5] for name, one in y.items()}, return_dict=True)
        for i in range(0, 24, 5)
    ]
    return logs, batches


@pytest.mark.parametrize("kind", [TwoHeads, Inherits])
def test_the_loss_of_several_outputs_is_the_sum_of_their_means_also_if_a_step_is_inherited(kind):
    with torch.no_grad():
        outputs = TwoHeads()(X)
    classes = nn.functional.cross_entropy(outputs["classes"], LABELS, ignore_index=0).item()
    values = nn.functional.mse_loss(outputs["values"], X.sum(1, keepdim=True)).item()
    logs, _ = evaluated(kind)
    assert logs["classes_loss"] == pytest.approx(classes, rel=1e-5)
    assert logs["loss"] == pytest.approx(classes + values, rel=1e-5)


def test_a_loss_of_ones_own_is_averaged_as_it_is_returned():
    logs, batches = evaluated(Doubles)
    assert logs["loss"] > 1.5 * (logs["classes_loss"] + logs["values_loss"])
    rows = [5, 5, 5, 5, 4]
    assert logs["loss"] == pytest.approx(np.average([one["loss"] for one in batches], weights=rows), rel=0.1)


def test_joined_steps_have_the_compiled_loss_if_all_have_it():
    outputs = [StepOutput({"loss": 1.0}, None, {}, has) for has in (True, False)]
    assert join_step_outputs(outputs[:1]).has_compiled_loss
    assert not join_step_outputs(outputs).has_compiled_loss


class Rows:
    """A metric object that counts rows."""

    def __init__(self):
        self.rows = 0

    def update(self, y_pred, y_true):
        self.rows += len(y_pred)

    def compute(self):
        return self.rows

    def reset(self):
        self.rows = 0


@pytest.mark.parametrize("verb", ["evaluate", "test_on_batch", "train_on_batch"])
def test_a_pass_within_a_batch_hook_leaves_the_metric_objects_of_the_epoch_alone(verb):
    def look(batch, logs):
        getattr(model, verb)(X[:4], X[:4, :1], **({"verbose": 0} if verb == "evaluate" else {}))

    model = kt.Model(nn.Linear(3, 1))
    model.compile("sgd", "mse", metrics=[Rows()])
    look = kt.callbacks.LambdaCallback(on_train_batch_end=look)
    found = model.fit(X, X[:, :1], batch_size=8, epochs=2, verbose=0, callbacks=[look]).history
    assert found[next(name for name in found if "rows" in name.lower())] == [24, 24]


class Scaled(nn.Module):
    """A loss with weights."""

    def __init__(self, size):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, y_pred, y_true):
        return ((y_pred - y_true) ** 2 * self.scale.square()).mean()


def test_a_checkpoint_of_another_loss_is_refused_before_anything_is_changed(tmp_path):
    def training(size):
        torch.manual_seed(size)
        model = kt.Model(nn.Linear(3, 1))
        model.compile(kt.optimizers.SGD(0.01), Scaled(size))
        return model

    def stop(batch, logs):
        if batch == 1:
            signal.raise_signal(signal.SIGINT)

    stopping = kt.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(KeyboardInterrupt):
        training(1).fit(X, X[:, :1], batch_size=8, verbose=0, resume=tmp_path / "state", callbacks=[stopping])
    other = training(8)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"state.*scale"):
        other.fit(X, X[:, :1], batch_size=8, verbose=0, resume=tmp_path / "state")
    for name, tensor in other.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
