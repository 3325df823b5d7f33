"""A kit with which the author of a vendor proves its two classes against a simulated vendor.

```python
from dagster_runs.sandbox import Sandbox
from dagster_runs.testing.vendor_kit import prove_vendor

with Sandbox(vendors=[MyVendor]) as sandbox:
    report = prove_vendor(MyRun(job="nightly"), MyResource(token="…", base_url=f"{sandbox.url}/my"), sandbox.url)
print(report)
report.check()
```

`scenarios` and `prove_scenario` make each scenario a test. `python -m dagster_runs.testing.vendor_kit module:function`
prints the reports that a function returns, and exits with 1 if anything fails.
"""

from dagster_runs.testing.vendor_kit.prove import prove_scenario as prove_scenario
from dagster_runs.testing.vendor_kit.prove import prove_vendor as prove_vendor
from dagster_runs.testing.vendor_kit.prove import scenarios as scenarios
from dagster_runs.testing.vendor_kit.results import Conclusion as Conclusion
from dagster_runs.testing.vendor_kit.results import Report as Report
from dagster_runs.testing.vendor_kit.results import Row as Row

__all__ = ["Report", "Row", "Conclusion", "prove_scenario", "prove_vendor", "scenarios"]
