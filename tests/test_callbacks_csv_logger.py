"""CSVLogger: what stands in the file, read with the csv module."""

import csv

import pytest
from support.problems import regression
from torch import nn

import kerastorch as kt
from kerastorch.callbacks import Callback, CSVLogger


def trained(logger, epochs=3, metrics=("mae",), before=(), **options):
    x, y = regression(40)
    model = kt.Model(nn.Linear(6, 1))
    model.compile(kt.optimizers.SGD(0.01), "mse", metrics=list(metrics))
    return model.fit(x, y, epochs=epochs, verbose=0, callbacks=[*before, logger], **options)


def read(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter=separator))


def validation():
    x, y = regression(20)
    return {"validation_data": (x, y)}


class Add(Callback):
    """Logs something more, from an epoch on."""

    def __init__(self, name, value, since=0):
        self.name, self.value, self.since = name, value, since

    def on_epoch_end(self, epoch, logs=None):
        if epoch >= self.since:
            logs[self.name] = self.value


def test_the_file_holds_the_numbers_of_the_history_to_the_last_bit(tmp_path):
    history = trained(CSVLogger(tmp_path / "log.csv"), **validation())
    rows = read(tmp_path / "log.csv")
    assert list(rows[0]) == ["epoch", "learning_rate", "loss", "mae", "val_loss", "val_mae"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for name, curve in history.history.items():
        assert [float(row[name]) for row in rows] == curve


def test_the_folder_is_made_and_the_separator_used(tmp_path):
    path = tmp_path / "deep" / "down" / "log.csv"
    history = trained(CSVLogger(str(path), separator=";"))
    assert [float(row["loss"]) for row in read(path, ";")] == history.history["loss"]


def test_a_first_epoch_without_validation_leaves_room_for_it(tmp_path):
    history = trained(CSVLogger(tmp_path / "log.csv"), epochs=4, validation_freq=2, **validation())
    rows = read(tmp_path / "log.csv")
    assert [row["val_loss"] == "NA" for row in rows] == [True, False, True, False]
    assert [float(row["val_loss"]) for row in rows[1::2]] == history.history["val_loss"]


def test_every_row_is_there_when_its_epoch_is_over(tmp_path):
    seen = []
    look = kt.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(len(read(tmp_path / "log.csv"))))
    trained(CSVLogger(tmp_path / "log.csv"), before=[look])
    assert seen == [0, 1, 2]


def test_a_number_that_comes_late_is_left_out_with_one_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"no column for late, which the first epoch did not log") as caught:
        trained(CSVLogger(tmp_path / "log.csv"), before=[Add("late", 1.0, since=1)])
    assert len(caught) == 1
    assert "late" not in read(tmp_path / "log.csv")[0]


def test_words_and_lists_are_written_too(tmp_path):
    trained(CSVLogger(tmp_path / "log.csv"), before=[Add("words", 'a, "b"'), Add("some", [1.0, 0.1])])
    row = read(tmp_path / "log.csv")[0]
    assert row["words"] == 'a, "b"'
    assert row["some"] == "[1.0, 0.1]"


def test_a_second_training_replaces_the_file(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    trained(logger, epochs=3)
    trained(logger, epochs=1, metrics=())
    assert [list(row) for row in read(tmp_path / "log.csv")] == [["epoch", "learning_rate", "loss", "val_loss"]]


def test_a_training_that_never_ends_an_epoch_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "log.csv"
    trained(CSVLogger(path))
    before = path.read_bytes()

    def fail(batch, logs):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        trained(CSVLogger(path), before=[kt.callbacks.LambdaCallback(on_train_batch_end=fail)])
    assert path.read_bytes() == before


def test_append_goes_on_in_the_columns_of_the_file(tmp_path):
    path = tmp_path / "log.csv"
    first = trained(CSVLogger(path), epochs=2)
    second = trained(CSVLogger(path, append=True), epochs=2, **validation())
    rows = read(path)
    assert [float(row["mae"]) for row in rows] == first.history["mae"] + second.history["mae"]
    assert [row["val_mae"] for row in rows[:2]] == ["NA", "NA"]
    assert [float(row["val_mae"]) for row in rows[2:]] == second.history["val_mae"]
    assert path.read_text().count("epoch") == 1


@pytest.mark.parametrize("before", [None, b""])
def test_append_begins_a_file_that_is_not_there_or_empty(tmp_path, before):
    path = tmp_path / "log.csv"
    if before is not None:
        path.write_bytes(before)
    trained(CSVLogger(path, append=True), epochs=1)
    assert len(read(path)) == 1


def test_append_finishes_a_line_that_was_cut_off(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,mae\r\n0,1.0,2.")
    trained(CSVLogger(path, append=True), epochs=1)
    assert [row["epoch"] for row in read(path)] == ["0", "0"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epoch,loss\r\n0,1.0\r\n", r"has no column for mae; it has loss"),
        ("epoch;loss;mae\r\n", r"has no header 'epoch,\.\.\.'"),
        ("a recipe\n", r"has no header"),
    ],
)
def test_append_to_another_table_is_refused_before_the_first_epoch(tmp_path, content, words):
    path = tmp_path / "log.csv"
    path.write_text(content)
    epochs = []
    note = kt.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    with pytest.raises(ValueError, match=words):
        trained(CSVLogger(path, append=True), before=[note])
    assert epochs == []
    assert path.read_text() == content.replace("\r\n", "\n")


def test_a_path_that_cannot_be_written_is_refused_before_the_first_epoch(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        trained(CSVLogger(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file"):
        trained(CSVLogger(tmp_path / "file" / "log.csv"))


@pytest.mark.parametrize("append", [False, True])
def test_a_resumed_training_leaves_the_file_of_an_uninterrupted_one(tmp_path, append):
    path, states = tmp_path / "log.csv", []
    if append:
        path.write_text("epoch,loss,mae,val_loss,val_mae\r\n7,1.0,2.0,NA,NA\r\n", newline="")
    logger = CSVLogger(path, append=append)
    add = Add("loss", 0.5)  # the same numbers in both trainings
    keep = kt.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: states.append(logger.state_dict()))
    trained(logger, before=[add, Add("mae", 0.25), keep])
    whole = path.read_bytes()

    for epoch, state in enumerate(states):
        fresh = CSVLogger(path, append=append)
        load = kt.callbacks.LambdaCallback(
            on_epoch_begin=lambda now, logs, state=state, first=epoch, fresh=fresh: (
                fresh.load_state_dict(state) if now == first else None
            )
        )
        trained(fresh, before=[add, Add("mae", 0.25), load], initial_epoch=epoch)
        assert path.read_bytes() == whole


def test_a_file_that_is_gone_at_resume_is_begun_anew_with_a_warning(tmp_path):
    path = tmp_path / "log.csv"
    logger = CSVLogger(path)
    trained(logger)
    state = logger.state_dict()
    path.write_text("epoch,loss")
    fresh = CSVLogger(path)
    load = kt.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: fresh.load_state_dict(state))
    with pytest.warns(UserWarning, match=r"is not the file that the interrupted training wrote \(10 bytes"):
        trained(fresh, before=[load], initial_epoch=3, epochs=4)
    assert [row["epoch"] for row in read(path)] == ["3"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filename": ""}, "filename must be the path of a file, got ''"),
        ({"filename": 3}, "filename must be the path of a file, got 3"),
        ({"filename": "a", "separator": ", "}, "separator must be one character"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, words):
    with pytest.raises(ValueError, match=words):
        CSVLogger(**arguments)


def test_nothing_is_written_before_training(tmp_path):
    CSVLogger(tmp_path / "log.csv")
    assert list(tmp_path.iterdir()) == []


def test_rows_added_to_a_file_without_learning_rates_have_none(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,mae\r\n0,1.0,2.0\r\n", newline="")
    history = trained(CSVLogger(path, append=True), epochs=1)
    assert [*read(path)[1].values()] == ["0", repr(history.history["loss"][0]), repr(history.history["mae"][0])]


def test_a_file_without_validation_has_no_column_for_the_learning_rate_of_one(tmp_path):
    trained(CSVLogger(tmp_path / "log.csv"))
    columns = ["epoch", "learning_rate", "loss", "mae", "val_loss", "val_mae"]
    assert list(read(tmp_path / "log.csv")[0]) == columns
    assert [row["learning_rate"] for row in read(tmp_path / "log.csv")] == ["0.01"] * 3
