"""What each process of `distributed.py` does: hand-written loops and kerastorch, on its part of each batch."""

import sys
import time
from dataclasses import replace

import torch
from contenders.base import ADAM
from nets_torch import NETS
from tasks import TASKS, data
from torch import distributed, nn

CONTENDERS = {
    "hand": "a hand-written loop in one process",
    "kerastorch": "fit in one process",
    "hand alone": "the hand-written loop in each process, on its rows, without communication",
    "kerastorch alone": "fit in each process, on its rows, with distribution=None",
    "DDP": "the hand-written loop with DistributedDataParallel",
    "DataParallel": "fit with kt.distribution.DataParallel()",
    "FSDP2": "the hand-written loop with fully_shard on each layer",
    "FullyShard": "fit with kt.distribution.FullyShard()",
}
ONE_PROCESS = ("hand", "kerastorch")
SEVERAL = tuple(name for name in CONTENDERS if name not in ONE_PROCESS)
_works = {}  # of this process, so that a round begins with memory and connections that are warm


class HandLoop:
    """The loop of somebody who has measured: batches by index, fused Adam, the loss summed on the device."""

    def __init__(self, x, y, net, batch, rank=0, world=1):
        self.x, self.y, self.net, self.batch = x, y, net, batch
        self.rank, self.world = rank, world
        self.optimizer = torch.optim.Adam(net.parameters(), **ADAM, fused=True)
        self.loss = nn.CrossEntropyLoss()
        self.generator = torch.Generator().manual_seed(0)

    def fit(self, epochs):
        """Train; return the seconds of each epoch, and the last loss."""
        seconds = []
        self.net.train()
        for _ in range(epochs):
            began = time.perf_counter()
            total = torch.zeros(())
            batches = torch.randperm(len(self.x), generator=self.generator).split(self.batch)
            for rows in batches:
                own = rows.tensor_split(self.world)[self.rank]
                self.optimizer.zero_grad()
                loss = self.loss(self.net(self.x[own]), self.y[own])
                loss.backward()
                self.optimizer.step()
                total += loss.detach()
            if self.world > 1:
                distributed.all_reduce(total)
            last = total.item() / len(batches) / self.world
            seconds.append(time.perf_counter() - began)
        return seconds, last


class Fit:
    """kerastorch's `fit`, with a callback that takes the time of each epoch."""

    def __init__(self, x, y, net, batch, distribution):
        import kerastorch as kt

        class Clock(kt.callbacks.Callback):
            """Takes the time of each epoch."""

            every_rank = True

            def on_train_begin(self, logs=None):
                self.seconds = []

            def on_epoch_begin(self, epoch, logs=None):
                self.began = time.perf_counter()

            def on_epoch_end(self, epoch, logs=None):
                self.seconds.append(time.perf_counter() - self.began)

        self.x, self.y, self.batch, self.clock = x, y, batch, Clock()
        self.model = kt.Model(net)
        self.model.compile("adam", "cross_entropy", distribution=distribution)  # with the settings of ADAM

    def fit(self, epochs):
        """Train; return the seconds of each epoch, and the last loss."""
        history = self.model.fit(
            self.x, self.y, batch_size=self.batch, epochs=epochs, verbose=0, callbacks=[self.clock]
        )
        return self.clock.seconds, history.history["loss"][-1]


def prepare(contender, name, batch, steps):
    """Make the data and the model of a contender.

    Args:
        contender: A name in `CONTENDERS`.
        name: A name in `tasks.TRAINING`.
        batch: Rows of a batch, of all processes together.
        steps: Batches of an epoch.
    """
    task = replace(TASKS[name], rows=batch * steps)
    x, y = map(torch.from_numpy, data(task))
    if task.net == "conv":
        x = x.unsqueeze(1)
    torch.manual_seed(0)
    net = NETS[task.net](task.classes)
    world = distributed.get_world_size() if distributed.is_initialized() else 1
    rank = distributed.get_rank() if world > 1 else 0
    own_batch = batch
    if contender.endswith("alone"):
        own = slice(rank * len(x) // world, (rank + 1) * len(x) // world)
        x, y, own_batch = x[own], y[own], batch // world
    _works[contender, name, batch] = _make(contender, x, y, net, own_batch, rank, world)


def _make(contender, x, y, net, batch, rank, world):
    if contender in ("hand", "hand alone"):
        return HandLoop(x, y, net, batch)
    if contender in ("kerastorch", "kerastorch alone"):
        return Fit(x, y, net, batch, None)
    if contender == "DDP":
        return HandLoop(x, y, nn.parallel.DistributedDataParallel(net), batch, rank, world)
    if contender == "FSDP2":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (world,))
        for layer in net:
            if next(layer.parameters(), None) is not None:
                fully_shard(layer, mesh=mesh)
        return HandLoop(x, y, fully_shard(net, mesh=mesh), batch, rank, world)
    import kerastorch as kt

    return Fit(x, y, net, batch, getattr(kt.distribution, contender)())


def work(contender, name, batch, epochs):
    """Train for some epochs; return the seconds of each, the last loss, and bytes received on loopback."""
    if distributed.is_initialized():
        distributed.barrier()
    before = loopback_bytes()
    seconds, loss = _works[contender, name, batch].fit(epochs)
    if distributed.is_initialized():
        distributed.barrier()
    after = loopback_bytes()
    return {"seconds": seconds, "loss": loss, "bytes": None if before is None else after - before}


def forget():
    """Drop the models of this process."""
    _works.clear()


def count_calls(contender, name, batch):
    """Return how many functions Python calls in the main thread in an epoch, those of C included.

    The difference of two epochs and one leaves out what only the first one does.
    """
    made, found = _works[contender, name, batch], []
    for epochs in (1, 2):
        calls = 0

        def count(_frame, event, _arg):
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            made.fit(epochs)
        finally:
            sys.setprofile(None)
        found.append(calls)
    return found[1] - found[0]


def all_reduce_seconds(size, repeats):
    """Return the seconds of each of several all-reduces of `size` bytes that nothing else accompanies."""
    tensor = torch.ones(max(1, size // 4))
    seconds = []
    for _ in range(repeats + 2):
        distributed.barrier()
        began = time.perf_counter()
        distributed.all_reduce(tensor)
        seconds.append(time.perf_counter() - began)
        tensor.fill_(1.0)
    return seconds[2:]


def gradient_bytes(name):
    """Return the bytes of the gradients of a task's model."""
    return sum(weight.nbytes for weight in NETS[TASKS[name].net](TASKS[name].classes).parameters())


def loopback_bytes():
    """Return the bytes that all processes of this machine have received on loopback; `None` if it is unknown."""
    try:
        with open("/proc/net/dev") as lines:
            return next(int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:"))
    except (OSError, StopIteration):
        return None
