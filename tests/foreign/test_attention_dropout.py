"""Monte Carlo dropout of language models, whose attention passes its rate to a kernel."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt


def by_hand(module, x, samples):
    """Return outputs in training mode; the modules have no other behaviour in it than dropout."""
    trained = copy.deepcopy(module).train()
    torch.manual_seed(7)
    with torch.no_grad():
        return torch.stack([trained(x) for _ in range(samples)]).numpy()


def predicted(module, x, samples):
    kt.utils.set_random_seed(7)
    return kt.Model(module).predict(x, batch_size=len(x), verbose=0, mc_dropout=samples)


class Logits(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, input_ids):
        return self.net(input_ids=input_ids).logits


def language_models():
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    gpt2 = transformers.GPT2Config(
        vocab_size=20, n_embd=16, n_layer=2, n_head=2, n_positions=16, attn_pdrop=0.4, resid_pdrop=0.0, embd_pdrop=0.0
    )
    bert = transformers.BertConfig(
        **sizes, intermediate_size=32, attention_probs_dropout_prob=0.4, hidden_dropout_prob=0.1
    )
    llama = transformers.LlamaConfig(**sizes, intermediate_size=32, attention_dropout=0.4)
    return {
        "gpt2": lambda: transformers.GPT2LMHeadModel(gpt2),
        "bert": lambda: transformers.BertForSequenceClassification(bert),
        "llama": lambda: transformers.LlamaForCausalLM(llama),
    }


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_attention_of_a_language_model_drops_as_in_training(name):
    torch.manual_seed(0)
    module = Logits(language_models()[name]())
    tokens = torch.randint(0, 20, (3, 6))
    found = predicted(module, tokens, 3)
    np.testing.assert_allclose(found, by_hand(module, tokens, 3), rtol=1e-4, atol=1e-5)
    assert found.std(0).max() > 1e-4
