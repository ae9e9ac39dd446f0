"""A small network, whole or sharded by `fully_shard`, with rows of which each rank takes its own."""

import torch
from torch import nn

ROWS, BATCH, STEPS = 40, 8, 50  # rows of an epoch, of a global batch, and steps of a training


def network():
    """Return a network whose parameters have sizes that no number of ranks divides."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def shard(module, how="blocks", **options):
    """Shard a network in place, and return it.

    Args:
        module: A container of layers.
        how: `"blocks"` shards the linear layers, then the rest; `"root"` shards all parameters at once; `"some"` shards
            the first layer alone.
        options: Of `fully_shard`.
    """
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (get_world_size(),))
    layers = [part for part in module.children() if list(part.parameters())]
    for layer in {"blocks": layers, "root": [], "some": layers[:1]}[how]:
        fully_shard(layer, mesh=mesh, **options)
    return module if how == "some" else fully_shard(module, mesh=mesh, **options)


def rows():
    """Return inputs and targets of an epoch."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(ROWS, 6, generator=generator), torch.randn(ROWS, 3, generator=generator)


def own_rows(tensor):
    """Return the rows of each global batch that belong to this rank."""
    from torch.distributed import get_rank, get_world_size

    return torch.cat([batch.chunk(get_world_size())[get_rank()] for batch in tensor.split(BATCH)])


def whole(module):
    """Return all parameters and buffers, whole, by name."""
    return {
        name: (value.full_tensor() if hasattr(value, "full_tensor") else value).detach().clone()
        for name, value in module.state_dict().items()
    }


def largest_difference(one, other):
    """Return the largest difference between two dicts of tensors."""
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)
