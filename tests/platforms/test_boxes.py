"""The platforms in a box are what they say, for everything else rests on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.postgres.server.programs import server_programs
from tests.platforms.boxes import BOXES, Platform

SUPERUSERS = "SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY 1"
# Extensions that are in each database and that safemig's own server must not have.
ONLY_THERE = {
    "supabase": {"pg_cron", "pg_graphql", "pg_net", "supabase_vault", "vector"},
    "rds": {"postgis"},
    "neon": {"neon", "vector"},
    "heroku": set(),
    "boss": set(),
    "upgraded": set(),
}


@pytest.mark.parametrize(("name", "major"), BOXES)
def test_a_platform_has_its_roles_extensions_and_one_applied_migration(
    platform: Callable[..., Platform], tmp_path: Path, name: str, major: int
) -> None:
    box = platform(name, major)
    assert box.run(box.production, "SELECT current_user, session_user")[0] == (box.deployer, box.deployer)
    is_superuser = box.deployer == box.superuser
    assert box.run(box.production, SUPERUSERS) == [(box.superuser,)], "one superuser, of the platform's name"
    assert (box.run(box.production, "SHOW is_superuser") == [("on",)]) == is_superuser
    assert box.run(box.production, "SHOW server_version_num")[0][0][:2] == str(major)  # type: ignore[index]
    extensions = {row[0] for row in box.run(box.production, "SELECT extname FROM pg_extension")}
    assert ONLY_THERE[name] <= extensions
    if ONLY_THERE[name]:
        assert not ONLY_THERE[name] & server_programs(major=major).extensions(), "the DBA's machine lacks them"
    assert box.project(tmp_path).settings.conninfo("staging") == box.staging
    for url in (box.staging, box.production):
        assert len(box.run(url, "SELECT * FROM supabase_migrations.schema_migrations")) == 1


def test_a_platform_is_handed_out_as_it_was_built(platform: Callable[..., Platform]) -> None:
    box = platform("heroku")
    box.run(box.production, "CREATE TABLE left_behind (); DROP TABLE comments;")
    box.run(box.production_admin, "CREATE ROLE left_behind")
    began = time.monotonic()
    box = platform("heroku")
    assert time.monotonic() - began < 10, "made anew from a template, not built again"
    assert box.run(
        box.production, "SELECT to_regclass('left_behind') IS NULL, to_regclass('comments') IS NOT NULL"
    ) == [(True, True)]
    assert box.run(box.production, "SELECT rolname FROM pg_roles WHERE rolname = 'left_behind'") == []
    bare = platform("heroku", team=False)
    assert bare.run(bare.production, "SELECT to_regclass('posts') IS NULL") == [(True,)]


def test_rows_of_the_team_and_of_the_platform_are_in_production(platform: Callable[..., Platform]) -> None:
    box = platform("supabase")
    counts = "SELECT (SELECT count(*) FROM auth.users), (SELECT count(*) FROM public.profiles), (SELECT count(*) FROM auth.schema_migrations)"
    assert box.run(box.production, counts) == [(50, 50, 3)]
    assert box.run(box.staging, counts) == [(0, 0, 3)]
