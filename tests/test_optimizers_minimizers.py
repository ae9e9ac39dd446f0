"""ConjugateGradient, BFGS and NewtonCG: beside SciPy, NumPy and scikit-learn."""

import copy

import numpy as np
import pytest
import torch
from scipy import optimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LinearRegression, LogisticRegression
from support.interrupted_training import ROWS, check
from torch import nn

import kerastorch as kt
from kerastorch import callbacks, layers
from kerastorch.optimizers import BFGS, ConjugateGradient, NewtonCG
from kerastorch.optimizers.flat_objective import FlatObjective

KINDS = [ConjugateGradient, BFGS, NewtonCG]
METHODS = {ConjugateGradient: "CG", BFGS: "BFGS", NewtonCG: "Newton-CG"}
EITHER_DTYPE = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
ALL = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

MATRIX = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
VECTOR = np.array([1.0, -2.0, 3.0])
MINIMUM = np.linalg.solve(MATRIX, VECTOR)


def minimize(optimizer, loss_of, steps=1):
    """Run steps of an optimizer on a function of nothing; return what the steps returned."""

    def closure():
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


def quadratic(weight):
    matrix, vector = (torch.as_tensor(part, dtype=weight.dtype) for part in (MATRIX, VECTOR))
    return 0.5 * weight @ matrix @ weight - vector @ weight


def rosenbrock(weight):
    return 100 * (weight[1:] - weight[:-1] ** 2).square().sum() + (1 - weight[:-1]).square().sum()


@ALL
@EITHER_DTYPE
def test_the_minimum_of_a_quadratic_is_the_solution_of_its_equations(kind, dtype):
    weight = nn.Parameter(torch.zeros(3, dtype=dtype))
    minimize(kind()([weight]), lambda: quadratic(weight))
    assert np.allclose(weight.detach(), MINIMUM, atol=1e-5)
    assert weight.dtype == dtype


@ALL
def test_a_step_returns_the_loss_before_it(kind):
    weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    x = weight.detach().numpy().copy()
    (before,) = minimize(kind()([weight]), lambda: quadratic(weight))
    assert before == pytest.approx(0.5 * x @ MATRIX @ x - VECTOR @ x)


@pytest.mark.parametrize("iterations", [1, 3, 7, 200])
@pytest.mark.parametrize("kind", [ConjugateGradient, BFGS], ids=lambda kind: kind.__name__)
def test_the_iterations_are_those_of_scipy(kind, iterations):
    start = np.array([-1.2, 1.0, 0.5, 2.0])
    expected = optimize.minimize(
        optimize.rosen, start, jac=optimize.rosen_der, method=METHODS[kind], options={"maxiter": iterations}
    )
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = kind(iterations)([weight])
    minimize(optimizer, lambda: rosenbrock(weight))
    if iterations < 200:  # rounding errors grow with the number of iterations
        assert (optimizer.result.nit, optimizer.result.nfev) == (expected.nit, expected.nfev)
    assert np.allclose(weight.detach(), expected.x, atol=1e-9 if iterations < 200 else 1e-4)


def test_newton_finds_the_minimum_of_rosenbrocks_function_as_scipy_with_the_true_hessian():
    start = np.array([-1.2, 1.0])
    expected = optimize.minimize(
        optimize.rosen, start, jac=optimize.rosen_der, hessp=optimize.rosen_hess_prod, method="Newton-CG"
    )
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = NewtonCG(400)([weight])
    minimize(optimizer, lambda: rosenbrock(weight))
    assert np.allclose(weight.detach(), [1.0, 1.0], atol=1e-4)
    assert abs(optimizer.result.nit - expected.nit) <= 5


@EITHER_DTYPE
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_product_with_the_hessian_is_that_of_the_matrix(dtype, scale):
    weight = nn.Parameter(torch.tensor([0.3, -1.0, 2.0], dtype=dtype))

    def closure():
        weight.grad = None
        loss = quadratic(weight) + weight.sin().sum()
        loss.backward()
        return loss

    objective = FlatObjective("it", [weight], closure)
    x = objective.weights()
    objective(x)
    direction = scale * np.array([1.0, -0.5, 0.25])
    expected = (MATRIX - np.diag(np.sin(x))) @ direction
    tolerance = 2e-3 if dtype == torch.float32 else 1e-8
    assert np.allclose(objective.hessian_times(x, direction), expected, atol=tolerance * scale, rtol=0)
    assert np.array_equal(objective.hessian_times(x, 0 * direction), np.zeros(3))


def breast_cancer(columns):
    x, y = load_breast_cancer(return_X_y=True)
    x = x[:, columns]
    return (x - x.mean(0)) / x.std(0), y


@ALL
@pytest.mark.parametrize("strength", [0.0, 1.0], ids=["no penalty", "l2"])
def test_a_logistic_regression_is_that_of_scikit_learn(kind, strength):
    x, y = breast_cancer([0, 1, 4, 5, 8])
    # scikit-learn minimizes C * (sum of losses) + |w|^2 / 2; this is the mean loss + |w|^2 / (2 n C)
    reference = LogisticRegression(C=1 / strength if strength else np.inf, tol=1e-10, max_iter=10_000).fit(x, y)
    penalty = kt.regularizers.L2(strength / (2 * len(x))) if strength else None
    model = kt.Sequential([kt.Input((5,)), layers.Dense(1, activation="sigmoid", kernel_regularizer=penalty)])
    model.double()
    model.compile(kind(max_iter=300), "binary_crossentropy")
    history = model.fit(x, y, batch_size=len(x), epochs=2, verbose=0).history
    assert np.allclose(model[0].weight.detach(), reference.coef_, rtol=2e-3, atol=2e-3)
    assert np.allclose(model[0].bias.detach(), reference.intercept_, rtol=2e-3, atol=2e-3)
    assert history["loss"][1] < history["loss"][0]


@ALL
def test_a_linear_model_by_name_is_that_of_least_squares(kind):
    name = {ConjugateGradient: "cg", BFGS: "bfgs", NewtonCG: "newton"}[kind]
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([1.0, -2.0, 0.5, 3.0]) + x[:, 0].square()
    reference = LinearRegression().fit(x, y)
    model = kt.Model(nn.Linear(4, 1))
    model.compile(name, "mse")
    model.fit(x, y, batch_size=60, epochs=2, verbose=0)
    assert np.allclose(model.weight.detach()[0], reference.coef_, atol=1e-4)
    assert np.allclose(model.bias.detach(), reference.intercept_, atol=1e-4)


@ALL
def test_frozen_weights_and_weights_without_a_gradient_stay_and_groups_are_one_vector(kind):
    free = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    last = nn.Parameter(torch.zeros((1, 1)))
    frozen = nn.Parameter(torch.tensor([5.0]), requires_grad=False)
    unused = nn.Parameter(torch.tensor([7.0]))
    optimizer = kind()([{"params": [free, frozen]}, {"params": [unused, last]}])
    minimize(optimizer, lambda: quadratic(torch.cat([free, last[0].double()])) + frozen.sum())
    assert np.allclose(torch.cat([free, last[0]]).detach(), MINIMUM, atol=1e-5)
    assert frozen.item() == 5.0
    assert unused.item() == 7.0


@ALL
def test_weights_may_be_frozen_between_steps(kind):
    one, other = (nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    optimizer = kind()([one, other])

    def loss():
        return (one - 2).square().sum() + (other - 3 * one).square().sum()

    minimize(optimizer, loss)
    one.requires_grad_(False)
    one.fill_(1.0)
    minimize(optimizer, loss)
    assert one.item() == 1.0
    assert other.item() == pytest.approx(3.0, abs=1e-5)


@ALL
def test_weights_keep_their_memory_format(kind):
    weight = nn.Parameter(torch.zeros(2, 3, 2, 2).contiguous(memory_format=torch.channels_last))
    target = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    minimize(kind()([weight]), lambda: (weight - target).square().sum())
    assert torch.allclose(weight, target, atol=1e-4)
    assert weight.is_contiguous(memory_format=torch.channels_last)


@ALL
@pytest.mark.parametrize("start", [[3.0], [0.01, 30.0], [1e-4, 5.0]])
def test_a_trial_step_may_leave_the_domain_of_the_loss(kind, start):
    weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    evaluated = []

    def loss():
        value = 1e3 * (weight - weight.log()).sum()  # NaN for weights below 0; the minimum is at 1
        evaluated.append(bool(value.isfinite()))
        return value

    minimize(kind(100)([weight]), loss)
    assert not all(evaluated)
    assert np.allclose(weight.detach(), 1.0, atol=1e-4)


@ALL
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda w: (w - 2).log().sum(), "the loss is nan at the weights that the step begins with"),
        (lambda w: (w.double() * 1e308 * 1e308).sum(), "the loss is inf"),
        (lambda w: w.sub(1).sqrt().sum(), "the gradient of the loss is NaN or infinite"),
    ],
    ids=["NaN", "infinite", "gradient"],
)
def test_a_loss_that_is_not_finite_at_the_start_is_refused_and_changes_nothing(kind, loss, message):
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match=f"{kind.__name__}: {message}"):
        minimize(kind()([weight]), lambda: loss(weight))
    assert torch.equal(weight, torch.ones(2))


@ALL
def test_an_error_in_the_closure_leaves_the_best_weights_so_far(kind):
    weight = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    losses = {}

    def loss():
        if len(losses) == 6:
            raise KeyboardInterrupt
        value = rosenbrock(weight)
        losses[float(value.detach())] = weight.detach().clone()
        return value

    with pytest.raises(KeyboardInterrupt):
        minimize(kind()([weight]), loss)
    assert torch.equal(weight, losses[min(losses)])


@ALL
def test_a_step_at_the_minimum_changes_nothing(kind):
    weight = nn.Parameter(torch.tensor(MINIMUM))
    minimize(kind()([weight]), lambda: quadratic(weight), steps=2)
    assert np.allclose(weight.detach(), MINIMUM, atol=1e-12)


@EITHER_DTYPE
def test_a_step_of_bfgs_continues_with_the_matrix_of_the_last_one(dtype):
    weight = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=dtype))
    optimizer = BFGS(5)([weight])
    minimize(optimizer, lambda: rosenbrock(weight))
    matrix, x = optimizer.result.hess_inv, weight.detach().double().numpy()
    expected = optimize.minimize(
        lambda x: optimize.rosen(x), x, jac=optimize.rosen_der, method="BFGS",
        options={"maxiter": 1, "hess_inv0": (matrix + matrix.T) / 2},
    )  # fmt: skip
    optimizer.param_groups[0]["max_iter"] = 1
    minimize(optimizer, lambda: rosenbrock(weight))
    assert np.allclose(weight.detach(), expected.x, atol=1e-4 if dtype == torch.float32 else 1e-10)


@ALL
@EITHER_DTYPE
def test_a_restored_state_continues_with_the_same_bits(kind, dtype):
    def fresh():
        weight = nn.Parameter(torch.tensor([-1.2, 1.0, 2.0], dtype=dtype))
        return weight, kind(4)([weight])

    whole, optimizer = fresh()
    minimize(optimizer, lambda: rosenbrock(whole), steps=3)
    weight, optimizer = fresh()
    minimize(optimizer, lambda: rosenbrock(weight))
    state, held = copy.deepcopy(optimizer.state_dict()), weight.detach().clone()
    weight, optimizer = fresh()
    weight.data.copy_(held)
    optimizer.load_state_dict(state)
    minimize(optimizer, lambda: rosenbrock(weight), steps=2)
    assert torch.equal(weight, whole)


def test_the_matrix_of_bfgs_is_dropped_after_a_failed_line_search():
    weight = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimizer = BFGS(5)([weight])
    minimize(optimizer, lambda: rosenbrock(weight))
    assert len(optimizer.state) == 1
    slopes = iter(range(1, 1000))
    minimize(optimizer, lambda: weight.sum() * 0 + weight @ torch.ones(2).double() * next(slopes))  # grows each time
    assert optimizer.result.status == 2
    assert not optimizer.state


# --- in fit -------------------------------------------------------------------------------------------------------

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
Y = X @ torch.tensor([1.0, -2.0, 3.0]) + 0.5


def linear_model(kind, **layer):
    kt.utils.set_random_seed(3)
    model = kt.Sequential([kt.Input((3,)), layers.Dense(1, **layer)])
    model.compile(kind, "mse", metrics=["mae"])
    return model


@ALL
def test_fit_makes_one_step_a_batch_and_logs_the_loss_before_it(kind):
    model = linear_model(kind(2))
    reference = copy.deepcopy(model[0])
    optimizer = kind(2)(reference.parameters())
    expected = minimize(optimizer, lambda: nn.functional.mse_loss(reference(X)[:, 0], Y), steps=3)
    history = model.fit(X, Y, batch_size=40, epochs=3, shuffle=False, verbose=0).history
    assert np.allclose(history["loss"], expected, rtol=1e-4, atol=1e-7)


@ALL
def test_fit_warns_of_batches_that_are_smaller_than_the_data(kind):
    with pytest.warns(UserWarning, match=f"{kind.__name__} brings .* an epoch has 2 batches.* batch_size=40"):
        linear_model(kind()).fit(X, Y, batch_size=20, verbose=0)


@ALL
def test_train_on_batch_makes_a_step(kind):
    model = linear_model(kind(50))
    model.train_on_batch(X, Y)
    assert np.allclose(model[0].weight.detach(), [[1.0, -2.0, 3.0]], atol=1e-3)


@ALL
def test_constraints_hold_after_a_step(kind):
    model = linear_model(kind(), kernel_constraint="non_neg")
    model.fit(X, Y, batch_size=40, verbose=0)
    assert model[0].weight.min().item() == 0.0


@ALL
def test_jit_says_that_it_does_not_compile_the_step(kind):
    model = linear_model(kind())
    model.compile(kind(), "mse", jit_compile=True)
    with pytest.warns(UserWarning, match=f"uncompiled: {kind.__name__} asks for the loss several times a step"):
        model.fit(X, Y, batch_size=40, verbose=0)


@ALL
@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.LearningRateScheduler(lambda epoch: 0.1),
        lambda: callbacks.ReduceLROnPlateau(monitor="loss"),
        lambda: callbacks.LRScheduler(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1)),
    ],
    ids=["LearningRateScheduler", "ReduceLROnPlateau", "LRScheduler"],
)
def test_callbacks_that_set_learning_rates_are_refused(kind, make):
    with pytest.raises(ValueError, match=f"{kind.__name__} has no learning rate"):
        linear_model(kind()).fit(X, Y, batch_size=40, verbose=0, callbacks=make())


@ALL
@pytest.mark.parametrize("name", ["learning_rate", "lr"])
def test_a_learning_rate_is_neither_read_nor_set(kind, name):
    model = linear_model(kind())
    with pytest.raises(AttributeError, match="has no learning rate: a line search finds the length"):
        setattr(model.optimizer, name, 0.1)
    with pytest.raises(AttributeError, match="has no learning rate"):
        getattr(model.optimizer, name)


@ALL
def test_terminate_on_nan_restores_the_weights_before_the_step(kind):
    model = linear_model(kind())
    before = model[0].weight.detach().clone()
    bad = X.clone()
    bad[0, 0] = float("nan")
    model.fit(bad, Y, batch_size=40, verbose=0, check_finite=False, callbacks=callbacks.TerminateOnNaN())
    assert torch.equal(model[0].weight, before)
    assert model.stop_training


@ALL
def test_loggers_log_no_learning_rate(kind, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = callbacks.TensorBoard(tmp_path)
    linear_model(kind()).fit(X, Y, batch_size=40, verbose=0, callbacks=[board, callbacks.CSVLogger(tmp_path / "log")])
    events = EventAccumulator(str(tmp_path / "train")).Reload()
    assert not any("learning_rate" in tag for tag in events.Tags()["scalars"])
    assert "learning_rate" not in (tmp_path / "log").read_text()


@ALL
@pytest.mark.parametrize("given", ["name", "settings"])
def test_a_saved_model_trains_on_with_the_same_bits(kind, given, tmp_path):
    name = {ConjugateGradient: "cg", BFGS: "bfgs", NewtonCG: "newton"}[kind]
    model = linear_model(name if given == "name" else kind(3))
    fit = {"batch_size": 40, "shuffle": False, "verbose": 0}
    target = Y + X[:, 0] ** 3
    model.fit(X, target, **fit)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    for one in (model, loaded):
        one.fit(X, target, **fit)
    assert torch.equal(model[0].weight, loaded[0].weight)
    assert type(loaded.optimizer) is type(model.optimizer)
    assert loaded.optimizer.param_groups[0]["max_iter"] == model.optimizer.param_groups[0]["max_iter"]


def logistic():
    return kt.Sequential([layers.Dense(4, activation="tanh"), layers.Dense(2)])


@ALL
def test_a_resumed_training_ends_with_the_same_bits(kind, tmp_path):
    check(tmp_path, (1, 2), make=logistic, optimizer=lambda: kind(3), save_freq=1, batch_size=ROWS)


# --- settings and errors ------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("value", [0, -1, 2.5, 0.01, True, "many"])
def test_max_iter_is_a_positive_integer(kind, value):
    with pytest.raises(ValueError, match=r"max_iter must be an integer >= 1.*It is no learning rate"):
        kind(value)


@ALL
def test_tolerances_are_positive(kind):
    name = "tolerance_change" if kind is NewtonCG else "tolerance_grad"
    assert getattr(kind(), name) == 1e-5
    with pytest.raises(ValueError, match=f"{name} must be a finite number > 0"):
        kind(**{name: 0})


@ALL
def test_a_larger_tolerance_ends_a_step_earlier(kind):
    name = "tolerance_change" if kind is NewtonCG else "tolerance_grad"

    def iterations(tolerance):
        weight = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        optimizer = kind(500, **{name: tolerance})([weight])
        minimize(optimizer, lambda: rosenbrock(weight))
        return optimizer.result.nit

    assert iterations(1e-1) < iterations(1e-7)


@ALL
def test_settings_are_a_config_and_a_repr(kind):
    settings = kind(7)
    assert repr(settings) == f"{kind.__name__}(max_iter=7)"
    again = kind.from_config(settings.get_config())
    assert again.get_config() == settings.get_config()


@ALL
def test_groups_with_different_settings_are_refused(kind):
    groups = [{"params": [nn.Parameter(torch.ones(1))], "max_iter": number} for number in (3, 4)]
    with pytest.raises(ValueError, match="max_iter must be the same in all groups"):
        kind()(groups)


@ALL
def test_complex_parameters_are_refused(kind):
    with pytest.raises(TypeError, match=r"needs parameters of real numbers, got one of torch.complex64"):
        kind()([nn.Parameter(torch.ones(1, dtype=torch.complex64))])


@ALL
def test_a_step_without_trainable_parameters_is_refused(kind):
    with pytest.raises(ValueError, match="has no trainable parameters"):
        kind()([nn.Parameter(torch.ones(1), requires_grad=False)]).step(lambda: torch.zeros(()))


def test_bfgs_refuses_a_matrix_that_does_not_fit_into_memory():
    with pytest.raises(ValueError, match=r"20,000 x 20,000 numbers .* 3\.0 GiB. Use 'lbfgs'"):
        BFGS()([nn.Parameter(torch.zeros(20_000))]).step(lambda: torch.zeros(()))


def test_conjugate_gradients_need_no_matrix():
    weight = nn.Parameter(torch.zeros(20_000))
    minimize(ConjugateGradient()([weight]), lambda: (weight - 1).square().sum())
    assert torch.allclose(weight, torch.ones(20_000), atol=1e-4)
