"""Where arrays are kept: moved as a whole, or gathered ahead piece by piece; on the CPU nothing of both."""

import threading
import time

import numpy as np
import pytest
import torch
from support.problems import classification, hand_loop, net, same_weights
from torch import nn

import kerastorch as kt
from kerastorch.data import permutation
from kerastorch.data.batches import ArrayBatches, Batch
from kerastorch.data.data_device import choose_data_device, free_memory
from kerastorch.data.prefetch import device_prefetcher, prefetch, prefetch_to_device
from kerastorch.runtime.batch_transfer import BatchTransfer

CPU, CUDA, META = torch.device("cpu"), torch.device("cuda"), torch.device("meta")


def running():
    return [thread for thread in threading.enumerate() if thread.name == "kerastorch-prefetch"]


def test_items_come_in_their_order_and_one_ahead():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number

    taken = []
    for item in prefetch(items()):
        taken.append(item)
        deadline = time.monotonic() + 60
        while len(made) < min(item + 2, 5):  # the next is made without being asked for, and no other
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert len(made) == min(item + 2, 5)
    assert taken == [0, 1, 2, 3, 4]
    assert list(prefetch(iter(()))) == []
    assert not running()


def test_items_are_made_in_another_thread():
    names = list(prefetch(threading.current_thread().name for _ in range(3)))
    assert threading.current_thread().name not in names


def test_an_error_is_raised_in_its_place():
    def items():
        yield 1
        yield 2
        raise ValueError("the third is broken")

    taken = []
    with pytest.raises(ValueError, match="the third is broken"):
        taken.extend(prefetch(items()))
    assert taken == [1, 2]
    assert not running()


def test_a_loop_that_ends_early_leaves_no_thread():
    stream = prefetch(iter(range(100)))
    for item in stream:
        if item == 3:
            break
    stream.close()
    assert not running()
    kept = prefetch(iter(range(100)))  # not closed, as where an error keeps the frames of a loop alive
    assert next(kept) == 0
    for thread in running():
        thread.join(60)
    assert not running()
    assert next(kept) == 1


def test_arrays_move_as_a_whole_where_they_take_less_than_a_quarter_of_the_free_memory():
    def free(device):
        return 1000 if device.type == "cuda" else None

    assert choose_data_device(249, "auto", CUDA, free) == CUDA
    assert choose_data_device(250, "auto", CUDA, free) is None
    assert choose_data_device(1, "auto", CPU, free) is None  # on the CPU nothing is to be done
    assert choose_data_device(10**9, CPU, CUDA, free) == CPU
    assert choose_data_device(10**9, CUDA, CPU, free) == CUDA
    assert free_memory(CPU) is free_memory(torch.device("mps")) is None


def test_all_arrays_are_moved_in_the_dtypes_of_their_batches():
    x, y = torch.randn(10, 6, dtype=torch.float64), torch.arange(10)
    data = Batch({"a": x, "b": x.half()}, (y, y.double()), torch.ones(10))
    found = BatchTransfer([nn.Linear(6, 3)], CPU, data_device=META).convert_arrays(data)
    tensors = [*found.x.values(), *found.y, found.sample_weight]
    assert {tensor.device for tensor in tensors} == {META}
    assert [t.dtype for t in tensors] == [torch.float32, torch.float32, torch.int64, torch.float32, torch.float32]
    plain = BatchTransfer([nn.Linear(6, 3)], CPU).convert_arrays(Batch(x.float(), y, None))
    assert plain.y.data_ptr() == y.data_ptr()
    assert plain.sample_weight is None


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
def test_batches_of_moved_arrays_are_gathered_where_the_arrays_are(shuffle):
    x, y = torch.randn(10, 6), torch.arange(10)
    for rows in (None, torch.arange(8)):
        batches = list(ArrayBatches(Batch(x.to(META), y, None), 4, shuffle, 0, rows).epoch(0))
        assert {batch.x.device for batch in batches} == {META}
        expected = list(ArrayBatches(Batch(x, y, None), 4, shuffle, 0, rows).epoch(0))
        assert [batch.x.shape for batch in batches] == [batch.x.shape for batch in expected]
        assert all(torch.equal(a.y, b.y) for a, b in zip(batches, expected, strict=True))


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
def test_carried_batches_are_those_of_the_loop_without(shuffle):
    x, y = torch.randn(1000, 6), torch.arange(1000)
    pinned = []

    def pin(tensor):
        pinned.append(threading.current_thread().name)
        return tensor.clone()

    def carry(pieces):
        return prefetch_to_device(pieces, device=CPU, pin=pin)

    data = Batch({"a": x}, (y, None), torch.rand(1000))
    with_thread = ArrayBatches(data, 3, shuffle, 7, prefetcher=carry).epoch(2)
    for ours, plain in zip(with_thread, ArrayBatches(data, 3, shuffle, 7).epoch(2), strict=True):
        assert torch.equal(ours.x["a"], plain.x["a"])
        assert torch.equal(ours.y[0], plain.y[0])
        assert torch.equal(ours.sample_weight, plain.sample_weight)
        assert ours.y[1] is None
    assert set(pinned) == {"kerastorch-prefetch"}
    assert not running()


def test_pieces_arrive_on_the_device():
    x = torch.randn(10, 6)
    batches = list(
        ArrayBatches(Batch(x, None, None), 4, True, 0, prefetcher=lambda p: prefetch_to_device(p, device=META)).epoch(0)
    )
    assert [(batch.x.device, len(batch.x)) for batch in batches] == [(META, 4), (META, 4), (META, 2)]
    assert device_prefetcher(CPU) is device_prefetcher(torch.device("mps")) is None
    assert device_prefetcher(CUDA).keywords["device"] == CUDA


@pytest.mark.parametrize("data_device", ["auto", "cpu", CPU])
def test_on_the_cpu_training_is_that_of_a_loop_and_starts_no_thread(data_device):
    x, y = classification()
    torch.manual_seed(1)
    module = net(dropout=0.0)
    reference = net(dropout=0.0)
    reference.load_state_dict(module.state_dict())
    model = kt.Model(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    model.compile(optimizer, "cross_entropy", data_device=data_device)
    threads = set()
    watch = kt.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: threads.update(running()))
    model.fit(x, y, epochs=2, verbose=0, callbacks=[watch])
    optimizer = torch.optim.SGD(reference.parameters(), 0.1)
    hand_loop(reference, optimizer, nn.CrossEntropyLoss(), x, y, epochs=2, batch_size=32, seed=torch.initial_seed())
    assert same_weights(module, reference)
    assert not threads


@pytest.mark.parametrize("shown", ["nowhere", "CPU", None, 3.5, ["cpu"]])
def test_a_data_device_that_is_none_is_refused_by_compile(shown):
    model = kt.Model(net())
    with pytest.raises(ValueError, match="data_device must be 'auto' or a device such as 'cpu' or 'cuda', got"):
        model.compile("adam", "cross_entropy", data_device=shown)
    with pytest.raises(RuntimeError, match="call compile"):
        model.evaluate(*classification())


@pytest.mark.skipif(torch.accelerator.is_available(), reason="for machines without an accelerator")
def test_a_data_device_that_is_not_here_is_refused_by_compile():
    with pytest.raises(ValueError, match=r"data_device='cuda': there is no such device here\. Use 'auto' or 'cpu'\."):
        kt.Model(net()).compile("adam", "cross_entropy", data_device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("data_device", ["auto", "cpu", "cuda"])
def test_on_cuda_the_numbers_do_not_depend_on_where_arrays_are_kept(data_device):
    x, y = classification()
    torch.manual_seed(1)
    module = net(dropout=0.0)
    reference = net(dropout=0.0).cuda()
    reference.load_state_dict(module.state_dict())
    model = kt.Model(module)
    model.compile(kt.optimizers.SGD(0.1), "cross_entropy", device="cuda", data_device=data_device)
    model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y))
    optimizer = torch.optim.SGD(reference.parameters(), 0.1)
    for epoch in range(2):
        for rows in permutation(len(x), torch.initial_seed(), epoch).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(reference(x[rows].cuda()), y[rows].cuda()).backward()
            optimizer.step()
    with torch.no_grad():
        expected = reference(x.cuda()).cpu().numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-3, atol=1e-4)
    assert not running()
