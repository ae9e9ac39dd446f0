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
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

pytestmark = [
    pytest.mark.site,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)"),
    pytest.mark.skipif(not PAGES, reason="the site is not built: make docs"),
]

# What a reader looks for, and pages of which one has to be among the first results.
TOPICS = {
    "regression": "course/",
    "BFGS": "course/optimizers/",
    "Newton": "course/optimizers/",
    "conjugate gradients": ("course/optimizers/", "concepts/glossary/"),
    "transfer learning": "guides/transfer-learning/",
    "leaky relu": "course/activations/",
    "maxout": "course/activations/",
    "softmax temperature": "course/softmax/",
    "momentum": "course/optimizers/",
    "dropout": "course/regularization/",
    "early stopping": "course/regularization/",
    "stratification": "course/validation/",
    "cross-validation": "guides/cross-validation/",
    "scikit-learn": "guides/scikit-learn/",
    "diagnosis": "guides/diagnosis/",
    "temperature scaling": "guides/uncertainty/",
    "KerasTuner": "guides/search/",
    "leakage": "course/validation/",
    "overfitting": "course/overfitting/",
    "confusion matrix": ("recipes/", "guides/summary-and-plots/"),
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


PICTURES = """async () => {
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
WIDTH = """() => {
    const wide = document.documentElement.scrollWidth;
    return wide > window.innerWidth ? [wide + " pixels wide"] : [];
}"""
# The contrast of text and background is at least 4.5, the bound of WCAG 2.2 (1.4.3), in the prose and in the code.
CONTRAST = """() => {
    const dots = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const parse = color => {
        dots.clearRect(0, 0, 1, 1);
        dots.fillStyle = color;
        dots.fillRect(0, 0, 1, 1);
        return [...dots.getImageData(0, 0, 1, 1).data];
    };
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = rgb => rgb.slice(0, 3).map(v => linear(v / 255))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const over = (front, back) => front.slice(0, 3).map((v, i) => (v * front[3] + back[i] * (255 - front[3])) / 255);
    const behind = node => {
        for (; node; node = node.parentElement) {
            const color = parse(getComputedStyle(node).backgroundColor);
            if (color[3] === 255) return color;
        }
        return [255, 255, 255, 255];
    };
    const wrong = [];
    const content = document.querySelector(".md-content");
    for (const node of content.querySelectorAll("p, li, h1, h2, td, math, pre code")) {
        const back = behind(node);
        const style = getComputedStyle(node);
        const [a, b] = [light(over(parse(style.color), back)), light(back)];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const needed = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;  // large text
        if (ratio < needed) wrong.push(ratio.toFixed(1) + ": " + node.textContent.slice(0, 40));
    }
    if (light(behind(content)) > 0.1) wrong.push("the page is not dark");
    return wrong.slice(0, 3);
}"""


@pytest.fixture(scope="module")
def problems(browser, address):
    """Open each page once; return what the browser reports and what the three checks find, by page."""
    found = {"reported": {}, "pictures": {}, "phone": {}, "dark": {}}
    context = browser.new_context()
    page = context.new_page()
    reported = []
    watch(page, address, reported)
    for name in PAGES:
        page.set_viewport_size(DESKTOP)
        page.goto(f"{address}/{name.removesuffix('index.html')}", wait_until="load")
        results = {"pictures": page.evaluate(PICTURES)}
        page.set_viewport_size(PHONE)
        results["phone"] = page.evaluate(WIDTH)
        page.evaluate("document.body.dataset.mdColorScheme = 'slate'")  # what the button for the dark mode sets
        results["dark"] = page.evaluate(CONTRAST)
        results["reported"] = [*reported]
        reported.clear()
        for kind, texts in results.items():
            if texts:
                found[kind][name] = texts
    context.close()
    return found


def watch(page, address, reported):
    """Append what a page reports: errors in the console, failed requests, requests to another host."""

    def failed(request):
        if "ERR_ABORTED" not in (request.failure or ""):  # the visit of the next page aborts what is on its way
            reported.append(f"failed: {request.url}")

    def outside(request):
        if not request.url.startswith((address, "data:", "blob:")):
            reported.append(f"outside: {request.url}")

    page.on("console", lambda message: reported.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: reported.append(str(error)))
    page.on("requestfailed", failed)
    page.on("request", outside)
    page.on(
        "response", lambda answer: reported.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
    )


def test_every_page_loads_without_an_error_and_without_the_network(problems):
    assert problems["reported"] == {}


def test_every_picture_is_there_with_a_description(problems):
    assert problems["pictures"] == {}


def test_no_page_scrolls_sideways_on_a_phone(problems):
    assert problems["phone"] == {}


def test_dark_pages_are_readable(problems):
    assert problems["dark"] == {}


def test_the_site_is_dark_for_readers_who_prefer_that(browser, address):
    for scheme, expected in (("dark", "slate"), ("light", "default")):
        page = browser.new_page(color_scheme=scheme)
        page.goto(f"{address}/", wait_until="load")
        assert page.evaluate("document.body.dataset.mdColorScheme") == expected
        page.close()


def test_the_search_finds_every_topic(browser, address):
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    missing = {}
    for topic, expected in TOPICS.items():
        page.goto(f"{address}/", wait_until="load")
        page.click(".md-search__input")
        page.fill(".md-search__input", topic)
        page.wait_for_selector(".md-search-result__link", timeout=60_000)
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
