"""Optimizers in a loop of one's own under `torch.amp.GradScaler`."""

import pytest
import torch
from torch import nn

from kerastorch.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

_GRADIENTS = [[30.0, 40.0], [0.3, -0.4], [-5.0, 0.0]]  # the norms of 50 and 5 are clipped
_RATE, _DECAY, _MOMENTUM = 0.1, 0.2, 0.9


def _clipped(how, limit, grads):
    if how == "clipvalue":
        nn.utils.clip_grad_value_(grads, limit)
    elif how == "global_clipnorm":
        nn.utils.clip_grad_norm_(grads, limit)
    elif how == "clipnorm":
        for weight in grads:
            nn.utils.clip_grad_norm_([weight], limit)


def _weights():
    return [nn.Parameter(torch.tensor([1.0, -2.0])), nn.Parameter(torch.tensor([[0.5], [3.0]]))]


def _loss(weights, gradient):
    """A scalar whose gradients are known: `gradient`, and half of it for the second weight."""
    gradient = torch.tensor(gradient)
    return (weights[0] * gradient).sum() + (weights[1] * 0.5 * gradient[:, None]).sum()


def _by_hand(kind, arguments, how, decay, average):
    """The same steps without a scaler and without a hook; weights, and their averages."""
    weights = _weights()
    optimizer = kind(weights, lr=_RATE, **arguments)
    averages = None
    for gradient in _GRADIENTS:
        optimizer.zero_grad()
        _loss(weights, gradient).backward()
        _clipped(how, 1.0, weights)
        if decay:
            with torch.no_grad():
                for weight in weights:
                    weight.mul_(1 - _RATE * _DECAY)
        optimizer.step()
        now = [weight.detach().clone() for weight in weights]
        averages = now if averages is None else [0.99 * a + 0.01 * n for a, n in zip(averages, now, strict=True)]
    return weights, averages if average else None


_KINDS = [
    (SGD, torch.optim.SGD, {}, {}),
    (SGD, torch.optim.SGD, {"momentum": _MOMENTUM}, {"momentum": _MOMENTUM}),
    (Adagrad, torch.optim.Adagrad, {}, {"initial_accumulator_value": 0.1, "eps": 1e-7}),
    (RMSprop, torch.optim.RMSprop, {}, {"alpha": 0.9, "eps": 1e-7}),
]


@pytest.mark.parametrize("scale", [1.0, 1024.0, 65536.0])
@pytest.mark.parametrize("unscales", [False, True], ids=["step alone", "unscale_ before"])
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "not fused"])
@pytest.mark.parametrize("how", [None, "clipnorm", "clipvalue", "global_clipnorm"])
@pytest.mark.parametrize(("kind", "plain", "settings", "arguments"), _KINDS)
def test_steps_are_those_of_a_loop_without_a_scaler(kind, plain, settings, arguments, how, fused, unscales, scale):
    clip = {} if how is None else {how: 1.0}
    weights = _weights()
    optimizer = kind(_RATE, weight_decay=_DECAY, use_ema=True, **settings, **clip)(weights)
    if not fused:
        for group in optimizer.param_groups:
            group["fused"] = None
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    for gradient in _GRADIENTS:
        optimizer.zero_grad()
        scaler.scale(_loss(weights, gradient)).backward()
        if unscales:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    expected, averages = _by_hand(plain, arguments, how, True, True)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close([optimizer.state[weight]["ema"] for weight in weights], averages)


@pytest.mark.parametrize("unscales", [False, True], ids=["step alone", "unscale_ before"])
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "not fused"])
@pytest.mark.parametrize(
    "settings",
    [
        SGD(_RATE, weight_decay=_DECAY),
        SGD(_RATE, momentum=_MOMENTUM),
        SGD(_RATE, momentum=_MOMENTUM, clipnorm=1.0, use_ema=True, ema_overwrite_frequency=2),
        Adam(_RATE, weight_decay=_DECAY, global_clipnorm=1.0, use_ema=True),
        AdamW(_RATE, clipvalue=1.0),
        Adagrad(_RATE, weight_decay=_DECAY),
        RMSprop(_RATE, weight_decay=_DECAY, use_ema=True),
    ],
    ids=repr,
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_step_that_the_scaler_skips_moves_nothing(settings, fused, unscales, at):
    """The same as if the batch with infinite gradients had not been there."""
    found = []
    for skips in (True, False):
        weights = _weights()
        optimizer = settings(weights)
        if not fused:
            for group in optimizer.param_groups:
                group["fused"] = None
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for number, gradient in enumerate(_GRADIENTS):
            for infinite in (True, False) if skips and number == at else (False,):
                before = [weight.detach().clone() for weight in weights]
                optimizer.zero_grad()
                scaler.scale(_loss(weights, gradient) * (float("inf") if infinite else 1.0)).backward()
                if unscales:
                    scaler.unscale_(optimizer)
                scaler.step(optimizer)
                scaler.update(1024.0)
                assert not infinite or all(map(torch.equal, weights, before))
        state = [dict(sorted(optimizer.state[weight].items())) for weight in weights]
        steps = optimizer.param_groups[0].get("ema_steps")
        found.append(([weight.detach() for weight in weights], state, steps))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
