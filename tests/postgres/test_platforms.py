"""What is the platform's and what is the team's: a table of cases for the one module that decides it."""

from __future__ import annotations

import pytest

from safemig.postgres.platforms import recognise
from safemig.schema import facts
from safemig.schema.model import Id

SUPABASE_ROLES = ["postgres", "supabase_admin", "supabase_auth_admin", "anon", "authenticated", "service_role"]
SUPABASE_SCHEMAS = ["public", "auth", "storage", "supabase_functions", "pgsodium_masks", "app"]


def row(
    roles: list[str], schemas: list[str], *, superuser: bool = False, foreign: tuple[list[str], list[str]] = ([], [])
) -> tuple[object, ...]:
    """An answer to WHICH_PLATFORM; `foreign` are the roles and schemas out of the deploying role's reach."""
    return superuser, roles, schemas, *foreign, ""


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("supabase_admin", "Supabase"),
        ("rds_superuser", "Amazon RDS"),
        ("cloudsqlsuperuser", "Google Cloud SQL"),
        ("azure_pg_admin", "Azure Database for PostgreSQL"),
        ("neon_superuser", "Neon"),
        ("avnadmin", "Aiven"),
        ("doadmin", "DigitalOcean"),
        ("crunchy_superuser", "Crunchy Bridge"),
        ("app_owner", ""),
    ],
)
def test_a_platform_is_recognised_by_a_role(role: str, name: str) -> None:
    assert recognise(row(["dba", role], ["public"])).name == name


def test_a_platform_is_recognised_by_a_schema_where_it_shows_no_role() -> None:
    assert recognise(row(["u7f3c2"], ["public", "heroku_ext"])).name == "Heroku Postgres"


def test_names_and_beginnings_of_names_say_which_schemas_and_roles_are_the_platforms() -> None:
    platform = recognise(row(SUPABASE_ROLES, SUPABASE_SCHEMAS))
    assert platform.schemas == {"auth", "storage", "supabase_functions", "pgsodium_masks"}
    assert "supabase_auth_admin" in platform.roles
    assert "postgres" not in platform.roles


def test_without_a_known_name_what_is_out_of_reach_is_the_platforms_and_a_superuser_reaches_all() -> None:
    foreign = (["hoster"], ["hoster_tools"])
    assert recognise(row(["dba", "hoster"], ["public", "hoster_tools"], foreign=foreign)).schemas == {"hoster_tools"}
    assert not recognise(row(["dba", "hoster"], ["public", "hoster_tools"], foreign=foreign, superuser=True))


def trigger(function: str) -> facts.TriggerFact:
    return facts.TriggerFact(
        f"CREATE TRIGGER t AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION {function}()", "O", False
    )


@pytest.mark.parametrize(
    ("item", "fact", "owner", "is_platforms"),
    [
        (Id("table", "auth", "users"), None, "supabase_auth_admin", True),
        (Id("table", "public", "users"), None, "postgres", False),
        (Id("policy", "storage", "objects", "mine"), None, "", False),
        (Id("trigger", "auth", "users", "t"), trigger("public.handle_new_user"), "", False),
        (Id("trigger", "auth", "users", "t"), trigger('"My app".f'), "", False),
        (Id("trigger", "storage", "objects", "t"), trigger("storage.touch"), "", True),
        (Id("trigger", "public", "users", "t"), trigger("supabase_functions.http_request"), "", False),
        (Id("publication", "", "supabase_realtime"), None, "postgres", True),
        (Id("publication", "", "mine"), None, "postgres", False),
        (Id("publication table", "", "supabase_realtime", "public.users"), facts.PublicationTableFact("public", "users", (), None), "", False),
        (Id("event trigger", "", "watch"), facts.EventTriggerFact("ddl_command_end", (), "public.f", "O"), "supabase_admin", True),
        (Id("event trigger", "", "watch"), facts.EventTriggerFact("ddl_command_end", (), "public.f", "O"), "postgres", False),
        (Id("event trigger", "", "watch"), facts.EventTriggerFact("ddl_command_end", (), "auth.f", "O"), "postgres", True),
        (Id("extension", "", "pg_graphql"), None, "", True),
        (Id("extension", "", "postgis"), None, "", False),
        (Id("default privileges", "public", "supabase_admin", "r"), None, "", True),
        (Id("default privileges", "public", "postgres", "r"), None, "", False),
        (Id("schema", "", "auth"), None, "supabase_admin", True),
        (Id("schema", "", "public"), None, "pg_database_owner", False),
        (Id("member privileges", "", "", "x"), facts.MemberPrivilegesFact("FUNCTION auth.f(text, integer)", "f", "o", (), ()), "", True),
        (Id("member privileges", "", "", "x"), facts.MemberPrivilegesFact("FUNCTION pg_reload_conf()", "f", "o", (), ()), "", True),
        (Id("member privileges", "", "", "x"), facts.MemberPrivilegesFact("FUNCTION public.f(auth.x)", "f", "o", (), ()), "", False),
    ],
)  # fmt: skip
def test_what_the_team_puts_on_a_platform_is_the_teams(item: Id, fact: object, owner: str, is_platforms: bool) -> None:
    assert recognise(row(SUPABASE_ROLES, SUPABASE_SCHEMAS)).brings(item, fact, owner) == is_platforms


def test_a_copy_is_seen_as_the_original_whoever_reads_it() -> None:
    original = recognise(row(["dba", "hoster"], ["public", "hoster_tools"], foreign=(["hoster"], ["hoster_tools"])))
    copy = (True, ["safemig_copies", "dba", "hoster"], ["public", "hoster_tools"], [], [], original.setting)
    assert recognise(copy) == original
