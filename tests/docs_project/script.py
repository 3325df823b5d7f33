"""A shell script that does what pages of the docs say."""

import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

_BLOCK = re.compile(
    r"^(?:Write `(?P<path>[^`]+)`:\n\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SANDBOX = re.compile(r"python -m dagster_runs\.sandbox --port (\d+)")
UI = "3000"
"""The port of `dg dev` on the pages."""
_END = 'kill $(jobs -p) 2>/dev/null; [ -z "$DEV" ] || { kill -- -$DEV; sleep 2; kill -KILL -- -$DEV; }'
"""Ends what runs in the background. The processes of `dg dev` wait for each other when they are asked to end."""
_DEV = re.compile(r"^dg dev$", re.MULTILINE)
_TAB = re.compile(r"^/// tab \| ([^\n]+)\n(.*?)^///$", re.MULTILINE | re.DOTALL)


def section(page: str, title: str) -> str:
    """Returns a section of a page."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(found)


def with_tab(page: str, title: str) -> str:
    """Returns a page with the content of the tabs that have a title, and without the other tabs."""
    return _TAB.sub(lambda tab: tab[2] if tab[1] == title else "", page)


def free_ports(of_the_page: Sequence[int]) -> Mapping[str, str]:
    """Returns a free port for each port that the page names."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in of_the_page]
        free = [str(listener.getsockname()[1]) for listener in listeners]
    return dict(zip(map(str, of_the_page), free, strict=True))


def script_of(text: str, ports: Mapping[str, str]) -> str:
    """Returns the commands and files of the docs, in their order.

    Sandboxes and `dg dev` run until the script ends. The latter has a port of the dictionary, and child processes.
    """
    lines = ["set -euo pipefail", "DEV=", f"trap '{_END}' EXIT"]
    for match in _BLOCK.finditer(text):
        block = re.sub("|".join(ports), lambda port: ports[port.group()], match["text"])
        if match["path"]:
            path = match["path"]
            lines.append(f"mkdir -p \"$(dirname {path})\"\ncat > {path} <<'END_OF_FILE'\n{block}END_OF_FILE")
        elif sandbox := _SANDBOX.match(block):
            port = sandbox.group(1)
            lines += [f"{block.rstrip()} >sandbox_{port}.log 2>&1 &", _until_open(port, 30)]
        elif not match["language"]:
            lines.append(_DEV.sub(f"setsid dg dev --port {ports.get(UI)} >dev.log 2>&1 & DEV=$!", block))
            if _DEV.search(block):
                lines.append(_until_open(ports[UI], 120))
    return "\n".join(lines) + "\n"


def _until_open(port: str, seconds: int) -> str:
    wait = f"until (echo >/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done"
    return f"timeout {seconds} bash -c '{wait}'"
