"""Training of models that `fully_shard` has sharded: the weights are those of one process with the whole batches."""

import pytest
import torch
from support.sharded_case import BATCH, ROWS, STEPS, largest_difference, network, own_rows, rows, shard, whole

import kerastorch as kt

EPOCHS, FEW_EPOCHS = STEPS * BATCH // ROWS, 2


def _fit(module, x, y, optimizer, batch=BATCH, epochs=FEW_EPOCHS, **arguments):
    model = kt.Model(module)
    is_whole = not any(hasattr(weight, "full_tensor") for weight in module.parameters())
    model.compile(optimizer, "mse", distribution=None if is_whole else "auto", **arguments)
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, shuffle=False)
    return whole(module)


def _both(optimizer, how, arguments):
    """Train in this process with all rows, and sharded with the rows of this rank."""
    world = torch.distributed.get_world_size()
    x, y = rows()
    one = _fit(network(), x, y, optimizer(), **arguments())
    sharded = _fit(shard(network(), how), own_rows(x), own_rows(y), optimizer(), BATCH // world, **arguments())
    return largest_difference(one, sharded)


def _nothing():
    return {}


def _named(name, how, arguments=_nothing):
    return _both(lambda: name, how, arguments)


def _made(name, settings, how):
    return _both(lambda: getattr(kt.optimizers, name)(**settings), how, _nothing)


def _by_hand(name, how):
    """Train in this process by a loop in plain torch, and sharded by `fit`."""
    world = torch.distributed.get_world_size()
    module, (x, y) = network(), rows()
    optimizer = getattr(torch.optim, name)(module.parameters(), lr=0.01)
    for _ in range(EPOCHS):
        for start in range(0, ROWS, BATCH):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(x[start : start + BATCH]), y[start : start + BATCH]).backward()
            optimizer.step()
    sharded = shard(network(), how)
    made = kt.optimizers.Torch(getattr(torch.optim, name), lr=0.01)
    return largest_difference(whole(module), _fit(sharded, own_rows(x), own_rows(y), made, BATCH // world, EPOCHS))


@pytest.mark.parametrize("how", ["blocks", "root"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_the_weights_are_those_of_a_loop_by_hand_in_one_process(two, name, how):
    assert max(two.run(_by_hand, name, how)) < 1e-6


NAMES = [
    "sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "ftrl", "lion", "lamb", "adafactor",
    "muon", "schedule_free_adamw",
]  # fmt: skip


@pytest.mark.distributed
@pytest.mark.parametrize("name", NAMES)
def test_each_optimizer_by_name_gives_the_weights_of_one_process(two, name):
    # a step along a sign changes by its whole size if rounding changes the sign of a number near 0
    assert max(two.run(_named, name, "blocks")) < (1e-2 if name == "lion" else 2e-6)


OPTIONS = {
    "momentum": ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    "clipnorm": ("SGD", {"learning_rate": 0.05, "clipnorm": 0.05}),
    "clipvalue": ("SGD", {"learning_rate": 0.05, "clipvalue": 0.01}),
    "global clipnorm": ("SGD", {"learning_rate": 0.05, "global_clipnorm": 0.1}),
    "decay": ("SGD", {"learning_rate": 0.05, "weight_decay": 0.1}),
    "decay by pattern": ("AdamW", {"weight_decay": {"*weight": 0.1}}),
    "average": ("Adam", {"use_ema": True, "ema_momentum": 0.9}),
    "average put in place": ("Adam", {"use_ema": True, "ema_overwrite_frequency": 7}),
    "accumulation": ("Adam", {"gradient_accumulation_steps": 5}),
    "loss scale": ("Adam", {"loss_scale_factor": 64.0}),
}


@pytest.mark.parametrize("option", ["clipnorm", "global clipnorm", "average"])
def test_options_of_a_step_have_the_effect_that_they_have_in_one_process(two, option):
    assert max(two.run(_made, *OPTIONS[option], "blocks")) < 1e-6


@pytest.mark.distributed
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("how", ["root", "some"])
def test_all_options_of_a_step_have_the_effect_that_they_have_in_one_process(three, option, how):
    if how == "some":
        assert max(three.run(_partly_sharded, *OPTIONS[option])) < 1e-6
    else:
        assert max(three.run(_same_rows, *OPTIONS[option])) < 1e-6


def _same_rows(name, settings):
    """Give all ranks all rows."""
    x, y = rows()
    one = _fit(network(), x, y, getattr(kt.optimizers, name)(**settings))
    return largest_difference(one, _fit(shard(network(), "root"), x, y, getattr(kt.optimizers, name)(**settings)))


def _partly_sharded(name, settings):
    """Give all ranks all rows, and leave most parameters plain."""
    x, y = rows()
    one = _fit(network(), x, y, getattr(kt.optimizers, name)(**settings))
    return largest_difference(one, _fit(shard(network(), "some"), x, y, getattr(kt.optimizers, name)(**settings)))


@pytest.mark.distributed
@pytest.mark.parametrize("name", NAMES)
def test_each_optimizer_updates_plain_and_sharded_parameters_together(two, name):
    assert max(two.run(_partly_sharded_by_name, name)) < (1e-2 if name == "lion" else 2e-6)


def _partly_sharded_by_name(name):
    x, y = rows()
    return largest_difference(_fit(network(), x, y, name), _fit(shard(network(), "some"), x, y, name))


def _error_of(make):
    x, y = rows()
    with pytest.raises(ValueError, match="one vector") as error:
        _fit(shard(network()), x, y, make(), ROWS)
    return str(error.value)


@pytest.mark.parametrize("name", ["LBFGS", "BFGS"])
def test_an_optimizer_that_needs_all_weights_in_one_vector_is_refused(two, name):
    for text in two.run(_refused, name):
        assert text.startswith(name)


def _refused(name):
    return _error_of(getattr(kt.optimizers, name))


# --- penalties and constraints ----------------------------------------------------------------------------------------


def _own_penalty(weight):
    return 0.01 * (weight @ torch.ones(weight.shape[1])).square().sum()  # combines the weight with a plain tensor


PENALTIES = {
    "l2": lambda: kt.regularizers.L2(0.1),
    "l1": lambda: kt.regularizers.L1(0.05),
    "l1_l2": lambda: kt.regularizers.L1L2(0.05, 0.05),
    "orthogonal": lambda: kt.regularizers.OrthogonalRegularizer(0.1),
    "own": lambda: _own_penalty,
}


def _penalized(name, how, optimizer="sgd"):
    return _named(optimizer, how, lambda: {"regularizers": {"*.weight": PENALTIES[name]()}})


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_has_the_gradient_that_it_has_in_one_process(two, name):
    assert max(two.run(_penalized, name, "root")) < 1e-6


@pytest.mark.distributed
@pytest.mark.parametrize("how", ["blocks", "some"])
@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_on_sharded_blocks(two, name, how):
    run = _penalized if how == "blocks" else _penalized_partly
    assert max(two.run(run, name, *(["blocks", "adam"] if how == "blocks" else []))) < 1e-6


def _penalized_partly(name):
    x, y = rows()
    settings = [{"regularizers": {"*.weight": PENALTIES[name]()}} for _ in range(2)]
    one = _fit(network(), x, y, "sgd", **settings[0])
    return largest_difference(one, _fit(shard(network(), "some"), x, y, "sgd", **settings[1]))


def _losses():
    """Return the loss that `evaluate` reports for a sharded model, and the loss by hand; then the model's `losses`."""
    x, y = rows()
    module = network()
    by_hand = torch.nn.functional.mse_loss(module(x), y).item()
    penalties = [0.1 * float(layer.weight.detach().square().sum()) for layer in module if hasattr(layer, "weight")]
    model = kt.Model(shard(network()))
    model.compile("sgd", "mse", regularizers={"*.weight": kt.regularizers.L2(0.1)})
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    return found, by_hand, penalties, [one.item() for one in model.losses]


def test_the_value_of_a_penalty_is_that_of_the_whole_weight_on_all_ranks(two):
    for found, by_hand, penalties, losses in two.run(_losses):
        assert found["data_loss"] == pytest.approx(by_hand, rel=1e-6)
        assert found["loss"] == pytest.approx(by_hand + sum(penalties), rel=1e-6)
        assert losses == pytest.approx(penalties, rel=1e-6)


def _uneven_factors():
    """Scale the losses of the ranks by factors that are 1 on average; return how far the gradient of a penalty is off.

    A trainer does so to weight the ranks by their rows.
    """
    module = shard(network(), "blocks")
    penalties = kt.regularizers.collect_penalties(module, {"*.weight": kt.regularizers.L2(0.1)})
    penalty = kt.regularizers.add_penalties(torch.zeros(()), penalties)
    (penalty * (0.5 if torch.distributed.get_rank() == 0 else 1.5)).backward()
    errors = [one.weight.grad.full_tensor() - 0.2 * one.weight.full_tensor() for one in penalties]
    return max(error.abs().max().item() for error in errors)


def test_the_gradient_of_a_penalty_is_right_though_ranks_scale_their_losses(two):
    assert max(two.run(_uneven_factors)) < 1e-7


def _largest_of_column(weight):
    return weight / (weight.abs().amax(0, keepdim=True) + torch.ones(weight.shape[1]))


CONSTRAINTS = {
    "max_norm": lambda: kt.constraints.MaxNorm(0.5),
    "max_norm of columns": lambda: kt.constraints.MaxNorm(0.5, dim=0),
    "max_norm of all": lambda: kt.constraints.MaxNorm(0.5, dim=(0, 1)),
    "unit_norm": lambda: kt.constraints.UnitNorm(dim=0),
    "non_neg": lambda: kt.constraints.NonNeg(),
    "min_max_norm": lambda: kt.constraints.MinMaxNorm(0.4, 0.6, dim=0),
    "own": lambda: _largest_of_column,
}


def _constrained_network(constraint):
    torch.manual_seed(0)
    layers = [
        kt.layers.Dense(7, "tanh", kernel_constraint=constraint(), bias_constraint=constraint()),
        kt.layers.Dense(3, kernel_constraint=constraint()),
    ]
    model = kt.Sequential([kt.Input((6,)), *layers])
    if constraint in (CONSTRAINTS["own"], CONSTRAINTS["max_norm of all"]):  # of matrices
        layers[0].weight_constraints.pop("bias")
    return model


def _constrained(name, how):
    world = torch.distributed.get_world_size()
    x, y = rows()
    one = _fit(_constrained_network(CONSTRAINTS[name]), x, y, "sgd")
    sharded = shard(_constrained_network(CONSTRAINTS[name]), how)
    return largest_difference(one, _fit(sharded, own_rows(x), own_rows(y), "sgd", BATCH // world))


@pytest.mark.parametrize("name", ["max_norm of columns", "non_neg", "own"])
def test_a_constraint_gives_the_weights_of_one_process(two, name):
    assert max(two.run(_constrained, name, "blocks")) < 1e-6


@pytest.mark.distributed
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_all_constraints_give_the_weights_of_one_process(two, name):
    assert max(two.run(_constrained, name, "root")) < 1e-6


def _evaluated_first():
    """Call and evaluate a model before its first fit, which leaves the parameters of the outermost module gathered."""
    x, y = rows()
    ends = []
    for module in (network(), shard(network(), "root")):
        with torch.no_grad():
            module(x)
        model = kt.Model(module)
        model.compile("adam", "mse", distribution=None)
        model.evaluate(x, y, verbose=0)
        is_whole = [not hasattr(weight, "full_tensor") for weight in model.parameters()]
        model.fit(x, y, batch_size=BATCH, epochs=FEW_EPOCHS, verbose=0, shuffle=False)
        ends.append((whole(module), any(is_whole)))
    return largest_difference(ends[0][0], ends[1][0]), ends[1][1]


def test_a_model_that_was_evaluated_first_trains_its_shards(two):
    for difference, has_gathered in two.run(_evaluated_first):
        assert difference < 1e-6
        assert not has_gathered
