"""Training in several processes gives the numbers of one process: `compile(distribution="auto")`."""

import pytest
from support.rank_fits import FITS, check_same, trained, trained_on_ranks


@pytest.mark.parametrize("name", FITS)
def test_two_processes_give_the_numbers_of_one(two, name):
    options, fit_options = FITS[name]
    check_same(two.run(trained_on_ranks, options, fit_options), trained(options, fit_options))
