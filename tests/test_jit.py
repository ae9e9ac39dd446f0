"""Compiled training gives the results of eager training; if a step cannot be compiled, a warning says why."""

import copy
import random
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.data.batch_groups import group_batches
from kerastorch.data.batches import Batch, BatchGroup
from kerastorch.training.jit.parameter_buckets import SMALL, make_buckets

pytestmark = pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")


def data(rows=32 * 12 + 5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, generator=generator)
    return x, (x[:, 0] + x[:, 1] > 0).long()


def network(dropout=0.0, norm=False):
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8, bias=not norm), *([nn.BatchNorm1d(8)] if norm else []), nn.Tanh()]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []), nn.Linear(8, 2))


def trained(make, optimizer, *, jit, epochs=2, fit=None, **compiled):
    """The model after a seeded fit, and its history; `optimizer` may be a function of parameters."""
    module = make()
    model = module if isinstance(module, kt.Model) else kt.Model(module)
    takes_weights = callable(optimizer) and not isinstance(optimizer, kt.optimizers.Optimizer)
    made = optimizer(model.parameters()) if takes_weights else optimizer
    model.compile(made, "cross_entropy", jit_compile=jit, **compiled)
    model.trainer.said = said = []
    model.trainer.register_listener(said.append)
    torch.manual_seed(1)
    x, y = data()
    with warnings.catch_warnings():
        if jit:
            warnings.filterwarnings("error", message="jit_compile.*")
        history = model.fit(x, y, epochs=epochs, verbose=0, **(fit or {}))
    return model, history


def assert_same(make, optimizer, *, tolerance=1e-5, compiled=None, both=None, fit=None, epochs=2):
    eager, expected = trained(make, optimizer, jit=False, epochs=epochs, fit=fit() if fit else None, **(both or {}))
    jit, found = trained(
        make, optimizer, jit=True, epochs=epochs, fit=fit() if fit else None, **(both or {}), **(compiled or {})
    )
    for (name, one), other in zip(eager.state_dict().items(), jit.state_dict().values(), strict=True):
        torch.testing.assert_close(
            other, one, rtol=tolerance, atol=tolerance * max(1.0, float(one.abs().max())), msg=name
        )
    assert expected.history.keys() == found.history.keys()
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=10 * tolerance, err_msg=name)
    assert any("compiled the training step in" in sentence for sentence in jit.trainer.said), "nothing was compiled"
    return eager, jit


TORCH_OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True),
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": lambda p: torch.optim.RMSprop(p, momentum=0.5, centered=True),
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "asgd": torch.optim.ASGD,
    "rprop": torch.optim.Rprop,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCH_OPTIMIZERS)
def test_every_optimizer_learns_the_same_compiled(name):
    # over 8 epochs, 104 steps
    assert_same(network, TORCH_OPTIMIZERS[name], epochs=8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamw", "adamax", "nadam"])
def test_every_keras_optimizer_learns_the_same_compiled(name):
    assert_same(network, name, epochs=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"clipnorm": 0.1}, {"clipvalue": 0.01}, {"weight_decay": 0.1}, {"use_ema": True}, {"loss_scale_factor": 64.0}],
    ids=str,
)
def test_settings_of_keras_optimizers_hold_compiled(settings):
    assert_same(network, kt.optimizers.Adam(1e-2, **settings), both={"steps_per_execution": 4})


@pytest.mark.slow
def test_a_learning_rate_that_is_a_tensor_may_be_changed_in_place():
    class Slower(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.param_groups[0]["lr"].mul_(0.5)

    assert_same(network, lambda p: torch.optim.Adam(p, torch.tensor(1e-2)), fit=lambda: {"callbacks": [Slower()]})


@pytest.mark.slow
def test_weights_in_several_groups_have_their_own_settings():
    def optimizer(parameters):
        first, *others = parameters
        return torch.optim.AdamW([{"params": [first], "lr": 1e-2}, {"params": others, "weight_decay": 0.1}])

    assert_same(network, optimizer)


@pytest.mark.slow
def test_muon_trains_matrices_compiled():
    def make():
        module = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Tanh(), nn.Linear(8, 2, bias=False))
        torch.manual_seed(0)
        for weight in module.parameters():
            nn.init.normal_(weight)
        return module

    # its iteration is in bfloat16, which a compiled graph rounds less often
    assert_same(make, torch.optim.Muon, tolerance=3e-2)


def test_dropout_batchnorm_penalties_clipping_metrics_and_an_uneven_last_batch():
    both = {"metrics": ["accuracy", "f1"], "regularizers": {"*.weight": kt.regularizers.L1L2(1e-3, 1e-3)}}
    eager, jit = assert_same(
        lambda: network(dropout=0.3, norm=True), kt.optimizers.Adam(1e-2, global_clipnorm=0.5), both=both, epochs=8
    )
    assert jit.optimizer.state_dict().keys() == eager.optimizer.state_dict().keys()
    for one, other in zip(eager.optimizer.state.values(), jit.optimizer.state.values(), strict=True):
        assert float(one["step"]) == float(other["step"]) == 8 * 13
        torch.testing.assert_close(other["exp_avg"], one["exp_avg"], rtol=1e-3, atol=1e-6)


class Hooks(kt.callbacks.Callback):
    def __init__(self):
        self.begun, self.ended, self.losses = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(batch)
        self.losses.append(logs["loss"])


def test_several_steps_run_in_one_graph_and_hooks_are_called_once_for_each_graph():
    hooks = [Hooks(), Hooks()]
    given = iter(hooks)
    both = {"steps_per_execution": 4, "metrics": ["accuracy"]}
    assert_same(lambda: network(dropout=0.2), "adam", both=both, fit=lambda: {"callbacks": [next(given)]}, epochs=4)
    for one in hooks:
        assert one.begun == [0, 4, 8, 12] * 4
        assert one.ended == [3, 7, 11, 12] * 4
    np.testing.assert_allclose(hooks[0].losses, hooks[1].losses, rtol=1e-4)


def test_a_callback_may_change_the_learning_rate_between_steps():
    class Warm(kt.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.param_groups[0]["lr"] = 1e-3 * (batch + 1)

    assert_same(network, "adam", fit=lambda: {"callbacks": [Warm()]}, epochs=3)


def test_guarded_values_may_change_between_epochs():
    class Freeze(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.get_parameter("0.weight").requires_grad_(False)
                self.model.optimizer.param_groups[0]["betas"] = (0.5, 0.9)

    _, jit = assert_same(network, "adam", fit=lambda: {"callbacks": [Freeze()]}, epochs=4)
    assert len(jit.trainer.said) == 4


def test_a_second_fit_uses_what_the_first_compiled():
    model, _ = trained(network, "adam", jit=True, epochs=1)
    x, y = data()
    model.fit(x, y, verbose=0)
    model.train_on_batch(x[:32], y[:32])
    assert len(model.trainer.said) == 2


def test_a_shape_that_comes_once_an_epoch_stays_eager_and_one_that_comes_often_gets_a_graph():
    from kerastorch.training.jit.compiled_step import MIN_REPEATS

    x, y = data(4 * 32 + 5)
    loader = [(x[i : i + 32], y[i : i + 32]) for i in range(0, len(x), 32)]
    often = [*loader, *((x[:7], y[:7]) for _ in range(MIN_REPEATS))]
    losses = []
    for jit in (False, True):
        model = kt.Model(network())
        model.compile("sgd", "cross_entropy", jit_compile=jit)
        model.trainer.register_listener((said := []).append)
        curves = model.fit(lambda: iter(loader), epochs=MIN_REPEATS + 2, verbose=0).history["loss"]
        assert len(said) == (2 if jit else 0)
        more = model.fit(lambda: iter(often), epochs=2, verbose=0).history["loss"]
        losses.append([*curves, *more])
        assert len(said) == (4 if jit else 0)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_shape_that_is_faster_uncompiled_leaves_the_others_compiled():
    model, _ = trained(network, "sgd", jit=True, epochs=1)
    compiled = model.trainer.compiled_step
    (main,) = compiled._steps
    compiled._fall_back_for("another", "it is slower")
    assert compiled.fallback_reason is None
    assert compiled._steps["another"] == compiled._run_eager
    compiled._steps.pop("another")
    with pytest.warns(UserWarning, match="jit_compile: training continues uncompiled: it is slower"):
        compiled._fall_back_for(main, "it is slower")
    assert compiled.fallback_reason == "it is slower"


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_sample_weights_and_ignored_classes_count_as_in_eager_mode(weighted):
    x, y = data()
    y[::7] = 0 if weighted else -100
    weight = torch.rand(len(y), generator=torch.Generator().manual_seed(3)) if weighted else None
    found = []
    for jit in (False, True):
        model = kt.Model(network())
        model.compile("sgd", nn.CrossEntropyLoss(), jit_compile=jit, steps_per_execution=2)
        torch.manual_seed(1)
        found.append(model.fit(x, y, sample_weight=weight, verbose=0, epochs=2).history["loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


class Weighted:
    """A loss that is an object with a number."""

    def __init__(self):
        self.beta = 1.0

    def __call__(self, y_true, y_pred):
        return self.beta * nn.functional.cross_entropy(y_pred, y_true)


def test_a_number_in_a_loss_object_may_change_between_epochs():
    class Raise(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            loss.beta *= 10

    curves = []
    for jit in (False, True):
        loss = Weighted()
        model = kt.Model(network())
        model.compile("sgd", loss, jit_compile=jit)
        torch.manual_seed(1)
        curves.append(model.fit(*data(), epochs=2, verbose=0, callbacks=[Raise()]).history["loss"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)


def test_any_callable_may_be_a_batch_hook():
    heard = {}
    callback = kt.callbacks.LambdaCallback(on_train_batch_end=heard.__setitem__)
    model = kt.Model(network())
    model.compile("sgd", "cross_entropy", jit_compile=True)
    model.fit(*data(70), verbose=0, callbacks=[callback])
    assert list(heard) == [0, 1, 2]


# --- what cannot be compiled --------------------------------------------------------------------------------------


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Linear(6, 2)

    def forward(self, x):
        return self.one(x) if x.sum() > 0 else -self.one(x)


class Draws(Branches):
    def forward(self, x):
        return self.one(x) * (0.5 if random.random() < 0.5 else 1.0)


class Counts(Branches):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return self.one(x) / self.calls


class Keeps(Branches):
    last = None

    def forward(self, x):
        self.last = self.one(x)
        return self.last


class Listed(Branches):
    """Charges for a weight that it finds in a list."""

    def __init__(self):
        super().__init__()
        self.charged = [self.one.weight]

    def forward(self, x):
        return self.one(x) + self.charged[0].square().sum()


class Own(kt.Model):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Linear(6, 2)

    def forward(self, x):
        return self.one(x)

    def train_step(self, batch):
        found = super().train_step(batch)
        self.optimizer.param_groups[0]["lr"] *= 0.9
        return found


class Counting(torch.optim.SGD):
    """Counts its steps in Python, and goes by it."""

    def step(self, closure=None):
        self.steps = getattr(self, "steps", 0) + 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.steps
        return super().step(closure)


def uncompiled(make, optimizer, cause, **fit):
    """What jit_compile=True gives where it falls back is what eager training gives."""
    found = []
    for jit in (False, True):
        module = make()
        model = module if isinstance(module, kt.Model) else kt.Model(module)
        made = optimizer(model.parameters()) if type(optimizer).__name__ == "function" else optimizer
        model.compile(made, "cross_entropy", jit_compile=jit)
        torch.manual_seed(1)
        random.seed(0)
        x, y = data(100)
        if jit:
            with pytest.warns(UserWarning, match="jit_compile: training continues uncompiled: ") as caught:
                history = model.fit(x, y, epochs=2, verbose=0, **fit)
            messages = [str(one.message) for one in caught if "jit_compile" in str(one.message)]
            assert len(messages) == 1
            assert re.search(cause, messages[0])
        else:
            history = model.fit(x, y, epochs=2, verbose=0, **fit)
        found.append((model, history.history))
    for one, other in zip(found[0][0].parameters(), found[1][0].parameters(), strict=True):
        assert torch.equal(one, other)
    assert found[0][1] == found[1][1]
    return found[1][0]


def test_a_forward_that_looks_at_values_is_not_compiled():
    uncompiled(Branches, "adam", "data-dependent|Could not guard|data dependent")


def test_a_forward_that_draws_from_pythons_random_numbers_is_not_compiled():
    uncompiled(Draws, "adam", "random numbers from Python")


def test_a_forward_that_counts_its_calls_is_not_compiled():
    model = uncompiled(Counts, "adam", "Counts changes its attribute 'calls'")
    assert model.module_viewed.calls == 8


def test_a_forward_that_keeps_a_tensor_is_not_compiled_and_keeps_a_real_one():
    model = uncompiled(Keeps, "adam", "Keeps changes its attribute 'last'")
    assert type(model.module_viewed.last) is torch.Tensor


def test_an_optimizer_that_asks_for_the_loss_again_is_not_compiled():
    uncompiled(network, lambda p: torch.optim.LBFGS(p, max_iter=3), "LBFGS asks for the loss several times")


def test_accumulated_gradients_are_not_compiled():
    uncompiled(network, kt.optimizers.Adam(gradient_accumulation_steps=2), "gradient_accumulation_steps")


def test_an_optimizer_with_hooks_of_the_users_own_is_not_compiled():
    def optimizer(parameters):
        made = torch.optim.Adam(parameters)
        made.register_step_post_hook(lambda *_: None)
        return made

    uncompiled(network, optimizer, "step hooks of your own")


def test_a_train_step_of_ones_own_is_not_compiled():
    uncompiled(Own, lambda p: torch.optim.SGD(p, lr=0.1), "Own.train_step is your own")


def test_an_optimizer_that_is_not_torchs_is_not_compiled():
    uncompiled(network, lambda p: Counting(p, lr=0.1), "Counting is no optimizer of torch.optim")


def test_a_weight_held_in_a_list_is_not_compiled():
    uncompiled(Listed, "adam", "a weight is used that is held elsewhere|a weight is used that is held in a list")


def test_a_hook_on_a_gradient_is_not_compiled():
    def make():
        module = network()
        module[0].weight.register_hook(lambda gradient: gradient * 0.5)
        return module

    uncompiled(make, "adam", "a weight has a hook on its gradient")


def test_a_hook_on_a_module_is_not_compiled():
    def make():
        module = network()
        module[0].register_forward_hook(lambda *_: None)
        return module

    uncompiled(make, "adam", "Linear has hooks of your own")


def test_a_loss_that_counts_its_calls_is_not_compiled():
    class Growing(kt.losses.Loss):
        calls = 0

        def call(self, y_true, y_pred):
            self.calls += 1
            return (y_pred - y_true).square().mean(-1) * self.calls

    found = []
    for jit in (False, True):
        model = kt.Model(network())
        model.compile("sgd", Growing(), jit_compile=jit)
        torch.manual_seed(1)
        x, y = data(100)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.append(model.fit(x, nn.functional.one_hot(y, 2).float(), epochs=2, verbose=0).history["loss"])
        told = [str(one.message) for one in caught if "jit_compile" in str(one.message)]
        assert len(told) == jit
        assert all("Growing changes its attribute 'calls' in each call" in one for one in told)
    assert found[0] == found[1]


def test_ignored_labels_of_a_second_fit_count_nothing():
    found = []
    for jit in (False, True):
        model = kt.Model(network())
        model.compile("sgd", nn.CrossEntropyLoss(), jit_compile=jit)
        torch.manual_seed(1)
        x, y = data(13 * 32)
        model.fit(x, y, verbose=0)
        y = y.clone()
        y[::5] = -100
        y[:40] = -100
        found.append(model.fit(x, y, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_numpy_batches_of_a_generator_run_together_and_hooks_come_after_batches_of_an_odd_shape():
    x, y = (part.numpy() for part in data(16 * 32))
    batches = [(x[i : i + 32], y[i : i + 32]) for i in range(0, len(x), 32)]
    batches[3] = (batches[3][0][:5], batches[3][1][:5])
    ends, losses = [], []
    for jit in (False, True):
        hooks = Hooks()
        model = kt.Model(network())
        model.compile("sgd", "cross_entropy", jit_compile=jit, steps_per_execution=4)
        losses.append(model.fit(lambda: iter(batches), epochs=3, verbose=0, callbacks=[hooks]).history["loss"])
        ends.append(hooks.ended)
        assert len(hooks.begun) == len(hooks.ended)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert len(ends[1]) >= 3 * 4


def test_training_continues_if_the_compiler_fails(monkeypatch):
    from torch import _inductor

    def broken(*args, **kwargs):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(_inductor, "compile", broken)
    uncompiled(network, "adam", "RuntimeError: no C\\+\\+ compiler")


def test_a_graph_that_would_take_minutes_is_not_compiled(monkeypatch):
    from kerastorch.training.jit import graph_capture

    monkeypatch.setattr(graph_capture, "MAX_OPERATIONS", 10)
    uncompiled(network, "adam", "operations, which would take many minutes")


def test_an_lstm_on_the_cpu_is_not_compiled():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.rnn, self.out = nn.LSTM(2, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.rnn(x.reshape(-1, 3, 2))[0][:, -1])

    uncompiled(Last, "adam", "LSTM")


@pytest.mark.parametrize("value", ["yes", 2, None])
def test_jit_compile_is_true_false_or_auto(value):
    with pytest.raises(ValueError, match="jit_compile must be True, False or 'auto'"):
        kt.Model(network()).compile("adam", "mse", jit_compile=value)


@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_steps_per_execution_is_a_number_or_auto(value):
    with pytest.raises((ValueError, TypeError), match="steps_per_execution"):
        kt.Model(network()).compile("adam", "mse", steps_per_execution=value)


def test_the_compiler_is_not_imported_unless_asked_for():
    code = (
        "import sys, torch, kerastorch as kt\n"
        "m = kt.Model(torch.nn.Linear(2, 1)); m.compile('adam', 'mse')\n"
        "m.fit(torch.zeros(8, 2), torch.zeros(8, 1), verbose=0)\n"
        "assert 'torch._inductor.compile_fx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the parts ----------------------------------------------------------------------------------------------------


def test_batches_of_one_shape_are_grouped_and_the_others_come_alone():
    sizes = [4, 4, 4, 4, 4, 2, 4, 4]
    stream = [Batch(torch.full((size, 1), at), torch.zeros(size), None) for at, size in enumerate(sizes)]
    found = list(group_batches(stream, 2))
    assert [len(one) if isinstance(one, BatchGroup) else 0 for one in found] == [2, 2, 0, 0, 2]
    flat = [batch for one in found for batch in (one if isinstance(one, BatchGroup) else [one])]
    assert all(a is b for a, b in zip(flat, stream, strict=True))


def test_small_weights_share_one_state_and_large_ones_keep_theirs():
    weights = [nn.Parameter(torch.randn(*shape)) for shape in ((3, 2), (3,), (SMALL + 1,))]
    optimizer = torch.optim.Adam(weights)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    before = {id(w): {k: v.clone() for k, v in optimizer.state[w].items()} for w in weights}
    joined, alone = make_buckets(optimizer, weights)
    assert [len(joined.weights), len(alone.weights)] == [2, 1]
    assert joined.state.elementwise["exp_avg"].shape == (9,)
    for weight in weights:
        for key, value in optimizer.state[weight].items():
            assert torch.equal(value, before[id(weight)][key])
    joined.state.elementwise["exp_avg"].zero_()
    assert not optimizer.state[weights[0]]["exp_avg"].any()
    assert joined.is_valid
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert not joined.is_valid


def test_the_duration_of_compiling_is_shown_with_the_progress(capsys):
    model = kt.Model(network())
    model.compile("sgd", "cross_entropy", jit_compile=True)
    x, y = data()
    model.fit(x, y, epochs=1, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "compiling the training step"
    assert re.fullmatch(r"compiled the training step in \d+\.\ds", lines[1])
    assert lines[2].startswith("Epoch 1/1 - 13 steps")
