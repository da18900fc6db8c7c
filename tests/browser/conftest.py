"""A real JupyterLab in a real Chromium, and a shop's project in its folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from safemig.demo.scene import exported
from safemig.demo.shop import Shop, Sizes
from safemig.project import Project

TOKEN = "e2e"
SMALL = Sizes(users=200, products=60, orders=400)
CHROMIUM = shutil.which("chromium")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# A toast of JupyterLab's news would cover the page, and ask the network for it.
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}

# Cells outside of the window would else not be in the page, for a test to read.
ALL_CELLS = {"windowingMode": "none"}


class Lab:
    """A JupyterLab server in `folder`, and a browser that looks at it."""

    def __init__(self, shop: Shop, port: int, settings: Path, browser: Browser) -> None:
        self.shop = shop
        self.folder = shop.folder
        self._port = port
        self._settings = settings
        self._browser = browser

    @property
    def project(self) -> Project:
        """The shop's project."""
        return Project.open(self.folder)

    def write(self, name: str, *cells: str) -> Path:
        """Write a notebook of code cells into the folder."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.folder / name
        nbformat.write(notebook, path)
        return path

    def use_theme(self, name: str) -> None:
        """Set JupyterLab's theme for pages that are opened from now on."""
        file = self._settings / "@jupyterlab" / "apputils-extension" / "themes.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"theme": name}))

    @contextmanager
    def saving_every(self, seconds: int) -> Iterator[None]:
        """Let editors that are opened meanwhile save by themselves more often than every two minutes."""
        file = self._settings / "@jupyterlab" / "docmanager-extension" / "plugin.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"autosaveInterval": seconds}))
        try:
            yield
        finally:
            file.unlink()

    def open_in_notebook(self, name: str) -> Notebook:
        """Open a notebook in Jupyter Notebook 7, which the same server serves."""
        page = self._browser.new_page(viewport={"width": 1280, "height": 1500})
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{self._port}/notebooks/{name}?token={TOKEN}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        return Notebook(page)

    def open(self, name: str, *, with_kernel: bool = True) -> Notebook:
        """Open a notebook in a page of its own, and wait for its kernel."""
        page = self._browser.new_page(viewport={"width": 1280, "height": 1500})
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{self._port}/lab/tree/{name}?token={TOKEN}&reset")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        if with_kernel:
            # The toolbar says idle before the kernel is connected, and what is run then is lost.
            page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
        return Notebook(page)


class Notebook:
    """A notebook as a person sees it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def run(self, number: int) -> None:
        """Click into the code cell of that number, from 0, and press Shift+Enter."""
        self.page.locator(".jp-CodeCell .cm-content").nth(number).click()
        self.page.keyboard.press("Shift+Enter")

    def wait_for_end(self, number: int) -> None:
        """Wait until a cell has run."""
        prompt = self.page.locator(".jp-CodeCell .jp-InputArea-prompt").nth(number)
        deadline = time.monotonic() + 120
        while "*" in (words := prompt.inner_text()) or not any(map(str.isdigit, words)):
            assert time.monotonic() < deadline, f"cell {number} shows {words!r}"
            self.page.wait_for_timeout(100)

    def output(self, number: int) -> str:
        """Return what is seen below a cell."""
        return self.page.locator(".jp-CodeCell").nth(number).locator(".jp-Cell-outputArea").inner_text()

    def see(self, number: int, words: str) -> None:
        """Wait until words are seen below a cell."""
        area = self.page.locator(".jp-CodeCell").nth(number).locator(".jp-Cell-outputArea")
        area.get_by_text(words).first.wait_for()

    def interrupt(self) -> None:
        """Interrupt the kernel by keyboard, as a person does: Escape, then I twice."""
        self.page.locator(".jp-Notebook").press("Escape")
        self.page.keyboard.press("i")
        self.page.keyboard.press("i")

    def narrow(self) -> None:
        """Make the window 900 px wide, and close the file browser."""
        self.page.set_viewport_size({"width": 900, "height": 1400})
        if self.page.locator("#jp-left-stack").is_visible():
            self.page.keyboard.press("Control+b")
        self.page.locator("#jp-left-stack").wait_for(state="hidden")

    def shoot(self, name: str) -> None:
        """Keep a screenshot, where SAFEMIG_SCREENSHOTS names a folder: for people to look at."""
        if folder := os.environ.get("SAFEMIG_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def close(self) -> None:
        """Close the page; the kernel stays."""
        self.page.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, from the machine's own packages."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine; .ci/run installs it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="session")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab over a shop's project, with nothing of the machine's own settings."""
    home = tmp_path_factory.mktemp("jupyter")
    (home / "config" / "labconfig").mkdir(parents=True)
    (home / "config" / "labconfig" / "page_config.json").write_text(json.dumps(NO_NEWS))
    notebooks = home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    notebooks.parent.mkdir(parents=True)
    notebooks.write_text(json.dumps(ALL_CELLS))
    with (
        Shop.start(tmp_path_factory.mktemp("lab") / "shop", production=SMALL) as shop,
        # A kernel's sockets lie in the runtime folder, and their paths have at most 108 bytes.
        tempfile.TemporaryDirectory(prefix="lab-") as runtime,
        socket.socket() as probe,
    ):
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = os.environ | shop.variables | {
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": runtime,
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
        }  # fmt: skip
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={shop.folder}",
        ]  # fmt: skip
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            _wait_for(port, server, home / "log")
            with exported(shop.variables):
                yield Lab(shop, port, home / "settings", browser)
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={TOKEN}", timeout=2):
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
