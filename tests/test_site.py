"""Every page of the built site in headless Chromium: `make docs`, then `make check-site`."""

import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import threading

import pytest
from support.optional import optional

playwright = optional("playwright.sync_api")

ROOT = pathlib.Path(__file__).parent.parent
SITE = ROOT / "site"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if path.name != "404.html")
PHONE = {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.site,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)"),
    pytest.mark.skipif(not PAGES, reason="the site is not built: make docs"),
]

# What a reader looks for, and a page that has to be among the results.
TOPICS = {
    "regression": "course/",
    "BFGS": "course/optimizers/",
    "Newton": "course/optimizers/",
    "conjugate gradients": "course/optimizers/",
    "transfer learning": "guides/transfer-learning/",
    "leaky relu": "course/activations/",
    "maxout": "course/activations/",
    "softmax temperature": "course/softmax/",
    "momentum": "course/optimizers/",
    "dropout": "course/regularization/",
    "early stopping": "course/regularization/",
    "stratification": "course/validation/",
    "cross-validation": "course/validation/",
    "leakage": "course/validation/",
    "overfitting": "course/overfitting/",
    "confusion matrix": "course/anatomy/",
    "imbalanced classes": "guides/imbalanced/",
    "time series": "guides/time-series/",
    "tabular": "guides/tabular/",
    "masks": "guides/masks/",
    "functional API": "guides/functional/",
    "callbacks": "guides/callbacks/",
    "logging": "guides/logging/",
    "resuming training": "guides/resume/",
    "loss is NaN": "guides/debugging/",
    "installing": "installing/",
    "LeakyReLU": "api/layers/LeakyReLU/",
    "EarlyStopping": "api/callbacks/EarlyStopping/",
    "mnist": "guides/datasets/",
    "mixed precision": "concepts/glossary/",
}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    """Address of a server of the site on the loopback interface."""
    handler = functools.partial(_Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """A Chromium that looks up no host of its own accord."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *quiet])
        yield chromium
        chromium.close()


def visit_all(browser, address, scheme, check, **options):
    """Return the problems of all pages: what the browser reports, and what `check(page)` returns."""
    problems = {}
    context = browser.new_context(color_scheme=scheme, **options)
    page = context.new_page()
    reported = []
    page.on("console", lambda message: reported.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: reported.append(str(error)))
    page.on("requestfailed", lambda request: reported.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith((address, "data:", "blob:")) else reported.append(f"outside: {request.url}")
        ),
    )
    page.on(
        "response",
        lambda response: reported.append(f"{response.status}: {response.url}") if response.status >= 400 else None,
    )
    for name in PAGES:
        reported.clear()
        page.goto(f"{address}/{name.removesuffix('index.html')}", wait_until="load")
        found = reported + check(page)
        if found:
            problems[name] = found
    context.close()
    return problems


def pictures(page):
    """Return what is wrong with the pictures of a page."""
    return page.evaluate(
        """async () => {
            const wrong = [];
            for (const image of document.querySelectorAll(".md-content img")) {
                image.loading = "eager";
                try { await image.decode(); } catch (error) { wrong.push("no picture: " + image.src); continue; }
                if (!image.alt) wrong.push("no description: " + image.src);
                const canvas = document.createElement("canvas");
                canvas.width = canvas.height = 40;
                const draw = canvas.getContext("2d", {willReadFrequently: true});
                draw.fillStyle = "white";
                draw.fillRect(0, 0, 40, 40);
                draw.drawImage(image, 0, 0, 40, 40);
                const dots = draw.getImageData(0, 0, 40, 40).data;
                if (dots.every((value, i) => value === dots[i % 4])) wrong.push("an empty picture: " + image.src);
            }
            return wrong;
        }"""
    )


def test_every_page_loads_with_its_pictures_and_without_the_network(browser, address):
    assert visit_all(browser, address, "light", pictures) == {}


def test_no_page_scrolls_sideways_on_a_phone(browser, address):
    def width(page):
        wide = page.evaluate("document.documentElement.scrollWidth")
        return [f"{wide} pixels wide"] if wide > PHONE["width"] else []

    assert visit_all(browser, address, "light", width, viewport=PHONE) == {}


def test_dark_pages_are_readable(browser, address):
    """Contrast of text and background is at least 4.5, the bound of WCAG 2.2 (1.4.3), in the prose and in the code."""

    def contrast(page):
        return page.evaluate(
            """() => {
                const parse = colour => {
                    const canvas = document.createElement("canvas").getContext("2d");
                    canvas.fillStyle = colour;
                    canvas.fillRect(0, 0, 1, 1);
                    return [...canvas.getImageData(0, 0, 1, 1).data];
                };
                const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
                const light = rgb => rgb.slice(0, 3).map(v => linear(v / 255))
                    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
                const behind = node => {
                    for (; node; node = node.parentElement) {
                        const colour = parse(getComputedStyle(node).backgroundColor);
                        if (colour[3] === 255) return colour;
                    }
                    return [255, 255, 255, 255];
                };
                const wrong = [];
                const kinds = "p, li, h1, h2, td, math, pre code";
                for (const node of document.querySelector(".md-content").querySelectorAll(kinds)) {
                    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
                    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                    if (ratio < 4.5) wrong.push(ratio.toFixed(1) + ": " + node.textContent.slice(0, 40));
                }
                const dark = light(behind(document.querySelector(".md-content")));
                if (dark > 0.1) wrong.push("the page is not dark");
                return wrong.slice(0, 3);
            }"""
        )

    assert visit_all(browser, address, "dark", contrast) == {}


def test_the_search_finds_every_topic(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    missing = {}
    for topic, expected in TOPICS.items():
        page.goto(f"{address}/", wait_until="load")
        page.click(".md-search__input")
        page.fill(".md-search__input", topic)
        page.wait_for_selector(".md-search-result__link", timeout=20_000)
        # The list is filled as it is scrolled; fifteen results are what a reader looks through.
        found = page.eval_on_selector_all(
            ".md-search-result__link", "links => links.slice(0, 15).map(link => link.href)"
        )
        found = [link.removeprefix(address + "/") for link in found]
        if not any(link.startswith(expected) for link in found):
            missing[topic] = found[:5]
    context.close()
    assert missing == {}


def test_formulas_are_rendered():
    text = (SITE / "course" / "activations" / "index.html").read_text()
    assert text.count("<math") >= 6
    assert not re.search(r'class="arithmatex"', text)


def test_notebooks_and_scripts_can_be_downloaded():
    scripts = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
    assert len(scripts) >= 15
    for name in scripts:
        notebook = json.loads((SITE / "examples" / f"{name}.ipynb").read_text())
        assert notebook["nbformat"] == 4
        assert (SITE / "examples" / f"{name}.py").read_text() == (ROOT / "examples" / f"{name}.py").read_text()
