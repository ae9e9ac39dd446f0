"""What Keras 3.15.1 gets wrong (each confirmed there) and kerastorch right."""

import numpy as np
import pytest
import torch
from support.problems import classification, regression
from torch import nn

import kerastorch as kt


class Wrapping(kt.Model):
    """A subclass around a torch module, whose forward knows nothing of training and evaluation."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, x):
        return self.inner(x)


def chain():
    return kt.Sequential(Wrapping().inner.children())


def view():
    return kt.Model(Wrapping().inner)


def nested():
    return kt.Sequential([view(), nn.Identity()])


KINDS = pytest.mark.parametrize("make", [Wrapping, chain, view, nested])


@KINDS
def test_dropout_is_off_and_batch_norm_still_in_predict_and_evaluate(make):
    x, y = regression()
    model = make()
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))
    assert model.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


@KINDS
def test_restoring_the_best_weights_restores_batch_norm_statistics(make):
    x, y = regression()
    model = make()
    model.compile("sgd", "mse")
    kept = {}

    class Keep(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept[epoch] = {name: value.clone() for name, value in self.model.state_dict().items()}

    stopping = kt.callbacks.EarlyStopping(patience=2, restore_best_weights=True)

    def disturb(epoch, logs):
        with torch.no_grad():
            for weight in model.parameters() if epoch >= 2 else ():
                weight.add_(torch.randn_like(weight))

    shift = kt.callbacks.LambdaCallback(on_epoch_begin=disturb)
    model.fit(x, y, epochs=10, validation_split=0.2, verbose=0, callbacks=[shift, stopping, Keep()])
    assert stopping.best_epoch < max(kept)
    best = kept[stopping.best_epoch]
    assert all(torch.equal(best[name], value) for name, value in model.state_dict().items())
    assert any("running_mean" in name for name in best)


def test_get_weights_has_the_buffers():
    model = view()
    assert len(model.get_weights()) == len(model.state_dict()) == 9


def test_a_fit_with_an_initial_epoch_leaves_nothing_behind_for_the_next():
    x, y = regression()
    model = view()
    model.compile("sgd", "mse")
    assert len(model.fit(x, y, epochs=5, initial_epoch=3, verbose=0).epoch) == 2
    assert len(model.fit(x, y, epochs=2, verbose=0).epoch) == 2


class PowerCutError(Exception):
    pass


class PowerCut(kt.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.history.epoch == [0, 1] and batch == 1:
            raise PowerCutError


def interrupted(folder):
    """A model that was broken off in the third epoch, its data and the weights it had at the end of each epoch."""
    x, y = regression()
    model = view()
    model.compile("sgd", "mse")
    held = []
    keep = kt.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: held.append(model.get_weights()))
    with pytest.raises(PowerCutError):
        model.fit(x, y, epochs=4, verbose=0, callbacks=[keep, PowerCut()], resume=folder)
    return model, x, y, held


def test_a_training_that_was_gone_on_with_leaves_nothing_behind_for_the_next(tmp_path):
    model, x, y, _ = interrupted(tmp_path)
    assert model.fit(x, y, epochs=4, verbose=0, resume=tmp_path).epoch == [0, 1, 2, 3]
    assert model.fit(x, y, epochs=2, verbose=0).epoch == [0, 1]
    assert model.fit(x, y, epochs=2, verbose=0, resume=tmp_path).epoch == [0, 1]


@pytest.mark.parametrize("cut", [0, 0.5, 0.99])
def test_a_crash_within_a_write_never_pairs_an_epoch_with_the_weights_of_another(tmp_path, cut):
    model, x, y, held = interrupted(tmp_path)
    newest = max(tmp_path.glob("*.kt"))
    newest.write_bytes(newest.read_bytes()[: int(newest.stat().st_size * cut)])
    began = []
    look = kt.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: began.append((epoch, model.get_weights())))
    with pytest.warns(UserWarning, match="One before it is used"):
        model.fit(x, y, epochs=4, verbose=0, callbacks=[look], resume=tmp_path)
    epoch, weights = began[0]
    assert epoch == 1
    assert all(np.array_equal(one, other) for one, other in zip(weights, held[0], strict=True))


def test_the_loss_includes_penalties_and_says_what_it_is_without_them():
    x, y = regression()
    model = kt.Sequential([kt.Input((6,)), kt.layers.Dense(1, kernel_regularizer=kt.regularizers.L2(0.1))])
    model.compile(kt.optimizers.SGD(1e-12), "mse")
    history = model.fit(x, y, epochs=1, validation_split=0.5, verbose=0).history
    penalty = 0.1 * model[0].weight.square().sum().item()
    assert history["loss"][0] - history["data_loss"][0] == pytest.approx(penalty, rel=1e-4)
    assert history["val_loss"][0] - history["val_data_loss"][0] == pytest.approx(penalty, rel=1e-4)
    plain = kt.losses.MeanSquaredError()(y, model(x)).item()
    assert model.evaluate(x, y, verbose=0, return_dict=True)["data_loss"] == pytest.approx(plain, rel=1e-5)


def test_metrics_names_are_the_names_of_the_metrics():
    model = view()
    model.compile("sgd", "mse", metrics=["mae", "r2"])
    assert model.metrics_names == ["loss", "mae", "r2"]


def test_predict_keeps_no_batch_of_outputs_on_the_device():
    x = torch.randn(300, 6)
    alive = []

    class Watch(kt.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            import weakref

            alive.append(weakref.ref(logs["outputs"]))
            assert sum(ref() is not None for ref in alive) <= 2

    view().predict(x, batch_size=10, verbose=0, callbacks=[Watch()])
    assert len(alive) == 30


def test_torch_losses_and_optimizers_keep_torchs_meaning():
    x, y = classification()
    model = kt.Model(nn.Linear(6, 3))
    expected = nn.functional.cross_entropy(model(x), y).item()
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_the_best_model_is_saved_every_so_many_batches(tmp_path):
    x, y = regression()
    model = kt.Sequential([kt.layers.Dense(4, "relu"), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    best = kt.callbacks.ModelCheckpoint(tmp_path / "m.kt", "loss", save_best_only=True, save_freq=2)
    seen = []
    look = kt.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append((logs["loss"], model.predict(x, verbose=0)))
    )
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[look, best])
    loss, outputs = min(seen[1::2], key=lambda one: one[0])
    assert best.best == loss
    assert np.array_equal(kt.load_model(tmp_path / "m.kt").predict(x, verbose=0), outputs)
