"""Learning rates and weight decays by pattern of parameter names. The oracle is torch with groups made by hand."""

import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch import optimizers
from kerastorch.optimizers import ExceptBiasAndNorm, layerwise_rates

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh())
        self.head = nn.Linear(6, 1)

    def forward(self, x):
        return self.head(self.backbone(x))


def net():
    torch.manual_seed(0)
    return Net()


def fitted(optimizer, module=None, epochs=2, **given):
    module = net() if module is None else module
    model = kt.Model(module)
    model.compile(optimizer, nn.MSELoss(), **given)
    model.fit(X, Y, 8, epochs, 0, shuffle=False)
    return model, [p.detach() for p in module.parameters()]


def loop(make, epochs=2):
    module = net()
    optimizer = make(module)
    for _ in range(epochs):
        for i in range(0, len(X), 8):
            optimizer.zero_grad()
            nn.functional.mse_loss(module(X[i : i + 8]), Y[i : i + 8]).backward()
            optimizer.step()
    return [p.detach() for p in module.parameters()]


def close(found, expected):
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_rates_by_pattern_are_groups_of_torch():
    _, found = fitted(optimizers.SGD({"backbone.*": 1e-3, "*": 1e-1}, momentum=0.9))
    close(
        found,
        loop(
            lambda m: torch.optim.SGD(
                [{"params": m.backbone.parameters(), "lr": 1e-3}, {"params": m.head.parameters(), "lr": 1e-1}],
                lr=1.0,
                momentum=0.9,
            )
        ),
    )


@pytest.mark.parametrize("pattern", ["backbone", "backbone.*", "back*"])
def test_a_pattern_is_a_child_or_has_wildcards(pattern):
    model, _ = fitted(optimizers.Adam({pattern: 1e-4, "*": 1e-2}))
    rates = {id(p): group["lr"] for group in model.optimizer.param_groups for p in group["params"]}
    assert {name: rates[id(p)] for name, p in model.named_parameters()} == {
        name: 1e-4 if name.startswith("backbone") else 1e-2 for name, _ in model.named_parameters()
    }


def test_the_first_pattern_counts():
    model, _ = fitted(optimizers.SGD({"*.bias": 0.5, "head": 0.25, "*": 0.125}))
    rates = {id(p): group["lr"] for group in model.optimizer.param_groups for p in group["params"]}
    assert rates[id(model.get_parameter("head.bias"))] == 0.5
    assert rates[id(model.get_parameter("head.weight"))] == 0.25
    assert rates[id(model.get_parameter("backbone.0.weight"))] == 0.125


@pytest.mark.parametrize("kind", [optimizers.Adam, optimizers.AdamW, optimizers.SGD, optimizers.RMSprop])
def test_weight_decay_by_pattern_is_decoupled_as_a_single_one_is(kind):
    """With one pattern for all it is the bits of the plain argument; with a pattern of zero, those of no decay."""
    _, plain = fitted(kind(0.01, weight_decay=0.1))
    _, found = fitted(kind(0.01, weight_decay={"*": 0.1}))
    assert all(map(torch.equal, found, plain))
    _, without = fitted(kind(0.01, weight_decay=0.0))
    _, found = fitted(kind(0.01, weight_decay={"*": 0.0}))
    assert all(map(torch.equal, found, without))


def test_what_no_pattern_of_weight_decay_matches_does_not_decay():
    _, found = fitted(optimizers.AdamW(0.01, weight_decay={"head.weight": 0.5}))
    expected = loop(
        lambda m: torch.optim.AdamW(
            [
                {"params": [m.head.weight], "weight_decay": 0.5},
                {"params": [p for p in m.parameters() if p is not m.head.weight], "weight_decay": 0.0},
            ],
            lr=0.01,
            eps=1e-7,
        )
    )
    close(found, expected)


@pytest.mark.parametrize(
    "decay",
    [ExceptBiasAndNorm(0.5), ExceptBiasAndNorm({"*": 0.5}), {"backbone.0.weight": 0.5, "head.weight": 0.5}],
    ids=["number", "pattern", "by name"],
)
def test_biases_and_normalization_do_not_decay_by_one_argument(decay):
    _, found = fitted(optimizers.AdamW(0.01, weight_decay=decay))
    expected = loop(
        lambda m: torch.optim.AdamW(
            [
                {"params": [p for p in m.parameters() if p.ndim > 1], "weight_decay": 0.5},
                {"params": [p for p in m.parameters() if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=0.01,
            eps=1e-7,
        )
    )
    close(found, expected)


@pytest.mark.parametrize("how", ["names", "list", "both"])
def test_exclude_from_weight_decay_is_that_of_keras(how):
    module = net()
    settings = optimizers.AdamW(0.01, weight_decay=0.5)
    vectors = [p for p in module.parameters() if p.ndim <= 1]
    if how == "list":
        settings.exclude_from_weight_decay(var_list=vectors)
    elif how == "names":
        settings.exclude_from_weight_decay(var_names=["bias", "backbone.1"])
    else:
        settings.exclude_from_weight_decay(var_list=vectors[:2], var_names=["bias", "backbone.1"])
    _, found = fitted(settings, module)
    _, expected = fitted(optimizers.AdamW(0.01, weight_decay=ExceptBiasAndNorm(0.5)))
    close(found, expected)


def test_options_of_torch_by_pattern():
    _, found = fitted(
        optimizers.Torch(torch.optim.SGD, lr={"head": 0.1, "*": 0.01}, weight_decay={"*.weight": 0.2}, clipvalue=1e9)
    )
    expected = loop(
        lambda m: torch.optim.SGD(
            [
                {"params": [m.head.weight], "lr": 0.1, "weight_decay": 0.2},
                {"params": [m.head.bias], "lr": 0.1},
                {"params": [m.backbone[0].weight, m.backbone[1].weight], "weight_decay": 0.2},
                {"params": [m.backbone[0].bias, m.backbone[1].bias]},
            ],
            lr=0.01,
        )
    )
    close(found, expected)


def test_layerwise_rates_decay_from_the_last_layer():
    assert layerwise_rates(net(), 1e-2, 0.5) == {"head": 1e-2, "backbone": 5e-3}
    rates = layerwise_rates(["a", "b", "c"], 1.0, 0.1)
    assert rates == {"c": 1.0, "b": 0.1, "a": 0.01}
    model, _ = fitted(optimizers.Adam(layerwise_rates(net(), 1e-2, 0.5)))
    assert sorted(group["lr"] for group in model.optimizer.param_groups) == [5e-3, 1e-2]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: optimizers.Adam({"backbonne.*": 1e-3, "*": 1e-2}), "'backbonne.*' matches no parameter"),
        (lambda: optimizers.Adam({"head": 1e-3}), "no pattern matches 'backbone.0.weight'. Add one for all others"),
        (lambda: optimizers.Adam(1e-3, weight_decay={"heads.*": 0.1}), "weight_decay: 'heads.*' matches no parameter"),
        (lambda: optimizers.Torch(torch.optim.SGD, lr={"x": 0.1}), "'x' matches no parameter"),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence.replace("*", r"\*")):
        fitted(make())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: optimizers.Adam({}), "empty dict"),
        (lambda: optimizers.Adam({0: 1e-3}), "a pattern is text"),
        (lambda: optimizers.Adam({"*": -1.0}), "learning_rate must be"),
        (lambda: optimizers.Adam(1e-3, weight_decay={"*": -1.0}), "weight_decay must be"),
        (lambda: optimizers.Adam(1e-3, weight_decay=ExceptBiasAndNorm(-1.0)), "weight_decay must be"),
        (lambda: optimizers.Adam({"*": 1e-3})(net().parameters()), "named_parameters"),
        (lambda: layerwise_rates([], 1.0), "empty"),
        (lambda: layerwise_rates(net(), 0.0), "learning_rate must be"),
    ],
)
def test_bad_patterns_are_answered_where_they_are_given(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_lazy_model_is_divided_once_it_has_weights():
    torch.manual_seed(0)
    model = kt.Sequential([kt.layers.Dense(6, "relu"), kt.layers.Dense(1)])
    model.compile(optimizers.Adam({"0": 1e-4, "*": 1e-2}), "mse")
    model.fit(X, Y, verbose=0)
    assert [group["lr"] for group in model.optimizer.param_groups] == [1e-4, 1e-2]
    assert [len(group["params"]) for group in model.optimizer.param_groups] == [2, 2]


def test_weights_that_are_added_before_training_come_into_their_group():
    module = net()
    model = kt.Model(module)
    model.compile(optimizers.SGD({"backbone": 0.1, "*": 0.2}), "mse")
    assert model.optimizer is not None
    module.head = nn.Linear(6, 1)
    model.fit(X, Y, verbose=0)
    assert model.optimizer.param_groups[1]["params"][0] is module.head.weight


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_groups_train_alike_when_compiled(jit):
    settings = optimizers.AdamW({"backbone": 1e-3, "*": 1e-2}, weight_decay=ExceptBiasAndNorm(0.1))
    model, found = fitted(settings, epochs=4, jit_compile=jit)
    expected = loop(
        lambda m: torch.optim.AdamW(
            [
                {"params": [p for p in part.parameters() if (p.ndim > 1) == big], "lr": rate, "weight_decay": decay}
                for part, rate in ((m.backbone, 1e-3), (m.head, 1e-2))
                for big, decay in ((True, 0.1), (False, 0.0))
            ],
            eps=1e-7,
        ),
        epochs=4,
    )
    close(found, expected)
    assert not jit or model.trainer.is_compiled


def test_groups_survive_a_file(tmp_path):
    torch.manual_seed(0)
    model = kt.Sequential([kt.Input((4,)), kt.layers.Dense(3), kt.layers.Dense(1)])
    model.compile(optimizers.AdamW({"0": 1e-3, "*": 1e-2}, weight_decay=ExceptBiasAndNorm(0.1)), "mse")
    model.fit(X, Y, verbose=0, shuffle=False)
    model.save(tmp_path / "model.kt")
    loaded = kt.load_model(tmp_path / "model.kt")
    for one in (model, loaded):
        one.fit(X, Y, verbose=0, shuffle=False)
    assert all(map(torch.equal, model.parameters(), loaded.parameters()))
    assert [group["lr"] for group in loaded.optimizer.param_groups] == [1e-3, 1e-3, 1e-2, 1e-2]


@pytest.mark.parametrize("argument", ["learning_rate", "weight_decay"])
def test_a_pattern_after_a_more_general_one_is_an_error(argument):
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    settings = kt.optimizers.AdamW(**{argument: {"*": 1e-3, "0": 1e-5}})
    with pytest.raises(
        ValueError, match=f"{argument}: no parameter is left for '0'.*general ones, such as '\\*', last"
    ):
        settings(net.named_parameters())


def named_layers():
    torch.manual_seed(0)
    body = kt.Sequential([kt.layers.Dense(6, "relu", name="first"), kt.layers.Dense(6, "relu")], name="body")
    return kt.Sequential([kt.Input((4,)), body, kt.layers.Dense(1, name="head")])


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"head": 0.5, "*": 0.25}, [0.25, 0.25, 0.5]),
        ({"body": 0.5, "*": 0.25}, [0.5, 0.5, 0.25]),
        ({"body.first": 0.5, "*.bias": 0.125, "*": 0.25}, [0.5, 0.25, 0.25]),
        ({"1": 0.5, "*": 0.25}, [0.25, 0.25, 0.5]),
    ],
)
def test_layers_of_a_chain_are_known_by_their_names_and_numbers(rates, expected):
    model = named_layers()
    model.compile(optimizers.SGD(rates), "mse")
    found = {id(p): group["lr"] for group in model.optimizer.param_groups for p in group["params"]}
    matrices = [p for p in model.parameters() if p.ndim > 1]
    assert [found[id(p)] for p in matrices] == expected


def test_several_optimizers_know_the_names_of_layers():
    model = named_layers()
    model.compile({"body": "sgd", "head": "adam"}, "mse")
    model.fit(X, Y, verbose=0)
    assert [len(one.param_groups[0]["params"]) for one in model.optimizers.values()] == [4, 2]


def test_the_pattern_for_all_others_may_be_left_without_any():
    model, _ = fitted(optimizers.SGD({"backbone": 0.1, "head": 0.2, "*": 0.3}))
    assert [group["lr"] for group in model.optimizer.param_groups] == [0.1, 0.2]


def test_a_misspelt_layer_is_answered_with_its_name():
    model = named_layers()
    model.compile({"bdy": "sgd", "*": "adam"}, "mse")
    with pytest.raises(
        ValueError, match=r"'bdy' matches no parameter\. Did you mean 'body'\? The model has: body\.first"
    ):
        model.fit(X, Y, verbose=0)
