"""F14: files that releases have written are read bit for bit by this one."""

import pytest
from golden_states import FOLDER, of_format_1
from harness import same

from kerastorch.archive import file
from kerastorch.archive.packing import pack, unpack

FILES = sorted(FOLDER.glob("archive-*.kt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_release_has_written_is_read_bit_for_bit(path, report):
    assert same(file.read(path), {"golden": of_format_1()})
    report("F14", "archives that releases have written, with every kind of value and dtype", 1, "read bit for bit")


def test_there_is_a_golden_file_and_it_is_small():
    assert FILES
    assert all(path.stat().st_size < 50_000 for path in FILES)


def test_what_is_packed_today_comes_back_the_same():
    packed = pack(of_format_1())
    assert same(unpack(packed.json, packed.tensors, "here"), of_format_1())
