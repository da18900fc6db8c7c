"""Who may use what on a platform: the application's roles are known there, and what is found about them is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.copies.content import named_tables
from safemig.errors import RehearsalError
from safemig.execution.steps import plan_files
from safemig.migrations import Migration
from safemig.operations.rights import rights_after, rights_before
from safemig.postgres.connection.connect import connect
from safemig.results import Rights
from tests.platforms.boxes import Platform

MakePlatform = Callable[..., Platform]
NOTES = "CREATE TABLE public.notes (id bigint PRIMARY KEY, owner uuid NOT NULL DEFAULT auth.uid());"
SECURED = "ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;"
OWN = "CREATE POLICY own ON public.notes TO authenticated USING ((SELECT auth.uid()) = owner);"
FOR_ALL = "GRANT SELECT, INSERT ON public.notes TO anon, authenticated, service_role;"


def rights_of(box: Platform, folder: Path, sql: str, deployer_url: str = "") -> Rights:
    """Run a migration on staging, which stands for the copy of production, and return what is found about rights."""
    settings = box.project(folder).settings
    (file,) = plan_files([Migration("1", "x", Path("x.sql"), sql, "")])
    with (
        connect(box.production, "production") as source,
        connect(box.staging_admin, "the copy") as copy,
        connect(deployer_url or box.staging, "the copy") as deployer,
    ):
        before = rights_before(settings, source, copy, deployer, named_tables(copy, file.steps))
        deployer.execute(sql.encode())
        return rights_after(settings, before, source, copy, file.steps)


@pytest.mark.parametrize(
    ("sql", "rules"),
    [
        (NOTES, {"no-application-role"}),
        (NOTES + FOR_ALL, {"everybody-can-read"}),
        (NOTES + SECURED + OWN + FOR_ALL, set()),
        ("CREATE VIEW public.names AS SELECT username FROM public.profiles; GRANT SELECT ON public.names TO anon;",
         {"everybody-can-read"}),
        ("CREATE VIEW public.names WITH (security_invoker = true) AS SELECT username FROM public.profiles;"
         "GRANT SELECT ON public.names TO anon;", set()),
        ("REVOKE UPDATE ON public.profiles FROM authenticated;", set()),
    ],
    ids=["for nobody", "for everyone", "secured", "view", "invoker's view", "revoked"],
)  # fmt: skip
def test_what_is_found_on_supabase(platform: MakePlatform, tmp_path: Path, sql: str, rules: set[str]) -> None:
    rights = rights_of(platform("supabase"), tmp_path, sql)
    assert rights.application_roles == ("anon", "authenticated", "service_role")
    assert {each.rule for each in rights.findings} == rules


def test_row_security_is_part_of_what_is_tried(platform: MakePlatform, tmp_path: Path) -> None:
    rights = rights_of(platform("supabase"), tmp_path, NOTES + SECURED + OWN + FOR_ALL)
    found = {(each.role, each.verb): each.tried_after for each in rights.access if each.object == "public.notes"}
    assert found["anon", "INSERT"] == found["anon", "SELECT"] == found["authenticated", "SELECT"] == "rows"
    assert found["service_role", "INSERT"] == "yes"  # BYPASSRLS


def test_a_policy_on_the_platforms_own_table_is_compared(platform: MakePlatform, tmp_path: Path) -> None:
    sql = "CREATE POLICY docs ON storage.objects FOR SELECT TO authenticated USING (bucket_id = 'docs');"
    rights = rights_of(platform("supabase"), tmp_path, sql)
    assert {each.object for each in rights.access} == {"storage.objects"}
    assert rights.findings == ()


@pytest.mark.parametrize(
    ("sql", "rules"),
    [
        ("CREATE TABLE billing.payments (id bigint PRIMARY KEY);", {"owner-differs", "no-application-role"}),
        ("SET ROLE app_owner; CREATE TABLE app.visits (id bigint PRIMARY KEY); RESET ROLE;", set()),
        ("SET ROLE app_billing; CREATE TABLE billing.payments (id bigint PRIMARY KEY); RESET ROLE;", set()),
    ],
)  # fmt: skip
def test_what_is_found_on_rds(platform: MakePlatform, tmp_path: Path, sql: str, rules: set[str]) -> None:
    rights = rights_of(platform("rds"), tmp_path, sql)
    assert "app_reader" in rights.application_roles
    assert "dba" not in rights.application_roles
    assert {each.rule for each in rights.findings} == rules


def test_one_role_for_all_needs_no_grant(platform: MakePlatform, tmp_path: Path) -> None:
    rights = rights_of(platform("heroku"), tmp_path, "CREATE TABLE public.notes (id bigint PRIMARY KEY);")
    assert rights.findings == ()
    assert rights.application_roles == ()


def test_where_the_copy_is_not_migrated_as_the_deploying_role_it_is_said(
    platform: MakePlatform, tmp_path: Path
) -> None:
    box = platform("rds")
    (note,) = rights_of(box, tmp_path, "SELECT 1;", box.staging_admin).notes
    assert note.startswith("rights are not rehearsed: rdsadmin, the scratch server's role")


def test_a_deployment_on_supabase_is_rehearsed_as_the_role_without_superuser(
    platform: MakePlatform, tmp_path: Path
) -> None:
    box = platform("supabase")
    project = box.project(tmp_path)
    file = tmp_path / "supabase" / "migrations" / "20260201000000_notes.sql"
    file.write_text(NOTES + SECURED + OWN + FOR_ALL)
    rights = project.rehearse().rights
    assert rights is not None
    assert (rights.role, rights.findings) == ("postgres", ())
    assert {each.role for each in rights.access if each.is_new} == {"anon", "authenticated", "service_role"}
    file.write_text("CREATE ROLE reporting SUPERUSER;")
    with pytest.raises(RehearsalError, match="permission denied to create role"):
        project.rehearse()
