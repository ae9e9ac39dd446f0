"""Private names of torch: what stands in for them, and that kerastorch works without them."""

import subprocess
import sys
import types

import pytest
import torch

from kerastorch.core import kernel_substitutes, torch_private

WITHOUT = """
import torch
import torch._dynamo  # which uses some of the names while it is imported
from torch.nn import init

for owner, name in (
    (torch, "_foreach_norm"), (torch, "_foreach_copy_"), (torch, "_foreach_mul_"), (torch, "_foreach_div_"),
    (torch, "_amp_foreach_non_finite_check_and_unscale_"), (torch, "_standard_gamma"),
    (torch, "_cudnn_rnn_flatten_weight"), (init, "_calculate_fan_in_and_fan_out"),
):
    delattr(owner, name)

import kerastorch as kt

net = kt.Sequential([kt.layers.Dense(4), kt.layers.Dropout(0.1), kt.layers.Dense(1)])
net.compile(kt.optimizers.SGD(0.1, clipnorm=1.0, weight_decay=0.1), "mse")
net.fit(torch.ones(8, 3), torch.ones(8), epochs=1, verbose=0, callbacks=[kt.callbacks.TerminateOnNaN()])
try:
    kt.core.torch_private.standard_gamma(torch.ones(2), generator=None)
except NotImplementedError as error:
    print(error)
"""


def test_without_private_names_of_torch_a_model_trains_and_the_rest_says_what_is_missing():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "has no torch._standard_gamma" in done.stdout


WITHOUT_MODULES = """
import sys
import torch
import torch._dynamo, torch._subclasses.fake_tensor  # which use some of the modules while they are imported

for name in ("_pytree", "_python_dispatch"):
    delattr(torch.utils, name)
    sys.modules[f"torch.utils.{name}"] = None  # an import of it raises ImportError
for name in ("_VF", "lstm", "gru", "rnn_tanh", "rnn_relu"):
    delattr(torch, name)

import kerastorch as kt

x = torch.ones(2, 3, 4)
net = kt.Sequential([kt.layers.Dense(4), kt.layers.Flatten(), kt.layers.Dense(1)])
net.compile("sgd", "mse")
net.fit(x, torch.ones(2), epochs=1, verbose=0)
symbol = kt.Input((4,))
for use in (
    lambda: net.summary(),
    lambda: kt.core.torch_private.TorchDispatchMode(),
    lambda: kt.Model(symbol, kt.layers.Dense(1)(symbol)),
    *(lambda layer=layer: kt.Sequential([layer]).predict(x, verbose=0) for layer in (
        kt.layers.LSTM(2), kt.layers.GRU(2), kt.layers.SimpleRNN(2), kt.layers.SimpleRNN(2, activation="relu"),
    )),
):
    try:
        use()
    except (NotImplementedError, ValueError) as error:
        print(str(error).splitlines()[0])
    else:
        print("works")
"""


def test_without_private_modules_and_recurrent_kernels_of_torch_each_use_says_what_is_missing():
    done = subprocess.run([sys.executable, "-c", WITHOUT_MODULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    dispatch = "torch.utils._python_dispatch.TorchDispatchMode"
    kernels = ["torch.lstm", "torch.gru", "torch.rnn_tanh", "torch.rnn_relu"]
    expected = [dispatch, dispatch, "torch.utils._pytree", *kernels]
    lines = done.stdout.splitlines()
    assert len(lines) == len(expected), lines
    for line, name in zip(lines, expected, strict=True):
        assert f"has no {name}, which" in line


def test_a_recurrent_kernel_that_torch_lacks_is_named(monkeypatch):
    monkeypatch.setattr(torch, "_VF", types.ModuleType("torch._VF"))
    with pytest.raises(NotImplementedError, match=r"has no torch\._VF\.lstm, which"):
        torch_private.rnn_kernel("lstm")


def _some(dtype=torch.float32):
    drawn = torch.Generator().manual_seed(0)
    return [torch.randn(3, generator=drawn).to(dtype), torch.randn(2, 4, generator=drawn).to(dtype)]


@pytest.mark.parametrize("order", [1, 2, float("inf")])
def test_the_loop_over_norms_gives_the_norms_of_the_kernel(order):
    found = kernel_substitutes.norms(_some(), order, torch.float64)
    expected = torch_private.foreach_norm(_some(), order, torch.float64)
    torch.testing.assert_close(found, list(expected))


@pytest.mark.parametrize("factors", [0.5, [0.5, 2.0]])
def test_the_loop_over_products_gives_the_products_of_the_kernel(factors):
    found, expected = _some(), _some()
    kernel_substitutes.mul_(found, factors)
    torch_private.foreach_mul_(expected, factors)
    torch.testing.assert_close(found, expected)


def test_the_loops_over_quotients_and_copies_do_what_the_kernels_do():
    found, expected = _some(), _some()
    kernel_substitutes.div_(found, 3.0)
    torch_private.foreach_div_(expected, 3.0)
    torch.testing.assert_close(found, expected)
    kernel_substitutes.copy_(found, _some())
    torch.testing.assert_close(found, _some())


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_the_loop_that_unscales_finds_what_the_kernel_finds(bad):
    outcomes = []
    for unscale in (kernel_substitutes.unscale_, torch_private.foreach_unscale_):
        grads, found = _some(), torch.zeros(())
        if bad is not None:
            grads[1][0, 0] = bad
        unscale(grads, found, torch.tensor(0.5))
        outcomes.append([*grads, found])
    torch.testing.assert_close(*outcomes, equal_nan=True)


@pytest.mark.parametrize("shape", [(2, 3), (4, 3, 5), (4, 3, 5, 7)])
def test_the_fans_are_those_of_torch(shape):
    weight = torch.empty(shape)
    assert kernel_substitutes.fans(weight) == torch_private.calculate_fan_in_and_fan_out(weight)
