"""Losses and metrics of images take the channel axis of layers that are known, where targets fit two axes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch.layers import Conv2D

# as many classes as rows and columns of pixels, so that class numbers fit axis 1 and the last
SIZE = 4
X = torch.randn(6, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, SIZE, (6, SIZE, SIZE), generator=torch.Generator().manual_seed(1))


def functional():
    inputs = kt.Input((2, SIZE, SIZE))
    return kt.Model(inputs, Conv2D(SIZE, 1, activation="softmax")(inputs))


def two_outputs():
    inputs = kt.Input((2, SIZE, SIZE))
    outputs = [Conv2D(SIZE, 1, activation="softmax", name=name)(inputs) for name in "ab"]
    return kt.Model(inputs, outputs)


FIRST = {
    "chain": lambda: kt.Sequential([Conv2D(SIZE, 1, activation="softmax")]),
    "chain of torch": lambda: kt.Model(nn.Sequential(nn.Conv2d(2, SIZE, 1), nn.Softmax(1))),
    "functional": functional,
}


@pytest.mark.parametrize("verb", ["evaluate", "test_on_batch", "fit"])
@pytest.mark.parametrize("make", FIRST.values(), ids=list(FIRST))
def test_classes_are_on_the_channel_axis_of_channels_first_layers(make, verb):
    model = make()
    with torch.no_grad():
        p = model(X)
    model.compile(kt.optimizers.SGD(1e-12), "sparse_categorical_crossentropy", metrics=["accuracy"])
    wanted = [F.nll_loss(p.log(), LABELS).item(), (p.argmax(1) == LABELS).float().mean().item()]
    assert F.nll_loss(p.movedim(-1, 1).log(), LABELS).item() != pytest.approx(wanted[0], rel=1e-3)
    if verb == "fit":
        history = model.fit(X, LABELS, batch_size=6, validation_data=(X, LABELS), verbose=0).history
        found = [history["loss"][0], history["accuracy"][0]]
        assert [history["val_loss"][0], history["val_accuracy"][0]] == pytest.approx(wanted, rel=1e-4)
    else:
        found = getattr(model, verb)(X, LABELS, **({"verbose": 0} if verb == "evaluate" else {}))
    assert found == pytest.approx(wanted, rel=1e-4)


def test_classes_are_on_the_last_axis_of_channels_last_layers():
    model = kt.Sequential([Conv2D(SIZE, 1, activation="softmax", data_format="channels_last")])
    x = X.movedim(1, -1).contiguous()
    with torch.no_grad():
        p = model(x)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    wanted = [F.nll_loss(p.movedim(-1, 1).log(), LABELS).item(), (p.argmax(-1) == LABELS).float().mean().item()]
    assert model.evaluate(x, LABELS, verbose=0) == pytest.approx(wanted, rel=1e-4)


def test_each_output_of_a_functional_model_has_the_axis_of_its_own_layers():
    model = two_outputs()
    with torch.no_grad():
        a, b = model(X)
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", {"a": loss, "b": loss}, metrics={"a": ["accuracy"], "b": ["accuracy"]})
    found = model.evaluate(X, {"a": LABELS, "b": LABELS}, verbose=0, return_dict=True)
    for name, p in (("a", a), ("b", b)):
        assert found[f"{name}_loss"] == pytest.approx(F.nll_loss(p.log(), LABELS).item(), rel=1e-4)
        assert found[f"{name}_accuracy"] == pytest.approx((p.argmax(1) == LABELS).float().mean().item())


def test_metrics_beside_a_function_take_the_channel_axis_too():
    def own(y_true, y_pred):
        return F.nll_loss(y_pred.log(), y_true)

    model = functional()
    with torch.no_grad():
        p = model(X)
    model.compile("sgd", own, metrics=["accuracy"])
    assert model.evaluate(X, LABELS, verbose=0)[1] == pytest.approx((p.argmax(1) == LABELS).float().mean().item())


def test_where_no_layer_tells_the_axis_it_is_asked_for():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Conv2d(2, SIZE, 1)

        def forward(self, x):
            return self.inner(x).softmax(1)

    model = kt.Model(Own())
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="Name it: axis=1"):
        model.evaluate(X, LABELS, verbose=0)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "kl_divergence", "categorical_hinge"])
def test_one_hot_targets_with_their_classes_elsewhere_are_refused(loss):
    model = functional()
    one_hot = F.one_hot(LABELS, SIZE).float()  # the classes are last, and (4, 4, 4) fits all the same
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=r"have their channels on axis 1, but y .* has its classes on axis -1"):
        model.evaluate(X, one_hot, verbose=0)


@pytest.mark.parametrize("length", [7, SIZE])
@pytest.mark.parametrize("one_hot", [False, True])
def test_sequences_that_are_channels_first_too(length, one_hot):
    x = torch.randn(6, 2, length, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, SIZE, (6, length), generator=torch.Generator().manual_seed(1))
    net = nn.Conv1d(2, SIZE, 1)
    model = kt.Model(net)
    loss = "CategoricalCrossentropy" if one_hot else "SparseCategoricalCrossentropy"
    model.compile("sgd", getattr(kt.losses, loss)(from_logits=True), metrics=["accuracy"])
    targets = F.one_hot(labels, SIZE).movedim(-1, 1).float() if one_hot else labels
    found = model.evaluate(x, targets, verbose=0)
    scores = net(x).detach()
    assert found[0] == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-5)
    assert found[1] == pytest.approx(float((scores.argmax(1) == labels).float().mean()))


class ClassesLast(nn.Conv2d):
    def forward(self, x):
        return super().forward(x).permute(0, 2, 3, 1)


class OursClassesLast(Conv2D):
    def forward(self, x):
        return super().forward(x).permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    "make", [lambda: ClassesLast(2, SIZE, 1), lambda: OursClassesLast(SIZE, 1)], ids=["torch", "own"]
)
def test_nothing_is_known_of_a_subclass_with_a_forward_of_its_own(make):
    model = kt.Sequential([make(), kt.layers.LayerNormalization()])
    model.build((None, 2, SIZE, SIZE))
    targets = F.one_hot(LABELS, SIZE).float()
    model.compile("sgd", kt.losses.CategoricalCrossentropy(from_logits=True, axis=-1), metrics=["accuracy"])
    scores = model(X).detach()
    assert model.evaluate(X, targets, verbose=0)[1] == pytest.approx(
        float((scores.argmax(-1) == LABELS).float().mean())
    )


def test_kl_divergence_is_one_formula_as_loss_and_as_metric():
    model = kt.Model(nn.Sequential(nn.Conv2d(2, SIZE, 1), nn.Softmax(1)))
    model.compile("sgd", "kl_divergence", metrics=["kl_divergence"])
    targets = torch.rand(6, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    found = model.evaluate(X, targets, verbose=0)
    p, q = targets.clamp(1e-7, 1), model(X).detach().clamp(1e-7, 1)
    expected = float((p * (p / q).log()).sum(1).mean())
    assert found == pytest.approx([expected, expected], rel=1e-5)
