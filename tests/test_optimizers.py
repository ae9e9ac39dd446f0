"""Optimizers under Keras' names are those of torch with Keras' defaults, and what hangs on them is algebra."""

import copy
import functools
import inspect
import math

import pytest
import torch
from torch import nn

from kerastorch import optimizers
from kerastorch.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Nadam, RMSprop
from kerastorch.optimizers.base import Optimizer
from kerastorch.optimizers.registry import create_optimizer
from kerastorch.optimizers.step_hooks import overwrite_with_average
from kerastorch.regularizers import L2

# settings, and the optimizer of torch they stand for
PAIRS = {
    "sgd": (SGD(0.05), torch.optim.SGD, {"lr": 0.05}),
    "sgd-momentum": (SGD(0.05, 0.9), torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "sgd-nesterov": (SGD(0.05, 0.9, True), torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "rmsprop": (RMSprop(), torch.optim.RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 1e-7}),
    "rmsprop-all": (
        RMSprop(0.01, 0.8, 0.5, 1e-3, True),
        torch.optim.RMSprop,
        {"lr": 0.01, "alpha": 0.8, "momentum": 0.5, "eps": 1e-3, "centered": True},
    ),
    "adam": (Adam(), torch.optim.Adam, {"lr": 0.001, "eps": 1e-7}),
    "adam-all": (
        Adam(0.01, 0.8, 0.99, 1e-3, True),
        torch.optim.Adam,
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-3, "amsgrad": True},
    ),
    "adam-decay": (
        Adam(0.01, weight_decay=0.1),
        torch.optim.AdamW,
        {"lr": 0.01, "eps": 1e-7, "weight_decay": 0.1},
    ),
    "adamw": (AdamW(), torch.optim.AdamW, {"lr": 0.001, "eps": 1e-7, "weight_decay": 0.004}),
    "adamw-all": (
        AdamW(0.01, 0.2, 0.8, 0.99, 1e-3, True),
        torch.optim.AdamW,
        {"lr": 0.01, "weight_decay": 0.2, "betas": (0.8, 0.99), "eps": 1e-3, "amsgrad": True},
    ),
    "adamw-without-decay": (AdamW(0.01, None), torch.optim.Adam, {"lr": 0.01, "eps": 1e-7}),
    "adagrad": (Adagrad(), torch.optim.Adagrad, {"lr": 0.001, "initial_accumulator_value": 0.1, "eps": 1e-7}),
    "adagrad-all": (
        Adagrad(0.1, 0.5, 1e-3),
        torch.optim.Adagrad,
        {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3},
    ),
    "adadelta": (Adadelta(), torch.optim.Adadelta, {"lr": 0.001, "rho": 0.95, "eps": 1e-7}),
    "adadelta-all": (Adadelta(1.0, 0.8, 1e-3), torch.optim.Adadelta, {"lr": 1.0, "rho": 0.8, "eps": 1e-3}),
    "adamax": (Adamax(), torch.optim.Adamax, {"lr": 0.001, "eps": 1e-7}),
    "adamax-all": (
        Adamax(0.01, 0.8, 0.99, 1e-3),
        torch.optim.Adamax,
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-3},
    ),
    "nadam": (Nadam(), torch.optim.NAdam, {"lr": 0.001, "eps": 1e-7, "momentum_decay": 1.0}),
    "nadam-all": (
        Nadam(0.01, 0.8, 0.99, 1e-3),
        torch.optim.NAdam,
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-3, "momentum_decay": 1.0},
    ),
}

# what Keras 3.15 documents: the positional arguments with their defaults, in order
POSITIONAL = {
    SGD: {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    RMSprop: {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    Adam: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False},
    AdamW: {
        "learning_rate": 0.001,
        "weight_decay": 0.004,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
    },
    Adagrad: {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    Adadelta: {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
    Adamax: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    Nadam: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
}
SHARED = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "name": None,
}

TORCH_CLASSES = {
    name: kind
    for name, kind in inspect.getmembers(torch.optim, inspect.isclass)
    if issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
}

each_kind = pytest.mark.parametrize("kind", POSITIONAL)


def _net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()


def _loss(net, step=0):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(16, 4, generator=generator, dtype=torch.float64)
    return (net(x) - x[:, :2].sin()).square().mean()


def _train(net, optimizer, steps=6, before=None, after=None):
    for step in range(steps):
        optimizer.zero_grad()
        _loss(net, step).backward()
        if before:
            before(net)
        optimizer.step()
        if after:
            after(net)
    return net


def _equal(one, other, **tolerance):
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, **tolerance)


def _moved(net):
    return any(not torch.equal(a, b) for a, b in zip(net.parameters(), _net().parameters(), strict=True))


@pytest.mark.parametrize(("settings", "kind", "arguments"), PAIRS.values(), ids=list(PAIRS))
def test_twenty_steps_are_those_of_torch(settings, kind, arguments):
    mine, theirs = _net(), _net()
    built = settings(mine.parameters())
    assert isinstance(built, torch.optim.Optimizer)
    _train(mine, built, 20)
    _train(theirs, kind(theirs.parameters(), **arguments), 20)
    assert _moved(mine)
    _equal(mine, theirs, rtol=1e-9, atol=1e-11)


@each_kind
def test_arguments_and_defaults_are_those_of_keras_in_its_order(kind):
    parameters = inspect.signature(kind).parameters
    positional = {k: p.default for k, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(positional.items()) == list(POSITIONAL[kind].items())
    others = {k: p.default for k, p in parameters.items() if k not in positional}
    assert others == {k: v for k, v in SHARED.items() if k not in positional}


@each_kind
def test_a_setting_given_by_keyword_is_kept(kind):
    settings = kind(learning_rate=0.5, clipnorm=2.0, name="mine")
    assert (settings.learning_rate, settings.clipnorm, settings.name) == (0.5, 2.0, "mine")
    assert settings(_net().parameters()).param_groups[0]["lr"] == 0.5


def test_one_step_of_plain_descent_is_the_gradient_times_the_rate():
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = SGD(0.1)([weight])
    weight.square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.data, torch.tensor([0.8, -1.6]))


def test_the_first_step_of_adam_is_the_sign_of_the_gradient_times_the_rate():
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Adam(0.1)([weight])
    (weight * torch.tensor([5.0, -0.01])).sum().backward()
    optimizer.step()
    torch.testing.assert_close(weight.data, torch.tensor([0.9, -1.9]), rtol=1e-4, atol=1e-5)


# weight decay


@each_kind
def test_weight_decay_is_decoupled_and_comes_before_the_step(kind):
    rate, decay = 0.02, 0.3
    mine, theirs = _net(), _net()
    _train(mine, kind(rate, weight_decay=decay)(mine.parameters()))

    @torch.no_grad()
    def shrink(net):
        for weight in net.parameters():
            weight.mul_(1 - rate * decay)

    _train(theirs, kind(rate, weight_decay=0.0)(theirs.parameters()), before=shrink)
    _equal(mine, theirs, rtol=1e-9, atol=1e-11)


@each_kind
def test_weight_decay_shrinks_only_weights_that_have_a_gradient(kind):
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = kind(0.1, weight_decay=0.5)([used, unused])
    used.grad = torch.zeros(2)
    optimizer.step()
    torch.testing.assert_close(used.data, torch.full((2,), 0.95))
    assert torch.equal(unused.data, torch.ones(2))


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_weight_decay_follows_the_learning_rate_of_each_group(kind):
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = kind(0.1, weight_decay=0.5)([{"params": [a], "lr": 0.4}, {"params": [b]}])
    a.grad, b.grad = torch.zeros(2), torch.zeros(2)
    torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step()
    torch.testing.assert_close(a.data, torch.full((2,), 1 - 0.4 * 0.5))
    torch.testing.assert_close(b.data, torch.full((2,), 1 - 0.1 * 0.5))
    optimizer.param_groups[1]["lr"] = 0.2
    optimizer.step()
    torch.testing.assert_close(b.data, torch.full((2,), (1 - 0.1 * 0.5) * (1 - 0.2 * 0.5)))


def test_l2_under_plain_descent_is_twice_the_weight_decay():
    mine, theirs, strength = _net(), _net(), 0.03
    penalty, optimizer = L2(strength), SGD(0.1)(mine.parameters())
    for step in range(6):
        optimizer.zero_grad()
        (_loss(mine, step) + sum(penalty(weight) for weight in mine.parameters())).backward()
        optimizer.step()
    _train(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1, weight_decay=2 * strength))
    _equal(mine, theirs, rtol=1e-9, atol=1e-11)


# clipping


def _by_norm(limit):
    def clip(gradients):
        return [g * min(1, limit / max(float(g.norm()), 1e-300)) for g in gradients]

    return clip


def _by_value(limit):
    return lambda gradients: [g.clamp(-limit, limit) for g in gradients]


def _by_global_norm(limit):
    def clip(gradients):
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        return [g * min(1, limit / norm) for g in gradients]

    return clip


CLIPS = {"clipnorm": _by_norm, "clipvalue": _by_value, "global_clipnorm": _by_global_norm}


@pytest.mark.parametrize("limit", [0.01, 0.1, 100.0])
@pytest.mark.parametrize("how", CLIPS)
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_gradients_are_clipped_as_the_formula_says(kind, how, limit):
    mine, theirs = _net(), _net()
    _train(mine, kind(0.05, **{how: limit})(mine.parameters()))

    def clip(net):
        clipped = CLIPS[how](limit)([weight.grad for weight in net.parameters()])
        for weight, gradient in zip(net.parameters(), clipped, strict=True):
            weight.grad = gradient

    _train(theirs, kind(0.05)(theirs.parameters()), before=clip)
    # torch divides by the norm plus 1e-6
    _equal(mine, theirs, rtol=1e-3 if how == "global_clipnorm" else 1e-9, atol=1e-5)


@pytest.mark.parametrize("how", CLIPS)
def test_a_large_limit_leaves_the_gradients_as_they_are(how):
    mine, theirs = _net(), _net()
    _train(mine, SGD(0.05, **{how: 1e6})(mine.parameters()))
    _train(theirs, SGD(0.05)(theirs.parameters()))
    _equal(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("how", CLIPS)
def test_a_gradient_of_zero_is_no_trouble_to_clipping(how):
    weight = nn.Parameter(torch.ones(2))
    optimizer = SGD(0.1, **{how: 1.0})([weight])
    weight.grad = torch.zeros(2)
    optimizer.step()
    assert torch.equal(weight.data, torch.ones(2))


@pytest.mark.parametrize(
    "arguments",
    [{}, {"clipnorm": 1.0}, {"clipvalue": 1.0}, {"global_clipnorm": 1.0}, {"weight_decay": 0.1}, {"use_ema": True}],
    ids=str,
)
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_step_without_any_gradient_changes_nothing(kind, arguments):
    net = _net()
    kind(0.1, **arguments)(net.parameters()).step()
    _equal(net, _net(), rtol=0, atol=0)


def test_only_one_kind_of_clipping_is_taken():
    with pytest.raises(ValueError, match="pass one of clipnorm, clipvalue and global_clipnorm, got clipnorm and clipv"):
        Adam(clipnorm=1.0, clipvalue=0.5)


# the moving average of the weights


@pytest.mark.parametrize("every", [None, 3, 1])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_the_average_starts_at_the_first_weights_and_keeps_its_momentum(kind, every):
    momentum, mine, theirs = 0.8, _net(), _net()
    built = kind(0.05, use_ema=True, ema_momentum=momentum, ema_overwrite_frequency=every)(mine.parameters())
    _train(mine, built, steps=10)

    averages, steps = [], 0

    @torch.no_grad()
    def follow(net):
        nonlocal averages, steps
        steps += 1
        now = [weight.clone() for weight in net.parameters()]
        averages = [momentum * a + (1 - momentum) * w for a, w in zip(averages, now, strict=True)] if averages else now
        if every and steps % every == 0:
            for weight, average in zip(net.parameters(), averages, strict=True):
                weight.copy_(average)

    _train(theirs, kind(0.05)(theirs.parameters()), steps=10, after=follow)
    _equal(mine, theirs)
    overwrite_with_average(built)
    for weight, average in zip(mine.parameters(), averages, strict=True):
        torch.testing.assert_close(weight.data, average)


def test_without_an_average_there_is_nothing_to_overwrite_by():
    net = _net()
    built = Adam()(net.parameters())
    _train(net, built, steps=2)
    before = copy.deepcopy(net)
    overwrite_with_average(built)
    _equal(net, before, rtol=0, atol=0)


@each_kind
def test_a_weight_that_gets_its_first_gradient_late_may_have_an_average(kind):
    first, late = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    plain_first, plain_late = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    averaged = kind(0.1, use_ema=True)([first, late])
    plain = kind(0.1)([plain_first, plain_late])
    for step in range(3):
        for a, b, optimizer in ((first, late, averaged), (plain_first, plain_late, plain)):
            a.grad = torch.ones(2)
            b.grad = torch.ones(2) if step else None
            optimizer.step()
    torch.testing.assert_close(first.data, plain_first.data)
    torch.testing.assert_close(late.data, plain_late.data)


@pytest.mark.parametrize("every", [None, 3])
def test_a_resumed_optimizer_goes_on_as_if_it_had_not_stopped(every):
    settings = Adam(0.05, use_ema=True, ema_overwrite_frequency=every)
    parted, straight = _net(), _net()
    first = settings(parted.parameters())
    _train(parted, first, steps=4)
    resumed = settings(parted.parameters())
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    _train(parted, resumed, steps=5)
    built = settings(straight.parameters())
    _train(straight, built, steps=4)
    _train(straight, built, steps=5)
    _equal(parted, straight)
    for a, b in zip(parted.parameters(), straight.parameters(), strict=True):
        torch.testing.assert_close(resumed.state[a]["ema"], built.state[b]["ema"])


# kernels and parameters


@each_kind
def test_the_fused_kernel_is_taken_where_torch_has_one_else_the_foreach_kernel(kind):
    built = kind()(_net().parameters())
    group = built.param_groups[0]
    if "fused" in inspect.signature(type(built)).parameters:
        assert group["fused"] is True
    else:
        assert group["foreach"] is True


@pytest.mark.parametrize("name", ["asgd", "rprop", "radam"])
def test_the_other_names_of_torch_take_the_foreach_kernel(name):
    assert create_optimizer(optimizers.get(name), list(_net().parameters())).param_groups[0]["foreach"] is True


@pytest.mark.parametrize("kind", [SGD, Adam, RMSprop])
def test_complex_weights_learn_too(kind):
    mine, theirs = (nn.Parameter(torch.tensor([1 + 2j, -3j])) for _ in range(2))
    optimizer, plain = kind(0.1)([mine]), kind.kind([theirs], lr=0.1)
    for weight, step in ((mine, optimizer), (theirs, plain)):
        weight.abs().square().sum().backward()
        step.step()
    # epsilon and rho differ, which the sign of the first step hardly shows
    assert not torch.equal(mine.data, torch.tensor([1 + 2j, -3j]))
    if kind is SGD:
        torch.testing.assert_close(mine.data, theirs.data)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(("kind", "plain"), [(SGD, torch.optim.SGD), (Adagrad, torch.optim.Adagrad)])
def test_sparse_gradients_learn_where_torch_can(kind, plain):
    torch.manual_seed(0)
    mine = nn.Embedding(6, 3, sparse=True)
    theirs = copy.deepcopy(mine)
    arguments = {"initial_accumulator_value": 0.1, "eps": 1e-7} if kind is Adagrad else {}
    for table, optimizer in (
        (mine, kind(0.1)(mine.parameters())),
        (theirs, plain(theirs.parameters(), lr=0.1, **arguments)),
    ):
        for group in optimizer.param_groups:
            group["fused"] = False
        for _ in range(3):
            optimizer.zero_grad()
            table(torch.tensor([1, 4, 1])).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(mine.weight, theirs.weight)


def _as_list(net):
    return list(net.parameters())


def _as_generator(net):
    return net.parameters()


def _as_groups(net):
    return [{"params": list(net[0].parameters())}, {"params": list(net[2].parameters())}]


def _as_groups_of_generators(net):
    return [{"params": net[0].parameters()}, {"params": net[2].parameters()}]


def _as_groups_of_tensors(net):
    return [{"params": weight} for weight in net.parameters()]


def _as_named(net):
    return net.named_parameters()


@pytest.mark.parametrize(
    "form", [_as_list, _as_generator, _as_groups, _as_groups_of_generators, _as_groups_of_tensors, _as_named]
)
@pytest.mark.parametrize("kind", [SGD, RMSprop])
def test_parameters_come_in_every_form_that_torch_takes(kind, form):
    mine, theirs = _net(), _net()
    _train(mine, kind(0.01)(form(mine)))
    _train(theirs, kind(0.01)(list(theirs.parameters())))
    assert _moved(theirs)
    _equal(mine, theirs, rtol=0, atol=0)


def test_a_group_may_have_a_learning_rate_of_its_own():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = SGD(0.1)([{"params": [a], "lr": 0.5}, {"params": [b]}])
    a.grad, b.grad = torch.ones(1), torch.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == pytest.approx((0.5, 0.9))


def test_settings_make_a_fresh_optimizer_each_time():
    settings, net = Adam(0.1), _net()
    first = settings(net.parameters())
    _train(net, first, steps=2)
    second = settings(net.parameters())
    assert second is not first
    assert not second.state


# lookup


KERAS_NAMES = {kind.__name__.lower(): kind for kind in POSITIONAL}


def _closure_of(net, optimizer):
    def closure():
        optimizer.zero_grad()
        seen = net(torch.tensor([0, 2])) if isinstance(net, nn.Embedding) else net.weight - 1
        loss = seen.square().sum()
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("name", sorted(TORCH_CLASSES.keys() - {"Adafactor", "Muon"}))  # these two follow Keras' rules
@pytest.mark.parametrize("spelled", [str, str.lower], ids=["as-is", "lower"])
def test_every_class_of_torch_has_its_name(name, spelled):
    kind = TORCH_CLASSES[name]
    found = optimizers.get(spelled(name))
    mine, theirs = (
        nn.Embedding(4, 3, sparse=True) if name == "SparseAdam" else nn.Linear(4, 3, bias=False) for _ in range(2)
    )
    theirs.load_state_dict(mine.state_dict())
    built = create_optimizer(found, list(mine.parameters()))
    assert isinstance(built, kind)
    if name.lower() in KERAS_NAMES:
        return
    # not one of Keras': torch's defaults
    plain = kind(list(theirs.parameters()))
    for net, optimizer in ((mine, built), (theirs, plain)):
        for _ in range(3):
            optimizer.step(_closure_of(net, optimizer))
    torch.testing.assert_close(mine.weight, theirs.weight)
    assert {k: v for k, v in built.defaults.items() if k not in ("fused", "foreach")} == {
        k: v for k, v in plain.defaults.items() if k not in ("fused", "foreach")
    }


@pytest.mark.parametrize(("name", "kind"), KERAS_NAMES.items())
def test_a_keras_name_has_keras_defaults(name, kind):
    for spelled in (name, name.upper(), kind.__name__, kind):
        found = optimizers.get(spelled)
        assert type(found) is kind
        assert found.learning_rate == POSITIONAL[kind]["learning_rate"]
        assert found.name == kind.__name__


@pytest.mark.parametrize(("name", "nesterov"), [("momentum", False), ("nesterov", True)])
def test_momentum_and_nesterov_are_descent_with_a_momentum_of_nine_tenths(name, nesterov):
    mine, theirs = (nn.Linear(4, 3, bias=False) for _ in range(2))
    theirs.load_state_dict(mine.state_dict())
    built = create_optimizer(optimizers.get(name), list(mine.parameters()))
    plain = torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9, nesterov=nesterov)
    for net, optimizer in ((mine, built), (theirs, plain)):
        for _ in range(3):
            optimizer.step(_closure_of(net, optimizer))
    torch.testing.assert_close(mine.weight, theirs.weight)


@pytest.mark.parametrize("spelled", ["L-BFGS", "l_bfgs", "LBFGS", "lbfgs"])
def test_lbfgs_may_be_spelled_with_a_hyphen(spelled):
    assert isinstance(create_optimizer(optimizers.get(spelled), [nn.Parameter(torch.ones(1))]), torch.optim.LBFGS)


@pytest.mark.parametrize(
    ("kind", "spelled"),
    [
        (
            optimizers.ConjugateGradient,
            "cg CG conjugate_gradient ConjugateGradient conjugate-gradient conjugategradient",
        ),
        (optimizers.BFGS, "bfgs BFGS"),
        (optimizers.NewtonCG, "newton Newton newton_cg Newton-CG NewtonCG newtoncg"),
    ],
)
def test_methods_of_second_order_have_their_names(kind, spelled):
    for name in spelled.split():
        assert type(optimizers.get(name)) is kind
    assert type(optimizers.get("conjugate gradient")) is optimizers.ConjugateGradient


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("gd", "'sgd' with all rows as one batch: fit"),
        ("gradient_descent", "'sgd' with all rows as one batch"),
        ("stochastic_gradient_descent", "Its name is 'sgd'"),
        ("nag", "Its name is 'nesterov'"),
        ("sgd_momentum", "Its name is 'momentum'"),
        ("amsgrad", "AMSGrad is an argument: optimizers"),
        ("levenberg-marquardt", "'bfgs', 'lbfgs' and 'newton'"),
    ],
)
def test_a_name_of_the_field_that_is_not_here_says_what_to_take(wrong, advice):
    with pytest.raises(ValueError, match=f"Unknown optimizer '{wrong}'. [^.]*{advice}.*Known: adadelta, "):
        optimizers.get(wrong)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("adamm", "adam"), ("rmsprob", "rmsprop"), ("SDG", "sgd"), ("nadamm", "nadam"), ("sparseadm", "sparseadam")],
)
def test_an_unknown_name_suggests_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"Unknown optimizer '{wrong}'. Did you mean '{near}'. Known: adadelta, .*"):
        optimizers.get(wrong)


def test_an_optimizer_that_holds_parameters_is_used_as_it_is():
    net = _net()
    built = torch.optim.SGD(net.parameters(), lr=0.1)
    assert optimizers.get(built) is built
    assert create_optimizer(built, list(net.parameters())) is built


@pytest.mark.parametrize(
    "factory",
    [
        functools.partial(torch.optim.SGD, lr=0.3),
        lambda params: torch.optim.SGD(params, lr=0.3),
        SGD(0.3),
        functools.partial(SGD(0.3)),
    ],
)
def test_a_partial_a_function_and_settings_are_factories(factory):
    built = create_optimizer(optimizers.get(factory), list(_net().parameters()))
    assert isinstance(built, torch.optim.SGD)
    assert built.param_groups[0]["lr"] == 0.3


def test_a_class_of_torch_is_made_with_torchs_defaults():
    built = create_optimizer(optimizers.get(torch.optim.Adam), list(_net().parameters()))
    assert built.defaults["eps"] == 1e-8


@pytest.mark.parametrize("wrong", [None, 3, 0.01, ["adam"]])
def test_what_is_no_optimizer_is_refused(wrong):
    with pytest.raises(TypeError, match="An optimizer is a name, a class, an instance or a partial, got"):
        optimizers.get(wrong)


def test_a_factory_that_makes_something_else_is_refused():
    with pytest.raises(TypeError, match=r"must make a torch.optim optimizer, got list"):
        create_optimizer(optimizers.get(list), list(_net().parameters()))


# arguments that cannot be


@pytest.mark.parametrize("rate", [-1, -1e-3, math.nan, math.inf, "1e-3", True, [0.1]])
@each_kind
def test_a_learning_rate_that_is_no_finite_number_or_negative_is_refused(kind, rate):
    with pytest.raises(ValueError, match=r"learning_rate must be a finite number >= 0, got .*\."):
        kind(rate)
    with pytest.raises(ValueError, match="learning_rate must be"):
        kind(learning_rate=rate)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (SGD, {"momentum": -0.1}, "momentum must be a finite number >= 0 and <= 1, got -0.1"),
        (SGD, {"momentum": 1.5}, "momentum must be"),
        (SGD, {"weight_decay": -0.1}, "weight_decay must be a finite number >= 0"),
        (SGD, {"clipnorm": 0}, "clipnorm must be a finite number > 0"),
        (SGD, {"clipvalue": -1.0}, "clipvalue must be a finite number > 0"),
        (SGD, {"global_clipnorm": math.nan}, "global_clipnorm must be a finite number > 0"),
        (SGD, {"ema_momentum": 1.1, "use_ema": True}, "ema_momentum must be"),
        (SGD, {"ema_overwrite_frequency": 0, "use_ema": True}, "ema_overwrite_frequency must be an integer >= 1"),
        (SGD, {"ema_overwrite_frequency": 2.0}, "ema_overwrite_frequency must be an integer >= 1"),
        (SGD, {"gradient_accumulation_steps": 1}, "gradient_accumulation_steps must be an integer >= 2, got 1"),
        (SGD, {"loss_scale_factor": 0}, "loss_scale_factor must be"),
        (RMSprop, {"rho": 1.5}, "rho must be"),
        (RMSprop, {"epsilon": -1e-7}, "epsilon must be a finite number >= 0"),
        (Adam, {"beta_1": 1.0}, "beta_1 must be a finite number >= 0 and < 1, got 1"),
        (Adam, {"beta_2": -0.5}, "beta_2 must be"),
        (AdamW, {"weight_decay": "0.1"}, "weight_decay must be"),
        (Adagrad, {"initial_accumulator_value": -1}, "initial_accumulator_value must be"),
        (Adadelta, {"rho": "0.9"}, "rho must be"),
    ],
)
def test_an_argument_out_of_range_is_refused_in_a_sentence(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


@pytest.mark.parametrize("arguments", [{"gradient_accumulation_steps": 4}, {"loss_scale_factor": 128.0}])
def test_what_only_fit_can_do_is_refused_in_a_loop_of_ones_own(arguments):
    settings = Adam(**arguments)
    with pytest.raises(ValueError, match="are kept by fit"):
        settings(_net().parameters())
    assert isinstance(settings.build(_net().parameters()), torch.optim.Adam)


def test_settings_can_be_copied_and_show_what_they_are():
    settings = SGD(0.5, momentum=0.9, clipnorm=1.0)
    twin = copy.deepcopy(settings)
    assert isinstance(twin, Optimizer)
    assert (twin.learning_rate, twin.momentum, twin.clipnorm) == (0.5, 0.9, 1.0)
    assert repr(settings).startswith("SGD(learning_rate=0.5, ")
    assert "momentum=0.9" in repr(settings)


@pytest.mark.parametrize("schedule", [lambda epoch: 0.1, type("ExponentialDecay", (), {"step": None})()])
def test_what_is_no_schedule_is_refused_as_learning_rate_with_what_to_do(schedule):
    with pytest.raises(ValueError, match=r"Schedules are those of optimizers\.schedules.*callbacks\.LRScheduler"):
        Adam(learning_rate=schedule)
