"""Mixed precision: `compile(precision=...)` and Keras' policies. The oracle is the loop of torch's autocast recipe."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from support.resumption import whole_and_resumed
from torch import nn

import kerastorch as kt
from kerastorch import layers, optimizers
from kerastorch.training.jit.verify import find_difference

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.fixture(autouse=True)
def _float32_policy():
    yield
    kt.mixed_precision.set_global_policy("float32")


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def dropout_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.LayerNorm(16), nn.Linear(16, 3))


def loop(dtype, make=net, epochs=2, clip=None, rate=0.1):
    module = make()
    optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9, fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=dtype is torch.float16)
    torch.manual_seed(1)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for i in range(0, len(X), 8):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype):
                outputs = module(X[i : i + 8])
                loss = nn.functional.cross_entropy(outputs.float(), Y[i : i + 8])
            scaler.scale(loss).backward()
            if dtype is torch.float16:
                scaler.unscale_(optimizer)
            if clip:
                nn.utils.clip_grad_value_(module.parameters(), clip)
            scaler.step(optimizer)
            scaler.update()
            total += float(loss.detach())
        losses.append(total / (len(X) / 8))
    return module, losses


def fitted(precision, make=net, epochs=2, settings=None, **given):
    module = make()
    model = kt.Model(module)
    settings = optimizers.SGD(0.1, momentum=0.9) if settings is None else settings
    model.compile(settings, nn.CrossEntropyLoss(), precision=precision, **given)
    torch.manual_seed(1)
    history = model.fit(X, Y, 8, epochs, 0, shuffle=False)
    return model, history.history["loss"]


def same(one, two):
    return all(map(torch.equal, one.parameters(), two.parameters()))


@pytest.mark.parametrize("make", [net, dropout_net])
@pytest.mark.parametrize("name", DTYPES)
def test_training_equals_the_recipe_of_torch_bit_for_bit(name, make):
    model, losses = fitted(name, make)
    expected, expected_losses = loop(DTYPES[name], make)
    assert same(model, expected)
    assert losses == pytest.approx(expected_losses, rel=1e-6)


@pytest.mark.parametrize("name", DTYPES)
def test_gradients_are_unscaled_before_they_are_clipped(name):
    model, _ = fitted(name, settings=optimizers.SGD(0.1, momentum=0.9, clipvalue=0.01))
    assert same(model, loop(DTYPES[name], clip=0.01)[0])


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ("bf16", "mixed_bfloat16"), ("mixed_bfloat16", "mixed_bfloat16"), ("fp16", "mixed_float16"),
        ("mixed_float16", "mixed_float16"), ("fp32", "float32"), ("float32", "float32"), (None, "float32"),
        (kt.mixed_precision.Policy("mixed_bfloat16"), "mixed_bfloat16"), (torch.float32, "float32"),
    ],
)  # fmt: skip
def test_the_names_of_torch_users_and_those_of_keras(given, policy):
    model = kt.Model(net())
    model.compile("sgd", "cross_entropy", precision=given)
    assert model.trainer.precision.policy.name == policy


def test_the_global_policy_is_that_of_later_models():
    before = kt.Model(net())
    before.compile("sgd", "cross_entropy")
    kt.mixed_precision.set_global_policy("mixed_bfloat16")
    after, chosen = kt.Model(net()), kt.Model(net())
    after.compile("sgd", "cross_entropy")
    chosen.compile("sgd", "cross_entropy", precision="fp32")
    found = [one.trainer.precision.policy.name for one in (before, after, chosen)]
    assert found == ["float32", "mixed_bfloat16", "float32"]
    assert kt.mixed_precision.global_policy().compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ("bfloat16", ValueError, r"model.to\(torch.bfloat16\); mixed precision is 'bf16'"),
        (torch.float16, ValueError, "mixed precision is 'fp16'"),
        ("bf16-mixed", ValueError, "Its name is 'bf16'"),
        ("mixed_bfloat", ValueError, "Did you mean 'mixed_bfloat16'"),
        (16, TypeError, "'fp32', 'bf16' or 'fp16'"),
    ],
)
def test_an_unknown_precision_is_answered(given, error, sentence):
    with pytest.raises(error, match=sentence):
        kt.Model(net()).compile("sgd", "cross_entropy", precision=given)


def test_an_unknown_policy_is_answered():
    with pytest.raises(ValueError, match="Did you mean 'mixed_float16'"):
        kt.mixed_precision.set_global_policy("mixed_float")


class Dtypes(nn.Module):
    """Records the number formats that it computes in."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(6, 3)
        self.seen = []

    def forward(self, x):
        outputs = self.inner(x)
        self.seen.append((self.training, outputs.dtype))
        return outputs


@pytest.mark.parametrize("name", DTYPES)
def test_every_verb_computes_in_16_bits_and_returns_float32(name):
    module = Dtypes()
    model = kt.Model(module)
    model.compile("sgd", "cross_entropy", metrics=["accuracy"], precision=name)
    model.fit(X, Y, verbose=0, validation_data=(X, Y))
    model.evaluate(X, Y, verbose=0)
    outputs = model.predict(X, verbose=0)
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    some = model.predict_on_batch(X)
    assert {dtype for _, dtype in module.seen} == {DTYPES[name]}
    assert outputs.dtype == some.dtype == np.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    with torch.autocast("cpu", DTYPES[name]):
        expected = module.inner(X).float()
    assert np.array_equal(model.predict(X, verbose=0), expected.detach().numpy())


def test_a_prediction_of_several_outputs_is_float32_in_its_structure():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 2), nn.Linear(6, 1)

        def forward(self, x):
            return {"a": self.a(x), "b": self.b(x)}

    model = kt.Model(Two())
    model.compile("sgd", {"a": "mse", "b": "mse"}, precision="bf16")
    found = model.predict(X, verbose=0)
    assert {name: one.dtype for name, one in found.items()} == {"a": np.float32, "b": np.float32}


@pytest.mark.parametrize("loss", ["cross_entropy", "sparse_categorical_crossentropy", "mse", nn.CrossEntropyLoss()])
def test_losses_are_computed_in_float32(loss):
    """The loss of `evaluate` is that of the outputs of `predict`, which are float32, to its precision."""
    torch.manual_seed(0)
    last = [layers.Dense(3, "softmax")] if loss == "sparse_categorical_crossentropy" else [layers.Dense(3)]
    model = kt.Sequential([kt.Input((6,)), layers.Dense(16, "tanh"), *last])
    model.compile("sgd", loss, precision="bf16")
    y = nn.functional.one_hot(Y, 3).float() if loss == "mse" else Y
    found = model.evaluate(X, y, verbose=0)
    outputs = torch.from_numpy(model.predict(X, verbose=0))
    if loss == "mse":
        expected = nn.functional.mse_loss(outputs, y)
    elif loss == "sparse_categorical_crossentropy":
        expected = nn.functional.nll_loss(outputs.clamp(1e-7, 1).log(), y)
    else:
        expected = nn.functional.cross_entropy(outputs, y)
    assert found == pytest.approx(float(expected), rel=5e-3 if "sparse" in str(loss) else 1e-5)


def test_losses_without_a_rule_in_autocast_are_computed_in_float32_too():
    seen = []

    class Recorded(kt.losses.Loss):
        def call(self, y_true, y_pred):
            seen.append(y_pred.dtype)
            return (y_true - y_pred).square().mean(-1)

    def function(y_true, y_pred):
        seen.append(y_pred.dtype)
        return (y_true - y_pred).square().mean()

    for loss in (Recorded(), function):
        model = kt.Model(nn.Linear(6, 1))
        model.compile("sgd", loss, precision="bf16")
        model.fit(X, X[:, :1], verbose=0, validation_data=(X, X[:, :1]))
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize("name", DTYPES)
def test_a_training_resumes_with_the_same_bits(name, tmp_path):
    def fit(callbacks):
        model = kt.Model(dropout_net())
        model.compile(optimizers.Adam(0.01), "cross_entropy", precision=name)
        model.fit(X, Y, 8, 3, 0, callbacks=callbacks)
        return model

    expected, found = whole_and_resumed(fit, (1, 2), tmp_path)
    assert same(found, expected)
    assert found.trainer.optimizer_step.scaling.state_dict() == expected.trainer.optimizer_step.scaling.state_dict()


def test_the_scale_of_the_loss_grows_and_shrinks_as_the_scaler_of_torch_does():
    class Overflows(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.inner = nn.Linear(6, 1)

        def forward(self, x):
            return self.inner(x) * 100

    module, reference = Overflows(), Overflows()
    model = kt.Model(module)
    settings = optimizers.LossScaleOptimizer(optimizers.SGD(1e-5), initial_scale=2.0**16, dynamic_growth_steps=2)
    model.compile(settings, nn.MSELoss(), precision="fp16")
    y = 30 * X[:, :1]
    model.fit(X, y, 8, 3, 0, shuffle=False)
    optimizer = torch.optim.SGD(reference.parameters(), lr=1e-5, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=2)
    scales = []
    for _ in range(3):
        for i in range(0, len(X), 8):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16):
                loss = nn.functional.mse_loss(reference(X[i : i + 8]).float(), y[i : i + 8])
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
    assert min(scales) < 2.0**16  # steps were left out
    assert max(scales[1:]) > min(scales)
    assert same(module, reference)
    assert model.trainer.optimizer_step.scaling.state_dict()["scale"] == scales[-1]


def test_a_step_that_the_scaler_leaves_out_is_no_nan():
    model, _ = fitted("fp16", settings=optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=2.0**40))
    assert all(torch.isfinite(p).all() for p in model.parameters())
    model = kt.Model(net())
    model.compile(optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=2.0**40), "cross_entropy",
                  precision="fp16")  # fmt: skip
    model.fit(X, Y, 8, 3, 0, callbacks=[kt.callbacks.TerminateOnNaN()])
    assert not model.stop_training


@pytest.mark.parametrize("name", DTYPES)
def test_accumulation_is_the_recipe_with_several_batches(name):
    model, _ = fitted(name, settings=optimizers.SGD(0.1, gradient_accumulation_steps=3))
    module = net()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        for start in range(0, len(X), 24):
            optimizer.zero_grad()
            for i in range(start, start + 24, 8):
                with torch.autocast("cpu", DTYPES[name]):
                    loss = nn.functional.cross_entropy(module(X[i : i + 8]).float(), Y[i : i + 8])
                (loss / 3).backward()
            optimizer.step()
    for one, two in zip(model.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-2, atol=1e-3)


def test_own_steps_compute_in_the_precision_too():
    class Own(kt.Model):
        def train_step(self, batch):
            x, y, _ = batch
            outputs = self(x)
            self.dtype = outputs.dtype
            loss = self.compute_loss(x, y, outputs)
            self.trainer.backward_and_step(loss)
            return {"loss": loss}

    model = Own(net())
    model.compile(optimizers.SGD(0.1, momentum=0.9), nn.CrossEntropyLoss(), precision="bf16")
    model.fit(X, Y, 8, 2, 0, shuffle=False)
    assert model.dtype == torch.bfloat16
    assert same(model, loop(torch.bfloat16)[0])


@pytest.mark.parametrize("name", DTYPES)
def test_two_optimizers_in_16_bits(name):
    module = net()
    model = kt.Model(module)
    model.compile({"0": optimizers.SGD(0.1, momentum=0.9), "2": optimizers.SGD(0.1, momentum=0.9)},
                  nn.CrossEntropyLoss(), precision=name)  # fmt: skip
    model.fit(X, Y, 8, 2, 0, shuffle=False)
    assert same(model, loop(DTYPES[name])[0])


@pytest.mark.slow
def test_a_compiled_step_computes_in_the_precision():
    model, losses = fitted("bf16", epochs=4, jit_compile=True)
    assert model.trainer.is_compiled
    _, expected = loop(torch.bfloat16, epochs=4)
    assert losses == pytest.approx(expected, rel=2e-2)


def test_a_step_in_16_bits_is_compiled_once_for_all_epochs():
    model = kt.Model(net())
    model.compile(optimizers.SGD(0.1, momentum=0.9), "cross_entropy", precision="bf16", jit_compile=True)
    model.trainer.register_listener((said := []).append)
    model.fit(X, Y, 8, 8, 0, shuffle=False)
    assert model.trainer.is_compiled
    assert sum(sentence.startswith("compiled") for sentence in said) == 1


def test_a_compiled_step_may_round_less_often_than_one_in_16_bits():
    before = torch.linspace(1.0, 2.0, 100)
    eager = nn.Parameter(before - 0.1)
    eager.grad = torch.ones(100)
    rounded, wrong = before - 0.1 * (1 + torch.finfo(torch.bfloat16).eps), before - 0.2
    loss, near = torch.tensor(1.0), torch.tensor(1.0 + torch.finfo(torch.bfloat16).eps)
    found = []
    for enabled in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            for compiled, value in ((rounded, near), (wrong, near)):
                found.append(find_difference([eager], [before], [compiled], {"loss": loss}, {"loss": value}))
    assert found == [None, "weight", "loss", "loss"]


@pytest.mark.parametrize(
    ("settings", "precision"),
    [(optimizers.SGD(0.1), "fp16"), (optimizers.LossScaleOptimizer(optimizers.SGD(0.1)), "fp32")],
    ids=["fp16", "LossScaleOptimizer"],
)
def test_steps_with_a_scale_that_adapts_itself_are_not_compiled(settings, precision):
    model = kt.Model(net())
    model.compile(settings, "cross_entropy", precision=precision, jit_compile=True)
    with pytest.warns(UserWarning, match="the scale of the loss changes from step to step"):
        model.fit(X, Y, 8, 1, 0, shuffle=False)
    eager = kt.Model(net())
    eager.compile(settings, "cross_entropy", precision=precision)
    eager.fit(X, Y, 8, 1, 0, shuffle=False)
    assert same(model, eager)


@pytest.mark.parametrize("name", DTYPES)
def test_an_own_step_computes_with_the_weights_of_its_own_optimizers_steps(name):
    class Twice(kt.Model):
        def train_step(self, batch):
            first = self(batch.x).float().square().mean()
            first.backward()
            with torch.no_grad():
                before = nn.functional.linear(batch.x, self.weight).float()
            self.mine[0].step()
            with torch.no_grad():
                self.seen = self(batch.x).float() - self.bias
                self.moved = float((self.seen - before).abs().max())
            return {"loss": first}

    model = Twice(nn.Linear(6, 3))
    model.mine = [torch.optim.SGD([model.weight], 5.0)]
    model.compile(precision=name)
    model.fit(X, Y, len(X), verbose=0, shuffle=False)
    assert model.moved > 0.1
    torch.testing.assert_close(model.seen, X @ model.weight.T, rtol=3e-2, atol=3e-2)
    assert torch.is_autocast_cache_enabled()


def test_a_saved_model_keeps_its_precision(tmp_path):
    torch.manual_seed(0)
    model = kt.Sequential([kt.Input((6,)), layers.Dense(3)])
    model.compile("sgd", "cross_entropy", precision="bf16")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    assert loaded.trainer.precision.policy.name == "mixed_bfloat16"
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_an_optimizer_that_computes_the_loss_itself_has_no_scale():
    model = kt.Model(net())
    model.compile("lbfgs", "cross_entropy", precision="fp16")
    with pytest.raises(ValueError, match="'bf16'"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: optimizers.LossScaleOptimizer("adam"), TypeError, "settings of an optimizer"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), initial_scale=0), ValueError, "initial_scale"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(loss_scale_factor=2.0)), ValueError, "adapts itself"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD())(net().parameters()), ValueError, "GradScaler"),
    ],
)
def test_mistakes_with_the_scale_are_answered(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_digits_are_learned_as_well_as_in_float32(kind):
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
    scores = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        first = [layers.Flatten(), layers.Dense(64, "relu")]
        if kind == "conv":
            first = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
        model = kt.Sequential([kt.Input((1, 8, 8)), *first, layers.Dense(10)])
        model.compile(optimizers.Adam(3e-3), "cross_entropy", metrics=["accuracy"], precision=precision)
        model.fit(x[:1300], y[:1300], 64, 12, 0)
        scores[precision] = model.evaluate(x[1300:], y[1300:], verbose=0)[1]
    assert scores["fp32"] > 0.85
    assert abs(scores["bf16"] - scores["fp32"]) <= 0.01


def test_weights_in_float16_and_a_scaled_loss_are_an_error_before_a_step():
    model = kt.Model(net().half())
    model.compile("sgd", nn.CrossEntropyLoss(), precision="fp16")
    before = [one.detach().clone() for one in model.parameters()]
    with pytest.raises(ValueError, match=r"0\.weight is in float16\. Write model\.float\(\) before compile"):
        model.fit(X, Y, verbose=0)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), before, strict=True))
    model.float()
    model.compile("sgd", nn.CrossEntropyLoss(), precision="fp16")
    model.fit(X, Y, verbose=0)
