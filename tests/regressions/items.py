"""The reported faults, by number, in one line each. A test names the number: `@pytest.mark.fixes("6.4")`."""

ITEMS = {
    "6.1": "A partition that fails its blocking check does not block downstream assets",
    "6.2": "A re-execution through the Python API starts a second remote run",
    "6.3": "A materialization without a Dagster run has no data version, code version or input versions",
    "6.4": "A missing `yield from` reports a successful materialization, although nothing was started",
    "6.5": "A partitioned asset launched without a partition starts a run over everything",
    "6.6": "The observation sensor reports to an asset that is not in the definitions",
    "6.7": "One unreadable entry in a vendor's list stops observation and the search for a lost start",
    "6.8": "A list call that always fails is never logged; any exception counts as a refused run request",
    "6.9": "TestGen before 5.134: ignored match_schema_name, canceled jobs, double waits, other hosts' runs",
    "6.10": "A failed TLS handshake counts as a start whose outcome is unknown",
    "6.11": "Progress is logged under the metadata keys of the result, so plots are wrong",
    "6.12": "EnvVar is refused for some settings; an empty variable is not named",
    "6.13": "One vendor with wrong credentials stops the sensor and the cancel job for the others",
    "6.14": "Smaller faults: empty 202/204 responses, numeric ids, slow headers, proxies on loopback, messages",
    "6.15": "A step that outlives its Dagster run cancels or reports a remote run of a newer attempt",
    "6.16": "A storage outage of half a minute fails steps that are only waiting",
    "6.17": "An outcome counts as reported although the Dagster run that reports it never ended",
}
