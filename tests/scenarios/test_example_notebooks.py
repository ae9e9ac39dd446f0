"""The notebooks that are made of the examples are valid, run from top to bottom, and show what the scripts draw."""

import ast
import pathlib

import pytest
from support.docs_hooks import load_hook
from support.optional import optional

example_cells = load_hook("example_cells")
nbformat = optional("nbformat")
nbclient = optional("nbclient")
ipykernel = optional("ipykernel")
inputtransformer2 = optional("IPython.core.inputtransformer2")

EXAMPLES = sorted((pathlib.Path(__file__).parents[2] / "examples").glob("*.py"))
OFTEN = {"linnerud"}  # the others take long: a kernel starts for each notebook
OFTEN_AND_SLOW = [
    pytest.param(path, id=path.stem, marks=() if path.stem in OFTEN else pytest.mark.slow) for path in EXAMPLES
]


def named(path):
    return path.stem


def notebook_of(path):
    """Return the notebook of an example, as Jupyter reads it."""
    return nbformat.reads(example_cells.to_notebook(example_cells.read_example(path)), as_version=4)


def code_cells(notebook):
    """Return the code cells of a notebook without the first, which installs kerastorch."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"][1:]


@pytest.mark.parametrize("path", EXAMPLES, ids=named)
def test_an_example_has_a_title_a_description_and_a_picture(path):
    example = example_cells.read_example(path)
    assert 5 <= len(example.title) <= 60
    assert not example.title.endswith(".")
    assert example.description.endswith((".", "?"))
    descriptions = [cell.metadata["alt"] for cell in example.cells if "alt" in cell.metadata]
    assert descriptions
    assert all(one.endswith(".") and len(one) > 20 for one in descriptions)


def test_titles_are_different():
    titles = [example_cells.read_example(path).title for path in EXAMPLES]
    assert len(set(titles)) == len(titles) >= 15


@pytest.mark.parametrize("path", EXAMPLES, ids=named)
def test_a_notebook_is_valid_and_has_the_code_of_the_script(path):
    notebook = notebook_of(path)
    nbformat.validate(notebook)
    script = ast.parse(path.read_text())
    code = ast.parse("\n".join(cell.source for cell in code_cells(notebook)))
    assert ast.dump(code) == ast.dump(ast.Module(script.body[1:], []))  # without the docstring


def test_a_notebook_is_the_same_file_each_time():
    texts = [example_cells.to_notebook(example_cells.read_example(EXAMPLES[0])) for _ in range(2)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("is_there", [True, False])
def test_the_first_cell_installs_kerastorch_only_if_it_is_missing(is_there, monkeypatch):
    cell = next(cell for cell in notebook_of(EXAMPLES[0]).cells if cell.cell_type == "code")
    calls = []

    class Shell:
        def run_line_magic(self, *arguments, **options):
            calls.append(arguments)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if is_there else None)
    code = inputtransformer2.TransformerManager().transform_cell(cell.source)
    exec(code, {"get_ipython": Shell})
    assert [name for name, _ in calls] == ([] if is_there else ["pip"])


@pytest.mark.parametrize("path", OFTEN_AND_SLOW)
@pytest.mark.timeout(600)  # a kernel starts slowly on a busy machine
def test_a_notebook_runs_and_shows_each_picture_once(path, monkeypatch, tmp_path):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    ipykernel.__version__  # skips the test if it is absent
    notebook = notebook_of(path)
    drawing = ["alt" in cell.metadata for cell in example_cells.read_example(path).cells if cell.cell_type == "code"]
    client = nbclient.NotebookClient(notebook, kernel_name="python3", timeout=500, startup_timeout=500)
    client.execute(cwd=str(tmp_path))
    install = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert install.outputs == []
    shown = [sum("image/png" in one.get("data", {}) for one in cell.outputs) for cell in code_cells(notebook)]
    assert shown == [int(draws) for draws in drawing]
    errors = [one for cell in notebook.cells for one in cell.get("outputs", ()) if one.get("name") == "stderr"]
    assert not errors
