"""`compile(loss="model")`: models that compute their loss themselves, compared with loops by hand."""

import copy
import warnings
from collections import namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

pytestmark = pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")

ROWS, STEPS, TOKENS, CLASSES = 36, 6, 11, 3


def rows(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 5, generator=generator)
    return x, (x.sum(1) > 0).long() + (x[:, 0] > 0).long()


def tokens(seed=0, ignored=-100):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, TOKENS, (ROWS, STEPS), generator=generator)
    labels = ids.clone()
    labels[::2, :2] = ignored
    return ids, labels


@dataclass
class Output:
    logits: Any
    loss: Any = None
    cache: Any = None


Pair = namedtuple("Pair", "logits loss")
FORMS = {
    "a dict": lambda logits, loss: {"loss": loss, "logits": logits, "cache": object()},
    "a dict without None": lambda logits, loss: {"logits": logits} | ({} if loss is None else {"loss": loss}),
    "a dataclass": lambda logits, loss: Output(logits, loss, object()),
    "a namedtuple": lambda logits, loss: Pair(logits, loss),
    "logits and loss": lambda logits, loss: (logits, loss),
    "loss and logits": lambda logits, loss: (logits,) if loss is None else (loss, logits),
    "an object": lambda logits, loss: SimpleNamespace(loss=loss, logits=logits, note="text"),
    "logits in a tuple": lambda logits, loss: (loss, (logits, object())),
}


class Classifier(nn.Module):
    """A network that computes its loss if it is given labels."""

    def __init__(self, form, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, CLASSES))
        self.form = FORMS[form]

    def forward(self, x, labels=None):
        logits = self.net(x)
        return self.form(logits, None if labels is None else F.cross_entropy(logits, labels))


class Language(nn.Module):
    """A language model of a cell; the loss compares each step with the next label, if it shifts them itself."""

    def __init__(self, shifts, ignored=-100):
        super().__init__()
        self.embedding, self.head = nn.Embedding(TOKENS, 8), nn.Linear(8, TOKENS)
        self.shifts, self.ignored = shifts, ignored

    def forward(self, ids, targets=None):
        logits, loss = self.head(self.embedding(ids)), None
        if targets is not None:
            predicted, true = (logits[:, :-1], targets[:, 1:]) if self.shifts else (logits, targets)
            loss = F.cross_entropy(predicted.flatten(0, 1), true.flatten(), ignore_index=self.ignored)
        return logits, loss


def by_hand(module, inputs, epochs=2, batch_size=8, loss_of=lambda outputs: outputs[1]):
    """Train a copy in a plain loop without shuffling; return it and the mean loss of each epoch over the rows."""
    module = copy.deepcopy(module)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    means = []
    for _ in range(epochs):
        total = 0.0
        for batch in zip(*(one.split(batch_size) for one in inputs), strict=True):
            loss = loss_of(module(*batch))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch[0])
        means.append(total / len(inputs[0]))
    return module, means


def compiled(module, loss="model", **given):
    model = kt.Model(module)
    model.compile(torch.optim.Adam(model.parameters(), lr=0.01), loss, **given)
    return model


def train(model, x, y=None, epochs=2, **given):
    return model.fit(x, y, epochs=epochs, batch_size=8, shuffle=False, verbose=0, **given).history


def assert_same_weights(one, other):
    for (name, first), second in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


def found_loss(outputs):
    if isinstance(outputs, tuple) and not isinstance(outputs, Pair):
        return next(one for one in outputs if isinstance(one, torch.Tensor) and not one.ndim)
    return outputs["loss"] if isinstance(outputs, dict) else outputs.loss


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_of_a_model_is_minimized_as_in_a_loop_by_hand(form):
    x, y = rows()
    module = Classifier(form)
    expected, means = by_hand(module, (x, y), loss_of=found_loss)
    model = compiled(module, metrics=["accuracy"])
    history = train(model, (x, y), y)
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)
    logits = expected.net(x)
    logs = model.evaluate((x, y), y, batch_size=8, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-5)
    assert logs["accuracy"] == pytest.approx((logits.argmax(1) == y).float().mean().item())


def array_in(predictions):
    if isinstance(predictions, np.ndarray):
        return predictions
    return predictions["logits"] if isinstance(predictions, dict) else predictions.logits


@pytest.mark.parametrize("form", FORMS)
def test_predictions_have_neither_the_loss_nor_objects(form):
    x, y = rows()
    module = Classifier(form)
    model = compiled(module)
    train(model, (x, y), y, epochs=1)
    logits = module.net(x).detach().numpy()
    for inputs in (x, (x, y)):
        found = model.predict(inputs, batch_size=8, verbose=0)
        np.testing.assert_allclose(array_in(found), logits, rtol=1e-5, atol=1e-6)
        streamed = [array_in(one) for one in model.predict_iter(inputs, batch_size=8)]
        np.testing.assert_array_equal(np.concatenate(streamed), array_in(found))
        np.testing.assert_allclose(array_in(model.predict_on_batch(inputs)), logits, rtol=1e-5, atol=1e-6)
        if isinstance(found, dict):
            assert list(found) == ["logits"]
        elif not isinstance(found, np.ndarray):
            assert (found.loss, getattr(found, "cache", None)) == (None, None)


def test_callbacks_and_arrays_of_the_caller_get_the_predictions_without_the_loss():
    x, y = rows()
    model, seen = compiled(Classifier("logits and loss")), []

    class Seen(kt.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(logs["outputs"])

    out = np.empty((ROWS, CLASSES), np.float32)
    assert model.predict((x, y), batch_size=8, verbose=0, out=out, callbacks=[Seen()]) is out
    assert torch.equal(torch.cat(seen), torch.from_numpy(out))
    np.testing.assert_allclose(out, model.module_viewed.net(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_without_a_loss_the_one_that_the_model_returns_is_used_and_said_once():
    x, y = rows()
    module = Classifier("a dict")
    expected, _ = by_hand(module, (x, y), loss_of=found_loss)
    model = compiled(module, None, metrics=["accuracy"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(model, (x, y), y, epochs=1, validation_data=((x, y), y))
        train(model, (x, y), y, epochs=1)
        model.evaluate((x, y), y, verbose=0)
    assert_same_weights(expected, module)
    assert [str(one.message).startswith("compile() was given no loss") for one in caught] == [True]
    assert "loss='model'" in str(caught[0].message)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_a_model_without_any_loss_is_refused_in_a_sentence(verb):
    x, y = rows()
    model = compiled(nn.Linear(5, 3), None)
    silent = {"verbose": 0} if verb in ("fit", "evaluate") else {}
    with pytest.raises(
        ValueError, match=r"needs a loss: .*a tensor \(\d+, 3\).*compile\(loss=\.\.\.\).*add_loss.*compute_loss"
    ):
        getattr(model, verb)(x, y, **silent)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize("loss", ["model", None])
def test_missing_labels_are_said_in_a_sentence(verb, loss):
    x, _ = rows()
    model = compiled(Classifier("a dict"), loss)
    silent = {"verbose": 0} if verb in ("fit", "evaluate") else {}
    with pytest.raises(ValueError, match=r"a dict with loss \(None\), logits \(\d+ x 3\).*labels"):
        getattr(model, verb)(x, **silent)


def test_weights_of_rows_and_classes_are_refused_in_a_sentence():
    x, y = rows()
    model = compiled(Classifier("a dict"))
    for weights in ({"sample_weight": torch.ones(ROWS)}, {"class_weight": {0: 2.0}}):
        with pytest.raises(ValueError, match="takes no sample weights"):
            model.fit((x, y), y, verbose=0, **weights)


def test_a_factor_and_penalties_belong_to_the_loss_of_a_model():
    x, y = rows()

    class Added(kt.layers.Layer):
        def forward(self, x):
            self.add_loss(0.1 * x.square().mean())
            return x

    module = Classifier("a dict")
    module.net.append(Added())
    model = compiled(module, loss_weights=3.0, regularizers={"net.0.weight": kt.regularizers.L2(0.5)})
    outputs = module(x, y)
    expected = 3 * outputs["loss"] + 0.5 * module.net[0].weight.square().sum() + 0.1 * outputs["logits"].square().mean()
    logs = model.evaluate((x, y), y, verbose=0, return_dict=True, batch_size=ROWS)
    assert logs["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert logs["data_loss"] == pytest.approx(3 * outputs["loss"].item(), rel=1e-5)


class Detector(nn.Module):
    """Losses by name in training, outputs in evaluation, as detection models return them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 1), nn.Linear(5, 1)

    def forward(self, x, y):
        a, b = self.a(x).squeeze(1), self.b(x).squeeze(1)
        if not self.training:
            return [{"scores": one} for one in a]
        return {"loss_a": F.mse_loss(a, y.float()), "loss_b": F.l1_loss(b, y.float())}


def test_losses_by_name_are_added_and_logged():
    x, y = rows()
    module = Detector()
    expected, means = by_hand(module, (x, y), loss_of=lambda outputs: outputs["loss_a"] + 2 * outputs["loss_b"])
    history = train(compiled(module, loss_weights={"loss_b": 2.0}), (x, y), y)
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)
    np.testing.assert_allclose(history["loss"], np.add(history["loss_a"], 2 * np.array(history["loss_b"])), rtol=1e-6)


class TrainingLoss(nn.Module):
    """Returns its loss in training mode alone."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, CLASSES)

    def forward(self, x, labels):
        logits = self.layer(x)
        return {"loss": F.cross_entropy(logits, labels)} if self.training else {"logits": logits}


def test_a_model_that_returns_no_loss_in_evaluation_is_validated_by_metrics_alone():
    x, y = rows()
    module = TrainingLoss()
    model = compiled(module)
    with pytest.raises(ValueError, match=r"returned a dict with logits .*validated by metrics alone"):
        model.evaluate((x, y), y, verbose=0)
    model.compile("adam", "model", metrics={"logits": ["accuracy"]})
    found = []
    metrics = kt.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: found.append(sorted(logs)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.fit((x, y), y, epochs=2, verbose=0, validation_data=((x, y), y), callbacks=[metrics])
    in_training, in_evaluation = (str(one.message) for one in said)
    assert "a dict with loss (a scalar): metrics are logged for the validation alone" in in_training
    assert "holds no loss: only metrics are logged" in in_evaluation
    assert found == [["learning_rate", "loss", "val_logits_accuracy"]] * 2
    accuracy = model.evaluate((x, y), y, batch_size=8, verbose=0)
    assert accuracy == pytest.approx((module.layer(x).argmax(1) == y).float().mean().item())


def test_a_model_that_returns_no_loss_in_evaluation_is_refused_there():
    x, y = rows()
    model = compiled(Detector())
    with pytest.raises(ValueError, match=r"returned a list of .*in training mode only"):
        model.evaluate((x, y), y, verbose=0)


def test_factors_of_losses_that_the_model_does_not_return_are_refused():
    x, y = rows()
    with pytest.raises(ValueError, match="loss_weights are for 'loss_c'"):
        train(compiled(Detector(), loss_weights={"loss_c": 2.0}), (x, y), y)
    with pytest.raises(ValueError, match="loss_weights must be a number, or a dict"):
        compiled(Detector(), loss_weights=[1.0, 2.0])


class Scalar(nn.Module):
    """A language model that returns nothing but its loss."""

    def __init__(self):
        super().__init__()
        self.inner = Language(shifts=True)

    def forward(self, ids):
        return self.inner(ids, ids)[1]


@pytest.mark.parametrize("loss", ["model", None])
@pytest.mark.filterwarnings("ignore:compile.. was given no loss")
def test_a_scalar_alone_is_the_loss_of_data_without_targets(loss):
    ids, _ = tokens()
    module = Scalar()
    expected, means = by_hand(module, (ids,), loss_of=lambda outputs: outputs)
    model = compiled(module, loss)
    assert train(model, ids)["loss"] == pytest.approx(means, rel=1e-6)
    assert_same_weights(expected, module)
    with pytest.raises(ValueError, match="returned its loss alone"):
        model.predict(ids, verbose=0)
    with pytest.raises(ValueError, match="metrics need y, got None"):
        compiled(Scalar(), metrics=["accuracy"]).evaluate(ids, verbose=0)


@pytest.mark.parametrize("ignored", [-100, -1])
@pytest.mark.parametrize("shifts", [True, False])
def test_metrics_pair_logits_with_the_labels_that_the_loss_pairs_them_with(shifts, ignored):
    ids, labels = tokens(ignored=ignored)
    module = Language(shifts, ignored)
    model = compiled(module, metrics=["accuracy"])
    history = train(model, (ids, labels), labels, epochs=1, validation_data=((ids, labels), labels))
    logits = module(ids)[0]
    predicted, true = (logits[:, :-1], labels[:, 1:]) if shifts else (logits, labels)
    counted = true != ignored
    expected = (predicted.argmax(-1) == true)[counted].float().mean().item()
    assert history["val_accuracy"] == pytest.approx([expected])
    assert model.evaluate((ids, labels), labels, verbose=0)[1] == pytest.approx(expected)


def test_labels_that_are_the_inputs_are_shifted_if_the_value_of_the_loss_does_not_tell():
    ids, labels = tokens()

    class Smoothed(Language):
        def forward(self, ids, targets=None):
            logits, loss = super().forward(ids, targets)
            return logits, None if loss is None else loss + 0.1 * logits.square().mean()

    module = Smoothed(shifts=True)
    model = compiled(module, metrics=["accuracy"])
    found = model.evaluate((ids, labels), labels, verbose=0)[1]
    predicted, true = module(ids)[0][:, :-1].argmax(-1), labels[:, 1:]
    assert found == pytest.approx((predicted == true)[true >= 0].float().mean().item())


def test_metrics_of_sequences_warn_if_nothing_tells_which_label_belongs_to_which_logits():
    ids, labels = tokens()

    class Focal(Language):
        def forward(self, ids, targets=None):
            logits, loss = super().forward(ids, targets)
            return logits, None if loss is None else loss * loss

    model = compiled(Focal(shifts=False), metrics=["accuracy"])
    with pytest.warns(UserWarning, match=r"cross-entropy neither of logits\[:, t\] and y\[:, t\]"):
        model.evaluate((ids, (labels + 1) % TOKENS), (labels + 1) % TOKENS, verbose=0)


def test_a_first_batch_without_labels_decides_nothing():
    ids, labels = tokens()
    labels[:8] = -100

    class Sum(Language):
        def forward(self, ids, targets=None):
            logits, loss = super().forward(ids, targets)
            return logits, None if loss is None else torch.nan_to_num(loss)

    module = Sum(shifts=True)
    found = compiled(module, metrics=["accuracy"]).evaluate((ids, labels), labels, batch_size=8, verbose=0)[1]
    predicted, true = module(ids)[0][:, :-1].argmax(-1), labels[:, 1:]
    assert found == pytest.approx((predicted == true)[true >= 0].float().mean().item())


def ragged_batches():
    generator = torch.Generator().manual_seed(3)
    for steps in (4, 7, 5):
        ids = torch.randint(0, TOKENS, (8, steps), generator=generator)
        labels = torch.randint(0, TOKENS, (8, steps), generator=generator)
        labels[:, 0] = -100
        yield (ids, labels), labels


def test_metrics_count_batches_of_different_lengths():
    module = Language(shifts=False)
    found = compiled(module, metrics=["accuracy"]).evaluate(ragged_batches, verbose=0)[1]
    hits = [(module(ids)[0].argmax(-1) == labels)[labels >= 0] for (ids, labels), _ in ragged_batches()]
    assert found == pytest.approx(torch.cat(hits).float().mean().item())


@pytest.mark.parametrize("kind", ["values", "questions"])
def test_metrics_of_values_and_questions_follow_the_loss_of_the_model(kind):
    x, _ = rows()
    y = x[:, :2].clone() if kind == "values" else (x[:, :2] > 0).float()
    function = F.mse_loss if kind == "values" else F.binary_cross_entropy_with_logits

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 2)

        def forward(self, x, labels=None):
            logits = self.layer(x)
            return {"logits": logits, "loss": function(logits, labels)}

    module = Net()
    metric = "mae" if kind == "values" else "accuracy"
    found = compiled(module, metrics=[metric]).evaluate((x, y), y, verbose=0)[1]
    logits = module.layer(x)
    expected = (logits - y).abs().mean() if kind == "values" else ((logits > 0) == (y > 0)).float().mean()
    assert found == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("at", [(0, 2), (1, 0)])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(at, tmp_path):
    ids, labels = tokens()

    def fit(callbacks):
        torch.manual_seed(3)
        module = Language(shifts=True)
        model = compiled(module, metrics=["accuracy"])
        history = model.fit((ids, labels), labels, epochs=2, batch_size=8, verbose=0, callbacks=callbacks)
        return module.state_dict(), history.history

    (weights, logs), (resumed_weights, resumed_logs) = whole_and_resumed(fit, at, tmp_path)
    assert all(torch.equal(one, resumed_weights[name]) for name, one in weights.items())
    assert resumed_logs == logs


def test_compiled_steps_give_the_weights_of_uncompiled_ones():
    ids, labels = tokens()
    found = []
    for jit in (False, True):
        torch.manual_seed(1)
        module = Language(shifts=True)
        model = compiled(module, metrics=["accuracy"], jit_compile=jit)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="jit_compile.*")
            history = train(model, (ids[:32], labels[:32]), labels[:32], epochs=4)
        assert not jit or model.trainer.is_compiled
        found.append((module.state_dict(), history))
    (weights, logs), (jit_weights, jit_logs) = found
    for name, one in weights.items():
        torch.testing.assert_close(jit_weights[name], one, rtol=1e-5, atol=1e-6)
    for name in ("loss", "accuracy"):
        assert jit_logs[name] == pytest.approx(logs[name], rel=1e-4)


class SavedNet(kt.Model):
    def __init__(self):
        super().__init__()
        self.layer = kt.layers.Dense(CLASSES)

    def forward(self, x, labels=None):
        logits = self.layer(x)
        return {"logits": logits, "loss": None if labels is None else F.cross_entropy(logits, labels)}


def test_a_saved_model_keeps_its_loss(tmp_path):
    x, y = rows()
    model = SavedNet()
    model.compile("adam", "model", metrics=["accuracy"])
    train(model, (x, y), y)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt", custom_objects={"SavedNet": SavedNet})
    assert loaded.evaluate((x, y), y, verbose=0) == model.evaluate((x, y), y, verbose=0)
    assert train(loaded, (x, y), y) == train(model, (x, y), y)


def test_accumulated_gradients_are_those_of_the_losses_of_a_model():
    x, y = rows()
    x, y = x[:32], y[:32]
    module = Classifier("a dict")
    expected = copy.deepcopy(module)
    model = kt.Model(module)
    model.compile(kt.optimizers.SGD(0.1, gradient_accumulation_steps=2), "model")
    train(model, (x, y), y, epochs=1)
    optimizer = torch.optim.SGD(expected.parameters(), lr=0.1)
    for start in (0, 16):
        halves = [slice(start, start + 8), slice(start + 8, start + 16)]
        optimizer.zero_grad()
        (sum(expected(x[half], y[half])["loss"] for half in halves) / 2).backward()
        optimizer.step()
    for one, other in zip(expected.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


def test_the_loss_of_a_model_trains_in_bfloat16():
    x, y = rows()
    module = Classifier("a dict")
    model = compiled(module, metrics=["accuracy"], precision="bf16")
    curve = train(model, (x, y), y, epochs=8)["loss"]
    assert curve[-1] < curve[0]
    assert model.predict(x, verbose=0)["logits"].dtype == np.float32


def test_a_learning_rate_is_searched_for_the_loss_of_a_model():
    x, y = rows()
    model = compiled(Classifier("logits and loss"))
    found = model.find_lr((x, y), y, batch_size=ROWS, steps=60)
    assert 1e-5 < found.suggestion < 1


def test_a_loss_that_is_not_finite_is_reported(tmp_path):
    x, y = rows()

    class Broken(Classifier):
        def forward(self, x, labels=None):
            outputs = super().forward(x, labels)
            return {**outputs, "loss": outputs["loss"] * torch.tensor(float("nan"))}

    model = compiled(Broken("a dict"))
    with pytest.raises(RuntimeError, match="loss"):
        train(model, (x, y), y, nan_report=tmp_path / "report")
    assert "nan" in str(model.replay(tmp_path / "report")).lower()


def test_means_of_a_model_without_targets_count_the_rows_of_its_inputs():
    ids, _ = tokens()
    ids = ids[:20]
    module = Scalar()
    found = compiled(module).evaluate(ids, batch_size=8, verbose=0)
    means = [(module(part).item(), len(part)) for part in ids.split(8)]
    assert found == pytest.approx(sum(mean * n for mean, n in means) / 20, rel=1e-6)


def test_a_loader_trains_a_model_that_computes_its_loss():
    ids, labels = tokens()
    module = Language(shifts=True)
    expected, means = by_hand(module, (ids, labels))

    def collate(some):
        batch, true = (torch.stack(one) for one in zip(*some, strict=True))
        return (batch, true), true

    loader = DataLoader(TensorDataset(ids, labels), batch_size=8, collate_fn=collate)
    history = compiled(module).fit(loader, epochs=2, verbose=0).history
    assert_same_weights(expected, module)
    assert history["loss"] == pytest.approx(means, rel=1e-6)


def test_metrics_without_targets_are_answered():
    class WholeBatch(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, batch):
            logits = self.layer(batch["features"])
            return {"logits": logits, "loss": F.cross_entropy(logits, batch["label"])}

    batch = {"features": torch.randn(4, 3), "label": torch.tensor([0, 1, 0, 1])}
    model = kt.Model(WholeBatch())
    model.compile("sgd", loss="model", metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"The metrics need targets, and a batch has no y.*prepare_batch"):
        model.fit(lambda: [batch], verbose=0)


# Scalars that are no losses


class Scalars(nn.Module):
    """A regression with a learned scale; `form` makes what it returns of the module, the outputs and the targets."""

    def __init__(self, form):
        super().__init__()
        self.layer, self.scale = nn.Linear(5, 1), nn.Parameter(torch.tensor(0.5))
        self.form = form

    def forward(self, x, y):
        return self.form(self, self.layer(x).squeeze(1), y.float())


def fitted(form, loss="model", **given):
    """Return the logs of an epoch, and the change of the weights as a loop by hand with a loss would make it."""
    torch.manual_seed(0)
    module = Scalars(form)
    model = kt.Model(module)
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), loss, **given)
    x, y = rows()
    logs = model.fit((x, y), y, batch_size=ROWS, shuffle=False, verbose=0).history
    return module, {name: values[0] for name, values in logs.items()}


def stepped(loss_of):
    torch.manual_seed(0)
    module = Scalars(None)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    x, y = rows()
    loss = loss_of(module, module.layer(x).squeeze(1), y.float())
    loss.backward()
    optimizer.step()
    return module, loss.item()


def two_losses(model, output, y):
    return F.mse_loss(output, y) + F.l1_loss(output, y)


WITH_MEASURES = {
    "metrics and settings": lambda model, output, y: {
        "loss_a": F.mse_loss(output, y),
        "loss_b": F.l1_loss(output, y),
        "accuracy": (output.round() == y).float().mean(),
        "lr": torch.tensor(0.1),
        "n_rows": torch.tensor(len(y)),
        "momentum": 0.9,
        "aux": None,
    },
    "a learned temperature": lambda model, output, y: {
        "loss_a": F.mse_loss(output, y),
        "l1_loss": F.l1_loss(output, y),
        "temperature": model.scale.exp(),
    },
    "the total": lambda model, output, y: {
        "loss_a": F.mse_loss(output, y),
        "total_loss": two_losses(model, output, y),
        "loss_b": F.l1_loss(output, y),
    },
    "functions": lambda model, output, y: {"mse": F.mse_loss(output, y), "mae": F.l1_loss(output, y)},
    "no gradient": lambda model, output, y: {
        "loss_a": two_losses(model, output, y),
        "loss_frozen": torch.tensor(0.0),
    },
}


@pytest.mark.parametrize("loss", ["model", None])
@pytest.mark.parametrize("form", WITH_MEASURES)
@pytest.mark.filterwarnings("ignore:compile.. was given no loss")
def test_of_scalars_by_name_those_are_added_that_are_losses(form, loss):
    module, logs = fitted(WITH_MEASURES[form], loss)
    expected, value = stepped(two_losses)
    assert_same_weights(expected, module)
    assert logs["loss"] == pytest.approx(value, rel=1e-6)
    x, y = rows()
    scalars = WITH_MEASURES[form](expected, expected.layer(x).squeeze(1), y.float())
    again = compiled(module, loss).evaluate((x, y), y, verbose=0, return_dict=True)
    for name, value in scalars.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and name != "total_loss":
            assert name in logs
            assert again[name] == pytest.approx(value.item(), rel=1e-5)


DOUBTFUL = {
    "another name": (lambda model, output, y: {"loss_a": F.mse_loss(output, y), "dice": F.l1_loss(output, y)}, "dice"),
    "no gradient": (
        lambda model, output, y: {"boxes": F.mse_loss(output, y), "hits": (output > y).float().mean()},
        "hits",
    ),
    "no gradient of an error": (
        lambda model, output, y: {"ce": F.mse_loss(output, y), "mae": F.l1_loss(output, y).detach()},
        "mae",
    ),
}


@pytest.mark.parametrize("form", DOUBTFUL)
def test_a_scalar_that_may_be_no_loss_is_asked_about(form):
    function, name = DOUBTFUL[form]
    question = rf"{name!r} may be no loss.*loss='model', loss_weights=\{{{name!r}: 0\}}"
    with pytest.raises(ValueError, match=question):
        fitted(function)
    for factor in (0, 1):
        for loss in ("model", None):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "compile.. was given no loss")
                module, logs = fitted(function, loss, loss_weights={name: factor})
            first, second = (key for key in ("loss_a", "boxes", "ce", "dice", "hits", "mae") if key in logs)
            assert logs["loss"] == pytest.approx(logs[first] + factor * logs[second], rel=1e-6)
            expected, _ = stepped(lambda *given, factor=factor: sum(
                one * (1 if key != name else factor) for key, one in function(*given).items()
            ))  # fmt: skip
            assert_same_weights(expected, module)


def test_a_value_that_is_only_logged_may_be_nan():
    def form(model, output, y):
        return {"boxes": F.mse_loss(output, y), "ratio": torch.tensor(float("nan"))}

    module, logs = fitted(form, loss_weights={"ratio": 0})
    assert_same_weights(stepped(lambda model, output, y: F.mse_loss(output, y))[0], module)
    assert np.isfinite(logs["loss"])
    assert np.isnan(logs["ratio"])


def test_a_field_with_the_name_of_a_metric_is_no_loss():
    class Scored(NamedTuple):
        logits: Any
        accuracy: Any

    model = compiled(Scalars(lambda model, output, y: Scored(output, (output > y).float().mean())))
    x, y = rows()
    for verb in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"returned a Scored with logits .*accuracy \(a scalar\)"):
            verb((x, y), y, verbose=0)


def test_scalars_without_a_loss_are_refused():
    with pytest.raises(ValueError, match="returned a dict with accuracy"):
        fitted(lambda model, output, y: {"accuracy": F.mse_loss(output, y)})


def test_a_criterion_that_returns_a_metric_beside_its_losses_minimizes_the_losses():
    x, y = rows()

    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    def with_accuracy(outputs, target):
        error = F.cross_entropy(outputs[0], target)
        return {"ce_loss": error, "accuracy": (outputs[0].argmax(1) == target).float().mean()}

    def with_unclear(outputs, target):
        return {"ce_loss": F.cross_entropy(outputs[0], target), "margin": outputs[0].std()}

    model = kt.Model(Two(5, CLASSES))
    for criterion in (with_accuracy, with_unclear):
        model.compile("sgd", criterion)
        if criterion is with_unclear:
            with pytest.raises(ValueError, match=r"'margin' may be no loss.*under the name 'loss'"):
                model.evaluate(x, y, verbose=0)
        else:
            logs = model.evaluate(x, y, verbose=0, return_dict=True, batch_size=ROWS)
            expected = F.cross_entropy(model(x)[0], y).item()
            assert (logs["loss"], logs["ce_loss"]) == pytest.approx((expected, expected))


# A scalar of a tuple without a name

NO_LOSSES = {
    "a scale": (lambda model, output, y: (output, model.scale.exp()), "depends on a single learned number"),
    "a parameter": (lambda model, output, y: (model.scale, (output, None)), "depends on a single learned number"),
    "a constant": (lambda model, output, y: (output, torch.tensor(3.0)), "it has no gradient"),
    "a part of the weights": (
        lambda model, output, y: (output * model.scale, model.layer.weight.square().mean()),
        "does not depend on all weights",
    ),
    "a negative number": (lambda model, output, y: (output, -F.mse_loss(output, y)), "its scalar is negative"),
}


@pytest.mark.parametrize("form", NO_LOSSES)
def test_a_scalar_beside_outputs_that_may_be_no_loss_is_not_used_unasked(form):
    function, reason = NO_LOSSES[form]
    with pytest.raises(ValueError, match=rf"compile\(\) was given no loss.*{reason}.*loss='model'"):
        fitted(function, None)
    model = compiled(Scalars(function), None)
    x, y = rows()
    with pytest.raises(ValueError, match=rf"compile\(\) was given no loss.*{reason}.*loss='model'"):
        model.train_on_batch((x, y), y)
    for method in (model.evaluate, model.test_on_batch):
        with pytest.raises(ValueError, match=r"without gradients does not show.*loss='model'"):
            method((x, y), y, **({"verbose": 0} if method == model.evaluate else {}))


@pytest.mark.parametrize("form", ["a scale", "a parameter", "a constant"])
def test_a_scalar_that_is_surely_no_loss_is_refused_also_if_the_model_is_said_to_return_one(form):
    function, reason = NO_LOSSES[form]
    with pytest.raises(ValueError, match=f"only scalar.*{reason}"):
        fitted(function, "model")


@pytest.mark.parametrize("form", ["a part of the weights", "a negative number"])
def test_a_scalar_that_may_be_a_loss_is_minimized_if_it_is_said_to_be_one(form):
    function, _ = NO_LOSSES[form]
    module, logs = fitted(function, "model")
    expected, value = stepped(lambda *given: function(*given)[1])
    assert_same_weights(expected, module)
    assert logs["loss"] == pytest.approx(value, rel=1e-6)


@pytest.mark.filterwarnings("ignore:compile.. was given no loss")
def test_a_fit_that_is_resumed_before_its_validation_knows_the_loss_of_the_model(tmp_path):
    x, y = rows()

    def fit(callbacks):
        torch.manual_seed(3)
        model = compiled(Classifier("logits and loss"), None)
        history = model.fit(
            (x, y), y, epochs=2, batch_size=12, verbose=0, callbacks=callbacks, validation_data=((x, y), y)
        )
        return model.state_dict(), history.history

    (weights, logs), (resumed_weights, resumed_logs) = whole_and_resumed(fit, (0, 2), tmp_path)
    assert all(torch.equal(one, resumed_weights[name]) for name, one in weights.items())
    assert resumed_logs == logs
