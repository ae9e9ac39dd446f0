"""Read a file while listening to all that the process does."""

import resource
import sys
import tracemalloc
from pathlib import Path

from kerastorch.core.errors import CheckpointError

FIXED = 48 * 2**20  # bytes beside twice the file
HEARD = (
    "open", "exec", "compile", "import", "marshal.", "pickle.", "subprocess.", "socket.", "ctypes.", "os.", "shutil.",
    "tempfile.", "code.", "function.", "cpython.", "urllib.", "webbrowser.", "mmap.", "builtins.input", "sqlite3.",
)  # fmt: skip


def read_heard(read, path, traced=True):
    """Read it; the name of the error, what the process did, and the bytes it took."""
    heard, on = [], [False]

    def hear(event, args):
        if on[0] and event.startswith(HEARD):
            heard.append((event, str(args[0]) if args else ""))

    sys.addaudithook(hear)
    if traced:  # which takes memory, too
        tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _addresses()
    on[0] = True
    try:
        read(path)
        raised = None
    except Exception as error:
        raised = error
    on[0] = False
    python = tracemalloc.get_traced_memory()[1]
    resident = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before[0])
    known = isinstance(raised, CheckpointError)
    return type(raised).__name__, known, len(str(raised)), heard, max(python, resident), _addresses() - before[1]


def _addresses():
    """The most that this process ever had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmPeak:")[1].split()[0])
