"""Random trainings give the numbers of a loop in plain torch, or one of kerastorch's own errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.runs import check
from fuzz.strategies import cases, outputs

TASKS = ("values", "binary", "classes")


def one(task, **options):
    return outputs(task, **options).map(lambda output: (output,))


@pytest.mark.parametrize("task", TASKS)
@given(st.data())
def test_a_training_of_one_output_is_that_of_a_loop(task, data):
    check(data.draw(cases(one(task))))


@pytest.mark.parametrize("task", TASKS)
@given(st.data())
def test_a_training_of_images_is_that_of_a_loop(task, data):
    check(data.draw(cases(one(task, image=True), body="image")))


@given(cases(st.tuples(*[st.sampled_from(TASKS).flatmap(outputs)] * 2)))
def test_a_training_of_two_outputs_is_that_of_a_loop(case):
    check(case)


@given(cases(st.sampled_from(TASKS).flatmap(lambda task: one(task, refused=True)), body="dense"))
def test_targets_of_any_shape_are_taken_as_what_they_mean_or_refused(case):
    check(case)
