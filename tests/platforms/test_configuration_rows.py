"""Rows that are configuration: compared and written by generate, seen as drift, and known to the review."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.errors import SettingsError
from safemig.project import Project
from safemig.sql import parse
from tests.platforms.boxes import Platform

MakePlatform = Callable[..., Platform]
BUCKETS = """
INSERT INTO storage.buckets (id, name, public, allowed_mime_types, owner, created_at) VALUES
  ('avatars', 'avatars', true, NULL, gen_random_uuid(), '2020-01-01'),
  ('docs', 'the team''s', false, '{image/png,application/pdf}', NULL, '2021-01-01');
"""
JOB = "SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM public.documents')"
# As the real pg_cron: a function of a library, which the shadow's machine does not have.
OF_A_LIBRARY = """
CREATE OR REPLACE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE c
  AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE OR REPLACE FUNCTION cron.alter_job(job_id bigint, schedule text DEFAULT NULL, command text DEFAULT NULL, database text DEFAULT NULL,
  username text DEFAULT NULL, active boolean DEFAULT NULL) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
"""


def with_rows(box: Platform, folder: Path, *tables: str) -> Project:
    """The box's project, with these configuration rows."""
    box.project(folder)
    settings = folder / "safemig.toml"
    settings.write_text(f"configuration_rows = {json.dumps(tables)}\n{settings.read_text()}")
    return Project.open(folder)


def drift(project: Project) -> list[str]:
    return [each.drift for each in project.db_status().environments]


def test_buckets_and_jobs_made_by_hand_go_to_production_as_upserts_and_what_is_gone_stays_disabled(
    platform: MakePlatform, tmp_path: Path
) -> None:
    box = platform("supabase")
    project = with_rows(box, tmp_path, "storage.buckets", "cron.job")
    # Production has a bucket that no migration makes: it is drift only for who asks for rows.
    assert "add configuration row storage.buckets: id = 'avatars'" in drift(project)[1]
    box.run(box.staging, BUCKETS + JOB)
    generated = project.generate("buckets and a job")
    assert generated.proof == "proven equal"
    for said in (
        "INSERT INTO storage.buckets (id, name, public, file_size_limit, allowed_mime_types)\n"
        "    VALUES ('docs', 'the team''s', false, NULL, '{image/png,application/pdf}')\n"
        "    ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, public = EXCLUDED.public,",
        "SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM public.documents');",
        "WHERE jobname = 'nightly' AND username = current_user), active := true);",
    ):
        assert said in generated.text
    assert "2020-01-01" not in generated.text, "when and by whom it was made is of that place"
    review = project.review()
    assert str(review.verdict) == "SAFE TO DEPLOY"
    assert {(each.rule, str(each.severity)) for each in review.findings} == {("upsert-overwrites", "recommendation")}
    staged = project.migrate_staging()
    assert (len(staged.recorded_only), [each for each in staged.notes if "was not run" in each]) == (1, [])
    assert project.migrate_prod(approve=project.plan().id).verdict == "DEPLOYED"
    assert drift(project) == ["none", "none"]
    assert project.schema_diff("staging", "production").is_empty
    assert project.generate("nothing").path is None
    assert box.run(box.production, "SELECT jobname, schedule, active FROM cron.job") == [("nightly", "0 3 * * *", True)]

    box.run(
        box.staging,
        "DELETE FROM storage.buckets WHERE id = 'docs'; UPDATE storage.buckets SET public = false; SELECT cron.unschedule('nightly')",
    )
    assert "3 changes" in drift(project)[0]
    less = project.generate("less")
    assert [sql for sql, _ in less.commented] == [
        "SELECT cron.unschedule('nightly')",
        "DELETE FROM storage.buckets WHERE id = 'docs'",
    ]
    assert "VALUES ('avatars', 'avatars', false, NULL, NULL)" in less.text
    assert "DELETE FROM storage.buckets WHERE id = 'docs';" in less.text
    assert [each.kind for each in parse(less.text)] == ["INSERT"], "the others are disabled"
    found = project.review_text("DELETE FROM storage.buckets WHERE id = 'docs'; SELECT cron.unschedule('nightly');")
    assert {each.rule for each in found.findings} == {"delete-rows", "job-removed"}


def test_a_job_of_the_real_pg_cron_is_replayed_without_its_library(platform: MakePlatform, tmp_path: Path) -> None:
    box = platform("supabase")
    project = with_rows(box, tmp_path, "cron.job")
    for url in (box.staging_admin, box.production_admin):
        box.run(url, OF_A_LIBRARY)
    rows = "('0 3 * * *', 'VACUUM', 'nightly', 'postgres', false), ('0 4 * * *', 'VACUUM', NULL, 'postgres', true)"
    others = "('0 5 * * *', 'VACUUM', 'theirs', 'supabase_admin', true)"
    box.run(
        box.staging_admin,
        f"INSERT INTO cron.job (schedule, command, jobname, username, active) VALUES {rows}, {others}",
    )
    generated = project.generate("a job")
    assert generated.proof == "proven equal"
    assert "theirs" not in generated.text
    assert "active := false" in generated.text
    assert any("a row of cron.job without jobname" in each for each in generated.diff.warnings)
    project.migrate_staging()
    assert drift(project) == ["none", "none"]


@pytest.mark.thorough
def test_rows_of_a_table_of_ones_own_are_told_apart_by_what_is_the_same_everywhere(
    platform: MakePlatform, tmp_path: Path
) -> None:
    box = platform("boss")
    project = with_rows(box, tmp_path, "public.plans", 'public."Odd Names"("Key", grade)')
    box.run(
        box.staging,
        """
        CREATE TYPE grade AS ENUM ('low', 'high');
        CREATE TABLE plans (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL UNIQUE, price numeric(8, 2) NOT NULL,
          since timestamptz NOT NULL DEFAULT now(), length interval, twice numeric GENERATED ALWAYS AS (price * 2) STORED);
        CREATE TABLE "Odd Names" ("Key" int PRIMARY KEY, grade grade, note text);
        GRANT SELECT ON plans, "Odd Names" TO app_ro, app_rw;
        INSERT INTO plans (code, price, length) VALUES ('free', 0, NULL), (E'o''neil\\\\s', 9.50, '1 mon 2 days');
        INSERT INTO "Odd Names" VALUES (1, 'high', 'not compared');
        """,
    )
    generated = project.generate("plans")
    assert generated.proof.startswith("proven equal"), generated.remaining
    assert "INSERT INTO public.plans (code, price, length)\n    VALUES ('free', 0.00, NULL)" in generated.text
    assert "VALUES (E'o''neil\\\\s', 9.50, '1 mon 2 days')" in generated.text
    assert (
        'INSERT INTO public."Odd Names" ("Key", grade)\n    VALUES (1, \'high\')\n    ON CONFLICT ("Key") DO UPDATE'
        in generated.text
    )
    project.migrate_staging()
    assert project.migrate_prod(approve=project.plan().id).verdict == "DEPLOYED"
    assert drift(project) == ["none", "none"]
    # A new label is committed before a row uses it.
    box.run(box.staging, "ALTER TYPE grade ADD VALUE 'top'")
    box.run(box.staging, "UPDATE \"Odd Names\" SET grade = 'top'; DROP TABLE plans")
    more = project.generate("more")
    assert more.proof.startswith("proven equal"), more.remaining
    assert len(more.further_paths) == 1, more.text


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (("buckets",), 'configuration_rows: "buckets" is no table'),
        (("public.keyless",), "cannot be told apart"),
        (("public.large",), "has more than 1,000 rows"),
        (("public.large(nope)",), "has no column nope"),
    ],
)
def test_what_is_no_configuration_is_refused(
    platform: MakePlatform, tmp_path: Path, tables: tuple[str, ...], words: str
) -> None:
    box = platform("boss")
    project = with_rows(box, tmp_path, *tables)
    box.run(box.staging, "CREATE TABLE keyless (a int); CREATE TABLE large (id int PRIMARY KEY)")
    box.run(box.staging, "INSERT INTO large SELECT generate_series(1, 1001)")
    with pytest.raises(SettingsError, match=words):
        project.generate("nothing")


def test_a_table_that_is_not_there_is_said_and_doctor_proposes_those_that_are(
    platform: MakePlatform, tmp_path: Path
) -> None:
    box = platform("supabase")
    project = with_rows(box, tmp_path, "storage.bukets")
    assert any("rows of storage.bukets: no such table" in each for each in project.generate("nothing").diff.warnings)
    (note,) = (each for each in project.doctor().notes if "configuration_rows" in each)
    assert note == (
        "rows of storage.buckets, cron.job are not compared; to compare them: "
        'configuration_rows = ["storage.bukets", "storage.buckets", "cron.job"]'
    )


ROWS_OF = {
    "storage.buckets": "SELECT t::text FROM storage.buckets t ORDER BY 1",
    "cron.job": "SELECT jobname, schedule, command, active FROM cron.job ORDER BY 1",
    "public.plans": "SELECT t::text FROM public.plans t ORDER BY 1",
}
OWN_TABLE = """
CREATE TABLE public.plans (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE NOT NULL, price numeric, made_at timestamptz DEFAULT now());
INSERT INTO public.plans (code, price) VALUES ('free', 0), ('team', 12.50), ('old', 1);
CREATE TABLE public.subscribers (plan text REFERENCES public.plans (code) ON DELETE CASCADE);
"""
CHANGES = """
INSERT INTO storage.buckets (id, name, public) VALUES ('avatars', 'other', false), ('fresh', 'fresh', true)
  ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, public = EXCLUDED.public, updated_at = now();
SELECT cron.schedule('nightly', '0 9 * * *', 'VACUUM'); SELECT cron.schedule('hourly', '0 * * * *', 'ANALYZE');
UPDATE public.plans SET price = 15, made_at = now() WHERE code = 'team'; DELETE FROM public.plans WHERE code = 'old';
"""


def test_a_rollback_gives_configuration_rows_back_every_value_that_they_had(
    platform: MakePlatform, tmp_path: Path
) -> None:
    box = platform("supabase")
    project = with_rows(box, tmp_path, *ROWS_OF)
    for url in (box.staging, box.production):
        box.run(url, OWN_TABLE + "SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM public.documents');")
    (project.settings.path("migrations") / "20990101000000_rows.sql").write_text(
        CHANGES + "ALTER TABLE public.plans ADD COLUMN more text;"
    )
    before = {table: box.run(box.production, rows) for table, rows in ROWS_OF.items()}
    accept = [f"{each.rule}:{each.object}: meant" for each in project.review().standing]
    deployed = project.migrate_prod(approve=project.plan(accept=accept).id, accept=accept)
    assert {table: box.run(box.production, rows) for table, rows in ROWS_OF.items()} != before
    assert deployed.rollback_is_proven
    assert deployed.rollback is not None
    assert "Cannot bring back: the content" not in deployed.rollback.read_text()
    project.rollback_prod(approve=project.plan("rollback_prod").id)
    assert {table: box.run(box.production, rows) for table, rows in ROWS_OF.items()} == before


@pytest.mark.thorough
def test_a_new_row_that_others_refer_to_by_then_stays_and_the_rest_is_rolled_back(
    platform: MakePlatform, tmp_path: Path
) -> None:
    box = platform("boss")
    project = with_rows(box, tmp_path, "public.plans", "public.grades")
    for url in (box.staging, box.production):
        box.run(
            url,
            OWN_TABLE
            + "CREATE TABLE public.grades (code text PRIMARY KEY); CREATE TABLE public.graded (code text REFERENCES public.grades);",
        )
    (project.settings.path("migrations") / "20990101000000_rows.sql").write_text(
        "INSERT INTO public.plans (code) VALUES ('new'); INSERT INTO public.grades VALUES ('a'), ('b');"
        "ALTER TABLE public.grades ADD COLUMN more text;"
    )
    accept = [f"{each.rule}:{each.object}: meant" for each in project.review().standing]
    deployed = project.migrate_prod(approve=project.plan(accept=accept).id, accept=accept)
    assert deployed.rollback is not None
    assert (
        "-- Cannot bring back: public.plans without its new row code = 'new': to delete that would change rows of public.subscribers"
        in deployed.rollback.read_text().replace("rows of subscribers", "rows of public.subscribers")
    )
    box.run(box.production, "INSERT INTO public.graded VALUES ('a')")
    assert project.rollback_prod(approve=project.plan("rollback_prod").id).verdict == "ROLLED BACK"
    assert box.run(box.production, "SELECT code FROM public.grades") == [("a",)]
    assert ("new",) in box.run(box.production, "SELECT code FROM public.plans")
