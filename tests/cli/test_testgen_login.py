"""`dagster-runs testgen-login` against the sandbox's OAuth server; the browser is played by an HTTP client."""

import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from dagster_runs import TestGenResource
from dagster_runs.cli.output import NegativeResult, Unusable
from dagster_runs.cli.testgen_login import log_in, write_variables
from dagster_runs.sandbox import Sandbox, well_known
from tests.cli.locating import printed_json

Browser = Callable[[str], None]
PASSWORD = {"username": well_known.TESTGEN_USERNAME, "password": well_known.TESTGEN_PASSWORD}


@pytest.fixture
def server(sandbox: Sandbox) -> str:
    return f"{sandbox.url}/testgen"


def logs_in(url: str) -> None:
    """Does what a user does: opens the page, sends the form, and follows the redirect to this machine."""
    with requests.Session() as browser:
        assert "Sign In" in browser.get(url).text
        form = {**{name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}, **PASSWORD}
        back = browser.post(url.partition("?")[0], data=form, allow_redirects=False)
        assert back.status_code == 302
        assert "Logged in" in browser.get(back.headers["Location"]).text


def run(browser: Browser, monkeypatch: pytest.MonkeyPatch, base_url: str, **options: Any) -> None:
    """Runs the command. `browser` gets the address that is opened, in a thread of its own."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def visit(url: str) -> None:
        try:
            browser(url)
        except BaseException as error:
            errors.append(error)

    def opened(url: str) -> bool:
        threads.append(threading.Thread(target=visit, args=(url,)))
        threads[-1].start()
        return True

    monkeypatch.setattr("webbrowser.open", opened)
    try:
        log_in(base_url, **{"timeout": 20.0, **options})
    finally:
        for thread in threads:
            thread.join()
    assert errors == []


def variables_in(text: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in text.splitlines())


@pytest.mark.parametrize("mount", ["testgen", "testgen-old"])
def test_login_prints_credentials_that_work(
    mount: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(logs_in, monkeypatch, f"{sandbox.url}/{mount}/api/v1/")
    captured = capsys.readouterr()
    found = variables_in(captured.out)
    assert list(found) == ["TESTGEN_URL", "TESTGEN_CLIENT_ID", "TESTGEN_CLIENT_SECRET", "TESTGEN_REFRESH_TOKEN"]
    assert found["TESTGEN_URL"] == f"{sandbox.url}/{mount}"
    assert "is valid for 30 days, until" in captured.err
    assert "Checked: TestGen accepts the new credentials" in captured.err
    assert found["TESTGEN_REFRESH_TOKEN"] not in captured.err
    assert found["TESTGEN_CLIENT_SECRET"] not in captured.err
    resource = TestGenResource(
        base_url=found["TESTGEN_URL"],
        client_id=found["TESTGEN_CLIENT_ID"],
        client_secret=found["TESTGEN_CLIENT_SECRET"],
        refresh_token=found["TESTGEN_REFRESH_TOKEN"],
        project_code=well_known.TESTGEN_PROJECT,
    )
    assert "project DEFAULT" in (resource.get_access([]) or "")


def test_file_is_written_for_its_owner_only_and_keeps_other_variables(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / ".env"
    file.write_text("OTHER=1\nexport QUALITY_URL=http://old\n# a comment\n")
    file.chmod(0o644)
    run(logs_in, monkeypatch, server, write_env=file, prefix="QUALITY")
    captured = capsys.readouterr()
    found = variables_in(file.read_text())
    assert captured.out == ""
    assert found["QUALITY_REFRESH_TOKEN"] not in captured.err
    assert (
        f"Wrote QUALITY_URL, QUALITY_CLIENT_ID, QUALITY_CLIENT_SECRET, QUALITY_REFRESH_TOKEN to {file}" in captured.err
    )
    assert (found["OTHER"], found["QUALITY_URL"]) == ("1", server)
    assert "# a comment" in file.read_text()
    assert "http://old" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be written"):
        write_variables(tmp_path / "no" / "folder", {"A": "1"})


def test_result_can_be_printed_as_json(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(logs_in, monkeypatch, server, as_json=True)
    assert printed_json(capsys)["TESTGEN_URL"] == server


def test_verifier_is_sent_only_to_the_token_endpoint(
    server: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    urls: list[str] = []

    def remember(url: str) -> None:
        urls.append(url)
        logs_in(url)

    run(remember, monkeypatch, server)
    query = parse_qs(urlsplit(urls[0]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"][0].startswith("http://127.0.0.1:")
    found = variables_in(capsys.readouterr().out)
    assert found["TESTGEN_CLIENT_SECRET"] not in urls[0]
    paths = [record.path for record in sandbox.requests() if "/oauth/" in record.path]
    assert paths[0].endswith("/oauth/register")
    assert paths[-1].endswith("/oauth/token")


def test_answer_with_another_state_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def attacked(url: str) -> None:
        callback = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        forged = requests.get(callback, params={"code": "forged", "state": "guessed"})
        assert (forged.status_code, "Not this login" in forged.text) == (400, True)
        assert requests.get(callback.removesuffix("callback") + "favicon.ico").status_code == 404
        logs_in(url)

    run(attacked, monkeypatch, server)
    assert variables_in(capsys.readouterr().out)["TESTGEN_REFRESH_TOKEN"]


def test_refused_login_is_a_negative_result(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        params = {"error": "access_denied", "error_description": "No <b>access</b>", "state": query["state"][0]}
        assert "<b>" not in requests.get(query["redirect_uri"][0], params=params).text

    with pytest.raises(NegativeResult, match="TestGen refused the login: No <b>access</b>"):
        run(refuses, monkeypatch, server)


def test_wrong_password_leads_to_no_login(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistypes(url: str) -> None:
        form = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        page = requests.post(url.partition("?")[0], data={**form, **PASSWORD, "password": "wrong"})
        assert (page.status_code, "Invalid username or password" in page.text) == (401, True)

    with pytest.raises(NegativeResult, match="No login within 1 s"):
        run(mistypes, monkeypatch, server, timeout=1.0)


def test_wrong_code_is_a_negative_result(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def returns_nonsense(url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        requests.get(query["redirect_uri"][0], params={"code": "nonsense", "state": query["state"][0]})

    with pytest.raises(NegativeResult, match="Invalid 'code' in request"):
        run(returns_nonsense, monkeypatch, server)


@pytest.mark.parametrize(
    ("base_url", "error", "message"),
    [
        ("ftp://x", Unusable, "is not an absolute http"),
        ("http://testgen.example.com", Unusable, "uses plain http"),
        ("http://127.0.0.1:9", NegativeResult, "could not connect to 127.0.0.1:9"),
    ],
)
def test_wrong_server_is_reported(base_url: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        log_in(base_url, no_browser=True)


def test_own_client_needs_its_secret_and_its_port(server: str) -> None:
    with pytest.raises(Unusable, match="needs the client's secret"):
        log_in(server, client_id="x")
    with pytest.raises(Unusable, match="also needs --port"):
        log_in(server, client_id="x", client_secret="y")


def test_own_client_is_not_registered_again(
    server: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    redirect = {"redirect_uris": [f"http://127.0.0.1:{port}/callback"]}
    client = requests.post(f"{server}/oauth/register", json=redirect).json()
    run(
        logs_in,
        monkeypatch,
        server,
        client_id=client["client_id"],
        client_secret=client["client_secret"],
        port=port,
    )
    assert variables_in(capsys.readouterr().out)["TESTGEN_CLIENT_ID"] == client["client_id"]
    assert len([one for one in sandbox.requests() if one.path.endswith("/oauth/register")]) == 1
