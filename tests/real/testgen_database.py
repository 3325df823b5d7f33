"""Reads the server's own PostgreSQL database, with which the results of the code under test are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg2


@dataclass(frozen=True)
class Database:
    """The database at ``uri``. Its tables are in the schema ``testgen``."""

    uri: str = field(repr=False)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Returns what a query finds."""
        connection = psycopg2.connect(self.uri)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, parameters)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def results(self, run_id: str) -> list[Result]:
        """Returns the results of a test run, without dismissed and muted ones."""
        found = self.rows(
            "SELECT schema_name, table_name, column_names, test_type, test_definition_id::text, lower(result_status)"
            " FROM testgen.test_results WHERE test_run_id = %s"
            " AND coalesce(disposition, 'Confirmed') NOT IN ('Dismissed', 'Inactive')",
            run_id,
        )
        return [Result(*row) for row in found]

    def set_disposition(self, run_id: str, table: str, column: str, disposition: str) -> None:
        """Does what a person does in TestGen's UI with a result: ``Dismissed``, or ``Inactive`` for a muted one."""
        query = (
            "UPDATE testgen.test_results SET disposition = %s"
            " WHERE test_run_id = %s AND table_name = %s AND column_names = %s RETURNING id"
        )
        [_] = self.rows(query, disposition, run_id, table, column)


@dataclass(frozen=True)
class Result:
    """The result of one test."""

    schema: str
    table: str | None
    column: str | None
    test_type: str
    test_id: str
    status: str
