"""Modules and loaders that accelerate and DistributedDataParallel have wrapped, in one process."""

import pytest
import torch
from support.foreign_case import ForeignCase, accuracy
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset


class WrappedCase(ForeignCase):
    compile_args = {"loss": nn.CrossEntropyLoss(), "metrics": ["accuracy"]}

    def net(self):
        return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))

    def loader(self, shuffle):
        generator = torch.Generator().manual_seed(3)
        rows = TensorDataset(torch.randn(26, 5, generator=generator), torch.arange(26) % 3)
        return DataLoader(rows, 8, shuffle, generator=generator)

    def hand_loss(self, net, batch):
        return nn.functional.cross_entropy(net(batch[0]), batch[1])

    def hand_outputs(self, net, batch):
        return net(batch[0])

    def hand_scores(self, net, batches):
        return {"accuracy": accuracy([net(x) for x, _ in batches], [y for _, y in batches])}

    def export_call(self, batch):
        return (batch[0],), {}


class TestDistributedDataParallel(WrappedCase):
    @pytest.fixture(autouse=True)
    def _group(self):
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        yield
        distributed.destroy_process_group()

    def make(self):
        return DistributedDataParallel(self.net())


class TestAccelerate(WrappedCase):
    """`prepare` is called for the module, the optimizer and the loaders, as in a script."""

    save_warning = "AcceleratedOptimizer is not one of torch.optim"

    @pytest.fixture(autouse=True)
    def _accelerator(self):
        accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed: make test-foreign")
        self.accelerator = accelerate.Accelerator(cpu=True)
        yield
        self.accelerator.free_memory()
        accelerate.state.AcceleratorState._reset_state(True)

    def make(self):
        return self.accelerator.prepare(self.net())

    def optimizer(self, net):
        return self.accelerator.prepare(super().optimizer(net))

    def loader(self, shuffle):
        return self.accelerator.prepare(super().loader(shuffle))
