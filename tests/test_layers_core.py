"""Embedding, EinsumDense, Lambda, shapes and masks: in training, and where they refuse."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import kerastorch as kt
from kerastorch import Input, Model, Sequential, activations
from kerastorch.layers import (
    ELU,
    Activation,
    Dense,
    EinsumDense,
    Embedding,
    Flatten,
    Identity,
    Lambda,
    LeakyReLU,
    Masking,
    Permute,
    PReLU,
    ReLU,
    RepeatVector,
    Reshape,
    ReversibleEmbedding,
    Softmax,
)


def _x(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- Embedding -----------------------------------------------------------------------------------------------------


def _words(embedding, **options):
    kt.utils.set_random_seed(0)
    model = Sequential([embedding, Flatten(), Dense(2)], **options)
    model.compile(kt.optimizers.Adam(0.05), "cross_entropy", metrics=["accuracy"])
    return model


IDS = np.random.default_rng(0).integers(0, 24, (200, 6))
LABELS = (IDS < 12).sum(1) > 3


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float32, np.float64])
def test_a_model_of_words_learns_from_whole_numbers_of_any_dtype(dtype):
    model = _words(Embedding(24, 4))
    ids = IDS.astype(dtype)
    history = model.fit(ids, LABELS.astype(np.int64), epochs=8, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    expected = model.predict(IDS, verbose=0)
    np.testing.assert_allclose(model.predict(ids, verbose=0), expected)


def test_it_trains_as_torchs_embedding_does():
    losses = []
    start = _x(24, 4)
    for embedding in (Embedding(24, 4, weights=start), nn.Embedding(24, 4, _weight=start.clone())):
        model = _words(embedding)
        model(torch.as_tensor(IDS[:2]))
        nn.init.constant_(model.layers[2].weight, 0.1)
        losses.append(model.fit(IDS, LABELS.astype(np.int64), epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_numbers_that_are_not_whole_are_refused_by_fit():
    with pytest.raises(ValueError, match=r"goes into an embedding and must hold whole numbers, got 0.5"):
        _words(Embedding(24, 4)).fit(np.full((40, 6), 0.5), LABELS[:40].astype(np.int64), verbose=0)


@pytest.mark.parametrize("wrong", [24, -1])
def test_a_number_without_a_row_is_named(wrong):
    ids = IDS.copy()
    ids[3, 2] = wrong
    with pytest.raises(ValueError, match=rf"rows 0 to 23 \(input_dim=24\), and its input has {wrong}"):
        Embedding(24, 4)(torch.as_tensor(ids))
    model = _words(Embedding(24, 4))
    with pytest.raises(ValueError, match=f"its input has {wrong}"):
        model.fit(ids, LABELS.astype(np.int64), verbose=0)


def test_an_input_of_floats_in_front_builds_it_as_in_keras():
    model = Sequential([Input((6,)), Embedding(24, 4), Flatten(), Dense(2)])
    assert model.layers[0].weight.shape == (24, 4)
    torch.testing.assert_close(model(torch.as_tensor(IDS).float()), model(torch.as_tensor(IDS)))


def test_state_dicts_of_torchs_embedding_fit():
    ours, theirs = Embedding(7, 3), nn.Embedding(7, 3)
    ours(torch.tensor([0]))
    ours.load_state_dict(theirs.state_dict())
    ids = torch.arange(7)
    torch.testing.assert_close(ours(ids), theirs(ids), rtol=0, atol=0)


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: [w], lambda w: w.numpy()])
def test_it_starts_from_given_rows_and_does_not_write_them_down(wrap):
    rows = _x(7, 3)
    layer = Embedding(7, 3, weights=wrap(rows))
    config = layer.get_config()
    torch.testing.assert_close(layer(torch.arange(7)), rows)
    assert config == layer.get_config()
    assert "weights" not in config
    with torch.no_grad():
        layer.weight.add_(1)
    assert torch.equal(rows, _x(7, 3))  # a copy was made


def test_zeros_are_masked_where_that_is_asked_for():
    ids = torch.tensor([[1, 0, 2], [0, 0, 1]])
    assert torch.equal(Embedding(3, 2, mask_zero=True).compute_mask(ids), ids != 0)
    assert Embedding(3, 2).compute_mask(ids) is None


def test_the_way_back_is_the_transpose_or_a_weight_of_its_own():
    ids, y = torch.tensor([[0, 3]]), _x(1, 2, 4)
    tied, free = ReversibleEmbedding(5, 4), ReversibleEmbedding(5, 4, tie_weights=False, logit_soft_cap=2.0)
    torch.testing.assert_close(tied(ids), tied.weight[ids])
    torch.testing.assert_close(free(ids), free.weight[ids])
    torch.testing.assert_close(tied(y, reverse=True), y @ tied.weight.T)
    torch.testing.assert_close(free(y, reverse=True), 2 * torch.tanh(y @ free.reverse_weight.T / 2))
    assert set(dict(tied.named_parameters())) == {"weight"}


# --- EinsumDense ---------------------------------------------------------------------------------------------------


def test_dense_as_an_equation_learns_as_dense():
    one, other = Dense(3, "tanh"), EinsumDense("...x,yx->...y", 3, "tanh", "y")
    x = _x(5, 6, 4)
    one(x), other(x)
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other(x), one(x))


@pytest.mark.parametrize(
    ("equation", "output", "shape", "fan_in", "fan_out"),
    [
        ("ab,bc->ac", 300, (2, 200), 200, 300),
        ("ab,cb->ac", 300, (2, 200), 200, 300),
        ("abc,cde->abde", (None, 15, 20), (2, 3, 200), 200, 300),
        ("abde,dec->abc", (None, 300), (2, 3, 10, 20), 200, 300),
    ],
)
def test_the_initializer_sees_the_inputs_and_outputs_of_the_equation(equation, output, shape, fan_in, fan_out):
    torch.manual_seed(0)
    layer = EinsumDense(equation, output, kernel_initializer="glorot_normal")
    layer(_x(*shape))
    variance = 2 / (fan_in + fan_out)
    assert layer.weight.var().item() == pytest.approx(variance, rel=0.05)


def test_an_orthogonal_equation_keeps_lengths():
    layer = EinsumDense("abc,cde->abde", (None, 2, 3), kernel_initializer="orthogonal")
    x = _x(5, 4, 6)
    torch.testing.assert_close(layer(x).flatten(2).norm(dim=-1), x.norm(dim=-1))


@pytest.mark.parametrize(
    ("make", "shape", "sentence"),
    [
        (lambda: EinsumDense("ab->ac", 3), None, "equation must be as 'ab,bc->ac'"),
        (lambda: EinsumDense("ab,bc->ad", 3), None, "'d' of the output is in the input or the weight"),
        (lambda: EinsumDense(None, 3), None, "equation must be"),
        (lambda: EinsumDense("ab,bc->ac", 3, bias_axes="b"), None, "bias_axes must be letters of the output, 'ac'"),
        (lambda: EinsumDense("ab,bc->ac", 0), None, "output_shape must be an integer >= 1"),
        (lambda: EinsumDense("ab,bc->ac", 3), (5, 4, 2), "has 2 axes for the input"),
        (lambda: EinsumDense("ab,bc->ac", (3, 3)), (5, 4), "has 2 sizes, and 'c' of 'ab,bc->ac' 1"),
        (lambda: EinsumDense("abc,cd->abd", (5, 3)), (5, 6, 4), "'b' is 5 in output_shape=.* and 6 in the input's"),
        (lambda: EinsumDense("ab,bcd->ac", 3), (5, 4), "'d' of the weight .* has no size"),
        (lambda: EinsumDense("ab,bc->ac", (None,)), (5, 4), "'c' of the weight .* has no size"),
    ],
)
def test_equations_that_cannot_be_are_refused_in_a_sentence(make, shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()(_x(*shape))


# --- Lambda --------------------------------------------------------------------------------------------------------


def test_lambda_hands_on_arguments_the_mode_and_the_mask():
    seen = {}

    def function(x, factor, training, mask=None):
        seen.update(training=training, mask=mask)
        return x * factor

    layer = Lambda(function, arguments={"factor": 3})
    mask = torch.tensor([[True, False]])
    assert torch.equal(layer(torch.ones(1, 2, 3), mask=mask), torch.full((1, 2, 3), 3.0))
    assert seen["training"] is True
    assert seen["mask"] is mask
    layer.eval()(torch.ones(1, 2, 3))
    assert seen == {"training": False, "mask": None}


def test_lambda_says_which_mask_goes_on():
    x, mask = _x(1, 2, 3), torch.tensor([[True, False]])
    assert Lambda(torch.relu).compute_mask(x, mask) is None
    assert Lambda(torch.relu, mask=mask).compute_mask(x) is mask
    assert torch.equal(Lambda(torch.relu, mask=lambda x, m: ~m).compute_mask(x, mask), ~mask)


def test_lambda_is_part_of_models_of_either_kind():
    x = _x(5, 3)
    chain = Sequential([Lambda(lambda x: x**2), Dense(2)])
    torch.testing.assert_close(chain(x), chain.layers[1](x**2))
    one = Input((3,))
    torch.testing.assert_close(Model(one, Lambda(lambda x: x[:, :2] + 1)(one))(x), x[:, :2] + 1)


def test_a_function_of_ones_own_cannot_be_written_down():
    with pytest.raises(TypeError, match="A Lambda of your own function has no config; write a subclass of Layer"):
        Lambda(lambda x: x).get_config()
    with pytest.raises(ValueError, match="function must be a function of the input"):
        Lambda("relu")


# --- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shape", "sentence"),
    [
        (lambda: Reshape((3, 5)), (2, 12), r"Reshape: \(12,\) has 12 numbers and cannot become \(3, 5\)"),
        (lambda: Reshape((-1, 5)), (2, 12), r"cannot become \(-1, 5\)"),
        (lambda: Reshape((-1, -1)), None, "target_shape must be sizes >= 1"),
        (lambda: Reshape((0, 3)), None, "target_shape must be sizes >= 1"),
        (lambda: Reshape(3), None, "target_shape must be sizes >= 1"),
        (lambda: Permute((0, 1)), None, "dims must be each of 1, 2, ... once"),
        (lambda: Permute((1, 1)), None, "dims must be"),
        (lambda: Permute((2, 1)), (2, 3), "takes inputs of 3 axes"),
        (lambda: RepeatVector(0), None, "n must be an integer >= 1"),
        (lambda: RepeatVector(2), (2, 3, 4), r"takes inputs \(batch, features\)"),
        (lambda: Masking("zero"), None, "mask_value must be"),
        (lambda: Flatten("channels"), None, "Unknown data_format"),
        (lambda: Softmax("last"), None, "axis must be"),
        (lambda: Embedding(0, 3), None, "input_dim must be an integer >= 1"),
        (lambda: Embedding(3, 2, weights=np.zeros((2, 3))), None, r"the shape of weights must be \(3, 2\)"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(make, shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()(_x(*shape))


def test_an_empty_batch_keeps_its_sizes():
    assert Reshape((-1, 2))(torch.zeros(0, 12)).shape == (0, 6, 2)
    assert Flatten()(torch.zeros(0, 3, 4)).shape == (0, 12)
    assert RepeatVector(3)(torch.zeros(0, 4)).shape == (0, 3, 4)


# --- masks ---------------------------------------------------------------------------------------------------------

PASSING = [Dense(3), Activation("relu"), ReLU(), LeakyReLU(), PReLU(), ELU(), Softmax(), Identity()]


@pytest.mark.parametrize("layer", PASSING, ids=lambda layer: type(layer).__name__)
def test_layers_that_work_step_by_step_pass_masks_on(layer):
    mask = torch.tensor([[True, False]])
    assert layer.compute_mask(_x(1, 2, 3), mask) is mask


def test_masking_says_which_steps_hold_something():
    x = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]]])
    assert torch.equal(Masking().compute_mask(x), torch.tensor([[True, False, True]]))
    assert torch.equal(Masking(1.0)(torch.ones(1, 2, 3)), torch.zeros(1, 2, 3))


@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_softmax_leaves_out_what_is_masked(axis):
    x, mask = _x(4, 3, 5), torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0)) > 0.4
    mask[0] = False
    weights = torch.where(mask, x.exp(), 0)
    expected = torch.nan_to_num(weights / weights.sum(axis, keepdim=True))
    x.requires_grad_()
    y = Softmax(axis)(x, mask=mask)
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    assert x.grad.isfinite().all()
    assert not x.grad[~mask].any()


def test_softmax_takes_masks_that_are_repeated_and_those_of_time_steps():
    x = _x(4, 3, 5)
    keys = torch.tensor([True, True, False, True, False])
    torch.testing.assert_close(Softmax()(x, mask=keys)[..., keys], F.softmax(x[..., keys], -1))
    steps = torch.tensor([[True, True, False]]).expand(4, 3)
    torch.testing.assert_close(Softmax()(x, mask=steps), F.softmax(x, -1))
    y = Softmax(1)(x, mask=steps)
    torch.testing.assert_close(y[:, :2], F.softmax(x[:, :2], 1))
    assert not y[:, 2].any()
    with pytest.raises(ValueError, match=r"Softmax got a mask of shape \(4, 2\)"):
        Softmax()(x, mask=torch.ones(4, 2, dtype=torch.bool))


def test_softmax_over_several_axes_is_not_fused_with_the_loss():
    x, y = _x(40, 6), torch.arange(40) % 2
    model = Sequential([Dense(2), Softmax((0, 1))])
    model(x)
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = model.evaluate(x, y, batch_size=40, verbose=0, return_dict=True)["loss"]
    p = model(x).detach().double()
    p = p / p.sum(-1, keepdim=True)
    assert found == pytest.approx(-p[torch.arange(40), y].log().mean().item(), rel=1e-3)


def test_an_identity_at_the_end_hides_no_softmax():
    x, y = 100 * _x(40, 6), torch.arange(40) % 2
    plain = Sequential([Dense(2), Softmax()])
    plain(x)
    losses = []
    for model in (plain, Sequential([*copy.deepcopy(plain).layers, Identity()])):
        model.compile("sgd", "sparse_categorical_crossentropy")
        losses.append(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] > 17  # beyond what probabilities in float32 can say: it was computed from the logits


def test_the_loss_of_a_softmax_is_right_with_masked_time_steps_and_with_masked_classes():
    ids, y = torch.tensor([[1, 2, 0], [2, 1, 1]]), torch.tensor([[0, 1, 0], [2, 1, 0]])
    logits = _x(3, 3)
    steps = Sequential([Embedding(3, 3, weights=logits, mask_zero=True), Softmax()])
    steps.compile("sgd", "sparse_categorical_crossentropy")
    found = steps.evaluate(ids, y, verbose=0, return_dict=True)["loss"]
    there = F.cross_entropy(logits[ids][ids > 0], y[ids > 0])
    assert found == pytest.approx(there.item(), rel=1e-5)

    one = Input((3,))
    classes = Model(one, Softmax()(one, mask=torch.tensor([[True, True, False]])))
    classes.compile("sgd", "sparse_categorical_crossentropy")
    x, y = _x(4, 3), torch.tensor([0, 1, 1, 0])
    found = classes.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(F.cross_entropy(x[:, :2], y).item(), rel=1e-5)


def test_functions_of_kerastorch_are_written_into_the_config_of_a_lambda():
    layer = Lambda.from_config(Lambda(activations.relu, arguments={"max_value": 1.0}).get_config())
    assert torch.equal(layer(torch.tensor([-1.0, 0.5, 3.0])), torch.tensor([0.0, 0.5, 1.0]))


def test_the_reverse_direction_of_an_embedding_computes_in_its_own_dtype():
    layer = ReversibleEmbedding(5, 4, reverse_dtype="float64")
    y = torch.randn(2, 4)
    layer(torch.tensor([1]))
    logits = layer(y, reverse=True)
    assert logits.dtype == torch.float64
    torch.testing.assert_close(logits, y.double() @ layer.weight.double().T)
    assert ReversibleEmbedding.from_config(layer.get_config()).reverse_dtype == torch.float64
    with pytest.raises(ValueError, match="reverse_dtype must be a floating-point dtype"):
        ReversibleEmbedding(5, 4, reverse_dtype="int32")


class _OfDict(kt.layers.Layer):
    def build(self, input_shape):
        self.weight = self.add_weight((input_shape["a"][-1], input_shape["more"]["b"][-1]))

    def forward(self, data):
        return data["a"] @ self.weight @ data["more"]["b"].T


def test_a_layer_on_a_dict_is_built_by_a_dict_of_shapes():
    data = {"a": torch.randn(2, 3), "more": {"b": torch.randn(2, 4)}, "name": "none"}
    layer = _OfDict()
    assert layer(data).shape == (2, 2)
    assert layer.weight.shape == (3, 4)
    assert layer.built_on == ({"a": (2, 3), "more": {"b": (2, 4)}},)
    a, b = Input((3,)), Input((4,))
    model = Model([a, b], _OfDict()({"a": a, "more": {"b": b}}))
    assert model([data["a"], data["more"]["b"]]).shape == (2, 2)
    with pytest.raises(TypeError, match="takes a tensor, got dict"):
        _OfDict()({"name": "none"})
