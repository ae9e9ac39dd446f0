"""Small random models of Hugging Face, a tokenizer made without a file, and the base of their cases."""

import torch
from torch.utils.data import DataLoader

from support.foreign_case import ForeignCase
from support.optional import optional

transformers = optional("transformers")

WORDS = 42
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def token_rows(number=26, longest=11):
    """Return lists of token numbers of several lengths."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(4, longest, (number,), generator=generator).tolist()
    return [torch.randint(2, WORDS, (length,), generator=generator).tolist() for length in lengths]


def tokenizer():
    """Return a tokenizer of made-up words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {name: at for at, name in enumerate(["[PAD]", "[UNK]", *(f"w{at}" for at in range(WORDS - 2))])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]")


def bert_config(**more):
    return transformers.BertConfig(vocab_size=WORDS, max_position_embeddings=16, **SMALL, **more)


class HuggingFaceCase(ForeignCase):
    """A model that returns its loss, and batches that hold the labels."""

    compile_args = {"loss": "model"}

    def samples(self):
        """Return the rows of a dataset, as dicts."""
        raise NotImplementedError

    def collator(self):
        """Return the function that makes batches of rows."""
        raise NotImplementedError

    def loader(self, shuffle):
        generator = torch.Generator().manual_seed(5)
        return DataLoader(self.samples(), 8, shuffle, collate_fn=self.collator(), generator=generator)

    def rows(self, batch):
        return len(next(iter(batch.values())))

    def hand_loss(self, net, batch):
        return net(**batch).loss

    def hand_outputs(self, net, batch):
        return {"logits": net(**batch).logits}

    def export_signature(self, batch):
        """The length of the batch: `fit` saw several."""
        return {name: value for name, value in batch.items() if name != "labels"}

    def export_call(self, batch):
        return tuple(self.export_signature(batch).values()), {}


class BertCase(HuggingFaceCase):
    """BERT that classifies rows of several lengths."""

    skips = {"export": "TestBert exports the same module, which takes long"}

    def make(self):
        return transformers.BertForSequenceClassification(bert_config(num_labels=3))

    def samples(self):
        return [{"input_ids": row, "label": len(row) % 3} for row in token_rows()]

    def collator(self):
        return transformers.DataCollatorWithPadding(tokenizer())
