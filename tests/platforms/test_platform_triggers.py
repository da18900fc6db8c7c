"""Triggers of the team's on the platform's tables go away without the table's owner, forward and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.project import Project
from tests.operations.conftest import approval_of
from tests.platforms.boxes import Platform

TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'auth.users'::regclass AND NOT tgisinternal ORDER BY 1"
AFTER_UPDATE = (
    "CREATE TRIGGER seen AFTER UPDATE OF email ON auth.users FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)"
)


FUNCTION = """
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$ BEGIN RETURN NEW; END $$;
"""
RECORD = "INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES ('20260201000000', 'before')"


def project_with(box: Platform, folder: Path, applied: str) -> Project:
    """Make a project whose second migration both databases have."""
    project = box.project(folder)
    (folder / "supabase" / "migrations" / "20260201000000_before.sql").write_text(applied)
    for url in (box.staging, box.production):
        box.run(url, f"{applied}; {RECORD}")
    return project


def accepting(project: Project, folder: Path) -> Project:
    """Accept what the review finds, as a person writes it."""
    settings = folder / "safemig.toml"
    accepted = ", ".join(f'"{each.rule}:{each.object}: seen"' for each in project.review().standing)
    settings.write_text(f"accept = [{accepted}]\n{settings.read_text()}")
    return Project.open(folder)


@pytest.mark.parametrize(
    "stays", [pytest.param(True, id="its function stays"), pytest.param(False, id="goes", marks=pytest.mark.thorough)]
)
def test_a_trigger_on_auth_users_is_dropped_by_a_road_that_the_deploying_role_may_take(
    platform: Callable[..., Platform], tmp_path: Path, stays: bool
) -> None:
    box = platform("supabase")
    project = project_with(box, tmp_path, f"{FUNCTION} {AFTER_UPDATE} EXECUTE FUNCTION public.note()")
    before = box.run(box.production, TRIGGERS)
    assert ("seen",) in before
    with psycopg.connect(box.production) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DROP TRIGGER seen ON auth.users")
    box.run(box.staging_admin, "DROP TRIGGER seen ON auth.users")
    if not stays:
        box.run(box.staging, "DROP FUNCTION public.note()")
    generated = project.generate("no longer seen")
    assert generated.proof.startswith("proven equal"), generated.remaining
    assert "only the owner of auth.users may drop a trigger there" in generated.text
    assert "DROP TRIGGER" not in generated.text
    project = accepting(project, tmp_path)
    assert project.migrate_prod(approve=project.plan().id).verdict == "DEPLOYED"
    assert ("seen",) not in box.run(box.production, TRIGGERS)
    assert project.db_status("production").environments[0].drift == "none"
    back = project.rollback_prod(approve=approval_of(project.rollback_prod))
    assert back.verdict == "ROLLED BACK"
    assert box.run(box.production, TRIGGERS) == before


@pytest.mark.thorough
def test_a_rollback_drops_a_trigger_whose_function_stays(platform: Callable[..., Platform], tmp_path: Path) -> None:
    box = platform("supabase")
    project = project_with(box, tmp_path, FUNCTION)
    before = box.run(box.production, TRIGGERS)
    made = f"{AFTER_UPDATE} EXECUTE FUNCTION public.note();"
    (tmp_path / "supabase" / "migrations" / "20260202000000_seen.sql").write_text(made)
    project = accepting(project, tmp_path)
    assert project.migrate_prod(approve=project.plan().id).verdict == "DEPLOYED"
    assert ("seen",) in box.run(box.production, TRIGGERS)
    assert project.rollback_prod(approve=approval_of(project.rollback_prod)).verdict == "ROLLED BACK"
    assert box.run(box.production, TRIGGERS) == before
