"""The house keeps its bounds: names, prose, hidden state, sizes."""

import ast
import collections
import pathlib
import re

import pytest
from torch import nn

import kerastorch as kt

ROOT = pathlib.Path(__file__).parent.parent
FILES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "src").rglob("*.py"))}

RELATIVE = re.compile(
    r"^(What|Whether|That|Those|Where|How|Of|The same|As|Which|Who|Up|In the|Its|Their|See|Several|Both|All|One|Before"
    r"|After|So)\b"
)
RETIRED = re.compile(
    r"\b(heed(?:s|ed)?|gone on with|goes on with|is told|are told|told of|is heard|unkept|begun|charge[sd]?"
    r"|such as nobody|so many|broken off|whoever|shall|mend(?:s|ed)?)\b",
    re.IGNORECASE,
)
IMPERATIVES = set(
    """
    Add Append Apply Build Call Cast Check Close Compute Convert Copy Count Create Delete Do Draw Forget Give Let Load
    Make Move Prepare Put Raise Read Record Register Remove Replace Restore Return Run Sample Set Start Store Train Use
    Warn Write Yield
    """.split()  # noqa: SIM905  # a list of so many words reads worse
)
KERAS_MEMBERS = """
    add_loss build built call compile_from_config compiled compute_dtype compute_loss compute_mask compute_metrics
    compute_output_shape count_params dtype evaluate export fit from_config get_compile_config get_config get_layer
    get_metrics_result get_weights history input input_names input_shape inputs layers load_weights losses metrics
    metrics_names name non_trainable_variables
    non_trainable_weights optimizer output output_names output_shape outputs predict predict_on_batch
    predict_step reset_metrics save save_weights set_weights stop_training summary test_on_batch test_step
    to_json train_on_batch train_step trainable trainable_variables trainable_weights
    variable_dtype variables weights
""".split()  # noqa: SIM905
FX_MEMBERS = ["code", "graph"]
STATEFUL = {"trainer", "_trainer", "compiled_loss", "optimizer_step", "context", "metrics", "checkpoint"}


def named(path, node=None, name=""):
    line = f":{node.lineno}" if node is not None else ""
    return f"{path.relative_to(ROOT)}{line} {name}".strip()


def functions():
    for path, tree in FILES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def first_sentences():
    for path, node in functions():
        text = ast.get_docstring(node)
        if text:
            yield named(path, node, node.name), text.strip().splitlines()[0]


def test_docstrings_do_not_begin_in_the_middle_of_a_sentence():
    found = list(first_sentences())
    relative = [f"{where}: {text}" for where, text in found if RELATIVE.match(text)]
    assert len(relative) <= 0.05 * len(found), relative


def test_most_docstrings_of_functions_begin_with_an_imperative():
    words = collections.Counter(text.split()[0].rstrip(".,:") for _, text in first_sentences())
    imperative = sum(number for word, number in words.items() if word in IMPERATIVES)
    assert imperative >= 0.5 * words.total(), words.most_common(20)


def test_a_model_has_few_public_members_of_its_own():
    inherited = {*dir(nn.Module), *KERAS_MEMBERS, *FX_MEMBERS}
    own = [name for name in dir(kt.Model) if not name.startswith("_") and name not in inherited]
    assert len(own) <= 15, own


def test_no_retired_word_is_used():
    found = [
        f"{named(path)}:{number}: {match.group()}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "#" in line or '"""' in line or not re.match(r"\s*(def|class|return|import|from|if|for|while|with)\b", line)
        for match in RETIRED.finditer(line)
    ]
    assert not found


def test_state_is_written_in_the_file_it_belongs_to():
    found = collections.Counter()
    for path, tree in FILES.items():
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else targets
            for target in targets:
                for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(part, ast.Attribute):
                        owner = part.value
                        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", None)
                        if name in STATEFUL:
                            found[f"{named(path, part)} {name}.{part.attr}"] += 1
    assert not found


def test_files_and_functions_are_short():
    long_files = [named(path) for path in FILES if len(path.read_text().splitlines()) > 350]
    bodies = [(path, node, node.body[1:] if ast.get_docstring(node) else node.body) for path, node in functions()]
    long_functions = [
        named(path, node, node.name)
        for path, node, body in bodies
        if body and body[-1].end_lineno - body[0].lineno >= 60
    ]
    assert not long_files
    assert not long_functions


def test_who_owns_an_object_is_asked_in_one_place():
    asked = [
        f"{named(path)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"""["']kerastorch\.?["']""", line) and "import" not in line
    ]
    assert len(asked) <= 2, asked


def test_parameters_have_types():
    pattern = re.compile(r"\b(?:trainer|model|module|layer|optimizer|loss|callback)\w*: Any\b")
    found = [f"{named(path)}: {match.group()}" for path in FILES for match in pattern.finditer(path.read_text())]
    assert len(found) <= 25, found


PRIVATE = re.compile(r"\btorch(?:\.\w+)*\._[a-z]\w*")


def dotted_names(node):
    """Return the dotted names that a node imports or reads."""
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [ast.unparse(node)] if isinstance(node, ast.Attribute) else []


def test_private_names_of_torch_are_in_one_file():
    found = [
        f"{named(path, node)}: {match.group()}"
        for path, tree in FILES.items()
        if path.name not in ("torch_private.py", "torch_optimizer_private.py")
        for node in ast.walk(tree)
        for text in dotted_names(node)
        if (match := PRIVATE.search(text)) and "torch._foreach" not in match.group()
    ]
    assert not found


@pytest.mark.parametrize(
    "line",
    ["from torch.utils import _pytree as pytree", "import torch._dynamo", "from torch._dynamo import x", "torch._x"],
)
def test_the_search_finds_every_form_of_a_private_name(line):
    found = [text for node in ast.walk(ast.parse(line)) for text in dotted_names(node)]
    assert any(PRIVATE.search(text) for text in found)


@pytest.mark.parametrize("name", ["core", "symbolic", "module", "functional", "runtime", "checkpoint", "export"])
def test_each_room_says_what_it_holds(name):
    assert ast.get_docstring(ast.parse((ROOT / "src/kerastorch" / name / "__init__.py").read_text()))
