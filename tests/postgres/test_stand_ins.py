"""Stand-ins: an extension made again from the catalogs of a database that has it, on a server without its library."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from safemig.postgres.pretences import Pretences, real_dump, real_index
from safemig.postgres.server.private_installation import ExtraFiles
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.stand_in.members import Members, names_qualified
from safemig.postgres.stand_in.needs import has_icu, has_locale
from safemig.postgres.stand_in.script import STAND_IN_CALLED, StandIn, write_stand_in
from tests.conftest import MAJORS

WHAT_IT_HAS = """
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = %s
  AND classid IN ('pg_type'::regclass, 'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_class'::regclass, 'pg_am'::regclass,
                  'pg_language'::regclass, 'pg_foreign_data_wrapper'::regclass, 'pg_namespace'::regclass)
"""
SAMPLE = {
    "citext": ("citext", "Straße 'Ä'"),
    "hstore": ("hstore", '"a"=>"1", "b"=>NULL'),
    "ltree": ("ltree", "Top.Science.Astronomy"),
    "cube": ("cube", "(1, 2),(3, 4)"),
    "seg": ("seg", "5(+-)0.3"),
    "isn": ("isbn13", "978-0-393-04002-9"),
    "vector": ("vector", "[1.5,2,3]"),
}


def stand_ins_of(connection: psycopg.Connection[tuple[object, ...]]) -> list[StandIn]:
    """The stand-ins of everything that a database has."""
    with names_qualified(connection):
        names = [name for (name,) in connection.execute("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'")]
        return [write_stand_in(Members(connection, str(name))) for name in names]


def files_of(stand_ins: list[StandIn]) -> ExtraFiles:
    """The files that an installation needs for them."""
    files = {f"{each.name}.control": each.control for each in stand_ins}
    return ExtraFiles(files | {f"{each.name}--{each.version}.sql": each.script for each in stand_ins})


@pytest.fixture(params=MAJORS, ids=lambda major: f"pg{major}", scope="module")
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, list[StandIn]]]:
    """A database with every extension that there is, and one on a server with stand-ins of them all."""
    with ThrowawayServer.start(major=request.param) as server:
        url = server.create_database("real")
        with psycopg.connect(url, autocommit=True) as connection:
            rows = connection.execute("SELECT name FROM pg_available_extensions WHERE name <> 'plpgsql'").fetchall()
            for (name,) in rows:
                try:
                    connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}" CASCADE')
                except psycopg.errors.FeatureNotSupported:  # a transform for a language that is not here
                    continue
            stand_ins = stand_ins_of(connection)
        with ThrowawayServer.start(major=request.param, extra=files_of(stand_ins)) as copy:
            yield url, copy.create_database("copy"), stand_ins


def test_every_extension_is_made_again_with_all_its_objects(pair: tuple[str, str, list[StandIn]]) -> None:
    real, copy, stand_ins = pair
    assert len(stand_ins) > 35
    with psycopg.connect(real) as source, psycopg.connect(copy, autocommit=True) as connection:
        for each in stand_ins:
            connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{each.name}" CASCADE')
            wanted = {row[0] for row in source.execute(WHAT_IT_HAS, (each.name,))}
            found = {row[0] for row in connection.execute(WHAT_IT_HAS, (each.name,))}
            assert wanted <= found, each.name


def test_values_keep_their_text_and_functions_of_the_library_raise(pair: tuple[str, str, list[StandIn]]) -> None:
    real, copy, stand_ins = pair
    here = {each.name for each in stand_ins}
    with psycopg.connect(real) as source, psycopg.connect(copy, autocommit=True) as connection:
        for name, (kind, text) in SAMPLE.items():
            if name not in here:
                continue
            connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}" CASCADE')
            ((written,),) = source.execute(f"SELECT %s::{kind}::text", (text,)).fetchall()
            assert connection.execute(f"SELECT %s::{kind}::text", (written,)).fetchall() == [(written,)]
            assert connection.execute(
                f"SELECT count(DISTINCT v) FROM unnest(ARRAY[%s, %s]::{kind}[]) v", (written, written)
            ).fetchone() == (1,)
        with pytest.raises(psycopg.Error, match="extension hstore is a stand-in") as caught:
            connection.execute("SELECT akeys('a=>1'::hstore)")
        assert caught.value.sqlstate == STAND_IN_CALLED
        connection.execute("SET safemig.stand_ins = 'silent'")
        assert connection.execute("SELECT akeys('a=>1'::hstore)").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE TABLE t (a int)", ("CREATE TABLE t (a int)",)),
        ("CREATE INDEX a_idx ON t USING btree (a)", ("CREATE INDEX a_idx ON t USING btree (a)",)),
        (
            "CREATE INDEX a_idx ON public.t USING hnsw (a x.vector_l2_ops)",
            ("CREATE INDEX a_idx ON public.t USING hnsw (a x.vector_l2_ops)",),
        ),
        (
            "CREATE INDEX a_idx ON public.t USING hnsw (a x.vector_l2_ops) WITH (m = 16, ef_construction='64') WHERE a IS NOT NULL",
            (
                "CREATE INDEX a_idx ON public.t USING hnsw (a x.vector_l2_ops)  WHERE a IS NOT NULL",
                "SELECT x.note('public.a_idx'::regclass, ARRAY['m=16', 'ef_construction=64'])",
            ),
        ),
        (
            "CREATE INDEX ON t USING hnsw (a) WITH (m = 16)",
            (
                "CREATE INDEX ON t USING hnsw (a) ",
                "SELECT x.note((SELECT max(indexrelid)::regclass FROM pg_catalog.pg_index WHERE indrelid = 't'::regclass), ARRAY['m=16'])",
            ),
        ),
        ("CREATE INDEX g ON t USING gist (a x.geo_ops)", ("CREATE INDEX g ON t USING safemig_gist_geo (a x.geo_ops)",)),
        (
            "CREATE INDEX known ON public.t USING gist (a)",
            ("CREATE INDEX known ON public.t USING safemig_gist_geo (a)",),
        ),
        (
            "CREATE COLLATION public.german (provider = icu, locale = 'de')",
            (
                "CREATE COLLATION public.german (provider = libc, locale = 'C')",
                'COMMENT ON COLLATION public.german IS \'safemig stand-in for: {"provider": "icu", "locale": "de"}\'',
            ),
        ),
    ],
)
def test_statements_as_they_run_on_a_copy_that_pretends(statement: str, expected: tuple[str, ...]) -> None:
    pretences = Pretences(
        methods={"hnsw": "x.note", "safemig_gist_geo": "x.note"},
        classes={"gist x.geo_ops": "safemig_gist_geo"},
        indexes={"public.known": "safemig_gist_geo"},
        without_icu=True,
    )
    assert pretences.adapted(statement) == expected


def test_rows_of_a_dump_are_never_rewritten() -> None:
    pretences = Pretences(methods={"hnsw": "x.note"}, constraints=("public.t no_overlap",))
    dump = [
        b"COPY public.t (a) FROM stdin;\n", b"CREATE INDEX i ON t USING hnsw (a) WITH (m=1);\n", b"\\.\n",
        b"CREATE INDEX i ON public.t USING hnsw (a) WITH (m='1');\n",
        b"ALTER TABLE ONLY public.t\n", b"    ADD CONSTRAINT no_overlap EXCLUDE USING gist (a WITH &&);\n",
    ]  # fmt: skip
    assert list(pretences.adapted_lines(iter(dump))) == [
        *dump[:3],
        b"CREATE INDEX i ON public.t USING hnsw (a) ;\n", b"SELECT x.note('public.i'::regclass, ARRAY['m=1']);\n",
        dump[4], b"    RESET (fillfactor);\n",
    ]  # fmt: skip


def test_what_is_pretended_reads_as_what_it_stands_for() -> None:
    assert (
        real_index("CREATE INDEX g ON public.t USING safemig_gist_geo (a)")
        == "CREATE INDEX g ON public.t USING gist (a)"
    )
    dump = (
        "CREATE COLLATION public.german (provider = libc, locale = 'C');\n\n"
        "--\n-- Name: COLLATION german; Type: COMMENT; Schema: public; Owner: -\n--\n\n"
        'COMMENT ON COLLATION public.german IS \'safemig stand-in for: {"provider": "icu", "locale": "de"}\';\n'
    )
    assert real_dump(dump) == "CREATE COLLATION public.german (provider = icu, locale = 'de');\n\n"


def test_what_this_machine_knows_is_asked_of_it() -> None:
    assert has_locale("C.UTF-8")
    assert not has_locale("xx_XX.UTF-8")
    with ThrowawayServer.start() as server, psycopg.connect(server.url()) as connection:
        ((known,),) = connection.execute("SELECT count(*) FROM pg_collation WHERE collname ~ '-x-icu$'").fetchall()
        assert has_icu(server.programs) == bool(known)
