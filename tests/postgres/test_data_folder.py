"""The prepared data folder: copied where it can be kept, re-created where it cannot, never shared with a server that is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.postgres.server import data_folder
from safemig.postgres.server.throwaway import ThrowawayServer, _server_user
from tests.places import short_folder

SYSTEM_IDENTIFIER = "SELECT system_identifier FROM pg_control_system()"


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of this test's own, which the server's user may enter."""
    folder = short_folder("sm-")
    folder.chmod(0o755)
    monkeypatch.setattr(data_folder, "_ROOT_CACHE", folder / "safemig")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    yield folder / "safemig"
    shutil.rmtree(folder)


def identifier(folder: Path | None = None) -> int:
    with ThrowawayServer.start(folder=folder) as server, psycopg.connect(server.url()) as connection:
        row = connection.execute(SYSTEM_IDENTIFIER).fetchone()
        assert row is not None
        return int(row[0])


def test_the_second_server_starts_from_a_copy_and_leaves_the_original_as_it_was(cache: Path) -> None:
    first = identifier()
    (prepared,) = cache.iterdir()
    before = {path.relative_to(prepared): path.read_bytes() for path in prepared.rglob("*") if path.is_file()}
    with ThrowawayServer.start() as server:
        server.create_database("other")
    assert identifier() == first
    assert {path.relative_to(prepared): path.read_bytes() for path in prepared.rglob("*") if path.is_file()} == before
    assert list(cache.iterdir()) == [prepared]


def test_a_server_that_is_kept_has_an_identity_of_its_own(cache: Path, tmp_path: Path) -> None:
    kept = short_folder("sm-")
    try:
        assert identifier(kept) != identifier()
    finally:
        shutil.rmtree(kept)


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path) -> None:
    cache.write_text("a file where the folder would be")
    assert identifier() != identifier()


def test_a_prepared_folder_that_cannot_be_copied_is_done_without(cache: Path) -> None:
    identifier()
    (prepared,) = cache.iterdir()
    if _server_user() is not None:
        shutil.chown(prepared, "root", "root")
    else:
        prepared.chmod(0)
    assert identifier() != identifier()
    prepared.chmod(0o700)
