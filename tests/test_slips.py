"""Slips of a first hour: a wrong argument, order or name is answered with what to write."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import callbacks, layers, losses, optimizers, regularizers

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = X[:, 0]


def compiled():
    model = kt.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.Dense(3, actvation="relu"), r"Dense\(\) has no argument 'actvation'. .* 'activation'\? It"),
        (lambda: layers.Dense(units=3, activaton="relu"), r"Did you mean 'activation'\? It takes: units, activation, "),
        (lambda: layers.Conv2D(3, 3, dilation=2), r"Conv2D\(\) has no argument 'dilation'. .* 'dilation_rate'"),
        (lambda: layers.Dense(3, input_shape=(4,)), r"'input_shape'. .*Sequential\(\[Input\(\(3,\)\), \.\.\."),
        (lambda: layers.Dense(3, input_dim=4), r"no argument 'input_dim'. .*Sequential\(\[Input"),
        (lambda: layers.Dense(3, dtype="float64"), r"'dtype'. Convert the model: model.to\(torch.float64\)"),
        (lambda: layers.LeakyReLU(alpha=0.1), "no argument 'alpha'. Its name is negative_slope"),
        (lambda: optimizers.SGD(lr=0.1), r"SGD\(\) has no argument 'lr'. Its name is learning_rate"),
        (lambda: optimizers.Adam(beta1=0.1), "Did you mean 'beta_1'"),
        (lambda: optimizers.Adam(decay=0.1), "A rate that changes is a schedule: learning_rate="),
        (lambda: optimizers.BFGS(learning_rate=0.1), "There is none: a line search finds the length of each step"),
        (lambda: optimizers.ConjugateGradient(lr=0.1), "There is no learning rate: a line search"),
        (lambda: losses.Huber(detla=2.0), r"Huber\(\) has no argument 'detla'. Did you mean 'delta'"),
        (lambda: regularizers.L2(l1=0.1), r"L2\(\) has no argument 'l1'. It takes: l2\."),
        (lambda: callbacks.EarlyStopping(patince=3), "Did you mean 'patience'"),
        (lambda: compiled().fit(X, Y, epoch=3), r"fit\(\) has no argument 'epoch'. .* 'epochs'\? It takes: x, y, "),
        (lambda: compiled().fit(X, Y, batchsize=3), r"fit\(\) has no argument 'batchsize'. Did you mean 'batch_size'"),
        (lambda: compiled().fit(X, Y, lr=0.1), r"It is an argument of the optimizer: compile\(optimizers.Adam\("),
        (lambda: compiled().fit(X, Y, validation=(X, Y)), r"Validation data are validation_data=\(x, y\)"),
        (lambda: compiled().fit(X, Y, nb_epoch=2), "'nb_epoch'. Its name is epochs"),
        (lambda: compiled().find_lr(X, Y, workers=2), "Pass a DataLoader with num_workers"),
        (lambda: compiled().fit(X, Y, use_multiprocessing=True), r"fit\(dataset, workers=4\) reads samples"),
        (lambda: compiled().evaluate(X, Y, step=2), r"evaluate\(\) has no argument 'step'. Did you mean 'steps'"),
        (lambda: compiled().predict(X, batch=2), r"predict\(\) has no argument 'batch'"),
        (lambda: compiled().compile("sgd", "mse", metric=["mae"]), r"compile\(\) has no argument 'metric'.*'metrics'"),
    ],
)  # fmt: skip
def test_an_argument_that_does_not_exist_is_answered_with_its_name(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def classes_of(*modules):
    found = [getattr(module, name) for module in modules for name in dir(module)]
    return sorted({one for one in found if isinstance(one, type)}, key=lambda one: one.__qualname__)


@pytest.mark.parametrize(
    "kind",
    [
        one
        for one in classes_of(
            layers, losses, optimizers, optimizers.schedules, regularizers, callbacks, kt.metrics, kt.constraints,
            kt.initializers, kt,
        )
        if one not in (callbacks.CallbackList, callbacks.LRScheduler, optimizers.Torch, kt.metrics.MeanMetricWrapper)
    ],
)  # fmt: skip
def test_every_class_names_an_argument_that_it_does_not_have(kind):
    with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) (has no argument|takes no arguments, got) '?misspelt"):
        kind(misspelt=1)


def test_layers_of_ones_own_have_the_hints_of_their_arguments():
    class Scale(layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

    with pytest.raises(
        TypeError, match=r"Scale\(\) has no argument 'facter'. Did you mean 'factor'\? It takes: factor\."
    ):
        Scale(facter=2)
    assert Scale(factor=2).factor == Scale(2).factor == 2


def test_constructors_that_take_any_keyword_take_them():
    class Options(layers.Dense):
        def __init__(self, units, **options):
            self.depth = options.pop("depth")
            super().__init__(units, **options)

    assert Options(3, depth=2, activation="relu").depth == 2

    class Wrapped(callbacks.Callback):
        @functools.wraps(callbacks.Callback.__init__)
        def __init__(self, *args, **kwargs):
            self.given = kwargs

    assert Wrapped(anything=1).given == {"anything": 1}


def test_a_type_error_within_a_method_keeps_its_message():
    def loss(y_true, y_pred):
        return (y_true - y_pred).square().sum(axes=1)

    model = compiled()
    model.compile("sgd", loss)
    with pytest.raises(TypeError, match="axes"):
        model.fit(X, Y[:, None], verbose=0)


def test_layers_and_callbacks_can_be_copied_and_pickled():
    for thing in (layers.Dense(3), optimizers.Adam(), losses.Huber(delta=2.0), regularizers.L2(0.1)):
        assert type(copy.deepcopy(thing)) is type(thing)
        assert type(pickle.loads(pickle.dumps(thing))) is type(thing)
    assert pickle.loads(pickle.dumps(callbacks.EarlyStopping(patience=7))).patience == 7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.Dense(784, 10), "got 10. A layer takes the number of its outputs alone"),
        (lambda: layers.Dense(3, 2.5), "An activation is a name, a class, an instance or a callable, got 2.5"),
        (lambda: optimizers.Adam(compiled().parameters()), r"takes no parameters.*compile\(optimizers.Adam\(1e-3\)"),
        (lambda: optimizers.SGD(nn.Linear(3, 1)), r"takes no parameters.*torch.optim.SGD\(model.parameters\(\)\)"),
        (lambda: optimizers.SGD([nn.Parameter(torch.ones(1))]), "It takes no parameters"),
        (lambda: kt.Input(8), r"got 8. Write Input\(\(8,\)\)"),
        (lambda: kt.Input(8, 8), r"Write Input\(\(8,\)\)"),
        (lambda: compiled().compile(0.01, "mse"), r"A learning rate is an argument of the optimizer.*Adam\(0.01\)"),
        (lambda: compiled().compile(scheduler(), "mse"), "A scheduler of torch is a callback"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_answered_with_what_to_write(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def scheduler():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    return torch.optim.lr_scheduler.StepLR(optimizer, 1)


# --- compile ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "loss", "message"),
    [
        ("mse", "adam", r"'mse' is a loss, not an optimizer. Write compile\(optimizer='adam', loss='mse'\)"),
        ("crossentropy", "cg", r"Write compile\(optimizer='cg', loss='crossentropy'\)"),
        (losses.MeanSquaredError(), optimizers.Adam(), r"loss=MeanSquaredError\(\)\)"),
        (losses.MeanSquaredError, "sgd", r"MeanSquaredError is a loss.*optimizer='sgd', loss=MeanSquaredError"),
        (nn.MSELoss(), torch.optim.Adam, r"Write compile\(optimizer=Adam, loss=MSELoss\(\)\)"),
        ("mse", None, r"'mse' is a loss, not an optimizer. Write compile\(optimizer=\.\.\., loss='mse'\)"),
        ("adam", "sgd", r"'sgd' is an optimizer, not a loss. Write compile\(optimizer='sgd', loss=\.\.\.\)"),
        ("adam", optimizers.BFGS(), r"BFGS\(\) is an optimizer, not a loss"),
    ],
)  # fmt: skip
def test_optimizer_and_loss_in_the_wrong_order_are_answered_with_the_right_one(optimizer, loss, message):
    with pytest.raises(ValueError, match=message):
        compiled().compile(optimizer, loss)


@pytest.mark.parametrize("given", [0.01, "l2", regularizers.L2(0.01)])
def test_regularizers_are_by_names_of_parameters(given):
    message = r"regularizers must be a dict from names of parameters to penalties, as \{'\*\.weight': .*L2\(0\.01\)\}"
    with pytest.raises(TypeError, match=message):
        compiled().compile("sgd", "mse", regularizers=given)


@pytest.mark.parametrize("value", [0.01, 1, np.float32(0.5)])
def test_a_number_as_regularizer_is_answered_with_l2(value):
    with pytest.raises(TypeError, match=r"Write regularizers.L2\(.*\) for the squares of the weights, L1\("):
        layers.Dense(3, kernel_regularizer=value)


@pytest.mark.parametrize("device", ["gpu", "foo", 1.5])
def test_a_device_that_is_none_is_refused_by_compile(device):
    with pytest.raises(ValueError, match="device must be 'auto' or a device such as 'cpu' or 'cuda', got"):
        compiled().compile("sgd", "mse", device=device)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
@pytest.mark.parametrize("device", ["cuda", "cuda:3", "mps", torch.device("cuda")])
def test_a_device_that_this_machine_lacks_is_refused_by_compile(device):
    with pytest.raises(ValueError, match=r"device=.*: there is no such device here\. Use 'auto' or 'cpu'"):
        compiled().compile("sgd", "mse", device=device)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "auto"])
def test_devices_that_are_there_are_taken(device):
    model = compiled()
    model.compile("sgd", "mse", device=device)
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


# --- fit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch", "test_on_batch", "find_lr"])
@pytest.mark.parametrize("pair", [tuple, list])
def test_inputs_and_targets_in_one_tuple_are_answered_with_two_arguments(verb, pair):
    with pytest.raises(ValueError, match=rf"{verb}\(\) was given 2 arrays as x and no y.* Write {verb}\(x, y\), not "):
        getattr(compiled(), verb)(pair([X, Y]))


@pytest.mark.parametrize("verb", ["predict", "predict_on_batch"])
@pytest.mark.parametrize("given", [(X, Y), [X, Y], {"a": X}])
def test_several_arrays_for_one_input_are_shown(verb, given):
    with pytest.raises(TypeError, match=r"forward\(\) takes one input, and x is .*a Tensor of shape \(.*, 3\)"):
        getattr(kt.Model(nn.Linear(3, 1)), verb)(given)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Dense(2),
        lambda: layers.LSTM(3),
        layers.BatchNormalization,
        layers.PReLU,
        lambda: layers.Maxout(3),
    ],
)
def test_a_list_of_tensors_for_one_input_is_answered_with_a_merging_layer(make):
    layer = make()
    with pytest.raises(
        TypeError, match=rf"{type(layer).__name__} takes a tensor, got a list of 2 tensors.*Concatenate"
    ):
        layer([torch.zeros(4, 3), torch.zeros(4, 3)])
    with pytest.raises(TypeError, match=r"got a tuple of 2 tensors.*forward\(\) takes one input, and x is"):
        kt.Sequential([layer, layers.Flatten()]).predict((X, X), verbose=0)
    with pytest.raises(TypeError, match=r"forward\(\) takes one input, and x is"):
        kt.Sequential([layers.Flatten(), layer]).predict((X, X), verbose=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compiled().fit(X, Y, (X, Y)), r"got \(an array of shape \(20, 3\), .*validation_data=\(x, y\)"),
        (lambda: compiled().fit(X, Y, X, Y), r"epochs must be .* got an array of shape \(20,\). Validation data go to"),
        (lambda: compiled().fit(X, Y, validation_data=X), r"validation_data has no targets.*validation_data=\(x, y\)"),
        (lambda: compiled().fit(X, Y, validation_data=((X, Y),)), r"1 parts: \(\(an array .* Write validation_data=\("),
        (lambda: compiled().fit("data.csv", Y), "x is 'data.csv', and data are arrays. Read the file first"),
        (lambda: compiled().evaluate("data.csv"), "Read the file first"),
        (lambda: compiled().fit(X, np.array(["a", "b"] * 10)), r"numpy.unique\(labels, return_inverse=True\)"),
        (lambda: compiled().evaluate(X[0], Y[0]), r"y must have .* keep the row axis: y\[:1\] instead of y\[0\]"),
        (lambda: compiled().train_on_batch(X[0], Y[:1]), r"3 samples, y has 1. .*the row axis: x\[:1\] and y\[:1\]"),
    ],
)  # fmt: skip
def test_data_in_a_wrong_form_are_answered_with_the_right_one(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.Conv2d(3, 2, 3), (3, 8, 8)),
        (nn.Sequential(nn.Conv1d(2, 4, 3), nn.Flatten()), (2, 9)),
        (kt.Sequential([kt.Input((None, 4)), layers.LSTM(3)]), (5, 4)),
    ],
)
def test_one_sample_without_a_row_axis_is_refused_where_some_sizes_vary(net, shape):
    model = kt.Model(net)
    with pytest.raises(ValueError, match=r"is that of one sample; the model takes batches of shape \(rows, "):
        model.predict(np.zeros(shape, "float32"), verbose=0)
    assert len(model.predict(np.zeros((2, *shape), "float32"), verbose=0)) == 2


def test_gray_images_without_an_axis_for_channels_say_how_to_add_it():
    model = kt.Model(nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten()))
    with pytest.raises(ValueError, match=r"Its input has no axis for the channels; use x\[:, None\]"):
        model.predict(np.zeros((20, 8, 8), "float32"), verbose=0)
    assert model.predict(np.zeros((20, 8, 8), "float32")[:, None], verbose=0).shape == (20, 108)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_weights_without_values_are_refused(verb):
    model = kt.Model(nn.Linear(3, 1, device="meta"))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"weights on the device 'meta'.*module.to_empty\(device='cpu'\)"):
        getattr(model, verb)(*((X,) if verb == "predict" else (X, Y)), verbose=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: torch.optim.lr_scheduler.StepLR, r"LRScheduler\(lambda optimizer: torch.optim.lr_scheduler.StepLR"),
        (lambda: optimizers.schedules.CosineDecay(0.1, 3), r"compile\(optimizers.Adam\(CosineDecay\(...\)\), ...\)"),
        (lambda: kt.metrics.Accuracy(), r"Accuracy is a metric: compile\(metrics=\[Accuracy\(...\)\]\)"),
        (lambda: optimizers.Adam(), r"Adam is an optimizer: compile\(Adam\(...\), ...\)"),
        (lambda: "early_stopping", r"callbacks=\[kerastorch.callbacks.EarlyStopping\(...\)\]"),
        (lambda: "TensorBoard", r"callbacks=\[kerastorch.callbacks.TensorBoard\(...\)\]"),
        (lambda: "stop", "is text. Pass instances"),
        (lambda: print, r"'print' is a function.*LambdaCallback\(on_epoch_end=function\)"),
        (lambda: callbacks.EarlyStopping, r"pass EarlyStopping\(\), not the class EarlyStopping"),
        (lambda: 3, "3 is not a kerastorch.callbacks.Callback"),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_what_is_no_callback_is_answered_with_its_place(given, message, verb):
    data = (X,) if verb == "predict" else (X, Y)
    with pytest.raises(TypeError, match=message):
        getattr(compiled(), verb)(*data, verbose=0, callbacks=[given()])


def test_models_that_need_no_targets_take_several_inputs():
    class Distance(kt.Model):
        def __init__(self):
            super().__init__()
            self.scale = nn.Linear(3, 1)

        def forward(self, a, b):
            return self.scale(a - b)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return y_pred.square().mean()

    model = Distance()
    model.compile("sgd")
    assert model.fit((X, X[::-1].copy()), verbose=0).history["loss"][0] >= 0


def test_a_scheduler_of_torch_is_answered_with_the_callback():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    message = r"LRScheduler\(lambda optimizer: torch.optim.lr_scheduler.StepLR\(optimizer, \.\.\.\)\)"
    with pytest.raises(TypeError, match=message):
        compiled().fit(X, Y, verbose=0, callbacks=[scheduler])


def test_a_history_gives_the_values_of_a_log():
    history = compiled().fit(X, Y, epochs=3, verbose=0)
    assert history["loss"] == history.history["loss"]
    assert len(history["loss"]) == 3
    with pytest.raises(ValueError, match=r"Unknown curve 'los'. Did you mean 'loss'"):
        history["los"]
    with pytest.raises(TypeError, match="a history is indexed by the name of a log"):
        history[0]
    assert "loss" in history
    assert "los" not in history


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda history: history.keys(), r"no attribute 'keys'. The dict of all logs is history.history"),
        (lambda history: history.items(), "The dict of all logs is history.history"),
        (lambda history: history.get("loss"), "The dict of all logs is history.history"),
        (lambda history: history.loss, r"The values of this log are history\['loss'\]"),
        (lambda history: history.val_losss, "Did you mean 'val_loss'"),
        (dict, "a History is no dict. The dict of all logs is history.history"),
        (list, "a History is no dict"),
    ],
)
def test_a_history_that_is_used_as_a_dict_names_the_dict(use, message):
    history = compiled().fit(X, Y, validation_data=(X, Y), verbose=0)
    with pytest.raises((AttributeError, TypeError), match=message):
        use(history)
    assert history
    history.model = None
    assert copy.deepcopy(history).history == history.history == pickle.loads(pickle.dumps(history)).history


# --- models -------------------------------------------------------------------------------------------------------


def test_layers_one_by_one_are_a_chain_as_in_torch():
    one, other = nn.Linear(3, 4), nn.Linear(4, 2)
    x = torch.from_numpy(X)
    expected = nn.Sequential(one, nn.ReLU(), other)(x)
    assert torch.equal(kt.Sequential(one, nn.ReLU(), other)(x), expected)
    assert torch.equal(kt.Sequential(kt.Input((3,)), one, nn.ReLU(), other)(x), expected)
    assert torch.equal(kt.Sequential(one)(x), one(x))
    assert torch.equal(kt.Sequential(nn.Sequential(one, nn.ReLU()), other)(x), expected)
    assert len(kt.Sequential([one, other])) == 2
    assert len(kt.Sequential()) == 0


def test_a_chain_of_layers_one_by_one_is_saved(tmp_path):
    model = kt.Sequential(kt.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1), name="chain")
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.name == "chain"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("relu", r"got 'relu'. An activation as a layer is kerastorch.layers.Activation\('relu'\)"),
        ("dense", r"got 'dense'. Layers are objects, such as kerastorch.layers.Dense\(10\)"),
        ([["a list"]], "Write all layers in one list"),
        ([10], r"A layer of 10 units is kerastorch.layers.Dense\(10\)"),
        ([torch.relu], r"an activation is Activation\(function\)"),
        ([layers.Dense(3)(kt.Input((2,)))], "It is what a layer returned for an Input"),
    ],
)
def test_what_is_no_layer_is_answered_with_a_layer(given, message):
    with pytest.raises(TypeError, match=f"Sequential takes layers, .*{message}"):
        kt.Sequential(given)


def test_what_is_no_layer_is_refused_in_either_form():
    with pytest.raises(TypeError, match="Sequential takes layers, got 'relu'"):
        kt.Sequential(layers.Dense(3), "relu")
    with pytest.raises(TypeError, match=r"pass Dense\(\.\.\.\)"):
        kt.Sequential(layers.Dense(3), layers.Dense)


@pytest.mark.parametrize("arguments", [{"alpha": 0.1}, {"negative_slope": 0.1}])
def test_the_slope_of_leaky_relu_has_either_name(arguments):
    found = kt.activations.leaky_relu([-2.0, 3.0], **arguments)
    np.testing.assert_allclose(found, [-0.2, 3.0], rtol=1e-6)


# --- names of Keras -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look_up", "message"),
    [
        (lambda: kt.models, "kerastorch has no 'models'. Model, Sequential and load_model are in kerastorch itself"),
        (lambda: kt.Layer, "kerastorch has no 'Layer'. It is kerastorch.layers.Layer"),
        (lambda: kt.layer, r"kerastorch has no 'layer'. Did you mean 'layers'\?"),
        (lambda: kt.metrics.MeanTensor, "write a subclass of Metric"),
        (lambda: kt.optimizers.schedules.OneCycle, "Schedules of torch are callbacks: callbacks.LRScheduler"),
        (lambda: kt.optimizers.Adan, r"kerastorch.optimizers has no 'Adan'. Did you mean 'Adam'\?"),
        (lambda: kt.losses.MSE, r"kerastorch.losses has no 'MSE'. Did you mean 'mse'\?"),
        (lambda: kt.layers.Dens, r"kerastorch.layers has no 'Dens'. Did you mean 'Dense'\?"),
    ],
)
def test_a_name_that_is_not_here_is_answered_with_what_to_use(look_up, message):
    with pytest.raises(AttributeError, match=message):
        look_up()
