"""Rights are rehearsed: the copy refuses what production would refuse the deploying role, and who may use what is compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from safemig.copies.database_copy import start_server_like
from safemig.errors import RehearsalError
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import RightsFinding
from tests.conftest import QUIET
from tests.operations.conftest import Shop, approval_of

SECOND_FILE = "20260102000000_second.sql"
ROLES = """
CREATE ROLE app_owner NOLOGIN; CREATE ROLE app_billing NOLOGIN; CREATE ROLE app_rw LOGIN; CREATE ROLE stranger NOLOGIN;
CREATE ROLE dba LOGIN CREATEDB; CREATE ROLE boss LOGIN SUPERUSER;
GRANT app_owner, app_billing TO dba; ALTER ROLE dba SET work_mem = '7MB';
"""
DROP_ROLES = """
DROP ROLE IF EXISTS app_owner, app_billing, app_rw, stranger, dba, boss;
"""
OWNED = """
ALTER TABLE users OWNER TO app_owner; ALTER TABLE orders OWNER TO app_owner; ALTER VIEW big_orders OWNER TO app_owner;
ALTER SCHEMA safemig OWNER TO dba; ALTER SCHEMA supabase_migrations OWNER TO dba;
ALTER TABLE safemig.migrations OWNER TO dba; ALTER TABLE safemig.deployments OWNER TO dba;
ALTER TABLE safemig.steps OWNER TO dba; ALTER TABLE supabase_migrations.schema_migrations OWNER TO dba;
GRANT CREATE ON SCHEMA public TO app_owner; GRANT SELECT, INSERT, UPDATE, DELETE ON users, orders TO app_rw;
CREATE SCHEMA billing AUTHORIZATION app_billing; CREATE TABLE billing.invoices (id bigint PRIMARY KEY);
ALTER TABLE billing.invoices OWNER TO app_billing; GRANT USAGE ON SCHEMA billing TO app_rw;
GRANT SELECT ON billing.invoices TO app_rw;
"""


@pytest.fixture
def rds(shop: Shop, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The shop as on RDS: two roles own the tables, one uses them, and `dba`, no superuser, deploys."""
    shop.on(server.url(), DROP_ROLES)
    shop.on(server.url(), ROLES)
    made = "CREATE SCHEMA billing; CREATE TABLE billing.invoices (id bigint PRIMARY KEY);"
    shop.write("20260101000001_billing.sql", made)
    for variable, url in (("STAGING_DATABASE_URL", shop.staging), ("PRODUCTION_DATABASE_URL", shop.production)):
        shop.on(url, OWNED)
        shop.on(url, f'ALTER DATABASE "{psycopg.conninfo.conninfo_to_dict(url)["dbname"]}" OWNER TO dba')
        shop.on(
            url,
            "INSERT INTO supabase_migrations.schema_migrations (version, name) VALUES ('20260101000001', 'billing')",
        )
        monkeypatch.setenv(variable, make_conninfo(url, user="dba"))
    yield shop
    for url in (shop.staging, shop.production):
        server.drop_database(str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]))
    shop.on(server.url(), DROP_ROLES)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();", "must be superuser|permission denied"),
        ("CREATE ROLE another;", "permission denied to create role"),
        ("CREATE SCHEMA theirs AUTHORIZATION stranger;", "SET ROLE|must be (able|member)"),
        ("COPY users FROM PROGRAM 'true';", "COPY to or from an external program|COPY FROM PROGRAM"),
        ("SET ROLE boss;", "permission denied to set role"),
    ],
)
def test_what_production_would_refuse_is_refused_on_the_copy(rds: Shop, sql: str, words: str) -> None:
    if "EVENT TRIGGER" in sql:
        sql = "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';" + sql
    rds.write(SECOND_FILE, sql)
    with pytest.raises(RehearsalError, match=words) as refused:
        rds.project.rehearse()
    assert "(42501)" in refused.value.what
    assert refused.value.where is not None
    assert SECOND_FILE in refused.value.where
    with psycopg.connect(make_conninfo(rds.production, user="dba")) as production:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as there:
            production.execute(sql.encode())
        assert str(there.value.diag.message_primary) in refused.value.what


def test_roles_on_a_copy_have_attributes_memberships_and_settings(rds: Shop) -> None:
    questions = [
        "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolname = 'dba'"
        " FROM pg_roles WHERE rolname !~ '^(pg_|safemig_copies)' ORDER BY 1",
        "SELECT r.rolname, m.rolname, admin_option FROM pg_auth_members a JOIN pg_roles r ON r.oid = roleid"
        " JOIN pg_roles m ON m.oid = member ORDER BY 1, 2",
        "SELECT r.rolname, setconfig FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole ORDER BY 1",
    ]
    with (
        psycopg.connect(make_conninfo(rds.production, user="dba"), autocommit=True) as source,
        start_server_like(source) as server,
        psycopg.connect(server.url(), autocommit=True) as copy,
    ):
        for question in questions:
            assert copy.execute(question.encode()).fetchall() == source.execute(question.encode()).fetchall()
        logins = copy.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin ORDER BY 1").fetchall()
        assert logins == [("dba",), ("safemig_copies",)]
        source_superusers = source.execute("SELECT count(*) FROM pg_roles WHERE rolsuper").fetchall()
        assert source_superusers != [(0,)]


def test_a_role_that_a_migration_takes_on_does_not_write_the_history(rds: Shop) -> None:
    rds.write(SECOND_FILE, "SET ROLE app_owner; ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    assert rds.deploy().verdict == "DEPLOYED"
    ((owner,),) = rds.on(rds.production, "SELECT tableowner FROM pg_tables WHERE tablename = 'users'")
    assert owner == "app_owner"


def _owner_of(shop: Shop, table: str) -> str:
    ((owner,),) = shop.on(shop.production, f"SELECT relowner::regrole FROM pg_class WHERE oid = '{table}'::regclass")
    return str(owner)


def _write_settings(shop: Shop, text: str) -> None:
    (shop.folder / "safemig.toml").write_text(text)


def test_a_migration_runs_under_deploy_as_and_its_history_is_written_as_who_connects(rds: Shop) -> None:
    _write_settings(rds, 'deploy_as = "app_owner"')
    rds.write(
        SECOND_FILE, "CREATE TABLE IF NOT EXISTS wishes (id bigint PRIMARY KEY); GRANT SELECT ON wishes TO app_rw;"
    )
    deployed = rds.deploy()
    assert _owner_of(rds, "wishes") == "app_owner"
    by = rds.on(rds.production, f"SELECT applied_by FROM safemig.migrations WHERE version = '{SECOND_FILE[:14]}'")
    assert by == [("dba",)]
    assert deployed.rollback is not None
    text = deployed.rollback.read_text()
    assert (
        text.index("SET ROLE app_owner;") < text.index("DROP TABLE") < text.index("RESET ROLE;") < text.index("DELETE")
    )
    back = approval_of(rds.project.rollback_prod)
    assert rds.project.rollback_prod(approve=back).verdict == "ROLLED BACK"
    assert rds.on(rds.production, "SELECT to_regclass('wishes') IS NULL") == [(True,)]


def test_what_refuses_a_transaction_runs_under_deploy_as_too(rds: Shop) -> None:
    _write_settings(rds, 'deploy_as = "app_owner"')
    rds.write(SECOND_FILE, "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy);")
    rds.write(
        "20260103000000_third.sql",
        "CREATE TABLE IF NOT EXISTS wishes (id bigint PRIMARY KEY); GRANT SELECT ON wishes TO app_rw;",
    )
    assert rds.deploy().verdict == "DEPLOYED"
    assert _owner_of(rds, "users_legacy") == _owner_of(rds, "wishes") == "app_owner"
    assert rds.on(rds.production, "SELECT count(*) FROM safemig.deployments") == [(2,)]


def test_batches_run_under_deploy_as_and_their_progress_is_kept(rds: Shop) -> None:
    rds.write(
        SECOND_FILE,
        "-- safemig: batches of 50 by users.id\nUPDATE users SET legacy = current_user WHERE id BETWEEN $1 AND $2;",
    )
    _write_settings(rds, 'deploy_as = "app_owner"')
    findings = [f"{each.rule}:{each.object}: in batches" for each in rds.project.review().standing]
    _write_settings(rds, f'deploy_as = "app_owner"\naccept = {json.dumps(findings)}')
    assert rds.deploy().verdict == "DEPLOYED"
    assert rds.on(rds.production, "SELECT DISTINCT legacy FROM users") == [("app_owner",)]
    assert rds.on(rds.production, "SELECT rows FROM safemig.batches") == [(200,)]


@pytest.mark.parametrize(
    ("role", "state", "found"),
    [
        ("stranger", "failed", "deploy_as = stranger: dba may not SET ROLE to it"),
        ("nobody_at_all", "failed", "deploy_as = nobody_at_all: no such role"),
        ("app_billing", "failed", "not owned: public.users"),
        ("app_owner", "ok", ""),
    ],
)
def test_the_pre_flight_asks_what_deploy_as_may(rds: Shop, role: str, state: str, found: str) -> None:
    _write_settings(rds, f'deploy_as = "{role}"')
    rds.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    (check,) = [each for each in rds.project.preflight().checks if each.name == "rights"]
    assert check.state == state
    assert found in check.found


@pytest.mark.parametrize("role", ["stranger", "nobody_at_all"])
def test_a_deploy_as_that_the_role_may_not_take_is_refused_on_the_copy(rds: Shop, role: str) -> None:
    _write_settings(rds, f'deploy_as = "{role}"')
    rds.write(
        SECOND_FILE, "CREATE TABLE IF NOT EXISTS wishes (id bigint PRIMARY KEY); GRANT SELECT ON wishes TO app_rw;"
    )
    with pytest.raises(RehearsalError, match=rf'permission denied to set role "{role}"|role "{role}" does not exist'):
        rds.project.rehearse()


def test_a_rollback_gives_a_dropped_table_back_to_its_owner(rds: Shop) -> None:
    rds.write(SECOND_FILE, "DROP TABLE billing.invoices;")
    rollback = rds.project.rehearse().rollback
    assert rollback is not None
    assert rollback.is_proven
    assert rollback.remaining == ()


def _findings(shop: Shop) -> dict[tuple[str, str], RightsFinding]:
    rights = shop.project.rehearse().rights
    assert rights is not None
    return {(each.rule, each.object): each for each in rights.findings}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TABLE billing.payments (id bigint PRIMARY KEY);",
         {("owner-differs", "billing.payments"): "ALTER TABLE billing.payments OWNER TO app_billing;",
          ("no-application-role", "billing.payments"): "app_rw;"}),
        ("SET ROLE app_billing; CREATE TABLE billing.payments (id bigint PRIMARY KEY); GRANT SELECT ON billing.payments TO app_rw;",
         {}),
        ("DROP VIEW big_orders; CREATE VIEW big_orders AS SELECT id FROM orders; ALTER VIEW big_orders OWNER TO app_owner;",
         {("right-lost", "public.big_orders"): "GRANT SELECT ON public.big_orders TO app_rw;"}),
        ("REVOKE DELETE ON users FROM app_rw;", {}),
        ("SET ROLE app_owner; CREATE TABLE wishes (id bigserial PRIMARY KEY); GRANT SELECT, INSERT ON wishes TO app_rw;",
         {("right-without-effect", "public.wishes"): "GRANT USAGE ON SEQUENCE wishes_id_seq TO app_rw;"}),
        ("SET ROLE app_owner; CREATE TABLE wishes (id bigint); GRANT SELECT ON wishes TO PUBLIC;",
         {("everybody-can-read", "public.wishes"): "REVOKE ALL ON public.wishes FROM PUBLIC;"}),
        ("SET ROLE app_owner; CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql RETURN 2 * n;", {}),
    ],
)  # fmt: skip
def test_what_is_found_about_rights(rds: Shop, sql: str, expected: dict[tuple[str, str], str]) -> None:
    rds.on(rds.production, "GRANT SELECT ON big_orders TO app_rw")
    rds.write(SECOND_FILE, sql)
    found = _findings(rds)
    assert set(found) == set(expected)
    for key, safer in expected.items():
        assert safer in found[key].safer


def test_the_safer_sql_of_a_finding_ends_it(rds: Shop) -> None:
    made = "CREATE TABLE billing.payments (id bigint PRIMARY KEY);"
    rds.write(SECOND_FILE, made)
    rds.write(SECOND_FILE, made + "\n".join(each.safer for each in reversed(_findings(rds).values())))
    assert _findings(rds) == {}


def test_access_before_and_after_is_compared_by_privilege_and_by_trial(rds: Shop) -> None:
    rds.on(rds.production, "INSERT INTO billing.invoices VALUES (1)")
    rds.write(
        SECOND_FILE,
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON users TO app_rw USING (id = 0);"
        "REVOKE DELETE ON orders FROM app_rw; GRANT INSERT (id) ON billing.invoices TO app_rw;",
    )
    result = rds.project.rehearse()
    assert result.rights is not None
    access = {(each.object, each.verb): each for each in result.rights.access if each.role == "app_rw"}
    secured = access["public.users", "SELECT"]
    assert (secured.before, secured.after, secured.tried_before, secured.tried_after) == ("yes", "yes", "yes", "rows")
    assert access["public.orders", "DELETE"].is_lost
    assert not access["public.orders", "SELECT"].is_lost
    added = access["billing.invoices", "INSERT"]
    assert (added.before, added.after, added.tried_after, added.is_new) == ("no", "columns", "yes", True)
    text = result.render("text")
    assert "Access, before and after" in text
    assert "SELECT (rows by policy)" in text
    assert "run as dba" in text
    sequences = rds.on(rds.production, "SELECT last_value FROM orders_id_seq")
    assert sequences == [(1000,)]


def test_a_finding_about_rights_stops_a_deployment_until_it_is_accepted(rds: Shop) -> None:
    rds.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS billing.payments (id bigint PRIMARY KEY);")
    before = rds.state()
    with pytest.raises(RehearsalError, match=r"owner-differs billing\.payments: table belongs to dba") as refused:
        rds.deploy()
    assert rds.state() == before
    assert 'accept = ["owner-differs:billing.payments: reason"]' in str(refused.value.next)
    accepted = ["owner-differs:billing.payments: moved later", "no-application-role:billing.payments: for reports"]
    _write_settings(rds, f"accept = {json.dumps(accepted)}")
    assert rds.project.review().unused_acceptances == ()
    deployed = rds.deploy()
    assert deployed.verdict == "DEPLOYED"
    assert deployed.rights is not None
    assert [each.accepted for each in deployed.rights.findings] == ["moved later", "for reports"]


def test_the_record_has_the_rights_and_production_is_held_against_them(rds: Shop) -> None:
    rds.write(SECOND_FILE, "GRANT INSERT ON billing.invoices TO app_rw;")
    deployed = rds.deploy()
    (check,) = [each for each in deployed.validation if each.name == "rights"]
    assert check.state == "ok"
    assert deployed.rights is not None
    assert [each.verb for each in deployed.rights.access if each.is_new] == ["INSERT"]
    assert "billing.invoices" in deployed.render("html")


def test_on_a_scratch_server_of_a_superuser_rights_are_rehearsed_too(
    rds: Shop, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rds.write(SECOND_FILE, "SET ROLE app_owner; ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    with ThrowawayServer.start(settings=QUIET, folder=temporary / "server") as other:
        monkeypatch.setenv("SCRATCH_DATABASE_URL", other.url())
        _write_settings(rds, '[scratch]\nurl = "env:SCRATCH_DATABASE_URL"\n')
        rights = rds.project.rehearse().rights
        assert rights is not None
        assert rights.notes == ()
        rds.write("20260103000000_third.sql", "CREATE ROLE another;")
        with pytest.raises(RehearsalError, match="permission denied to create role"):
            rds.project.rehearse()
        assert rds.on(other.url(), "SELECT rolname FROM pg_roles WHERE rolcanlogin") == [("postgres",)]


def test_the_plan_shows_as_whom_it_runs_and_who_may_use_what_it_touches(rds: Shop) -> None:
    _write_settings(rds, 'deploy_as = "app_owner"')
    rds.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    plan = rds.project.plan()
    assert plan.role == "app_owner"
    found = {(each.role, each.object, each.verb): each.before for each in plan.access}
    assert found["app_rw", "public.users", "DELETE"] == "yes"
    assert "runs as app_owner" in plan.render("text")
