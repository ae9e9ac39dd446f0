"""`model.optimizer.learning_rate`, whatever `compile` was given, before the first fit and after it."""

import copy
import functools
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch.callbacks import Callback, LRScheduler

_X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
_Y = _X[:, :1].clone()

_MADE = {
    "Keras' name": lambda: "sgd",
    "another of Keras'": lambda: "nadam",
    "torch's name": lambda: "radam",
    "torch's class": lambda: torch.optim.Adam,
    "Keras' class": lambda: kt.optimizers.RMSprop,
    "settings": lambda: kt.optimizers.AdamW(0.01, clipnorm=1.0, use_ema=True),
    "partial of torch's": lambda: functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "partial of a partial": lambda: functools.partial(functools.partial(torch.optim.SGD, lr=0.1), momentum=0.9),
    "partial of settings": lambda: functools.partial(kt.optimizers.SGD(0.1)),
    "a rate that is a tensor": lambda: functools.partial(torch.optim.Adam, lr=torch.tensor(0.1), capturable=False),
}
_made = pytest.mark.parametrize("name", list(_MADE))


def _model(optimizer, *layers, **compiled):
    torch.manual_seed(0)
    model = kt.Sequential([kt.Input((3,)), *(layers or [kt.layers.Dense(1)])])
    model.compile(optimizer, "mse", **compiled)
    return model


def _fit(model, epochs=1, **arguments):
    return model.fit(_X, _Y, 5, epochs, 0, shuffle=False, **arguments)


@_made
def test_it_is_read_and_set_before_the_first_fit_and_after_it(name):
    model = _model(_MADE[name]())
    optimizer = model.optimizer
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.learning_rate == pytest.approx(float(optimizer.param_groups[0]["lr"]))
    for rate in (0.5, 0.25):
        model.optimizer.learning_rate = rate
        assert float(optimizer.param_groups[0]["lr"]) == rate
        assert model.optimizer.learning_rate == rate
        _fit(model)
        assert model.optimizer is optimizer
        assert optimizer.learning_rate == rate


@_made
def test_a_rate_of_nothing_moves_nothing(name):
    model = _model(_MADE[name]())
    before = model.get_weights()[0].copy()
    model.optimizer.learning_rate = 0
    _fit(model)
    assert (model.get_weights()[0] == before).all()


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "compiled"])
def test_what_a_callback_sets_counts_from_the_next_batch(jit):
    class Halves(Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.optimizer.learning_rate *= 0.5

    model = _model("sgd", jit_compile=jit)
    expected = nn.Linear(3, 1)
    expected.load_state_dict({"weight": model[0].weight, "bias": model[0].bias})
    rate = model.optimizer.learning_rate
    _fit(model, epochs=2, callbacks=[Halves()])
    for x, y in [*zip(_X.split(5), _Y.split(5), strict=True)] * 2:
        gradients = torch.autograd.grad(F.mse_loss(expected(x), y), list(expected.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(expected.parameters(), gradients, strict=True):
                weight -= rate * gradient
        rate *= 0.5
    torch.testing.assert_close(model[0].weight, expected.weight)
    assert model.optimizer.learning_rate == pytest.approx(rate)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_and_a_pickle_have_it_too(copied):
    model = _model(kt.optimizers.Adam(0.1))
    _fit(model)
    other = copied(model.optimizer)
    assert isinstance(other, torch.optim.Adam)
    assert type(other).__name__ == "Adam"
    other.learning_rate = 0.5
    assert other.param_groups[0]["lr"] == 0.5
    assert model.optimizer.learning_rate == 0.1
    assert [int(state["step"]) for state in other.state.values()] == [4, 4]


def test_its_state_is_that_of_torchs_class():
    model = _model(kt.optimizers.Adam(0.1))
    _fit(model)
    plain = torch.optim.Adam(model.parameters(), lr=0.1, eps=1e-7)
    plain.load_state_dict(model.optimizer.state_dict())
    assert plain.state_dict()["param_groups"] == model.optimizer.state_dict()["param_groups"]
    torch.optim.lr_scheduler.StepLR(model.optimizer, 1)  # takes optimizers of torch alone


def test_a_saved_model_has_the_rate_that_was_set(tmp_path):
    model = _model("adam")
    model.optimizer.learning_rate = 0.125
    model.save(tmp_path / "model.kt")
    assert kt.load_model(tmp_path / "model.kt").optimizer.learning_rate == 0.125


def test_different_rates_are_neither_read_nor_flattened():
    def groups(params):
        first, *others = params
        return torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": others, "lr": 0.2}])

    model = _model(functools.partial(kt.optimizers.SGD(0.1)))
    model.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.2})
    for act in (lambda: model.optimizer.learning_rate, lambda: setattr(model.optimizer, "learning_rate", 0.5)):
        with pytest.raises(ValueError, match=r"several learning rates: 0.1, 0.2.*param_groups\[0\]"):
            act()
    model = _model(groups)
    _fit(model)
    assert [group["lr"] for group in model.optimizer.param_groups] == [0.1, 0.2]


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), "fast", True])
def test_what_is_no_rate_is_refused(wrong):
    with pytest.raises(ValueError, match="learning_rate must be"):
        _model("adam").optimizer.learning_rate = wrong


def test_the_older_name_is_refused():
    with pytest.raises(AttributeError, match="learning_rate"):
        _model("adam").optimizer.lr = 0.5


@pytest.mark.parametrize("name", ["learning_rate", "lr"])
@pytest.mark.parametrize("when", ["before", "in a batch", "in an epoch"])
@pytest.mark.parametrize("mine", ["instance", "function"])
def test_on_an_optimizer_of_the_users_own_it_is_refused_before_the_next_step(mine, when, name):
    class Sets(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if when == "in a batch":
                setattr(self.model.optimizer, name, 0.5)

        def on_epoch_begin(self, epoch, logs=None):
            if when == "in an epoch":
                setattr(self.model.optimizer, name, 0.5)

    model = _model("sgd")
    if mine == "instance":
        model.compile(torch.optim.SGD(model.parameters(), lr=0.1), "mse")
    else:
        model.compile(lambda params: torch.optim.SGD(params, lr=0.1), "mse")
    _fit(model)
    if when == "before":
        setattr(model.optimizer, name, 0.5)
    with pytest.raises(AttributeError, match=f"optimizer.{name} was set on your own SGD.*param_groups"):
        _fit(model, callbacks=[Sets()])


def test_an_optimizer_that_has_such_an_attribute_of_its_own_is_let_alone():
    class Mine(torch.optim.SGD):
        def __init__(self, params, learning_rate):
            self.learning_rate = learning_rate
            super().__init__(params, lr=learning_rate)

    model = _model(functools.partial(Mine, learning_rate=0.1))
    _fit(model)
    model.compile(Mine(model.parameters(), 0.1), "mse")
    _fit(model)


def test_without_all_weights_there_is_no_optimizer_yet():
    model = kt.Sequential([kt.layers.Dense(1)])
    model.compile("adam", "mse")
    assert model.optimizer is None
    model.predict(_X[:1], verbose=0)
    assert model.optimizer.learning_rate == 0.001
    empty = kt.Model(nn.Identity())
    empty.compile("adam", "mse")
    assert empty.optimizer is None


def _to_float64(model):
    model.double()
    model.float()


def _assigns(model):
    fresh = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
    model.load_state_dict(fresh, assign=True)


@pytest.mark.parametrize(
    "change",
    [
        _to_float64,
        _assigns,
        lambda model: model.load_state_dict({n: torch.randn_like(v) for n, v in model.state_dict().items()}),
        lambda model: model.set_weights([weight * 2 for weight in model.get_weights()]),
        lambda model: model.to("cpu"),
        lambda model: model.add(kt.layers.Dense(1)),
        lambda model: (model.pop(), model.add(nn.Linear(4, 1))),
        lambda model: model[0].requires_grad_(False),
        lambda model: setattr(model[0], "trainable", False),
        lambda model: model.add(nn.LazyLinear(1)),
    ],
    ids=["dtype", "assigned", "loaded", "set", "moved", "added", "replaced", "frozen", "untrainable", "lazy"],
)
def test_weights_that_change_before_the_first_fit_are_learned(change):
    model = _model(kt.optimizers.Adam(0.1), kt.layers.Dense(4, "tanh"), kt.layers.Dense(1))
    optimizer = model.optimizer
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.learning_rate = 0.25
    change(model)
    model.predict(_X[:1], verbose=0)
    before = [weight.detach().clone() for weight in model.parameters()]
    _fit(model, callbacks=[LRScheduler(scheduler)])
    assert model.optimizer is optimizer
    assert [*map(id, optimizer.param_groups[0]["params"])] == [*map(id, model.parameters())]
    for weight, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(weight, old) != weight.requires_grad
    assert optimizer.learning_rate == 0.125  # the schedule is over this very optimizer


def test_a_layer_frozen_before_the_first_fit_learns_when_it_is_thawed():
    model = _model(kt.optimizers.Adam(0.1), kt.layers.Dense(4, "tanh"), kt.layers.Dense(1))
    model[0].trainable = False
    assert model.optimizer.learning_rate == 0.1
    _fit(model)
    model[0].trainable = True
    before = model[0].weight.detach().clone()
    _fit(model)
    assert not torch.equal(model[0].weight, before)


def test_in_a_loop_of_ones_own_it_counts_too():
    weight = nn.Parameter(torch.ones(1))
    optimizer = kt.optimizers.SGD(0.1)([weight])
    optimizer.learning_rate = 0.5
    weight.square().sum().backward()
    optimizer.step()
    assert weight.item() == 0.0


def test_an_optimizer_made_by_hand_from_settings_is_used_and_saved(tmp_path):
    model = _model("sgd")
    optimizer = kt.optimizers.Adam(0.1)(model.parameters())
    model.compile(optimizer, "mse")
    optimizer.learning_rate = 0.125
    _fit(model)
    assert model.optimizer is optimizer
    model.save(tmp_path / "model.kt")
    assert kt.load_model(tmp_path / "model.kt").optimizer.param_groups[0]["lr"] == 0.125


@pytest.mark.parametrize("name", ["learning_rate", "lr"])
@pytest.mark.parametrize("made", [False, True], ids=["the user's own", "made by a function"])
def test_a_rate_set_on_a_torch_optimizer_before_the_first_fit_is_refused(name, made):
    net = nn.Linear(3, 1)
    model = kt.Model(net)
    model.compile(
        (lambda weights: torch.optim.SGD(weights, 0.1)) if made else torch.optim.SGD(net.parameters(), 0.1), "mse"
    )
    setattr(model.optimizer, name, 0.0)
    for _ in range(2):
        with pytest.raises(AttributeError, match=f"optimizer.{name} was set on your own SGD"):
            model.fit(_X, _Y, verbose=0)
