"""Tracebacks: an error that leaves a public method shows the user's lines, not those of kerastorch and torch."""

import concurrent.futures
import json
import traceback

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import kerastorch as kt
from kerastorch.core.traceback_filter import public_api

X, Y = torch.ones(8, 3), torch.ones(8, 2)


class Wrong(nn.Module):
    """A network whose first layer takes 5 features; the data has 3."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))

    def forward(self, x):
        return self.body(x)  # the user's line


def failing_loss(y_true, y_pred):
    raise LookupError("the loss failed")  # the user's line


def failing_metric(y_true, y_pred):
    raise LookupError("the metric failed")  # the user's line


class FailingData(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise LookupError("the data failed")  # the user's line


def compiled(module, loss="mse", **arguments):
    model = kt.Model(module)
    model.compile("sgd", loss, **arguments)
    return model


def linear():
    return nn.Linear(3, 2)


# what fails, and which error leaves
FAILURES = {
    "fit": (lambda _: compiled(Wrong()).fit(X, Y, verbose=0), ValueError),
    "evaluate": (lambda _: compiled(Wrong()).evaluate(X, Y, verbose=0), ValueError),
    "predict": (lambda _: kt.Model(Wrong()).predict(X, verbose=0), ValueError),
    "predict_on_batch": (lambda _: kt.Model(Wrong()).predict_on_batch(X), ValueError),
    "train_on_batch": (lambda _: compiled(Wrong()).train_on_batch(X, Y), ValueError),
    "test_on_batch": (lambda _: compiled(Wrong()).test_on_batch(X, Y), ValueError),
    "validation": (
        lambda _: compiled(linear()).fit(X, Y, verbose=0, validation_data=DataLoader(FailingData(), batch_size=2)),
        LookupError,
    ),
    "summary": (lambda _: kt.Model(Wrong()).summary(input_shape=(None, 3)), ValueError),
    "export": (lambda path: kt.Model(Wrong()).export(path / "a.pt2", input_signature=(None, 3)), ValueError),
    "plot_model": (
        lambda path: kt.utils.plot_model(kt.Model(Wrong()), path / "a.dot", input_shape=(None, 3)),
        ValueError,
    ),
    "save": (lambda path: kt.Model(linear()).save(path / "a.pt"), ValueError),  # the user's line
    "load_model": (lambda path: kt.load_model(path / "none.kt"), FileNotFoundError),  # the user's line
    "save_weights": (lambda path: kt.Model(linear()).save_weights(path / "a.h5"), ValueError),  # the user's line
    "load_weights": (
        lambda path: kt.Model(linear()).load_weights(path / "none.safetensors"),  # the user's line
        FileNotFoundError,
    ),
    "loss": (lambda _: compiled(linear(), failing_loss).fit(X, Y, verbose=0), LookupError),
    "metric": (lambda _: compiled(linear(), metrics=[failing_metric]).fit(X, Y, verbose=0), LookupError),
    "dataset": (lambda _: compiled(linear()).fit(DataLoader(FailingData()), verbose=0), LookupError),
}


def failure(name, path):
    act, kind = FAILURES[name]
    with pytest.raises(kind) as caught:
        act(path)
    return caught.value


def chain(error):
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def files(error):
    return {frame.filename for one in chain(error) for frame in traceback.extract_tb(one.__traceback__)}


@pytest.mark.parametrize("name", FAILURES)
def test_an_error_shows_the_users_lines_alone_in_about_a_dozen_lines(name, tmp_path):
    error = failure(name, tmp_path)
    text = "".join(traceback.format_exception(error))
    assert "# the user's line" in text
    assert files(error) == {__file__}
    assert len(text.splitlines()) <= 25  # of which 8 are this test's own frames


def test_the_error_of_a_wrong_layer_has_the_users_line_the_sentence_and_torchs_error():
    model = compiled(Wrong())
    with pytest.raises(ValueError, match=r"layer 'body\.0'") as caught:
        model.fit(X, Y, verbose=0)
    lines = traceback.format_exception(caught.value)
    assert sum(len(line.splitlines()) for line in lines) <= 13
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert str(caught.value.__cause__).startswith("mat1 and mat2 shapes cannot be multiplied")
    assert "return self.body(x)" in "".join(lines)
    assert "model.fit(X, Y, verbose=0)" in "".join(lines)


@pytest.mark.parametrize("name", FAILURES)
def test_without_filtering_all_frames_are_there(name, tmp_path):
    kt.config.disable_traceback_filtering()
    try:
        error = failure(name, tmp_path)
    finally:
        kt.config.enable_traceback_filtering()
    assert any("kerastorch" in file and file != __file__ for file in files(error))
    assert __file__ in files(error)


def test_a_direct_call_shows_all_frames_as_that_of_any_torch_module_does():
    with pytest.raises(RuntimeError, match="mat1 and mat2") as caught:
        kt.Model(Wrong())(X)
    assert {__file__} < files(caught.value)


def test_filtering_is_on_unless_it_is_switched_off():
    assert kt.config.is_traceback_filtering_enabled()
    kt.config.disable_traceback_filtering()
    assert not kt.config.is_traceback_filtering_enabled()
    kt.config.enable_traceback_filtering()
    assert kt.config.is_traceback_filtering_enabled()


def test_an_argument_that_is_wrong_shows_the_call_alone():
    model = kt.Model(linear())
    with pytest.raises(ValueError, match="Unknown loss") as caught:
        model.compile("sgd", "msee")
    assert [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)] == [
        'model.compile("sgd", "msee")'
    ]


def test_frames_of_the_standard_library_stay_if_the_user_called_it():
    class Reads(nn.Module):
        def forward(self, x):
            return json.loads("{")

    with pytest.raises(json.JSONDecodeError) as caught:
        kt.Model(Reads()).predict(X, verbose=0)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[1] == "forward"
    assert "raw_decode" in names


def test_frames_of_a_thread_pool_that_the_library_uses_are_removed():
    class Failing(nn.Module):
        def forward(self, x):
            raise LookupError("in a thread")

    source = """
def in_a_thread(function, *args):
    with futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()
"""
    library = {"__name__": "kerastorch.anything", "futures": concurrent.futures}
    exec(source, library)

    @public_api
    def internal(*args):
        return library["in_a_thread"](*args)

    with pytest.raises(LookupError) as caught:
        internal(Failing(), X)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["internal", "forward"]


def test_the_error_of_a_call_within_a_call_is_the_same_object_with_its_notes():
    class Calls(kt.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            try:
                kt.Model(Wrong()).predict(X, verbose=0)
            except ValueError as error:
                error.add_note("noted")
                self.error = error
                raise

    calls = Calls()
    with pytest.raises(ValueError, match="cannot take its input") as caught:
        compiled(linear()).fit(X, Y, verbose=0, callbacks=calls)
    assert caught.value is calls.error
    assert caught.value.__notes__ == ["noted"]
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "on_epoch_end"


def test_a_chain_of_errors_that_ends_in_itself_is_followed_once():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    @public_api
    def fails():
        raise one

    with pytest.raises(ValueError, match="one"):
        fails()


def test_what_a_public_function_is_called_and_returns_is_unchanged():
    @public_api
    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    assert (add(1), add(1, b=3), add.__name__, add.__doc__) == (3, 4, "add", "Add.")
