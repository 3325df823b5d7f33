"""`python -m tests.conformance`: regenerates docs/vendors.md, docs/troubleshooting.md, and columns of other pages."""

import sys

from tests.conformance import what_happens
from tests.conformance.coverage import by_id
from tests.conformance.evidence import problems
from tests.conformance.page import PAGE, TABLES, page
from tests.misconfigurations import __main__ as misconfigurations

found = [problem for table in TABLES for problem in problems(table, by_id())]
PAGE.write_text(page())
for written in what_happens.PAGES:
    written.write_text(what_happens.with_tests(written.read_text(), by_id()))
print(*found or [f"{PAGE.name}: {sum(len(table.rows) for table in TABLES)} rows"], sep="\n")
misconfigurations.main()
sys.exit(bool(found))
