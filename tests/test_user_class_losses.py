"""Losses of the user's own on class numbers: every form of the targets that torch's functions need, in every verb."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import losses

N = 30
ROWS = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(N) % 3


class Focal(losses.Loss):
    """Takes `(batch,)`, as torch's cross-entropy."""

    def call(self, y_true, y_pred):
        crossentropy = F.cross_entropy(y_pred, y_true, reduction="none")
        return (1 - torch.exp(-crossentropy)) ** 2 * crossentropy


class GatherFocal(losses.Loss):
    """Takes `(batch, 1)`, as torch's gather."""

    task = "multiclass"
    link = "softmax"
    from_logits = True

    def call(self, y_true, y_pred):
        log_p = y_pred.log_softmax(1).gather(1, y_true).squeeze(1)
        return -((1 - log_p.exp()) ** 2) * log_p


class IndexFocal(losses.Loss):
    """Takes `(batch,)`; a column would be broadcast to a square of pairs."""

    def call(self, y_true, y_pred):
        log_p = y_pred.log_softmax(1)[torch.arange(len(y_pred), device=y_pred.device), y_true]
        return -((1 - log_p.exp()) ** 2) * log_p


class OneHotFocal(losses.Loss):
    """Takes `(batch,)` or `(batch, 1)`; a column would be broadcast to pairs in the product."""

    def call(self, y_true, y_pred):
        log_p = (F.one_hot(y_true, 3) * y_pred.log_softmax(1)).sum(1)
        return -((1 - log_p.exp()) ** 2) * log_p


def focal(y_true, y_pred):
    return Focal().call(y_true, y_pred)


def focal_in_torchs_order(output, target):
    return Focal().call(target, output).mean()


class FocalModule(nn.Module):
    def forward(self, output, target):
        return Focal().call(target, output).mean()


LOSSES = {
    "a subclass": Focal,
    "a subclass that gathers": GatherFocal,
    "a subclass that indexes": IndexFocal,
    "a subclass with one-hot rows": OneHotFocal,
    "a function": lambda: focal,
    "a function in torch's order": lambda: focal_in_torchs_order,
    "a module": FocalModule,
}
each = pytest.mark.parametrize("make", LOSSES.values(), ids=list(LOSSES))
KINDS = [torch.int64, torch.int32, torch.uint8, torch.float32, torch.float64]


def truth(scores, labels):
    log_p = scores.log_softmax(1).gather(1, labels.long().reshape(len(labels), 1, *scores.shape[2:])).squeeze(1)
    return -((1 - log_p.exp()) ** 2) * log_p


def net():
    torch.manual_seed(1)
    return nn.Linear(4, 3)


def trained_by_hand(weight=None, steps=3):
    module = net()
    optimizer = torch.optim.SGD(module.parameters(), 0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        values = truth(module(ROWS), LABELS)
        (values if weight is None else values * weight).mean().backward()
        optimizer.step()
    return [part.detach() for part in module.parameters()]


@each
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("rows", [2, 3, 30])
def test_class_numbers_of_every_form_give_one_loss(make, column, kind, rows):
    scores, labels = net()(ROWS)[:rows].detach(), LABELS[:rows]
    y = labels.to(kind)[:, None] if column else labels.to(kind)
    found = losses.get(make())(y, scores)
    torch.testing.assert_close(found, truth(scores, labels).mean())


@each
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("kind", [torch.int64, torch.float32])
def test_fit_trains_as_a_loop_does(make, jit, column, kind):
    y = LABELS.to(kind)[:, None] if column else LABELS.to(kind)
    module = net()
    model = kt.Model(module)
    model.compile(torch.optim.SGD(module.parameters(), 0.5), make(), jit_compile=jit)
    model.fit(ROWS, y, batch_size=N, epochs=3, shuffle=False, verbose=0)
    for found, wanted in zip(module.parameters(), trained_by_hand(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@each
@pytest.mark.parametrize("kind", [torch.int64, torch.float32])
def test_every_verb_and_every_kind_of_data_has_the_same_loss(make, kind):
    module, y = net(), LABELS.to(kind)
    model = kt.Model(module)
    model.compile(torch.optim.SGD(module.parameters(), 0.0), make())
    wanted = truth(module(ROWS), LABELS).mean().item()
    pairs = torch.utils.data.TensorDataset(ROWS, y)
    loader = torch.utils.data.DataLoader(pairs, 7)
    history = model.fit(ROWS, y, validation_data=(ROWS, y), batch_size=7, verbose=0).history
    assert [history["loss"][0], history["val_loss"][0]] == pytest.approx([wanted, wanted])
    assert model.fit(loader, verbose=0).history["loss"][0] == pytest.approx(wanted)
    assert model.evaluate(ROWS, y, verbose=0) == pytest.approx(wanted)
    assert model.evaluate(loader, verbose=0) == pytest.approx(wanted)
    assert model.train_on_batch(ROWS, y) == pytest.approx(wanted)
    assert model.test_on_batch(ROWS, y) == pytest.approx(wanted)
    assert model.evaluate(ROWS.numpy(), y[:, None].numpy(), verbose=0) == pytest.approx(wanted)


@pytest.mark.parametrize("make", [Focal, GatherFocal, IndexFocal, OneHotFocal, lambda: focal])
def test_sample_weights_and_class_weights_multiply_the_values(make):
    weight = torch.linspace(0, 2, N)
    for given, by_hand in (
        ({"sample_weight": weight}, weight),
        ({"class_weight": {0: 1.0, 1: 0.0, 2: 5.0}}, torch.tensor([1.0, 0.0, 5.0])[LABELS]),
    ):
        module = net()
        model = kt.Model(module)
        model.compile(torch.optim.SGD(module.parameters(), 0.5), make())
        model.fit(ROWS, LABELS, batch_size=N, epochs=3, shuffle=False, verbose=0, **given)
        for found, wanted in zip(module.parameters(), trained_by_hand(by_hand), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_each_of_several_outputs_may_have_such_a_loss():
    class Twins(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = net(), net()

        def forward(self, x):
            return {"a": self.a(x), "b": self.b(2 * x)}

    twins = Twins()
    model = kt.Model(twins)
    model.compile("sgd", {"a": Focal(), "b": GatherFocal()}, loss_weights={"a": 1.0, "b": 0.5})
    scores = twins(ROWS)
    wanted = truth(scores["a"], LABELS).mean() + 0.5 * truth(scores["b"], LABELS).mean()
    found = model.evaluate(ROWS, {"a": LABELS.float(), "b": LABELS[:, None]}, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(wanted.item())


def test_steps_that_a_mask_leaves_out_do_not_count():
    class StepFocal(losses.Loss):
        def call(self, y_true, y_pred):
            return F.cross_entropy(y_pred.movedim(-1, 1), y_true, reduction="none")

    x = torch.randn(5, 6, 4)
    x[:, 4:] = 0
    y = torch.randint(0, 3, (5, 6))
    layer = kt.layers.Dense(3)
    model = kt.Sequential([kt.layers.Masking(), layer])
    model.compile("sgd", StepFocal())
    found = model.evaluate(x, y, verbose=0)
    scores = layer(x[:, :4])
    assert found == pytest.approx(F.cross_entropy(scores.flatten(0, 1), y[:, :4].flatten()).item())
    assert model.evaluate(x, y.float(), verbose=0) == pytest.approx(found)


def test_a_value_for_each_sequence_and_a_mask_of_steps_do_not_fit():
    class OfSequence(losses.Loss):
        def call(self, y_true, y_pred):
            return F.cross_entropy(y_pred.movedim(-1, 1), y_true, reduction="none").mean(1)

    model = kt.Sequential([kt.layers.Masking(), kt.layers.Dense(3)])
    model.compile("sgd", OfSequence())
    with pytest.raises(ValueError, match="A mask of the outputs weighs time steps"):
        model.evaluate(torch.randn(5, 6, 4), torch.randint(0, 3, (5, 6)), verbose=0)


PLACES = {"images": (4, 5), "sequences": (6,), "volumes": (2, 3, 4)}


@pytest.mark.parametrize("places", PLACES.values(), ids=list(PLACES))
@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.float32])
@pytest.mark.parametrize("make", [Focal, GatherFocal, lambda: focal, lambda: focal_in_torchs_order, FocalModule])
def test_places_of_images_have_class_numbers(places, channel, kind, make):
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(7, 3, *places, generator=generator)
    labels = torch.randint(0, 3, (7, *places), generator=generator)
    y = labels.to(kind)[:, None] if channel else labels.to(kind)
    found = losses.get(make())(y, scores)
    torch.testing.assert_close(found, truth(scores, labels).mean())
    model = kt.Model(nn.Identity())
    model.compile("sgd", make())
    assert model.evaluate(scores, y, batch_size=3, verbose=0) == pytest.approx(found.item(), rel=1e-5)


def test_accuracy_beside_a_loss_of_class_numbers_compares_classes():
    module = net()
    right = (module(ROWS).argmax(1) == LABELS).float().mean().item()
    for make in (Focal, GatherFocal):
        for y in (LABELS, LABELS[:, None], LABELS.float()):
            model = kt.Model(module)
            model.compile("sgd", make(), metrics=["accuracy"])
            assert model.evaluate(ROWS, y, verbose=0)[1] == pytest.approx(right)


def test_arrays_give_a_number_of_numpy():
    scores = net()(ROWS).detach()
    found = Focal()(LABELS.tolist(), scores.numpy())
    assert type(found) is np.float32
    assert found == pytest.approx(truth(scores, LABELS).mean().item())
    values = Focal(reduction="none")(LABELS.numpy(), scores.numpy(), np.arange(N))
    np.testing.assert_allclose(values, truth(scores, LABELS).numpy() * np.arange(N), rtol=1e-5)


# what must stay an error


@pytest.mark.parametrize("later", [False, True])
def test_floats_that_are_not_whole_are_no_class_numbers(later):
    loss, scores = Focal(), net()(ROWS).detach()
    if later:
        loss(LABELS.float(), scores)
        with pytest.raises(ValueError, match=r"whole class numbers; y\[0\] = 0.5"):
            loss(LABELS + 0.5, scores)
        return
    with pytest.raises(RuntimeError, match="Long"):
        loss(LABELS + 0.5, scores)


def test_floats_that_are_not_whole_make_a_traced_step_nan():
    loss, scores = Focal(), net()(ROWS).detach()
    y = LABELS.float()
    loss(y, scores)
    graph = torch.fx.experimental.proxy_tensor.make_fx(loss, tracing_mode="fake")(y, scores)
    torch.testing.assert_close(graph(y, scores), truth(scores, LABELS).mean())
    y[4] = 0.5
    assert graph(y, scores).isnan()


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("kind", [torch.int64, torch.float32])
@pytest.mark.parametrize("rows", [3, 30])
def test_values_are_never_broadcast_with_several_outputs(column, kind, rows):
    class Squares(losses.Loss):
        def call(self, y_true, y_pred):
            return (y_true - y_pred) ** 2

    y = LABELS[:rows].to(kind)
    with pytest.raises((ValueError, RuntimeError), match=r"broadcast|must match the size"):
        Squares()(y[:, None] if column else y, torch.randn(rows, 3))


def test_pairs_of_an_index_are_refused_where_no_form_of_the_targets_helps():
    class Pairs(losses.Loss):
        def call(self, y_true, y_pred):
            column = y_true.reshape(-1, 1).long()
            return y_pred[torch.arange(len(y_pred)), column].mean()

    with pytest.raises(ValueError, match=r"one of several indices, would be broadcast to \(30, 30\)"):
        Pairs()(LABELS, torch.randn(N, 3))


def test_an_index_of_several_columns_is_no_broadcast():
    class Chosen(losses.Loss):
        def call(self, y_true, y_pred):
            return -y_pred.log_softmax(1)[torch.arange(len(y_pred))[:, None], y_true.long()].mean(1)

    scores = torch.randn(N, 5)
    y = torch.stack([LABELS, LABELS + 1], 1)
    found = Chosen()(y, scores)
    torch.testing.assert_close(found, -scores.log_softmax(1).gather(1, y).mean())


def test_a_quantile_loss_on_an_integer_column_keeps_its_column():
    class Quantiles(losses.Loss):
        def call(self, y_true, y_pred):
            error = y_true.expand_as(y_pred) - y_pred
            return torch.maximum(0.9 * error, -0.1 * error).mean(1)

    scores = torch.randn(3, 3)  # as many rows as quantiles
    y = torch.tensor([[0], [5], [9]])
    error = y - scores
    wanted = torch.maximum(0.9 * error, -0.1 * error).mean()
    torch.testing.assert_close(Quantiles()(y, scores), wanted)
