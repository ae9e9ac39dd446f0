"""Store the results of `keras.tree` for `tree_cases.py` in `tree_values.json`.

To make the file again, install Keras 3 and torch into an environment of their own, and run there:

    KERAS_BACKEND=torch python tests/support/make_tree_values.py
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent


def main():
    from keras import tree  # it is not installed where the tests run, which collect this file

    sys.path.insert(0, str(HERE))
    from tree_cases import calls, outcome

    rows = [f"{json.dumps(name)}: {json.dumps(outcome(call))}" for name, call in calls(tree).items()]
    (HERE / "tree_values.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    print(len(rows), "calls")


if __name__ == "__main__":
    main()
