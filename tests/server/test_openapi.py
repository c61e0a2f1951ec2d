"""The API does what its description says, whatever is sent: schemathesis makes up requests from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fake_engine import FakeEngine
from masklet.api import Model
from masklet.server.app import create_app
from masklet.server.settings import Limits
from masklet.server.settings import Settings as ServerSettings

EXAMPLES = 3
"""Requests an operation: enough to see that it answers as described; more by hand, with --hypothesis-seed."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data: Path = tmp_path_factory.mktemp("data")
    app = create_app(ServerSettings(data=data, limits=Limits(probe_seconds=5)), Model(FakeEngine()))
    yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    app.state.studio.close()


schema = schemathesis.pytest.from_fixture("api")


@schema.exclude(path_regex="/live|/media$|/assets$|/import$").parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: Any) -> None:
    case.headers = {**(case.headers or {}), "X-Masklet": "1", "Host": "127.0.0.1"}
    case.call_and_validate(
        base_url="http://127.0.0.1",
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )


def test_every_operation_is_described(api: Any) -> None:
    document = api.raw_schema
    operations = [(path, method, about) for path, own in document["paths"].items() for method, about in own.items()]
    assert len(operations) > 40
    for path, method, about in operations:
        assert about["responses"], (path, method)
        assert about.get("tags"), (path, method)
