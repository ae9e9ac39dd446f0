"""Networks for sequences as people bring them: language models, translation, forecasts; time often comes first."""

import math

import pytest
import torch
from support.foreign_case import ForeignCase, accuracy
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, TensorDataset

import kerastorch as kt

WORDS, COLUMNS, STEPS = 20, 4, 5


def seeded(number):
    return torch.Generator().manual_seed(number)


def ready(batches, shuffle=False):
    """A loader of batches that are made already."""
    return DataLoader(batches, batch_size=None, shuffle=shuffle, generator=seeded(1))


class Waves(nn.Module):
    """Two cells, one above the other, that predict the next value of a wave; then they go on by themselves."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTMCell(1, 6)
        self.second = nn.LSTMCell(6, 6)
        self.linear = nn.Linear(6, 1)

    def forward(self, values, future=0):
        hidden = [torch.zeros(values.shape[0], 6, dtype=values.dtype) for _ in range(4)]
        outputs = []
        steps = list(values.split(1, dim=1)) + [None] * future
        for step in steps:
            hidden[:2] = self.first(outputs[-1] if step is None else step, tuple(hidden[:2]))
            hidden[2:] = self.second(hidden[0], tuple(hidden[2:]))
            outputs.append(self.linear(hidden[2]))
        return torch.cat(outputs, dim=1)


class TestWavesWithLBFGSInFloat64(ForeignCase):
    compile_args = {"loss": nn.MSELoss()}

    def make(self):
        return Waves().double()

    def optimizer(self, net):
        return torch.optim.LBFGS(net.parameters(), lr=0.8, max_iter=4)

    def loader(self, shuffle):
        start = torch.randn(6, 1, generator=seeded(0), dtype=torch.float64)
        waves = torch.sin(torch.arange(20, dtype=torch.float64) / 3 + start)
        return DataLoader(TensorDataset(waves[:, :-1], waves[:, 1:]), 3)

    def hand_loss(self, net, batch):
        return F.mse_loss(net(batch[0]), batch[1])

    def hand_step(self, net, optimizer, batch):
        def closure():
            optimizer.zero_grad()
            loss = self.hand_loss(net, batch)
            loss.backward()
            return loss

        return optimizer.step(closure)

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def export_call(self, batch):
        return (batch[0],), {}


def endless():
    """Draw points of a polynomial for ever."""
    generator = seeded(3)
    while True:
        x = torch.randn(8, 1, generator=generator)
        powers = torch.cat([x**power for power in range(1, 5)], dim=1)
        yield powers, powers @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]) + 1


def test_an_endless_generator_trains_as_a_loop_over_its_first_batches():
    nets = [nn.Linear(4, 1), nn.Linear(4, 1)]
    nets[1].load_state_dict(nets[0].state_dict())
    model = kt.Model(nets[0])
    model.compile(torch.optim.SGD(nets[0].parameters(), 1e-3), nn.SmoothL1Loss())
    history = model.fit(endless(), epochs=2, steps_per_epoch=4, verbose=0).history
    optimizer, batches, losses = torch.optim.SGD(nets[1].parameters(), 1e-3), endless(), []
    for _ in range(8):
        x, y = next(batches)
        optimizer.zero_grad()
        loss = F.smooth_l1_loss(nets[1](x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))
    assert history["loss"] == pytest.approx([sum(losses[:4]) / 4, sum(losses[4:]) / 4])


def text_chunks():
    """Five steps of four texts side by side, and the words that follow them, flat."""
    text = torch.randint(0, WORDS, (4 * STEPS + 1, COLUMNS), generator=seeded(6))
    starts = range(0, 4 * STEPS, STEPS)
    return [(text[start : start + STEPS], text[start + 1 : start + STEPS + 1].flatten()) for start in starts]


class WordModel(nn.Module):
    """A recurrent language model with tied weights that takes and returns its state."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, 8)
        self.rnn = nn.LSTM(8, 8, 2, dropout=0.2)
        self.decoder = nn.Linear(8, WORDS)
        self.decoder.weight = self.encoder.weight

    def forward(self, words, state=None):
        steps, state = self.rnn(self.encoder(words), state)
        return self.decoder(steps).flatten(0, 1), state


@pytest.mark.filterwarnings("ignore:The tensor attributes self.rnn._flat_weights")  # torch, when it exports an LSTM
class TestLanguageModelWithItsStateBesideTheOutput(ForeignCase):
    compile_args = {"loss": [nn.CrossEntropyLoss(), None]}
    skips = {"predict": "states of (layers, batch, features) have no row for each word; tested below"}

    def make(self):
        return WordModel()

    def optimizer(self, net):
        return torch.optim.SGD(net.parameters(), lr=1.0)

    def loader(self, shuffle):
        return ready(text_chunks(), shuffle)

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch[0])[0], batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def export_call(self, batch):
        return (batch[0],), {}

    def export_signature(self, batch):
        return (STEPS, COLUMNS)  # torch.export unrolls the steps of an LSTM

    def test_predict_gives_the_words_beside_the_states(self):
        net, model = self.compiled()
        words, (hidden, cell) = model.predict(self.loader(False), verbose=0)
        net.eval()
        with torch.no_grad():
            expected = [net(batch[0]) for batch in text_chunks()]
        assert torch.allclose(torch.as_tensor(words), torch.cat([one for one, _ in expected]), atol=1e-6)
        assert torch.allclose(torch.as_tensor(hidden), torch.cat([state[0] for _, state in expected]), atol=1e-6)
        assert torch.allclose(torch.as_tensor(cell), torch.cat([state[1] for _, state in expected]), atol=1e-6)


class RememberingWordModel(WordModel):
    """It keeps its state for the next words in an attribute: backpropagation through time ends at each batch."""

    def __init__(self):
        super().__init__()
        self.state = None

    def forward(self, words):
        outputs, state = super().forward(words, self.state)
        self.state = tuple(part.detach() for part in state)
        return outputs


class TestLanguageModelThatRemembersItsState(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss()}
    skips = {
        "evaluate": "each pass begins with another state",
        "validation": "each pass begins with another state",
        "predict": "each pass begins with another state",
        "save": "each pass begins with another state",
        "export": "a program has no state that lasts",
    }

    def make(self):
        return RememberingWordModel()

    def optimizer(self, net):
        return torch.optim.SGD(net.parameters(), lr=1.0)

    def loader(self, shuffle):
        return ready(text_chunks())

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch[0]), batch[1])

    def export_call(self, batch):
        return (batch[0],), {}


class TruncatedBackpropagation(kt.Model):
    """The state goes from batch to batch, and begins anew in each epoch."""

    state = None

    def train_step(self, data):
        words, following = data
        outputs, state = self(words, self.state)
        loss = F.cross_entropy(outputs, following)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 0.25)
        self.optimizer.step()
        self.state = tuple(part.detach() for part in state)
        return {"loss": loss}


def test_truncated_backpropagation_in_an_own_step_trains_as_the_loop():
    torch.manual_seed(0)
    nets = [WordModel(), WordModel()]
    nets[1].load_state_dict(nets[0].state_dict())
    model = TruncatedBackpropagation(nets[0])
    model.compile(torch.optim.SGD(nets[0].parameters(), 1.0))
    torch.manual_seed(1)
    model.fit(ready(text_chunks()), epochs=2, verbose=0)
    torch.manual_seed(1)
    ready(text_chunks())
    optimizer, state = torch.optim.SGD(nets[1].parameters(), 1.0), None
    for _ in range(2):
        for words, following in ready(text_chunks()):
            outputs, state = nets[1](words, state)
            optimizer.zero_grad()
            F.cross_entropy(outputs, following).backward()
            nn.utils.clip_grad_norm_(nets[1].parameters(), 0.25)
            optimizer.step()
            state = tuple(part.detach() for part in state)
    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))


class Positions(nn.Module):
    """Add sines and cosines of the position to `(time, batch, features)`."""

    def __init__(self, features, longest=32):
        super().__init__()
        angles = torch.arange(longest)[:, None] * torch.exp(torch.arange(0, features, 2) * (-math.log(1e4) / features))
        self.register_buffer("table", torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, None])
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.dropout(x + self.table[: x.shape[0]])


class WordTransformer(nn.Module):
    """A language model of `nn.TransformerEncoder`, with time as the first axis."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, 8)
        self.positions = Positions(8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.decoder = nn.Linear(8, WORDS)

    def forward(self, words):
        mask = nn.Transformer.generate_square_subsequent_mask(words.shape[0])
        steps = self.body(self.positions(self.encoder(words) * math.sqrt(8)), mask)
        return F.log_softmax(self.decoder(steps), dim=-1).flatten(0, 1)


class TestLanguageModelOfTransformers(ForeignCase):
    compile_args = {"loss": nn.NLLLoss(), "metrics": ["accuracy"]}
    torch_refuses_export = True  # if the number of steps varies

    def make(self):
        return WordTransformer()

    def optimizer(self, net):
        return torch.optim.SGD(net.parameters(), lr=0.5)

    def loader(self, shuffle):
        return ready(text_chunks(), shuffle)

    def hand_loss(self, net, batch):
        return F.nll_loss(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(x) for x, _ in batches], [y for _, y in batches])}

    def rows(self, batch):
        return len(batch[1])

    def export_call(self, batch):
        return (batch[0],), {}


class Translator(nn.Module):
    """`nn.Transformer` that gets each mask as an argument."""

    def __init__(self):
        super().__init__()
        self.source_words = nn.Embedding(WORDS, 8)
        self.target_words = nn.Embedding(WORDS, 8)
        self.positions = Positions(8)
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, 0.1)
        self.generator = nn.Linear(8, WORDS)

    def forward(self, source, target, source_mask, target_mask, source_padding, target_padding, memory_padding):
        steps = self.transformer(
            self.positions(self.source_words(source)),
            self.positions(self.target_words(target)),
            source_mask,
            target_mask,
            None,
            source_padding,
            target_padding,
            memory_padding,
        )
        return self.generator(steps)


def sentence_pairs():
    """Batches of the seven arguments of the translator, and of the words to predict; 1 is padding."""
    sources = torch.randint(4, WORDS, (6, 12), generator=seeded(7))
    targets = torch.randint(4, WORDS, (7, 12), generator=seeded(8))
    sources[4:, ::3], targets[5:, ::2] = 1, 1
    batches = []
    for source, target in zip(sources.split(4, dim=1), targets.split(4, dim=1), strict=True):
        given = target[:-1]
        later = torch.ones(len(given), len(given), dtype=torch.bool).triu(1)
        none = torch.zeros(len(source), len(source), dtype=torch.bool)
        padding = (source == 1).T
        batches.append(((source, given, none, later, padding, (given == 1).T, padding), target[1:]))
    return batches


def word_loss(logits, words):
    return F.cross_entropy(logits.flatten(0, 1), words.flatten(), ignore_index=1)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # torch warns when it makes the encoder
class TestTranslatorOfSevenArguments(ForeignCase):
    compile_args = {"loss": word_loss}
    torch_refuses_export = True  # whether a mask is causal depends on its values

    def make(self):
        return Translator()

    def loader(self, shuffle):
        return ready(sentence_pairs(), shuffle)

    def hand_loss(self, net, batch):
        return word_loss(net(*batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(*batch[0])

    def rows(self, batch):
        return len(batch[1])

    def export_call(self, batch):
        return batch[0], {}


class Doubly(nn.Module):
    """A block of N-BEATS: what it explains of the past, and what it says of the future."""

    def __init__(self, past, future):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(past, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
        self.backcast = nn.Linear(16, past)
        self.forecast = nn.Linear(16, future)

    def forward(self, past):
        hidden = self.body(past)
        return self.backcast(hidden), self.forecast(hidden)


class NBeats(nn.Module):
    def __init__(self, past=10, future=4):
        super().__init__()
        self.blocks = nn.ModuleList(Doubly(past, future) for _ in range(3))

    def forward(self, past):
        forecast = 0
        for block in self.blocks:
            explained, more = block(past)
            past, forecast = past - explained, forecast + more
        return past, forecast


def forecast_loss(outputs, future):
    unexplained, forecast = outputs
    return F.mse_loss(forecast, future) + 0.1 * unexplained.square().mean()


class TestForecastWithALossOfBothOutputs(ForeignCase):
    compile_args = {"loss": forecast_loss}

    def make(self):
        return NBeats()

    def loader(self, shuffle):
        windows = torch.sin(torch.arange(50) / 3).unfold(0, 14, 1)
        dataset = TensorDataset(windows[:, :10], windows[:, 10:])
        return DataLoader(dataset, 8, shuffle, generator=seeded(1))

    def hand_loss(self, net, batch):
        return forecast_loss(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def export_call(self, batch):
        return (batch[0],), {}


class PackedReader(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, packed):
        return self.head(self.rnn(packed)[1][-1])


def series():
    lengths = (5, 3, 4, 2, 6, 3, 5, 4)
    return [(torch.randn(length, 3, generator=seeded(length)), torch.tensor(length % 2)) for length in lengths]


def pack(rows):
    return pack_sequence([x for x, _ in rows], enforce_sorted=False), torch.stack([y for _, y in rows])


class TestPackedSequences(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}
    skips = {"export": "torch.export takes tensors only", "plot": "a packed sequence has no shape to draw"}

    def make(self):
        return PackedReader()

    def loader(self, shuffle):
        return DataLoader(series(), 3, shuffle, collate_fn=pack, generator=seeded(1))

    def hand_loss(self, net, batch):
        return F.cross_entropy(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(x) for x, _ in batches], [y for _, y in batches])}

    def rows(self, batch):
        return len(batch[1])


class JaggedReader(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, rows):
        return self.head(torch.stack([row.mean(0) for row in torch.relu(self.body(rows)).unbind()]))


def jagged(rows):
    return torch.nested.nested_tensor([x for x, _ in rows], layout=torch.jagged), torch.stack([y for _, y in rows])


class TestNestedTensors(TestPackedSequences):
    skips = {"export": "torch.export takes no nested tensor", "plot": "a nested tensor has no shape to draw"}

    def make(self):
        return JaggedReader()

    def loader(self, shuffle):
        return DataLoader(series(), 3, shuffle, collate_fn=jagged, generator=seeded(1))
