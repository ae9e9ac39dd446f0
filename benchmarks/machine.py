"""Where and with what it was measured."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("torch", "keras", "jax", "tensorflow", "tensorflow-cpu"),
    *("poutyne", "skorch", "lightning", "pytorch-ignite", "numpy"),
)


def versions():
    """Name -> version of what is installed, kerastorch under its import name."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    try:  # imported, not looked up: the distribution of that name is another project
        import kerastorch

        found["kerastorch"] = kerastorch.__version__
    except ImportError:
        pass
    return found


def processor():
    """The model name where the system tells it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def machine():
    """Processor, cores, system, how busy it was before, and settings of OpenMP that workers inherit."""
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "unknown"
    about = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True), "load": load}
    settings = {name: value for name, value in os.environ.items() if name.startswith(("OMP_", "GOMP_"))}
    return about | {"settings": settings}
