"""Attention refuses keys, values and masks of different lengths, which torch's kernels take in silence."""

import pytest
import torch

from kerastorch import Input, layers

Q, V, K = torch.randn(2, 5, 8), torch.randn(2, 7, 8), torch.randn(2, 4, 8)
SEVERAL = {
    "MultiHeadAttention": lambda **k: layers.MultiHeadAttention(2, 4, **k),
    "GroupQueryAttention": lambda **k: layers.GroupQueryAttention(4, 4, 2, **k),
}
ALONE = {
    "Attention": layers.Attention,
    "Attention, concat": lambda **k: layers.Attention(score_mode="concat", **k),
    "AdditiveAttention": layers.AdditiveAttention,
}


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("make", SEVERAL.values(), ids=list(SEVERAL))
def test_heads_refuse_a_key_that_is_longer_or_shorter_than_the_value(make, scores):
    with pytest.raises(ValueError, match=r"value has shape \(2, 7, 8\), key \(2, 4, 8\), which are 7 and 4 steps"):
        make()(Q, V, K, return_attention_scores=scores)
    with pytest.raises(ValueError, match="7 and 4 steps"):
        make()(Input((5, 8)), Input((7, 8)), Input((4, 8)))
    make()(Q, V, torch.randn(2, 7, 8))


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("make", ALONE.values(), ids=list(ALONE))
def test_attention_without_heads_refuses_it_too(make, scores):
    with pytest.raises(ValueError, match="7 and 4 steps"):
        make()([Q, V, K], return_attention_scores=scores)
    make()([Q, V, torch.randn(2, 7, 8)])


@pytest.mark.parametrize("make", SEVERAL.values(), ids=list(SEVERAL))
@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("query_mask", (2, 7), (2, 5)),
        ("query_mask", (2, 1), (2, 5)),
        ("value_mask", (2, 5), (2, 7)),
        ("key_mask", (2, 1), (2, 7)),
        ("attention_mask", (2, 7, 5), (2, 5, 7)),
        ("attention_mask", (7,), (5, 7)),
        ("attention_mask", (5, 6), (1, 7)),
    ],
)
def test_heads_refuse_masks_of_another_length(make, name, wrong, right):
    with pytest.raises(ValueError, match=rf"got {name} of shape .*query of shape \(2, 5, 8\) and a value of shape"):
        make()(Q, V, **{name: torch.ones(wrong, dtype=torch.bool)})
    make()(Q, V, **{name: torch.ones(right, dtype=torch.bool)})


@pytest.mark.parametrize("make", ALONE.values(), ids=list(ALONE))
def test_attention_without_heads_refuses_masks_of_another_length(make):
    five, seven = torch.ones(2, 5, dtype=torch.bool), torch.ones(2, 7, dtype=torch.bool)
    make()([Q, V], mask=[five, seven])
    for mask in ([seven, None], [None, five]):
        with pytest.raises(ValueError, match="which must be"):
            make()([Q, V], mask=mask)


@pytest.mark.parametrize("make", ALONE.values(), ids=list(ALONE))
@pytest.mark.parametrize("shape", [(2, 1, 7), (3, 7), (7,)])
def test_masks_of_another_rank_or_batch_are_refused(make, shape):
    with pytest.raises(ValueError, match=r"which must be \(2, 7\)"):
        make()([Q, V], mask=[None, torch.ones(shape, dtype=torch.bool)])
