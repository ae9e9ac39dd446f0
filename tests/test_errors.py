"""Errors: what was given, what was expected, the nearest right name; and how names are looked up."""

import functools
import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import kerastorch as kt
from kerastorch.core.errors import check_float, check_int, deduplicate_warnings, mismatch, suggest, unknown, warn
from kerastorch.core.name_lookup import look_up, public_name, resolve, snake_case


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("msee", " Did you mean 'mse'?"),
        ("MAEE", " Did you mean 'mae'?"),
        ("cross_entropi", " Did you mean 'cross_entropy'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_a_near_name_is_suggested_and_a_far_one_is_not(given, hint):
    assert suggest(given, {"mse", "mae", "cross_entropy"}) == hint


def test_nothing_is_suggested_of_nothing():
    assert suggest("mse", []) == ""


def test_an_unknown_name_is_told_the_nearest_and_all_in_order():
    error = unknown("loss", "msee", iter(["mse", "mae"]))
    assert isinstance(error, ValueError)
    assert str(error) == "Unknown loss 'msee'. Did you mean 'mse'? Known: mae, mse."


def test_an_unknown_name_far_from_all_is_told_all():
    assert str(unknown("metric", "zzz", {"b": 1, "a": 2})) == "Unknown metric 'zzz'. Known: a, b."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", 3, "a string"), "x must be a string, got 3."),
        (("x", "3", "an integer"), "x must be an integer, got '3'."),
        (("x", None, "a list", "Use [None]."), "x must be a list, got None. Use [None]."),
    ],
)
def test_a_mismatch_says_what_was_expected_what_was_given_and_what_to_do(arguments, message):
    error = mismatch(*arguments)
    assert isinstance(error, ValueError)
    assert str(error) == message


@pytest.mark.parametrize("value", [1, 7, np.int64(7), np.uint8(7), 10**30])
def test_a_whole_number_comes_back_as_an_int(value):
    assert check_int("n", value) == value
    assert type(check_int("n", value)) is int


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True, None, np.float64(2), np.bool_(True), torch.tensor(3), [1]])
def test_what_is_no_whole_number_from_one_is_refused(value):
    with pytest.raises(ValueError, match=r"^n must be an integer >= 1, got .*\.$"):
        check_int("n", value)


def test_the_least_whole_number_may_be_another():
    assert check_int("n", 0, 0) == 0
    with pytest.raises(ValueError, match="n must be an integer >= 2, got 1"):
        check_int("n", 1, 2)


@pytest.mark.parametrize("value", [0, 1, -2.5, np.float32(0.5), np.int32(3), Fraction(1, 2), 1e308])
def test_a_number_comes_back_as_a_float(value):
    assert check_float("a", value) == float(value)
    assert type(check_float("a", value)) is float


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, np.nan, "1", True, None, 1j, [1.0], torch.tensor(1.0)]
)
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="a must be a finite number, got "):
        check_float("a", value)


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        ({"above": 0}, [1e-9, 5], [0, -1], "> 0"),
        ({"least": 0}, [0, 5], [-1e-9], ">= 0"),
        ({"below": 1}, [0.99, -5], [1, 2], "< 1"),
        ({"most": 1}, [1, -5], [1.01], "<= 1"),
        ({"least": 0, "below": 1}, [0, 0.5], [1, -0.1], ">= 0 and < 1"),
        ({"above": 0, "most": 1}, [1, 0.5], [0, 1.1], "> 0 and <= 1"),
        ({"above": -2.5}, [-2.4], [-2.5], "> -2.5"),
    ],
)
def test_bounds_are_kept_and_named(bounds, inside, outside, words):
    for value in inside:
        assert check_float("a", value, **bounds) == value
    for value in outside:
        with pytest.raises(ValueError, match=f"^a must be a finite number {words}, got {value}"):
            check_float("a", value, **bounds)


@pytest.mark.parametrize("value", [2, "2", math.nan])
def test_advice_follows_every_refusal(value):
    with pytest.raises(ValueError, match=r"got .*\. Divide by 100\.$"):
        check_float("a", value, most=1, advice="Divide by 100.")


# names


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ("MeanSquaredError", "mean_squared_error"),
        ("MulticlassF1Score", "multiclass_f1_score"),
        ("BCELoss", "bce_loss"),
        ("BCEWithLogitsLoss", "bce_with_logits_loss"),
        ("KLDivLoss", "kl_div_loss"),
        ("L1Loss", "l1_loss"),
        ("L1L2", "l1_l2"),
        ("Adam", "adam"),
        ("mse", "mse"),
        ("mean_squared_error", "mean_squared_error"),
        ("", ""),
    ],
)
def test_camel_case_becomes_snake_case(camel, snake):
    assert snake_case(camel) == snake


@pytest.mark.parametrize("name", ["mean_error", "MeanError", "MEAN_ERROR", "Mean_Error"])
def test_a_name_is_found_in_any_case(name):
    assert look_up("loss", name, {"mean_error": 1, "other": 2}) == 1


def test_a_name_as_it_is_comes_before_its_other_cases():
    assert look_up("loss", "A", {"A": 1, "a": 2}) == 1


def test_resolve_makes_classes_and_keeps_the_rest():
    class Thing:
        def __call__(self):
            return 1

    table, made = {"thing": Thing, "one": len}, Thing()
    assert isinstance(resolve("thing", "Thing", table, callable), Thing)
    assert isinstance(resolve("thing", Thing, table, callable), Thing)
    assert resolve("thing", made, table, callable) is made
    assert resolve("thing", "one", table, callable) is len


@pytest.mark.parametrize("wrong", [3, None, ["thing"]])
def test_resolve_refuses_what_does_not_pass_and_shows_what_was_given(wrong):
    with pytest.raises(TypeError, match="A thing is a name, a class, an instance or a callable, got "):
        resolve("thing", wrong, {"thing": len}, callable)


def _named():
    return None


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (_named, "_named"),
        (functools.partial(_named), "_named"),
        (functools.partial(functools.partial(_named)), "_named"),
        (nn.CrossEntropyLoss(), "cross_entropy_loss"),
        (len, "len"),
        (lambda: None, "<lambda>"),
    ],
)
def test_a_thing_is_named_as_its_user_would(thing, name):
    assert public_name(thing) == name


def test_warnings_point_at_the_users_line(tmp_path):
    model = kt.Sequential([kt.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((8, 2))
    told = [kt.callbacks.RemoteMonitor("http://127.0.0.1:9"), kt.callbacks.EarlyStopping("loss")]
    with pytest.warns(UserWarning, match="Training continues") as caught:
        model.fit(x, x[:, :1], verbose=0, callbacks=told)
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(UserWarning, match="nan|NaN") as caught:  # of the loss itself, and of what is monitored
        model.fit(x, x[:, :1] * np.nan, verbose=0, callbacks=told[1:], check_finite=False)
    assert {warning.filename for warning in caught} == {__file__}
    model.add(kt.layers.Lambda(lambda x: x))
    with pytest.warns(UserWarning, match="architecture") as caught:
        model.save(tmp_path / "model.kt")
    assert {warning.filename for warning in caught} == {__file__}


def test_a_sentence_is_given_once_in_a_scope_and_again_in_the_next():
    def give():
        with deduplicate_warnings():
            warn("first")
            with deduplicate_warnings():
                warn("first")
                warn("second")
            warn("second")

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        give()
        give()
        warn("first")
        warn("first")
    assert [str(one.message) for one in found] == ["first", "second", "first", "second", "first", "first"]
