"""Write the numbers that Keras gives for the scripts of `tests/keras_scripts` into `keras_script_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_keras_script_values.py

With names of scripts as arguments, only their numbers are made again. `example_feature_space` needs TensorFlow, too,
since Keras reads the data of a `FeatureSpace` by it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
SCRIPTS = HERE.parent / "keras_scripts"
VALUES = HERE / "keras_script_values.json"


def values(script):
    """Return the numbers that a script stores, by their names."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(shutil.copytree(SCRIPTS, pathlib.Path(place, "scripts")))
        found = folder / "found.jsonl"
        found.touch()
        environment = {**os.environ, "KERAS_SCRIPT_RESULTS": str(found)}
        subprocess.run(
            [sys.executable, script.name], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
        )
        return dict(json.loads(line) for line in found.read_text().splitlines())


def main():
    stored = json.loads(VALUES.read_text()) if VALUES.exists() else {}
    scripts = sorted(path for path in SCRIPTS.glob("*.py") if path.stem not in ("results", "conftest"))
    chosen = [path for path in scripts if path.stem in sys.argv[1:]] or scripts
    for script in chosen:
        print(script.name, flush=True)
        try:
            stored[script.stem] = values(script)
        except subprocess.CalledProcessError as error:
            print(f"  failed with the status {error.returncode}", flush=True)
    names = {path.stem for path in scripts}
    kept = {name: stored[name] for name in sorted(stored) if name in names}
    VALUES.write_text(json.dumps(kept, separators=(",", ":")).replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
