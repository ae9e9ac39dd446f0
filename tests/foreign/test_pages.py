"""Pages about other packages: their code runs, and prints what the page shows.

The site is built without these packages, so the output is text on the page. The blocks of a page share one namespace.
Numbers may differ a little, since processors round differently.
"""

import contextlib
import io
import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"
PAGES = {"guides/hugging-face.md": ["transformers", "peft"], "guides/search.md": ["keras_tuner", "six"]}
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```\{\.text \.output\}\n(?P<shown>.*?)\n```\n)?", re.M | re.S)


NUMBER = re.compile(r"\d+\.\d+(?:e-\d+)?")


def parts(text):
    """Return the text without its decimal fractions, and these."""
    return NUMBER.sub("NUMBER", text), [float(number) for number in NUMBER.findall(text)]


def is_shown(printed, shown):
    """Return whether a page shows what was printed."""
    (words, numbers), (other_words, other_numbers) = parts(printed), parts(shown)
    return words == other_words and numbers == pytest.approx(other_numbers, rel=0.05, abs=0.05)


def run(code, line, namespace):
    """Return what a block of code prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * line + code, "page", "exec"), namespace)
    return printed.getvalue().rstrip()


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_prints_what_the_page_shows(page, tmp_path):
    for package in PAGES[page]:
        pytest.importorskip(package, reason=f"{package} is not installed: make test-foreign")
    text = (DOCS / page).read_text(encoding="utf-8")
    namespace, found = {"__name__": "__main__"}, []
    with contextlib.chdir(tmp_path):
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            printed = run(block["code"], line, namespace)
            if not is_shown(printed, block["shown"] or ""):
                found.append(f"line {line} prints:\n{printed}")
    assert len(list(BLOCK.finditer(text))) > 1
    assert not found, "\n\n".join(found)
