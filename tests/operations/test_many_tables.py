"""More tables than one transaction of an ordinary server has room to lock."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from safemig.errors import ToolError
from safemig.postgres.dump.tools import run_psql
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project

MANY = """
DO $$ BEGIN FOR n IN 1 .. 600 LOOP EXECUTE format('CREATE TABLE many_%s (id int PRIMARY KEY)', n); COMMIT; END LOOP; END $$
"""
# Room for pg_dump, which locks each table; not for a restore in one transaction, which locks each index, too, twice.
FEW_LOCKS = {"max_connections": "12", "max_locks_per_transaction": "30", "max_wal_senders": "0", "autovacuum": "off"}


def test_a_backup_of_many_tables_is_rehearsed_and_restored_and_says_what_psql_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThrowawayServer.start(settings=FEW_LOCKS) as server:
        production = server.create_database("production")
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", production)
        Project.init(tmp_path)
        project = Project.open(tmp_path)
        (project.settings.path("migrations") / "20260101000000_note.sql").write_text(
            "ALTER TABLE many_1 ADD note text;"
        )
        with psycopg.connect(production, autocommit=True) as connection:
            connection.execute(MANY.encode())
        assert project.rehearse().rollback
        backup = project.backup_prod()
        (note,) = backup.notes
        assert "one transaction takes about" in note
        assert re.search(r"set max_locks_per_transaction = [234]\d\d \(now 30\)", note)
        with pytest.raises(ToolError, match="out of shared memory"):
            run_psql(server.programs, production, backup.full.path)
        assert project.restore_prod().tables == backup.tables
