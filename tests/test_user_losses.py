"""Losses that users write: aligned as the named ones are, in the order that their parameters say, weighted."""

import copy
import functools
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import losses
from kerastorch.losses.argument_order import argument_order

N = 24
ROWS = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
VALUES = ROWS @ torch.tensor([3.0, 0.0, -1.0])


def keras_function(y_true, y_pred):
    return ((y_true - y_pred) ** 2).mean()


def rows_in_keras_order(y_true, y_pred):
    return (y_true - y_pred) ** 2


def torch_function(output, target):
    return ((output - target) ** 2).mean()


class TorchModule(nn.Module):
    def forward(self, logits, labels):
        return ((logits - labels) ** 2).mean()


class Callable:
    def __call__(self, y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean()


class Subclass(losses.Loss):
    def call(self, y_true, y_pred):
        return (y_true - y_pred) ** 2


SQUARES = {
    "a function in Keras' order": keras_function,
    "a function of rows": rows_in_keras_order,
    "a function in torch's order": torch_function,
    "a module": TorchModule(),
    "an object that is called": Callable(),
    "a subclass of Loss": Subclass(),
    "a partial": functools.partial(keras_function),
}
each = pytest.mark.parametrize("loss", SQUARES.values(), ids=list(SQUARES))


def linear(outputs=1):
    torch.manual_seed(0)
    return nn.Linear(3, outputs)


def flat(model):
    return nn.Sequential(model, nn.Flatten(0))


def by_hand(net, y, loss, steps=3, rate=0.1):
    net = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(net(ROWS), y).backward()
        optimizer.step()
    return net


def weights_of(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def fitted(net, y, loss, data="arrays", **compiled):
    model = kt.Model(copy.deepcopy(net))
    model.compile(torch.optim.SGD(model.parameters(), 0.1), loss, **compiled)
    if data == "arrays":
        model.fit(ROWS, y, batch_size=N, epochs=3, shuffle=False, verbose=0)
    elif data == "loader":
        rows = torch.utils.data.TensorDataset(ROWS, y)
        model.fit(torch.utils.data.DataLoader(rows, N), epochs=3, verbose=0)
    else:
        for _ in range(3):
            model.train_on_batch(ROWS, y)
    return model


@each
@pytest.mark.parametrize("data", ["arrays", "loader", "train_on_batch"])
@pytest.mark.parametrize("column", [True, False])
def test_targets_without_the_column_of_the_outputs_are_never_broadcast(loss, data, column):
    net = linear() if column else flat(linear())
    y = VALUES if column else VALUES[:, None]
    wanted = by_hand(net, y.reshape(net(ROWS).shape), F.mse_loss)
    torch.testing.assert_close(weights_of(fitted(net, y, loss, data)), weights_of(wanted))


@each
def test_what_is_learned_is_what_is_evaluated_and_validated(loss):
    model = kt.Model(linear())
    model.compile("sgd", loss)
    wanted = F.mse_loss(model(ROWS)[:, 0], VALUES).item()
    assert model.evaluate(ROWS, VALUES, batch_size=5, verbose=0) == pytest.approx(wanted)
    assert model.test_on_batch(ROWS, VALUES) == pytest.approx(wanted)
    history = model.fit(ROWS[:4], VALUES[:4], validation_data=(ROWS, VALUES), verbose=0).history
    after = F.mse_loss(model(ROWS)[:, 0], VALUES).item()
    assert history["val_loss"][0] == pytest.approx(after)


@each
@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64, torch.uint8, torch.float64])
def test_targets_of_any_dtype_have_that_of_the_outputs(loss, dtype):
    y = (VALUES > 0).to(dtype)
    wanted = by_hand(linear(), y.float()[:, None], F.mse_loss)
    torch.testing.assert_close(weights_of(fitted(linear(), y, loss)), weights_of(wanted))


def test_one_minus_a_bool_target_works():
    def loss(y_true, y_pred):
        return ((1 - y_true) * y_pred).mean()

    wanted = by_hand(linear(), 1 - (VALUES > 0).float()[:, None], lambda p, y: (y * p).mean())
    torch.testing.assert_close(weights_of(fitted(linear(), VALUES > 0, loss)), weights_of(wanted))


@each
@pytest.mark.parametrize(("outputs", "columns"), [(1, 3), (3, 1)])
def test_other_shapes_are_refused(loss, outputs, columns):
    y = torch.stack([VALUES] * columns, 1)
    with pytest.raises(ValueError, match=r"never broadcasts a loss.*expand_as"):
        fitted(linear(outputs), y, loss)


def test_a_mask_of_an_image_may_lack_the_channel():
    net = nn.Conv2d(1, 1, 1)
    x = torch.randn(4, 1, 5, 5)
    y = torch.rand(4, 5, 5)
    for loss in ("mse", keras_function, torch_function):
        model = kt.Model(copy.deepcopy(net))
        model.compile("sgd", loss)
        assert model.evaluate(x, y, verbose=0) == pytest.approx(F.mse_loss(net(x)[:, 0], y).item())


def test_a_function_may_take_the_columns_of_its_outputs_apart():
    def normal(y_true, y_pred):
        mean, log_scale = y_pred[:, :1], y_pred[:, 1:]
        return (log_scale + 0.5 * ((y_true - mean) / log_scale.exp()) ** 2).mean()

    y = VALUES[:, None]
    wanted = by_hand(linear(2), y, lambda p, y: normal(y, p))
    torch.testing.assert_close(weights_of(fitted(linear(2), y, normal)), weights_of(wanted))


def test_broadcasting_may_be_meant():
    def quantiles(y_true, y_pred):
        error = y_true.expand_as(y_pred) - y_pred
        return torch.maximum(0.9 * error, -0.1 * error).mean()

    wanted = by_hand(linear(3), VALUES[:, None], lambda p, y: quantiles(y, p))
    torch.testing.assert_close(weights_of(fitted(linear(3), VALUES[:, None], quantiles)), weights_of(wanted))


@pytest.mark.parametrize(
    "loss",
    [
        lambda output, target: F.cross_entropy(output, target, label_smoothing=0.1),
        lambda y_true, y_pred: F.cross_entropy(y_pred, y_true, label_smoothing=0.1),
        lambda output, target: -(output.log_softmax(1).gather(1, target[:, None])).mean(),
    ],
)
def test_class_numbers_stay_class_numbers(loss):
    y = torch.arange(N) % 3  # as many rows as nothing else has, then as many as there are classes
    for given in (y, y.int(), y.to(torch.uint8)):
        model = fitted(linear(3), given, loss)
        smoothed = "smooth" in repr(loss.__code__.co_names) or 0.1 in loss.__code__.co_consts
        wanted = by_hand(linear(3), y, functools.partial(F.cross_entropy, label_smoothing=0.1 if smoothed else 0.0))
        torch.testing.assert_close(weights_of(model), weights_of(wanted))
    model.fit(ROWS[:3], y[:3], verbose=0)


def test_sample_weights_multiply_the_rows_of_a_function():
    weight = torch.linspace(0, 2, N)
    model = kt.Model(linear())
    model.compile("sgd", rows_in_keras_order)
    wanted = (weight * (model(ROWS)[:, 0] - VALUES) ** 2).mean().item()
    assert model.evaluate(ROWS, VALUES, sample_weight=weight, verbose=0) == pytest.approx(wanted)


# order of arguments


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ("y_true, y_pred", "keras"),
        ("true, pred", "keras"),
        ("target, output", "keras"),
        ("targets, outputs", "keras"),
        ("label, logits", "keras"),
        ("labels, probs", "keras"),
        ("y, f", "keras"),
        ("y, y_hat", "keras"),
        ("y, p", "keras"),
        ("yTrue, yPred", "keras"),
        ("a, y_pred", "keras"),
        ("input, target", "torch"),
        ("pred, true", "torch"),
        ("y_pred, y_true", "torch"),
        ("output, y", "torch"),
        ("logits, labels", "torch"),
        ("y_hat, y", "torch"),
        ("preds, target", "torch"),
        ("x, y", "torch"),
        ("i, t", "torch"),
        ("y, target", "torch"),
        ("a, b", None),
        ("y, t", None),
        ("labels, targets", None),
        ("*args", None),
        ("a, *rest", None),
    ],
)
def test_the_names_of_parameters_settle_the_order(names, order):
    assert argument_order(eval(f"lambda {names}: 0")) == order


def test_the_order_is_read_from_modules_methods_partials_and_wrapped_functions():
    class Module(nn.Module):
        def forward(self, y_true, y_pred):
            return 0

    class Object:
        def method(self, labels, scores):
            return 0

        __call__ = method

    @functools.wraps(keras_function)
    def wrapped(*args):
        return keras_function(*args)

    def pinball(q, y, f):
        return 0

    given = [Module(), Object(), Object().method, wrapped, functools.partial(pinball, 0.9), keras_function]
    assert [argument_order(one) for one in given] == ["keras"] * 6


def pinball(share):
    def loss(y, f):
        error = y - f
        return torch.maximum(share * error, -(1 - share) * error).mean()

    return loss


def swapped(share):
    def loss(prediction, actual):
        error = actual - prediction
        return torch.maximum(share * error, -(1 - share) * error).mean()

    return loss


@pytest.mark.parametrize("make", [pinball, swapped])
def test_a_quantile_loss_learns_its_quantile(make):
    y = torch.randn(400, 1, generator=torch.Generator().manual_seed(1))
    model = kt.Model(nn.Linear(1, 1, bias=False))
    model.compile(kt.optimizers.SGD(0.05), make(0.9))
    model.fit(torch.ones(400, 1), y, epochs=60, verbose=0)
    assert float((y < model.predict(np.ones((1, 1), "float32"), verbose=0).item()).float().mean()) == pytest.approx(
        0.9, abs=0.02
    )


@pytest.mark.parametrize("loss", [lambda a, b: ((a - b) ** 2).mean(), lambda *args: F.mse_loss(*args)])
def test_an_order_that_nothing_settles_is_said_once(loss):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = kt.Model(linear())
        model.compile("sgd", loss, metrics=[loss])
        model.fit(ROWS, VALUES, epochs=2, validation_split=0.5, validation_shuffle=True, verbose=0)
    said = [str(one.message) for one in found]
    assert len(said) == 2, said
    assert said[0].startswith("loss '<lambda>' is called in torch's order, (outputs, targets)")
    assert said[1].startswith("metric '<lambda>' is called in torch's order")
    assert all("(y_true, y_pred) is Keras' order" in one for one in said)


def test_torch_losses_and_named_orders_give_no_warning():
    for loss in ("mse", F.mse_loss, nn.MSELoss(), nn.L1Loss, torch_function, TorchModule(), keras_function):
        kt.Model(linear()).compile("sgd", loss)


# loss weights of one output


@pytest.mark.parametrize("given", [0.2, [0.2], (0.2,), {"out": 0.2}, np.float64(0.2)])
@pytest.mark.parametrize("loss", ["mse", keras_function, nn.MSELoss()])
def test_the_loss_weight_of_one_output_counts(given, loss):
    wanted = by_hand(linear(), VALUES[:, None], lambda p, y: 0.2 * F.mse_loss(p, y))
    model = fitted(linear(), VALUES, loss, loss_weights=given)
    torch.testing.assert_close(weights_of(model), weights_of(wanted))
    assert model.evaluate(ROWS, VALUES, verbose=0) == pytest.approx(
        0.2 * F.mse_loss(model(ROWS)[:, 0], VALUES).item(), rel=1e-5
    )


def test_the_loss_weight_of_one_output_counts_on_fused_logits():
    y = (VALUES > 0).float()[:, None]
    net = nn.Sequential(linear(), nn.Sigmoid())
    wanted = by_hand(net, y, lambda p, y: 0.3 * F.binary_cross_entropy(p, y))
    torch.testing.assert_close(
        weights_of(fitted(net, y, "binary_crossentropy", loss_weights=0.3)), weights_of(wanted), rtol=1e-4, atol=1e-6
    )


def test_the_loss_weight_does_not_multiply_penalties():
    model = kt.Model(linear())
    model.compile("sgd", "mse", loss_weights=0.5, regularizers={"*weight": kt.regularizers.L2(0.1)})
    data = 0.5 * F.mse_loss(model(ROWS)[:, 0], VALUES).item()
    penalty = 0.1 * float(model.weight.detach().square().sum())
    assert model.evaluate(ROWS, VALUES, verbose=0) == pytest.approx(data + penalty, rel=1e-5)


# the axis of classes


IMAGES = torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(2))
SCORES = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(3))
LABELS = torch.randint(0, 3, (6, 5, 5), generator=torch.Generator().manual_seed(4))
ONE_HOT = F.one_hot(LABELS, 3).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("categorical_crossentropy", ONE_HOT),
        ("sparse_categorical_crossentropy", LABELS),
        ("sparse_categorical_crossentropy", LABELS[:, None]),
        ("kl_divergence", ONE_HOT),
    ],
)
def test_targets_tell_the_class_axis_of_images(loss, y):
    p = SCORES.softmax(1)
    wanted = F.nll_loss(p.log(), LABELS)
    torch.testing.assert_close(losses.get(loss)(y, p), wanted, rtol=1e-4, atol=1e-5)
    last = y.movedim(1, -1) if y.ndim == 4 else y
    torch.testing.assert_close(losses.get(loss)(last, p.movedim(1, -1)), wanted, rtol=1e-4, atol=1e-5)


def test_where_targets_fit_two_axes_the_axis_is_asked_for():
    p = torch.randn(2, 4, 4, 4).softmax(1)
    y = torch.randint(0, 4, (2, 4, 4))
    with pytest.raises(ValueError, match="Name it: axis=1"):
        losses.get("sparse_categorical_crossentropy")(y, p)
    wanted = F.nll_loss(p.log(), y)
    torch.testing.assert_close(losses.SparseCategoricalCrossentropy(axis=1)(y, p), wanted)
    even = torch.full((2, 4, 4, 4), 0.25)
    with pytest.raises(ValueError, match="Name it: axis=1"):
        losses.get("categorical_crossentropy")(even, p)


@pytest.mark.parametrize("from_logits", [True, False])
def test_a_model_of_images_learns_the_class_of_each_place(from_logits):
    net = nn.Conv2d(2, 3, 1)
    model = kt.Model(nn.Sequential(copy.deepcopy(net), nn.Identity() if from_logits else nn.Softmax(1)))
    model.compile(torch.optim.SGD(model.parameters(), 0.1), losses.CategoricalCrossentropy(from_logits=from_logits))
    model.fit(IMAGES, ONE_HOT, batch_size=6, epochs=3, shuffle=False, verbose=0)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(IMAGES), LABELS).backward()
        optimizer.step()
    torch.testing.assert_close(weights_of(model), weights_of(net), rtol=1e-4, atol=1e-6)


OUTPUTS_IN_TORCH_SHAPES = {
    "squeezed outputs": lambda output, target: F.mse_loss(output.squeeze(1), target),
    "flat outputs": lambda output, target: F.mse_loss(output.view(-1), target),
    "one column of the outputs": lambda output, target: ((output[:, 0] - target) ** 2).mean(),
    "a new axis of targets": lambda output, target: F.mse_loss(output, target.unsqueeze(1)),
    "an index of targets": lambda output, target: ((output - target[:, None]) ** 2).mean(),
    "both flat": lambda output, target: F.mse_loss(output.flatten(), target.flatten()),
    "both of one shape": lambda output, target: F.mse_loss(output, target.view_as(output)),
}


@pytest.mark.parametrize("loss", OUTPUTS_IN_TORCH_SHAPES.values(), ids=list(OUTPUTS_IN_TORCH_SHAPES))
def test_a_function_may_bring_targets_and_outputs_together_itself(loss):
    wanted = by_hand(linear(), VALUES[:, None], F.mse_loss)
    model = fitted(linear(), VALUES, loss, metrics=[loss])
    torch.testing.assert_close(weights_of(model), weights_of(wanted))
    found = model.evaluate(ROWS, VALUES, batch_size=5, verbose=0)
    assert found == pytest.approx([F.mse_loss(model(ROWS)[:, 0], VALUES).item()] * 2, rel=1e-5)
    model.fit(ROWS[:1], VALUES[:1], verbose=0)


def test_a_function_may_need_targets_of_their_own_dtype():
    def masked(output, target):
        return torch.where(target, (1 - output) ** 2, output**2).mean()

    wanted = by_hand(linear(), (VALUES > 0).float()[:, None], F.mse_loss)
    torch.testing.assert_close(weights_of(fitted(linear(), (VALUES > 0)[:, None], masked)), weights_of(wanted))


def masked_part(output, target):
    outputs = output.squeeze(1)
    chosen = outputs > 0
    return (outputs[chosen] - target[chosen]).abs().mean()


def differences(output, target):
    outputs = output.squeeze(1)
    return ((outputs[1:] - outputs[:-1]) - (target[1:] - target[:-1])).abs().mean()


def sorted_distance(output, target):
    return (output.squeeze(1).sort()[0] - target.sort()[0]).abs().mean()


def distance(output, target):
    return torch.dist(output.squeeze(1), target)


def poisson(output, target):
    rate = torch.distributions.Poisson(output.squeeze(1).exp(), validate_args=False)
    return -rate.log_prob(target).mean()


def normal(output, target):
    return -torch.distributions.Normal(output.squeeze(1), 1.0).log_prob(target).mean()


def correlation(output, target):
    return -torch.corrcoef(torch.stack([output.squeeze(1), target]))[0, 1]


def best_five(output, target):
    outputs = output.squeeze(1)
    chosen = outputs.topk(5).indices
    return (outputs[chosen] - target[chosen]).square().mean()


@pytest.mark.parametrize(
    "function",
    [masked_part, differences, sorted_distance, distance, poisson, normal, correlation, best_five],
    ids=lambda one: one.__name__,
)
def test_a_function_that_squeezes_the_outputs_itself_gives_what_it_gives_alone(function):
    outputs = torch.randn(N, 1, generator=torch.Generator().manual_seed(1))
    model = kt.Model(nn.Identity())
    model.compile("sgd", "mse", metrics=[function])
    assert model.evaluate(outputs, VALUES, N, 0)[1] == pytest.approx(float(function(outputs, VALUES)), rel=1e-5)
    assert float(losses.get(function)(VALUES, outputs)) == pytest.approx(float(function(outputs, VALUES)), rel=1e-5)


COLUMN = VALUES[:, None]
TWO = torch.randn(N, 2, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("function", "targets"),
    [
        (lambda y_true, y_pred: ((y_true - y_pred[:, 0]) ** 2).mean(), COLUMN),
        (lambda y_true, y_pred: (y_true - y_pred.mean(1)).abs().mean(), COLUMN),
        (lambda y_true, y_pred: (y_true - y_pred[:, :1]).abs().mean(), VALUES),
        (lambda y_true, y_pred: F.gaussian_nll_loss(y_pred[:, 0], y_true, y_pred[:, 1].exp()), COLUMN),
        (lambda y_true, y_pred: -torch.distributions.Normal(y_pred[:, 0], 1.0).log_prob(y_true).mean(), COLUMN),
        (lambda y_true, y_pred: ((y_true[:5] - y_pred[:7, 0]) ** 2).mean(), COLUMN),
        (lambda y_true, y_pred: ((y_pred.sum(1) * 2 - y_true) ** 2).sum(), COLUMN),
    ],
    ids=["column", "mean", "column of rank 2", "gaussian", "normal", "other lengths", "through a sum"],
)
def test_a_column_of_outputs_is_not_broadcast_with_targets(function, targets):
    with pytest.raises(ValueError, match=r"would be broadcast with outputs.*(reshape\(\(24,|expand_as)"):
        losses.get(function)(targets, TWO)
    model = kt.Model(nn.Identity())
    model.compile("sgd", "mse", metrics=[function])
    model.compile("sgd", function)
    with pytest.raises(ValueError, match="would be broadcast with outputs"):
        model.evaluate(TWO, targets, N, 0)


@pytest.mark.parametrize(
    ("function", "targets"),
    [
        (lambda y_true, y_pred: (y_pred[:, :, None] - y_true[:, None, :]).abs().amin(1).mean(), TWO.flip(0)),
        (lambda y_true, y_pred: (y_true - y_pred.mean(0)).abs().mean(), TWO.flip(0)),
        (lambda y_true, y_pred: (y_true[:, None] - y_true[None]).abs().mean() * y_pred.mean(), VALUES),
        (lambda y_true, y_pred: F.gaussian_nll_loss(y_pred[:, 0], y_true, y_pred[:, 1].exp()), VALUES),
        (lambda y_true, y_pred: (y_true - y_pred[:, :1]).abs().mean(), COLUMN),
        (lambda y_true, y_pred: (y_pred[:, :1] * y_true).mean(), TWO.flip(0)),
        (lambda y_true, y_pred: torch.cdist(y_pred, y_true).mean(), TWO.flip(0)),
        (lambda y_true, y_pred: (y_pred[y_true > 0].sum(1) - y_pred.sum(1, keepdim=True)).abs().mean(), VALUES),
    ],
    ids=[
        "new axes",
        "mean over rows",
        "targets alone",
        "gaussian",
        "column",
        "column and whole",
        "all pairs",
        "pairs of outputs",
    ],
)
def test_what_is_combined_on_purpose_gives_what_it_gives_alone(function, targets):
    assert torch.equal(losses.get(function)(targets, TWO), function(targets, TWO))


def test_a_scripted_function_is_called_in_the_order_of_its_names():
    def first(y_true, y_pred):
        return y_true.mean() + 0 * y_pred.mean()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the function
        scripted = torch.jit.script(first)
    assert argument_order(scripted) == "keras"
    assert losses.get(scripted)(VALUES, torch.zeros(N, 1)) == pytest.approx(float(VALUES.mean()))


def test_a_loss_class_in_torchs_order_is_refused():
    with pytest.raises(TypeError, match=r"Wrong.call names the outputs before the targets"):

        class Wrong(losses.Loss):
            def call(self, output, target):
                return output - target


@pytest.mark.parametrize("name", ["soft_margin_loss", "hinge_embedding_loss"])
def test_labels_0_and_1_are_refused_by_losses_of_signs(name):
    labels = (COLUMN > 0).float()
    model = kt.Model(nn.Identity())
    model.compile("sgd", name)
    with pytest.raises(
        ValueError, match=r"needs labels -1 and 1; found 0 at y\[\d+\]. Labels 0 and 1\? Use 2 \* y - 1"
    ):
        model.evaluate(COLUMN, labels, verbose=0)
    kind = {"soft_margin_loss": nn.SoftMarginLoss, "hinge_embedding_loss": nn.HingeEmbeddingLoss}[name]
    signs = 2 * labels - 1
    assert model.evaluate(COLUMN, signs, N, 0) == pytest.approx(float(kind()(COLUMN, signs)))


def test_class_numbers_of_any_integer_dtype_are_taken_by_multi_label_margin_loss():
    numbers = torch.tensor([[0, -1], [1, 0]] * (N // 2), dtype=torch.int32)
    loss = losses.get("multi_label_margin_loss")
    assert torch.equal(loss(numbers, TWO), nn.MultiLabelMarginLoss()(TWO, numbers.long()))


def test_categorical_crossentropy_over_one_output_is_refused():
    model = kt.Model(nn.Sigmoid())
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ValueError, match=r"over one output is 0 whatever the model gives.*binary_crossentropy"):
        model.evaluate(COLUMN, (COLUMN > 0).float(), verbose=0)
