"""The whole way on every platform, from a machine that lacks its extensions: review, staging, production, no drift."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.platforms.boxes import Platform, on_boxes

NEXT = {
    "supabase": "ALTER TABLE public.profiles ADD COLUMN bio text;",
    "rds": "CREATE TABLE app.preferences (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer uuid NOT NULL REFERENCES app.customers);\n"
    "ALTER TABLE app.preferences OWNER TO app_owner;",
    "neon": "ALTER TABLE notes ADD COLUMN tag text;",
    "heroku": "ALTER TABLE posts ADD COLUMN tag text;",
    "boss": "ALTER TABLE users ADD COLUMN tag text;",
    "upgraded": "ALTER TABLE users ADD COLUMN tag text;",
}


@on_boxes("supabase-17", "neon-17", "upgraded-17")
def test_a_migration_goes_to_staging_and_production_and_leaves_no_drift(
    platform: Callable[..., Platform], tmp_path: Path, name: str, major: int
) -> None:
    box = platform(name, major)
    project = box.project(tmp_path)
    (tmp_path / "supabase" / "migrations" / "20260201000000_next.sql").write_text(NEXT[name])
    assert str(project.review().verdict) == "SAFE TO DEPLOY"
    assert project.migrate_staging().verdict == "DEPLOYED"
    deployed = project.migrate_prod(approve=project.plan().id)
    assert deployed.verdict == "DEPLOYED"
    assert deployed.migrations == ("20260201000000_next.sql",)
    assert [each.drift for each in project.db_status().environments] == ["none", "none"]
