"""What of a backup is the team's, by the printed command: into a new project, and over the damaged database."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.postgres.catalog import read_schema
from safemig.postgres.dump.plain import content_of
from safemig.postgres.server.programs import client_programs
from safemig.results import Backup
from safemig.views.of_backup import by_hand
from tests.platforms.boxes import BOXES, Platform, on_boxes

HOSTED = tuple((name, major) for name, major in BOXES if name not in ("boss", "upgraded"))
# What else a team has: of each, something on the platform's own, a role that owns, odd names, and what only looks like a dump.
MORE = """
CREATE SCHEMA "Odd one";
CREATE TABLE "Odd one"."T able" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "a
b" text);
INSERT INTO "Odd one"."T able" ("a
b") VALUES ('-- Name: users; Type: TABLE; Schema: auth; Owner: x'), (E'--\\n-- Name: y; Type: TABLE; Schema: public; Owner: x');
CREATE TYPE "Odd one".mood AS ENUM ('good', 'bad');
CREATE DOMAIN "Odd one".short AS text CHECK (length(VALUE) < 9);
CREATE TABLE "Odd one".later (mood "Odd one".mood, name "Odd one".short);
CREATE VIEW "Odd one".v AS SELECT * FROM "Odd one".later;
CREATE MATERIALIZED VIEW "Odd one".m AS SELECT count(*) FROM "Odd one"."T able";
CREATE FUNCTION "Odd one".f() RETURNS text LANGUAGE sql AS $$ SELECT '
--
-- Name: z; Type: SCHEMA; Schema: -; Owner: x
ALTER FUNCTION "Odd one".f() OWNER TO {deployer};
' $$;
SELECT lo_from_bytea(0, 'large');
"""

# Where the deploying role may make roles: one that the new project lacks.
ROLE = """
CREATE ROLE "Extra owner" LOGIN;
GRANT "Extra owner" TO CURRENT_USER;
GRANT CREATE, USAGE ON SCHEMA "Odd one" TO "Extra owner";
ALTER TABLE "Odd one".later OWNER TO "Extra owner";
"""


def restore(box: Platform, backup: Backup) -> None:
    """Do what the page of the backup says, as the deploying role."""
    (command,) = [by_hand(backup)]
    psql = client_programs(box.major * 10000).path("psql")
    subprocess.run(
        ["/bin/sh", "-c", command.replace("psql ", f"{psql} -q -o /dev/null ", 1)], check=True, env={"PRODUCTION_DATABASE_URL": box.production}
    )  # fmt: skip


def state(box: Platform) -> tuple[str, dict[str, tuple[int, str]]]:
    """The team's schema, and every table's rows."""
    with psycopg.connect(box.production) as connection:
        schema = read_schema(connection).fingerprint
    rows = content_of(box.production_admin, client_programs(box.major * 10000))
    return schema, {table.name: (table.rows, table.sha256) for table in rows}


@pytest.mark.parametrize("form", ["plain", "directory"])
@on_boxes("supabase-17", "rds-17", boxes=HOSTED)
def test_what_is_the_team_s_goes_into_a_new_project_and_over_the_damaged_one(
    platform: Callable[..., Platform], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, major: int, form: str
) -> None:
    monkeypatch.setenv("SAFEMIG_BACKUP_FORMAT", form)
    if form == "directory":
        monkeypatch.setenv("SAFEMIG_COMPRESSION", "gzip")
    box = platform(name, major)
    box.run(box.production, MORE.replace("{deployer}", box.deployer))
    if name != "heroku":
        box.run(box.production, ROLE)
    backup = box.project(tmp_path).backup_prod()
    assert backup.verified == "restored"
    assert backup.team is not None
    assert by_hand(backup) in backup.render("text").replace("\n  ", "\n")
    good = state(box)

    # The damage: tables and rows are gone, and something was made since that hangs on what is to be dropped.
    table = '"Odd one"."T able"'
    box.run(box.production, f'DELETE FROM {table}; DROP SCHEMA "Odd one" CASCADE; CREATE SCHEMA since')
    restore(box, backup)
    box.run(box.production, "DROP SCHEMA since")
    assert state(box) == good

    new = platform(name, major, team=False)
    restore(new, backup)
    assert state(new) == good
    owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('\"Odd one\".later')"
    assert new.run(new.production, owner) == [(new.deployer if name == "heroku" else "Extra owner",)]
