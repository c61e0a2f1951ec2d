"""The API does what its description says, whatever is sent: schemathesis makes up requests from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fake_engine import FakeEngine
from masklet.api import Model
from masklet.server.app import create_app
from masklet.server.settings import Settings as ServerSettings

EXAMPLES = 3
"""Requests an operation, always the same ones: enough to see that it answers as described. More by hand."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data: Path = tmp_path_factory.mktemp("data")
    own = ServerSettings(data=data, allowed_hosts=frozenset({"testserver"}))
    app = create_app(own, Model(FakeEngine()))
    yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    app.state.studio.close()


def operations(api: Any) -> list[Any]:
    """All that take no files and are no sockets."""
    found = [result.ok() for result in api.get_all_operations()]
    return [one for one in found if "multipart/form-data" not in json.dumps(one.definition.raw)]


def test_answers_are_as_described(api: Any) -> None:
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    for operation in operations(api):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answers(case: Any) -> None:
            case.headers = {**(case.headers or {}), "X-Masklet": "1"}
            case.call_and_validate(checks=checks)

        answers()


def test_every_operation_is_described(api: Any) -> None:
    document = api.raw_schema
    operations = [(path, method, about) for path, own in document["paths"].items() for method, about in own.items()]
    assert len(operations) > 40
    for path, method, about in operations:
        assert about["responses"], (path, method)
        assert about.get("tags"), (path, method)
