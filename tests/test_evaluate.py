"""evaluate: the same numbers for every batch size, and those that scikit-learn finds."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from support.problems import classification, net, regression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

SIZES = (1, 7, 32, 200, 1000)


def numbers(model, x, y, size, **given):
    return model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True, **given)


@pytest.mark.parametrize(
    ("loss", "metrics"),
    [
        ("cross_entropy", ["accuracy", "f1", "precision", "recall", "auc"]),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0])), ["accuracy"]),
        (nn.CrossEntropyLoss(ignore_index=2), []),
        (kt.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0), []),
        (kt.losses.SparseCategoricalCrossentropy(True, reduction="mean_with_sample_weight"), []),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_classification_is_the_same_for_every_batch_size(loss, metrics, weighted):
    x, y = classification()
    model = kt.Model(net())
    model.compile("sgd", loss, metrics=metrics, regularizers={"*": "l2"})
    weight = torch.rand(len(x)) if weighted else None
    if weighted and isinstance(loss, nn.Module) and loss.weight is None:
        weight = None  # torch's ignored classes with weights: the divisor is the number of those that count
    found = [numbers(model, x, y, size, sample_weight=weight) for size in SIZES]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", nn.SmoothL1Loss(), "log_cosh"])
def test_regression_is_the_same_for_every_batch_size(loss):
    x, y = regression()
    model = kt.Model(nn.Linear(6, 1))
    model.compile(
        "sgd", loss, metrics=["mae", "mse", "rmse", "r2", "pearson", lambda y_true, y_pred: (y_true - y_pred).max()]
    )
    found = [numbers(model, x, y, size) for size in SIZES]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4)


def test_metrics_are_scikit_learns_over_the_whole_set():
    x, y = classification()
    model = kt.Model(net())
    model.compile("adam", "cross_entropy", metrics=["accuracy", "f1", "precision", "recall", "auc", "cohen_kappa"])
    model.fit(x, y, epochs=20, verbose=0)
    found = numbers(model, x, y, 33)
    scores = torch.softmax(torch.tensor(model.predict(x, verbose=0)), 1).numpy()
    labels, guess = y.numpy(), scores.argmax(1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, guess))
    assert found["f1"] == pytest.approx(sk.f1_score(labels, guess, average="macro"))
    assert found["precision"] == pytest.approx(sk.precision_score(labels, guess, average="macro"))
    assert found["recall"] == pytest.approx(sk.recall_score(labels, guess, average="macro"))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro"))
    assert found["cohen_kappa"] == pytest.approx(sk.cohen_kappa_score(labels, guess))
    assert found["loss"] == pytest.approx(sk.log_loss(labels, scores), rel=1e-5)


@pytest.mark.parametrize("logits", [True, False])
def test_binary_metrics_know_logits_from_the_loss(logits):
    x, y = classification(classes=2)
    model = kt.Sequential([kt.layers.Dense(1, None if logits else "sigmoid")])
    model.compile("adam", kt.losses.BinaryCrossentropy(from_logits=logits), metrics=["accuracy", "f1", "auc"])
    model.fit(x, y, epochs=2, verbose=0)
    found = numbers(model, x, y, 32)
    scores = model.predict(x, verbose=0)[:, 0]
    guess = scores > (0 if logits else 0.5)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, guess))
    assert found["f1"] == pytest.approx(sk.f1_score(y, guess))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y, scores))


def test_weights_multiply_each_samples_loss_and_the_divisor_is_the_number_of_samples():
    x, y = regression()
    weight = torch.rand(len(x))
    model = kt.Model(nn.Linear(6, 1))
    model.compile("sgd", "mse")
    each = (torch.tensor(model.predict(x, verbose=0)) - y).square().squeeze(1)
    expected = (each * weight).mean().item()
    assert model.evaluate(x, y, sample_weight=weight, verbose=0) == pytest.approx(expected, rel=1e-5)
    loader = DataLoader(TensorDataset(x, y, weight), batch_size=17)
    assert model.evaluate(loader, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert model.evaluate(iter(loader), verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_torch_loss_takes_weights_as_a_keras_loss_does():
    x, y = classification()
    weight = torch.rand(len(x))
    model = kt.Model(net())
    found = []
    for loss in (nn.CrossEntropyLoss(), kt.losses.SparseCategoricalCrossentropy(from_logits=True), "cross_entropy"):
        model.compile("sgd", loss)
        found.append(model.evaluate(x, y, sample_weight=weight, verbose=0))
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


def test_fused_softmax_and_sigmoid_give_the_loss_of_the_logits():
    x, y = classification(classes=2)
    x = x * 40  # probabilities of 0 and 1 to the last bit
    for activation, loss, target, units in (
        ("softmax", "sparse_categorical_crossentropy", nn.functional.cross_entropy, 2),
        ("sigmoid", "binary_crossentropy", nn.functional.binary_cross_entropy_with_logits, 1),
    ):
        model = kt.Sequential([kt.Input((6,)), kt.layers.Dense(units, activation)])
        model.compile("sgd", loss)
        logits = x @ model[0].weight.T + model[0].bias
        labels = y if units == 2 else y[:, None].float()
        assert model.evaluate(x, y, verbose=0) == pytest.approx(target(logits, labels).item(), rel=1e-5)
        assert model[0].activation is kt.activations.get(activation)


@pytest.mark.parametrize(
    "tail", [lambda: [nn.Linear(6, 2), nn.Softmax(-1)], lambda: [nn.Linear(6, 2), kt.layers.Softmax()],
             lambda: [nn.Linear(6, 2), kt.layers.Activation("softmax")], lambda: [kt.layers.Dense(2, nn.Softmax(-1))]],
)  # fmt: skip
def test_every_kind_of_last_softmax_is_fused(tail):
    x, y = classification(classes=2)
    x = x * 100
    model = kt.Sequential(tail())
    model.build((None, 6))
    model.compile("sgd", "sparse_categorical_crossentropy")
    weight, bias = model.parameters()
    expected = nn.functional.cross_entropy(x @ weight.T + bias, y).item()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert not any(module._forward_hooks for module in model.modules())


def test_several_outputs_have_losses_weights_and_metrics_by_name():
    x, values = regression()
    kinds = classification()[1]
    model = ValueAndKind()
    model.compile(
        "adam", {"value": "mse", "kind": "cross_entropy"}, {"value": 0.5, "kind": 2.0},
        {"value": ["mae"], "kind": ["accuracy"]},
    )  # fmt: skip
    y = {"kind": kinds, "value": values}
    history = model.fit(x, y, epochs=2, verbose=0, validation_split=0.2).history
    names = {"loss", "value_loss", "kind_loss", "value_mae", "kind_accuracy"}
    assert set(history) == names | {f"val_{name}" for name in names} | {"learning_rate"}
    found = numbers(model, x, y, 32)
    assert found["loss"] == pytest.approx(0.5 * found["value_loss"] + 2 * found["kind_loss"])
    predicted = model.predict(x, verbose=0)
    assert found["value_mae"] == pytest.approx(np.abs(predicted["value"] - values.numpy()).mean(), rel=1e-5)
    assert found["kind_accuracy"] == pytest.approx((predicted["kind"].argmax(1) == kinds.numpy()).mean())
    assert model.metrics_names == ["loss", "value_loss", "kind_loss", "value_mae", "kind_accuracy"]
    assert model.evaluate(x, y, verbose=0) == pytest.approx([found[name] for name in model.metrics_names], rel=1e-5)


def test_several_outputs_in_a_tuple():
    class Two(kt.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 1), nn.Linear(6, 3)

        def forward(self, x):
            return self.a(x), self.b(x)

    x, values = regression()
    kinds = classification()[1]
    model = Two()
    model.compile("adam", ["mse", "cross_entropy"], metrics=[["mae"], ["accuracy"]])
    history = model.fit(x, (values, kinds), verbose=0).history
    names = {"loss", "output_0_loss", "output_1_loss", "output_0_mae", "output_1_accuracy"}
    assert set(history) == names | {"learning_rate"}


def test_training_metrics_are_those_of_the_outputs_of_training():
    x, y = classification()
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    hits = []

    class Counting(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            hits.append(logs["accuracy"])

    history = model.fit(x, y, batch_size=50, verbose=0, callbacks=[Counting()])
    assert len(hits) == 4
    assert hits[-1] == pytest.approx(history.history["accuracy"][0])
    assert all(hit * 50 * (i + 1) == pytest.approx(round(hit * 50 * (i + 1)), abs=1e-3) for i, hit in enumerate(hits))


def test_the_activity_regularizer_charges_outputs_over_the_batch_size():
    x, y = regression()
    model = kt.Sequential([kt.Input((6,)), kt.layers.Dense(1, activity_regularizer=kt.regularizers.L2(0.3))])
    model.compile("sgd", "mse")
    found = model.evaluate(x, y, batch_size=200, verbose=0, return_dict=True)
    expected = 0.3 * model(x).square().sum().item() / 200
    assert found["loss"] - found["data_loss"] == pytest.approx(expected, rel=1e-4)
    assert not model[0]._forward_hooks


def test_ignored_targets_count_in_no_metric():
    x, y = classification()
    for loss, ignored in ((nn.CrossEntropyLoss(), -100), (kt.losses.SparseCategoricalCrossentropy(True, -1), -1)):
        holes = y.clone()
        holes[::3] = ignored
        model = kt.Model(net())
        model.compile("sgd", loss, metrics=["accuracy", "f1"])
        kept = holes != ignored
        assert model.evaluate(x, holes, verbose=0) == pytest.approx(
            model.evaluate(x[kept], y[kept], verbose=0), rel=1e-5
        )


class ValueAndKind(kt.Model):
    """Two outputs by name."""

    def __init__(self):
        super().__init__()
        self.value, self.kind = nn.Linear(6, 1), nn.Linear(6, 3)

    def forward(self, x):
        return {"value": self.value(x), "kind": self.kind(x)}


def test_several_outputs_are_the_same_for_every_batch_size_where_targets_count_unalike():
    x, y = classification()
    holes = y.clone()
    holes[:40] = -100
    model = ValueAndKind()
    loss = {"kind": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0])), "value": "mse"}
    model.compile("sgd", loss, loss_weights={"kind": 2.0, "value": 0.5})
    found = [numbers(model, x, {"kind": holes, "value": y[:, None]}, size) for size in SIZES]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5)
    assert found[0]["loss"] == pytest.approx(2 * found[0]["kind_loss"] + 0.5 * found[0]["value_loss"])


def test_what_a_compute_loss_adds_to_several_outputs_is_logged():
    class More(ValueAndKind):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight) + 10

    x, y = classification()
    model = More()
    model.compile("sgd", {"kind": nn.CrossEntropyLoss(), "value": "mse"})
    found = numbers(model, x, {"kind": y, "value": y[:, None]}, 32)
    assert found["loss"] == pytest.approx(10 + found["kind_loss"] + found["value_loss"], rel=1e-5)


def focal(y_true, y_pred):
    return -((1 - y_pred) ** 2 * y_true * y_pred.log()).sum(-1)


@pytest.mark.parametrize("loss", [focal, "mse", "kl_divergence", "categorical_hinge"])
def test_a_metric_of_classes_works_beside_a_loss_that_does_not_tell(loss):
    import torchmetrics

    x, y = classification()
    one_hot = nn.functional.one_hot(y).float()
    model = kt.Sequential([kt.layers.Dense(3, "softmax")])
    model.compile("adam", loss, metrics=["accuracy", torchmetrics.classification.MulticlassF1Score(3)])
    model.fit(x, one_hot, epochs=2, verbose=0)
    found = numbers(model, x, one_hot, 32)
    guess = model.predict(x, verbose=0).argmax(1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, guess))
    assert found["multiclass_f1_score"] == pytest.approx(sk.f1_score(y, guess, average="macro"))


def test_a_softmax_over_another_axis_is_not_fused():
    x = torch.randn(20, 4)
    y = torch.randint(0, 2, (20, 2))
    model = kt.Sequential([nn.Unflatten(1, (2, 2)), nn.Softmax(1)])
    model.compile("sgd", kt.losses.SparseCategoricalCrossentropy())
    expected = kt.losses.SparseCategoricalCrossentropy()(y, torch.tensor(model.predict(x, verbose=0))).item()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_hidden_activation_is_not_taken_for_the_end():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.activation, self.b = nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 1)

        def forward(self, x):
            return self.b(self.activation(self.a(x)))

    x, y = classification(classes=2)
    model = kt.Model(Hidden())
    model.compile("adam", nn.BCEWithLogitsLoss())
    model.fit(x, y, verbose=0)


def test_one_loss_of_several_outputs_is_named_once():
    class Two(kt.Model):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(6, 3)

        def forward(self, x):
            return self.a(x), x

    x, y = classification()
    model = Two()
    model.compile("sgd", ["cross_entropy", None], metrics=[["accuracy"], []])
    assert model.metrics_names == ["loss", "output_0_accuracy"]
    assert len(model.evaluate(x, (y, x), verbose=0)) == 2


def test_losses_whose_batches_count_unalike_add_up_beside_a_penalty():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.linear(x), self.linear(x)

    net, x, y = Two(), torch.randn(7, 3), torch.tensor([0, 0, 1, 1, 0, 1, 1])
    values, classes = torch.randn(7, 2), torch.nn.CrossEntropyLoss(ignore_index=0)
    with torch.no_grad():
        data = classes(net.linear(x), y) + (net.linear(x) - values).square().mean()
        penalty = 0.1 * net.linear.weight.square().sum()
    model = kt.Model(net)
    model.compile("sgd", [classes, "mse"], regularizers={"*weight": kt.regularizers.L2(0.1)})
    found = model.evaluate(x, (y, values), batch_size=3, verbose=0, return_dict=True)
    assert found["data_loss"] == pytest.approx(float(data), rel=1e-5)
    assert found["loss"] == pytest.approx(float(data + penalty), rel=1e-5)
