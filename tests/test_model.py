"""Model: a view of a module, a base class, and the verbs' surface."""

import copy
import inspect
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.problems import classification, net, regression, same_weights
from torch import nn
from torch.nn import functional as F

import kerastorch as kt


class Net(kt.Model):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 3)

    def forward(self, x):
        return self.inner(x)


def with_buffers():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def test_a_view_has_exactly_the_names_and_tensors_of_its_module():
    module = with_buffers()
    model = kt.Model(module)
    assert list(model.state_dict()) == list(module.state_dict())
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in module.named_parameters()]
    assert all(a is b for a, b in zip(model.parameters(), module.parameters(), strict=True))
    assert all(a is b for a, b in zip(model.buffers(), module.buffers(), strict=True))


def test_a_view_and_its_module_load_each_others_files():
    module, model = with_buffers(), kt.Model(with_buffers())
    model.load_state_dict(module.state_dict())
    assert same_weights(model, module)
    model.get_parameter("0.weight").data.zero_()
    module.load_state_dict(model.state_dict())
    assert module[0].weight.abs().sum() == 0


def test_what_is_done_to_a_view_is_done_to_its_module():
    module = with_buffers()
    model = kt.Model(module)
    model.double()
    assert module[0].weight.dtype == torch.float64
    assert model(torch.zeros(2, 6, dtype=torch.float64)).dtype == torch.float64
    model.eval()
    assert not module.training
    assert not module[1].training
    model.get_submodule("4").weight.data.fill_(1)
    assert module[4].weight.sum() == 24
    module.add_module("5", nn.Linear(3, 1))
    assert "5.weight" in model.state_dict()


def test_a_view_shows_the_class_of_its_module_and_the_names_of_its_children():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
            self.head = nn.Linear(4, 2)

    module = Net()
    assert repr(kt.Model(module)) == f"Model({module!r})"
    assert "  (body): Sequential(\n    (0): Linear(in_features=3" in repr(kt.Model(module))
    assert repr(kt.Model(nn.Linear(3, 2))) == "Model(Linear(in_features=3, out_features=2, bias=True))"
    assert "(0): Model(Linear(in_features=3" in repr(nn.Sequential(kt.Model(nn.Linear(3, 2))))


def test_models_that_are_no_views_show_themselves_as_torch_modules_do():
    class Own(kt.Model):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

    x = kt.Input((3,))
    linear = "Linear(in_features=4, out_features=2, bias=True)"
    assert repr(Own()) == f"Own(\n  (head): {linear}\n)"
    assert repr(kt.Sequential([nn.Linear(4, 2)])) == f"Sequential(\n  (0): {linear}\n)"
    assert repr(kt.Model(x, kt.layers.Dense(2)(x))) == "Model(\n  (dense): Dense(3 -> 2)\n)"


@pytest.mark.parametrize("leaf", [nn.Linear(6, 3), nn.BatchNorm1d(6), nn.LSTM(6, 3, batch_first=True)])
def test_a_view_of_a_single_layer_works(leaf):
    model = kt.Model(leaf)
    x = torch.randn(4, 5, 6) if isinstance(leaf, nn.LSTM) else torch.randn(4, 6)
    assert list(model.state_dict()) == list(leaf.state_dict())
    torch.manual_seed(0)
    expected = leaf(x)
    torch.testing.assert_close(model(x), expected, rtol=0, atol=0)
    model.load_state_dict(leaf.state_dict())


def test_a_lazy_layer_made_through_the_view_is_made_in_the_module():
    module = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d(), nn.Linear(4, 1))
    model = kt.Model(module)
    model.compile("sgd", "mse")
    model.fit(*regression(), epochs=1, verbose=0)
    assert module[0].weight.shape == (4, 6)
    assert list(model.state_dict()) == list(module.state_dict())


@pytest.mark.parametrize(
    "make", [lambda: kt.Model(with_buffers()), Net, lambda: kt.Sequential(with_buffers().children())]
)
def test_a_trained_model_is_copied_and_pickled(make):
    model = make()
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    model.fit(*classification(), epochs=1, verbose=0)
    x = classification()[0]
    expected = model.predict(x, verbose=0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same_weights(twin, model)
        np.testing.assert_array_equal(twin.predict(x, verbose=0), expected)
        twin.get_parameter(next(iter(twin.state_dict()))).data.zero_()
        assert not same_weights(twin, model)
        with pytest.raises(RuntimeError, match="call compile"):
            twin.fit(x)
        if twin.module_viewed is not None:
            assert twin.module_viewed[0].weight is twin.get_parameter("0.weight")


def test_a_model_saved_by_torch_in_the_middle_of_fit_is_whole():
    model = kt.Sequential([kt.layers.Dense(4, "relu", activity_regularizer="l2"), kt.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    files = []

    def save(epoch, logs):
        files.append(io.BytesIO())
        torch.save(model, files[-1])

    x, y = classification()
    model.fit(x, y, verbose=0, callbacks=[kt.callbacks.LambdaCallback(on_epoch_end=save)])
    files[0].seek(0)
    loaded = torch.load(files[0], weights_only=False)
    assert loaded[1].activation is kt.activations.softmax
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    "make", [lambda: kt.Model(with_buffers()), Net, lambda: kt.Sequential(with_buffers().children())]
)
def test_export_and_torch_compile_of_a_model_give_its_outputs(make):
    model = make().eval()
    x = torch.randn(5, 6)
    expected = model(x)
    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), expected)
    assert set(exported.state_dict) == set(model.state_dict())
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)


def test_a_model_is_a_layer_of_another():
    inner = kt.Model(nn.Linear(6, 4))
    model = kt.Sequential([inner, nn.ReLU(), kt.Sequential([kt.layers.Dense(3)])])
    model.compile("adam", "cross_entropy", metrics=["accuracy"])
    model.fit(*classification(), verbose=0)
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.0.weight", "2.0.bias"]


def test_a_subclass_without_forward_is_told_so():
    class Empty(kt.Model):
        pass

    with pytest.raises(TypeError, match=r"Empty must define forward\(self, x\), or call"):
        Empty()(torch.zeros(1))


def test_weights_come_and_go_as_numpy_buffers_included():
    model = kt.Model(with_buffers())
    weights = model.get_weights()
    assert len(weights) == len(model.state_dict())
    other = kt.Model(with_buffers())
    other.set_weights(weights)
    assert same_weights(model, other)
    with pytest.raises(ValueError, match="has 9 parameters and buffers, got 1"):
        other.set_weights(weights[:1])


def test_evaluate_lists_keras_order_and_names_it():
    x, y = classification()
    model = kt.Sequential([kt.layers.Dense(3, kernel_regularizer="l2")])
    model.compile("sgd", "cross_entropy", metrics=["accuracy", "f1"])
    model.fit(x, y, verbose=0)
    listed = model.evaluate(x, y, verbose=0)
    named = model.evaluate(x, y, verbose=0, return_dict=True)
    assert model.metrics_names == ["loss", "accuracy", "f1"]
    assert listed == [named["loss"], named["accuracy"], named["f1"]]
    assert set(named) == {"loss", "data_loss", "accuracy", "f1"}
    model.compile("sgd", "cross_entropy")
    assert isinstance(model.evaluate(x, y, verbose=0), float)


def test_one_batch_verbs_agree_with_the_whole_ones():
    x, y = classification()
    model = kt.Model(net(dropout=0.0))
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    assert model.test_on_batch(x, y) == pytest.approx(model.evaluate(x, y, verbose=0))
    np.testing.assert_allclose(model.predict_on_batch(x), model.predict(x, verbose=0), rtol=1e-5)
    before = model.evaluate(x, y, verbose=0)
    told = model.train_on_batch(x, y, return_dict=True)
    assert told["loss"] == pytest.approx(before[0])
    assert model.evaluate(x, y, verbose=0)[0] < before[0]


def test_train_on_batch_in_a_loop_equals_torch():
    x, y = classification()
    model = kt.Model(net(dropout=0.0))
    reference = copy.deepcopy(model.module_viewed)
    model.compile(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), "cross_entropy")
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1, momentum=0.9)
    for rows in torch.arange(len(x)).split(50):
        model.train_on_batch(x[rows], y[rows])
        optimizer.zero_grad()
        F.cross_entropy(reference(x[rows]), y[rows]).backward()
        optimizer.step()
    assert same_weights(model, reference)


def test_predict_needs_no_compile_and_keeps_structures():
    class Two(kt.Model):
        def forward(self, a, b):
            return {"sum": a + b, "pair": (a, b)}

    a, b = np.arange(70.0, dtype="float32").reshape(70, 1), np.ones((70, 1), "float32")
    found = Two().predict((a, b), verbose=0)
    np.testing.assert_array_equal(found["sum"], a + 1)
    np.testing.assert_array_equal(found["pair"][1], b)
    found = Two().predict({"b": a, "a": b}, verbose=0)
    np.testing.assert_array_equal(found["pair"][1], a)


def test_a_custom_train_step_and_loss_learn_and_are_logged():
    class Custom(kt.Model):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 1)

        def forward(self, x):
            return self.layer(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight) + 0.1 * self.layer.weight.abs().sum()

        def train_step(self, batch):
            x, y, sample_weight = batch
            y_pred = self(x)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
            self.trainer.backward_and_step(loss)
            self.compute_metrics(x, y, y_pred, sample_weight)
            return {"loss": loss, "rows": len(x)}

    x, y = regression(100)
    torch.manual_seed(1)
    model = Custom()
    reference = copy.deepcopy(model.layer)
    model.compile(torch.optim.SGD(model.parameters(), lr=0.05), "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=100, epochs=2, shuffle=False, verbose=0).history
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.05)
    expected = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = F.mse_loss(reference(x), y) + 0.1 * reference.weight.abs().sum()
        expected.append(loss.item())
        loss.backward()
        optimizer.step()
    assert same_weights(model.layer, reference)
    assert history["loss"] == pytest.approx(expected)
    assert history["rows"] == [100, 100]
    assert "mae" in history


def test_two_models_never_share_what_was_given_to_compile():
    import torchmetrics

    x, y = classification()
    metric = torchmetrics.classification.MulticlassAccuracy(3, average="micro")
    loss = nn.CrossEntropyLoss(weight=torch.ones(3))
    adam = kt.optimizers.Adam(1e-2)
    models = [kt.Model(net()), kt.Model(net())]
    for model in models:
        model.compile(adam, loss, metrics=[metric])
        model.fit(x, y, verbose=0)
    first, second = (model.trainer for model in models)
    assert first.optimizer is not second.optimizer
    assert first.compiled_loss.losses[""].function is not second.compiled_loss.losses[""].function is not loss
    assert int(metric._update_count) == 0
    with pytest.raises(ValueError, match="the optimizer holds 4 parameters that are not in this model"):
        models[1].compile(models[0].optimizer, loss)


def test_the_public_names_and_signatures_are_frozen():
    assert sorted(kt.__all__) == [
        "Ensemble", "History", "Input", "Model", "Sequential", "__version__", "activations", "call", "callbacks",
        "config", "constraints", "data", "datasets", "distribution",
        "ensemble", "evaluation", "initializers", "layers", "load_model",
        "losses", "metrics",
        "mixed_precision", "model_selection", "ops", "optimizers", "plot_histories", "preprocessing", "random",
        "regularizers",
        "saving", "utils", "wrappers",
    ]  # fmt: skip
    assert str(inspect.signature(kt.Model.compile)) == (
        "(self, optimizer: 'Any' = 'rmsprop', loss: 'Any' = None, loss_weights: 'Any' = None, metrics: 'Any' = None, "
        "weighted_metrics: 'Any' = None, *, regularizers: 'Mapping[str, Any] | None' = None, device: 'Any' = 'auto', "
        "data_device: 'Any' = 'auto', memory_format: 'Any' = 'auto', jit_compile: 'bool | str' = 'auto', "
        "steps_per_execution: 'int | str' = 1, gradients_in_evaluation: 'bool' = False, precision: 'Any' = None, "
        "prepare_batch: 'Callable[[Any], Any] | None' = None, distribution: 'Any' = 'auto', "
        "run_eagerly: 'bool' = False, auto_scale_loss: 'bool' = True) "
        "-> 'None'"
    )
    assert list(inspect.signature(kt.Model.fit).parameters) == [
        "self", "x", "y", "batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data",
        "shuffle", "class_weight", "sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps",
        "validation_batch_size", "validation_freq", "validation_stratify", "validation_shuffle", "validation_seed",
        "check_finite", "resume", "max_time", "limit_batches", "overfit_batches", "nan_report", "workers",
    ]  # fmt: skip
    assert list(inspect.signature(kt.Model.evaluate).parameters) == [
        "self", "x", "y", "batch_size", "verbose", "sample_weight", "steps", "callbacks", "return_dict", "check_finite",
        "workers", "report",
    ]  # fmt: skip
    assert list(inspect.signature(kt.Model.predict).parameters) == [
        "self", "x", "batch_size", "verbose", "steps", "callbacks", "out", "workers", "mc_dropout",
    ]  # fmt: skip


def test_what_gives_a_model_away_has_keras_arguments():
    names = ["self", "filepath", "overwrite", "max_shard_size"]
    assert list(inspect.signature(kt.Model.save_weights).parameters) == names
    assert list(inspect.signature(kt.Model.save).parameters) == names
    assert list(inspect.signature(kt.Model.load_weights).parameters) == ["self", "filepath", "skip_mismatch"]
    assert list(inspect.signature(kt.Model.export).parameters) == [
        "self", "filepath", "format", "verbose", "input_signature",
    ]  # fmt: skip


def test_what_shows_a_model_has_keras_arguments():
    assert list(inspect.signature(kt.Model.summary).parameters) == [
        "self", "line_length", "print_fn", "expand_nested", "show_trainable", "layer_range", "depth", "input_shape",
        "input_data",
    ]  # fmt: skip
    assert list(inspect.signature(kt.utils.plot_model).parameters) == [
        "model", "to_file", "show_shapes", "show_dtype", "show_layer_names", "rankdir", "expand_nested", "dpi",
        "show_layer_activations", "show_trainable", "input_shape", "input_data",
    ]  # fmt: skip


def test_importing_kerastorch_loads_nothing_heavy_beside_torch():
    heavy = "torchmetrics", "sklearn", "matplotlib", "pandas", "scipy"
    code = f"import sys, kerastorch; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_five_hops_lead_from_fit_to_the_weights():
    import traceback
    from pathlib import Path

    class Watching(torch.optim.SGD):
        def step(self, closure=None):
            frames.append([f.name for f in traceback.extract_stack() if Path(f.filename).is_relative_to(house)])
            return super().step(closure)

    frames, house = [], Path(kt.__file__).parent
    x, y = regression(32)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(Watching(model.parameters(), lr=0.1), "mse")
    model.fit(x, y, verbose=0)
    assert frames == [
        ["wrapper", "fit", "fit_epochs", "epoch", "train_step", "backward_and_step"]
    ]  # first the decorator of fit


def test_a_layer_that_stands_twice_in_a_chain_runs_twice():
    relu, shared = nn.ReLU(), nn.Linear(4, 4)
    model = kt.Sequential([shared, relu, shared, relu])
    x = torch.randn(9, 4)
    assert len(model) == 4
    assert model[3] is relu
    torch.testing.assert_close(model(x), relu(shared(relu(shared(x)))))
    assert model.pop() is relu
    torch.testing.assert_close(model(x), shared(relu(shared(x))))


def test_gradients_of_somebody_else_go_into_no_step():
    x, y = regression(64)

    def trained(callbacks, before=lambda model: None):
        torch.manual_seed(0)
        model = kt.Model(nn.Linear(6, 1))
        model.compile("sgd", "mse")
        before(model)
        model.fit(x, y, verbose=0, callbacks=callbacks)
        return model

    class Disturb(kt.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert self.model.get_parameter("weight").grad is not None
            self.model(torch.ones(1, 6)).sum().backward()

    plain = trained([])
    assert same_weights(trained([Disturb()]), plain)
    assert same_weights(trained([], lambda model: model(torch.ones(1, 6)).sum().backward()), plain)


def test_what_forward_keeps_in_evaluation_can_be_trained_with_and_gradients_can_be_asked_for():
    class Caching(kt.Model):
        def __init__(self):
            super().__init__()
            self.layer, self.kept = nn.Linear(6, 1), None

        def forward(self, x):
            if self.kept is None:
                self.kept = torch.arange(6.0) * 0.1
            with torch.enable_grad():
                z = x.detach().requires_grad_()
                slope = torch.autograd.grad(self.layer(z).sum(), z)[0]
            return self.layer(x * self.kept) + slope.detach().sum(1, keepdim=True)

    x, y = regression(64)
    model = Caching()
    model.compile("sgd", "mse")
    model.predict(x, verbose=0)
    model.fit(x, y, validation_split=0.2, verbose=0)


def test_outputs_without_a_row_for_each_input_are_listed_by_batch():
    class Sums(kt.Model):
        def forward(self, x):
            return x, x.sum(0, keepdim=True)

    x = torch.arange(12.0).reshape(6, 2)
    rows, sums = Sums().predict(x, batch_size=2, verbose=0)
    np.testing.assert_array_equal(rows, x)
    assert isinstance(sums, list)
    np.testing.assert_array_equal(np.concatenate(sums), x.reshape(3, 2, 2).sum(1))


def test_outputs_of_different_widths_are_a_list():
    class Growing(kt.Model):
        def forward(self, x):
            return x[:, : 1 + int(x[0, 0] > 1)]

    x = torch.arange(8.0).reshape(4, 2)
    found = Growing().predict(x, batch_size=1, verbose=0)
    assert isinstance(found, list)
    for one, row in zip(found, x, strict=True):
        np.testing.assert_array_equal(one, row[None, : 1 + int(row[0] > 1)])


def test_a_bfloat16_model_predicts():
    model = kt.Model(nn.Linear(2, 1)).bfloat16()
    assert model.predict(torch.ones(3, 2), verbose=0).dtype == np.float32


def test_a_forward_of_keywords_is_given_a_dict_by_name():
    class Keywords(kt.Model):
        def forward(self, **batch):
            return batch["a"] - batch["b"]

    found = Keywords().predict({"a": np.ones((3, 1)), "b": np.zeros((3, 1))}, verbose=0)
    assert found.sum() == 3


def test_gradient_accumulation_carries_on_across_epochs():
    x, y = regression(96)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(0.1, gradient_accumulation_steps=4), "mse")
    before = model.get_weights()[0].copy()
    model.fit(x, y, epochs=2, verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])


@pytest.mark.parametrize(
    "layers", [lambda: [kt.layers.Dense(4, "relu"), kt.layers.Dense(2)], lambda: [nn.Linear(3, 2)]]
)
def test_a_model_that_begins_with_an_input_is_pickled_after_training(layers):
    x, y = torch.randn(10, 3), torch.arange(10) % 2
    model = kt.Sequential([kt.Input((3,), name="rows"), *layers()])
    model.compile("adam", "cross_entropy")
    model.fit(x, y, verbose=0)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert other.get_config() == model.get_config()
    other.compile("adam", "cross_entropy")
    other.fit(x, y, verbose=0)
    outer = kt.Input((5, 3))
    assert other(outer).shape == (None, 5, 2)
