"""Tensors as safetensors bytes: safetensors' own reader and writer are the oracle, in both directions."""

import json

import pytest
import torch
from support.optional import optional
from torch.testing._internal.two_tensor import TwoTensor

from kerastorch.checkpoint import safetensors_codec
from kerastorch.checkpoint.bounded_json import encode_json
from kerastorch.core.errors import CheckpointCorruptError, CheckpointError

safetensors_torch = optional("safetensors.torch")


def joined(named, metadata=None):
    return b"".join(safetensors_codec.encode(named, metadata))


def decoded(data):
    return safetensors_codec.decode(memoryview(bytearray(data)), "here")


def crafted(header, numbers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def same_bits(one, other):
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    one, other = one.detach().contiguous().reshape(-1), other.detach().contiguous().reshape(-1)
    assert torch.equal(one.view(torch.uint8), other.view(torch.uint8))


def random_bits(dtype, shape):
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).bool()
    size = dtype.itemsize
    return torch.randint(0, 256, (*shape, size), dtype=torch.uint8).view(dtype).reshape(shape)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (7,), (2, 3, 5), (1,) * 9])
@pytest.mark.parametrize("name", safetensors_codec.DTYPES)
def test_any_bits_of_any_dtype_come_back_here_and_in_safetensors(name, shape):
    tensor = random_bits(safetensors_codec.DTYPES[name], shape)
    data = joined({"before": torch.ones(1, dtype=torch.uint8), "a": tensor})
    same_bits(decoded(data).tensors["a"], tensor)
    same_bits(safetensors_torch.load(data)["a"], tensor)


@pytest.mark.parametrize("name", safetensors_codec.DTYPES)
def test_what_safetensors_writes_is_read(name):
    named = {
        "z": random_bits(safetensors_codec.DTYPES[name], (3, 2)),
        "a": torch.arange(5.0),
        "empty": torch.empty(0, 4),
    }
    found = decoded(safetensors_torch.save(named, {"format": "pt"}))
    assert found.metadata == {"format": "pt"}
    assert set(found.tensors) == set(named)
    for key, tensor in named.items():
        same_bits(found.tensors[key], tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(12.0).reshape(3, 4).t(),
        torch.arange(20.0)[::3],
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.ones(1).expand(4, 3),
        torch.randn(4, dtype=torch.complex64).conj(),
        torch.randn(4, dtype=torch.complex64).conj().imag,
        torch.nn.Parameter(torch.randn(3)),
        torch.randn(3, requires_grad=True) * 2,
    ],
    ids=["transposed", "strided", "channels_last", "expanded", "conjugate", "negative", "parameter", "of autograd"],
)
def test_the_numbers_count_not_how_they_lie_in_memory(tensor):
    data = joined({"a": tensor})
    same_bits(decoded(data).tensors["a"], tensor.detach().resolve_conj().resolve_neg().contiguous())
    assert torch.equal(safetensors_torch.load(data)["a"], tensor)


@pytest.mark.parametrize(
    "name", ["layer.0.weight", "größe", "模型.重み", "😀", "", " ", "a/b", "../x", '"', "\\", "\n\0", "$"]
)
def test_any_text_is_a_name(name):
    data = joined({name: torch.arange(3)})
    assert list(decoded(data).tensors) == [name]
    assert list(safetensors_torch.load(data)) == [name]


def test_no_tensors_are_a_part_too():
    assert decoded(joined({})).tensors == safetensors_torch.load(joined({})) == {}


def test_metadata_comes_back_and_the_word_for_it_names_no_tensor():
    assert decoded(joined({}, {"a": "b"})).metadata == {"a": "b"}
    with pytest.raises(TypeError, match="__metadata__"):
        safetensors_codec.encode({"__metadata__": torch.zeros(1)})


def test_what_was_read_can_be_written_to_and_is_not_copied():
    data = bytearray(joined({"a": torch.zeros(2)}))
    found = safetensors_codec.decode(memoryview(data), "here").tensors["a"]
    found += 1
    assert decoded(bytes(data)).tensors["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.eye(2).to_sparse(), "layer.kernel is a sparse"),
        (
            TwoTensor(torch.eye(2), torch.eye(2)),
            "layer.kernel has the class TwoTensor of torch, which consists of other tensors",
        ),
        (torch.ones(2, dtype=torch.complex128), "layer.kernel has dtype torch.complex128"),
        (torch.ones(2, device="meta"), "layer.kernel is on the meta device"),
    ],
)
def test_what_the_format_has_not_is_refused_by_name(tensor, why):
    with pytest.raises(TypeError, match=why):
        safetensors_codec.encode({"layer.kernel": tensor})


FOUR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "too short"),
        (b"\0" * 7, "too short"),
        (b"\xff" * 8, "header should have"),
        (crafted(b"[]"), "no JSON object"),
        (crafted(b"{"), "cannot be read"),
        (crafted(b"\xff{}"), "cannot be read"),
        (crafted(b"\xef\xbb\xbf{}"), "cannot be read"),
        (crafted(b'{"a":NaN}'), "NaN is no number"),
        (crafted(b'{"a":1,"a":1}'), "a name comes twice"),
        (crafted(b'{"a":' + b"1" * 5000 + b"}"), "cannot be read"),
        (crafted(b'{"a":' * 5000), "cannot be read"),
        (crafted({"a": 3}), "not described"),
        (crafted({"a": {**FOUR, "more": 1}}, b"\0" * 4), "not described"),
        (crafted({"a": {**FOUR, "dtype": "object"}}, b"\0" * 4), "dtype 'object'"),
        (crafted({"a": {**FOUR, "dtype": ["F32"]}}, b"\0" * 4), "dtype"),
        (crafted({"a": {**FOUR, "shape": [True]}}, b"\0" * 4), "proper shape"),
        (crafted({"a": {**FOUR, "shape": [-1]}}, b"\0" * 4), "proper shape"),
        (crafted({"a": {**FOUR, "shape": [1.0]}}, b"\0" * 4), "proper shape"),
        (crafted({"a": {**FOUR, "shape": [1] * 65}}, b"\0" * 4), "proper shape"),
        (crafted({"a": {**FOUR, "data_offsets": [0, 4, 4]}}, b"\0" * 4), "proper shape"),
        (crafted({"a": {**FOUR, "data_offsets": [4, 0]}}, b"\0" * 4), "cannot have"),
        (crafted({"a": {**FOUR, "shape": [10**12]}}, b"\0" * 4), "cannot have"),
        (crafted({"a": {**FOUR, "shape": [2**62, 2**62, 0]}}, b"\0" * 4), "cannot have"),
        (crafted({"a": {**FOUR, "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}}), "'a'"),
        (crafted({"a": {**FOUR, "data_offsets": [4, 8]}}, b"\0" * 4), "beyond its end"),
        (crafted({"a": FOUR}, b"\0" * 3), "beyond its end"),
        (crafted({"a": FOUR}, b"\0" * 5), "1 bytes belong to no tensor"),
        (crafted({"a": FOUR, "b": FOUR}, b"\0" * 4), "overlap"),
        (crafted({"a": FOUR, "b": {**FOUR, "data_offsets": [8, 12]}}, b"\0" * 12), "overlap or leave gaps"),
        (crafted({"a": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, b"\1\2"), "neither true nor false"),
        (crafted({"__metadata__": {"a": 1}}), "not text"),
        (crafted({"__metadata__": []}), "not text"),
    ],
)
def test_what_is_not_safetensors_is_refused(data, why):
    with pytest.raises(CheckpointCorruptError, match=why) as raised:
        decoded(data)
    assert "here" in str(raised.value)
    assert len(str(raised.value)) < 500


def test_a_message_does_not_repeat_a_long_name():
    with pytest.raises(CheckpointCorruptError) as raised:
        decoded(crafted({"a" * 10**6: 3}))
    assert len(str(raised.value)) < 500


def test_text_that_would_take_much_memory_is_neither_read_nor_written():
    with pytest.raises(CheckpointError, match="too many values"):
        decoded(crafted(b'{"a":[' + b"[]," * 2 * 10**6 + b"[]]}"))
    with pytest.raises(CheckpointError, match="too many values"):
        encode_json({"a": [{}] * 10**6})
    assert len(encode_json({"a": [0.5] * 10**6})) > 10**6
