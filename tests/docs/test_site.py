"""The site builds without warnings and without the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("mkdocs", reason="pip install safemig[docs]")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. No proxy answers, so that a build that asks the network fails."""
    folder = tmp_path_factory.mktemp("site")
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, **closed, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_of_the_navigation_is_there(site: Path) -> None:
    pages = re.findall(r":\s+([\w/-]+)\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(pages) > 20
    assert [page for page in pages if not (site / f"{page}.html").is_file()] == []


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loads = re.compile(r'<(?:script|img|iframe|link rel="(?:stylesheet|icon)")[^>]*(?:src|href)="(https?://[^"]+)"')
    found = {url for page in site.rglob("*.html") for url in loads.findall(page.read_text(encoding="utf-8"))}
    assert found == set()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("reference/verbs", "safemig migrate-prod"),
        ("reference/settings", "lock_timeout_ms"),
        ("reference/rules", "drop-column"),
        ("reference/exit-codes", "DeploymentStopped"),
        ("reference/json", "schema_fingerprint"),
        ("reference/stored", "safemig.resumable"),
        ("reference/emergency", "safemig rollback-prod"),
    ],
)
def test_the_reference_is_made_from_the_code(site: Path, page: str, words: str) -> None:
    assert words in (site / f"{page}.html").read_text(encoding="utf-8")
