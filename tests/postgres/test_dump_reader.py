"""The reader of dumps: every table's rows and hash, wherever the pieces happen to be cut."""

from __future__ import annotations

import hashlib
import io

import pytest

from safemig.postgres.dump import reader as dump_reader
from safemig.postgres.dump.reader import DumpReader

FULL = b"1\tone\n2\ttwo\\n.\n\\\\.\n3\t\\N\n"
ANNOUNCED = b"--\n-- Data for Name: x; Type: TABLE DATA; Schema: public; Owner: o\n--\n\n"
TEXT = b"".join(
    [
        b"-- head\nAS $$\nCOPY public.in_a_body (a) FROM stdin;\n$$;\n",
        ANNOUNCED, b"COPY public.empty (a) FROM stdin;\n\\.\n\n\n",
        ANNOUNCED, b'COPY public."full" (a, "new\nline") FROM stdin;\n', FULL, b"\\.\n\n\n",
        ANNOUNCED, b"COPY public.last FROM stdin;\nx\n\\.\nSELECT 1;\n",
        b"--\n-- PostgreSQL database dump complete\n--\n",
    ]
)  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 11, 64, 1 << 20])
def test_every_cut_gives_the_same(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(dump_reader, "CHUNK_BYTES", size)
    reader = DumpReader()
    assert b"".join(reader.pieces(io.BytesIO(TEXT))) == TEXT
    assert [(table.name, table.rows, table.sha256) for table in reader.content] == [
        ('public."full"', 4, hashlib.sha256(FULL).hexdigest()),
        ("public.empty", 0, hashlib.sha256(b"").hexdigest()),
        ("public.last", 1, hashlib.sha256(b"x\n").hexdigest()),
    ]
    assert reader.is_complete


def test_a_cut_dump_is_passed_on_as_it_is_and_never_complete() -> None:
    for end in range(len(TEXT)):
        reader = DumpReader()
        assert b"".join(reader.pieces(io.BytesIO(TEXT[:end]))) == TEXT[:end]
        assert reader.is_complete == (b"dump complete\n" in TEXT[:end])
