"""F16: readers beside a writer, and two writers of one file."""

import os
import signal

import pytest
from harness import in_child, needs_fork, same, state, tries

from kerastorch.checkpoint import archive_format
from kerastorch.checkpoint.rotation import CheckpointRotation
from kerastorch.core.errors import CheckpointError

pytestmark = needs_fork


def started(function):
    child = os.fork()
    if not child:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(70)
    return child


def save_file(path, number):
    archive_format.write(path / "a.kt", {"training": state(number)})


def load_file(path):
    return archive_format.read(path / "a.kt")["training"]


def save_generation(path, number):
    CheckpointRotation(path).save({"training": state(number)})


def load_generation(path):
    return CheckpointRotation(path).load()["training"]


FILE_OR_FOLDER = pytest.mark.parametrize(
    ("save", "load"), [(save_file, load_file), (save_generation, load_generation)], ids=["file", "generations"]
)


@FILE_OR_FOLDER
@tries(quick=20, full=1000)
def test_a_reader_beside_a_writer_sees_whole_states_that_never_go_back(save, load, tries, tmp_path, report):
    save(tmp_path, 0)

    def read_on():
        reads = last = 0
        while last < tries:
            found = load(tmp_path)
            number = found["optimizer"]["steps"][0]
            assert same(found, state(number))
            assert number >= last
            last, reads = number, reads + 1
        return reads

    def write_on():
        for number in range(1, tries + 1):
            save(tmp_path, number)

    writer = started(write_on)
    try:
        reads = in_child(read_on, timeout=300).value
    finally:
        assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == 0
    assert reads
    report("F16", "saves while another process reads on and on", tries, "no torn read, none older than the last")


@tries(quick=3, full=50)
def test_the_second_of_two_writers_is_refused_and_the_first_loses_nothing(tries, tmp_path, report):
    for number in range(1, tries + 1):
        first_in, first_out = os.pipe()
        second_in, second_out = os.pipe()

        def hold(begun=first_out, go_on=second_in, number=number):
            true = os.fsync

            def fsync(opened):
                os.write(begun, b"x")
                os.read(go_on, 1)
                os.fsync = true
                true(opened)

            os.fsync = fsync
            save_file(tmp_path, number)

        writer = started(hold)
        try:
            assert os.read(first_in, 1)
            with pytest.raises(CheckpointError, match=r"a\.kt is being written by somebody else"):
                save_file(tmp_path, -1)
        finally:
            os.write(second_out, b"x")
            code = os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1])
            for end in (first_in, first_out, second_in, second_out):
                os.close(end)
        assert code == 0
        assert same(load_file(tmp_path), state(number))
        assert os.listdir(tmp_path) == ["a.kt"]
    report("F16", "a second writer, while a first is half way through", tries, "refused; the first's state is there")


@FILE_OR_FOLDER
@tries(quick=10, full=200)
def test_writers_that_do_not_know_of_each_other_leave_a_whole_state_of_one(save, load, tries, tmp_path, report):
    def write_on(first):
        for number in range(first, first + tries):
            try:
                save(tmp_path, number)
            except CheckpointError as error:
                assert "being written" in str(error)  # noqa: PT017

    save(tmp_path, 0)
    writers = [started(lambda first=first: write_on(first)) for first in (1, 10001)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) for writer in writers]
    assert codes == [0, 0]
    found = load(tmp_path)
    assert same(found, state(found["optimizer"]["steps"][0]))
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    report("F16", "saves by each of two writers at the same time", tries, "each is done or refused; the last is whole")


def test_a_writer_that_was_killed_keeps_nobody_out(tmp_path):
    begun, told = os.pipe()

    def hold():
        os.fsync = lambda opened: (os.write(told, b"x"), signal.pause())
        save_file(tmp_path, 1)

    writer = started(hold)
    assert os.read(begun, 1)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    os.close(begun)
    os.close(told)
    assert os.listdir(tmp_path) == [".a.kt.tmp"]
    save_file(tmp_path, 2)
    assert same(load_file(tmp_path), state(2))
    assert os.listdir(tmp_path) == ["a.kt"]
