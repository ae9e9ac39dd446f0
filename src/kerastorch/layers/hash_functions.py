"""Hash functions of bytes with the values of TensorFlow, and so of Keras: FarmHash Fingerprint64 and SipHash-2-4."""

from __future__ import annotations

from collections.abc import Sequence

_MASK = 2**64 - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_CAT = 0xC6A4A7935BD1E995
_Pair = tuple[int, int]


def fingerprint64(text: bytes) -> int:
    """Return the 64-bit fingerprint of FarmHash, which is the same on every machine.

    >>> hex(fingerprint64(b"A"))
    '0xeabf3252cc3bf414'
    """
    if len(text) <= 16:
        return _up_to_16(text)
    if len(text) <= 32:
        return _up_to_32(text)
    return _up_to_64(text) if len(text) <= 64 else _longer(text)


def hash_bucket(text: bytes, n_buckets: int, salt: Sequence[int] | None = None) -> int:
    """Return the bucket of a text, from 0 to `n_buckets - 1`, that TensorFlow puts it into.

    Args:
        text: The bytes.
        n_buckets: Number of buckets.
        salt: The key of SipHash-2-4, two integers; `None` for FarmHash.
    """
    return (fingerprint64(text) if salt is None else siphash24(text, (salt[0], salt[1]))) % n_buckets


def combine_fingerprints(first: int, second: int) -> int:
    """Return a fingerprint of two fingerprints, which depends on their order."""
    result = (first ^ _CAT ^ (_mix(second * _CAT & _MASK) * _CAT)) & _MASK
    result = result * _CAT & _MASK
    return _mix(_mix(result) * _CAT & _MASK)


def siphash24(text: bytes, key: _Pair) -> int:
    """Return the keyed hash SipHash-2-4 (Aumasson & Bernstein 2012).

    Args:
        text: The bytes.
        key: Both halves of the key, 64-bit integers.

    >>> hex(siphash24(bytes(range(15)), (0x0706050403020100, 0x0F0E0D0C0B0A0908)))
    '0xa129ca6149be45e5'
    """
    first, second = (half & _MASK for half in key)
    v = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) % 256])
    for start in range(0, len(padded), 8):
        word = _word(padded, start)
        v[3] ^= word
        _sip_rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _sip_rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _sip_rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & _MASK
        v[1] = _rotate_left(v[1], 13) ^ v[0]
        v[0] = _rotate_left(v[0], 32)
        v[2] = (v[2] + v[3]) & _MASK
        v[3] = _rotate_left(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & _MASK
        v[3] = _rotate_left(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & _MASK
        v[1] = _rotate_left(v[1], 17) ^ v[2]
        v[2] = _rotate_left(v[2], 32)


def _word(text: bytes, start: int, size: int = 8) -> int:
    return int.from_bytes(text[start : start + size], "little")


def _rotate_left(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _rotate(value: int, bits: int) -> int:
    """Return the lowest 64 bits of `value`, rotated to the right."""
    return _rotate_left(value & _MASK, 64 - bits)


def _mix(value: int) -> int:
    return value ^ (value >> 47)


def _hash_pair(first: int, second: int, factor: int) -> int:
    """Return a hash of two numbers, of which the lowest 64 bits count."""
    first, second = first & _MASK, second & _MASK
    a = _mix((first ^ second) * factor & _MASK)
    return _mix((second ^ a) * factor & _MASK) * factor & _MASK


def _up_to_16(text: bytes) -> int:
    size = len(text)
    factor = _K2 + 2 * size
    if size >= 8:
        a, b = _word(text, 0) + _K2, _word(text, size - 8)
        return _hash_pair(_rotate(b, 37) * factor + a, (_rotate(a, 25) + b) * factor, factor)
    if size >= 4:
        return _hash_pair(size + 8 * _word(text, 0, 4), _word(text, size - 4, 4), factor)
    if size:
        y, z = text[0] + 256 * text[size // 2], size + 4 * text[-1]
        return _mix((y * _K2 ^ z * _K0) & _MASK) * _K2 & _MASK
    return _K2


def _ends(text: bytes, first_factor: int) -> tuple[int, int, int, int]:
    """Return the first two and the last two words of a text, multiplied; the first one by `first_factor`."""
    size = len(text)
    last = _word(text, size - 8) * (_K2 + 2 * size)
    return _word(text, 0) * first_factor, _word(text, 8), last, _word(text, size - 16) * _K2


def _up_to_32(text: bytes) -> int:
    a, b, c, d = _ends(text, _K1)
    return _hash_pair(_rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + _K2, 18) + c, _K2 + 2 * len(text))


def _up_to_64(text: bytes) -> int:
    size = len(text)
    factor = _K2 + 2 * size
    a, b, c, d = _ends(text, _K2)
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _hash_pair(y, a + _rotate(b + _K2, 18) + c, factor)
    e, f = _word(text, 16) * factor, _word(text, 24)
    g, h = (y + _word(text, size - 32)) * factor, (z + _word(text, size - 24)) * factor
    return _hash_pair(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, factor)


def _longer(text: bytes) -> int:
    x = (81 * _K2 + _word(text, 0)) & _MASK
    y = (81 * _K1 + 113) & _MASK
    z = _mix((y * _K2 + 113) & _MASK) * _K2 & _MASK
    v, w = (0, 0), (0, 0)
    rest = (len(text) - 1) % 64
    end = len(text) - 1 - rest
    for start in range(0, end, 64):
        x, y, z, v, w = _block(text, start, _K1, (x, y, z), v, w, 1)
    factor = _K1 + 2 * (z & 0xFF)
    w = (w[0] + rest, w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z, v, w = _block(text, end + rest - 63, factor, (x, y, z), v, w, 9)
    first = _hash_pair(v[0], w[0], factor) + _mix(y) * _K0 + z
    return _hash_pair(first, _hash_pair(v[1], w[1], factor) + x, factor)


def _block(
    text: bytes, start: int, factor: int, state: tuple[int, int, int], v: _Pair, w: _Pair, weight: int
) -> tuple[int, int, int, _Pair, _Pair]:
    """Return the state after the 64 bytes from `start` on."""
    x, y, z = state
    x = _rotate(x + y + v[0] + _word(text, start + 8), 37) * factor & _MASK
    y = _rotate(y + v[1] + _word(text, start + 48), 42) * factor & _MASK
    x ^= w[1] * weight & _MASK
    y = (y + v[0] * weight + _word(text, start + 40)) & _MASK
    z = _rotate(z + w[0], 33) * factor & _MASK
    v = _hash_32_bytes(text, start, v[1] * factor, x + w[0])
    w = _hash_32_bytes(text, start + 32, z + w[1], y + _word(text, start + 16))
    return z, y, x, v, w


def _hash_32_bytes(text: bytes, start: int, a: int, b: int) -> _Pair:
    first, second, third, fourth = (_word(text, start + offset) for offset in (0, 8, 16, 24))
    a += first
    b = _rotate(b + a + fourth, 21)
    c = a
    a += second + third
    b += _rotate(a, 44)
    return (a + fourth) & _MASK, (b + c) & _MASK
