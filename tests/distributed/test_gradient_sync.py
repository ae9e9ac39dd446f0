"""GradientSync: means of gradients, their memory formats, and what is sent while the backward pass still runs."""

import numpy as np
import pytest
import torch
from torch import distributed, nn

from kerastorch.distribution.gradient_sync import GradientSync


def synchronised(net):
    """Return an optimizer of a network, and what averages its gradients."""
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    sync = GradientSync(net.parameters, lambda weight: False)
    sync.attach()
    return optimizer, sync


def backward(sync, loss):
    sync.begin(is_due=True)
    loss.backward()
    sync.finish()


def inputs(rank, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(rank))


def small_net(kind):
    torch.manual_seed(0)
    if kind == "channels-last":
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 2)).to(memory_format=torch.channels_last)
    net = nn.Linear(3, 2)
    if kind == "transposed":
        net.weight = nn.Parameter(torch.randn(3, 2).T)
    return nn.Linear(3, 2, dtype=torch.complex64) if kind == "complex" else net


def gradients(kind, ranks):
    """Return the mean gradients of the rows of two ranks, and whether their strides are those of the weights."""
    net = small_net(kind)
    shape = (2, 3, 5, 5) if kind == "channels-last" else (2, 3)
    dtype = next(net.parameters()).dtype
    if ranks:
        _, sync = synchronised(net)
        backward(sync, net(inputs(distributed.get_rank(), *shape).to(dtype)).abs().sum())
    else:
        (sum(net(inputs(rank, *shape).to(dtype)).abs().sum() for rank in range(2)) / 2).backward()
    same = all(weight.grad.stride() == weight.stride() for weight in net.parameters())
    return [weight.grad.numpy() for weight in net.parameters()], same


@pytest.mark.parametrize("kind", ["contiguous", "channels-last", "transposed", "complex"])
def test_gradients_are_the_means_in_the_memory_format_of_the_weights(two, kind):
    expected, _ = gradients(kind, ranks=False)
    for found, same_strides in two.run(gradients, kind, ranks=True):
        assert same_strides
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def partly_present(kind):
    """Return the gradients of weights of which rank 0 uses the first, rank 1 the second, and no rank the third."""
    dtype = torch.complex64 if kind == "complex" else torch.float32
    net = nn.ParameterList(torch.ones(2, dtype=dtype) for _ in range(3))
    _, sync = synchronised(net)
    backward(sync, (net[distributed.get_rank()] * 4.0).abs().sum())
    return [None if weight.grad is None else weight.grad.tolist() for weight in net]


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_a_gradient_of_one_rank_counts_as_zero_on_the_others_and_one_of_no_rank_stays_none(two, kind):
    assert two.run(partly_present, kind) == [[[2.0, 2.0], [2.0, 2.0], None]] * 2


def kept_gradients():
    """Return the gradient of a step before and after the next step."""
    net = nn.Linear(3, 2)
    optimizer, sync = synchronised(net)
    backward(sync, net(inputs(1, 4, 3)).sum())
    kept = net.weight.grad
    before = kept.clone()
    optimizer.zero_grad()
    backward(sync, net(inputs(2, 4, 3)).sum())
    return torch.equal(before, kept), torch.equal(before, net.weight.grad)


def test_the_next_step_leaves_gradients_that_were_kept_as_they_are(two):
    assert two.run(kept_gradients) == [(True, False)] * 2


def order_of_events():
    """Return which gradients were there when messages were sent, for three layers of 1.4 MB."""
    net = nn.Sequential(*(nn.Linear(600, 600, bias=False) for _ in range(3)))
    events = []
    for number, layer in enumerate(net):
        layer.weight.register_post_accumulate_grad_hook(lambda _, number=number: events.append(f"gradient {number}"))
    _, sync = synchronised(net)
    original = distributed.all_reduce

    def logged(tensor, *args, **kwargs):
        events.append(f"send {tensor.numel() - 1}")
        return original(tensor, *args, **kwargs)

    distributed.all_reduce = logged
    try:
        backward(sync, net(inputs(0, 2, 600)).sum())
    finally:
        distributed.all_reduce = original
    return events


def test_the_last_layers_are_sent_while_the_backward_pass_computes_the_first_ones(two):
    size = 600 * 600
    expected = ["gradient 2", f"send {size}", "gradient 1", "gradient 0"]
    for events in two.run(order_of_events):
        assert events[:4] == expected
        assert len(events) == 5  # the other two layers together


def own_backward(rank_of_backward):
    """Return the gradient at the end of a backward pass without `begin` and `finish`, and the weights after a step."""
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    optimizer, _ = synchronised(net)
    net(inputs(distributed.get_rank() if rank_of_backward is None else rank_of_backward, 4, 3)).sum().backward()
    gradient = net.weight.grad.tolist()
    optimizer.step()
    return gradient, net.weight.tolist()


def test_a_backward_pass_of_the_users_own_ends_with_the_means(two):
    first, second = two.run(own_backward, None)
    assert first == second
    whole = two.run(own_backward, 0)[0], two.run(own_backward, 1)[0]
    for found, *each in zip(first, *whole, strict=True):
        np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)


def summed_gradients():
    """Return the gradient of two backward passes in turn, after one that failed."""
    net = nn.Linear(3, 1)
    synchronised(net)

    def fail(gradient):
        raise ValueError("broken off")

    rows = inputs(distributed.get_rank(), 4, 3)
    hidden = net(rows)
    handle = net.bias.register_hook(fail)
    with pytest.raises(ValueError, match="broken off"):
        hidden.sum().backward()
    handle.remove()
    net.zero_grad()
    net(rows).sum().backward()
    net(2 * rows).sum().backward()
    return net.weight.grad.flatten().tolist()


def test_gradients_of_several_passes_are_summed(two):
    expected = sum(3 * inputs(rank, 4, 3).sum(0) for rank in range(2)) / 2
    for found in two.run(summed_gradients):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def idle_steps():
    """Return whether the optimizer has no hook to call after a backward pass of the user's."""
    from kerastorch.core.torch_optimizer_private import has_step_hooks

    net = nn.Linear(3, 1)
    optimizer, _ = synchronised(net)
    net(inputs(0, 4, 3)).sum().backward()
    return not has_step_hooks(optimizer)


def test_the_optimizer_needs_no_hook(two):
    assert two.run(idle_steps) == [True, True]
