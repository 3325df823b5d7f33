"""The tests of a suite, and their results, for vendors that test the tables of a database."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SuiteTable:
    """A table in the database that a vendor tests.

    Attributes:
        name: The table's name, without its schema.
        schema: The schema; ``None`` if the database has none, or if it is not known.
    """

    name: str
    schema: str | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True)
class SuiteTest:
    """A test of a suite, or a part of what a suite tests: a table, one of its columns, or a type of test.

    Attributes:
        table: The table's name, without its schema.
        schema: The schema; ``None`` if the database has none, or if it is not known.
        column: The column; ``None`` if the test is not about one.
        test_type: The vendor's code for the type of the test, such as ``Dec_Trunc``.
        test_id: The vendor's id of the test's definition.
    """

    table: str
    schema: str | None = None
    column: str | None = None
    test_type: str | None = None
    test_id: str | None = None

    @property
    def of_table(self) -> SuiteTable:
        """The table."""
        return SuiteTable(self.table, self.schema)


@dataclass(frozen=True)
class DataTestResult:
    """The result of one test.

    Attributes:
        test: The test. Its table is empty if the vendor does not report it.
        status: The vendor's status in lower case. ``passed``, ``failed`` and ``warning`` judge the data, ``log`` does
            not, and any other status is that of a broken test.
        name: The display name of the test's type.
        measure: The measured value.
        threshold: The value that it was compared with.
        message: The vendor's message.
        compared_with: The table on the other side of a test that compares two tables.
    """

    test: SuiteTest
    status: str
    name: str | None = None
    measure: str | None = None
    threshold: str | None = None
    message: str | None = None
    compared_with: str | None = None
