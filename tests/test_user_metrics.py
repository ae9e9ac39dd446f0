"""Metrics beside losses that users write, and metric objects of their own: scikit-learn's numbers or a question."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import losses

N = 60
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
LABELS = (X[:, 0] + 0.5 * X[:, 1] > 0.2).long()
CLASSES = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()


class Focal(nn.Module):
    def forward(self, logits, target):
        each = F.cross_entropy(logits, target, reduction="none")
        return ((1 - torch.exp(-each)) ** 2 * each).mean()


def smoothed(output, target):
    return F.cross_entropy(output, target, label_smoothing=0.1)


def smoothed_in_keras_order(y_true, y_pred):
    return F.cross_entropy(y_pred, y_true, label_smoothing=0.1)


class FocalLoss(losses.Loss):
    def call(self, y_true, y_pred):
        return F.cross_entropy(y_pred, y_true, reduction="none")


class ComputesItself(kt.Model):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return F.cross_entropy(y_pred, y)


OWN = [Focal(), smoothed, smoothed_in_keras_order, FocalLoss(), None]


def compiled(net, loss, metrics):
    model = ComputesItself(net) if loss is None else kt.Model(net)
    model.compile("sgd", loss, metrics=metrics)
    return model


def logits_of(outputs):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))


@pytest.mark.parametrize("loss", OWN)
def test_metrics_of_two_logits_are_those_of_the_largest(loss):
    net = logits_of(2)
    found = compiled(net, loss, ["accuracy", "f1", "auc", "precision"]).evaluate(X, LABELS, batch_size=7, verbose=0)
    z = net(X).detach().numpy()
    y, chosen, p = LABELS.numpy(), z.argmax(1), np.exp(z[:, 1]) / np.exp(z).sum(1)
    wanted = [
        sk.accuracy_score(y, chosen),
        sk.f1_score(y, chosen),
        sk.roc_auc_score(y, p),
        sk.precision_score(y, chosen),
    ]
    assert found[1:] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("loss", OWN)
@pytest.mark.parametrize("probabilities", [True, False])
def test_metrics_of_several_columns_are_those_of_the_largest(loss, probabilities):
    net = nn.Sequential(logits_of(3), nn.Softmax(1) if probabilities else nn.Identity())
    found = compiled(net, loss, ["accuracy", "f1", "auc"]).evaluate(X, CLASSES, verbose=0)
    z = net(X).detach()
    p = (z if probabilities else z.softmax(1)).numpy()
    y = CLASSES.numpy()
    wanted = [
        sk.accuracy_score(y, p.argmax(1)),
        sk.f1_score(y, p.argmax(1), average="macro"),
        sk.roc_auc_score(y, p, multi_class="ovr"),
    ]
    assert found[1:] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("shape", [(5, 5), (6, 4), (7,)])
@pytest.mark.parametrize("loss", [Focal(), smoothed, None])
def test_the_classes_of_images_and_sequences_are_on_torchs_axis(shape, loss):
    classes = 5
    net = nn.Conv2d(1, classes, 1) if len(shape) == 2 else nn.Conv1d(1, classes, 1)
    x = torch.randn(8, 1, *shape)
    y = torch.randint(0, classes, (8, *shape))
    model = compiled(net, loss, ["accuracy"])
    if loss is None and shape == (5, 5):
        with pytest.raises(ValueError, match="do not tell on which axis"):
            model.evaluate(x, y, verbose=0)
        return
    if loss is None and len(shape) == 1:
        return  # beside no loss, sequences have their classes on the last axis, as in Keras
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(float((net(x).argmax(1) == y).float().mean()))


def test_one_hot_targets_of_a_function_are_classes():
    def dice(y_true, y_pred):
        return 1 - (y_true * y_pred).sum() / (y_true + y_pred).sum()

    net = nn.Sequential(logits_of(3), nn.Softmax(1))
    for one_hot in (F.one_hot(CLASSES, 3), F.one_hot(CLASSES, 3).bool(), F.one_hot(CLASSES, 3).float()):
        found = compiled(net, dice, ["accuracy"]).evaluate(X, one_hot, verbose=0)[1]
        assert found == pytest.approx(sk.accuracy_score(CLASSES, net(X).argmax(1)))


# one output


def bce(y_true, y_pred):
    return F.binary_cross_entropy_with_logits(y_pred, y_true)


def plain(y_true, y_pred):
    return F.binary_cross_entropy(y_pred, y_true)


def test_compile_asks_what_a_single_output_is():
    for net in (logits_of(1), kt.Sequential([kt.layers.Dense(1)]), nn.Linear(4, 1)):
        with pytest.raises(
            ValueError, match=r"'accuracy' needs to know whether the outputs are probabilities or logits"
        ):
            kt.Model(net).compile("sgd", bce, metrics=["mae", "accuracy"])


def test_evaluate_asks_what_a_single_output_is_if_compile_could_not_know():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 1)

        def forward(self, x):
            return self.inner(x)

    model = kt.Model(Net())
    model.compile("sgd", bce, metrics=["f1"])
    with pytest.raises(ValueError, match=r"'f1' needs to know .* the loss 'bce' does not say"):
        model.evaluate(X, LABELS, verbose=0)


@pytest.mark.parametrize("name", ["auc", "average_precision"])
def test_what_depends_on_the_order_alone_needs_no_answer(name):
    net = logits_of(1)
    model = kt.Model(net)
    model.compile("sgd", bce, metrics=[name])
    score = sk.roc_auc_score if name == "auc" else sk.average_precision_score
    wanted = score(LABELS, net(X).detach().numpy())
    assert model.evaluate(X, LABELS, verbose=0)[1] == pytest.approx(wanted, rel=1e-5)


def test_a_model_that_ends_in_a_sigmoid_answers():
    net = nn.Sequential(logits_of(1), nn.Sigmoid())
    model = kt.Model(net)
    model.compile("sgd", plain, metrics=["accuracy", "recall"])
    chosen = net(X)[:, 0] > 0.5
    assert model.evaluate(X, LABELS, verbose=0)[1:] == pytest.approx(
        [sk.accuracy_score(LABELS, chosen), sk.recall_score(LABELS, chosen)]
    )


@pytest.mark.parametrize("logits", [True, False])
def test_a_subclass_of_loss_answers(logits):
    class Own(losses.Loss):
        task = "binary"
        from_logits = logits

        def call(self, y_true, y_pred):
            return (bce if logits else plain)(y_true, y_pred)

    torch.manual_seed(2)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 1)

        def forward(self, x):
            return self.inner(x) if logits else torch.sigmoid(self.inner(x) - 0.3)

    net = Net()
    model = kt.Model(net)
    model.compile("sgd", Own(), metrics=["accuracy"])
    chosen = net(X)[:, 0] > (0 if logits else 0.5)
    assert model.evaluate(X, LABELS, verbose=0)[1] == pytest.approx(sk.accuracy_score(LABELS, chosen))


def test_values_above_one_are_compared_with_a_half_beside_a_loss_of_values():
    net = nn.Linear(4, 1)
    with torch.no_grad():
        net.weight.mul_(4)
    model = kt.Model(net)
    model.compile("sgd", "mse", metrics=["accuracy", "precision", "auc"])
    z = net(X).detach()[:, 0]
    assert float(z.max()) > 1 > 0 > float(z.min())
    wanted = [
        sk.accuracy_score(LABELS, z > 0.5),
        sk.precision_score(LABELS, z > 0.5),
        sk.roc_auc_score(LABELS, z),
    ]
    assert model.evaluate(X, LABELS, batch_size=9, verbose=0)[1:] == pytest.approx(wanted, rel=1e-5)


# labels -1 and 1


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", nn.SoftMarginLoss(), "mse"])
@pytest.mark.parametrize("name", ["accuracy", "precision", "recall", "f1", "auc"])
@pytest.mark.parametrize("ordered", [True, False])
def test_labels_minus_one_and_one_are_the_two_classes(loss, name, ordered):
    net = nn.Linear(4, 1)
    y = 2 * LABELS - 1
    order = y.argsort(descending=True) if ordered and loss != "mse" else torch.arange(N)
    model = kt.Model(net)
    model.compile("sgd", loss, metrics=[name])
    z = net(X).detach()[:, 0]
    score = {
        "accuracy": sk.accuracy_score,
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "f1": sk.f1_score,
        "auc": sk.roc_auc_score,
    }[name]
    wanted = score(y, z if name == "auc" else torch.where(z > 0, 1, -1))
    for given in (y, y.float()[:, None]):
        found = model.evaluate(X[order], given[order], batch_size=8, verbose=0)[1]
        assert found == pytest.approx(wanted, rel=1e-5)


def test_hinge_takes_labels_zero_and_one_too():
    net = nn.Linear(4, 1)
    model = kt.Model(net)
    model.compile("sgd", "hinge", metrics=["accuracy"])
    wanted = sk.accuracy_score(LABELS, net(X)[:, 0] > 0)
    assert model.evaluate(X, LABELS, verbose=0)[1] == pytest.approx(wanted)


@pytest.mark.parametrize("wrong", [[1, 2], [-1, 0, 1], [-2, 1]])
def test_other_labels_are_refused(wrong):
    model = kt.Model(nn.Linear(4, 1))
    model.compile("sgd", "mse", metrics=["accuracy"])
    y = torch.tensor(wrong).repeat(N)[:N]
    with pytest.raises(ValueError, match="need labels 0 and 1, or -1 and 1; y has values from"):
        model.evaluate(X, y, verbose=0)


# names of accuracies


def test_binary_accuracy_of_a_softmax_is_that_of_its_elements():
    net = nn.Sequential(logits_of(3), nn.Softmax(1))
    model = kt.Model(net)
    for loss, y in (
        ("sparse_categorical_crossentropy", CLASSES),
        ("categorical_crossentropy", F.one_hot(CLASSES, 3).float()),
    ):
        model.compile("sgd", loss, metrics=["binary_accuracy", "accuracy"])
        found = model.evaluate(X, y, verbose=0)[1:]
        p = net(X)
        elements = float(((p > 0.5) == F.one_hot(CLASSES, 3).bool()).float().mean())
        assert found == pytest.approx([elements, sk.accuracy_score(CLASSES, p.argmax(1))])


def test_categorical_accuracy_of_a_single_column_is_refused():
    model = kt.Model(nn.Sequential(logits_of(1), nn.Sigmoid()))
    for name in ("categorical_accuracy", "sparse_categorical_accuracy"):
        model.compile("sgd", "binary_crossentropy", metrics=[name])
        with pytest.raises(ValueError, match=r"have one column\. Use 'binary_accuracy'"):
            model.evaluate(X, LABELS, verbose=0)


# metric objects with Keras' methods


class Positives:
    """The share of positive targets, and the mean output, whatever the batches."""

    name = "positives"

    def __init__(self):
        self.resets = 0
        self.batches = []

    def reset_state(self):
        self.resets += 1
        self.total = self.count = 0.0
        self.batches = []

    def update_state(self, y_true, y_pred, sample_weight=None):
        assert y_true.shape == y_pred.shape
        self.total += float(y_true.sum())
        self.count += len(y_true)
        self.batches.append(len(y_true))

    def result(self):
        return self.total / self.count

    def __call__(self, *args):
        raise AssertionError("it is no function")


def test_an_object_with_keras_methods_is_updated_by_batch_and_reset_each_epoch():
    metric = Positives()
    y = torch.rand(N)
    model = kt.Model(nn.Linear(4, 1))
    model.compile("sgd", "mse", metrics=[metric])
    history = model.fit(X, y, batch_size=25, epochs=2, validation_data=(X[:10], y[:10]), verbose=0).history
    assert history["positives"] == pytest.approx([float(y.mean())] * 2)
    assert history["val_positives"] == pytest.approx([float(y[:10].mean())] * 2)
    model.evaluate(X, y, batch_size=25, verbose=0)
    assert metric.batches == [25, 25, 10]
    assert metric.resets >= 5


def test_a_callback_may_evaluate_while_an_object_counts():
    class Evaluates(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.found = self.model.evaluate(X[:5], torch.ones(5), verbose=0)[1]

    y = torch.rand(N)
    model = kt.Model(nn.Linear(4, 1))
    model.compile("sgd", "mse", metrics=[Positives()])
    watching = Evaluates()
    history = model.fit(X, y, batch_size=25, epochs=2, callbacks=[watching], verbose=0).history
    assert history["positives"] == pytest.approx([float(y.mean())] * 2)
    assert watching.found == 1


def test_an_object_with_half_of_keras_methods_is_refused():
    class Half:
        def update_state(self, y_true, y_pred):
            pass

        def __call__(self, y_true, y_pred):
            return 0.0

    with pytest.raises(TypeError, match=r"needs update_state\(y_true, y_pred\), result\(\) and reset_state\(\)"):
        kt.Model(nn.Linear(4, 1)).compile("sgd", "mse", metrics=[Half()])


# functions


@pytest.mark.parametrize("column", [True, False])
def test_a_formula_is_one_number_as_loss_and_as_metric(column):
    def squares(y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean()

    net = nn.Linear(4, 1)
    y = X[:, 0] > 0
    model = kt.Model(net if column else nn.Sequential(net, nn.Flatten(0)))
    model.compile("sgd", squares, metrics=[squares])
    wanted = F.mse_loss(net(X)[:, 0], y.float()).item()
    for given in (y, y[:, None], y.float(), y.double()[:, None]):
        assert model.evaluate(X, given, batch_size=N, verbose=0) == pytest.approx([wanted, wanted])


def test_a_metric_function_never_broadcasts():
    def squares(y_true, y_pred):
        return ((y_true - y_pred) ** 2).mean()

    model = kt.Model(nn.Linear(4, 3))
    model.compile("sgd", lambda y_true, y_pred: (y_pred * y_true[:, :1].expand_as(y_pred)).mean(), metrics=[squares])
    with pytest.raises(ValueError, match=r"squares: y of shape .* would be broadcast"):
        model.evaluate(X, X[:, :1], verbose=0)


# what a logged mean counts


def test_a_logged_mean_counts_the_rows_of_the_targets():
    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 1)

        def forward(self, x):
            return self.inner(x.mean(0))

    net = TimeFirst()
    batches = [(torch.randn(t, b, 2), torch.randn(b, 1)) for t, b in ((3, 4), (9, 2), (1, 6))]
    rows = torch.cat([(net(x) - y) ** 2 for x, y in batches])
    model = kt.Model(net)

    def own(y_true, y_pred):
        return (y_true - y_pred) ** 2

    for loss in ("mse", own, nn.MSELoss()):
        model.compile(kt.optimizers.SGD(1e-12), loss)
        assert model.evaluate(lambda: iter(batches), verbose=0) == pytest.approx(float(rows.mean().detach()))
        assert model.fit(lambda: iter(batches), verbose=0).history["loss"] == pytest.approx(
            [float(rows.mean().detach())]
        )


# numbers of a step


class Counts(kt.Model):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 1)
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))
        self.array = np.zeros(())
        self.values = []

    def forward(self, x):
        return self.inner(x) * self.scale

    def train_step(self, batch):
        loss = ((self(batch.x) - batch.y) ** 2).mean()
        self.trainer.backward_and_step(loss)
        return {"loss": loss, **self.numbers()}

    def test_step(self, batch):
        return {"loss": ((self(batch.x) - batch.y) ** 2).mean(), **self.numbers()}

    def numbers(self):
        self.seen += 1
        self.array += 1
        self.values.append((self.scale.item(), self.seen.item()))
        return {"scale": self.scale, "view": self.scale.view(1)[0], "seen": self.seen, "array": self.array}


@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_numbers_of_a_step_are_those_of_its_moment(verb):
    model = Counts()
    model.compile(kt.optimizers.SGD(0.05), "mse")
    rows, y = X.repeat(100, 1), X[:, :1].repeat(100, 1)  # more batches than are summed at once
    if verb == "fit":
        found = {name: one[0] for name, one in model.fit(rows, y, batch_size=20, verbose=0).history.items()}
    else:
        found = model.evaluate(rows, y, batch_size=20, verbose=0, return_dict=True)
    scale, seen = np.mean(model.values, 0)
    assert len(model.values) == 300
    assert [found[name] for name in ("scale", "view", "seen", "array")] == pytest.approx([scale, scale, seen, seen])


def test_a_metric_of_numpy_arrays_is_refused_if_its_value_depends_on_the_shape_of_targets():
    def squeezed(y_true, y_pred):
        return np.mean((y_true.numpy() - y_pred.numpy().squeeze(1)) ** 2)

    def plain(y_true, y_pred):
        return np.mean((y_true.numpy().ravel() - y_pred.numpy().ravel()) ** 2)

    net = nn.Linear(4, 1)
    y = X[:, 0].clone()
    model = kt.Model(net)
    model.compile("sgd", "mse", metrics=[plain])
    found = model.evaluate(X, y, verbose=0)
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    model.compile("sgd", "mse", metrics=[squeezed])
    with pytest.raises(ValueError, match=r"squeezed gives .* NumPy broadcasts"):
        model.evaluate(X, y, verbose=0)


def test_each_output_of_a_functional_model_answers_by_its_own_end():
    def own(y_true, y_pred):
        return (y_true - y_pred).square().mean()

    inputs = kt.Input((4,))
    outputs = [kt.layers.Dense(1, "sigmoid", name="p")(inputs), kt.layers.Dense(1, name="z")(inputs)]
    model = kt.Model(inputs, outputs)
    model.compile("sgd", {"p": own, "z": own}, metrics={"p": ["accuracy"]})
    chosen = model(X)[0][:, 0] > 0.5
    found = model.evaluate(X, {"p": LABELS, "z": LABELS}, return_dict=True, verbose=0)
    assert found["p_accuracy"] == pytest.approx(sk.accuracy_score(LABELS, chosen))
    model.compile("sgd", {"p": own, "z": own}, metrics={"z": ["accuracy"]})
    with pytest.raises(ValueError, match="'accuracy' needs to know"):
        model.evaluate(X, {"p": LABELS, "z": LABELS}, verbose=0)


def _evaluated(loss, metrics, outputs, targets, end=None):
    model = kt.Model(nn.Identity() if end is None else end)
    model.compile("sgd", loss, metrics=metrics)
    return model.evaluate(outputs, targets, N, 0, return_dict=True)


LOGITS = torch.randn(N, 3, generator=torch.Generator().manual_seed(3))
ONE_HOT = F.one_hot(CLASSES, 3).float()


class MeanOutput:
    """An object with torchmetrics' methods, in Keras' order, that is no module."""

    def reset(self):
        self.sum, self.count = 0.0, 0

    def update(self, y_true, y_pred):
        self.sum, self.count = self.sum + float(y_pred.sum()), self.count + len(y_pred)

    def compute(self):
        return self.sum / self.count


def test_update_is_called_in_the_order_of_its_names():
    outputs = X[:, :1]
    found = _evaluated("mse", [MeanOutput()], outputs, torch.full((N, 1), 7.0))
    assert found["mean_output"] == pytest.approx(float(outputs.mean()), rel=1e-5)


def test_a_subclass_of_torchmetrics_with_an_update_of_its_own_is_too():
    from torchmetrics import Metric

    class Mean(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("total", torch.tensor(0.0), "sum")

        def update(self, y_true, y_pred):
            self.total += y_pred.mean()

        def compute(self):
            return self.total

    found = _evaluated("mse", [Mean()], X[:, :1], torch.full((N, 1), 7.0))
    assert found["mean"] == pytest.approx(float(X[:, :1].mean()), rel=1e-5)


def test_a_collection_is_given_what_its_members_are():
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryAccuracy, BinaryF1Score, MulticlassAccuracy

    collection = MetricCollection([BinaryAccuracy(), BinaryF1Score()])
    found = _evaluated("bce_with_logits", [collection], X[:, :1], LABELS.float())
    predicted = (X[:, 0] > 0).long()
    assert found["metric_collection_BinaryF1Score"] == pytest.approx(sk.f1_score(LABELS, predicted))
    with pytest.raises(TypeError, match="need different outputs"):
        kt.metrics.get(MetricCollection([BinaryAccuracy(), MulticlassAccuracy(3)]))


def test_a_subclass_of_a_collection_is_given_what_its_members_are():
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryF1Score

    class Report(MetricCollection):
        pass

    found = _evaluated("bce_with_logits", [Report([BinaryF1Score()])], X[:, :1], LABELS.float())
    assert found["report_BinaryF1Score"] == pytest.approx(sk.f1_score(LABELS, (X[:, 0] > 0).long()))
    assert kt.metrics.get(Report([BinaryF1Score(ignore_index=255)])).ignore_index == 255


def test_a_function_may_return_numbers_by_name():
    def both(y_true, y_pred):
        return {"least": y_pred.min(), "most": y_pred.max()}

    found = _evaluated("mse", [both], X[:, :1], X[:, 1:2])
    assert found["both_least"] == pytest.approx(float(X[:, 0].min()))
    assert found["both_most"] == pytest.approx(float(X[:, 0].max()))


def test_a_partial_of_a_class_is_an_object_of_it():
    import functools

    from torchmetrics.classification import BinaryFBetaScore

    found = _evaluated("bce_with_logits", [functools.partial(BinaryFBetaScore, 2.0)], X[:, :1], LABELS.float())
    assert found["binary_f_beta_score"] == pytest.approx(sk.fbeta_score(LABELS, X[:, 0] > 0, beta=2.0))


@pytest.mark.parametrize("ignored", [-1, 255])
def test_rows_that_an_object_ignores_are_not_counted(ignored):
    from torchmetrics.classification import BinaryAccuracy

    labels = LABELS.clone()
    labels[::3] = ignored
    kept = labels != ignored
    net = nn.Sequential(nn.Linear(4, 1))

    def loss(y_true, y_pred):
        return y_pred.mean() + 0 * y_true.mean()

    found = _evaluated(loss, [BinaryAccuracy(ignore_index=ignored)], X, labels, net)
    predicted = (net(X).detach()[:, 0] > 0).long()
    assert found["binary_accuracy"] == pytest.approx(sk.accuracy_score(labels[kept], predicted[kept]))


def test_two_outputs_with_large_logits_are_ranked_as_one_is():
    logits = torch.stack([torch.zeros(N), torch.linspace(20, 60, N)], 1)
    labels = (torch.arange(N) > 40).long()
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    found = _evaluated(loss, ["auc", "average_precision"], logits, labels)
    assert found["auc"] == pytest.approx(1.0) == found["average_precision"]


def test_categorical_hinge_is_its_loss():
    found = _evaluated("categorical_hinge", ["categorical_hinge"], LOGITS, ONE_HOT)
    pos, neg = (ONE_HOT * LOGITS).sum(1), ((1 - ONE_HOT) * LOGITS).amax(1)
    assert found["categorical_hinge"] == pytest.approx(float((neg - pos + 1).clamp(min=0).mean()), rel=1e-5)
    assert found["loss"] == pytest.approx(found["categorical_hinge"], rel=1e-5)


def test_hinge_is_of_margins_beside_a_loss_of_logits_too():
    found = _evaluated(losses.BinaryCrossentropy(from_logits=True), ["hinge"], X[:, :1], LABELS.float())
    assert found["hinge"] == pytest.approx(float((1 - (2 * LABELS - 1) * X[:, 0]).clamp(min=0).mean()), rel=1e-5)


@pytest.mark.parametrize("end", [nn.Softmax(-1), None], ids=["the model's", "given"])
def test_probabilities_beside_a_loss_of_ones_own_get_no_second_softmax(end):
    class Likelihood(losses.Loss):
        task = "multiclass"

        def call(self, y_true, y_pred):
            return -y_pred.gather(1, y_true[:, None]).log()[:, 0]

    found = _evaluated(Likelihood(), ["auc"], LOGITS if end else LOGITS.softmax(1), CLASSES, end)
    expected = sk.roc_auc_score(CLASSES, LOGITS.softmax(1), multi_class="ovr", average="macro")
    assert found["auc"] == pytest.approx(expected, rel=1e-5)


def test_outputs_that_are_logarithms_are_compared_as_what_they_stand_for():
    p = LOGITS.flip(0).softmax(1)
    found = _evaluated(nn.KLDivLoss(reduction="batchmean"), ["kl_divergence"], LOGITS, p, nn.LogSoftmax(1))
    assert found["kl_divergence"] == pytest.approx(found["loss"], rel=1e-4)
    counts = torch.arange(N).remainder(4).float()[:, None]
    found = _evaluated(nn.PoissonNLLLoss(), ["poisson", "mae"], X[:, :1], counts)
    assert found["poisson"] == pytest.approx(found["loss"], rel=1e-4)
    assert found["mae"] == pytest.approx(float((X[:, :1].exp() - counts).abs().mean()), rel=1e-5)


def test_a_list_of_metrics_is_for_the_only_output_by_name():
    class Named(nn.Module):
        def forward(self, x):
            return {"out": x}

    model = kt.Model(Named())
    model.compile("sgd", {"out": "mse"}, metrics=["mae"])
    logs = model.evaluate(X[:, :1], {"out": X[:, 1:2]}, verbose=0, return_dict=True)
    assert logs["mae"] == pytest.approx(float((X[:, :1] - X[:, 1:2]).abs().mean()))
