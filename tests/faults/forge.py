"""Archives as an attacker would write them: any bytes, with the lengths and SHA-256 that belong to them."""

import hashlib
import json

from kerastorch.checkpoint import archive_format


def text(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def listed(parts):
    return [{"name": name, "size": len(text(data)), "sha256": sha(text(data))} for name, data in parts]


def sealed(header, rest=b""):
    """A header and what follows it; the header's own SHA-256 is right."""
    header = text(header)
    start = archive_format.MAGIC + (1).to_bytes(4, "little") + len(header).to_bytes(8, "little") + header
    return start + hashlib.sha256(start).digest() + rest


def archive(*parts):
    """Parts `(name, bytes or JSON)`, each with its SHA-256."""
    return sealed({"kerastorch": "9", "torch": "9", "parts": listed(parts)}, b"".join(text(data) for _, data in parts))


def holding(state):
    """One section of this JSON."""
    return archive(("training.json", {"state": state}))


def numbers(header, data=b""):
    """A safetensors part of this header."""
    header = text(header)
    return len(header).to_bytes(8, "little") + header + data


def with_numbers(part):
    """A section whose tensors are this part."""
    return archive(("training.json", {"state": {"$": "tensor", "value": "a"}}), ("training.safetensors", part))


def taken_apart(data):
    """The header, and the parts by name, of an archive that is whole."""
    end = 24 + int.from_bytes(data[16:24], "little")
    header, at, parts = json.loads(data[24:end]), end + 32, {}
    for one in header["parts"]:
        parts[one["name"]] = bytes(data[at : at + one["size"]])
        at += one["size"]
    return header, parts
