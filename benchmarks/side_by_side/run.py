"""Do the same training with several libraries, compare the trained weights, and count the lines of code.

    python benchmarks/side_by_side/run.py [--jobs ...] [--libraries ...] [--markdown FILE]

Each job has a folder. `job.py` has the data and the network, and does not count. `loop.py` is the hand-written loop. A
result that is not that of the loop is marked. A line counts if it holds code: empty lines and comments do not.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import warnings

HERE = pathlib.Path(__file__).resolve().parent
JOBS = {
    "classifier": "loader of `(x, y)`",
    "two_inputs": "loader of `(a, b, y)`",
    "segmentation": 'loader of `{"image", "mask"}`',
    "all_outputs": "criterion of three outputs",
    "bert": "Hugging Face model with labels",
    "graphs": "batches of PyTorch Geometric",
}
LIBRARIES = {
    "loop": "hand-written loop",
    "with_kerastorch": "kerastorch",
    "with_poutyne": "Poutyne",
    "with_lightning": "Lightning",
    "with_skorch": "skorch",
    "with_hf_trainer": "Hugging Face Trainer",
}


def count_lines(path):
    """Count the lines of a script that hold code."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def run_here(script, file):
    """Run a script in this process, in an empty folder; write its weights and its last validation loss to a file."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.path.insert(0, str(script.parent))
    warnings.simplefilter("ignore")
    with contextlib.chdir(tempfile.mkdtemp()), contextlib.redirect_stdout(io.StringIO()):
        found = runpy.run_path(str(script), run_name="__main__")
    torch.save({"weights": found["net"].state_dict(), "val_loss": float(found["val_loss"])}, file)


def run(job, library):
    """Run a script in a process of its own; return its weights and its validation loss, or the error."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "result.pt"
        script = HERE / job / f"{library}.py"
        quiet = os.environ | {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run(
            [sys.executable, __file__, "--script", str(script), str(file)], capture_output=True, text=True, env=quiet
        )
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        return torch.load(file)


def distance(weights, others):
    """Return the largest difference of two sets of weights with the same names."""
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)


def measure(jobs, libraries):
    """Return a row for each job and library: its lines, and how far its weights are from those of the loop."""
    rows = []
    for job in jobs:
        loop = run(job, "loop")
        if isinstance(loop, str):
            raise SystemExit(f"{job}: the hand-written loop failed: {loop}")
        for library in libraries:
            found = loop if library == "loop" else run(job, library)
            row = {"job": job, "library": library, "lines": count_lines(HERE / job / f"{library}.py")}
            if isinstance(found, str):
                row["error"] = found
            else:
                row["difference"] = distance(loop["weights"], found["weights"])
                row["val_loss"], row["loop_val_loss"] = found["val_loss"], loop["val_loss"]
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def table(rows):
    """Return the counted lines as a table in Markdown."""
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    head = ["job", *(LIBRARIES[one] for one in libraries)]
    body = []
    for job in dict.fromkeys(row["job"] for row in rows):
        cells = {row["library"]: row for row in rows if row["job"] == job}
        body.append([JOBS[job], *(cell(cells[one]) for one in libraries)])
    lines = [head, ["---", *("--:" for _ in libraries)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(row):
    """Return the number of lines, marked if the training was not that of the loop."""
    if "error" in row:
        return "fails"
    return f"{row['lines']}{'' if row['difference'] < 1e-6 else ' (differs)'}"


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--libraries", nargs="+", choices=list(LIBRARIES), default=list(LIBRARIES))
    parser.add_argument("--markdown", metavar="FILE", help="write the table there too")
    parser.add_argument("--script", nargs=2, metavar=("SCRIPT", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.script:
        run_here(*map(pathlib.Path, asked.script))
        return
    found = table(measure(asked.jobs, asked.libraries))
    print(found)
    if asked.markdown:
        pathlib.Path(asked.markdown).write_text(found + "\n")


if __name__ == "__main__":
    main()
