"""Losses of torch, by name and as objects: they mean what torch means, weighted or not."""

import copy
import functools
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import losses
from kerastorch.losses.torch_losses import FUNCTIONS, MODULES

N, CLASSES = 9, 4


def _normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _labels(*shape, top=CLASSES, seed=2):
    return torch.randint(0, top, shape, generator=torch.Generator().manual_seed(seed))


def _values():
    return _normal(N, 3), _normal(N, 3, seed=1)


def _classes():
    return _normal(N, CLASSES), _labels(N)


def _log_classes():
    return _normal(N, CLASSES).log_softmax(1), _labels(N)


def _soft_classes():
    return _normal(N, CLASSES), _normal(N, CLASSES, seed=1).softmax(1)


def _pixels():
    return _normal(N, CLASSES, 2, 3), _labels(N, 2, 3)


def _yes_no():
    return _normal(N, 3), _labels(N, 3, top=2).double()


def _yes_no_probabilities():
    return _normal(N, 3).sigmoid(), _labels(N, 3, top=2).double()


def _distributions():
    return _normal(N, CLASSES).log_softmax(1), _normal(N, CLASSES, seed=1).softmax(1)


def _log_distributions():
    return _normal(N, CLASSES).log_softmax(1), _normal(N, CLASSES, seed=1).log_softmax(1)


def _counts():
    return _normal(N, 3), _labels(N, 3).double()


def _signs():
    return _normal(N, 3), _normal(N, 3, seed=1).sign()


def _label_sets():
    # the numbers of the classes that apply, then -1
    return _normal(N, CLASSES), torch.tensor([[2, 0, -1, 1], [1, -1, 0, 0], [3, 2, 1, -1]] * 3)


BY_CLASS = {
    nn.L1Loss: _values,
    nn.MSELoss: _values,
    nn.SmoothL1Loss: _values,
    nn.HuberLoss: _values,
    nn.CrossEntropyLoss: _classes,
    nn.NLLLoss: _log_classes,
    nn.BCELoss: _yes_no_probabilities,
    nn.BCEWithLogitsLoss: _yes_no,
    nn.KLDivLoss: _distributions,
    nn.PoissonNLLLoss: _counts,
    nn.SoftMarginLoss: _signs,
    nn.HingeEmbeddingLoss: _signs,
    nn.MultiLabelSoftMarginLoss: _yes_no,
    nn.MultiLabelMarginLoss: _label_sets,
    nn.MultiMarginLoss: _classes,
}
NAMES = MODULES | FUNCTIONS

CLASS_WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 0.7], dtype=torch.float64)
# the mean of KLDivLoss is not that of divergences, and torch warns of it
quiet = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")

INSTANCES = {
    "plain": (nn.CrossEntropyLoss(), _classes),
    "class-weights": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS), _classes),
    "ignore-index": (nn.CrossEntropyLoss(ignore_index=2), _classes),
    "smoothing": (nn.CrossEntropyLoss(label_smoothing=0.1), _classes),
    "weights-and-ignore": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, ignore_index=1), _classes),
    "all-three": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, ignore_index=1, label_smoothing=0.2), _classes),
    "smoothing-and-weights": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, label_smoothing=0.2), _classes),
    "sum": (nn.CrossEntropyLoss(reduction="sum"), _classes),
    "sum-weights-ignore": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, ignore_index=0, reduction="sum"), _classes),
    "pixels": (nn.CrossEntropyLoss(), _pixels),
    "pixels-weights-ignore": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, ignore_index=3), _pixels),
    "soft-targets": (nn.CrossEntropyLoss(), _soft_classes),
    "soft-targets-weights": (nn.CrossEntropyLoss(weight=CLASS_WEIGHTS, label_smoothing=0.1), _soft_classes),
    "nll": (nn.NLLLoss(), _log_classes),
    "nll-weights-ignore": (nn.NLLLoss(weight=CLASS_WEIGHTS, ignore_index=0), _log_classes),
    "nll-sum": (nn.NLLLoss(reduction="sum"), _log_classes),
    "bce-logits-pos-weight": (nn.BCEWithLogitsLoss(pos_weight=CLASS_WEIGHTS[:3]), _yes_no),
    "bce-logits-weight": (nn.BCEWithLogitsLoss(weight=CLASS_WEIGHTS[:3]), _yes_no),
    "bce-sum": (nn.BCELoss(reduction="sum"), _yes_no_probabilities),
    "l1-sum": (nn.L1Loss(reduction="sum"), _values),
    "mse": (nn.MSELoss(), _values),
    "smooth-l1-beta": (nn.SmoothL1Loss(beta=0.3), _values),
    "huber-delta": (nn.HuberLoss(delta=0.3), _values),
    "poisson-full": (nn.PoissonNLLLoss(full=True), _counts),
    "kl-batchmean": (nn.KLDivLoss(reduction="batchmean"), _distributions),
    "kl-log-target": (nn.KLDivLoss(reduction="sum", log_target=True), _log_distributions),
    "soft-margin": (nn.SoftMarginLoss(), _signs),
    "hinge-embedding": (nn.HingeEmbeddingLoss(margin=0.5), _signs),
    "multi-margin": (nn.MultiMarginLoss(p=2, weight=CLASS_WEIGHTS), _classes),
    "multilabel-margin": (nn.MultiLabelMarginLoss(), _label_sets),
    "multilabel-soft-margin": (nn.MultiLabelSoftMarginLoss(weight=CLASS_WEIGHTS[:3]), _yes_no),
}
each_instance = pytest.mark.parametrize(("module", "data"), INSTANCES.values(), ids=list(INSTANCES))


def _same(mine, theirs, outputs):
    torch.testing.assert_close(mine, theirs)
    for one, other in zip(*(torch.autograd.grad(loss, outputs) for loss in (mine, theirs)), strict=True):
        torch.testing.assert_close(one, other)


def test_every_class_has_a_row_in_these_tests():
    assert set(NAMES.values()) == set(BY_CLASS)


@quiet
@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_a_name_is_the_class_of_torch(name, kind):
    outputs, y = BY_CLASS[kind]()
    outputs.requires_grad_()
    _same(losses.get(name)(y, outputs), kind()(outputs, y), outputs)


@quiet
@pytest.mark.parametrize("kind", BY_CLASS)
def test_the_class_its_name_and_an_instance_are_one(kind):
    outputs, y = BY_CLASS[kind]()
    wanted = kind()(outputs, y)
    for same in (kind.__name__, kind, kind(), functools.partial(kind)):
        torch.testing.assert_close(losses.get(same)(y, outputs), wanted)


@quiet
@each_instance
def test_an_instance_is_that_loss_of_torch_with_its_gradient(module, data):
    outputs, y = data()
    outputs.requires_grad_()
    _same(losses.get(module)(y, outputs), module(outputs, y), outputs)


@quiet
@each_instance
def test_sample_weights_of_one_change_nothing(module, data):
    outputs, y = data()
    outputs.requires_grad_()
    _same(losses.get(module)(y, outputs, torch.ones(N)), module(outputs, y), outputs)


@quiet
@each_instance
def test_a_whole_weight_is_so_many_copies_of_its_sample(module, data):
    outputs, y = data()
    times = torch.tensor([2, 1, 0, 3, 1, 0, 1, 2, 4])
    mean, total = copy.copy(module), copy.copy(module)
    mean.reduction, total.reduction = module.reduction, "sum"
    # weights change the sum and leave what the mean divides by
    per_sum = mean(outputs, y) / total(outputs, y)
    repeated = total(outputs.repeat_interleave(times, 0), y.repeat_interleave(times, 0))
    torch.testing.assert_close(losses.get(module)(y, outputs, times), per_sum * repeated)


@quiet
@each_instance
def test_the_sum_of_weighted_parts_is_linear_in_the_weights(module, data):
    outputs, y = data()
    loss = losses.get(module)
    one, two = _normal(N, seed=3).abs(), _normal(N, seed=4).abs()
    torch.testing.assert_close(
        loss(y, outputs, one + 2 * two), loss(y, outputs, one) + 2 * loss(y, outputs, two), rtol=1e-6, atol=1e-9
    )


@quiet
@pytest.mark.parametrize(
    "name", [name for name, (module, _) in INSTANCES.items() if module.reduction in ("mean", "batchmean")]
)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_batches_averaged_by_their_counts_are_the_loss_of_the_whole(name, weighted):
    module, data = INSTANCES[name]
    outputs, y = data()
    weight = torch.arange(1.0, N + 1, dtype=torch.float64) if weighted else None
    loss = losses.get(module)
    total = count = 0.0
    for rows in (slice(0, 4), slice(4, 8), slice(8, 9)):
        part = None if weight is None else weight[rows]
        n = float(loss.count(y[rows], part))
        if n:
            total, count = total + n * float(loss(y[rows], outputs[rows], part)), count + n
    assert total / count == pytest.approx(float(loss(y, outputs, weight)))


@pytest.mark.parametrize("module", [nn.CrossEntropyLoss(ignore_index=2), nn.NLLLoss(CLASS_WEIGHTS, ignore_index=2)])
def test_the_weights_of_ignored_samples_do_not_matter(module):
    outputs, y = _log_classes()
    loss = losses.get(module)
    weight = torch.ones(N)
    assert (y == 2).any()
    torch.testing.assert_close(loss(y, outputs, weight.where(y != 2, 100.0)), loss(y, outputs, weight))


# shapes and targets


ELEMENTWISE = [
    nn.L1Loss,
    nn.MSELoss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.PoissonNLLLoss,
    nn.KLDivLoss,
    nn.SoftMarginLoss,
    nn.HingeEmbeddingLoss,
]


@quiet
@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_a_trailing_axis_of_one_may_come_or_go(kind):
    outputs, y = (part[:, 0] for part in BY_CLASS[kind]())
    wanted = kind()(outputs, y)
    torch.testing.assert_close(losses.get(kind)(y, outputs[:, None]), wanted)
    torch.testing.assert_close(losses.get(kind)(y[:, None], outputs), wanted)


@quiet
@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_a_loss_is_never_broadcast(kind):
    outputs, y = (part[:3] for part in BY_CLASS[kind]())
    with pytest.raises(ValueError, match="never broadcasts a loss"):
        losses.get(kind)(y[:, 0], outputs[:, :3])


@pytest.mark.parametrize("kind", [nn.MSELoss, nn.BCEWithLogitsLoss, nn.SoftMarginLoss])
def test_whole_targets_become_floats_where_the_loss_wants_floats(kind):
    outputs, y = _yes_no()
    torch.testing.assert_close(losses.get(kind)(y.long(), outputs), kind()(outputs, y))
    torch.testing.assert_close(losses.get(kind)(y.float(), outputs), kind()(outputs, y))


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss])
def test_class_numbers_may_be_of_any_dtype_and_in_a_column(kind):
    outputs, y = _log_classes()
    wanted = kind()(outputs, y)
    for same in (y.int(), y.to(torch.uint8), y.float(), y[:, None]):
        torch.testing.assert_close(losses.get(kind)(same, outputs), wanted)


def test_one_hot_floats_are_class_probabilities_to_cross_entropy():
    outputs, y = _classes()
    one_hot = F.one_hot(y, CLASSES).float()
    torch.testing.assert_close(losses.get("cross_entropy")(one_hot, outputs), F.cross_entropy(outputs, y))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_one_hot_targets_are_refused_by_nll_loss(dtype):
    outputs, y = _log_classes()
    with pytest.raises(ValueError, match="nll_loss: y looks one-hot"):
        losses.get("nll_loss")(F.one_hot(y, CLASSES).to(dtype), outputs)


@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss(), "nll_loss"])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 4], r"y\[2\] = 4, but the model has 4 outputs"),
        ([1, 2, 4], r"Labels starting at 1\? Use y - 1"),
        ([0, -1, 2], r"y\[1\] = -1"),
    ],
)
def test_class_numbers_out_of_range_are_refused(loss, y, message):
    with pytest.raises(ValueError, match=message):
        losses.get(loss).check(torch.tensor(y), torch.zeros(3, CLASSES))


def test_minus_100_is_ignored_where_torch_was_asked_and_refused_by_name():
    y = torch.tensor([0, -100, 2])
    losses.get(nn.CrossEntropyLoss()).check(y, torch.zeros(3, CLASSES))
    losses.get(nn.CrossEntropyLoss(ignore_index=-100)).check(y, torch.zeros(3, CLASSES))
    with pytest.raises(ValueError, match=r"y\[1\] = -100"):
        losses.get("cross_entropy").check(y, torch.zeros(3, CLASSES))


@pytest.mark.parametrize("name", ["bce", "bce_with_logits", "multilabel_soft_margin_loss"])
def test_targets_of_yes_or_no_outside_the_unit_interval_are_refused(name):
    with pytest.raises(ValueError, match=r"needs targets in \[0, 1\]; found 2 at y\[1\]"):
        losses.get(name).check(torch.tensor([[1.0], [2.0]]), torch.full((2, 1), 0.5))


@pytest.mark.parametrize(
    ("given", "task", "from_logits"),
    [
        ("cross_entropy", "multiclass", True),
        ("nll_loss", "multiclass", False),
        ("bce", "binary", False),
        ("bce_with_logits", "binary", True),
        (F.binary_cross_entropy_with_logits, "binary", True),
        (nn.MSELoss(), "regression", False),
        (lambda outputs, y: (outputs - y).mean(), None, False),
    ],
)
def test_a_loss_knows_its_task_and_whether_it_takes_logits(given, task, from_logits):
    loss = losses.get(given)
    assert (loss.task, loss.from_logits) == (task, from_logits)


# functions


PARTIALS = {
    "cross_entropy": (functools.partial(F.cross_entropy), _classes),
    "cross_entropy-weight": (functools.partial(F.cross_entropy, weight=CLASS_WEIGHTS), _classes),
    "cross_entropy-all": (
        functools.partial(F.cross_entropy, weight=CLASS_WEIGHTS, ignore_index=0, label_smoothing=0.1),
        _classes,
    ),
    "nll-sum": (functools.partial(F.nll_loss, reduction="sum"), _log_classes),
    "bce": (functools.partial(F.binary_cross_entropy, weight=CLASS_WEIGHTS[:3]), _yes_no_probabilities),
    "bce-logits": (functools.partial(F.binary_cross_entropy_with_logits, pos_weight=CLASS_WEIGHTS[:3]), _yes_no),
    "huber": (functools.partial(F.huber_loss, delta=0.2), _values),
    "smooth_l1": (functools.partial(F.smooth_l1_loss, beta=0.2), _values),
    "mse": (functools.partial(F.mse_loss), _values),
    "mse-weight": (functools.partial(F.mse_loss, weight=_normal(N, 3, seed=5).abs()), _values),
    "l1": (functools.partial(F.l1_loss), _values),
    "poisson": (functools.partial(F.poisson_nll_loss, log_input=False), lambda: (_normal(N, 3).exp(), _counts()[1])),
    "kl": (functools.partial(F.kl_div, reduction="batchmean"), _distributions),
    "nested": (functools.partial(functools.partial(F.huber_loss, delta=0.2), reduction="sum"), _values),
}


@pytest.mark.parametrize(("function", "data"), PARTIALS.values(), ids=list(PARTIALS))
def test_a_partial_of_a_function_of_torch_is_that_function(function, data):
    outputs, y = data()
    torch.testing.assert_close(losses.get(function)(y, outputs), function(outputs, y))


@pytest.mark.parametrize("name", sorted(set(PARTIALS) - {"mse-weight"}))
def test_a_partial_of_a_function_of_torch_takes_sample_weights(name):
    function, data = PARTIALS[name]
    outputs, y = data()
    torch.testing.assert_close(losses.get(function)(y, outputs, torch.ones(N)), function(outputs, y))


@quiet
@pytest.mark.parametrize(
    ("function", "data"),
    [
        (F.cross_entropy, _classes),
        (F.nll_loss, _log_classes),
        (F.binary_cross_entropy, _yes_no_probabilities),
        (F.binary_cross_entropy_with_logits, _yes_no),
        (F.mse_loss, _values),
        (F.l1_loss, _values),
        (F.smooth_l1_loss, _values),
        (F.huber_loss, _values),
        (F.kl_div, _distributions),
        (F.poisson_nll_loss, _counts),
        (F.soft_margin_loss, _signs),
        (F.multi_margin_loss, _classes),
    ],
)
def test_a_function_of_torch_is_itself(function, data):
    outputs, y = data()
    loss = losses.get(function)
    torch.testing.assert_close(loss(y, outputs), function(outputs, y))
    assert loss.name == function.__name__


def test_a_partial_of_a_class_makes_it_with_those_arguments():
    outputs, y = _classes()
    loss = losses.get(functools.partial(nn.CrossEntropyLoss, label_smoothing=0.3))
    torch.testing.assert_close(loss(y, outputs), F.cross_entropy(outputs, y, label_smoothing=0.3))


class _TorchOrder(nn.Module):
    def forward(self, outputs, y):
        return (outputs - 2 * y).abs().mean()


class _KerasOrder(nn.Module):
    def forward(self, y_true, y_pred):
        return (y_pred - 2 * y_true).abs().mean()


def _torch_order(outputs, y):
    return (outputs - 2 * y).abs().mean()


def _keras_order(y_true, y_pred):
    return (y_pred - 2 * y_true).abs().mean()


def _keras_order_each(y_true, y_pred):
    return (y_pred - 2 * y_true).abs().mean(-1)


@pytest.mark.parametrize("loss", [_torch_order, _keras_order, _TorchOrder(), _KerasOrder(), _TorchOrder, _KerasOrder])
def test_a_callable_is_called_in_keras_order_where_its_first_parameter_is_y_true(loss):
    outputs, y = _values()
    torch.testing.assert_close(losses.get(loss)(y, outputs), _torch_order(outputs, y))


def test_a_callable_in_keras_order_may_give_one_value_a_sample():
    outputs, y = _values()
    each = (outputs - 2 * y).abs().mean(-1)
    weight = _normal(N, seed=6).abs()
    loss = losses.get(_keras_order_each)
    torch.testing.assert_close(loss(y, outputs), each.mean())
    torch.testing.assert_close(loss(y, outputs, weight), (each * weight).mean())


def test_a_callable_in_torchs_order_may_give_one_value_a_sample_where_there_are_weights():
    outputs, y = _values()
    weight = _normal(N, seed=6).abs()
    loss = losses.get(lambda outputs, y: (outputs - y).square().mean(-1))
    torch.testing.assert_close(loss(y, outputs, weight), ((outputs - y).square().mean(-1) * weight).mean())


@pytest.mark.parametrize("loss", [_torch_order, _keras_order, _TorchOrder(), _KerasOrder()])
def test_a_scalar_cannot_be_weighted_by_sample(loss):
    outputs, y = _values()
    with pytest.raises(ValueError, match=r"returns a scalar; .*one value"):
        losses.get(loss)(y, outputs, torch.ones(N))


@pytest.mark.parametrize("loss", [nn.MSELoss(reduction="none"), lambda outputs, y: outputs - y])
def test_a_loss_that_is_no_scalar_is_refused(loss):
    outputs, y = _values()
    with pytest.raises(ValueError, match=r"must return a scalar tensor, got shape \(9, 3\). Use reduction='mean'"):
        losses.get(loss)(y, outputs)


@pytest.mark.parametrize(
    "loss", [lambda outputs, y: 1.0, lambda outputs, y: None, lambda outputs, y: (outputs.mean(), y.mean())]
)
def test_a_loss_that_is_no_tensor_is_refused(loss):
    outputs, y = _values()
    with pytest.raises(TypeError, match="must return a tensor, got"):
        losses.get(loss)(y, outputs)


def test_a_callable_that_cannot_be_hashed_is_a_loss():
    @dataclass
    class Scaled:
        factor: float

        def __call__(self, y_true, y_pred):
            return self.factor * (y_true - y_pred).square().mean(-1)

    outputs, y = _values()
    torch.testing.assert_close(losses.get(Scaled(3.0))(y, outputs), 3 * F.mse_loss(outputs, y))


def test_a_class_that_needs_arguments_is_to_be_passed_as_an_instance():
    class Needy(nn.Module):
        def __init__(self, factor):
            super().__init__()

    with pytest.raises(TypeError, match="needs arguments; pass an instance"):
        losses.get(Needy)


# who owns the module


def test_a_module_is_copied_so_that_two_models_never_share_it():
    module = nn.CrossEntropyLoss(weight=CLASS_WEIGHTS.clone())
    loss, other = losses.get(module), losses.get(module)
    outputs, y = _classes()
    before = loss(y, outputs)
    module.weight.mul_(torch.tensor([9.0, 1.0, 1.0, 1.0]))
    module.label_smoothing = 0.5
    assert module(outputs, y) != before
    torch.testing.assert_close(loss(y, outputs), before)
    assert loss.function is not other.function


def test_weighting_samples_leaves_the_module_as_it_was():
    outputs, y = _classes()
    loss = losses.get(nn.CrossEntropyLoss(weight=CLASS_WEIGHTS))
    before = loss(y, outputs)
    loss(y, outputs, torch.full((N,), 2.0))
    torch.testing.assert_close(loss(y, outputs), before)


def test_a_module_that_learns_is_kept_since_its_parameters_are_the_users():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, outputs, y):
            return self.scale * F.mse_loss(outputs, y)

    module = Learned()
    outputs, y = _values()
    loss = losses.get(module)
    loss(y, outputs).backward()
    assert loss.function is module
    torch.testing.assert_close(module.scale.grad, F.mse_loss(outputs, y).float())


def test_a_torch_loss_is_named_as_it_was_asked_for():
    assert losses.get("cross_entropy").name == "cross_entropy"
    assert losses.get(nn.CrossEntropyLoss()).name == "cross_entropy_loss"
    assert losses.get(functools.partial(F.huber_loss, delta=2)).name == "huber_loss"
    assert losses.get(_torch_order).name == "_torch_order"


@pytest.mark.parametrize("weighted", [False, True])
def test_images_that_are_channels_last_in_memory_learn_by_nll_loss(weighted):
    layers = [
        kt.layers.Conv2D(4, 3, padding="same", activation="tanh"),
        kt.layers.Conv2D(3, 1, activation="log_softmax"),
    ]
    model = kt.Sequential([kt.Input(shape=(2, 4, 5)), *layers])
    x, y = torch.randn(6, 2, 4, 5), torch.randint(0, 3, (6, 4, 5))
    weight = torch.rand(6) if weighted else None
    each = nn.functional.nll_loss(model(x).contiguous(), y, reduction="none").flatten(1).mean(1).detach()
    expected = (each if weight is None else each * weight).mean()
    model.compile("sgd", nn.NLLLoss())
    assert model.train_on_batch(x, y, sample_weight=weight) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("outputs", [1, 2])
def test_batches_count_classes_that_are_not_ignored_if_they_are_floats_too(outputs):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 4)

        def forward(self, x):
            return self.linear(x) if outputs == 1 else (self.linear(x), self.linear(x))

    net, x, y = Net(), torch.randn(7, 3), torch.tensor([0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 1.0])
    loss = nn.CrossEntropyLoss(ignore_index=0)
    expected = outputs * loss(net.linear(x), y.long()).item()
    model = kt.Model(net)
    model.compile("sgd", loss if outputs == 1 else [loss, loss])
    batches = [(x[:3], y[:3]), (x[3:], y[3:])]
    given = [(part, target if outputs == 1 else (target, target)) for part, target in batches]
    found = model.evaluate(lambda: iter(given), verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_an_ignored_class_beside_one_hot_targets_is_refused():
    model = kt.Model(nn.Linear(3, 4))
    model.compile("sgd", nn.CrossEntropyLoss(ignore_index=0))
    with pytest.raises(ValueError, match=r"ignore_index=0, which is for class numbers"):
        model.fit(torch.randn(8, 3), torch.eye(4)[torch.randint(0, 4, (8,))], verbose=0)
