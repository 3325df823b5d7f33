"""The environment in which the pages are tried."""

from collections.abc import Mapping

import pytest

from tests.docs_project.environment import create_environment


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment with the built wheel, and the variables that activate it."""
    return create_environment(tmp_path_factory.mktemp("installed"))
