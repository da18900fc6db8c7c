"""Connections: opened, guarded against a dead network."""

from __future__ import annotations

from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
