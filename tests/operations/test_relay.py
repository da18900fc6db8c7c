"""The relay to a scratch server sees what the server's own log has, statement by statement."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest

from safemig.copies.observed import _logged
from safemig.copies.relay import relayed
from safemig.postgres.connection.connect import connect
from safemig.postgres.server.throwaway import ThrowawayServer

# Each is run by a process of its own with `c`, a connection that it made from DATABASE_URL.
PROGRAMS = {
    "one by one": "c.execute('CREATE TABLE t (id int)'); c.execute('INSERT INTO t VALUES (%s)', (1,)); c.execute('SELECT 1')",
    "several in one message": "c.execute('CREATE TABLE t (id int); INSERT INTO t VALUES (1); SELECT 2')",
    "in a transaction": "with c.transaction(): c.execute('CREATE TABLE t (id int)'); c.execute('ALTER TABLE t ADD b int')",
    "prepared": "[c.execute('SELECT %s::int', (n,), prepare=True) for n in range(3)]",
    "in a pipeline": "with c.pipeline(): [c.execute('SELECT %s::int', (n,)) for n in range(50)]",
    "in a pipeline, and one fails": (
        "try:\n  with c.pipeline(): [c.execute('SELECT 1 / %s::int', (n,)) for n in (1, 0, 2)]\n"
        "except psycopg.Error: pass\nc.execute('SELECT 3')"
    ),
    "fails, and goes on": "try: c.execute('SELECT nothing')\nexcept psycopg.Error: pass\nc.execute('CREATE TABLE t ()')",
    "copies rows in and out": (
        "c.execute('CREATE TABLE t (a text)')\nwith c.cursor().copy('COPY t FROM STDIN') as to:\n"
        "  for n in range(2000): to.write_row(('x' * 500,))\n"
        "with c.cursor().copy('COPY t TO STDOUT') as rows: assert sum(1 for _ in rows.rows()) == 2000"
    ),
    "two sessions": "d = psycopg.connect(url, autocommit=True); c.execute('SELECT 1'); d.execute('SELECT 2'); d.close()",
    "is cancelled": (
        "import threading; threading.Timer(0.3, c.cancel).start()\n"
        "try: c.execute('SELECT pg_sleep(60)')\nexcept psycopg.errors.QueryCanceled: c.execute('SELECT 1')"
    ),
    "leaves without a word": "c.execute('CREATE TABLE t ()'); os._exit(0)",
}
CONNECTED = "import os, psycopg\nurl = os.environ['DATABASE_URL']\nc = psycopg.connect(url, autocommit=True)\n"


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_it_sees_each_statement_that_the_servers_log_has(
    server: ThrowawayServer, new_database: Callable[[], str], program: str
) -> None:
    url = new_database()
    with connect(url, "the copy") as copy:
        database = copy.info.dbname
        with _logged(server, database, [copy.info.backend_pid]) as logged, relayed(copy, url) as (through, told):
            run(through, program)
        assert [each.sql for each in told] == [each.sql for each in logged()]
        assert told
        assert all(0 <= each.seconds < 30 for each in told)


def test_what_the_url_sets_holds_for_every_session(new_database: Callable[[], str]) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS relayed_role")
        owner.execute("CREATE ROLE relayed_role")
    with connect(url, "the copy") as copy:
        acting = psycopg.conninfo.make_conninfo(url, options="-c role=relayed_role -c work_mem=7MB")
        with relayed(copy, acting) as (through, told):
            run(
                through,
                "assert c.execute('SELECT current_user, current_setting($$work_mem$$)').fetchone() == ('relayed_role', '7MB')",
            )
            own = psycopg.conninfo.make_conninfo(through, options="-c statement_timeout=9s -c work_mem=8MB")
            run(
                own,
                "assert c.execute('SHOW statement_timeout').fetchone() == ('9s',)\nassert c.execute('SHOW work_mem').fetchone() == ('7MB',)",
            )
        assert len({each.session for each in told}) == 2
        copy.execute("DROP ROLE relayed_role")


def test_a_server_that_is_gone_ends_the_program_and_not_us(new_database: Callable[[], str]) -> None:
    url = new_database()
    with connect(url, "the copy") as copy, relayed(copy, url) as (through, told):
        run(
            through,
            "try: c.execute('SELECT pg_terminate_backend(pg_backend_pid())')\nexcept psycopg.OperationalError: pass\n"
            "else: raise SystemExit('it went on')",
        )
    assert [each.sql for each in told] == []


def run(url: str, program: str) -> None:
    environment = {**os.environ, "DATABASE_URL": url}
    subprocess.run([sys.executable, "-c", CONNECTED + program], env=environment, check=True, timeout=60)
