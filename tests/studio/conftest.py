"""A real server, a real browser: what the stories need. They are skipped where there is no browser or no built page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from masklet.media.source import open_source
from tests.serving import Server

MEDIA = Path(__file__).parents[2] / "examples" / "media"
STATIC = Path(__file__).parents[2] / "src" / "masklet" / "server" / "static"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 60_000
"""Timeout of a single wait; machines that run tests are busy."""

api = pytest.importorskip("playwright.sync_api", reason="the stories need playwright (group test)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = ""
    if CHROMIUM is None:
        missing = "no Chromium on this machine (apt-get install chromium)"
    elif not (STATIC / "index.html").is_file():
        missing = "the page is not built (scripts/build_page/)"
    if missing:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all stories that leave it running."""
    running = Server(tmp_path_factory.mktemp("studio"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[api.Browser]:
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def new_page(browser: api.Browser) -> Iterator[Callable[[], api.Page]]:
    """Make pages of separate users, each with its own cookies. A script error on any page fails the story."""
    contexts: list[api.BrowserContext] = []
    errors: list[str] = []

    def make() -> api.Page:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        # Chromium begins to intercept requests with the first route. Where that happens in the middle of a story, a
        # request that is sent right after it may pass by the route, or never be sent: so it happens here.
        page.route("**/is-never-asked-for", lambda route: route.abort())
        return page

    api.expect.set_options(timeout=PATIENCE_MS)
    yield make
    for context in contexts:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")  # a route that is still at work would fail the next story
        context.close()
    assert errors == []


@pytest.fixture
def page(new_page: Callable[[], api.Page]) -> api.Page:
    return new_page()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write the first frames of the rabbit's clip as numbered images, which become one sequence."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("clip")
    frames = []
    with open_source(MEDIA / "bunny.mp4") as source:
        for frame in source.frames(0, 8):
            frames.append(folder / f"{frame.index:03d}.png")
            Image.fromarray(frame.rgb).resize((427, 240)).save(frames[-1])
    return frames
