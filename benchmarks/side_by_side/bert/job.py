"""A small BERT with random weights, whose batches are dicts with the labels in them."""

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BertConfig, BertForSequenceClassification

EPOCHS = 3


class Sentences(Dataset):
    """Rows of token numbers; the label says whether the first half has more large numbers than the second."""

    def __init__(self, count, seed):
        self.tokens = torch.randint(1, 50, (count, 12), generator=torch.Generator().manual_seed(seed))
        self.labels = (self.tokens[:, :6].sum(1) > self.tokens[:, 6:].sum(1)).long()

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        return {
            "input_ids": self.tokens[index],
            "attention_mask": torch.ones(12, dtype=torch.long),
            "labels": self.labels[index],
        }


train_data, val_data = Sentences(160, seed=0), Sentences(40, seed=1)
train_loader, val_loader = DataLoader(train_data, batch_size=20), DataLoader(val_data, batch_size=40)


def make_net():
    """Make the network, always with the same weights."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForSequenceClassification(config)
