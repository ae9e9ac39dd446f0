"""The hooks of the site: code that runs on pages, examples as pages and notebooks, formulas, and the reference."""

import json
import pathlib
import subprocess
import sys
import textwrap
import types

import pytest
from support.docs_hooks import HOOKS, load_hook
from support.optional import optional

page_runner = load_hook("page_runner")
example_cells = load_hook("example_cells")
examples = load_hook("examples")
formulas = load_hook("formulas")
reference = load_hook("reference")
run_code = load_hook("run_code")
markdown = optional("markdown")
mkdocs_config = optional("mkdocs.config")
mkdocs_exceptions = optional("mkdocs.exceptions")
mkdocs_files = optional("mkdocs.structure.files")
matplotlib = optional("matplotlib")
pyplot = optional("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _no_window():
    """Draw without a window, as the build does."""
    matplotlib.use("agg")
    pyplot.close("all")


def page(*blocks):
    """Return the Markdown of a page with blocks: pairs of options and code."""
    return "# Page\n\n" + "\n\n".join(f"```python exec{options}\n{code}\n```" for options, code in blocks) + "\n"


def run(*blocks):
    return page_runner.run_page("guides/page.md", page(*blocks))


def failure(*blocks):
    """Return the message of the error that a page raises."""
    with pytest.raises(page_runner.PageError) as caught:
        run(*blocks)
    return str(caught.value)


# --- pages with code ----------------------------------------------------------------------------------------------


def test_output_stands_under_the_code():
    assert (
        run(("", "print(1 + 2)")).markdown == "# Page\n\n```python\nprint(1 + 2)\n```\n\n```{.text .output}\n3\n```\n"
    )


def test_a_block_without_output_is_code_alone():
    assert run(("", "x = 1")).markdown == "# Page\n\n```python\nx = 1\n```\n"


def test_blocks_share_their_names_and_a_folder_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note = "from pathlib import Path\nx = 2\n_ = Path('note.txt').write_text('kept')"
    blocks = ("", note), ("", "print(x, Path('note.txt').read_text(), __name__)")
    assert "2 kept __main__" in run(*blocks).markdown
    assert pathlib.Path.cwd() == tmp_path
    assert not list(tmp_path.iterdir())


def test_other_fences_stay_as_they_are():
    text = "```python\n1 / 0\n```\n\n```sh\nrm x\n```\n\nInline ```python exec``` too.\n"
    assert not page_runner.has_code(text)
    assert page_runner.run_page("page.md", text).markdown == text
    assert page_runner.has_code(page(("", "x = 1")))


def test_a_hidden_block_runs_and_is_not_shown():
    shown = run((" hide", "x = 5\nprint('secret')"), ("", "print(x)")).markdown
    assert "secret" not in shown
    assert "x = 5" not in shown
    assert "{.text .output}\n5\n" in shown
    assert "AssertionError" in failure((" hide", "assert 1 == 2"))


def test_an_announced_error_is_shown_by_its_message():
    shown = run((" raises=ValueError", "print('before')\nint('seven')")).markdown
    assert "before\nValueError: invalid literal for int() with base 10: 'seven'\n```" in shown
    assert "Traceback" not in shown


def test_an_announced_error_may_be_a_subclass():
    assert "KeyError: 'x'" in run((" raises=LookupError", "{}['x']")).markdown


def test_the_code_goes_no_further_than_the_announced_error_but_the_page_does():
    shown = run((" raises=ZeroDivisionError", "x = 1\n1 / 0\nx = 2"), ("", "print('x is', x)")).markdown
    assert "x is 1" in shown


def test_an_error_of_another_kind_stops_the_page():
    message = failure((" raises=ValueError", "{}['x']"))
    assert message.startswith("guides/page.md:3: this block failed")
    assert "KeyError: 'x'" in message


def test_a_block_that_does_not_raise_what_it_announces_stops_the_page():
    assert failure((" raises=ValueError", "x = 1")) == "guides/page.md:3: this block should have raised ValueError"


def test_an_error_names_the_line_of_the_page():
    message = failure(("", "x = 1"), ("", "x = 2\n\n1 / 0"))
    assert message.startswith("guides/page.md:7: this block failed")  # the fence
    assert 'File "guides/page.md", line 10, in <module>' in message  # the division
    lines = page(("", "x = 1"), ("", "x = 2\n\n1 / 0")).splitlines()
    assert lines[7 - 1] == "```python exec"
    assert lines[10 - 1] == "1 / 0"


def test_a_syntax_error_names_the_line_of_the_page():
    assert "line 5" in failure(("", "x = 1\nx = = 2"))


@pytest.mark.filterwarnings("ignore:old")
def test_a_warning_stops_the_page():
    message = failure(("", "import warnings\nwarnings.warn('old', stacklevel=1)"))
    assert "UserWarning: old" in message
    assert "line 5" in message


@pytest.mark.parametrize("option", ["hidden", "raises", "raises=", "alt=''", "hide=1", "show"])
def test_an_unknown_option_stops_the_page(option):
    assert failure((f" {option}", "x = 1")).startswith("guides/page.md:3: exec has no option")


def test_an_indented_block_stays_in_its_list_or_folded_solution():
    text = textwrap.dedent(
        """\
        ??? success "Solution"

            Text.

            ```python exec
            for i in range(2):

                print(i)
            ```

        After it.
        """
    )
    expected = textwrap.dedent(
        """\
        ??? success "Solution"

            Text.

            ```python
            for i in range(2):

                print(i)
            ```

            ```{.text .output}
            0
            1
            ```

        After it.
        """
    )
    assert page_runner.run_page("page.md", text).markdown == expected


DRAW = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])"


def test_a_figure_becomes_a_picture_under_the_output():
    found = run((' alt="A curve, it\'s up and down."', f"{DRAW}\nprint('drawn')"))
    assert found.markdown.endswith("drawn\n```\n\n![A curve, it's up and down.](page-1.svg)\n")
    assert list(found.pictures) == ["page-1.svg"]
    assert b"<svg" in found.pictures["page-1.svg"]
    assert pyplot.get_fignums() == []


def test_pictures_are_numbered_over_the_page_and_a_block_may_have_several():
    found = run((' alt="First"', DRAW), (' alt="Two"', f"{DRAW}\nplt.figure()\nplt.plot([0])"))
    assert list(found.pictures) == ["page-1.svg", "page-2.svg", "page-3.svg"]
    assert "![Two](page-2.svg)\n\n![Two](page-3.svg)" in found.markdown


def test_a_figure_is_the_same_file_each_time():
    first, second = (run((' alt="A curve"', DRAW)).pictures["page-1.svg"] for _ in range(2))
    assert b"<dc:date>" not in first
    assert len(first) == len(second)


def test_a_figure_with_many_points_becomes_a_png():
    many = "import matplotlib.pyplot as plt\nplt.scatter(range(4000), range(4000), s=list(range(4000)))"
    found = run((' alt="Many dots"', many))
    assert found.pictures["page-1.png"].startswith(b"\x89PNG")
    assert "![Many dots](page-1.png)" in found.markdown


def test_a_figure_without_a_description_stops_the_page():
    assert failure(("", DRAW)).startswith("guides/page.md:3: alt= belongs to a block that leaves an open pyplot figure")
    assert "alt= belongs" in failure((" hide", DRAW))


def test_a_description_without_a_figure_stops_the_page():
    assert "alt= belongs" in failure((' alt="A curve"', "x = 1"))
    assert "alt= belongs" in failure((' alt="A curve"', f"{DRAW}\nplt.close()"))


def test_show_of_a_script_does_not_warn(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")  # where there is a display, matplotlib says that agg has no window
    assert run((' alt="A curve"', f"{DRAW}\nplt.show()")).pictures


def test_pictures_that_the_code_saves_become_files_of_the_page():
    code = f"{DRAW}\nplt.savefig('curve.png')\nplt.close()\nwith open('notes.txt', 'w'):\n    pass"
    found = run(("", code))
    assert list(found.pictures) == ["curve.png"]
    assert found.pictures["curve.png"].startswith(b"\x89PNG")


# --- the cache ----------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A source folder and a cache of its own, and a function that executes pages and counts their runs."""
    source = tmp_path / "root" / "src" / "library.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    monkeypatch.setattr(run_code, "_ROOT", tmp_path / "root")
    monkeypatch.setattr(run_code, "_CACHE", tmp_path / "cache")
    monkeypatch.setattr(run_code, "_PRELOADED", [])  # the pages here need no package
    monkeypatch.setattr(sys, "path", list(sys.path))
    runs = tmp_path / "runs"

    def counted(code, options=""):
        return page((" hide", f"with open({str(runs)!r}, 'a') as file:\n    file.write('x')"), (options, code))

    def execute(**pages):
        runs.write_text("")
        found = run_code._execute({f"{name}.md": text for name, text in pages.items()})
        return found, len(runs.read_text())

    return types.SimpleNamespace(source=source, cache=tmp_path / "cache", counted=counted, execute=execute)


def test_an_unchanged_page_is_not_run_again(site):
    text = site.counted(DRAW + "\nprint('here')", ' alt="A curve"')
    first, count = site.execute(a=text)
    assert count == 1
    assert "here" in first["a.md"].markdown
    again, count = site.execute(a=text)
    assert count == 0
    assert again["a.md"] == first["a.md"]
    assert list(again["a.md"].pictures) == ["a-1.svg"]


def test_a_changed_page_runs_again_and_its_old_form_is_removed(site):
    other = site.counted("print('other')")
    site.execute(a=site.counted("print(1)"), b=other)
    found, count = site.execute(a=site.counted("print(2)"), b=other)
    assert count == 1
    assert "output}\n2\n" in found["a.md"].markdown
    assert "output}\nother\n" in found["b.md"].markdown
    assert len(list(site.cache.iterdir())) == 2


def test_a_changed_source_runs_all_pages_again(site):
    pages = {"a": site.counted("print(1)"), "b": site.counted("print(2)")}
    assert site.execute(**pages)[1] == 2
    site.source.write_text("x = 2\n")
    assert site.execute(**pages)[1] == 2
    assert site.execute(**pages)[1] == 0


BUILD = """\
import pathlib, sys
sys.path.append(sys.argv[1])
import run_code
from mkdocs.exceptions import PluginError

folder = pathlib.Path(sys.argv[2])
run_code._ROOT, run_code._CACHE, run_code._PRELOADED = folder / "root", folder / "cache", []
try:
    run_code._execute({"a.md": (folder / "a.md").read_text()})
except PluginError as error:
    print("stopped:", error)
print("stored:", list(run_code._CACHE.glob("*")))
"""


def test_a_page_that_fails_stops_the_build_and_is_not_stored(site, tmp_path):
    (tmp_path / "a.md").write_text(site.counted("1 / 0"))
    # In Python 3.11 a thread of the pool raises a moment later, so the build has a process of its own.
    build = subprocess.run(
        [sys.executable, "-c", BUILD, str(HOOKS), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "stopped: a.md:8: this block failed" in build.stdout
    assert "ZeroDivisionError" in build.stdout
    assert "stored: []" in build.stdout


def test_pages_and_pictures_of_the_site_are_replaced(site, tmp_path):
    config = configuration(tmp_path)
    texts = {"guides/a.md": site.counted(DRAW, ' alt="A curve"'), "b.md": "# No code\n"}
    files = mkdocs_files.Files([mkdocs_files.File.generated(config, uri, content=text) for uri, text in texts.items()])
    run_code.on_files(files, config)
    assert sorted(files.src_uris) == ["b.md", "guides/a-1.svg", "guides/a.md"]
    assert "![A curve](a-1.svg)" in files.src_uris["guides/a.md"].content_string
    assert files.src_uris["b.md"].content_string == "# No code\n"
    assert b"<svg" in files.src_uris["guides/a-1.svg"].content_bytes


def configuration(folder):
    """Return the configuration of a small site in a folder."""
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "mkdocs.yml").write_text("site_name: small\n")
    config = mkdocs_config.load_config(str(folder / "mkdocs.yml"))
    config.plugins._current_plugin = None  # mkdocs sets it before it calls a hook
    return config


# --- examples -----------------------------------------------------------------------------------------------------

SCRIPT = '''\
"""Two numbers.

They are added, and drawn.
"""

# %% [markdown]
# First the *sum*.

# %%
print(1 + 2)

# %% alt="A rising line."
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()
'''


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "numbers.py"
    path.write_text(SCRIPT)
    return path


def test_an_example_is_read_in_cells(script):
    example = example_cells.read_example(script)
    assert (example.name, example.title, example.description) == (
        "numbers", "Two numbers", "They are added, and drawn."
    )  # fmt: skip
    assert [cell.cell_type for cell in example.cells] == ["markdown", "code", "code"]
    assert example.cells[2].metadata["alt"] == "A rising line."


@pytest.mark.parametrize(
    ("text", "message"),
    [("# %%\nx = 1\n", "has no docstring"), ('"""Title"""\n', "has no cell"), ("", "has no docstring")],
)
def test_a_script_without_docstring_or_cells_is_an_error(tmp_path, text, message):
    path = tmp_path / "empty.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"empty\.py {message}"):
        example_cells.read_example(path)


def test_the_page_of_an_example_runs(script):
    text = example_cells.to_markdown(example_cells.read_example(script))
    assert text.startswith("# Two numbers\n\nThey are added, and drawn.\n\nDownload: [script](numbers.py)")
    assert "\nFirst the *sum*.\n" in text
    found = page_runner.run_page("examples/numbers.md", text)
    assert "{.text .output}\n3\n" in found.markdown
    assert "![A rising line.](numbers-1.svg)" in found.markdown


def test_the_notebook_of_an_example_has_its_cells_and_stable_ids(script):
    example = example_cells.read_example(script)
    notebook = json.loads(example_cells.to_notebook(example))
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert sources[0] == "# Two numbers\n\nThey are added, and drawn."
    assert "%pip install" in sources[1]
    assert sources[2:] == ["First the *sum*.", "print(1 + 2)", SCRIPT[SCRIPT.index("import mat") :].rstrip()]
    assert len({cell["id"] for cell in notebook["cells"]}) == 5
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert example_cells.to_notebook(example) == example_cells.to_notebook(example_cells.read_example(script))


def test_the_site_gets_a_page_a_script_and_a_notebook_of_each_example(script, tmp_path, monkeypatch):
    (tmp_path / "another.py").write_text(SCRIPT.replace("Two numbers", "With a later title"))
    monkeypatch.setattr(examples, "_FOLDER", tmp_path)
    config = configuration(tmp_path)
    config.nav = [{"Home": "index.md"}, {"Examples": ["examples/index.md"]}]
    index = mkdocs_files.File.generated(
        config, "examples/index.md", content="# Examples\n\n<!-- examples -->\n\nEnd.\n"
    )
    files = mkdocs_files.Files([index])
    pages = examples.on_config(config).nav[1]["Examples"]
    assert pages == [
        "examples/index.md",
        {"Two numbers": "examples/numbers.md"},
        {"With a later title": "examples/another.md"},
    ]
    examples.on_files(files, config)
    kinds = [f"examples/{name}.{suffix}" for name in ("another", "numbers") for suffix in ("md", "py", "ipynb")]
    assert sorted(files.src_uris) == sorted([*kinds, "examples/index.md"])
    assert files.src_uris["examples/numbers.py"].content_string == SCRIPT
    table = files.src_uris["examples/index.md"].content_string
    assert "| [Two numbers](numbers.md) | They are added, and drawn. |" in table
    assert table.index("Two numbers") < table.index("With a later title") < table.index("End.")


# --- formulas -----------------------------------------------------------------------------------------------------


def rendered(text):
    """Return the HTML of Markdown with formulas, after the hook."""
    content = markdown.markdown(
        text, extensions=["pymdownx.arithmatex"], extension_configs={"pymdownx.arithmatex": {"generic": True}}
    )
    where = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="course/x.md"))
    return formulas.on_page_content(content, where, None, None)


def test_formulas_become_mathml_in_the_line_and_on_lines_of_their_own():
    found = rendered("The square $x^2$ and\n\n$$\n\\frac{1}{2}\n$$\n\nend.")
    assert found.count("<math") == 2
    assert '<span class="formula" title="x^2"><math' in found
    assert 'display="inline"' in found
    assert '<div class="formula" title="\\frac{1}{2}"><math' in found
    assert 'display="block"' in found
    assert "<mfrac>" in found
    assert "arithmatex" not in found


def test_signs_of_html_in_formulas_are_escaped():
    found = rendered("If $a < b \\text{ & } c$.")
    assert "&lt;" in found
    assert "< b" not in found
    assert "&amp;lt;" not in found


def test_code_with_dollars_is_no_formula():
    assert rendered("Write `$x$` for a formula.") == "<p>Write <code>$x$</code> for a formula.</p>"


def test_a_formula_that_cannot_be_rendered_names_page_and_formula():
    with pytest.raises(mkdocs_exceptions.PluginError, match=r"course/x\.md: cannot render the formula x\^2\^3"):
        rendered("$x^2^3$")


# --- reference ----------------------------------------------------------------------------------------------------

MODULES = ["callbacks", "layers", "losses", "metrics", "optimizers", "optimizers.schedules"]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_one_group_of_the_reference(module):
    listed = [name for names in reference._GROUPS[module].values() for name in names]
    public, _ = reference._public_names(module)
    assert sorted(listed) == sorted(public)


def reference_files(config, **texts):
    """Return the files of the index pages, with other texts for some modules."""
    pages = {module: f"# {module}\n\n<!-- index -->\n" for module in MODULES} | texts
    return mkdocs_files.Files(
        [mkdocs_files.File.generated(config, f"api/{module}/index.md", content=text) for module, text in pages.items()]
    )


def test_each_class_has_a_page_and_a_line_in_the_index(tmp_path):
    config = configuration(tmp_path)
    files = reference.on_files(reference_files(config), config)
    page = files.src_uris["api/layers/Dense.md"].content_string
    assert "::: kerastorch.layers.Dense\n" in page
    assert "title: Dense" in page
    index = files.src_uris["api/layers/index.md"].content_string
    assert "<!-- index -->" not in index
    assert "| [`Dense`](Dense.md) | " in index
    assert "| [`MaxPooling2D`](MaxPooling2D.md), `MaxPool2D` | " in index
    assert "api/layers/MaxPool2D.md" not in files.src_uris
    assert "Other names: `MaxPool2D`" in files.src_uris["api/layers/MaxPooling2D.md"].content_string


def test_functions_share_a_page(tmp_path):
    config = configuration(tmp_path)
    files = reference.on_files(reference_files(config), config)
    assert "::: kerastorch.layers.add\n" in files.src_uris["api/layers/functions.md"].content_string
    index = files.src_uris["api/layers/index.md"].content_string
    assert "[`add`](functions.md#kerastorch.layers.add)" in index
    uris = [uri.lower() for uri in files.src_uris]
    assert len(set(uris)) == len(uris)  # also on file systems that ignore case


def test_the_navigation_lists_the_classes_under_their_module(tmp_path):
    config = configuration(tmp_path)
    config.nav = [{"Home": "index.md"}, {"Reference": [{"Optimizers": "api/optimizers/index.md"}]}]
    entries = reference.on_config(config).nav[1]["Reference"][0]["Optimizers"]
    assert entries[0] == "api/optimizers/index.md"
    assert {"Adam": "api/optimizers/Adam.md"} in entries
    assert config.nav[0] == {"Home": "index.md"}


def test_a_public_name_in_no_group_stops_the_build(tmp_path, monkeypatch):
    groups = {
        title: [name for name in names if name != "Adam"] for title, names in reference._GROUPS["optimizers"].items()
    }
    monkeypatch.setitem(reference._GROUPS, "optimizers", groups)
    config = configuration(tmp_path)
    with pytest.raises(mkdocs_exceptions.PluginError, match=r"optimizers: not listed: \['Adam'\]; not public: \[\]"):
        reference.on_files(reference_files(config), config)


def test_an_unknown_name_in_a_group_stops_the_build(tmp_path, monkeypatch):
    monkeypatch.setitem(reference._GROUPS["metrics"], "New", ["Missing"])
    config = configuration(tmp_path)
    with pytest.raises(mkdocs_exceptions.PluginError, match=r"not public: \['Missing'\]"):
        reference.on_files(reference_files(config), config)


def test_an_index_without_its_mark_stops_the_build(tmp_path):
    config = configuration(tmp_path)
    with pytest.raises(mkdocs_exceptions.PluginError, match=r"api/losses/index\.md must contain <!-- index --> once"):
        reference.on_files(reference_files(config, losses="# Losses\n"), config)
