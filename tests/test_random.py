"""`kt.random`: distributions, seeds and generators."""

import numpy as np
import pytest
import scipy.stats
import torch

import kerastorch as kt

random = kt.random
N = 4000
DISTRIBUTIONS = {
    "normal": (lambda seed: random.normal((N,), 1.0, 2.0, seed=seed), scipy.stats.norm(1, 2)),
    "uniform": (lambda seed: random.uniform((N,), -1.0, 3.0, seed=seed), scipy.stats.uniform(-1, 4)),
    "truncated_normal": (
        lambda seed: random.truncated_normal((N,), 1.0, 2.0, seed=seed), scipy.stats.truncnorm(-2, 2, 1, 2)
    ),
    "gamma": (lambda seed: random.gamma((N,), 2.5, seed=seed), scipy.stats.gamma(2.5)),
    "beta": (lambda seed: random.beta((N,), 2.0, 3.0, seed=seed), scipy.stats.beta(2, 3)),
}  # fmt: skip
DISCRETE = {
    "randint": (lambda seed: random.randint((N,), -2, 3, seed=seed), dict.fromkeys(range(-2, 3), 0.2)),
    "categorical": (
        lambda seed: random.categorical(np.log([[0.1, 0.6, 0.3]]), N, seed=seed)[0], {0: 0.1, 1: 0.6, 2: 0.3}
    ),
    "binomial": (
        lambda seed: random.binomial((N,), 3, 0.4, seed=seed), {k: scipy.stats.binom(3, 0.4).pmf(k) for k in range(4)}
    ),
    "dropout": (lambda seed: random.dropout(torch.ones(N), 0.25, seed=seed), {0: 0.25, 1 / 0.75: 0.75}),
    "shuffle": (lambda seed: random.shuffle(torch.arange(N), seed=seed) % 4, dict.fromkeys(range(4), 0.25)),
}  # fmt: skip
ALL = {name: draw for name, (draw, _) in {**DISTRIBUTIONS, **DISCRETE}.items()}


def test_every_function_is_tested():
    assert sorted([*ALL, "SeedGenerator"]) == dir(random)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_numbers_have_the_distribution(name):
    draw, expected = DISTRIBUTIONS[name]
    assert scipy.stats.kstest(draw(7).numpy(), expected.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_classes_have_their_probabilities(name):
    draw, expected = DISCRETE[name]
    found = draw(7).numpy()
    counts = [np.isclose(found, value).sum() for value in expected]
    assert sum(counts) == N
    assert scipy.stats.chisquare(counts, [N * p for p in expected.values()]).pvalue > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_an_integer_gives_the_same_numbers_and_a_generator_others(name):
    draw = ALL[name]
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    generator = random.SeedGenerator(1)
    first, second = draw(generator), draw(generator)
    assert not torch.equal(first, second)
    again = random.SeedGenerator(1)
    assert torch.equal(draw(again), first)
    assert torch.equal(draw(again), second)


@pytest.mark.parametrize("name", ALL)
def test_the_global_seed_repeats_numbers_without_a_seed(name):
    kt.utils.set_random_seed(3)
    first = ALL[name](None)
    kt.utils.set_random_seed(3)
    assert torch.equal(ALL[name](None), first)


def test_dtypes_and_shapes_are_those_of_keras():
    assert random.normal((2, 3)).dtype == torch.float32
    assert random.normal((2, 3), dtype="float16").dtype == torch.float16
    assert random.uniform((), seed=1).shape == ()
    assert random.randint([2], 0, 5).dtype == torch.int32
    assert random.randint((2,), 0, 5, dtype="int64").dtype == torch.int64
    assert random.categorical([[0.0, 1.0]] * 3, 4).shape == (3, 4)
    assert random.gamma((3, 2), np.array([1.0, 2.0], np.float32)).shape == (3, 2)
    assert random.dropout(torch.ones(4, 5), 0.5, noise_shape=(None, 1)).std(1).eq(0).all()
    assert random.shuffle(np.arange(6).reshape(2, 3), axis=1).sum(1).tolist() == [3, 12]


def test_dropout_at_its_limits():
    x = torch.randn(3)
    assert torch.equal(random.dropout(x, 0.0), x)
    assert torch.equal(random.dropout(x, 1.0), torch.zeros(3))
    with pytest.raises(ValueError, match="rate must be"):
        random.dropout(x, 1.5)


def test_a_generator_has_a_state_and_a_config():
    generator = random.SeedGenerator(seed=5, name="noise")
    assert random.SeedGenerator.from_config(generator.get_config()).next().tolist() == [5, 0]
    assert [generator.next().tolist() for _ in range(2)] == [[5, 0], [5, 1]]
    assert generator.state.tolist() == [5, 2]
    kt.utils.set_random_seed(0)
    first = random.SeedGenerator().seed
    kt.utils.set_random_seed(0)
    assert random.SeedGenerator().seed == first


@pytest.mark.parametrize("seed", ["x", 1.5, True])
def test_a_wrong_seed_is_named(seed):
    with pytest.raises(ValueError, match="seed must be an integer"):
        random.normal((2,), seed=seed)


def test_a_wrong_range_is_named():
    with pytest.raises(ValueError, match="maxval must be above minval"):
        random.randint((2,), 3, 3)


class Noise(kt.layers.Layer):
    def __init__(self):
        super().__init__()
        self.generator = kt.random.SeedGenerator(11)

    def forward(self, x):
        return x + kt.random.normal(kt.ops.shape(x), seed=self.generator)


def test_a_generator_of_a_layer_is_part_of_the_checkpoints(tmp_path):
    def fitted(epochs, path):
        kt.utils.set_random_seed(1)
        model = kt.Sequential([kt.Input((3,)), Noise(), kt.layers.Dense(1)])
        model.compile("sgd", "mse")
        x = torch.arange(24.0).reshape(8, 3) / 24
        model.fit(
            x,
            x[:, :1],
            epochs=epochs,
            verbose=0,
            shuffle=False,
            callbacks=[kt.callbacks.BackupAndRestore(path, delete_checkpoint=False)],
        )
        return model.get_weights()

    whole = fitted(4, tmp_path / "a")
    fitted(2, tmp_path / "b")
    for one, other in zip(fitted(4, tmp_path / "b"), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_generator_compiles_without_a_break():
    layer = Noise()
    x = torch.zeros(2, 3)
    layer(x)
    function = torch.compile(layer, backend="eager", fullgraph=True)
    generator = kt.random.SeedGenerator(11)
    assert torch.equal(kt.random.normal((2, 3), seed=generator), Noise()(x))
    assert torch.equal(kt.random.normal((2, 3), seed=generator), function(x))
