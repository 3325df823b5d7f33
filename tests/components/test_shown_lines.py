"""The lines of the file that an error shows, which must not contain secrets that a user has written in it."""

import re
from textwrap import indent

import pytest

from tests.components.projects import Project

TYPE = "type: dagster_runs.TestGenComponent"
SECRET = "s3cr3t"
BLOCKS = {
    "plain": f"access_token: {SECRET}",
    "comma": f"access_token: abc,{SECRET}",
    "hash": f"access_token: abc#{SECRET}",
    "bracket": f"access_token: abc]{SECRET}",
    "brace": f"access_token: abc}}{SECRET}",
    "not ASCII": f"access_token: größe{SECRET}",
    "plain, two lines": f"access_token: abc\n  {SECRET}",
    "double quotes, two lines": f'access_token: "abc\n  {SECRET}"',
    "double quotes, no indentation of the second line": f'access_token: "abc\n\n{SECRET}"',
    "single quotes, two lines": f"access_token: 'abc\n  {SECRET}'",
    "escaped quote": f'access_token: "a\\"{SECRET}"',
    "literal": f"access_token: |-\n  abc\n  def\n\n  {SECRET}",
    "literal with an indentation": f"access_token: |2-\n  {SECRET}\n\n  {SECRET}",
    "folded, with a comment": f"access_token: >- # {SECRET}\n  {SECRET}",
    "tag": f"access_token: !!str {SECRET}",
    "literal with a tag": f"access_token: !!str |-\n  {SECRET}",
    "literal with an anchor": f"access_token: &t |-\n  {SECRET}",
    "value below a comment": f"access_token: # see the vault\n  {SECRET}",
    "quoted name": f'"access_token": {SECRET}',
    "escaped name": f'"access\\x5ftoken": {SECRET}',
    "explicit name": f"? access_token\n: {SECRET}",
    "space before the colon": f"access_token  : {SECRET}",
    "other names": f"ACCESS_TOKEN: {SECRET}\napi-key: {SECRET}\npassphrase: {SECRET}\nheaders: {{A: Bearer {SECRET}}}",
    "template and literal": f'access_token: "{SECRET}{{{{ env.HOME }}}}"',
    "default": f"access_token: \"{{{{ env('NOT_SET', '{SECRET}') }}}}\"",
    "template without an end": f'access_token: "a{{{{{SECRET}"',
    "anchor": f"access_token: &t {SECRET}",
    "mapping": f"access_token: {{a: {SECRET}}}",
    "list of mappings": f"headers:\n- access_token: {SECRET}",
    "flow, value on the next line": f"client_id: {{client_secret:\n  {SECRET}, refresh_token: {SECRET}}}",
    "list": f"access_token: [abc,\n  {SECRET}]",
    "comments": f"access_token: a\n# access_token: {SECRET}\n  # {SECRET}",
    "credentials in a URL": f"base_url: https://user:p@{SECRET}@h/",
    "slash in credentials": f"base_url: https://u:p/{SECRET}@h/x",
    "space in credentials": f'base_url: "https://u:p {SECRET}@h/x"',
    "query of a URL": f"base_url: https://h/?token={SECRET}",
}


def shown_by(project: Project, yaml: str) -> str:
    """Returns the messages of the error on loading and of its causes."""
    project.write("").write_text(yaml)
    with pytest.raises(Exception) as raised, project.loaded():  # noqa: PT011
        pass
    texts, error = [], raised.value
    while error is not None:
        texts.append(str(error))
        error = error.__cause__  # type: ignore[assignment]
    return "\n".join(texts)


def yaml_of(workspace: str, *, more: str = "  resource_key: 'a b'\n") -> str:
    fields = indent(f"{workspace}\n", "    ", lambda line: not line.startswith(SECRET))
    return f"{TYPE}\nattributes:\n  workspace:\n{fields}{more}"


@pytest.mark.parametrize("fields", BLOCKS.values(), ids=BLOCKS)
def test_secret_is_not_shown_by_errors_beside_it_and_below(fields: str, project: Project) -> None:
    url = "" if "base_url" in fields else "base_url: https://h\n"
    beside = yaml_of(f"{url}{fields}\nproject_code: '{{{{ env.NOT_SET }}}}'", more="")
    for yaml in (beside, yaml_of(f"{url}{fields}")):
        shown = shown_by(project, yaml)
        assert re.search(r"defs\.yaml:\d+\b", shown)
        assert SECRET not in shown


def test_other_lines_are_shown(project: Project) -> None:
    workspace = f"base_url: https://h\naccess_token: {SECRET}"
    shown = shown_by(project, yaml_of(workspace, more="  completion_sensor: false\n  resource_key: 'a b'\n"))
    assert re.search(r"defs.yaml:7 - attributes.resource_key: 'a b' cannot be a resource key", shown)
    assert re.findall(r"^ *(\d+) \|", shown, re.MULTILINE) == ["1", "2", "6", "7"]
    assert re.search(r"7 \|   resource_key: 'a b'\n +\| +\^ 'a b' cannot be", shown)


def test_error_in_workspace_shows_its_line_only_as_a_number(project: Project) -> None:
    shown = shown_by(project, yaml_of("base_url: https://h\nproject_code: '{{ env.NOT_SET }}'", more=""))
    assert re.search(r"defs.yaml:5 - attributes.workspace.project_code: the environment variable NOT_SET is", shown)
    assert " | " not in shown


@pytest.mark.parametrize(
    "yaml",
    [
        # The line of the error is also that of the secret.
        f"{TYPE}\nattributes: {{workspace: {{base_url: https://h, access_token: {SECRET}}}, resource_key: a b}}\n",
        f"{TYPE}\nattributes: {{workspace: {{base_url: https://h, access_token:\n  {SECRET}}}, resource_key: a b}}\n",
        # The secret is where the anchor is.
        f"{TYPE}\nattributes:\n  resource_key: &key\n    a {SECRET}\n  workspace:\n"
        "    base_url: https://h\n    access_token: *key\n",
        f"{TYPE}\nattributes:\n  translation: {{tags: &all {{access_token: {SECRET}}}}}\n"
        "  resource_key: a b\n  workspace:\n    <<: *all\n    base_url: https://h\n",
        # The field is there twice, or commented out.
        f"{TYPE}\nattributes:\n  workspace: {{access_token: {SECRET}}}\n"
        "  resource_key: a b\n  workspace: {base_url: https://h, access_token: a}\n",
        f"{TYPE}\nattributes:\n  resource_key: a b\n  # access_token: {SECRET}\n"
        "  workspace: {base_url: https://h, access_token: a}\n",
        # Another line break of YAML.
        f"{TYPE}\nattributes:\n  workspace: {{base_url: https://h, access_token: a\x85b,\n"
        f"    project_code: {SECRET}}}\n  resource_key: a b\n",
    ],
)
def test_secret_elsewhere_is_not_shown(yaml: str, project: Project) -> None:
    shown = shown_by(project, yaml)
    assert "cannot be a resource key" in shown
    assert SECRET not in re.sub(r"'a s3cr3t' cannot|\^ 'a s3cr3t'", "", shown)


def test_other_documents_of_the_file_are_not_shown(project: Project) -> None:
    other = yaml_of(f"base_url: https://h\naccess_token: {SECRET}", more="")
    own = yaml_of("base_url: https://h", more="  resource_key: 'a b'\n")
    for yaml in (f"{other}---\n{own}", f"{own}---\n{other}", f"# {SECRET}\n---\n{own}---\n# {SECRET}\n{other}"):
        shown = shown_by(project, yaml)
        assert "| " in shown
        assert SECRET not in shown
