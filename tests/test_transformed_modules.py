"""Modules that tools of torch have changed: pruned, parametrized, normed, compiled, in other dtypes, quantized."""

import copy

import numpy as np
import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn
from torch.ao import quantization
from torch.nn.utils import parametrizations, parametrize, prune

import kerastorch as kt

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{line}")  # of torch, which has deprecated these tools
    for line in (
        "torch.ao.quantization",
        "Please use quant_min",
        r"`torch.nn.utils",
        "torch.quantize_per_",
        "must run obs",
    )
]

X = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3
BATCH, EPOCHS = 8, 2


def plain():
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


def pruned():
    net = plain()
    prune.l1_unstructured(net[0], "weight", 0.5)
    prune.random_structured(net[4], "weight", 0.3, dim=1)
    return net


class Symmetric(nn.Module):
    def forward(self, weight):
        return weight.triu() + weight.triu(1).T


def parametrized():
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    parametrize.register_parametrization(net[0], "weight", Symmetric())
    parametrizations.orthogonal(net[2])
    return net


def weight_normed():
    net = plain()
    parametrizations.weight_norm(net[0])
    parametrizations.spectral_norm(net[4])
    return net


def weight_normed_by_hooks():
    net = plain()
    nn.utils.weight_norm(net[0])
    nn.utils.spectral_norm(net[4])
    return net


def compiled():
    return torch.compile(plain(), backend="eager")


def in_bfloat16():
    return plain().bfloat16()


def in_float64():
    return plain().double()


def quantization_aware():
    layers = nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)
    net = nn.Sequential(quantization.QuantStub(), *layers, quantization.DeQuantStub())
    net.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    return quantization.prepare_qat(net.train())


class Memory(nn.Module):
    """A network with a buffer that grows by one row with each batch of the training."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.register_buffer("rows", torch.zeros(0, 3))

    def forward(self, x):
        y = self.linear(x)
        if self.training:
            self.rows = torch.cat([self.rows, y.detach().mean(0, keepdim=True)])
        return y + self.rows.mean(0) if len(self.rows) else y


MAKE = {
    one.__name__: one
    for one in (
        pruned, parametrized, weight_normed, weight_normed_by_hooks, compiled, in_bfloat16, in_float64,
        quantization_aware, Memory,
    )
}  # fmt: skip
each = pytest.mark.parametrize("name", MAKE)


def data(name):
    return X.double() if name == "in_float64" else X


def made(name):
    kt.utils.set_random_seed(1)
    return MAKE[name]()


def optimizer_of(net):
    return torch.optim.SGD([weight for weight in net.parameters() if weight.requires_grad], lr=0.05, momentum=0.9)


def fitted(name, callbacks=(), **options):
    """Return a trained module, its model and the history."""
    net = made(name)
    model = kt.Model(net)
    model.compile(optimizer_of(net), nn.CrossEntropyLoss(), metrics=["accuracy"])
    kt.utils.set_random_seed(2)
    x = data(name)
    options = {"validation_data": (x, Y), "shuffle": False, "epochs": EPOCHS, "verbose": 0} | options
    history = model.fit(x, Y, batch_size=BATCH, callbacks=list(callbacks), **options)
    return net, model, history.history


def trained_by_hand(name):
    net = made(name)
    optimizer, x = optimizer_of(net), data(name)
    kt.utils.set_random_seed(2)
    x = x.to(next(net.parameters()).dtype)
    net.train()
    for _ in range(EPOCHS):
        for first in range(0, len(x), BATCH):
            rows = slice(first, first + BATCH)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), Y[rows]).backward()
            optimizer.step()
    return net


def outputs(net, x):
    net.eval()
    with torch.no_grad():
        return net(x.to(next(net.parameters()).dtype)).float()


def assert_same_state(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert list(mine) == list(theirs)
    tensors = [label for label, value in mine.items() if isinstance(value, torch.Tensor)]
    assert [label for label in tensors if not torch.equal(mine[label], theirs[label])] == []


@each
def test_it_trains_to_the_bits_of_a_loop(name):
    # observers of quantization would see the data of a validation, too
    assert_same_state(fitted(name, validation_data=None)[0], trained_by_hand(name))


@each
def test_predictions_and_scores_are_those_of_the_module(name):
    net, model, _ = fitted(name)
    if name == "quantization_aware":
        net.apply(quantization.disable_observer)  # each call would change the scales
    x = data(name)
    expected = outputs(copy.deepcopy(net) if name != "compiled" else net, x)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), expected.numpy(), rtol=1e-2 if name == "in_bfloat16" else 1e-5
    )
    logs = model.evaluate(x, Y, verbose=0, return_dict=True)
    tolerance = 1e-2 if name == "in_bfloat16" else 1e-4
    assert logs["loss"] == pytest.approx(nn.functional.cross_entropy(expected, Y).item(), rel=tolerance)
    assert logs["accuracy"] == pytest.approx((expected.argmax(1) == Y).float().mean().item(), abs=tolerance)


@each
def test_callbacks_follow_and_store_the_training(name, tmp_path):
    path = tmp_path / "best.safetensors"
    watching = [
        kt.callbacks.TerminateOnNaN(),
        kt.callbacks.ModelCheckpoint(path, "val_loss", save_best_only=True, save_weights_only=True),
        kt.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True),
    ]
    net, _, history = fitted(name, watching)
    assert len(history["val_loss"]) == EPOCHS
    if name == "Memory":
        return  # its rows have no place in a new module
    other = made(name)
    kt.Model(other).load_weights(path)
    assert_same_state(other, net)  # the last epoch or an earlier one: the weights of the best were restored


class Broken(nn.CrossEntropyLoss):
    def forward(self, outputs, target):
        return super().forward(outputs, target) * float("nan")


@pytest.mark.parametrize("name", [name for name in MAKE if name != "Memory"])
def test_a_nan_ends_it_with_the_weights_and_buffers_from_before_the_step(name, capsys):
    net = made(name)
    model = kt.Model(net)
    before = copy.deepcopy(net.state_dict())
    model.compile(optimizer_of(net), Broken())
    model.fit(data(name), Y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[kt.callbacks.TerminateOnNaN()])
    assert model.stop_training
    after = net.state_dict()
    assert list(after) == list(before)
    assert [label for label, value in after.items() if not torch.equal(value, before[label])] == []
    capsys.readouterr()  # its message


@each
def test_weights_and_models_go_into_a_new_module(name, tmp_path):
    net, model, _ = fitted(name)
    model.save_weights(tmp_path / "w.safetensors")
    fresh = made(name)
    if name == "Memory":  # torch itself refuses the rows, for which a new module has no place
        with pytest.raises(kt.errors.CheckpointError, match=r"'rows' has shape \(6, 3\) in the file, \(0, 3\)"):
            kt.Model(fresh).load_weights(tmp_path / "w.safetensors")
        return
    kt.Model(fresh).load_weights(tmp_path / "w.safetensors")
    assert_same_state(fresh, net)
    model.save(tmp_path / "m.kt")
    fresh = made(name)
    again = kt.load_model(tmp_path / "m.kt", module=fresh, compile=False)
    assert_same_state(fresh, net)
    if name == "quantization_aware":
        for one in (net, fresh):
            one.apply(quantization.disable_observer)
    np.testing.assert_array_equal(again.predict(data(name), verbose=0), model.predict(data(name), verbose=0))


@each
def test_a_fit_that_was_interrupted_within_an_epoch_ends_with_the_same_bits(name, tmp_path):
    (whole, _, logs), (resumed, _, again) = whole_and_resumed(
        lambda callbacks: fitted(name, callbacks, shuffle=True), (1, 1), tmp_path
    )
    assert_same_state(resumed, whole)
    assert again == logs


@pytest.mark.filterwarnings("ignore:The tensor attributes .* were assigned during export")  # of torch: weights of hooks
@each
def test_summary_plot_and_export_show_the_module(name, tmp_path):
    net, model, _ = fitted(name)
    if name == "quantization_aware":
        net.apply(quantization.disable_observer)
    before = copy.deepcopy(net.state_dict())
    lines = []
    model.summary(print_fn=lines.append)
    assert f"{sum(weight.numel() for weight in net.parameters()):,}" in "\n".join(lines)
    kt.utils.plot_model(model, tmp_path / "m.dot")
    assert "->" in (tmp_path / "m.dot").read_text()
    model.export(tmp_path / "m.pt2", verbose=False)
    x = data(name).to(next(net.parameters()).dtype)
    program = torch.export.load(tmp_path / "m.pt2").module()
    torch.testing.assert_close(program(x).float(), outputs(net, x), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, net.state_dict()[label]) for label, value in before.items())


def test_a_network_can_be_converted_after_quantization_aware_training():
    if "onednn" not in torch.backends.quantized.supported_engines:
        pytest.skip("torch has no engine for quantized layers")
    networks = fitted("quantization_aware", validation_data=None)[0], trained_by_hand("quantization_aware")
    found, expected = (quantization.convert(one.eval()) for one in networks)
    assert "quantized" in type(found[1]).__module__
    assert torch.equal(found(X), expected(X))


def test_a_checkpoint_with_weights_of_another_size_is_refused(tmp_path):
    class Other(Memory):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 4)

    folder = tmp_path / "state"
    for make, fits in ((Memory, True), (Other, False)):
        net = make()
        model = kt.Model(net)
        model.compile(optimizer_of(net), nn.CrossEntropyLoss())
        if fits:
            with pytest.raises(KeyboardInterrupt):
                model.fit(
                    X, Y, verbose=0, epochs=2, callbacks=[_interrupts(), kt.callbacks.BackupAndRestore(folder, 1)]
                )
        else:
            with pytest.raises(kt.errors.CheckpointError, match=r"linear\.\w+' is \(4"):
                model.fit(X, Y, verbose=0, epochs=2, callbacks=[kt.callbacks.BackupAndRestore(folder, 1)])


def _interrupts():
    class Interrupts(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    return Interrupts()
