"""The step hook ScheduledRate, on optimizers of torch in a loop of one's own."""

import pytest
import torch

from kerastorch.optimizers.scheduled_rate import ScheduledRate, scheduled_rate, step_count
from kerastorch.optimizers.schedules import CosineDecay, ExponentialDecay, LearningRateSchedule


def make_weight(value=1.0):
    return torch.nn.Parameter(torch.tensor([value], dtype=torch.float64))


def make_optimizer(kind=torch.optim.SGD, schedule=None, **options):
    schedule = schedule or ExponentialDecay(0.1, 1, 0.5)
    optimizer = kind([make_weight()], lr=schedule(0), **options)
    optimizer.register_step_pre_hook(ScheduledRate({0: schedule}))
    return optimizer


def step(optimizer, gradient=1.0):
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = torch.full_like(weight, gradient)
    optimizer.step()


def test_each_step_has_the_rate_of_its_number():
    optimizer = make_optimizer()
    weight = optimizer.param_groups[0]["params"][0]
    expected = 1.0
    for number in range(5):
        step(optimizer)
        expected -= 0.1 * 0.5**number
        assert weight.item() == expected
        assert optimizer.param_groups[0]["lr"] == 0.1 * 0.5**number
    assert step_count(optimizer) == 5


def test_groups_have_schedules_of_their_own_or_keep_their_rate():
    weights = [make_weight() for _ in range(3)]
    optimizer = torch.optim.SGD([{"params": [weight], "lr": 0.5} for weight in weights])
    optimizer.register_step_pre_hook(ScheduledRate({0: ExponentialDecay(0.1, 1, 0.5), 2: CosineDecay(0.2, 2)}))
    for _ in range(3):
        step(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.5, 0.0]
    assert [weight.item() for weight in weights] == pytest.approx([1 - 0.175, -0.5, 1 - 0.3], rel=1e-15)


def test_the_count_is_in_the_state_dict_and_continues_after_loading():
    optimizer, other = make_optimizer(), make_optimizer()
    for _ in range(3):
        step(optimizer)
    other.load_state_dict(optimizer.state_dict())
    assert step_count(other) == 3
    step(other)
    assert other.param_groups[0]["lr"] == 0.1 * 0.5**3


def test_a_state_dict_without_a_count_starts_the_schedule_again():
    optimizer = make_optimizer()
    step(optimizer)
    optimizer.load_state_dict(torch.optim.SGD([make_weight()], lr=7.0).state_dict())
    step(optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_rate_that_is_a_tensor_is_changed_in_place():
    rate = torch.tensor(0.1)
    optimizer = torch.optim.Adam([make_weight()], lr=rate)
    optimizer.register_step_pre_hook(ScheduledRate({0: ExponentialDecay(0.25, 1, 0.5)}))
    step(optimizer)
    step(optimizer)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.125


def test_rates_can_be_set_without_counting_a_step():
    optimizer = make_optimizer()
    step(optimizer)
    hook = scheduled_rate(optimizer)
    hook.set_rates(optimizer)
    hook.set_rates(optimizer)
    assert (optimizer.param_groups[0]["lr"], step_count(optimizer)) == (0.05, 1)


def test_an_optimizer_without_a_schedule_has_no_hook():
    assert scheduled_rate(torch.optim.SGD([make_weight()], lr=0.1)) is None


def test_a_step_that_a_grad_scaler_skips_is_not_counted():
    optimizer = make_optimizer()
    optimizer._step_supports_amp_scaling = False
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    weight = optimizer.param_groups[0]["params"][0]
    for number, gradient in enumerate([1.0, float("inf"), 1.0]):
        weight.grad = None
        scaler.scale((weight * gradient).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert step_count(optimizer) == [1, 1, 2][number]
    assert weight.item() == 1 - 0.1 - 0.05


def test_a_schedule_of_your_own_gets_the_step_as_an_integer_tensor():
    seen = []

    class Own(LearningRateSchedule):
        def __call__(self, step):
            seen.append(step)
            return torch.rsqrt(step + 4.0)

    optimizer = torch.optim.SGD([make_weight()], lr=0.5)
    optimizer.register_step_pre_hook(ScheduledRate({0: Own()}))
    step(optimizer)
    step(optimizer)
    assert [(one.dtype, one.shape, int(one)) for one in seen] == [(torch.int64, (), 0), (torch.int64, (), 1)]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5**-0.5)


@pytest.mark.parametrize("result", [-0.1, float("nan"), None, torch.ones(2), "fast"])
def test_a_schedule_that_returns_no_rate_is_named(result):
    class Broken(LearningRateSchedule):
        def __call__(self, step):
            return result

    optimizer = make_optimizer()
    scheduled_rate(optimizer).schedules[0] = Broken()
    with pytest.raises(ValueError, match="Broken: the learning rate of step 0 must be a finite number >= 0"):
        step(optimizer)
