"""Optimizers are made and stepped without importing torch's compiler, and torch is left as it was."""

import subprocess
import sys
import threading

import pytest
import torch
from torch import nn

from kerastorch.core.torch_optimizer_private import without_compiler_import

_START = """
import sys
import torch
import kerastorch as kt
x, y = torch.randn(64, 4), torch.randn(64, 1)
"""
_END = 'print("torch._dynamo" in sys.modules)'
_SCRIPTS = {
    "adam": "model.compile('adam', 'mse')",
    "metrics": "model.compile('adamw', 'mse', metrics=['mae'])",
    "hooks": "model.compile(kt.optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0, weight_decay=0.1, use_ema=True), 'mse')",
    "schedule": "model.compile(kt.optimizers.Adam(kt.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)), 'mse')",
    "compiled eager": "model.compile('rmsprop', 'mse', steps_per_execution=4)",
}


def run(script):
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize("script", _SCRIPTS.values(), ids=_SCRIPTS.keys())
def test_fit_evaluate_and_predict_import_no_compiler(script):
    model = "model = kt.Sequential([kt.layers.Dense(8, activation='relu'), kt.layers.Dropout(0.5), kt.layers.Dense(1)])"
    use = (
        "model.fit(x, y, epochs=2, verbose=0, validation_split=0.25); model.evaluate(x, y, verbose=0); model.predict(x)"
    )
    assert run("\n".join([_START, model, script, use, _END])) == ["False"]


def test_whoever_compiles_later_gets_what_torch_compiles():
    rest = """
net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
model = kt.Model(net)
model.compile("adam", "mse")
model.fit(x, y, verbose=0)
by_hand = copy.deepcopy(net)
optimizers = [torch.optim.Adam(one.parameters(), lr=0.01) for one in (net, by_hand)]
backend = importlib.import_module("torch._dynamo.testing").CompileCounter()
def step(one, optimizer):
    optimizer.zero_grad()
    nn.functional.mse_loss(one(x), y).backward()
    optimizer.step()
compiled = torch.compile(step, backend=backend)
compiled(net, optimizers[0])
step(by_hand, optimizers[1])
assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(net.parameters(), by_hand.parameters()))
print(backend.frame_count > 0)
"""
    first = "import copy, importlib\nfrom torch import nn\n"
    assert run(first + _START + rest) == ["True"]


def test_nothing_is_left_in_torch():
    code = """
from kerastorch.core.torch_optimizer_private import without_compiler_import
function = torch.optim.Optimizer.add_param_group.__wrapped__
try:
    with without_compiler_import():
        assert hasattr(function, "__dynamo_disable")
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        raise KeyError
except KeyError:
    pass
print("torch._dynamo" in sys.modules, hasattr(function, "__dynamo_disable"))
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
print("torch._dynamo" in sys.modules, hasattr(function, "__dynamo_disable"))
"""
    assert run(_START + code) == ["False", "False", "True", "True"]


def test_a_compiler_that_is_imported_meanwhile_is_used():
    code = """
from kerastorch.core.torch_optimizer_private import without_compiler_import
with without_compiler_import():
    import torch._dynamo
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
print(len(optimizer.param_groups), hasattr(torch.optim.Optimizer.add_param_group.__wrapped__, "__dynamo_disable"))
"""
    assert run(_START + code) == ["1", "False"]


def test_threads_may_make_optimizers_at_once():
    made, start = [], threading.Barrier(4)

    def make():
        start.wait()
        for _ in range(50):
            with without_compiler_import():
                made.append(torch.optim.Adam(nn.Linear(2, 1).parameters()))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [len(one.param_groups[0]["params"]) for one in made] == [2] * 200
