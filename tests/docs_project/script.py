"""A shell script that does what pages of the docs say."""

import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

_BLOCK = re.compile(
    r"^(?:Write `(?P<path>[^`]+)`:\n\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SANDBOX = re.compile(r"python -m dagster_runs\.sandbox --port (\d+)")


def section(page: str, title: str) -> str:
    """Returns a section of a page."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(found)


def free_ports(of_the_page: Sequence[int]) -> Mapping[str, str]:
    """Returns a free port for each port that the page names."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in of_the_page]
        free = [str(listener.getsockname()[1]) for listener in listeners]
    return dict(zip(map(str, of_the_page), free, strict=True))


def script_of(text: str, ports: Mapping[str, str]) -> str:
    """Returns the commands and files of the docs, in their order. Sandboxes run until the script ends."""
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null' EXIT"]
    for match in _BLOCK.finditer(text):
        block = re.sub("|".join(ports), lambda port: ports[port.group()], match["text"])
        if match["path"]:
            path = match["path"]
            lines.append(f"mkdir -p \"$(dirname {path})\"\ncat > {path} <<'END_OF_FILE'\n{block}END_OF_FILE")
        elif sandbox := _SANDBOX.match(block):
            port = sandbox.group(1)
            lines.append(f"{block.rstrip()} >sandbox_{port}.log 2>&1 &")
            wait = f"until (echo >/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done"
            lines.append(f"timeout 30 bash -c '{wait}'")
        elif not match["language"]:
            lines.append(block)
    return "\n".join(lines) + "\n"
