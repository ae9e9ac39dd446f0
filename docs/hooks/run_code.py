"""Run the code of all pages before the site is built: two pages at a time, each in a new process.

Pages whose text did not change are taken from `.cache/docs`, unless the source code of kerastorch, `page_runner.py` or
a package that the pages use changed. `page_runner.py` says what a page may contain.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import shutil
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from page_runner import ExecutedPage, PageError, has_code, run_page

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_CACHE = _ROOT / ".cache" / "docs"
_PACKAGES = ("torch", "torchmetrics", "numpy", "scikit-learn", "matplotlib", "tqdm")
_PRELOADED = [
    "torch", "torch._dynamo", "torchmetrics", "kerastorch", "pandas", "sklearn.datasets", "sklearn.model_selection",
    "matplotlib.pyplot",
]  # fmt: skip
_LOG = logging.getLogger("mkdocs.hooks.run_code")

# The models of the pages are small: on a busy machine, threads would mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")


@event_priority(-100)  # after the hooks that generate pages with code
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace each page that has code by its executed form, and add its pictures."""
    pages = {file.src_uri: file.content_string for file in files.documentation_pages()}
    pages = {uri: text for uri, text in pages.items() if has_code(text)}
    for uri, page in _execute(pages).items():
        files.remove(files.src_uris[uri])
        files.append(File.generated(config, uri, content=page.markdown))
        for name, content in page.pictures.items():
            files.append(File.generated(config, (Path(uri).parent / name).as_posix(), content=content))
    return files


def _execute(pages: dict[str, str]) -> dict[str, ExecutedPage]:
    """Return the executed form of each page, from the cache where nothing changed."""
    fingerprint = _fingerprint()
    folders = {uri: _CACHE / _digest(fingerprint, uri, text) for uri, text in pages.items()}
    executed = {uri: _read(folder) for uri, folder in folders.items() if folder.exists()}
    todo = {uri: text for uri, text in pages.items() if uri not in executed}
    # mkdocs removes the folder of the hooks from the path again, but the processes import `page_runner` by name.
    sys.path.insert(0, str(_HERE))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    started = time.perf_counter()
    with ProcessPoolExecutor(2, mp_context=context, max_tasks_per_child=1) as pool:
        # Long pages first, so that no process waits at the end for the longest one.
        order = sorted(todo, key=lambda uri: len(todo[uri]), reverse=True)
        futures: dict[Future[ExecutedPage], str] = {pool.submit(run_page, uri, todo[uri]): uri for uri in order}
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                uri = futures[future]
                executed[uri] = future.result()
                _write(folders[uri], executed[uri])
                _LOG.info("%d/%d after %.0f s: ran %s", number, len(todo), time.perf_counter() - started, uri)
        except PageError as error:
            for future in futures:
                future.cancel()
            raise PluginError(str(error)) from None
    _remove_all_but({folder.name for folder in folders.values()})
    return {uri: executed[uri] for uri in pages}


def _fingerprint() -> str:
    """Return a digest of everything but the page itself that its output depends on."""
    sources = [*sorted((_ROOT / "src").rglob("*.py")), _HERE / "page_runner.py"]
    return _digest(*(path.read_text(encoding="utf-8") for path in sources), *map(version, _PACKAGES), sys.version)


def _digest(*parts: str) -> str:
    """Return the SHA-256 of several texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _read(folder: Path) -> ExecutedPage:
    """Read a page from its folder in the cache."""
    pictures = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "page.md"}
    return ExecutedPage((folder / "page.md").read_text(encoding="utf-8"), pictures)


def _write(folder: Path, page: ExecutedPage) -> None:
    """Write a page into its folder in the cache, whole or not at all."""
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (unfinished / "page.md").write_text(page.markdown, encoding="utf-8")
    for name, content in page.pictures.items():
        (unfinished / name).write_bytes(content)
    unfinished.rename(folder)


def _remove_all_but(names: set[str]) -> None:
    """Remove pages of earlier builds from the cache."""
    for folder in _CACHE.glob("*") if _CACHE.exists() else ():
        if folder.name not in names:
            shutil.rmtree(folder, ignore_errors=True)
