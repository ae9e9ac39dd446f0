"""Tests with models and data of other packages: `make test-foreign` installs the packages and runs them.

A file whose packages are not installed is skipped with the reason. Nothing is downloaded.
"""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers and datasets are imported
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

# Other packages use names that Python, NumPy and torch will remove; warnings of kerastorch are errors.
_OF_OTHERS = [
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
    "ignore::FutureWarning",
    "ignore::ImportWarning",
]

pytest.register_assert_rewrite("support.foreign_case")


def pytest_itemcollected(item):
    for line in _OF_OTHERS:
        item.add_marker(pytest.mark.filterwarnings(line))
