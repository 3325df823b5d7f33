"""Templates in YAML: variables that are not set, defaults, and what is not a template."""

import pytest

from tests.components.checking import on_load
from tests.components.projects import Project

SUITE = "f0e1d2c3-0000-4000-8000-000000000001"
WORKSPACE = '{base_url: "{{ env.TESTGEN_URL }}", access_token: "{{ env.TESTGEN_TOKEN }}"}'


def write(project: Project, *, description: str = "Orders", workspace: str = WORKSPACE, more: str = "") -> None:
    project.write(
        f"""
        type: dagster_runs.TestGenComponent
        attributes:
          workspace: {workspace}
          suites:
            - test_suite_id: {SUITE}
              key: quality/orders
              description: "{description}"
        {more}
        """[1:]
    )


@pytest.mark.parametrize(
    "description",
    [
        "Orders of {{ env.NOT_SET }}",
        "Orders or refunds of {{ env.NOT_SET }}",
        "{{ env.NOT_SET }}, the default",
        "{{ env('NAME', 'a') or 'b' }} {{ env.NOT_SET }}",
        "{{ env.NOT_SET ~ ' or else' }}",
        "{{ 'it\\\\'s the default' ~ env.NOT_SET }}",
    ],
)
def test_unset_variable_is_an_error_whatever_the_text_says(description: str, project: Project) -> None:
    write(project, description=description)
    [error] = on_load(project)
    assert error.startswith("7 suites.0.description: the environment variable NOT_SET is not set")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ env('NOT_SET', 'ours') }}", "ours"),
        ("{{ env.NOT_SET or 'ours' }}", "ours"),
        ("or else", "or else"),
        ("a{# {{ env.NOT_SET }} #}b", "ab"),
        ("{{ 'env.NOT_SET' }}", "env.NOT_SET"),
    ],
)
def test_default(template: str, expected: str, project: Project) -> None:
    write(project, description=template)
    (spec,) = project.load().resolve_all_asset_specs()
    assert spec.description == expected


def test_template_as_the_name_of_a_table_is_refused(project: Project) -> None:
    write(project, more="      checks: {tables: {'{{ env.TESTGEN_TOKEN }}': stg_orders}}")
    [error] = on_load(project)
    assert "templates work only in values" in error


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://testgen.example.com", "uses plain http"),
        ("https://user:hunter22@testgen.example.com", "must not contain credentials"),
        ("testgen.example.com", "not an absolute http(s) URL"),
        ("testgen.example.com?token=hunter22", "not an absolute http(s) URL"),
        ("https://testgen.example.com?token=hunter22", "must not contain credentials"),
    ],
)
def test_literal_url_is_checked_on_loading(url: str, problem: str, project: Project) -> None:
    write(project, workspace=f'{{base_url: "{url}", access_token: "{{{{ env.TESTGEN_TOKEN }}}}"}}')
    [error] = on_load(project)
    assert error.startswith("3 workspace.base_url: ")
    assert problem in error
    assert "hunter22" not in error
