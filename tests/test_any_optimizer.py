"""Keras' options for any optimizer: `optimizers.Torch`. The oracle is the same loop written with torch."""

import functools
from collections import defaultdict

import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn

import kerastorch as kt
from kerastorch import optimizers

X = torch.randn(48, 5, generator=torch.Generator().manual_seed(0))
Y = 3 * X[:, :2] + 1


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))


class SignSGD(torch.optim.Optimizer):
    """An optimizer of another package: it steps by the sign of the gradient."""

    def __init__(self, params, lr=0.01, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(p.grad.sign(), alpha=group["lr"])


MAKERS = {
    "SGD": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "Adam": (torch.optim.Adam, {"lr": 0.02}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.1}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.01}),
    "Adafactor": (torch.optim.Adafactor, {"lr": 0.05}),
    "RAdam": (torch.optim.RAdam, {"lr": 0.02}),
    "SignSGD": (SignSGD, {"lr": 0.01, "weight_decay": 0.1}),
}
FORMS = ("class", "partial", "instance", "function")


def wrapped(kind, arguments, form, module, **options):
    if form == "class":
        return optimizers.Torch(kind, **arguments, **options)
    if form == "partial":
        return optimizers.Torch(functools.partial(kind, **arguments), **options)
    if form == "instance":
        return optimizers.Torch(kind(module.parameters(), **arguments), **options)
    return optimizers.Torch(lambda params: kind(params, **arguments), **options)


def clip(module, how, limit):
    if how == "clipnorm":
        for p in module.parameters():
            nn.utils.clip_grad_norm_([p], limit)
    elif how == "clipvalue":
        nn.utils.clip_grad_value_(module.parameters(), limit)
    elif how == "global_clipnorm":
        nn.utils.clip_grad_norm_(module.parameters(), limit)


def loop(kind, arguments, *, batch=8, epochs=2, how=None, limit=None, every=1, momentum=None):
    module = net()
    optimizer = kind(module.parameters(), **arguments)
    average, count = None, 0
    for _ in range(epochs):
        for i in range(0, len(X), batch):
            (nn.functional.mse_loss(module(X[i : i + batch]), Y[i : i + batch]) / every).backward()
            count += 1
            if count % every:
                continue
            clip(module, how, limit)
            optimizer.step()
            optimizer.zero_grad()
            if momentum is not None:
                now = [p.detach().clone() for p in module.parameters()]
                pairs = zip(average or now, now, strict=True)
                average = [momentum * old + (1 - momentum) * new for old, new in pairs]
    return average or [p.detach() for p in module.parameters()]


def fitted(optimizer, module, batch=8, epochs=2, **given):
    model = kt.Model(module)
    model.compile(optimizer, nn.MSELoss(), **given)
    model.fit(X, Y, batch, epochs, 0, shuffle=False)
    return [p.detach() for p in module.parameters()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("how", "limit"), [("clipnorm", 0.05), ("clipvalue", 0.01), ("global_clipnorm", 0.05)], ids=lambda one: str(one)
)
def test_gradients_are_clipped_as_in_a_loop_of_torch(name, form, how, limit):
    kind, arguments = MAKERS[name]
    module = net()
    found = fitted(wrapped(kind, arguments, form, module, **{how: limit}), module)
    for one, two in zip(found, loop(kind, arguments, how=how, limit=limit), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MAKERS)
def test_accumulation_is_the_large_batch(name, form):
    kind, arguments = MAKERS[name]
    module = net()
    optimizer = wrapped(kind, arguments, form, module, gradient_accumulation_steps=3)
    found = fitted(optimizer, module, batch=4)
    for one, two in zip(found, loop(kind, arguments, batch=12), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_average_of_the_weights_replaces_them_when_fit_ends(form):
    module = net()
    optimizer = wrapped(torch.optim.SGD, {"lr": 0.1}, form, module, use_ema=True, ema_momentum=0.8)
    expected = loop(torch.optim.SGD, {"lr": 0.1}, momentum=0.8)
    for one, two in zip(fitted(optimizer, module), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_static_scale_of_a_power_of_two_changes_no_bit(form):
    module, plain = net(), net()
    found = fitted(wrapped(torch.optim.SGD, {"lr": 0.1}, form, module, loss_scale_factor=1024.0), module)
    expected = fitted(torch.optim.SGD(plain.parameters(), lr=0.1), plain)
    assert all(map(torch.equal, found, expected))


def test_an_uneven_end_is_used_by_the_next_fit():
    module, reference = net(), net()
    model = kt.Model(module)
    model.compile(optimizers.Torch(torch.optim.SGD, lr=0.1, gradient_accumulation_steps=4), nn.MSELoss())
    for _ in range(2):
        model.fit(X[:40], Y[:40], 8, 1, 0, shuffle=False)  # 5 batches: 4 and 1, then 3 and 2 left
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1)
    stream = [*range(0, 40, 8)] * 2
    for four in (stream[:4], stream[4:8]):
        optimizer.zero_grad()
        for i in four:
            (nn.functional.mse_loss(reference(X[i : i + 8]), Y[i : i + 8]) / 4).backward()
        optimizer.step()
    for one, two in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_options_on_an_optimizer_are_replaced_by_those_of_the_next_compile():
    module = net()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    model = kt.Model(module)
    model.compile(optimizers.Torch(optimizer, clipvalue=1e-9), "mse")
    model.compile(optimizers.Torch(optimizer, clipvalue=0.01), "mse")
    before = [p.detach().clone() for p in module.parameters()]
    model.train_on_batch(X, 100 * Y)
    moved = max(float((p.detach() - old).abs().max()) for p, old in zip(module.parameters(), before, strict=True))
    assert moved == pytest.approx(0.01, rel=1e-4)  # 1e-9 if the first options still counted


def test_a_class_gets_the_attribute_learning_rate():
    model = kt.Model(net())
    model.compile(optimizers.Torch(torch.optim.SGD, lr=0.1, clipnorm=1.0), "mse")
    model.optimizer.learning_rate = 0.5
    assert model.optimizer.param_groups[0]["lr"] == 0.5


def test_arguments_keep_the_meaning_that_they_have_in_torch():
    module, plain = net(), net()
    found = fitted(optimizers.Torch(torch.optim.SGD, lr=0.1, weight_decay=0.3, clipvalue=1e9), module)
    expected = fitted(torch.optim.SGD(plain.parameters(), lr=0.1, weight_decay=0.3), plain)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: optimizers.Torch(torch.optim.SGD, learning_rate=0.1), TypeError, "Its name is lr"),
        (lambda: optimizers.Torch(torch.optim.SGD, lr=0.1, momentun=0.9), TypeError, "Did you mean 'momentum'"),
        (lambda: optimizers.Torch(torch.optim.SGD(net().parameters(), lr=0.1), lr=0.2), TypeError, "exists already"),
        (lambda: optimizers.Torch("sgd", lr=0.1), TypeError, "a class such as torch.optim.SGD"),
        (lambda: optimizers.Torch(kt.optimizers.SGD(0.1)), TypeError, "a class such as torch.optim.SGD"),
        (lambda: optimizers.Torch(torch.optim.SGD, clipnorm=-1), ValueError, "clipnorm must be"),
        (lambda: optimizers.Torch(torch.optim.SGD, clipnorm=1, clipvalue=1), ValueError, "pass one of"),
        (lambda: optimizers.Torch(torch.optim.SGD, lr={"a": -1.0}), ValueError, "lr must be"),
        (lambda: optimizers.Torch(torch.optim.SGD, gradient_accumulation_steps=2)([]), ValueError, "kept by fit"),
    ],
)
def test_a_mistake_is_answered_where_it_is_made(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize("form", ["class", "partial"])
def test_a_saved_model_has_the_options(form, tmp_path):
    torch.manual_seed(0)
    model = kt.Sequential([kt.Input((5,)), kt.layers.Dense(2)])
    model.compile(wrapped(torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}, form, model, clipvalue=0.01), "mse")
    model.fit(X, Y, epochs=1, verbose=0, shuffle=False)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    for one in (model, loaded):
        one.fit(X, Y, epochs=1, verbose=0, shuffle=False)
    assert all(map(torch.equal, model.parameters(), loaded.parameters()))


def test_a_training_resumes_with_the_same_bits(tmp_path):
    def fit(callbacks):
        module = net()
        model = kt.Model(module)
        model.compile(optimizers.Torch(SignSGD, lr=0.01, use_ema=True, gradient_accumulation_steps=2), "mse")
        model.fit(X, Y, 8, 3, 0, callbacks=callbacks)
        return [p.detach().clone() for p in module.parameters()]

    assert all(map(torch.equal, *whole_and_resumed(fit, (1, 2), tmp_path)))


# --- optimizers that compute the loss themselves, or hold another optimizer -----------------------------------------


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimization in its usual form: gradients first, then a closure for those at the worst point."""

    def __init__(self, params, base_optimizer, rho=0.05, **arguments):
        super().__init__(params, {"rho": rho, **arguments})
        self.base_optimizer = base_optimizer(self.param_groups, **arguments)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)

    @torch.no_grad()
    def step(self, closure=None):
        assert closure is not None, "a second gradient is needed"
        closure = torch.enable_grad()(closure)
        weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.stack([p.grad.norm() for p in weights]).norm()
        old = [p.clone() for p in weights]
        for p in weights:
            p.add_(p.grad, alpha=float(self.param_groups[0]["rho"] / (norm + 1e-12)))
            p.grad = None
        closure()
        for p, value in zip(weights, old, strict=True):
            p.copy_(value)
        self.base_optimizer.step()

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self.base_optimizer.param_groups = self.param_groups


class Lookahead(torch.optim.Optimizer):
    """Lookahead in a usual form: it calls no constructor of torch, and has state of its own."""

    def __init__(self, optimizer, k=3, alpha=0.5):
        self.optimizer, self.k, self.alpha = optimizer, k, alpha
        self.param_groups = optimizer.param_groups
        self.state = defaultdict(dict)
        self.count = 0
        self.slow = [[p.detach().clone() for p in group["params"]] for group in self.param_groups]

    @torch.no_grad()
    def step(self, closure=None):
        self.optimizer.step()
        self.count += 1
        if self.count % self.k == 0:
            for group, slow in zip(self.param_groups, self.slow, strict=True):
                for p, s in zip(group["params"], slow, strict=True):
                    s.add_(p - s, alpha=self.alpha)
                    p.copy_(s)

    def zero_grad(self, set_to_none=True):
        self.optimizer.zero_grad(set_to_none)

    def state_dict(self):
        return {"base": self.optimizer.state_dict(), "slow": self.slow, "count": self.count}


def sam_loop(epochs):
    module = net()
    optimizer = SAM(module.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)
    for _ in range(epochs):
        for i in range(0, len(X), 8):

            def closure(i=i):
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(module(X[i : i + 8]), Y[i : i + 8])
                loss.backward()
                return loss

            closure()
            optimizer.step(closure)
    return [p.detach() for p in module.parameters()]


@pytest.mark.parametrize("form", ["partial", "instance", "Torch"])
def test_sharpness_aware_minimization_is_its_loop(form):
    module = net()
    maker = functools.partial(SAM, base_optimizer=torch.optim.SGD, lr=0.1, momentum=0.9)
    given = {
        "partial": lambda: maker,
        "instance": lambda: maker(module.parameters()),
        "Torch": lambda: optimizers.Torch(maker, clipvalue=1e9),
    }[form]()
    for one, two in zip(fitted(given, module), sam_loop(2), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_lookahead_is_its_loop_and_can_have_options():
    module, reference = net(), net()
    model = kt.Model(module)
    made = Lookahead(torch.optim.Adam(module.parameters(), lr=0.02))
    model.compile(optimizers.Torch(made, clipvalue=0.05), nn.MSELoss())
    model.fit(X, Y, 8, 2, 0, shuffle=False)
    optimizer = Lookahead(torch.optim.Adam(reference.parameters(), lr=0.02))
    for _ in range(2):
        for i in range(0, len(X), 8):
            optimizer.zero_grad()
            nn.functional.mse_loss(reference(X[i : i + 8]), Y[i : i + 8]).backward()
            nn.utils.clip_grad_value_(reference.parameters(), 0.05)
            optimizer.step()
    for one, two in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "maker",
    [
        lambda params: SAM(params, torch.optim.SGD, lr=0.1, momentum=0.9),
        lambda params: SAM(params, torch.optim.Adam, lr=0.02),
        lambda params: Lookahead(torch.optim.Adam(params, lr=0.02)),
        lambda params: Lookahead(torch.optim.SGD(params, lr=0.1, momentum=0.9), k=4),
    ],
    ids=["SAM of SGD", "SAM of Adam", "Lookahead of Adam", "Lookahead of SGD"],
)
@pytest.mark.parametrize("at", [(0, 4), (1, 2), (2, 0)])
def test_optimizers_around_optimizers_resume_with_the_same_bits(maker, at, tmp_path):
    def fit(callbacks):
        module = net()
        model = kt.Model(module)
        model.compile(maker(list(module.parameters())), "mse")
        model.fit(X, Y, 8, 3, 0, callbacks=callbacks)
        return [p.detach().clone() for p in module.parameters()]

    assert all(map(torch.equal, *whole_and_resumed(fit, at, tmp_path)))
