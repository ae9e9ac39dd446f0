"""Optimizers that kerastorch computes itself follow the formulas of their papers, and the numbers of Keras."""

import copy
import inspect
import json

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import callbacks, layers
from kerastorch.core import torch_private
from kerastorch.optimizers import LBFGS, Adafactor, Ftrl, Lamb, Lion, Muon, ScheduleFreeAdamW
from kerastorch.optimizers.update_rules import muon
from kerastorch.training.jit.parameter_buckets import make_buckets
from tests.support import keras_optimizers as keras
from tests.support.slow import mostly_slow

KINDS = [Lion, Lamb, Ftrl, Adafactor, Muon, ScheduleFreeAdamW]
RATES = {Lion: 0.01, Lamb: 0.05, Ftrl: 2.0, Adafactor: 0.05, Muon: 0.05, ScheduleFreeAdamW: 0.05}
each_kind = pytest.mark.parametrize("kind", KINDS)

# the arguments of Keras 3.15 with their defaults, without those of all optimizers
ARGUMENTS = {
    Lion: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99},
    Lamb: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7},
    Ftrl: {
        "learning_rate": 0.001,
        "learning_rate_power": -0.5,
        "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0.0,
        "l2_regularization_strength": 0.0,
        "l2_shrinkage_regularization_strength": 0.0,
        "beta": 0.0,
    },
    Adafactor: {
        "learning_rate": 0.001,
        "beta_2_decay": -0.8,
        "epsilon_1": 1e-30,
        "epsilon_2": 1e-3,
        "clip_threshold": 1.0,
        "relative_step": True,
    },
    Muon: {
        "learning_rate": 0.001,
        "adam_beta_1": 0.9,
        "adam_beta_2": 0.999,
        "adam_weight_decay": 0.004,
        "epsilon": 1e-7,
    },
    ScheduleFreeAdamW: {
        "learning_rate": 0.0025,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-8,
        "warmup_steps": 0,
    },
    LBFGS: {
        "learning_rate": 1.0,
        "max_iter": 20,
        "max_eval": None,
        "tolerance_grad": 1e-7,
        "tolerance_change": 1e-9,
        "history_size": 100,
        "line_search_fn": None,
    },
}
KEYWORDS = {
    "exclude_layers": None,
    "exclude_embeddings": True,
    "muon_a": 3.4445,
    "muon_b": -4.7750,
    "muon_c": 2.0315,
    "adam_lr_ratio": 1,
    "momentum": 0.95,
    "ns_steps": 5,
    "nesterov": True,
    "rms_rate": 0.2,
    "weight_decay": 0.004,
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_positional_arguments_have_the_order_and_the_defaults_of_keras(kind):
    parameters = inspect.signature(kind).parameters.values()
    found = {one.name: one.default for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD}
    assert list(found.items()) == list(ARGUMENTS[kind].items())


def test_the_keywords_of_muon_have_the_defaults_of_keras():
    parameters = inspect.signature(Muon).parameters
    assert {name: parameters[name].default for name in KEYWORDS} == KEYWORDS


def parameters(shapes, dtype=torch.float64):
    return {
        name: nn.Parameter(torch.as_tensor(keras.initial(name), dtype=dtype).reshape(shape))
        for name, shape in shapes.items()
    }


def run(optimizer, weights, steps, start=0, gradient=keras.gradient):
    for step in range(start, start + steps):
        for name, weight in weights.items():
            weight.grad = torch.as_tensor(gradient(name, step), dtype=weight.dtype).reshape(weight.shape)
        optimizer.step()


# the numbers of Keras


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("case", keras.CASES)
def test_fifty_steps_give_the_weights_of_keras(case, foreach):
    kind, arguments = keras.CASES[case]
    weights = parameters(keras.SHAPES)
    optimizer = getattr(kt.optimizers, kind)(**arguments)(weights.items())
    for group in optimizer.param_groups:
        assert group["foreach"]
        group["foreach"] = foreach
    expected = json.loads(keras.FILE.read_text())[case]
    done = 0
    for step in keras.STORED:
        run(optimizer, weights, step - done, done)
        done = step
        for name, weight in weights.items():
            values = torch.tensor(expected[str(step)][name], dtype=torch.float64).reshape(weight.shape)
            torch.testing.assert_close(weight.detach(), values, rtol=2e-6, atol=2e-7, msg=lambda m, n=name: f"{n}: {m}")


# the formulas of the papers, in float64


def lion(w, g, t, s, lr=0.02, b1=0.8, b2=0.95):
    m = s.get("m", 0.0)
    s["m"] = b2 * m + (1 - b2) * g
    return w - lr * np.sign(b1 * m + (1 - b1) * g)


def adam_direction(g, t, s, b1, b2, eps):
    s["m"] = b1 * s.get("m", 0.0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0.0) + (1 - b2) * g**2
    return s["m"] / (1 - b1**t) / (np.sqrt(s["v"] / (1 - b2**t)) + eps)


def lamb(w, g, t, s, lr=0.02, b1=0.8, b2=0.95, eps=1e-3):
    u = adam_direction(g, t, s, b1, b2, eps)
    ratio = np.linalg.norm(w) / np.linalg.norm(u) if np.any(w) and np.any(u) else 1.0
    return w - lr * ratio * u


def ftrl(w, g, t, s, lr=0.1, power=0.5, start=0.2, l1=0.3, l2=0.1, beta=0.4):
    old = s.get("n", np.full_like(w, start))
    s["n"] = old + g**2
    s["z"] = s.get("z", 0.0) + g - (s["n"] ** power - old**power) / lr * w
    quadratic = (beta + s["n"] ** power) / lr + 2 * l2
    return np.where(np.abs(s["z"]) <= l1, 0.0, (np.sign(s["z"]) * l1 - s["z"]) / quadratic)


def rms(x):
    return np.sqrt(np.mean(x**2))


def adafactor(w, g, t, s, lr=0.3, decay=-0.7, eps1=1e-5, eps2=0.1, d=0.8, relative=True):
    beta, squares = 1 - t**decay, g**2 + eps1
    if w.ndim < 2:
        v = s["v"] = beta * s.get("v", 0.0) + (1 - beta) * squares
    else:  # sums of rows and columns, as in the paper
        r = s["r"] = beta * s.get("r", 0.0) + (1 - beta) * squares.sum(-1)
        c = s["c"] = beta * s.get("c", 0.0) + (1 - beta) * squares.sum(-2)
        v = r[..., :, None] * c[..., None, :] / r.sum(-1)[..., None, None]
    u = g / np.sqrt(v)
    rho = min(lr, 1 / np.sqrt(t)) if relative else lr
    return w - max(eps2, rms(w)) * rho * u / max(1.0, rms(u) / d)


def constant_adafactor(w, g, t, s):
    return adafactor(w, g, t, s, relative=False)


def muon_or_adam(w, g, t, s, lr=0.02, momentum=0.9, decay=0.1, a=2.0, b=-1.5, c=0.5, steps=4, ratio=0.5):
    if w.ndim != 2:
        return (1 - lr * 0.2) * w - lr * ratio * adam_direction(g, t, s, 0.8, 0.95, 1e-12)
    m = s["m"] = momentum * s.get("m", 0.0) + g
    u, sizes, v = np.linalg.svd(g + momentum * m, full_matrices=False)
    sizes = sizes / np.linalg.norm(sizes)  # the iteration keeps singular vectors, and maps singular values
    for _ in range(steps):
        sizes = a * sizes + b * sizes**3 + c * sizes**5
    return (1 - lr * decay) * w - lr * 0.3 * np.sqrt(max(w.shape)) * (u * sizes) @ v


def schedule_free(w, g, t, s, lr=0.05, beta=0.8, b2=0.95, eps=1e-3, warm_up=7, decay=0.1):
    x, z = s.get("x", w), s.get("z", w)
    v = s["v"] = b2 * s.get("v", 0.0) + (1 - b2) * g**2
    step = g / (np.sqrt(v / (1 - b2**t)) + eps) + decay * w
    s["z"] = z - lr * min(1.0, t / warm_up) * step
    s["x"] = (1 - 1 / t) * x + s["z"] / t
    return (1 - beta) * s["z"] + beta * s["x"]


FORMULAS = {
    lion: Lion(0.02, 0.8, 0.95),
    lamb: Lamb(0.02, 0.8, 0.95, 1e-3),
    ftrl: Ftrl(0.1, -0.5, 0.2, 0.3, 0.1, beta=0.4),
    adafactor: Adafactor(0.3, -0.7, 1e-5, 0.1, 0.8),
    constant_adafactor: Adafactor(0.3, -0.7, 1e-5, 0.1, 0.8, relative_step=False),
    muon_or_adam: Muon(
        0.02, 0.8, 0.95, 0.2, 1e-12, weight_decay=0.1, muon_a=2.0, muon_b=-1.5, muon_c=0.5, adam_lr_ratio=0.5,
        momentum=0.9, ns_steps=4, rms_rate=0.3,
    ),
    schedule_free: ScheduleFreeAdamW(0.05, 0.8, 0.95, 1e-3, 7, weight_decay=0.1),
}  # fmt: skip
RANDOM_SHAPES = {
    "a": (),
    "b": (1,),
    "c": (4,),
    "d": (3, 5),
    "e": (5, 3),
    "f": (1, 4),
    "g": (2, 3, 4),
    "h": (2, 2, 3, 3),
}


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
def test_fifty_random_steps_are_those_of_the_formula(formula, foreach):
    generator = np.random.default_rng(3)
    expected = {name: np.array(generator.standard_normal(shape)) for name, shape in RANDOM_SHAPES.items()}
    weights = {name: nn.Parameter(torch.tensor(value)) for name, value in expected.items()}
    states = {name: {} for name in expected}
    optimizer = FORMULAS[formula](weights.values())
    for group in optimizer.param_groups:
        group["foreach"] = foreach
    for step in range(1, 51):
        gradients = {name: generator.standard_normal(shape) for name, shape in RANDOM_SHAPES.items()}
        run(optimizer, weights, 1, gradient=lambda name, _, found=gradients: found[name])
        for name, value in expected.items():
            expected[name] = np.asarray(formula(value, gradients[name], step, states[name]))
            torch.testing.assert_close(
                weights[name].detach(), torch.tensor(expected[name]), rtol=1e-8, atol=1e-10, msg=f"{name} {step}"
            )


def test_the_result_of_a_schedule_free_training_is_the_mean_of_its_steps():
    weights = parameters({"wide": (3, 5)})
    optimizer = ScheduleFreeAdamW(0.05)(weights.values())
    (weight,), path = weights.values(), []
    for step in range(20):
        run(optimizer, weights, 1, step)
        path.append(optimizer.state[weight]["z"].clone())
    optimizer.eval()
    torch.testing.assert_close(weight.detach(), torch.stack(path).mean(0))


def test_train_gives_back_the_bits_that_eval_took():
    weights = parameters(keras.SHAPES, torch.float32)
    optimizer = ScheduleFreeAdamW(0.3, 0.7)(weights.values())
    optimizer.eval()
    optimizer.train()  # before the first step all sequences are the same
    run(optimizer, weights, 5)
    before = copy.deepcopy(weights)
    optimizer.eval()
    assert all(not torch.equal(weights[name], before[name]) for name in weights)
    optimizer.eval()  # again: nothing changes
    optimizer.train()
    optimizer.train()
    assert all(torch.equal(weights[name], before[name]) for name in weights)


def test_a_change_of_the_average_is_a_change_of_the_trained_weights():
    weights = parameters({"bias": (3,)})
    optimizer = ScheduleFreeAdamW(0.1, 0.75)(weights.values())
    run(optimizer, weights, 3)
    weight = weights["bias"]
    before = weight.detach().clone()
    optimizer.eval()
    with torch.no_grad():
        weight.add_(1.0)
    optimizer.train()
    torch.testing.assert_close(weight.detach(), before + 0.75)


def test_a_schedule_free_step_from_the_average_is_an_error():
    weights = parameters({"bias": (3,)})
    optimizer = ScheduleFreeAdamW()(weights.values())
    run(optimizer, weights, 1)
    optimizer.eval()
    with pytest.raises(RuntimeError, match="call train\\(\\) before the next step"):
        run(optimizer, weights, 1)


def test_lbfgs_is_that_of_torch():
    paths = []
    for make in (
        LBFGS(0.5, 7, 30, 1e-6, 1e-8, 3, "strong_wolfe"),
        lambda params: torch.optim.LBFGS(params, 0.5, 7, 30, 1e-6, 1e-8, 3, "strong_wolfe"),
    ):
        weight = nn.Parameter(torch.tensor([2.0, -1.0]))
        optimizer = make([weight])

        def closure(weight=weight, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (weight[0] - 1) ** 4 + 3 * (weight[1] - weight[0] ** 2) ** 2
            loss.backward()
            return loss

        for _ in range(2):
            optimizer.step(closure)
        paths.append(weight.detach())
    assert torch.equal(*paths)


# edges


def test_lion_with_gradients_of_zero_stays():
    weights = parameters({"wide": (3, 5)})
    before = copy.deepcopy(weights)
    run(Lion(0.1)(weights.values()), weights, 3, gradient=lambda name, step: np.zeros((3, 5)))
    assert torch.equal(weights["wide"], before["wide"])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_lamb_takes_the_plain_step_of_adam_if_a_norm_is_zero(value):
    weight = nn.Parameter(torch.full((3,), value))
    optimizer = Lamb(0.1)([weight])
    weight.grad = torch.full((3,), 1.0 - value)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((3,), value - 0.1 * (1.0 - value)))


@pytest.mark.parametrize("shrinkage", [0.0, 0.1])
def test_ftrl_leaves_elements_that_had_no_gradient_if_its_sums_start_at_zero(shrinkage):
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    settings = Ftrl(0.5, initial_accumulator_value=0.0, l2_shrinkage_regularization_strength=shrinkage)
    optimizer = settings([weight])
    for gradient in (0.0, 0.0, 3.0):
        weight.grad = torch.tensor([1.0, gradient])
        assert weight[1] == 2.0
        optimizer.step()
    assert weight[1] != 2.0
    assert weight.isfinite().all()


def test_ftrl_makes_no_step_with_a_learning_rate_of_zero():
    weights = parameters({"wide": (3, 5)})
    optimizer = Ftrl(0.5)(weights.values())
    run(optimizer, weights, 2)
    before = copy.deepcopy(weights)
    optimizer.learning_rate = 0.0
    run(optimizer, weights, 2)
    assert torch.equal(weights["wide"], before["wide"])


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
def test_adafactor_stays_finite_without_gradients(shape):
    weight = nn.Parameter(torch.ones(shape, dtype=torch.float16))
    optimizer = Adafactor()([weight])
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert torch.equal(weight, torch.ones_like(weight))


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (5, 5), (1, 4), (1, 1)])
def test_singular_values_become_about_one(shape):
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = muon.orthogonalize(matrix, (3.4445, -4.7750, 2.0315), 5)
    sizes = torch.linalg.svdvals(found)
    assert found.shape == matrix.shape
    assert ((sizes > 0.3) & (sizes < 1.3)).all()


def of_adam(optimizer):
    return {id(weight) for group in optimizer.param_groups if group["use_adam"] for weight in group["params"]}


def names_of(named, ids):
    return sorted(name for name, weight in named.items() if id(weight) in ids)


def test_adam_updates_what_muon_excludes():
    shapes = {"dense.weight": (2, 3), "dense.bias": (3,), "embedding.weight": (4, 2), "head.weight": (2, 1)}
    named = {name: nn.Parameter(torch.ones(shape)) for name, shape in shapes.items()}
    everything = Muon(exclude_layers=["^head"])(named.items())
    assert names_of(named, of_adam(everything)) == ["dense.bias", "embedding.weight", "head.weight"]
    without = Muon(exclude_embeddings=False)(named.items())
    assert names_of(named, of_adam(without)) == ["dense.bias"]


def test_muon_finds_the_embeddings_of_a_model():
    net = kt.Sequential([layers.Embedding(7, 3), layers.GlobalAveragePooling1D(), layers.Dense(2)])
    net.compile("muon", "cross_entropy")
    net.fit(torch.randint(0, 7, (20, 5)), torch.randint(0, 2, (20,)), verbose=0)
    named = dict(net.named_parameters())
    assert names_of(named, of_adam(net.optimizer)) == ["0.weight", "2.bias"]
    assert isinstance(net.optimizer.learning_rate, float)


def test_muon_excludes_layers_of_a_sequential_by_their_names():
    net = kt.Sequential([kt.Input((4,)), layers.Dense(5, name="body"), layers.Dense(2, name="head")])
    net.compile(Muon(exclude_layers=["^head"]), "mse")
    net.fit(torch.ones(4, 4), torch.ones(4, 2), verbose=0)
    assert names_of(dict(net.named_parameters()), of_adam(net.optimizer)) == ["0.bias", "1.bias", "1.weight"]


def test_an_exclusion_that_excludes_nothing_is_an_error():
    net = kt.Sequential([kt.Input((4,)), layers.Dense(5, name="body"), layers.Dense(2, name="head")])
    net.compile(Muon(exclude_layers=["hea_d"]), "mse")
    with pytest.raises(ValueError, match=r"exclude_layers: 'hea_d' is found in no name.*body\.weight, .*head\.bias"):
        net.fit(torch.ones(4, 4), torch.ones(4, 2), verbose=0)


def test_a_model_whose_own_class_is_named_for_embeddings_is_trained_by_muon():
    class EmbeddingModel(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.EmbeddingBag(5, 2)
            self.dense = nn.Linear(2, 3)

        def forward(self, x):
            return self.dense(self.words(x))

    net = kt.Model(EmbeddingModel())
    net.compile("muon", "cross_entropy")
    net.fit(torch.randint(0, 5, (8, 3)), torch.randint(0, 3, (8,)), verbose=0)
    assert names_of(dict(net.named_parameters()), of_adam(net.optimizer)) == ["dense.bias", "words.weight"]


def test_muon_decays_matrices_and_other_weights_by_their_own_rates():
    for excluded, expected in (((), (0.8, 0.9)), (("bias",), (0.8, 1.0)), (("wide",), (1.0, 0.9))):
        weights = {name: nn.Parameter(torch.ones(shape)) for name, shape in {"wide": (2, 2), "bias": (2,)}.items()}
        settings = Muon(1.0, weight_decay=0.2, adam_weight_decay=0.1)
        settings.exclude_from_weight_decay(var_names=excluded)
        run(
            settings(weights.items()), weights, 1, gradient=lambda name, step: np.zeros((2, 2) if name == "wide" else 2)
        )
        for name, value in zip(weights, expected, strict=True):
            torch.testing.assert_close(weights[name].detach(), torch.full_like(weights[name], value))


# torch


@each_kind
def test_a_step_reads_nothing_from_the_device(kind):
    weights = [nn.Parameter(torch.ones(shape, device="meta")) for shape in ((3, 4), (4,), ())]  # has no values
    optimizer = kind(clipnorm=1.0)(weights)
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()


@each_kind
def test_the_learning_rate_may_be_a_tensor(kind):
    found = []
    for rate in (RATES[kind], torch.tensor(RATES[kind], dtype=torch.float64)):
        weights = parameters(keras.SHAPES)
        optimizer = kind()(weights.values())
        for group in optimizer.param_groups:
            group["lr"] = rate
        run(optimizer, weights, 5)
        found.append(weights)
    for name in keras.SHAPES:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-12, atol=1e-14)


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_loaded_state_continues_with_the_same_bits(kind, dtype):
    whole, parted = parameters(keras.SHAPES, dtype), parameters(keras.SHAPES, dtype)
    run(kind(RATES[kind])(whole.values()), whole, 8)
    first = kind(RATES[kind])(parted.values())
    run(first, parted, 5)
    state = copy.deepcopy(first.state_dict())
    second = kind(RATES[kind])(parted.values())
    second.load_state_dict(state)
    run(second, parted, 3, start=5)
    assert all(torch.equal(whole[name], parted[name]) for name in whole)


@each_kind
def test_a_copy_of_an_optimizer_is_one_of_the_same_class(kind):
    optimizer = kind()([nn.Parameter(torch.ones(2, 2))])
    copied = copy.deepcopy(optimizer)
    assert type(copied) is type(optimizer)
    assert copied.learning_rate == optimizer.learning_rate


@each_kind
def test_weights_without_a_gradient_stay_and_have_no_state(kind):
    used, unused = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    optimizer = kind(0.1)([used, unused])
    used.grad = torch.ones(3, 2)
    optimizer.step()
    assert (used != 1).all()
    assert torch.equal(unused, torch.ones(3, 2))
    assert unused not in optimizer.state


@each_kind
def test_a_late_weight_begins_with_its_own_first_step(kind):
    def step(optimizer, weights):
        for weight in weights:
            weight.grad = torch.full((3, 2), 0.5)
        optimizer.step()

    early, late, alone = (nn.Parameter(torch.ones(3, 2)) for _ in range(3))
    optimizer = kind(0.1)([early, late])
    step(optimizer, [early])
    early.grad = None
    step(optimizer, [late])
    step(kind(0.1)([alone]), [alone])
    assert torch.equal(late, alone)


@each_kind
def test_sparse_gradients_are_refused(kind):
    embedding = nn.Embedding(5, 2, sparse=True)
    optimizer = kind()(embedding.parameters())
    embedding(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(TypeError, match=f"{kind.__name__} needs dense gradients.*sparse=False"):
        optimizer.step()


@each_kind
def test_complex_parameters_are_refused(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} needs real parameters, got one of torch.complex64"):
        kind()([nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))])


@each_kind
def test_a_step_may_compute_the_loss(kind):
    weight = nn.Parameter(torch.tensor([[2.0]]))
    optimizer = kind(0.1)([weight])

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4.0
    assert weight != 2.0


@each_kind
def test_a_quadratic_function_is_minimized(kind):
    target = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    weight = nn.Parameter(torch.full((2, 2), 0.1, dtype=torch.float64))
    optimizer = kind(RATES[kind], weight_decay=None)([weight])
    for step in range(1500):
        if kind not in (Ftrl, ScheduleFreeAdamW):  # steps of constant size end near the minimum
            optimizer.learning_rate = RATES[kind] * (1 - step / 1500)
        optimizer.zero_grad()
        (weight - target).square().sum().backward()
        optimizer.step()
    if kind is ScheduleFreeAdamW:
        optimizer.eval()
    torch.testing.assert_close(weight.detach(), target, rtol=0, atol=0.05)


# fit


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator, dtype=torch.float64)
    return x, x[:, :1].sin()


def network():
    torch.manual_seed(1)
    net = kt.Sequential([kt.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(1)])
    return net.double()


@each_kind
def test_clipping_accumulation_and_averages_work_in_fit(kind):
    x, y = data()
    settings = {"clipvalue": 0.01, "use_ema": True, "ema_momentum": 0.5}
    net, twin = network(), network()
    net.compile(kind(RATES[kind], gradient_accumulation_steps=2, **settings), "mse")
    net.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    optimizer = kind(RATES[kind])(twin.parameters())
    averages = None
    for _ in range(2):
        for rows in (slice(0, 32), slice(32, 64)):
            optimizer.zero_grad()
            nn.functional.mse_loss(twin(x[rows]), y[rows]).backward()
            nn.utils.clip_grad_value_(twin.parameters(), 0.01)
            optimizer.step()
            now = [weight.detach().clone() for weight in twin.parameters()]
            averages = now if averages is None else [0.5 * a + 0.5 * b for a, b in zip(averages, now, strict=True)]
    for one, other in zip(net.parameters(), averages, strict=True):
        torch.testing.assert_close(one.detach(), other, rtol=1e-9, atol=1e-11)


@each_kind
@pytest.mark.parametrize("batches", [1, 5, 9])
def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(kind, batches, tmp_path):
    class StopError(Exception):
        pass

    class Stop(callbacks.Callback):
        def __init__(self):
            self.left = batches

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                raise StopError

    def train(folder, *also):
        net = network()
        net.compile(kind(RATES[kind]), "mse")
        backup = [callbacks.BackupAndRestore(folder, 1)] if folder else []
        net.fit(*data(), batch_size=16, epochs=3, verbose=0, validation_split=0.25, callbacks=[*also, *backup])
        return list(net.parameters())

    with pytest.raises(StopError):
        train(tmp_path / "backup", Stop())
    resumed, whole = train(tmp_path / "backup"), train(None)
    assert all(torch.equal(*pair) for pair in zip(resumed, whole, strict=True))


@pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")
@pytest.mark.parametrize("kind", mostly_slow(KINDS, Lion))
def test_compiled_training_gives_the_weights_of_eager_training(kind):
    found = []
    for jit in (False, True):
        net = network()
        net.compile(kind(RATES[kind], clipnorm=1.0, weight_decay=0.01), "mse", jit_compile=jit)
        net.fit(*data(), batch_size=16, epochs=4, shuffle=False, verbose=0)
        found.append(list(net.parameters()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@each_kind
def test_a_saved_model_has_its_optimizer(kind, tmp_path):
    net = network()
    net.compile(kind(RATES[kind]), "mse")
    net.fit(*data(), verbose=0)
    net.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    loaded.fit(*data(), verbose=0)
    assert type(loaded.optimizer) is type(net.optimizer)
    assert loaded.optimizer.learning_rate == RATES[kind]


@each_kind
@pytest.mark.parametrize("spelled", [lambda name: name, str.lower])
def test_names_make_the_optimizers_of_keras(kind, spelled):
    found = kt.optimizers.get(spelled(kind.__name__))
    assert type(found) is kind
    assert repr(found) == repr(kind())


# errors


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Lion, {"beta_1": 0.0}, "beta_1 must be .* > 0"),
        (Lion, {"beta_2": 1.0}, "beta_2"),
        (Ftrl, {"learning_rate_power": 0.5}, "learning_rate_power"),
        (Ftrl, {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
        (Ftrl, {"l1_regularization_strength": -1.0}, "l1_regularization_strength"),
        (Ftrl, {"l2_regularization_strength": -1.0}, "l2_regularization_strength"),
        (Ftrl, {"l2_shrinkage_regularization_strength": -1.0}, "l2_shrinkage_regularization_strength"),
        (Ftrl, {"beta": -1.0}, "beta"),
        (Adafactor, {"beta_2_decay": 0.8}, "beta_2_decay"),
        (Adafactor, {"epsilon_1": -1.0}, "epsilon_1"),
        (Adafactor, {"epsilon_2": -1.0}, "epsilon_2"),
        (Adafactor, {"clip_threshold": 0.0}, "clip_threshold"),
        (Muon, {"momentum": 2.0}, "momentum"),
        (Muon, {"adam_beta_1": 1.0}, "adam_beta_1"),
        (Muon, {"adam_weight_decay": -1.0}, "adam_weight_decay"),
        (Muon, {"adam_lr_ratio": 0.0}, "adam_lr_ratio"),
        (Muon, {"ns_steps": 0}, "ns_steps"),
        (Muon, {"rms_rate": 0.0}, "rms_rate"),
        (Muon, {"exclude_layers": "head"}, r"exclude_layers is a list of expressions: \['head'\]"),
        (ScheduleFreeAdamW, {"beta_1": 0.0}, "beta_1"),
        (ScheduleFreeAdamW, {"warmup_steps": -1}, "warmup_steps"),
        (LBFGS, {"max_iter": 0}, "max_iter"),
        (LBFGS, {"history_size": 0}, "history_size"),
        (LBFGS, {"line_search_fn": "wolfe"}, "strong_wolfe"),
        (LBFGS, {"weight_decay": 0.1}, "kernel_regularizer"),
        (LBFGS, {"gradient_accumulation_steps": 2}, "gradient_accumulation_steps"),
        (LBFGS, {"loss_scale_factor": 2.0}, "loss_scale_factor"),
    ],
)
def test_an_argument_out_of_its_bounds_is_an_error(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


def test_muon_needs_names_to_exclude_layers():
    with pytest.raises(ValueError, match=r"model\.named_parameters"):
        Muon(exclude_layers=["head"])([nn.Parameter(torch.ones(2, 2))])


def test_muon_refuses_parameter_groups():
    with pytest.raises(TypeError, match="rates by pattern"):
        Muon()([{"params": [nn.Parameter(torch.ones(2, 2))]}])


@each_kind
def test_a_model_is_saved_with_an_optimizer_that_the_script_made(kind, tmp_path):
    net = network()
    net.compile(kind(RATES[kind])(net.named_parameters()), "mse")
    net.fit(*data(), verbose=0)
    net.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    for model in (net, loaded):
        model.fit(*data(), verbose=0, shuffle=False)
    assert type(loaded.optimizer) is type(net.optimizer)
    assert all(torch.equal(*pair) for pair in zip(net.parameters(), loaded.parameters(), strict=True))


def test_fit_trains_and_ends_with_the_average_of_a_schedule_free_optimizer():
    x, y = data()
    net, twin = network(), network()
    net.compile(ScheduleFreeAdamW(0.05), "mse")
    history = net.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0, validation_data=(x, y))
    optimizer = ScheduleFreeAdamW(0.05)(twin.parameters())
    losses = []
    for _ in range(3):
        for first in range(0, 64, 16):
            optimizer.zero_grad()
            nn.functional.mse_loss(twin(x[first : first + 16]), y[first : first + 16]).backward()
            optimizer.step()
        optimizer.eval()
        losses.append(nn.functional.mse_loss(twin(x), y).item())
        optimizer.train()
    optimizer.eval()
    assert history.history["val_loss"] == pytest.approx(losses, rel=1e-9)
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", [Lion, Ftrl, ScheduleFreeAdamW])
def test_small_weights_share_a_bucket_of_the_compiled_step_if_the_rule_is_elementwise(kind):
    net = network()
    optimizer = kind()(net.parameters())
    net(data()[0]).sum().backward()
    optimizer.step()
    assert [bucket.sizes for bucket in make_buckets(optimizer, net.parameters())] == [[20, 5, 5, 1]]


def test_a_kernel_that_torch_lacks_is_a_loop(monkeypatch):
    monkeypatch.delattr(torch, "_foreach_lerp")
    found = torch_private.foreach_kernel("lerp")([torch.zeros(2), torch.ones(1)], [torch.ones(2), torch.zeros(1)], 0.25)
    torch.testing.assert_close(found, [torch.full((2,), 0.25), torch.full((1,), 0.75)])
