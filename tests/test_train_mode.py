"""Train and eval mode: what the user has put into eval mode before training stays there."""

import pytest
import torch
from torch import nn

import kerastorch as kt

_ROWS = 24


def _data():
    kt.utils.set_random_seed(0)
    return torch.randn(_ROWS, 4) + 3.0, torch.randn(_ROWS, 1)


def _backbone():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU())


class _Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = _backbone(), nn.Linear(6, 1)

    def forward(self, x):
        return self.head(self.backbone(x))


class _OwnModel(kt.Model):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = _backbone(), nn.Linear(6, 1)

    def forward(self, x):
        return self.head(self.backbone(x))


def _functional():
    backbone = _backbone()
    x = kt.Input((4,))
    model = kt.Model(x, kt.layers.Dense(1)(kt.call(backbone, x)))
    return model, backbone


def _view():
    net = _Net()
    return kt.Model(net), net.backbone


def _chain():
    backbone = _backbone()
    return kt.Sequential([backbone, nn.Linear(6, 1)]), backbone


def _own():
    model = _OwnModel()
    return model, model.backbone


_MODELS = pytest.mark.parametrize("make", [_view, _chain, _own, _functional])


def _fit(model, x, y):
    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, validation_data=(x, y), verbose=0)


def _one_batch(model, x, y):
    model.train_on_batch(x, y)


@pytest.mark.parametrize(
    ("make", "train", "jit"),
    [(make, train, False) for make in (_view, _chain, _own, _functional) for train in (_fit, _one_batch)]
    + [(_chain, _fit, True)],
)
def test_a_frozen_backbone_in_eval_mode_does_not_move(make, train, jit):
    x, y = _data()
    model, backbone = make()
    backbone.requires_grad_(False).eval()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    model.compile("sgd", "mse", jit_compile=jit)
    train(model, x, y)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(part.training for part in backbone.modules())
    assert model.training


def test_a_head_on_a_backbone_in_eval_mode_learns_as_in_a_loop_of_torch():
    x, y = _data()
    torch.manual_seed(1)
    net = _Net()
    net.backbone.requires_grad_(False).eval()
    expected = _Net()
    expected.load_state_dict(net.state_dict())
    expected.train()
    expected.backbone.requires_grad_(False).eval()
    optimizer = torch.optim.SGD(expected.head.parameters(), lr=0.01)
    for _ in range(2):
        for start in range(0, _ROWS, 8):
            optimizer.zero_grad()
            nn.functional.mse_loss(expected(x[start : start + 8]), y[start : start + 8]).backward()
            optimizer.step()
    model = kt.Model(net)
    model.compile("sgd", "mse")
    _fit(model, x, y)
    torch.testing.assert_close(net.state_dict(), expected.state_dict(), rtol=1e-6, atol=1e-6)


@_MODELS
@pytest.mark.parametrize("train", [_fit, _one_batch])
def test_a_model_that_is_wholly_in_eval_mode_trains_as_a_whole(make, train):
    x, y = _data()
    model, backbone = make()
    model.eval()
    model.compile("sgd", "mse")
    train(model, x, y)
    assert backbone[1].num_batches_tracked > 0
    assert not any(part.training for part in model.modules())  # as it was


def test_a_network_in_eval_mode_trains_as_a_whole_in_a_view_and_alone_in_a_chain():
    x, y = _data()
    viewed, chained = _Net().eval(), _Net().eval()
    for model in (kt.Model(viewed), kt.Sequential([chained])):
        model.compile("sgd", "mse")
        _fit(model, x, y)
    assert viewed.backbone[1].num_batches_tracked > 0
    assert chained.backbone[1].num_batches_tracked > 0


def test_batch_normalization_alone_in_eval_mode_keeps_its_statistics_while_its_weights_learn():
    x, y = _data()
    model, backbone = _view()
    backbone[1].eval()
    before = {name: value.clone() for name, value in backbone[1].state_dict().items()}
    model.compile("sgd", "mse")
    _fit(model, x, y)
    after = backbone[1].state_dict()
    assert torch.equal(after["running_mean"], before["running_mean"])
    assert not torch.equal(after["weight"], before["weight"])


def test_batch_normalization_that_is_trainable_stays_in_eval_mode_too():
    x, y = _data()
    model, backbone = _chain()
    backbone[1].trainable = True
    backbone[1].eval()
    before = backbone[1].running_mean.clone()
    model.compile("sgd", "mse")
    _fit(model, x, y)
    assert torch.equal(backbone[1].running_mean, before)


def test_a_large_part_in_eval_mode_whose_weights_learn_is_named():
    x, y = _data()
    model, backbone = _view()
    backbone.eval()
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="'backbone': in eval mode, and left there.*train\\(\\)") as said:
        _fit(model, x, y)
    assert len(said) == 1
    assert backbone[1].num_batches_tracked == 0


def test_a_train_method_of_the_users_own_is_called():
    class Net(_Net):
        def train(self, mode=True):
            super().train(mode)
            self.backbone.eval()
            return self

    x, y = _data()
    net = Net()  # in training mode, all of it
    model = kt.Model(net)
    model.compile("sgd", "mse")
    _fit(model, x, y)
    assert net.backbone[1].num_batches_tracked == 0
