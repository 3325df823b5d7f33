"""`python -m tests.conformance`: write docs/vendors.md anew."""

import sys

from tests.conformance.evidence import problems
from tests.conformance.page import PAGE, TABLES, page

found = [problem for table in TABLES for problem in problems(table)]
PAGE.write_text(page())
print(*found or [f"{PAGE.name}: {sum(len(table.rows) for table in TABLES)} rows"], sep="\n")
sys.exit(bool(found))
