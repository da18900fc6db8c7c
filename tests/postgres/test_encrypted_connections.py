"""Over an encrypted connection no program goes unencrypted: one without TLS is refused, with what to install."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.copies.relay import relayed
from safemig.errors import ToolError
from safemig.postgres.connection.connect import connect
from safemig.postgres.dump.plain import content_of
from safemig.postgres.dump.tools import run_psql
from safemig.postgres.server.programs import (
    PROGRAMS_VARIABLE,
    Programs,
    client_programs,
    find_programs,
    has_tls,
    server_programs,
)
from safemig.postgres.server.throwaway import PORT, ThrowawayServer
from safemig.project import Project

ADDRESS = "127.45.67.89"  # of the loopback network, where no other server listens
CERTIFICATE = (
    "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-keyout", "/dev/stdout", "-out", "/dev/stdout",
)  # fmt: skip


@pytest.fixture(scope="module")
def encrypted() -> Iterator[str]:
    """The URL of a database that takes encrypted connections, and, from 127.45.0.0/16, no others."""
    try:
        made = subprocess.run(CERTIFICATE, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    with ThrowawayServer.start(programs=_with_tls(), settings={"listen_addresses": ADDRESS}) as server:
        data = server.folder / "data"
        (data / "server.pem").write_text(made)
        (data / "server.pem").chmod(0o600)
        owner = data.stat()
        os.chown(data / "server.pem", owner.st_uid, owner.st_gid)
        with (data / "pg_hba.conf").open("a") as file:
            file.write(f"hostssl all all {ADDRESS}/32 trust\n")
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for name, value in (("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.pem"), ("ssl", "on")):
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE TABLE t AS SELECT 1 AS one")
        yield f"postgresql://{server.superuser}@{ADDRESS}:{PORT}/postgres"


def _with_tls() -> Programs:
    found = next((each for each in find_programs() if each.has_server and each.has_clients and has_tls(each)), None)
    if found is None:
        pytest.skip("no server with TLS on this machine")
    return found


def _without_tls() -> Programs:
    found = next((each for each in find_programs() if each.has_clients and not has_tls(each)), None)
    if found is None:
        pytest.skip("no programs without TLS on this machine")
    return found


@pytest.mark.parametrize("mode", ["", "?sslmode=require", "?sslmode=prefer"])
def test_a_program_without_tls_is_refused_with_what_to_install(encrypted: str, tmp_path: Path, mode: str) -> None:
    without, url = _without_tls(), f"{encrypted}{mode}"
    script = tmp_path / "script.sql"
    script.write_text("SELECT 1;")
    for act in (lambda: content_of(url, without), lambda: run_psql(without, url, script)):
        with pytest.raises(ToolError, match="built without TLS, and this connection is encrypted") as caught:
            act()
        assert f"install postgresql-client-{without.major}" in str(caught.value.next)
        assert "sslmode=disable" in str(caught.value.next)


def test_a_program_with_tls_is_chosen_and_works(encrypted: str) -> None:
    programs = client_programs(_with_tls().version_num)
    assert has_tls(programs)
    assert [(table.name, table.rows) for table in content_of(encrypted, programs)] == [("public.t", 1)]


def test_a_local_socket_needs_no_tls(tmp_path: Path) -> None:
    without = _without_tls()
    with ThrowawayServer.start(programs=server_programs(major=without.major)) as server:
        assert content_of(server.url(), without) == ()


def test_the_pre_flight_and_the_doctor_say_so_before_anything_begins(
    encrypted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_tls, without = _with_tls(), _without_tls()
    if without.major < with_tls.major:
        pytest.skip("the programs without TLS are older than the server")
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(without.folder))
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", encrypted)
    Project.init(tmp_path)
    project = Project.open(tmp_path)
    (check,) = [each for each in project.preflight().checks if each.name == "pg_dump and psql"]
    assert check.state == "failed"
    assert "built without TLS" in check.found
    assert "built without TLS" in " ".join(project.doctor().render("text").split())
    with pytest.raises(ToolError, match="built without TLS"):
        project.backup_prod()


@pytest.mark.parametrize(("mode", "arrives"), [("require", True), ("verify-full", False)])
def test_a_relay_holds_the_servers_certificate_to_what_the_url_demands(
    encrypted: str, mode: str, arrives: bool
) -> None:
    with connect(f"{encrypted}?sslmode=require", "the copy") as copy:
        with relayed(copy, f"{encrypted}?sslmode={mode}") as (through, told):
            try:
                with psycopg.connect(through, autocommit=True) as connection:
                    connection.execute("SELECT one FROM t")
            except psycopg.OperationalError:
                assert not arrives
        assert [each.sql for each in told] == ["SELECT one FROM t"] * arrives
