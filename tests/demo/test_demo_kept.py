"""A demo that is kept: where its server's data goes, and how it is started again."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.demo import places, run_demo
from safemig.demo.serve import serve_until_interrupted
from safemig.demo.shop import Shop, Sizes
from safemig.errors import SettingsError


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder with a short path that every user can enter, as a project of an ordinary user is."""
    folder = Path("/var/tmp") / f"safemig-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def test_the_data_is_kept_below_the_project(open_folder: Path) -> None:
    assert places.server_folder(open_folder) == open_folder / "server"


@pytest.mark.parametrize("why", ["closed to the server's user", "too long for a socket"])
def test_where_that_cannot_serve_the_data_is_kept_elsewhere_and_nobody_can_foresee_where(
    why: str, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_folder / ("closed" if why.startswith("closed") else "x" * 80)
    project.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if why.startswith("closed") else 1000)
    found = {places.server_folder(project), places.server_folder(project)}
    try:
        assert len(found) == 2
        assert {each.parent for each in found} == {Path("/var/tmp")}
    finally:
        for each in found:
            each.rmdir()


def test_a_kept_demo_is_started_again_with_its_rows(open_folder: Path, small: Sizes) -> None:
    project = open_folder / "shop"
    with Shop.start(project, keep=True, production=small) as shop:
        old_url = shop.production
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(old_url)

    lines: list[str] = []
    stop = threading.Event()
    started = threading.Event()

    def echo(line: str) -> None:
        lines.append(line)
        if "jupyter" in line:
            started.set()

    serving = threading.Thread(target=serve_until_interrupted, args=(project, echo, stop))
    serving.start()
    try:
        assert started.wait(30)
        exports = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines if "export " in line)
        assert set(exports) == {"STAGING_DATABASE_URL", "PRODUCTION_DATABASE_URL"}
        with psycopg.connect(exports["PRODUCTION_DATABASE_URL"].strip("'")) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchall() == [(small.users,)]
    finally:
        stop.set()
        serving.join()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(old_url)


def test_serving_where_no_demo_was_kept_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no kept demo") as refused:
        run_demo(tmp_path, serve=True)
    assert f"safemig demo --keep {tmp_path}" in str(refused.value)


def test_serving_a_demo_whose_data_is_gone_says_where_it_was(tmp_path: Path) -> None:
    places.write_note(tmp_path, tmp_path / "server", 17)
    assert json.loads((tmp_path / places.NOTE).read_text())["postgresql"] == 17
    with pytest.raises(SettingsError, match="is missing") as refused:
        run_demo(tmp_path, serve=True)
    assert str(tmp_path / "server") in str(refused.value)


def test_a_shop_that_cannot_be_made_leaves_no_server_and_no_data(
    open_folder: Path, small: Sizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Shop, database: str, sizes: Sizes) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(Shop, "_fill", fail)
    with pytest.raises(RuntimeError, match="no room"):
        Shop.start(open_folder / "shop", keep=True, production=small)
    assert not (open_folder / "shop/server").exists()
