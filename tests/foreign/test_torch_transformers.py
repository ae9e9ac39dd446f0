"""Modules around `nn.Transformer` and `nn.TransformerEncoder`, with masks of booleans."""

import torch
from support.foreign_case import CompiledStepsCase, ForeignCase, accuracy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

WORDS, LENGTH = 20, 7


def sentences(number=26):
    """Return token numbers of shape `(number, LENGTH)` that end in padding, which is 0."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, WORDS, (number, LENGTH), generator=generator)
    lengths = torch.randint(3, LENGTH + 1, (number, 1), generator=generator)
    return tokens.masked_fill(torch.arange(LENGTH) >= lengths, 0)


class Classifier(nn.Module):
    """An encoder that looks at what is not padding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(4, 16)
        encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(encoder, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, features, padding):
        steps = self.encoder(self.embedding(features), src_key_padding_mask=padding)
        return self.head(steps.masked_fill(padding.unsqueeze(-1), 0).sum(1))


class TestEncoderWithPaddingMask(CompiledStepsCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}

    def make(self):
        return Classifier()

    def loader(self, shuffle):
        padding = sentences() == 0
        generator = torch.Generator().manual_seed(4)
        features = torch.randn(*padding.shape, 4, generator=generator)
        rows = list(zip(features, padding, (~padding).sum(1) % 3, strict=True))

        def collate(samples):
            features, padding, labels = map(torch.stack, zip(*samples, strict=True))
            return (features, padding), labels

        return DataLoader(rows, 8, shuffle, collate_fn=collate, generator=generator)

    def hand_loss(self, net, batch):
        inputs, labels = batch
        return nn.functional.cross_entropy(net(*inputs), labels)

    def hand_outputs(self, net, batch):
        return net(*batch[0])

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(*x) for x, _ in batches], [y for _, y in batches])}

    def export_call(self, batch):
        return batch[0], {}


class Translator(nn.Module):
    """`nn.Transformer` from words to words."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 16, padding_idx=0)
        self.transformer = nn.Transformer(16, 2, 1, 1, 32, dropout=0.1, batch_first=True)
        self.head = nn.Linear(16, WORDS)

    def forward(self, source, target):
        padding = source == 0
        steps = self.transformer(
            self.embedding(source),
            self.embedding(target),
            tgt_mask=torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1),
            src_key_padding_mask=padding,
            tgt_key_padding_mask=target == 0,
            memory_key_padding_mask=padding,
        )
        return self.head(steps)


def next_word_loss(y_true, y_pred):
    return nn.functional.cross_entropy(y_pred.flatten(0, 1), y_true.flatten(), ignore_index=0)


class TestTransformerWithMasks(ForeignCase):
    """The loss is a function, so that batches count by their rows."""

    compile_args = {"loss": next_word_loss}
    torch_refuses_export = True  # masks of a decoder are compared by value

    def make(self):
        return Translator()

    def loader(self, shuffle):
        source = sentences()
        first = torch.full((len(source), 1), WORDS - 1)
        rows = TensorDataset(source, torch.cat([first, source[:, :-1]], 1), source)

        def collate(samples):
            source, target, words = map(torch.stack, zip(*samples, strict=True))
            return (source, target), words

        return DataLoader(rows, 8, shuffle, collate_fn=collate, generator=torch.Generator().manual_seed(4))

    def hand_loss(self, net, batch):
        inputs, words = batch
        return next_word_loss(words, net(*inputs))

    def hand_outputs(self, net, batch):
        return net(*batch[0])

    def export_call(self, batch):
        return batch[0], {}
