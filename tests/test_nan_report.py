"""The first tensor of a step that is not finite is named; the step is saved and repeated from its file."""

import copy
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.problems import regression, same_weights
from torch import nn

import kerastorch as kt
from kerastorch import errors
from kerastorch.callbacks import Callback, TerminateOnNaN

BATCH = 16


class Switch(nn.Module):
    """The identity, or another function from one call in training on."""

    def __init__(self, function, call=3):
        super().__init__()
        self.function, self.call = function, call
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        if self.training:
            self.calls += 1
        return self.function(x) if self.training and self.calls >= self.call else x


def overflow(x):
    return x * 1e38 * 1e38


def negative_root(x):
    return (-x.abs() - 1).sqrt()


class RootAtZero(nn.Module):
    """A function with finite values whose slope at 0 is infinite."""

    def forward(self, x):
        return (x * 0).sqrt() + x


def bad_weight_gradient(model):
    """Make the gradient of one weight NaN, by a hook on it."""
    model.get_parameter("first.weight").register_hook(lambda gradient: gradient * math.nan)


class Net(nn.Module):
    """Two linear maps with another module between them."""

    def __init__(self, middle=None, inline=None):
        super().__init__()
        self.first, self.middle = nn.Linear(6, 4), middle or nn.Identity()
        self.norm, self.drop, self.last = nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1)
        self.inline = inline

    def forward(self, x):
        x = self.drop(self.norm(self.middle(self.first(x))))
        return self.last(x if self.inline is None else self.inline(x))


def log_loss(y_true, y_pred):
    return (y_pred * 0).log().mean()


def make(middle=None, loss="mse", optimizer="adam", inline=None, **given):
    torch.manual_seed(0)
    model = kt.Model(Net(middle, inline))
    model.compile(optimizer, loss, **given)
    return model


def bad_input_data():
    x, y = regression(64)
    x[40, 2] = math.nan
    return x, y


def bad_target_data():
    x, y = regression(64)
    y[40] = math.nan
    return x, y


def nan_in_a_weight(model):
    with torch.no_grad():
        model.get_parameter("last.weight")[0, 1] = math.nan


# name -> (model, data, what is done to the model, kind, name, value, words of the message)
FAULTS = {
    "an overflow": (lambda: make(Switch(overflow)), None, None, "forward", "middle", "inf", "middle (Switch) gave inf"),
    "a root": (lambda: make(Switch(negative_root)), None, None, "forward", "middle", "nan", "NaN in forward (in sqrt)"),
    "code between two layers": (
        lambda: make(inline=overflow), None, None, "forward", "", "inf", "before it called last (Linear)",
    ),
    "the logarithm of zero": (
        lambda: make(loss=log_loss), None, None, "loss", "", "-inf", "-inf (in log) while all outputs of",
    ),
    "an input": (lambda: make(), bad_input_data, None, "input", "x", "nan", "x has NaN in 1 of 16 rows, first in row"),
    "a target": (lambda: make(), bad_target_data, None, "target", "y", "nan", "y has NaN in 1 of 16 rows"),
    "a weight": (lambda: make(), None, nan_in_a_weight, "weight", "last.weight", "nan", "NaN already before this step"),
    "the slope of a root": (
        lambda: make(RootAtZero()), None, None, "gradient", "middle", "nan", "backward of middle (RootAtZero) gave",
    ),
    "the gradient of a weight": (
        lambda: make(), None, bad_weight_gradient, "weight_gradient", "first.weight", "nan",
        "the gradient of first.weight is NaN while its forward was finite",
    ),
}  # fmt: skip


def fit(model, data=None, epochs=2, **given):
    x, y = (data or (lambda: regression(64)))()
    arguments = {"batch_size": BATCH, "verbose": 0, "shuffle": False, "check_finite": False} | given
    return model.fit(x, y, epochs=epochs, **arguments)


@pytest.mark.parametrize("name", FAULTS)
def test_the_first_tensor_that_is_not_finite_is_named(name, tmp_path):
    model_of, data, change, kind, where, value, words = FAULTS[name]
    model = model_of()
    if change is not None:
        change(model)
    with pytest.raises(RuntimeError) as caught:
        fit(model, data, nan_report=tmp_path / "report")
    assert words in str(caught.value)
    assert "(learning rate 0.001)" in str(caught.value)
    report = model.replay(tmp_path / "report", verbose=0)
    assert (report.finding.kind, report.finding.name, report.finding.value) == (kind, where, value)
    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert written["finding"]["text"] == report.finding.text
    assert (written["epoch"], written["batch"]) == (report.epoch, report.batch)
    assert report.message in str(caught.value)
    assert report.message in (tmp_path / "report" / "report.txt").read_text()


@pytest.mark.parametrize("name", FAULTS)
def test_terminate_on_nan_names_it_too(name, capsys):
    model_of, data, change, *_, words = FAULTS[name]
    model = model_of()
    if change is not None:
        change(model)
    fit(model, data, callbacks=[TerminateOnNaN()])
    assert words in capsys.readouterr().out


class States(Callback):
    """Keeps the weights before each batch."""

    def on_train_batch_begin(self, batch, logs=None):
        self.weights = copy.deepcopy(self.model.state_dict())
        self.random = torch.get_rng_state()


@pytest.mark.parametrize("data", ["arrays", "loader", "generator"])
def test_the_saved_step_is_the_failed_one_bit_for_bit(tmp_path, data):
    seen = []

    def loss(y_true, y_pred):
        seen.append((y_true.clone(), y_pred.detach().clone()))
        return (y_pred - y_true).square().mean() * (math.nan if len(seen) == 3 else 1.0)

    x, y = regression(64)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=BATCH)
    given = {"arrays": (x, y), "loader": (loader,), "generator": (lambda: iter(loader),)}[data]
    model, states = make(loss=loss), States()
    options = {"batch_size": BATCH, "shuffle": False} if data == "arrays" else {}
    with pytest.raises(RuntimeError, match="epoch 1, batch 3"):
        model.fit(*given, verbose=0, callbacks=[states], nan_report=tmp_path, **options)
    assert len(seen) == 4  # the failed step, and its repetition under observation
    assert all(torch.equal(a, b) for a, b in zip(seen[2], seen[3], strict=True))  # dropout included
    assert all(torch.equal(a, states.weights[name]) for name, a in model.state_dict().items())
    later = make(loss=loss)
    before = copy.deepcopy(later.state_dict())
    random = torch.get_rng_state()
    later.replay(tmp_path, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(seen[2], seen[4], strict=True))
    assert all(torch.equal(a, before[name]) for name, a in later.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_a_step_is_repeated_in_another_process(tmp_path):
    script = """
import sys, torch, kerastorch as kt
from torch import nn
class Bad(nn.Module):
    def forward(self, x):
        return torch.where(x > 1.5, torch.inf, x)
torch.manual_seed(int(sys.argv[2]))
model = kt.Sequential([kt.layers.Dense(4, name="hidden"), Bad(), kt.layers.Dropout(0.5), kt.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
if sys.argv[2] == "0":
    x = torch.randn(64, 3)
    model.fit(x, x[:, :1], batch_size=8, nan_report=sys.argv[1])
else:
    report = model.replay(sys.argv[1])
    print("found", report.finding.name, report.finding.layer, report.finding.value)
"""
    runs = [
        subprocess.run([sys.executable, "-c", script, str(tmp_path), seed], capture_output=True, text=True, check=False)
        for seed in ("0", "1")
    ]
    assert runs[0].returncode == 1
    assert "1 (Bad) gave inf in forward" in runs[0].stderr
    assert runs[1].returncode == 0, runs[1].stderr
    assert runs[1].stdout.endswith("found 1 Bad inf\n")
    assert "hidden (Dense)" in runs[1].stdout


def test_the_table_has_the_statistics_of_each_layer(tmp_path):
    model = make(Switch(overflow, call=1))
    with pytest.raises(RuntimeError):
        fit(model, nan_report=tmp_path)
    report = model.replay(tmp_path, verbose=0)
    x, _ = regression(64)
    expected = nn.functional.linear(
        x[:BATCH], model.get_parameter("first.weight"), model.get_parameter("first.bias")
    ).detach()
    stats = {one.name: one for one in report.layers}
    assert stats["first"].output.minimum == pytest.approx(expected.min().item())
    assert stats["first"].output.maximum == pytest.approx(expected.max().item())
    assert stats["first"].output.finite_share == 1
    assert stats["middle"].output.finite_share == 0
    assert stats["first"].weight_gradient.worst == "nan"
    assert "middle (Switch)" in report.table()


def test_a_corrected_loss_is_found_finite(tmp_path):
    with pytest.raises(RuntimeError):
        fit(make(loss=log_loss), nan_report=tmp_path)
    report = make(loss=lambda y_true, y_pred: (y_pred * 0 + 1e-7).log().mean()).replay(tmp_path, verbose=0)
    assert report.finding.kind == "none"
    assert report.loss == pytest.approx(math.log(1e-7), rel=1e-5)


def test_one_of_several_losses_is_named(tmp_path):
    a, b = kt.Input((6,)), nn.Linear(6, 1)
    model = kt.Model(a, {"good": kt.layers.Dense(1)(a), "bad": kt.layers.Dense(1)(a)})
    model.compile("sgd", {"good": "mse", "bad": log_loss})
    x, y = regression(64)
    with pytest.raises(RuntimeError, match=r"bad_loss is -inf \(in log\)"):
        model.fit(x, {"good": y, "bad": y}, verbose=0, nan_report=tmp_path)
    assert b is not None


def test_a_penalty_that_is_not_finite_is_told_from_the_loss(tmp_path):
    model = make(regularizers={"first.weight": lambda weight: (weight * 0).log().sum()})
    with pytest.raises(RuntimeError, match="a penalty or a term of add_loss is -inf"):
        fit(model, nan_report=tmp_path)


class Own(kt.Model):
    """A model whose `train_step` makes the step of the optimizer itself."""

    def __init__(self, calls_trainer):
        super().__init__()
        self.net, self.calls_trainer = Net(Switch(overflow)), calls_trainer

    def forward(self, x):
        return self.net(x)

    def train_step(self, batch):
        loss = (self(batch[0]) - batch[1]).square().mean()
        if self.calls_trainer:
            self.trainer.backward_and_step(loss)
        else:
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return {"loss": loss}


@pytest.mark.parametrize("calls_trainer", [True, False])
def test_a_step_of_the_users_own_is_undone_and_repeated(tmp_path, calls_trainer):
    torch.manual_seed(0)
    model, states = Own(calls_trainer), States()
    model.compile("adam", "mse")
    with pytest.raises(RuntimeError, match=r"batch 3: terminating training before its step.*\n.*net.middle \(Switch\)"):
        fit(model, nan_report=tmp_path, callbacks=[states])
    learned = {name: weight for name, weight in model.state_dict().items() if "calls" not in name}
    assert all(torch.equal(weight, states.weights[name]) for name, weight in learned.items())
    assert model.replay(tmp_path, verbose=0).finding.name == "net.middle"


def test_lbfgs_is_repeated_within_its_closure(tmp_path):
    calls = []

    def loss(y_true, y_pred):
        calls.append(1)
        return (y_pred - y_true).square().mean() * (math.nan if len(calls) in (5, 10) else 1.0)

    model = make(nn.Identity(), loss, lambda params: torch.optim.LBFGS(params, lr=0.1, max_iter=20))
    before = copy.deepcopy(model)
    with pytest.raises(RuntimeError, match=r"In epoch 1, batch 1 .*: the loss is NaN \(in mul\)"):
        fit(model, nan_report=tmp_path)
    assert len(calls) == 10
    assert same_weights(model, before)


def test_mixed_precision_is_repeated_in_the_same_autocast(tmp_path):
    model = kt.Sequential([kt.layers.Dense(4, kernel_initializer="ones"), kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = torch.full((8, 6), 60000.0)
    with torch.autocast("cpu", torch.float16), pytest.raises(RuntimeError, match="bfloat16"):
        model.fit(x, torch.zeros(8, 1), verbose=0, nan_report=tmp_path)
    assert model.replay(tmp_path, verbose=0).finding.name == "0"  # outside of autocast


def test_compiled_training_names_the_layer_too(tmp_path):
    model = make(Switch(overflow), jit_compile=True)
    with (
        pytest.warns(UserWarning, match="jit_compile: training continues uncompiled while each step is examined"),
        pytest.raises(RuntimeError, match=r"middle \(Switch\) gave inf"),
    ):
        fit(model, nan_report=tmp_path)


def test_accumulated_gradients_belong_to_the_saved_step(tmp_path):
    def run(**given):
        seen = []

        def loss(y_true, y_pred):
            seen.append(y_pred.detach().clone())
            return (y_pred - y_true).square().mean() * (math.nan if len(seen) == 6 else 1.0)

        model = make(loss=loss, optimizer=kt.optimizers.Adam(gradient_accumulation_steps=4))
        with pytest.raises(RuntimeError, match="epoch 2, batch 2"):
            fit(model, **given)
        return model, seen

    model, seen = run(nan_report=tmp_path)
    assert torch.equal(seen[5], seen[6])
    other, _ = run(callbacks=[TerminateOnNaN(raise_error=True)])
    assert same_weights(model, other)


def test_a_terminate_on_nan_decides_whether_an_error_is_raised(tmp_path, capsys):
    history = fit(make(Switch(overflow)), nan_report=tmp_path, callbacks=[TerminateOnNaN()])
    assert len(history.history["loss"]) == 1
    assert "middle (Switch) gave inf" in capsys.readouterr().out
    assert (tmp_path / "report.txt").exists()


def test_training_that_stays_finite_has_the_same_bits_and_writes_nothing(tmp_path):
    models = [make(), make()]
    fit(models[0])
    torch.manual_seed(0)
    again = make()
    fit(again, nan_report=tmp_path / "report")
    assert same_weights(models[0], again)
    assert not (tmp_path / "report").exists()


def test_infinity_in_a_mask_is_not_blamed(tmp_path):
    class Masked(nn.Module):
        def forward(self, x):
            return x.masked_fill(x > 100, -math.inf).softmax(-1)

    model = make(nn.Sequential(Masked(), Switch(negative_root)))
    with pytest.raises(RuntimeError, match=r"middle.1 \(Switch\) gave NaN"):
        fit(model, nan_report=tmp_path)


@pytest.mark.parametrize("given", [3, "", b"x"])
def test_a_folder_that_is_no_path_is_refused(given):
    with pytest.raises(TypeError, match="nan_report must be a path"):
        fit(make(), nan_report=given)


def test_a_folder_that_is_a_file_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    model = make()
    before = copy.deepcopy(model)
    with pytest.raises(NotADirectoryError, match="is a file"):
        fit(model, nan_report=tmp_path / "file")
    assert same_weights(model, before)


def test_replay_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(RuntimeError):
        fit(make(Switch(overflow)), nan_report=tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        make().replay(tmp_path / "none")
    with pytest.raises(RuntimeError, match="call compile"):
        kt.Model(Net()).replay(tmp_path)
    other = kt.Model(nn.Linear(6, 1))
    other.compile("sgd", "mse")
    with pytest.raises(errors.CheckpointError, match="Build and compile the model by the script that wrote it"):
        other.replay(tmp_path)
    content = bytearray((tmp_path / "failed_step.kt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "failed_step.kt").write_bytes(content)
    with pytest.raises(errors.CheckpointCorruptError):
        make(Switch(overflow)).replay(tmp_path)


def test_the_message_says_why_a_step_cannot_be_saved(tmp_path):
    class Odd(kt.optimizers.Adam):
        pass

    model = make(Switch(overflow))
    model.optimizer.param_groups[0]["note"] = object()
    with pytest.raises(RuntimeError, match=r"middle \(Switch\) gave inf(.|\n)*could not be saved .* is a object"):
        fit(model, nan_report=tmp_path)
    assert Odd is not None


# --- the warning of a fit without a guard ---------------------------------------------------------------------------


def warning_of(model, data=None, **given):
    with pytest.warns(UserWarning, match="the loss is") as caught:
        fit(model, data, **given)
    (one,) = [str(warning.message) for warning in caught if "the loss is" in str(warning.message)]
    return one


def test_the_warning_names_a_bad_input():
    assert "x has NaN in 1 of 16 rows, first in row 8" in warning_of(make(), bad_input_data)


def test_the_warning_says_that_weights_are_lost():
    text = warning_of(make(loss=lambda y_true, y_pred: y_pred.mean() * math.nan))
    assert "in epoch 1, batch 1 (learning rate 0.001): inputs and targets are finite" in text
    assert "6 of 6 weights are not finite after this step" in text


def test_the_warning_says_that_weights_are_still_finite():
    text = warning_of(make(loss=lambda y_true, y_pred: y_pred.mean() + math.inf))
    assert "all weights are still finite" in text


def test_a_loss_that_is_not_read_in_each_batch_is_read_at_the_end_of_the_epoch(monkeypatch):
    monkeypatch.setattr("kerastorch.training.nan_warning.free_to_read", lambda tensor: False)  # an accelerator
    text = warning_of(make(loss=lambda y_true, y_pred: y_pred.mean() * math.nan))
    assert text.startswith("the loss is nan in epoch 1 (learning rate 0.001): 6 of 6 weights are not finite")


def test_numpy_inputs_with_names_are_named():
    a, b = kt.Input((3,), name="a"), kt.Input((3,), name="b")
    model = kt.Model({"a": a, "b": b}, kt.layers.Dense(1)(kt.layers.Concatenate()([a, b])))
    model.compile("sgd", "mse")
    x = {name: np.zeros((16, 3), "float32") for name in "ab"}
    x["b"][5, 1] = np.inf
    with pytest.warns(UserWarning, match=r"x\['b'\] has inf in 1 of 16 rows, first in row 5"):
        model.fit(x, np.zeros((16, 1)), verbose=0, check_finite=False, shuffle=False)


# --- mixed precision and several optimizers -------------------------------------------------------------------------


def test_a_step_that_a_loss_scale_leaves_out_is_no_nan(tmp_path):
    x, y = torch.full((16, 6), 8.0), torch.full((16, 1), 100.0)  # the first scale, 65536, overflows float16
    scales = []

    class Scale(Callback):
        def on_train_batch_end(self, batch, logs=None):
            scales.append(self.model.trainer.optimizer_step.scaling.scaler.get_scale())

    model = make(optimizer="sgd", precision="fp16")
    history = model.fit(x, y, verbose=0, epochs=3, callbacks=[Scale()], nan_report=tmp_path / "report")
    assert len(history.epoch) == 3
    assert scales[-1] < 65536
    assert not (tmp_path / "report").exists()


def test_a_loss_that_is_not_finite_in_mixed_precision_is_named(tmp_path):
    model = make(Switch(overflow), optimizer="sgd", precision="fp16")
    with pytest.raises(RuntimeError, match=r"middle \(Switch\) gave inf(.|\n)*bfloat16"):
        fit(model, nan_report=tmp_path)
    assert (
        make(Switch(overflow), optimizer="sgd", precision="fp16").replay(tmp_path, verbose=0).finding.name == "middle"
    )


def test_several_optimizers_are_saved_and_repeated(tmp_path):
    def several():
        return make(Switch(overflow), optimizer={"first.*": "adam", "*": kt.optimizers.SGD(0.5)})

    with pytest.raises(RuntimeError, match=r"learning rate 0.001, 0.5\): middle \(Switch\) gave inf"):
        fit(several(), nan_report=tmp_path)
    assert several().replay(tmp_path, verbose=0).learning_rates == (0.001, 0.5)
