"""A copy is base + migrations: an untouched staging differs in nothing, and the team's things on platform tables are seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.errors import RefusedError, SettingsError, UnreachableError
from safemig.project import Project
from tests.platforms.boxes import FIRST_FILE, Platform, on_boxes

BY_HAND = """
CREATE POLICY "Members upload" ON storage.objects FOR INSERT TO authenticated WITH CHECK (bucket_id = 'avatars');
CREATE FUNCTION public.note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER on_auth_user_changed AFTER UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION public.note_change();
CREATE TABLE public.user_preferences (id uuid PRIMARY KEY DEFAULT extensions.uuid_generate_v4(),
  user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE, theme text NOT NULL DEFAULT 'light');
ALTER TABLE public.user_preferences ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.user_preferences USING ((SELECT auth.uid()) = user_id);
CREATE INDEX user_preferences_user_id_idx ON public.user_preferences (user_id);
ALTER PUBLICATION supabase_realtime ADD TABLE public.user_preferences;
"""


@on_boxes("supabase-15", "rds-17")
def test_an_untouched_environment_has_no_drift_and_nothing_to_generate(
    platform: Callable[..., Platform], tmp_path: Path, name: str, major: int
) -> None:
    box = platform(name, major)
    project = box.project(tmp_path)
    assert [(each.name, each.drift) for each in project.db_status().environments] == [
        ("staging", "none"),
        ("production", "none"),
    ]
    generated = project.generate("nothing")
    assert generated.path is None
    assert generated.proof == "staging is what the local migrations make: nothing to do"
    assert project.schema_diff("staging", "production").is_empty


@on_boxes("supabase-17", "heroku-17")
def test_what_was_applied_by_hand_is_recorded(
    platform: Callable[..., Platform], tmp_path: Path, name: str, major: int
) -> None:
    box = platform(name, major)
    project = box.project(tmp_path)
    box.run(box.production, "DELETE FROM supabase_migrations.schema_migrations")
    with pytest.raises(RefusedError, match="is not approved") as refused:
        project.baseline_prod()
    approval = str(refused.value.next).split("--approve ")[1].split()[0]
    result = project.baseline_prod(approve=approval)
    assert (result.verdict, result.recorded_only) == ("BASELINED", (FIRST_FILE,))


@pytest.mark.parametrize("major", [17, 15])
def test_what_the_team_puts_on_platform_tables_is_generated_and_no_drift_afterwards(
    platform: Callable[..., Platform], tmp_path: Path, major: int
) -> None:
    box = platform("supabase", major)
    project = box.project(tmp_path)
    box.run(box.staging, BY_HAND)
    generated = project.generate("preferences")
    assert generated.proof.startswith("proven equal"), generated.remaining
    for said in (
        'CREATE POLICY "Members upload" ON storage.objects',
        "ON auth.users FOR EACH ROW EXECUTE FUNCTION public.note_change()",
        "ALTER PUBLICATION supabase_realtime ADD TABLE ONLY public.user_preferences",
        "REFERENCES auth.users(id) ON DELETE CASCADE",
        "CREATE POLICY own ON public.user_preferences",
    ):
        assert said in generated.text
    assert "REVOKE" not in generated.text
    assert generated.path is not None
    assert project.migrate_staging().recorded_only == (generated.path.name,)
    assert project.db_status().environments[0].drift == "none"
    assert project.plan().migrations[0].file == generated.path.name
    # Without the file it is drift, each by its name.
    generated.path.unlink()
    box.run(box.staging, "DELETE FROM supabase_migrations.schema_migrations WHERE name = 'preferences'")
    assert "storage.objects" in project.schema_diff("production", "staging").sql


def test_a_public_schema_from_postgresql_14_is_no_drift_and_a_grant_by_hand_is(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    box = platform("upgraded")
    project = box.project(tmp_path)
    assert project.db_status().environments[1].drift == "none"
    box.run(box.production, "GRANT CREATE ON SCHEMA public TO app_rw")
    assert "change grant public" in project.db_status().environments[1].drift


def test_the_base_is_a_file_that_copies_begin_with_plans_are_bound_to_and_status_holds_against_the_platform(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    box = platform("supabase")
    project = box.project(tmp_path)
    without = project.plan().id
    written = project.base()
    assert (written.state, written.platform) == ("written", "Supabase")
    assert {"auth", "storage", "realtime"} <= set(written.schemas)
    text = written.path.read_text()
    for said in (
        "CREATE ROLE anon;",
        "CREATE TABLE IF NOT EXISTS auth.users",
        "CREATE EVENT TRIGGER pgrst_ddl_watch",
        "CREATE PUBLICATION supabase_realtime",
    ):
        assert said in text
    for mine in ("handle_new_user", "Avatars are public", "INSERT INTO", "messages_2026"):
        assert mine not in text, "the team's, rows and a day's partition are no part of it"
    assert project.plan().id != without
    assert project.base().state == "unchanged"
    assert [(each.drift, each.problem) for each in project.db_status().environments] == [("none", "")] * 2
    # The platform upgrades its schemas: that is no drift, and status says so by itself.
    box.run(
        box.staging_admin,
        "CREATE TABLE auth.oauth_clients (id uuid PRIMARY KEY); ALTER TABLE auth.users ADD COLUMN is_sso boolean",
    )
    status = project.db_status()
    assert status.environments[0].drift == "none"
    (problem,) = status.problems
    assert problem.startswith("staging: the platform changed since supabase/base.sql was written")
    assert problem.endswith("refresh it: safemig base staging")
    refreshed = project.base()
    assert refreshed.state == "refreshed"
    assert any(each.startswith("+ CREATE TABLE IF NOT EXISTS auth.oauth_clients") for each in refreshed.changes)
    assert project.db_status().problems == ()


def test_the_file_is_enough_where_the_environment_that_it_was_read_from_is_out_of_reach(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    box = platform("supabase")
    project = box.project(tmp_path)
    file = project.base().path
    settings = tmp_path / "safemig.toml"
    away = "postgresql://postgres@localhost:1/postgres"
    settings.write_text(settings.read_text().replace(box.staging, away))
    project = Project.open(tmp_path)
    status = project.db_status()
    assert [(each.drift, bool(each.problem)) for each in status.environments] == [("", True), ("none", False)]
    (base,) = status.bases
    assert re.fullmatch(r"base.sql, read from staging on 20\d\d-\d\d-\d\d \(SHA-256 [0-9a-f]{12}\)", base)
    assert base in status.render("text")
    plan = project.plan()
    assert plan.base == base
    box.run(box.production, "DELETE FROM supabase_migrations.schema_migrations")
    approval = project.plan("baseline_prod").id
    assert f"replayed on the base {base}" in project.baseline_prod(approve=approval).notes
    # And where the platform is not there at all: what production has is asked of the file alone.
    file.unlink()
    with pytest.raises(UnreachableError):
        project.base()
    assert project.db_status("production").bases[0].startswith("as the database has it now (SHA-256 ")


def test_a_base_that_was_changed_by_hand_is_refused_until_someone_says_that_it_is_meant(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    box = platform("supabase")
    project = box.project(tmp_path)
    file = project.base().path
    written = file.read_text()
    file.write_text(written.replace("CREATE EVENT TRIGGER pgrst_ddl_watch", "CREATE EVENT TRIGGER pgrst_ddl_wotch"))
    words = "supabase/base.sql was changed since safemig base wrote it"
    for act in (lambda: project.generate("nothing"), project.plan, project.migrate_staging):
        with pytest.raises(SettingsError, match=words) as refused:
            act()
        assert "safemig base" in str(refused.value.next)
    status = project.db_status()
    assert all(each.drift.startswith(f"not compared: {words}") for each in status.environments)
    assert (status.exit_code, len(status.problems)) == (1, 2)
    # As edited, it is used and said; refreshed, it is as it was.
    checksum = next(line for line in file.read_text().splitlines() if line.startswith("-- Checksum"))
    edited = file.read_text()
    file.write_text(edited.replace(f"{checksum}\n", ""))
    assert "without a checksum" in project.plan().base
    file.write_text(edited)
    assert project.base().state == "refreshed"
    assert project.base().state == "unchanged"
    assert "pgrst_ddl_watch" in file.read_text()
    # What a platform changed since is said where a file is written, too.
    box.run(box.staging_admin, "CREATE TABLE auth.oauth_clients (id uuid PRIMARY KEY)")
    assert any("refresh it: safemig base staging" in each for each in project.generate("nothing").diff.warnings)


def test_an_extension_that_was_turned_on_elsewhere_before_its_file_stays_there(
    platform: Callable[..., Platform], tmp_path: Path
) -> None:
    box = platform("supabase")
    project = box.project(tmp_path)
    asked = "create extension if not exists pg_net with schema extensions;\n"
    where = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_net'"
    for url in (box.staging_admin, box.production_admin):
        box.run(url, "CREATE EXTENSION IF NOT EXISTS pg_net SCHEMA public")
        assert box.run(url, where) == [("public",)]
    (tmp_path / "supabase" / "migrations" / "20260201000000_net.sql").write_text(asked)
    assert project.migrate_staging().verdict == "DEPLOYED"
    assert project.db_status("staging").environments[0].drift == "none"
