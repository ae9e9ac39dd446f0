"""Attention: rows that attend to nothing, dropout, kernels against the written-out softmax, errors, a Transformer."""

import numpy as np
import pytest
import torch
from support.layer_rows.row import numbers
from torch import nn

import kerastorch as kt
from kerastorch import Input
from kerastorch.layers import AdditiveAttention, Attention, Dense, Dropout, GroupQueryAttention, MultiHeadAttention

GRID = numbers(2, 3, 4, 6)


def test_torchs_multihead_attention_gives_the_same_with_the_same_weights():
    x, y = numbers(3, 4, 8), numbers(3, 6, 8, seed=2)
    layer = MultiHeadAttention(2, 4, bias_initializer="random_normal")
    found, scores = layer(x, y, return_attention_scores=True)
    plain = nn.MultiheadAttention(8, 2, batch_first=True)
    parts = [layer.query, layer.key, layer.value]
    weights = {
        "in_proj_weight": torch.cat([part.weight for part in parts]),
        "in_proj_bias": torch.cat([part.bias for part in parts]),
        "out_proj.weight": layer.attention_output.weight,
        "out_proj.bias": layer.attention_output.bias,
    }
    plain.load_state_dict(weights)
    expected, right = plain(x, y, y, average_attn_weights=False)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(scores, right)
    torch.testing.assert_close(layer(x, y), expected)
    found.sin().sum().backward()
    expected.sin().sum().backward()
    grads = torch.cat([part.weight.grad for part in parts])
    torch.testing.assert_close(grads, plain.in_proj_weight.grad)


def test_its_weights_go_into_linear_layers():
    layer = MultiHeadAttention(2, 3)
    layer(numbers(3, 4, 8), numbers(3, 4, 8))
    assert {name: tuple(p.shape) for name, p in layer.named_parameters() if "weight" in name} == {
        "query.weight": (6, 8),
        "key.weight": (6, 8),
        "value.weight": (6, 8),
        "attention_output.weight": (8, 6),
    }


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [lambda: MultiHeadAttention(2, 4, dropout=0.2), lambda: GroupQueryAttention(4, 4, 2)])
def test_a_row_that_attends_to_nothing_gives_the_bias_and_no_nan(make, training):
    x = numbers(2, 3, 8).requires_grad_()
    layer = make().train(training)
    layer(x, x)
    with torch.no_grad():
        layer.attention_output.bias.fill_(3.0)
    mask = torch.tensor([[True, True, True], [False, False, False]])
    for scores in (False, True):
        found = layer(x, x, value_mask=mask, return_attention_scores=scores)
        found = found[0] if scores else found
        torch.testing.assert_close(found[1], torch.full((3, 8), 3.0))
        grads = torch.autograd.grad(found.sum(), [x, *layer.parameters()], allow_unused=True)
        assert all(g is None or g.isfinite().all() for g in grads)


@pytest.mark.parametrize("make", [Attention, AdditiveAttention])
def test_alone_a_query_that_attends_to_nothing_gets_the_mean_of_the_values(make):
    q, v = numbers(2, 3, 4), numbers(2, 5, 4, seed=2)
    found = make()([q, v], mask=[None, torch.zeros(2, 5, dtype=torch.bool)])
    torch.testing.assert_close(found, v.mean(1, keepdim=True).expand(2, 3, 4))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "make", [lambda: MultiHeadAttention(2, 4), lambda: GroupQueryAttention(4, 4, 2, sliding_window=3)]
)
def test_the_kernel_gives_what_the_written_out_softmax_gives(make, causal):
    x, y = numbers(3, 4, 8), numbers(3, 6, 8, seed=2)
    layer = make()
    mask = numbers(3, 4, 6) > -0.5
    for given in (None, mask, mask.unsqueeze(1), mask[0], mask.float()):
        one = layer(x, y, attention_mask=given, use_causal_mask=causal)
        other, weights = layer(x, y, attention_mask=given, use_causal_mask=causal, return_attention_scores=True)
        torch.testing.assert_close(one, other)
        totals = weights.sum(-1)
        torch.testing.assert_close(totals, (totals > 0.5).to(totals.dtype))


def test_dropout_with_a_seed_repeats_and_drops_weights():
    x = numbers(3, 4, 8)
    layers = [MultiHeadAttention(2, 4, dropout=0.5, seed=3) for _ in range(2)]
    for layer in layers:
        layer.ensure_built(x.shape)
        layer.eval()(x, x)
        layer.train()
    layers[1].load_state_dict(layers[0].state_dict())
    torch.testing.assert_close(layers[0](x, x), layers[1](x, x))
    q, v = torch.zeros(50, 20, 4), torch.eye(10, 4).expand(50, 10, 4).contiguous()
    for seed in (None, 1):
        y = Attention(dropout=0.5, seed=seed)([q, v])  # weights are 0 or 2 / 10
        assert set((y * 10).round().unique().tolist()) == {0.0, 2.0}
        assert abs(y.mean() - 0.1) < 0.02


def test_masks_of_symbols_are_found():
    x, y = Input((4, 8)), Input((6, 8))
    x.mask, y.mask = Input((4,), torch.bool), Input((6,), torch.bool)
    layer = MultiHeadAttention(2, 4)
    out = layer(x, y)
    assert out.mask is x.mask
    assert out.kwargs == {"query_mask": x.mask, "value_mask": y.mask}
    x.mask = None
    assert Attention()([x, y]).mask is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: MultiHeadAttention(0, 4), ValueError, "num_heads must be an integer >= 1"),
        (lambda: MultiHeadAttention(2, 4, attention_axes=0), ValueError, "not 0"),
        (lambda: MultiHeadAttention(2, 4, attention_axes=2)(GRID[0], GRID[0]), ValueError, "has the features"),
        (lambda: MultiHeadAttention(2, 4, attention_axes=3)(GRID, GRID), ValueError, "has the features"),
        (lambda: MultiHeadAttention(2, 4, attention_axes=7)(GRID, GRID), ValueError, "no axis 7"),
        (lambda: MultiHeadAttention(2, 4, attention_axes=1)(GRID, GRID[:, :, :2]), ValueError, "same sizes"),
        (lambda: MultiHeadAttention(2, 4)(GRID, GRID, use_causal_mask=True), ValueError, "no order of time steps"),
        (lambda: MultiHeadAttention(2, 4, flash_attention=True), ValueError, "sdpa_kernel"),
        (lambda: MultiHeadAttention(2, 4, sliding_window=0), ValueError, "sliding_window must be an integer >= 1"),
        (lambda: MultiHeadAttention(2, 4)(torch.zeros(2, 4), torch.zeros(2, 4)), ValueError, r"\(batch, time"),
        (lambda: GroupQueryAttention(4, 4, 3), ValueError, "num_key_value_heads must be a divisor"),
        (lambda: Attention(score_mode="mul"), ValueError, "Unknown score_mode 'mul'.* Known: concat, dot"),
        (lambda: Attention()([torch.zeros(2, 3, 4)]), TypeError, r"takes a list, \[query, value\].*got 1 of them"),
        (lambda: Attention()(torch.zeros(2, 3, 4)), TypeError, r"takes a list, \[query, value\].*got Tensor"),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_penalties_reach_the_projections():
    x = numbers(8, 4, 6)
    layer = MultiHeadAttention(2, 3, kernel_regularizer="l2", activity_regularizer="l1", bias_constraint="non_neg")
    layer(x, x)
    assert layer.query.weight_regularizers
    assert layer.attention_output.weight_constraints
    assert layer.key.activity_regularizer is not None
    assert layer.attention_output.activity_regularizer is None  # the layer's own is on the same numbers


class Block(nn.Module):
    """As Keras' guides write it."""

    def __init__(self, size, heads, hidden, rate=0.1):
        super().__init__()
        self.att = MultiHeadAttention(heads, size // heads)
        self.ffn = kt.Sequential([Dense(hidden, "relu"), Dense(size)])
        self.norm1, self.norm2 = nn.LayerNorm(size, 1e-6), nn.LayerNorm(size, 1e-6)
        self.drop1, self.drop2 = Dropout(rate), Dropout(rate)

    def forward(self, x):
        x = self.norm1(x + self.drop1(self.att(x, x)))
        return self.norm2(x + self.drop2(self.ffn(x)))


class Classifier(kt.Model):
    def __init__(self):
        super().__init__()
        self.block = Block(16, 2, 32)
        self.embed, self.head = nn.Linear(3, 16), Dense(1, "sigmoid")

    def forward(self, x):
        return self.head(self.block(self.embed(x)).mean(1))


def test_a_transformer_block_as_in_keras_guides_trains_in_fit():
    kt.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(256, 6, 3)).astype("float32")
    y = (x.max(1)[:, 0] > 1.2).astype("float32")
    model = Classifier()
    model.compile(kt.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=15, verbose=0).history
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert history["accuracy"][-1] > 0.85
    assert model.predict(x[:3], verbose=0).shape == (3, 1)


# --- more than three axes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MultiHeadAttention, GroupQueryAttention])
def test_attention_over_all_axes_is_that_over_their_product(kind):
    torch.manual_seed(0)
    layer = kind(2, 4) if kind is MultiHeadAttention else kind(4, 4, 2)
    output, weights = layer(GRID, GRID, return_attention_scores=True)
    flat, flat_weights = layer(GRID.flatten(1, 2), GRID.flatten(1, 2), return_attention_scores=True)
    torch.testing.assert_close(output, flat.view_as(output))
    assert weights.shape == (2, layer._n_query_heads, 3, 4, 3, 4)
    torch.testing.assert_close(weights.flatten(2, 3).flatten(3, 4), flat_weights)


@pytest.mark.parametrize(("attended", "other"), [(1, 2), (2, 1), (-2, 1), ((2,), 1)])
@pytest.mark.parametrize("options", [{}, {"use_gate": True, "output_shape": (2, 3)}, {"sliding_window": 2}])
def test_attention_over_one_axis_is_that_of_each_slice(attended, other, options):
    torch.manual_seed(0)
    layer = MultiHeadAttention(2, 4, attention_axes=attended, **options)
    mask = torch.rand(2, 3, 4) > 0.3
    found, weights = layer(
        GRID, GRID, query_mask=mask, value_mask=mask, use_causal_mask=True, return_attention_scores=True
    )
    plain = MultiHeadAttention(2, 4, **options)
    plain(GRID[:, 0], GRID[:, 0])
    plain.load_state_dict(layer.state_dict())
    for index, (x, keep) in enumerate(zip(GRID.unbind(other), mask.unbind(other), strict=True)):
        expected, expected_weights = plain(
            x, x, query_mask=keep, value_mask=keep, use_causal_mask=True, return_attention_scores=True
        )
        torch.testing.assert_close(found.select(other, index), expected)
        torch.testing.assert_close(weights[:, index], expected_weights)


def test_a_mask_of_the_attended_axis_alone_holds_for_all_others():
    torch.manual_seed(0)
    layer = MultiHeadAttention(2, 4, attention_axes=1)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    found = layer(GRID, GRID, value_mask=mask)
    torch.testing.assert_close(found, layer(GRID, GRID, value_mask=mask[:, :, None].expand(2, 3, 4)))
    torch.testing.assert_close(found, layer(GRID, GRID, attention_mask=mask[:, None].expand(2, 3, 3)))
    assert not torch.allclose(found, layer(GRID, GRID))


def test_a_functional_model_attends_over_rows_is_saved_and_loaded(tmp_path):
    inputs = kt.Input((3, 4, 6))
    x = MultiHeadAttention(2, 4, attention_axes=1)(inputs, inputs)
    x = MultiHeadAttention(2, 4, attention_axes=(2,))(x, x)
    model = kt.Model(inputs, x)
    assert x.shape[1:] == (3, 4, 6)
    model.save(tmp_path / "grid.kt")
    torch.testing.assert_close(kt.load_model(tmp_path / "grid.kt")(GRID), model(GRID))
