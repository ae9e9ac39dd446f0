"""F6: files that were made to do harm, read in a process that hears all it does."""

import os
from contextlib import suppress

import malice
import pytest
from audited_read import FIXED, read_heard
from forge import archive, holding, taken_apart
from harness import in_child, needs_fork

import kerastorch as kt
from kerastorch.checkpoint import archive_format, bounded_json

pytestmark = needs_fork


def read_archive(path):
    return archive_format.read(path)


def read_weights(path):
    MODEL.load_weights(path)


MODEL = kt.Sequential([kt.Input((2,)), kt.layers.Dense(2)])


def prepared(make, folder):
    """The path of the file, and its size."""
    made = make(folder)
    if isinstance(made, bytes):
        (folder / "made.kt").write_bytes(made)
        made = folder / "made.kt"
    return made, os.path.getsize(made) if os.path.isfile(made) else 0


def check(read, make, folder):
    """What each of them must hold to; the name of the error and whether it is one of ours."""
    read(malice.good(folder))  # what is loaded on first use is loaded
    (folder / "good.kt").unlink()
    path, size = prepared(make, folder)
    ended = in_child(read_heard, read, path, timeout=30)
    assert not ended.hung
    assert ended.code == 0
    name, known, length, heard, memory, addresses = ended.value
    assert set(heard) <= {("open", str(path))}
    assert not (folder / malice.CANARY).exists()
    assert not (folder.parent / malice.CANARY).exists()
    assert memory <= 2 * size + FIXED
    assert addresses <= 2 * size + FIXED + 128 * 2**20  # of which the allocator takes 64 MiB at a time
    assert length < 2000
    return name, known


@pytest.mark.parametrize("name", malice.REFUSED, ids=lambda name: name[:60])
def test_a_file_made_to_do_harm_is_refused_and_does_nothing(name, tmp_path, report):
    raised, known = check(read_archive, malice.REFUSED[name], tmp_path)
    assert known, raised
    report(
        "F6",
        "files made to do harm, their SHA-256 right",
        1,
        "refused; nothing run, opened, imported; memory < 2 x file + 48 MiB",
    )


@pytest.mark.parametrize("name", malice.REFUSED, ids=lambda name: name[:60])
def test_weights_made_to_do_harm_are_refused_and_do_nothing(name, tmp_path, report):
    made = malice.REFUSED[name](tmp_path)
    if not isinstance(made, bytes):
        pytest.skip("no bytes")
    with suppress(AttributeError, KeyError, StopIteration, TypeError, ValueError):  # no archive with numbers in it
        made = next(data for part, data in taken_apart(made)[1].items() if part.endswith(".safetensors"))
    path = tmp_path / "w.safetensors"
    MODEL.save_weights(path)
    MODEL.load_weights(path)
    before = MODEL.get_weights()
    path.write_bytes(made)
    raised, known, heard, memory = in_child(read_heard_of_weights, path, timeout=30).value
    assert known, raised
    assert set(heard) <= {("open", str(path))}
    assert not (tmp_path / malice.CANARY).exists()
    assert memory <= 2 * len(made) + FIXED
    assert all((one == other).all() for one, other in zip(before, MODEL.get_weights(), strict=True))
    report("F6", "weights made to do harm", 1, "refused; nothing run, opened, imported; memory < 2 x file + 48 MiB")


def read_heard_of_weights(path):
    name, known, _, heard, memory, _ = read_heard(read_weights, path)
    return name, known, heard, memory


@pytest.mark.parametrize("name", malice.INERT, ids=lambda name: name[:60])
def test_names_of_code_in_a_state_are_text(name, tmp_path, report):
    raised, _ = check(read_archive, malice.INERT[name], tmp_path)
    assert raised == "NoneType"
    report("F6", "state with names of code in it", 1, "given back as text; nothing run, opened, imported")


VALUES = {
    "empty lists": b"[],", "empty dicts": b"{},", "dicts": b'{"a":1},', "short text": b'"ab",', "floats": b"0.5,",
    "sets": b'{"$":"set","value":[]},', "tuples": b'{"$":"tuple","value":[]},',
    "maps": b'{"$":"map","value":[[1,{}]]},', "infinities": b'{"$":"float","value":"inf"},',
}  # fmt: skip


@pytest.mark.faults
@pytest.mark.parametrize("name", VALUES)
def test_the_largest_text_that_is_read_takes_the_memory_that_it_may(name, tmp_path, report):
    value = VALUES[name]
    count = (
        bounded_json.MAX_MEMORY
        // sum(size * value.count(character) for character, size in bounded_json._MEMORY_PER_CHARACTER.items())
        - 10
    )
    path, size = prepared(lambda _: archive(("a.json", b'{"state":[' + value * count + b"1]}")), tmp_path)
    raised, _, _, heard, memory, _ = in_child(read_heard, read_archive, path, False).value
    assert raised == "NoneType"
    assert len(heard) == 1
    assert memory <= 2 * size + FIXED + bounded_json.MAX_MEMORY
    report("F6", "the longest lists of small values that are read", 1, "memory < 2 x file + 48 MiB + 256 MiB")


def test_there_are_enough_of_them_and_the_canary_sings(tmp_path):
    assert len(malice.REFUSED) >= 40
    import pickle

    pickle.loads(malice.pickled(2)(tmp_path))
    assert (tmp_path / malice.CANARY).exists()


def test_the_ear_hears(tmp_path):
    """An import, a call to the system and a file opened are heard; a good archive makes none of them."""

    def bad(path):
        import this  # noqa: F401

        os.system("true")
        open(tmp_path / "other", "w").close()

    events = {event for event, _ in in_child(read_heard, bad, tmp_path).value[3]}
    assert {"import", "os.system", "open"} <= events
    (tmp_path / "a.kt").write_bytes(holding([1, {"$": "tuple", "value": [2]}]))
    assert in_child(read_heard, read_archive, tmp_path / "a.kt").value[3] == [("open", str(tmp_path / "a.kt"))]
