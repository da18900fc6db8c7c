"""Reading one rich schema on every PostgreSQL of this machine: whole, in few round trips, wherever it stands."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import compare

from .proof import dump, load, read
from .rich import RICH

_numbers = itertools.count(os.getpid() * 1000)


@pytest.fixture
def make(every_server: ThrowawayServer) -> Iterator[Callable[[], str]]:
    """A maker of empty databases on each server in turn."""
    names: list[str] = []

    def make_one() -> str:
        names.append(f"everywhere_{next(_numbers)}")
        return every_server.create_database(names[-1])

    yield make_one
    for name in names:
        every_server.drop_database(name)


def test_a_rich_schema_is_read_whole(make: Callable[[], str]) -> None:
    one, other = make(), make()
    load(one, RICH)
    load(other, "CREATE TABLE gone (x int); DROP TABLE gone", RICH)
    found = read(one)
    assert len({item.kind for item in found.facts}) == 36
    assert sum(item.schema == "app" for item in found.facts) > 90
    assert found.unmodelled == ()
    assert found.fingerprint == read(other).fingerprint
    assert compare(found, read(other)).is_empty


def test_uncommitted_ddl_is_read_as_the_committed(make: Callable[[], str]) -> None:
    committed, open_ = make(), make()
    load(committed, RICH)
    with psycopg.connect(open_) as connection:
        connection.execute(RICH.encode())
        inside = read_schema(connection)
        assert inside.fingerprint == read(committed).fingerprint
        assert compare(read(open_), inside).sql  # no one else sees it yet
        connection.execute("DROP TABLE app.people CASCADE")
        assert ("app", "people") not in read_schema(connection).tables
        connection.rollback()
        assert compare(read_schema(connection), read(open_)).is_empty


def test_the_command_prints_nothing_for_two_restores_of_one_dump(
    every_server: ThrowawayServer, make: Callable[[], str]
) -> None:
    source, one, other = make(), make(), make()
    load(source, RICH)
    text = "\n".join(line for line in dump(every_server, source, owners=True).split("\n") if line[:1] != "\\")
    load(one, text)
    load(other, text)
    for base, target in ((one, other), (other, one)):
        answer = subprocess.run(
            [sys.executable, "-m", "safemig", "diff", "--from", base, "--to", target],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def _messages(url: str) -> Counter[str]:
    """Return how many messages of each type a reading sends to the server, as libpq's own trace counts them."""
    with psycopg.connect(url, autocommit=True) as connection, tempfile.NamedTemporaryFile("w+b") as trace:
        connection.pgconn.trace(trace.fileno())
        read_schema(connection)
        connection.pgconn.untrace()
        text = Path(trace.name).read_text()
    return Counter(re.findall(r"^[^\t\n]*\tF\t\d+\t(\w+)", text, re.MULTILINE))


def test_the_number_of_queries_does_not_grow_with_the_schema(make: Callable[[], str]) -> None:
    empty, rich, large = make(), make(), make()
    load(rich, RICH)
    load(
        large,
        *(f"CREATE SCHEMA s{n}; CREATE TABLE s{n}.t (id int PRIMARY KEY, c text CHECK (c <> ''))" for n in range(60)),
    )
    counted = [_messages(url) for url in (empty, rich, large)]
    assert len({each["Execute"] for each in counted}) == 1
    for each in counted:
        assert each["Execute"] < 60  # queries
        assert each["Flush"] + each["Sync"] + each["Query"] <= 8  # and how often they wait for answers


PLATFORM = """
CREATE SCHEMA auth; CREATE SCHEMA storage; CREATE SCHEMA realtime; CREATE SCHEMA vault; CREATE SCHEMA extensions;
CREATE SCHEMA graphql; CREATE SCHEMA graphql_public; CREATE SCHEMA supabase_functions; CREATE SCHEMA pgsodium;
CREATE SCHEMA pgsodium_masks; CREATE SCHEMA cron; CREATE SCHEMA net; CREATE SCHEMA pgbouncer; CREATE SCHEMA _realtime;
ALTER SCHEMA auth OWNER TO supabase_auth_admin;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text); ALTER TABLE auth.users OWNER TO supabase_auth_admin;
CREATE TABLE storage.buckets (id text PRIMARY KEY);
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT NULL::uuid $$;
CREATE FUNCTION extensions.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER pgrst_watch ON ddl_command_end EXECUTE FUNCTION extensions.watch();
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated;
"""
OURS = """
CREATE TABLE public.profiles (id uuid PRIMARY KEY REFERENCES auth.users (id), name text);
ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.profiles TO authenticated USING (id = auth.uid());
GRANT SELECT ON public.profiles TO anon;
CREATE FUNCTION public.ours() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER ours ON ddl_command_end EXECUTE FUNCTION public.ours();
"""
PLATFORM_ROLES = ("supabase_admin", "supabase_auth_admin", "anon", "authenticated")


def test_what_the_platform_made_for_itself_is_left_alone(
    every_server: ThrowawayServer, make: Callable[[], str]
) -> None:
    load(every_server.url(), *(f"CREATE ROLE {role}" for role in PLATFORM_ROLES))
    url = make()
    try:
        load(url, PLATFORM)
        plain = read(url)
        assert {item.name for item in plain.facts if item.kind == "schema"} == {"public"}
        assert plain.tables == ()
        assert {item.kind for item in plain.facts} <= {"schema", "extension"}
        load(url, OURS)
        ours = read(url)
        assert ours.tables == (("public", "profiles"),)
        assert {item.name for item in ours.facts if item.kind == "event trigger"} == {"ours"}
        assert {item.schema for item in ours.facts} <= {"", "public"}
        said = compare(plain, ours).sql
        assert "REFERENCES auth.users(id)" in said
        assert "TO authenticated" in said
        # A setting brings any of them back.
        with psycopg.connect(url, autocommit=True) as connection:
            assert read_schema(connection, SchemaFilter(only=("auth",))).tables == (("auth", "users"),)
    finally:
        load(url, *(f"DROP OWNED BY {role} CASCADE" for role in PLATFORM_ROLES))
        load(every_server.url(), *(f"DROP ROLE {role}" for role in PLATFORM_ROLES))


def test_the_same_schemas_are_ours_where_there_is_no_platform(make: Callable[[], str]) -> None:
    url = make()
    load(
        url, "CREATE SCHEMA auth; CREATE TABLE auth.users (id int); CREATE SCHEMA cron; CREATE TABLE cron.job (id int)"
    )
    assert read(url).tables == (("auth", "users"), ("cron", "job"))
