"""Ensembles: the mean of models that are trained as if each was alone."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, log_loss
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt
from kerastorch import layers


def data(rows=80, seed=0):
    x = np.random.default_rng(seed).normal(size=(rows, 4)).astype("float32")
    return x, (x[:, 0] * x[:, 1] > 0).astype("int64")


def builder(last=lambda: layers.Dense(3), loss="cross_entropy", optimizer="adam", **options):
    def build():
        model = kt.Sequential([layers.Dense(16, activation="relu"), layers.Dropout(0.2), last()])
        model.compile(optimizer, loss, **options)
        return model

    return build


def trained_alone(build, n, seed=0, **arguments):
    x, y = data()
    models = []
    for member in range(n):
        kt.utils.set_random_seed(seed + member)
        model = build()
        model.fit(x, y, verbose=0, **arguments)
        models.append(model)
    return models


def test_members_equal_models_that_are_trained_alone():
    x, y = data()
    models = kt.ensemble(builder(), 3, seed=7)
    before = torch.get_rng_state()
    histories = models.fit(x, y, epochs=3)
    assert torch.equal(before, torch.get_rng_state())
    assert models.alone_because is None
    for own, member, history in zip(trained_alone(builder(), 3, 7, epochs=3), models, histories, strict=True):
        assert history.history == own.history.history
        np.testing.assert_array_equal(own.predict(x, verbose=0), member.predict(x, verbose=0))


def test_the_mean_of_logits_has_the_mean_of_the_probabilities():
    x, y = data()
    models = kt.ensemble(builder(), 3)
    models.fit(x, y, epochs=2)
    probabilities = np.mean([softmax(own.predict(x, verbose=0), 1) for own in trained_alone(builder(), 3, epochs=2)], 0)
    np.testing.assert_allclose(softmax(models.predict(x), 1), probabilities, rtol=1e-5)
    np.testing.assert_allclose(models.predict(x), np.log(probabilities), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(models.predict_proba(x), probabilities, rtol=1e-5)


@pytest.mark.parametrize(
    ("last", "loss", "probabilities"),
    [
        (lambda: layers.Dense(1), "binary_cross_entropy_with_logits", expit),
        (lambda: layers.Dense(1, activation="sigmoid"), "binary_crossentropy", lambda p: p),
        (lambda: layers.Dense(3, activation="softmax"), "sparse_categorical_crossentropy", lambda p: p),
        (lambda: nn.Sequential(nn.Linear(16, 3), nn.LogSoftmax(1)), nn.NLLLoss(), np.exp),
        (lambda: layers.Dense(1), "mse", lambda values: values),
    ],
)
def test_each_kind_of_output_is_averaged_as_probabilities_or_values(last, loss, probabilities):
    x, y = data()
    y = y.astype("float32")[:, None] if isinstance(loss, str) and "sparse" not in loss else y
    models = kt.ensemble(builder(last, loss), 3)
    models.fit(x, y, epochs=2)
    outputs = models.predict(x, members=True)
    assert outputs.shape[0] == 3
    for member, output in zip(models, outputs, strict=True):
        np.testing.assert_array_equal(member.predict(x, verbose=0), output)
    mean = probabilities(outputs).mean(0)
    np.testing.assert_allclose(probabilities(models.predict(x)), mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(models.predict_proba(x), mean, rtol=1e-5)


def test_evaluate_gives_the_metrics_of_the_mean_without_penalties():
    x, y = data()

    def build():
        model = kt.Sequential([layers.Dense(8, activation="relu", kernel_regularizer="l2"), layers.Dense(2)])
        model.compile("adam", "cross_entropy", metrics=["accuracy"])
        return model

    models = kt.ensemble(build, 3)
    models.fit(x, y, epochs=3)
    mean = softmax(models.predict(x), 1).astype("float64")
    found = models.evaluate(x, y, return_dict=True)
    assert found["accuracy"] == pytest.approx(accuracy_score(y, mean.argmax(1)))
    assert found["loss"] == pytest.approx(log_loss(y, mean / mean.sum(1, keepdims=True)), rel=1e-5)
    assert models.evaluate(x, y) == [found["loss"], found["accuracy"]]
    weights = np.random.default_rng(0).uniform(size=len(y))
    weighted = models.evaluate(x, y, sample_weight=weights, return_dict=True)
    rows = -np.log(mean[np.arange(len(y)), y])
    assert weighted["loss"] == pytest.approx((rows * weights).sum() / len(y), rel=1e-4)


def test_uncertainty_divides_the_entropy_of_the_mean():
    x, y = data()
    models = kt.ensemble(builder(), 4)
    models.fit(x, y, epochs=3)
    members = softmax(models.predict(x, members=True).astype("float64"), -1)
    found = models.uncertainty(x)
    np.testing.assert_allclose(found.total, entropy(members.mean(0), axis=-1), rtol=1e-5)
    np.testing.assert_allclose(found.aleatoric, entropy(members, axis=-1).mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.epistemic, found.total - found.aleatoric, atol=1e-12)
    np.testing.assert_allclose(found.std, members.std(0, ddof=1), atol=1e-7)
    assert list(found.frame().columns) == ["total", "aleatoric", "epistemic"]
    assert "80 rows" in str(found)


def test_uncertainty_of_a_single_probability_and_of_values():
    x, y = data()
    models = kt.ensemble(builder(lambda: layers.Dense(1, activation="sigmoid"), "binary_crossentropy"), 3)
    models.fit(x, y.astype("float32")[:, None], epochs=1)
    mean = models.predict(x).astype("float64")[:, 0]
    np.testing.assert_allclose(models.uncertainty(x).total, entropy([mean, 1 - mean], axis=0), rtol=1e-4)
    values = kt.ensemble(builder(lambda: layers.Dense(1), "mse"), 3)
    values.fit(x, y.astype("float32")[:, None], epochs=1)
    found = values.uncertainty(x)
    assert found.total is None
    np.testing.assert_allclose(found.epistemic, values.predict(x, members=True).std(0, ddof=1), rtol=1e-4, atol=1e-7)


def test_bootstrap_trains_each_member_on_rows_drawn_with_replacement():
    rows = []

    class Seen(kt.callbacks.Callback):
        def on_train_end(self, logs=None):
            rows.append(self.params["steps"])

    x, y = data()
    models = kt.ensemble(builder(optimizer="sgd"), 3)
    models.fit(x, y, bootstrap=0.5, batch_size=10, callbacks=lambda member: [Seen()])
    assert rows == [4, 4, 4]
    whole, drawn = (kt.ensemble(builder(), 3) for _ in range(2))
    whole.fit(x, y)
    drawn.fit(x, y, bootstrap=True, sample_weight=np.ones(len(y)))
    assert not np.allclose(whole.predict(x), drawn.predict(x))
    again = kt.ensemble(builder(), 3)
    again.fit(x, y, bootstrap=True, sample_weight=np.ones(len(y)))
    np.testing.assert_array_equal(again.predict(x), drawn.predict(x))


def test_a_bootstrap_sample_of_one_row_is_that_row():
    from kerastorch.core.rng_state import capture_rng_states
    from kerastorch.ensembles.bootstrap import bootstrap_rows

    x, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    drawn_x, drawn_y, weight = bootstrap_rows(True, x, y, y * 0.1, capture_rng_states())
    np.testing.assert_array_equal(drawn_x, x[drawn_y])
    np.testing.assert_allclose(weight, drawn_y * 0.1, rtol=1e-6)
    assert len(set(drawn_y.tolist())) < 10


def test_callbacks_are_copied_for_each_member():
    x, y = data()
    models = kt.ensemble(builder(optimizer=kt.optimizers.Adam(0.1)), 3)
    stopping = kt.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    models.fit(x, y, epochs=20, validation_split=0.25, callbacks=stopping)
    assert models.alone_because is None
    assert len({len(history.epoch) for history in models.histories}) > 1


def test_what_cannot_be_trained_together_is_trained_one_after_the_other():
    x, y = data()
    models = kt.ensemble(builder(optimizer="lamb"), 2)
    models.fit(x, y, epochs=2)
    assert "each element" in models.alone_because
    for own, member in zip(trained_alone(builder(optimizer="lamb"), 2, epochs=2), models, strict=True):
        np.testing.assert_array_equal(own.predict(x, verbose=0), member.predict(x, verbose=0))


def test_an_ensemble_is_saved_and_pickled(tmp_path):
    x, y = data()
    models = kt.ensemble(builder(metrics=["accuracy"]), 3)
    models.fit(x, y)
    models.save(tmp_path / "ensemble")
    loaded = kt.Ensemble.load(tmp_path / "ensemble")
    assert len(loaded) == 3
    np.testing.assert_allclose(loaded.predict(x), models.predict(x), rtol=1e-6)
    assert loaded.evaluate(x, y) == pytest.approx(models.evaluate(x, y))
    loaded.fit(x, y)
    pickled = pickle.loads(pickle.dumps(models))
    np.testing.assert_array_equal(pickled.predict(x), models.predict(x))
    assert pickled.histories[0].history == models.histories[0].history
    with pytest.raises(RuntimeError, match="a pickle has their weights alone"):
        pickled.evaluate(x, y)
    with pytest.raises(FileExistsError, match="3 members"):
        models.save(tmp_path / "ensemble", overwrite=False)
    kt.ensemble(builder(), 2).fit(x, y)
    with pytest.raises(FileNotFoundError, match="no ensemble"):
        kt.Ensemble.load(tmp_path)
    for name in ("one.kt", "text"):
        (tmp_path / "text").write_text("")
        with pytest.raises(NotADirectoryError, match="Give the name of a folder"):
            models.save(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"kt\.load_model reads a single model"):
        kt.Ensemble.load(tmp_path / "text")


def test_several_outputs_are_combined_each_in_its_way():
    def build():
        x = kt.Input((4,))
        hidden = layers.Dense(8, activation="relu")(x)
        model = kt.Model(x, {"kind": layers.Dense(2)(hidden), "size": layers.Dense(1)(hidden)})
        model.compile("adam", {"kind": "cross_entropy", "size": "mse"}, metrics={"kind": ["accuracy"]})
        return model

    x, y = data()
    targets = {"kind": y, "size": x[:, :1]}
    models = kt.ensemble(build, 3)
    models.fit(x, targets, epochs=2)
    outputs, mean = models.predict(x, members=True), models.predict(x)
    expected = softmax(outputs["kind"], -1).mean(0)
    np.testing.assert_allclose(mean["kind"], log_softmax(np.log(expected), -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean["size"], outputs["size"].mean(0), rtol=1e-5, atol=1e-7)
    assert models.uncertainty(x)["kind"].total.shape == (80,)
    found = models.evaluate(x, targets, return_dict=True)
    assert found["kind_accuracy"] == pytest.approx(accuracy_score(y, expected.argmax(-1)))


def test_a_second_fit_goes_on_with_other_random_numbers():
    x, y = data()
    models = kt.ensemble(builder(), 2)
    models.fit(x, y, epochs=2)
    first = models.predict(x)
    models.fit(x, y, epochs=2)
    assert len(models.histories[0].epoch) == 2
    assert not np.array_equal(first, models.predict(x))


def test_bad_builders_are_refused(capsys):
    shared = layers.Dense(2)

    def same():
        shared.build((None, 4))
        model = kt.Sequential([shared])
        model.compile("sgd", "mse")
        return model

    with pytest.raises(TypeError, match="def build"):
        kt.ensemble(kt.Sequential([layers.Dense(1)]), 3)
    with pytest.raises(TypeError, match=r"without arguments: missing a required argument: 'x'\. Write def build\(\)"):
        kt.ensemble(lambda x, y: builder()(), 3)
    with pytest.raises(TypeError, match="compiled model, got NoneType"):
        kt.ensemble(lambda: None, 3)
    with pytest.raises(ValueError, match="not compiled"):
        kt.ensemble(lambda: kt.Sequential([layers.Dense(1)]), 3)
    with pytest.raises(ValueError, match="weights of an earlier member"):
        kt.ensemble(same, 3)
    with pytest.raises(ValueError, match="n must be"):
        kt.ensemble(builder(), 1)
    models = kt.ensemble(builder(), 2)
    with pytest.raises(TypeError, match="epoch"):
        models.fit(*data(), epoch=3)
    with pytest.raises(ValueError, match="bootstrap draws rows of arrays"):
        models.fit(lambda: iter([data()]), bootstrap=True)
    models.fit(*data())
    models.summary()
    assert "2 members" in capsys.readouterr().out


def equal_members(build, x, y):
    """Return an ensemble whose members have the same weights, so that their mean is the output of each."""

    def seeded():
        kt.utils.set_random_seed(1)
        return build()

    models = kt.ensemble(seeded, 3)
    models.fit(x, y)
    for member in models.members[1:]:
        member.load_state_dict(models[0].state_dict())
    return models


def two_heads(arrange, loss, **options):
    def build():
        x = kt.Input((4,))
        first, second = layers.Dense(3, name="kind")(x), layers.Dense(1, name="size")(x)
        model = kt.Model(x, arrange(first, second))
        model.compile("adam", loss, **options)
        return model

    return build


class Heads(kt.Model):
    def __init__(self, arrange):
        super().__init__()
        self.a, self.b, self.arrange = layers.Dense(3), layers.Dense(1), arrange

    def forward(self, x):
        return self.arrange(self.a(x), self.b(x))


def pair(a, b):
    return a, b


def heads(arrange, loss, **options):
    def build():
        model = Heads(arrange)
        model.compile("adam", loss, **options)
        return model

    return build


def masked(**options):
    def build():
        model = kt.Sequential([layers.Embedding(10, 4, mask_zero=True), layers.Dense(3, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
        return model

    return build


LENGTHS = np.random.default_rng(6).integers(1, 7, (80, 1))
STEPS = np.random.default_rng(5).integers(1, 9, (80, 6)) * (np.arange(6) < LENGTHS)
Y3 = np.random.default_rng(7).integers(0, 3, 80)
SIZES = data()[0][:, :1]
CASES = {
    "softmax": (builder(lambda: layers.Dense(3, "softmax"), "ce", metrics=["accuracy", "auroc"]), None, Y3),
    "logits": (builder(metrics=["accuracy"], weighted_metrics=["accuracy"]), None, Y3),
    "ignored class": (builder(loss=nn.CrossEntropyLoss()), None, np.where(Y3 == 2, -100, Y3)),
    "class weights": (builder(loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0]))), None, Y3),
    "hinge": (builder(lambda: layers.Dense(1), "hinge", metrics=["accuracy"]), None, np.sign(SIZES)),
    "mask": (masked(weighted_metrics=["accuracy"]), STEPS, STEPS % 3),
    "list": (two_heads(lambda a, b: [a, b], ["ce", "mse"], loss_weights=[0.2, 3.0], metrics=[["accuracy"], ["mae"]]),
             None, [Y3, SIZES]),
    "dict, one without a loss": (two_heads(lambda a, b: {"a": a, "b": b}, {"a": "ce", "b": None}), None, {"a": Y3}),
    "nested": (two_heads(lambda a, b: {"a": [a, b], "b": b}, {"a": ["ce", "mse"], "b": "mae"},
               loss_weights={"a": [1.0, 2.0], "b": 0.5}), None, {"a": [Y3, SIZES], "b": SIZES}),
    "tuple of a subclass": (heads(lambda a, b: (a, b), ["cross_entropy", "mse"], loss_weights=[0.2, 3.0]), None,
                            (Y3, SIZES)),
    "one loss for two": (heads(lambda a, b: {"a": a, "b": b}, "mse", loss_weights={"a": 2.0, "b": 0.1}), None,
                         {"a": data()[0][:, :3], "b": SIZES}),
    "logits of several outputs": (heads(lambda a, b: {"logits": a, "hidden": b}, "cross_entropy"), None, Y3),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_an_ensemble_of_equal_members_is_evaluated_as_each_of_them(case, weighted):
    build, x, y = CASES[case]
    x = data()[0] if x is None else x
    models = equal_members(build, x, y)
    weight = np.random.default_rng(8).uniform(size=80) if weighted else None
    alone = models[0].evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    found = models.evaluate(x, y, sample_weight=weight, return_dict=True)
    assert list(found) == list(alone)
    assert found == pytest.approx(alone, rel=1e-5, abs=1e-6)
    values = models.evaluate(x, y, sample_weight=weight)
    assert values == pytest.approx(models[0].evaluate(x, y, sample_weight=weight, verbose=0), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("build", "y"),
    [
        (two_heads(lambda a, b: [a, b], ["cross_entropy", "mse"]), [Y3, SIZES]),
        (heads(pair, ["cross_entropy", "mse"]), (Y3, SIZES)),
    ],
)
def test_outputs_in_a_list_are_combined_each_in_its_way(build, y):
    x = data()[0]
    models = kt.ensemble(build, 3)
    models.fit(x, y, epochs=2)
    for one in (models, pickle.loads(pickle.dumps(models))):
        outputs, mean, probabilities = one.predict(x, members=True), one.predict(x), one.predict_proba(x)
        assert type(mean) is type(models[0].predict(x, verbose=0))
        expected = softmax(outputs[0].astype("float64"), -1).mean(0)
        np.testing.assert_allclose(softmax(mean[0], -1), expected, rtol=1e-5)
        np.testing.assert_allclose(probabilities[0], expected, rtol=1e-5)
        np.testing.assert_allclose(mean[1], outputs[1].mean(0), rtol=1e-5, atol=1e-6)
        found = one.uncertainty(x)
        np.testing.assert_allclose(found[0].total, entropy(expected, axis=-1), rtol=1e-5)
        assert found[1].total is None


def test_outputs_in_a_namedtuple_stay_one():
    models = kt.ensemble(heads(Pair, {"first": "cross_entropy", "second": "mse"}), 2)
    x = data()[0]
    models.fit(x, {"first": Y3, "second": SIZES})
    outputs = models.predict(x, members=True)
    mean = models.predict(x)
    assert isinstance(mean, Pair)
    np.testing.assert_allclose(softmax(mean.first, -1), softmax(outputs.first, -1).mean(0), rtol=1e-5)


class Pair(NamedTuple):
    first: object
    second: object


def of_batches(x, y):
    return [(x[start : start + 30], y[start : start + 30]) for start in range(0, len(x), 30)]


SOURCES = {
    "loader": lambda x, y: DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=30),
    "dataset": lambda x, y: TensorDataset(torch.as_tensor(x), torch.as_tensor(y)),
    "function": lambda x, y: lambda: iter(of_batches(x, y)),
    "generator": lambda x, y: (batch for batch in of_batches(x, y)),
}


@pytest.mark.parametrize("name", SOURCES)
def test_all_kinds_of_data_give_the_numbers_of_arrays(name):
    x = data()[0]
    models = kt.ensemble(builder(metrics=["accuracy"]), 3)
    models.fit(x, Y3)
    source = SOURCES[name]
    expected = models.predict(x)
    np.testing.assert_allclose(models.predict(source(x, Y3)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(models.predict_proba(source(x, Y3)), softmax(expected, -1), rtol=1e-5, atol=1e-6)
    assert models.evaluate(source(x, Y3)) == pytest.approx(models.evaluate(x, Y3), rel=1e-6)
    report = models.evaluate(source(x, Y3), report={"n_bootstrap": 0})
    assert report.metrics["accuracy"] == pytest.approx(accuracy_score(Y3, expected.argmax(1)))


def test_a_generator_that_uses_the_memory_of_its_batch_again_gives_each_batch():
    x = data()[0]
    models = kt.ensemble(builder(), 2)
    models.fit(x, Y3)

    def batches():
        memory = np.empty((20, 4), "float32")
        for start in range(0, 80, 20):
            memory[:] = x[start : start + 20]
            yield memory

    np.testing.assert_allclose(models.predict(batches()), models.predict(x), rtol=1e-5, atol=1e-6)


def test_data_in_another_order_for_each_member_are_refused():
    x = data()[0]
    models = kt.ensemble(builder(), 2)
    models.fit(x, Y3)
    with pytest.raises(ValueError, match=r"evaluate\(\): the DataLoader shuffles"):
        models.evaluate(DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(Y3)), shuffle=True))
    generator = np.random.default_rng(0)

    def shuffled():
        order = generator.permutation(80)
        yield x[order], Y3[order]

    with pytest.raises(ValueError, match="the data gave other targets to each member"):
        models.evaluate(shuffled)
    for arguments in ({"x": iter([(x, Y3)])}, {"x": x, "y": Y3, "validation_data": iter([(x, Y3)])}):
        with pytest.raises(ValueError, match="is an iterator, which gives its batches once, and each of 2 members"):
            models.fit(**arguments)


def test_the_report_on_an_ensemble_is_that_of_its_mean():
    x = data()[0]
    models = kt.ensemble(builder(metrics=["accuracy"]), 3)
    models.fit(x, Y3, epochs=2)
    probabilities = models.predict_proba(x)
    report = models.evaluate(x, Y3, report={"n_bootstrap": 0, "by": Y3})
    assert report.metrics["log_loss"] == pytest.approx(log_loss(Y3, probabilities), rel=1e-5)
    assert report.logs == pytest.approx(models.evaluate(x, Y3, return_dict=True))
    assert len(report.slices) == 3
    assert kt.evaluation.report(models, x, Y3, n_bootstrap=0).metrics == report.metrics
    with pytest.raises(TypeError, match=r"Unknown option of a report 'bye'\. Did you mean 'by'"):
        models.evaluate(x, Y3, report={"bye": 1})
    both = kt.ensemble(two_heads(lambda a, b: {"a": a, "b": b}, {"a": "ce", "b": "mse"}), 2)
    both.fit(x, {"a": Y3, "b": SIZES})
    reports = both.evaluate(x, {"a": Y3, "b": SIZES}, report=True)
    assert reports["a"].metrics["accuracy"] == pytest.approx(accuracy_score(Y3, both.predict(x)["a"].argmax(1)))
    assert reports["b"].metrics["mae"] == pytest.approx(np.abs(both.predict(x)["b"] - SIZES).mean(), rel=1e-5)


def test_dropout_of_each_member_is_sampled():
    x = data()[0]
    models = kt.ensemble(builder(metrics=["accuracy"]), 3)
    models.fit(x, Y3)

    def samples():
        kt.utils.set_random_seed(3)
        return np.stack([member.predict(x, verbose=0, mc_dropout=5) for member in models])

    expected = samples()
    kt.utils.set_random_seed(3)
    np.testing.assert_array_equal(models.predict(x, members=True, mc_dropout=5), expected)
    kt.utils.set_random_seed(3)
    found = models.predict(x, mc_dropout=5)
    assert found.shape == (5, 80, 3)
    np.testing.assert_allclose(softmax(found, -1), softmax(expected, -1).mean(0), rtol=1e-4)
    kt.utils.set_random_seed(3)
    uncertainty = models.uncertainty(x, mc_dropout=5)
    every = softmax(expected.astype("float64"), -1).reshape(15, 80, 3)
    np.testing.assert_allclose(uncertainty.total, entropy(every.mean(0), axis=-1), rtol=1e-5)
    np.testing.assert_allclose(uncertainty.aleatoric, entropy(every, axis=-1).mean(0), rtol=1e-5)
    without = kt.ensemble(heads(lambda a, b: a, "cross_entropy"), 2)
    with pytest.raises(ValueError, match="mc_dropout=5 needs dropout"):
        without.predict(x, mc_dropout=5)


def test_sampled_outputs_of_images_have_their_classes_on_the_second_axis():
    images, classes = np.random.default_rng(0).normal(size=(6, 3, 4, 4)).astype("f4"), np.zeros((6, 4, 4), int)

    def build():
        model = kt.Sequential([layers.Dropout(0.5), layers.Conv2D(5, 1)])
        model.compile("adam", "cross_entropy")
        return model

    models = kt.ensemble(build, 2)
    models.fit(images, classes)
    kt.utils.set_random_seed(3)
    every = models.predict(images, members=True, mc_dropout=4)
    kt.utils.set_random_seed(3)
    found = models.predict(images, mc_dropout=4)
    assert every.shape == (2, 4, 6, 5, 4, 4)
    np.testing.assert_allclose(softmax(found, 2), softmax(every, 3).mean(0), rtol=1e-4)
    kt.utils.set_random_seed(3)
    expected = entropy(softmax(every.reshape(8, 6, 5, 4, 4).astype("float64"), 2).mean(0), axis=1)
    np.testing.assert_allclose(models.uncertainty(images, mc_dropout=4).total, expected, rtol=1e-5)


def test_members_that_return_class_numbers_have_no_mean():
    class Classes(kt.Model):
        def __init__(self):
            super().__init__()
            self.linear = layers.Dense(3)

        def forward(self, x):
            return self.linear(x) if self.training else self.linear(x).argmax(-1)

    def build():
        model = Classes()
        model.compile("adam", "cross_entropy")
        return model

    models = kt.ensemble(build, 2)
    models.fit(data()[0], Y3)
    for use in (models.predict, models.predict_proba, models.uncertainty):
        with pytest.raises(ValueError, match="return int64, such as class numbers, which have no mean"):
            use(data()[0])


def test_a_loss_of_all_outputs_is_an_error_with_a_sentence():
    models = kt.ensemble(heads(lambda a, b: (a, b), lambda outputs, target: ((outputs[1] - target) ** 2).mean()), 2)
    models.fit(data()[0], SIZES)
    with pytest.raises(ValueError, match="reports and ensembles compare each output with its target"):
        models.evaluate(data()[0], SIZES)


def test_the_mean_is_scaled_by_a_temperature_as_the_error_says():
    x = data()[0]
    y = np.where(np.random.default_rng(1).random(80) < 0.3, Y3, x[:, :3].argmax(1))
    for last, loss in ((lambda: layers.Dense(3), "cross_entropy"), (lambda: layers.Dense(3, "softmax"), "ce")):
        models = kt.ensemble(builder(last, loss, kt.optimizers.Adam(0.01)), 3)
        models.fit(x, y, epochs=10)
        with pytest.raises(TypeError, match=r"kt\.Model\(nn\.Identity\(\)\), ensemble\.predict\(x\), y"):
            kt.evaluation.temperature_scaling(models, x, y)
        logits = models.predict(x) if loss == "cross_entropy" else np.log(models.predict_proba(x))
        result = kt.evaluation.temperature_scaling(kt.Model(nn.Identity()), logits, y)
        assert result.before.log_loss == pytest.approx(log_loss(y, models.predict_proba(x)), rel=1e-5)
        scaled = softmax(result.model.predict(logits, verbose=0).astype("float64"), -1)
        assert result.after.log_loss == pytest.approx(log_loss(y, scaled), rel=1e-5)
        assert result.after.log_loss < result.before.log_loss
