"""Links from a view to a file: made where they work, and nowhere else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import IPython
import pytest

from safemig.live import RECORD
from safemig.notebook.place import NotebookPlace, find_place
from safemig.results import Archive, RecordEntry


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A kernel whose front end can answer, started in `tmp_path`; its parent message's content."""
    content: dict[str, Any] = {"allow_stdin": True}
    kernel = SimpleNamespace(get_parent=lambda: {"content": content})
    shell = SimpleNamespace(kernel=kernel, user_ns={"_dh": [str(tmp_path)]})
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    for name in ("JPY_SESSION_NAME", "JPY_PARENT_PID", RECORD):
        monkeypatch.delenv(name, raising=False)
    return content


def archive(folder: Path) -> Archive:
    """Return an archive of one record."""
    path = folder / "records" / "production" / "20261122T200904Z-production-migrate_prod-DEPLOYED.ipynb"
    at = datetime(2026, 11, 22, 20, 9, 4, tzinfo=UTC)
    record = RecordEntry(path, "production", "migrate_prod", "DEPLOYED", at, "dana", "", (), None, "sealed")
    return Archive(folder / "records", (record,))


@pytest.mark.parametrize(
    ("folder", "root", "link"),
    [
        (".", ".", "records/a%20b.ipynb"),
        ("notebooks", ".", "../records/a%20b.ipynb"),
        ("notebooks/deep", ".", "../../records/a%20b.ipynb"),
        ("records", "records", "a%20b.ipynb"),
        ("notebooks", "notebooks", None),  # the front end opens nothing above its root
    ],
)
def test_a_link_is_as_seen_from_the_notebook(tmp_path: Path, folder: str, root: str, link: str | None) -> None:
    place = NotebookPlace(tmp_path / folder, tmp_path / root)
    assert place.link_to(tmp_path / "records" / "a b.ipynb") == link


def test_jupyter_s_own_server_says_where_the_notebook_and_its_root_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: dict[str, Any]
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "notes" / "x.ipynb"))
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    assert find_place() == NotebookPlace(tmp_path / "notes", tmp_path / "notes"), "nothing above it is known"
    (tmp_path / "jpserver-4711.json").write_text(json.dumps({"root_dir": str(tmp_path)}))
    assert find_place() == NotebookPlace(tmp_path / "notes", tmp_path)
    (tmp_path / "jpserver-4711.json").write_text("{")
    assert find_place() == NotebookPlace(tmp_path / "notes", tmp_path / "notes")


def test_another_front_end_is_taken_at_the_folder_that_its_kernel_began_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: dict[str, Any]
) -> None:
    monkeypatch.chdir("/")
    assert find_place() == NotebookPlace(tmp_path, tmp_path)


@pytest.mark.parametrize("where", ["papermill", "a record's run", "a script"])
def test_where_nobody_clicks_there_is_no_link_but_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: dict[str, Any], where: str
) -> None:
    name = archive(tmp_path).records[0].path.name
    assert f'href="records/production/{name}"' in archive(tmp_path).render("html")
    if where == "papermill":
        kernel["allow_stdin"] = False
    elif where == "a record's run":
        monkeypatch.setenv(RECORD, "20261122T200904Z-production-migrate_prod")
    else:
        monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    html = archive(tmp_path).render("html")
    assert "<a " not in html
    assert name in html
    assert name in archive(tmp_path).render("text")
