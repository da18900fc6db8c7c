"""A database that pg_upgrade took to a newer major: the schema public of PostgreSQL 14 is no drift, and all verbs work.

With a real PostgreSQL 14 (whose programs no registry has whole) it was tried by hand; here 15 begins as 14 left `public`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from safemig.postgres.server.data_folder import run_as
from safemig.postgres.server.throwaway import ThrowawayServer, _server_user
from safemig.project import Project
from tests.conftest import MAJORS

AS_14_LEFT_IT = "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO postgres, PUBLIC;"
FIRST = """
CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE NOT NULL, tags text[] DEFAULT '{}');
CREATE TABLE orders (id serial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, state state DEFAULT 'new', at timestamptz DEFAULT now());
CREATE TABLE events (id bigint, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_2021 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE VIEW paid AS SELECT u.email, count(*) AS n FROM users u JOIN orders o ON o.user_id = u.id GROUP BY 1;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
"""


@pytest.mark.thorough
@pytest.mark.skipif(not {15, 17} <= {*MAJORS}, reason="needs PostgreSQL 15 and 17")
def test_what_pg_upgrade_brought_over_is_no_drift_and_is_deployed_to(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThrowawayServer.start(major=15, folder=temporary / "old") as old:
        for name in ("shop", "staging"):
            with psycopg.connect(old.create_database(name), autocommit=True) as connection:
                connection.execute(f"{AS_14_LEFT_IT} {FIRST} INSERT INTO users (email) VALUES ('a'), ('b')")
    with ThrowawayServer.start(major=17, folder=temporary / "new") as new:
        pass
    upgrade(old, new, temporary)
    with ThrowawayServer.start(major=17, folder=temporary / "new") as server:
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", server.url("shop"))
        monkeypatch.setenv("STAGING_DATABASE_URL", server.url("staging"))
        Project.init(tmp_path)
        project = Project.open(tmp_path)
        migrations = project.settings.path("migrations")
        (migrations / "20210101000000_first.sql").write_text(FIRST)
        assert project.baseline_prod(approve=project.plan("baseline_prod").id).verdict == "BASELINED"
        assert project.generate("nothing").path is None
        project.migrate_staging()
        assert [each.drift for each in project.db_status().environments] == ["none", "none"]
        (migrations / "20990101000000_more.sql").write_text("ALTER TABLE orders ADD COLUMN note text;")
        deployed = project.migrate_prod(approve=project.plan().id)
        assert (deployed.verdict, deployed.rollback_is_proven) == ("DEPLOYED", True)
        assert project.rollback_prod(approve=project.plan("rollback_prod").id).verdict == "ROLLED BACK"
        assert [each.drift for each in project.db_status().environments] == ["none", "none"]


def upgrade(old: ThrowawayServer, new: ThrowawayServer, folder: Path) -> None:
    """Run pg_upgrade from one stopped server's data to the other's."""
    work, user = folder / "w", _server_user()
    work.mkdir()
    if user:
        os.chown(work, user.pw_uid, user.pw_gid)
    command = [
        new.programs.folder / "pg_upgrade", "-b", old.programs.folder, "-B", new.programs.folder, "-d", old.folder / "data",
        "-D", new.folder / "data", "-U", new.superuser, "-s", work,
    ]  # fmt: skip
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command,
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **run_as(user),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-1000:]
