"""A training on arrays that is broken off within an epoch goes on at the right row."""

import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import BackupAndRestore, Callback
from kerastorch.data.batches import ArrayBatches, Batch
from kerastorch.data.rank_arrays import RankArrayBatches
from kerastorch.data.rank_shard import RowShard

_SIZE = 4


class _Notes(kt.Model):
    """Notes which rows each step is made on."""

    def __init__(self, notes):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.__dict__["notes"] = notes

    def forward(self, x):
        return self.linear(x)

    def train_step(self, batch):
        self.notes.append([int(row) for row in batch.x[:, 0]])
        return super().train_step(batch)

    def get_extra_state(self):
        return {}  # the notes need not be kept

    def set_extra_state(self, state):
        pass


class _Stop(Callback):
    """Ctrl-C, or the end of the process, in one of the steps."""

    state_attributes = ()

    def __init__(self, step, presses):
        self.step, self.presses, self.seen = step, presses, 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.step:
            if self.presses:
                os.kill(os.getpid(), signal.SIGINT)
            else:
                raise KeyboardInterrupt


def _rows_of(rows, epochs, steps=None):
    """What a loop over slices sees, in `epochs` passes or in epochs of `steps` that go on in a pass."""
    slices = [list(rows[at : at + _SIZE]) for at in range(0, len(rows), _SIZE)]
    return slices * epochs if steps is None else (slices * epochs)[: steps * epochs]


@pytest.mark.parametrize("presses", [False, True], ids=["killed", "Ctrl-C"])
@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, _rows_of(range(18), 2)),
        ({"validation_split": 0.25}, _rows_of(range(13), 2)),
        ({"steps_per_epoch": 3}, _rows_of(range(18), 3, 3)),
        ({"steps_per_epoch": 3, "validation_split": 0.25}, _rows_of(range(13), 3, 3)),
    ],
    ids=["arrays", "split", "steps", "steps and split"],
)
def test_each_row_is_trained_on_as_if_nothing_had_happened(arguments, expected, step, presses, tmp_path):
    x = np.arange(18, dtype="float32")[:, None]
    epochs = 3 if "steps_per_epoch" in arguments else 2
    notes = []

    def run(*callbacks):
        torch.manual_seed(0)
        model = _Notes(notes)
        model.compile("sgd", "mse")
        backup = BackupAndRestore(tmp_path, save_freq=1)
        model.fit(x, np.zeros_like(x), _SIZE, epochs, 0, [*callbacks, backup], shuffle=False, **arguments)

    with pytest.raises(KeyboardInterrupt):
        run(_Stop(step, presses))
    # a step whose checkpoint was not written any more is made again
    assert notes == expected[:step]
    kept = step if presses else step - 1
    del notes[kept:]
    run()
    assert notes == expected


@pytest.mark.parametrize("rows", [3, 8, 19, 400])
@pytest.mark.parametrize("some", [False, True], ids=["all rows", "some rows"])
def test_batches_from_any_place_are_the_last_of_all(rows, some):
    data = Batch(torch.arange(rows)[:, None].expand(rows, 600).contiguous(), torch.arange(rows), None)
    chosen = torch.arange(rows).flip(0) if some else None
    batches = ArrayBatches(data, 2, False, 0, rows=chosen)
    order = list(range(rows)) if chosen is None else chosen.tolist()
    for start in range(-(-rows // 2) + 1):
        found = [row for batch in batches.epoch(0, start) for row in batch.y.tolist()]
        assert found == order[2 * start :]


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
@pytest.mark.parametrize("start", [1, 15, 16, 17, 38])
@pytest.mark.parametrize("shard", [None, RowShard(0, 2), RowShard(1, 2)])
def test_batches_of_a_resumed_pass_have_the_same_place_in_memory(shuffle, start, shard):
    """Sums over unaligned memory are added in another order: batches of 5 rows ended with other bits after a resume."""
    data = Batch(torch.arange(195 * 6.0).reshape(195, 6), torch.arange(195), None)
    options = {} if shard is None else {"shard": shard}
    batches = (ArrayBatches if shard is None else RankArrayBatches)(data, 5, shuffle, 3, **options)
    whole = list(batches.epoch(2))[start:]
    rest = list(batches.epoch(2, start))
    assert len(rest) == len(whole) == 39 - start
    for one, two in zip(rest, whole, strict=True):
        assert torch.equal(one.x, two.x)
        assert torch.equal(one.y, two.y)
        assert one.x.storage_offset() == two.x.storage_offset()
        assert getattr(one, "share", None) == getattr(two, "share", None)
