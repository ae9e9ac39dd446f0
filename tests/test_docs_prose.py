"""Pages keep the rules of prose that a script can check: spelling, words, titles, sentences, the form of the course."""

import itertools
import pathlib
import re
import subprocess
import sys

import pytest
from support.optional import is_installed

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
COURSE = sorted(path for path in (DOCS / "course").glob("*.md") if path.name != "index.md")
# Words and turns that a modern engineer does not use.
RETIRED = re.compile(
    r"\b(shall|heed(?:s|ed)?|gone? on with|goes on with|told of|is told|are told|unkept|begun|so many"
    r"|broken off|whoever|mend(?:s|ed)?|nobody said|as nobody|one's own|of ones own|behaviour|colour|centre"
    r"|optimiser|normalis|initialis|regularis(?!ation path)|visualis|summaris)\b",
    re.IGNORECASE,
)
# "Is it killed, run ..." and "Were it ...": a condition without `if`.
INVERSION = re.compile(
    r"(?:^|[.!?]\s+)(?:Is|Are|Was|Were|Has|Have|Should|Had)\s+[^.?!]{3,80},\s[^.?!]*\.", re.MULTILINE
)
LONGEST_SENTENCE = 40  # words

needs_codespell = pytest.mark.skipif(not is_installed("codespell_lib"), reason="codespell is not installed")


def prose(path):
    """Text of a page without code, tables, formulas, links' targets and front matter."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^( *)```.*?^\1```[ ]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\s*\|.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "x", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "x", text)
    text = re.sub(r"\]\([^)]*\)|\]\[[^\]]*\]", "]", text)
    return re.sub(r"<[^>]+>", "", text)


def sentences(path):
    """Sentences of the paragraphs and lists of a page."""
    for block in re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.)\s|\n#+ ", prose(path)):
        yield from re.split(r"(?<=[.!?:;])\s+", " ".join(block.split()))


def named(path):
    return str(path.relative_to(ROOT))


@needs_codespell
def test_pages_and_texts_are_spelled_correctly():
    texts = [
        *PAGES,
        *(ROOT / "examples").glob("*.py"),
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
    ]
    run = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *map(str, texts)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert run.stdout == ""
    assert run.returncode == 0


@needs_codespell
def test_a_wrong_spelling_would_be_found(tmp_path):
    (tmp_path / "page.md").write_text("The optimizer did not recieve a gradient.")
    run = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "page.md"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "recieve ==> receive" in run.stdout


def test_no_page_uses_a_retired_word():
    found = [f"{named(path)}: {match.group()}" for path in PAGES for match in RETIRED.finditer(prose(path))]
    assert not found


def test_conditions_begin_with_if():
    found = [f"{named(path)}: {match.group().strip()}" for path in PAGES for match in INVERSION.finditer(prose(path))]
    assert not found


def test_sentences_are_short():
    found = [
        f"{named(path)}: {sentence}"
        for path in PAGES
        for sentence in sentences(path)
        if len(sentence.split()) > LONGEST_SENTENCE
    ]
    assert not found


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_page_has_one_title(path):
    assert (
        len(
            re.findall(
                r"^# ", re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE), re.MULTILINE
            )
        )
        == 1
    )


@pytest.mark.parametrize("path", COURSE, ids=named)
def test_a_page_of_the_course_has_its_parts(path):
    text = path.read_text()
    assert "**Goal.**" in text
    assert "```python exec" in text
    assert ' alt="' in text or "![" in text, "a picture made by the code"
    exercises = text[text.index("## Exercises") :]
    assert 2 <= exercises.count('??? success "Solution') <= 4
    assert re.search(r"^Next: \[.+\]\(.+\.md\)", text, re.MULTILINE) or path.name == "anatomy.md"


def test_the_course_is_in_the_order_of_the_navigation():
    pages = re.findall(r"course/([\w-]+)\.md", (ROOT / "mkdocs.yml").read_text())
    for page, following in itertools.pairwise(pages):
        text = (DOCS / "course" / f"{page}.md").read_text()
        assert re.search(rf"^(?:Next|Start here): \[[^\]]+\]\({following}\.md\)", text, re.MULTILINE), page
