"""Several optimizers in one model, by name. The oracle is the loop that torch users write by hand."""

import pytest
import torch
from support.resumption import whole_and_resumed
from torch import nn

import kerastorch as kt
from kerastorch import layers, optimizers

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0)) + 2
Y = X.sum(1, keepdim=True)
CRITERION = nn.BCEWithLogitsLoss()


class GAN(kt.Model):
    """A generative adversarial net in which `train_step` steps the two optimizers of `compile` by name."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6))
        self.discriminator = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(), nn.Linear(8, 1))
        self.random = torch.Generator().manual_seed(5)

    def forward(self, z):
        return self.generator(z)

    def losses_of(self, real):
        z = torch.randn(len(real), 3, generator=self.random)
        fake = self.generator(z)
        real_scores, fake_scores = self.discriminator(real), self.discriminator(fake.detach())
        ones, zeros = torch.ones_like(real_scores), torch.zeros_like(fake_scores)
        return fake, CRITERION(real_scores, ones) + CRITERION(fake_scores, zeros), ones

    def train_step(self, batch):
        fake, d_loss, ones = self.losses_of(batch.x)
        self.trainer.minimize(d_loss, "discriminator")
        g_loss = CRITERION(self.discriminator(fake), ones)
        self.trainer.minimize(g_loss, "generator")
        return {"d_loss": d_loss, "g_loss": g_loss}


def by_hand(make_g, make_d, epochs=2, clip=None):
    gan = GAN()
    g_optimizer, d_optimizer = make_g(gan.generator.parameters()), make_d(gan.discriminator.parameters())
    sums = []
    for _ in range(epochs):
        d_sum = 0.0
        for i in range(0, len(X), 8):
            fake, d_loss, ones = gan.losses_of(X[i : i + 8])
            d_optimizer.zero_grad()
            d_loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(gan.discriminator.parameters(), clip)
            d_optimizer.step()
            g_loss = CRITERION(gan.discriminator(fake), ones)
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()
            d_sum += float(d_loss.detach())
        sums.append(d_sum / (len(X) / 8))
    return gan, sums


def adam(rate):
    return lambda params: torch.optim.Adam(params, lr=rate, betas=(0.5, 0.999), eps=1e-7, fused=True)


SETTINGS = {
    "generator": optimizers.Adam(1e-3, beta_1=0.5),
    "discriminator": optimizers.Adam(4e-3, beta_1=0.5),
}


def same(one, two):
    pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    return all(a == b and torch.equal(p, q) for (a, p), (b, q) in pairs)


@pytest.mark.parametrize(
    "given",
    [
        SETTINGS,
        {"generator.*": SETTINGS["generator"], "discriminator.*": SETTINGS["discriminator"]},
        {"gen*": SETTINGS["generator"], "*": SETTINGS["discriminator"]},
    ],
    ids=["children", "patterns", "rest"],
)
def test_two_optimizers_equal_the_loop_of_torch_bit_for_bit(given):
    names = list(given)

    class Named(GAN):
        def train_step(self, batch):
            fake, d_loss, ones = self.losses_of(batch.x)
            self.trainer.minimize(d_loss, names[1])
            self.trainer.minimize(CRITERION(self.discriminator(fake), ones), names[0])
            return {"d_loss": d_loss}

    model = Named()
    model.compile(optimizer=given)
    history = model.fit(X, batch_size=8, epochs=2, verbose=0, shuffle=False)
    expected, sums = by_hand(adam(1e-3), adam(4e-3))
    assert same(model, expected)
    assert history.history["d_loss"] == pytest.approx(sums, rel=1e-6)


@pytest.mark.parametrize("kinds", [("sgd", "rmsprop"), ("adam", "sgd")])
def test_names_of_optimizers_do(kinds):
    model = GAN()
    model.compile(optimizer={"generator": kinds[0], "discriminator": kinds[1]})
    model.fit(X, batch_size=8, verbose=0)
    made = model.optimizers
    assert list(made) == ["generator", "discriminator"]
    assert [type(one).__name__.lower() for one in made.values()] == list(kinds)
    assert {id(p) for p in made["generator"].param_groups[0]["params"]} == set(map(id, model.generator.parameters()))


def test_clipping_and_averages_are_those_of_each():
    model = GAN()
    model.compile(
        optimizer={
            "generator": optimizers.Adam(1e-3, beta_1=0.5),
            "discriminator": optimizers.Adam(4e-3, beta_1=0.5, global_clipnorm=0.02),
        }
    )
    model.fit(X, batch_size=8, epochs=2, verbose=0, shuffle=False)
    expected, _ = by_hand(adam(1e-3), adam(4e-3), clip=0.02)
    for one, two in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_the_average_of_one_of_them_replaces_its_weights_alone():
    """With a momentum of 1 the average stays what the weights were after their first step."""
    model = GAN()
    given = {"generator": optimizers.SGD(0.1, use_ema=True, ema_momentum=1.0), "discriminator": optimizers.SGD(0.1)}
    model.compile(optimizer=given)
    model.fit(X, batch_size=8, epochs=1, verbose=0, shuffle=False)
    once = GAN()
    once.compile(optimizer={"generator": optimizers.SGD(0.1), "discriminator": optimizers.SGD(0.1)})
    once.fit(X[:8], batch_size=8, epochs=1, verbose=0, shuffle=False)
    assert same(model.generator, once.generator)
    assert not same(model.discriminator, once.discriminator)


def test_without_a_name_all_step_after_one_backward_pass():
    def net():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))

    module, reference = net(), net()
    model = kt.Model(module)
    model.compile({"0": optimizers.SGD(0.01), "*": optimizers.Adam(0.02)}, nn.MSELoss())
    model.fit(X, Y, 8, 2, 0, shuffle=False)
    sgd = torch.optim.SGD(reference[0].parameters(), lr=0.01, fused=True)
    other = torch.optim.Adam(reference[2].parameters(), lr=0.02, eps=1e-7, fused=True)
    for _ in range(2):
        for i in range(0, len(X), 8):
            sgd.zero_grad()
            other.zero_grad()
            nn.functional.mse_loss(reference(X[i : i + 8]), Y[i : i + 8]).backward()
            sgd.step()
            other.step()
    assert same(module, reference)


def test_optimizers_of_torch_that_the_user_has_made():
    model = GAN()
    model.compile(
        optimizer={
            "generator": adam(1e-3)(model.generator.parameters()),
            "discriminator": adam(4e-3)(model.discriminator.parameters()),
        }
    )
    model.fit(X, batch_size=8, epochs=2, verbose=0, shuffle=False)
    assert same(model, by_hand(adam(1e-3), adam(4e-3))[0])


class OwnOptimizers(GAN):
    """The form of Keras' guide: optimizers as attributes, `super().compile()`."""

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    def train_step(self, batch):
        fake, d_loss, ones = self.losses_of(batch.x)
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()
        self.g_optimizer.zero_grad()
        CRITERION(self.discriminator(fake), ones).backward()
        self.g_optimizer.step()
        return {"d_loss": d_loss}


def test_the_form_of_keras_with_own_attributes_works():
    model = OwnOptimizers()
    model.compile(adam(4e-3)(model.discriminator.parameters()), adam(1e-3)(model.generator.parameters()))
    model.fit(X, batch_size=8, epochs=2, verbose=0, shuffle=False)
    assert same(model, by_hand(adam(1e-3), adam(4e-3))[0])


def test_one_optimizer_in_compile_and_one_as_an_attribute():
    class Half(GAN):
        def train_step(self, batch):
            fake, d_loss, ones = self.losses_of(batch.x)
            self.d_optimizer.zero_grad()
            d_loss.backward()
            self.d_optimizer.step()
            self.trainer.backward_and_step(CRITERION(self.discriminator(fake), ones))
            return {"d_loss": d_loss}

    model = Half()
    model.d_optimizer = adam(4e-3)(model.discriminator.parameters())
    model.compile(adam(1e-3)(model.generator.parameters()))
    model.fit(X, batch_size=8, epochs=2, verbose=0, shuffle=False)
    assert same(model, by_hand(adam(1e-3), adam(4e-3))[0])


def test_only_a_parameter_that_no_optimizer_holds_is_asked_about():
    model = GAN()
    model.compile(torch.optim.Adam(model.generator.parameters()))
    with pytest.raises(ValueError, match=r"missing from the optimizer: discriminator\.0\.weight"):
        model.fit(X, verbose=0)
    model = GAN()
    model.compile({"generator": "adam", "discriminator.0": "sgd"})
    with pytest.raises(ValueError, match=r"missing from the optimizer: discriminator\.2\.weight.*'\*': 'adam'"):
        model.fit(X, verbose=0)
    model.discriminator[2].requires_grad_(False)
    with pytest.raises(ValueError, match="no optimizer 'discriminator'"):  # of the step: all parameters have one now
        model.fit(X, verbose=0)


@pytest.mark.parametrize(
    ("use", "error", "sentence"),
    [
        (lambda m: m.compile({}), ValueError, "empty dict"),
        (lambda m: m.compile({"generator": "adamm", "*": "sgd"}), ValueError, "Did you mean 'adam'"),
        (
            lambda m: (m.compile({"genrator": "adam", "*": "sgd"}), m.fit(X, verbose=0)),
            ValueError,
            "'genrator' matches",
        ),
        (lambda m: (m.compile({"generator": "adam", "*": "lbfgs"}), m.fit(X, verbose=0)), ValueError, "itself"),
        (lambda m: (m.compile(SETTINGS), m.optimizer), RuntimeError, r"model.optimizers\[name\]"),
        (
            lambda m: (m.compile({"g*": "adam", "d*": "sgd"}), m.fit(X, verbose=0)),
            ValueError,
            "no optimizer 'discriminator'",
        ),
        (lambda m: (m.compile("adam"), m.fit(X, verbose=0)), ValueError, "the model has one optimizer"),
    ],
)
def test_mistakes_are_answered(use, error, sentence):
    with pytest.raises(error, match=sentence):
        use(GAN())


@pytest.mark.parametrize("at", [(0, 3), (1, 1), (1, 5)])
@pytest.mark.parametrize("ema", [False, True])
def test_a_training_resumes_with_the_same_bits(at, ema, tmp_path):
    def fit(callbacks):
        class Seeded(GAN):
            def losses_of(self, real):
                self.random = None
                return super().losses_of(real)

        model = Seeded()
        model.random = None
        model.compile(
            optimizer={
                "generator": optimizers.Adam(1e-3, use_ema=ema),
                "discriminator": optimizers.SGD(4e-3, momentum=0.9, gradient_accumulation_steps=2),
            }
        )
        model.fit(X, batch_size=8, epochs=3, verbose=0, callbacks=callbacks)
        return model

    assert same(*whole_and_resumed(fit, at, tmp_path))


def test_a_saved_model_has_all_optimizers(tmp_path):
    torch.manual_seed(0)
    model = kt.Sequential([kt.Input((6,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    model.compile({"0": optimizers.SGD(0.01, momentum=0.9), "1": optimizers.Adam(0.02)}, "mse")
    model.fit(X, Y, verbose=0, shuffle=False)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    for one in (model, loaded):
        one.fit(X, Y, verbose=0, shuffle=False)
    assert same(model, loaded)
    assert list(loaded.optimizers) == ["0", "1"]


def test_terminate_on_nan_makes_no_step_of_any_optimizer():
    model = GAN()
    model.compile(optimizer=SETTINGS)
    bad = X.clone()
    bad[:, 0] = float("inf")
    before = [p.detach().clone() for p in model.parameters()]
    model.fit(bad, batch_size=48, verbose=0, check_finite=False, callbacks=[kt.callbacks.TerminateOnNaN()])
    changed = [not torch.equal(a, b) for a, b in zip(before, model.discriminator.parameters(), strict=False)]
    assert model.stop_training
    assert all(torch.isfinite(p).all() for p in model.discriminator.parameters()), changed


def test_compiled_steps_are_refused_with_a_sentence():
    model = kt.Sequential([kt.Input((6,)), layers.Dense(1)])
    model.compile({"*": "sgd"}, "mse", jit_compile=True)
    with pytest.warns(UserWarning, match="there are several optimizers"):
        model.fit(X, Y, verbose=0)


def test_averages_of_all_optimizers_are_swapped_in_for_validation():
    torch.manual_seed(0)
    model = kt.Sequential([kt.Input((6,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    ema = {"use_ema": True, "ema_momentum": 0.9}
    model.compile({"0": optimizers.SGD(0.01, **ema), "1": optimizers.Adam(0.02, **ema)}, "mse")
    swap = kt.callbacks.SwapEMAWeights()
    history = model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[swap])
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(history.history["val_loss"][-1], rel=1e-6)
    plain = kt.Sequential([kt.Input((6,)), layers.Dense(1)])
    plain.compile({"*": "sgd"}, "mse")
    with pytest.raises(ValueError, match="SGD keeps no moving average"):
        plain.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[kt.callbacks.SwapEMAWeights()])


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (
            kt.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2),
            {"generator": [0.5, 0.25], "discriminator": [2.0, 1.0]},
        ),
        (
            kt.callbacks.ReduceLROnPlateau("d_loss", 0.5, patience=1, mode="min", min_delta=1e9),
            {"generator": [1.0, 0.5], "discriminator": [4.0, 2.0]},
        ),
        (
            kt.callbacks.LRScheduler("step", step_size=1, gamma=0.1, optimizer="discriminator"),
            {"generator": [1.0, 1.0], "discriminator": [4.0, 0.4]},
        ),
    ],
    ids=["LearningRateScheduler", "ReduceLROnPlateau", "LRScheduler"],
)
def test_callbacks_for_rates_change_the_rate_of_each(callback, expected):
    seen = {"generator": [], "discriminator": []}

    class Look(kt.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                for name, optimizer in self.model.optimizers.items():
                    seen[name].append(optimizer.learning_rate)

    model = GAN()
    model.compile({"generator": optimizers.SGD(1.0), "discriminator": optimizers.SGD(4.0)})
    epochs = 3 if isinstance(callback, kt.callbacks.ReduceLROnPlateau) else 2
    history = model.fit(X / 100, batch_size=48, epochs=epochs, verbose=0, callbacks=[callback, Look()])
    found = {name: rates[-2:] for name, rates in seen.items()}
    assert found == {name: pytest.approx(rates) for name, rates in expected.items()}
    assert history.history["learning_rate_generator"][-1] == pytest.approx(expected["generator"][-1])


def test_a_scheduler_must_name_one_of_several_optimizers():
    model = GAN()
    model.compile(SETTINGS)
    with pytest.raises(ValueError, match="name one, optimizer='generator'"):
        model.fit(X, verbose=0, callbacks=[kt.callbacks.LRScheduler("step", step_size=1)])


class Parts(kt.Model):
    """A model whose steps call its parts; it has no `forward`."""

    def __init__(self, *first):
        super().__init__()
        self.generator = kt.Sequential([*first, layers.Dense(6)])
        self.discriminator = kt.Sequential([kt.Input((6,)), layers.Dense(1)])

    def train_step(self, data):
        loss = self.discriminator(self.generator(data[:, :3])).mean()
        self.trainer.minimize(loss, "generator")
        return {"loss": loss}


def test_a_model_whose_steps_call_its_parts_needs_no_forward_but_weights():
    model = Parts(kt.Input((3,)))
    model.compile(optimizer={"generator": "sgd", "discriminator": "sgd"})
    model.fit(X, verbose=0)
    model = Parts()
    model.compile(optimizer={"generator": "sgd", "discriminator": "sgd"})
    with pytest.raises(TypeError, match=r"must define forward.*Or let 'generator' begin with an Input"):
        model.fit(X, verbose=0)


@pytest.mark.parametrize("name", ["step", "zero_grad", "state", "param_groups"])
def test_settings_that_are_taken_for_an_optimizer_say_what_makes_one(name):
    with pytest.raises(AttributeError, match=r"These are settings.*Adam\(\.\.\.\)\(model\.parameters\(\)\)"):
        getattr(optimizers.Adam(), name)
    with pytest.raises(AttributeError, match=r"no attribute .nothing.\.$"):
        optimizers.Adam().nothing


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"generator": "adam"}, "missing from the optimizer: discriminator.* in a dict of optimizers, give it one"),
        ({"*": "adam", "generator": "sgd"}, "optimizer: no parameter is left for 'generator'"),
    ],
)
def test_a_dict_that_leaves_weights_or_an_optimizer_over_says_what_to_write(given, sentence):
    model = GAN()
    model.compile(optimizer=given)
    with pytest.raises(ValueError, match=sentence):
        model.fit(X, verbose=0)


def test_a_step_on_frozen_weights_alone_is_an_error():
    model = GAN()
    model.compile(SETTINGS)
    model.generator.requires_grad_(False)
    with pytest.raises(ValueError, match="all weights of this Adam are frozen"):
        model.fit(X, verbose=0)
