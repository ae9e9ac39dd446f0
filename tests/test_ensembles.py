"""Ensembles: the mean of models that are trained as if each was alone."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, log_loss
from torch import nn

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
