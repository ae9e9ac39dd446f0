"""`keras.callbacks.CallbackList` in a loop of one's own."""

import numpy as np
import pytest

import kerastorch as kt
import kerastorch.keras as keras


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(("train", self.params["epochs"], logs))

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(("begin", epoch, logs))

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(("batch", batch, dict(logs)))

    def on_epoch_end(self, epoch, logs=None):
        logs["extra"] = epoch * 10.0

    def on_train_end(self, logs=None):
        self.calls.append(("end", logs))


@pytest.fixture
def model():
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.compile(keras.optimizers.SGD(0.1), "mse")
    return made


def test_the_hooks_are_called_in_a_loop_of_ones_own(model, capsys):
    recorder = Recorder()
    stopping = keras.callbacks.EarlyStopping(monitor="loss", patience=0)
    callbacks = keras.callbacks.CallbackList(
        [recorder, stopping], add_history=True, add_progbar=True, model=model, epochs=9, steps=2
    )
    callbacks.on_train_begin()
    losses = [3.0, 2.0, 2.5, 1.0]
    for epoch in range(9):
        callbacks.on_epoch_begin(epoch)
        for batch in range(2):
            callbacks.on_train_batch_begin(batch)
            callbacks.on_batch_end(batch, {"loss": losses[epoch]})
        callbacks.on_epoch_end(epoch, {"loss": losses[epoch]})
        if model.stop_training:
            break
    callbacks.on_train_end()
    assert recorder.calls[:4] == [
        ("train", 9, {}), ("begin", 0, {}), ("batch", 0, {"loss": 3.0}), ("batch", 1, {"loss": 3.0}),
    ]  # fmt: skip
    assert recorder.calls[-1] == ("end", {})
    assert model.history.history == {"loss": losses[:3], "extra": [0.0, 10.0, 20.0]}
    assert capsys.readouterr().out.count("Epoch ") == 3


def test_the_loop_gives_the_history_of_fit(model):
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile(keras.optimizers.SGD(0.1), "mse")
    expected = model.fit(x, y, epochs=3, batch_size=4, verbose=0)
    callbacks = keras.callbacks.CallbackList(model=twin, add_history=True, epochs=3)
    callbacks.on_train_begin()
    for epoch in range(3):
        callbacks.on_epoch_begin(epoch)
        callbacks.on_epoch_end(epoch, {"loss": twin.train_on_batch(x, y)})
    callbacks.on_train_end()
    np.testing.assert_allclose(twin.history.history["loss"], expected.history["loss"], rtol=1e-6)


def test_the_model_and_the_parameters_may_come_later(model):
    recorder = Recorder()
    callbacks = keras.callbacks.CallbackList(recorder)
    callbacks.set_model(model)
    callbacks.set_params({"epochs": 4})
    callbacks.on_train_begin()
    assert (recorder.model, recorder.calls) == (model, [("train", 4, {})])
    with pytest.raises(AttributeError, match="no 'on_epoch'"):
        callbacks.on_epoch
    with pytest.raises(TypeError, match="callback"):
        keras.callbacks.CallbackList([3])


def test_the_other_callbacks_are_those_of_the_main_package():
    assert keras.callbacks.EarlyStopping is kt.callbacks.EarlyStopping
    assert issubclass(keras.callbacks.CallbackList, kt.callbacks.CallbackList)
    from kerastorch.keras.callbacks import CallbackList, ModelCheckpoint

    assert (CallbackList, ModelCheckpoint) == (keras.callbacks.CallbackList, kt.callbacks.ModelCheckpoint)
