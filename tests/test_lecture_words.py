"""Words of a lecture on deep learning: losses by their everyday names, and what each name means."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import layers, losses

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 24)
ONE_HOT = np.eye(3, dtype=np.int64)[LABELS]
YES_NO = RNG.integers(0, 2, 24)


@pytest.mark.parametrize("name", ["l1", "L1", "l1_loss", "L1Loss", "mae", "mean_absolute_error"])
def test_l1_is_the_mean_absolute_error(name):
    y, p = RNG.normal(size=(2, 6, 3))
    assert losses.get(name)(y, p).item() == pytest.approx(np.abs(y - p).mean(), rel=1e-5)


@pytest.mark.parametrize("name", ["l2", "L2", "l2_loss", "L2Loss", "mse", "mean_squared_error"])
def test_l2_is_the_mean_squared_error(name):
    y, p = RNG.normal(size=(2, 6, 3))
    assert losses.get(name)(y, p).item() == pytest.approx(((y - p) ** 2).mean(), rel=1e-5)


def nll(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


def compiled(model, loss="crossentropy", **compile_arguments):
    model.compile("sgd", loss, **compile_arguments)
    return model


MODELS = {
    "Dense with softmax": lambda: kt.Sequential([layers.Dense(3, activation="softmax")]),
    "Softmax": lambda: kt.Sequential([layers.Dense(3), layers.Softmax()]),
    "functional": lambda: (lambda x: kt.Model(x, layers.Dense(3, activation="softmax")(x)))(kt.Input((5,))),
    "nn.Softmax": lambda: kt.Model(nn.Sequential(nn.Linear(5, 3), nn.Softmax(1))),
}


@pytest.mark.parametrize("loss", ["crossentropy", "ce", "CE", "Crossentropy"])
@pytest.mark.parametrize("y", [LABELS, LABELS[:, None], LABELS.astype(np.float32), ONE_HOT, ONE_HOT.astype(float)])
@pytest.mark.parametrize("kind", MODELS)
def test_after_a_softmax_it_is_the_crossentropy_of_class_numbers_or_of_one_hot_targets(kind, y, loss):
    model = compiled(MODELS[kind](), loss, metrics=["accuracy"])
    value, accuracy = model.evaluate(X, y, verbose=0)
    probabilities = model.predict(X, verbose=0)
    assert value == pytest.approx(nll(probabilities, LABELS), rel=1e-4)
    assert accuracy == pytest.approx((probabilities.argmax(1) == LABELS).mean())


@pytest.mark.parametrize("y", [LABELS, ONE_HOT, ONE_HOT.astype(np.float32)], ids=["numbers", "one-hot", "floats"])
@pytest.mark.parametrize(
    "make",
    [lambda: kt.Model(nn.Sequential(nn.Linear(5, 3))), lambda: kt.Sequential([layers.Dense(3)])],
    ids=["torch", "kerastorch"],
)
def test_after_a_layer_without_an_activation_it_is_the_crossentropy_of_logits(make, y):
    model = compiled(make(), metrics=["accuracy"])
    value, accuracy = model.evaluate(X, y, verbose=0)
    logits = torch.from_numpy(model.predict(X, verbose=0))
    assert value == pytest.approx(F.cross_entropy(logits, torch.from_numpy(LABELS)).item(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1).numpy() == LABELS).mean())


@pytest.mark.parametrize("columns", [1, 3])
def test_after_a_sigmoid_it_is_the_binary_crossentropy(columns):
    y = RNG.integers(0, 2, (24, columns))
    model = compiled(kt.Sequential([layers.Dense(columns, activation="sigmoid")]))
    value = model.evaluate(X, y, verbose=0)
    p = model.predict(X, verbose=0)
    assert value == pytest.approx(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(), rel=1e-4)


def test_of_a_single_output_without_an_activation_it_is_the_binary_crossentropy_of_logits():
    model = compiled(kt.Model(nn.Linear(5, 1)), metrics=["accuracy"])
    value, accuracy = model.evaluate(X, YES_NO, verbose=0)
    logits = torch.from_numpy(model.predict(X, verbose=0))[:, 0]
    wanted = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(YES_NO).float())
    assert value == pytest.approx(wanted.item(), rel=1e-5)
    assert accuracy == pytest.approx(((logits > 0).numpy() == YES_NO).mean())


def test_after_a_log_softmax_it_is_the_negative_log_likelihood():
    model = compiled(kt.Model(nn.Sequential(nn.Linear(5, 3), nn.LogSoftmax(1))))
    value = model.evaluate(X, LABELS, verbose=0)
    log_probabilities = torch.from_numpy(model.predict(X, verbose=0))
    assert value == pytest.approx(F.nll_loss(log_probabilities, torch.from_numpy(LABELS)).item(), rel=1e-5)


def test_each_of_several_outputs_gets_its_own():
    x = kt.Input((5,))
    hidden = layers.Dense(4)(x)
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(hidden),
        "yes": layers.Dense(1, activation="sigmoid", name="yes")(hidden),
        "size": layers.Dense(1, name="size")(hidden),
    }
    model = compiled(kt.Model(x, outputs), {"kind": "ce", "yes": "ce", "size": "mse"})
    y = {"kind": LABELS, "yes": YES_NO, "size": X[:, 0]}
    found = model.evaluate(X, y, verbose=0, return_dict=True)
    p = model.predict(X, verbose=0)
    assert found["kind_loss"] == pytest.approx(nll(p["kind"], LABELS), rel=1e-4)
    yes = p["yes"][:, 0]
    wanted = -(YES_NO * np.log(yes) + (1 - YES_NO) * np.log(1 - yes)).mean()
    assert found["yes_loss"] == pytest.approx(wanted, rel=1e-4)
    assert found["size_loss"] == pytest.approx(((p["size"][:, 0] - X[:, 0]) ** 2).mean(), rel=1e-4)


def test_losses_in_a_list_are_chosen_by_the_outputs_in_their_order():
    x = kt.Input((5,))
    ends = [layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, activation="sigmoid", name="yes")(x)]
    model = compiled(kt.Model(x, ends), ["ce", "ce"])
    found = model.evaluate(X, [LABELS, YES_NO], verbose=0, return_dict=True)
    kind, yes = model.predict(X, verbose=0)
    assert found["kind_loss"] == pytest.approx(nll(kind, LABELS), rel=1e-4)
    assert found["yes_loss"] == pytest.approx(nll(np.hstack([1 - yes, yes]), YES_NO), rel=1e-4)


def test_images_have_their_classes_where_torch_has_them():
    x = RNG.normal(size=(4, 2, 6, 6)).astype(np.float32)
    y = RNG.integers(0, 3, (4, 6, 6))
    model = compiled(kt.Model(nn.Sequential(nn.Conv2d(2, 3, 1))))
    value = model.evaluate(x, y, verbose=0)
    logits = torch.from_numpy(model.predict(x, verbose=0))
    assert value == pytest.approx(F.cross_entropy(logits, torch.from_numpy(y)).item(), rel=1e-5)


def test_training_with_weights_is_that_of_the_loss_written_out():
    found = []
    weight = RNG.uniform(size=24).astype(np.float32)
    for loss in ("crossentropy", "sparse_categorical_crossentropy"):
        kt.utils.set_random_seed(0)
        model = compiled(MODELS["Dense with softmax"](), loss)
        found.append(model.fit(X, LABELS, epochs=3, sample_weight=weight, verbose=0).history["loss"])
    assert found[0] == found[1]
    assert found[0][-1] < found[0][0]


def test_a_saved_model_has_the_same_loss(tmp_path):
    model = compiled(MODELS["Dense with softmax"](), "ce")
    model.fit(X, LABELS, verbose=0)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    assert loaded.evaluate(X, ONE_HOT, verbose=0) == pytest.approx(model.evaluate(X, LABELS, verbose=0), rel=1e-6)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = nn.Linear(5, 3)

    def forward(self, x):
        return self.inside(x)


@pytest.mark.parametrize(
    ("make", "ending"),
    [
        (lambda: kt.Model(Net()), "Net"),
        (lambda: kt.Sequential([layers.Dense(3, activation="relu")]), "Dense"),
        (lambda: kt.Sequential([layers.Dense(3), layers.Dropout(0.1)]), "Dropout"),
        (lambda: (lambda x: kt.Model(x, layers.Dense(3)(x) * 2))(kt.Input((5,))), "a function"),
    ],
)
@pytest.mark.parametrize("name", ["ce", "crossentropy"])
def test_if_the_last_layer_does_not_decide_it_both_candidates_are_named(name, make, ending):
    message = (
        f"loss='{name}' depends on whether the outputs are probabilities or logits, and the model ends in {ending}, .*"
        "loss='sparse_categorical_crossentropy' for probabilities.*loss='cross_entropy' for logits"
    )
    with pytest.raises(ValueError, match=message):
        compiled(make(), name)


@pytest.mark.parametrize("name", ["ce", "crossentropy"])
def test_without_a_model_the_name_is_refused_with_the_candidates(name):
    message = f"'{name}' depends on what the model ends in. After a softmax it is 'sparse_categorical_crossentropy'"
    with pytest.raises(ValueError, match=message):
        losses.get(name)


@pytest.mark.parametrize("kind", MODELS)
def test_cross_entropy_keeps_the_meaning_of_torch_and_refuses_a_softmax(kind):
    model = compiled(MODELS[kind](), "cross_entropy")
    with pytest.raises(
        ValueError, match=r"expects logits\. Remove the Softmax, or use 'sparse_categorical_crossentropy'"
    ):
        model.fit(X, LABELS, verbose=0)


def test_several_ones_in_a_row_are_no_classes():
    model = compiled(MODELS["Dense with softmax"]())
    y = ONE_HOT.copy()
    y[3] = [1, 1, 0]
    message = "each row must sum to 1; one sums to 2. For columns that are yes-or-no questions, end the model in a sig"
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, verbose=0)


def test_class_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"y\[0\] = 3, but the model has 3 outputs .*Use y - 1"):
        compiled(MODELS["Dense with softmax"]()).fit(X, np.resize([3, 2, 1], 24), verbose=0)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("log_loss", "After a softmax it is 'sparse_categorical_crossentropy'"),
        ("softmax_crossentropy", "After a softmax it is 'sparse_categorical_crossentropy'"),
        ("sparse_crossentropy", "Its name is 'sparse_categorical_crossentropy'"),
        ("categorical", "Its name is 'categorical_crossentropy'"),
        ("rmse", "Take 'mse', which has the same minimum"),
        ("SSE", r"Take 'mse', the mean of the squares, or losses.MeanSquaredError\(reduction='sum'\)"),
        ("accuracy", "It is a metric"),
        ("nll", "'nll_loss' takes log-probabilities"),
        ("crossentropi", r"Did you mean 'crossentropy'\?"),
        ("l2_los", r"Did you mean 'l2_loss'\?"),
    ],
)
def test_a_name_that_is_not_here_says_what_to_take(name, advice):
    with pytest.raises(ValueError, match=rf"^Unknown loss '{name}'\. {advice}.* Known: "):
        losses.get(name)


def test_a_loss_with_another_number_is_not_suggested():
    with pytest.raises(ValueError, match=r"^Unknown loss 'l3_loss'\. Known: "):
        losses.get("l3_loss")
