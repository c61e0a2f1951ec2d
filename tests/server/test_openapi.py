"""The API behaves as described, for any request: schemathesis generates requests from the description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
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

from masklet.api import Model
from masklet.server.app import create_app
from masklet.server.openapi import api_document, main
from masklet.server.processes import LimitedProcesses
from masklet.server.settings import Limits
from masklet.server.settings import Settings as ServerSettings
from tests.fake_engine import FakeEngine
from tests.server.conftest import OWN_PAGE, Page, png, run_here

EXAMPLES = 3
"""Requests per operation, always the same ones: enough to check its answers. Raise it by hand for more."""


@dataclass(frozen=True)
class Studio:
    """The API, with objects that generated requests can refer to."""

    schema: Any
    page: Page

    def names(self) -> dict[str, Any]:
        """A project with a clip of which an object has been tracked, new for whoever may delete it."""
        project = self.page.new_project()
        clip = self.page.new_clip(3, project)
        one = self.page.new_object(clip)
        self.page.click(clip, one)
        job = self.page.post(f"/api/v1/media/{clip}/track", json={}).json()["id"]
        self.page.events(job)
        asset = self.page.post(f"/api/v1/projects/{project}/assets", files={"file": ("a.png", png(1))}).json()["id"]
        class_id = self.page.post(f"/api/v1/projects/{project}/classes", json={"name": "duck"}).json()["id"]
        return {
            "pid": project,
            "cid": class_id,
            "mid": clip,
            "oid": one,
            "i": 1,
            "jid": job,
            "aid": asset,
            "file": "decode.onnx",
        }


def kept_open(app: Any) -> Any:
    """The app, which keeps running for clients that start and stop it around every request."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for part in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{part}.complete"})

    return asgi


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    data: Path = tmp_path_factory.mktemp("data")
    own = ServerSettings(data=data, allowed_hosts=frozenset({"testserver"}), limits=Limits(jobs_per_user=1000))
    app = create_app(own, Model(FakeEngine()))
    with pytest.MonkeyPatch.context() as patch, Page(app, headers=OWN_PAGE) as page:
        patch.setattr(LimitedProcesses, "run", run_here)
        yield Studio(schemathesis.openapi.from_asgi("/api/v1/openapi.json", kept_open(app)), page)


@pytest.mark.parametrize("is_real", [False, True], ids=["made-up names", "real names"])
def test_answers_are_as_described(studio: Studio, is_real: bool) -> None:
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    shared = studio.names()
    reached = set()
    for operation in [result.ok() for result in studio.schema.get_all_operations()]:
        takes_names = "{" in operation.path
        if is_real and not takes_names:
            continue

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
            if is_real:
                names = studio.names() if case.method.lower() == "delete" else shared
                case.path_parameters = {name: names[name] for name in case.path_parameters}
            if case.call_and_validate(checks=checks).status_code != 404:
                reached.add(case.operation.label)

        answers()
    if is_real:
        assert len(reached) > 35, "most requests did not reach what they are about"


def test_every_operation_is_described(studio: Studio) -> None:
    document = studio.schema.raw_schema
    operations = [(path, method, about) for path, own in document["paths"].items() for method, about in own.items()]
    assert len(operations) > 40
    for path, method, about in operations:
        assert about["responses"], (path, method)
        assert about.get("tags"), (path, method)


def test_the_document_needs_no_server_and_is_the_same_every_time(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    assert main([str(file)]) == 0
    written = file.read_bytes()
    assert main([str(file)]) == 0
    assert file.read_bytes() == written
    assert json.loads(written) == studio.schema.raw_schema
    assert main(["--help", "x"]) == 2


def test_types_can_be_generated_from_it() -> None:
    """Each JSON answer has a named schema with all of its fields."""
    document = api_document()
    named = document["components"]["schemas"]
    names = []
    for path, own in document["paths"].items():
        for method, about in own.items():
            names.append(about["operationId"])
            for status, answer in about["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    if kind == "application/json":
                        reference = content["schema"].get("$ref", "")
                        assert reference.removeprefix("#/components/schemas/") in named, (path, method, status)
    assert len(set(names)) == len(names)
    asked = ("Request", "Create", "Change", "LocalDecode")
    for name, about in named.items():
        if not name.endswith(asked):
            assert set(about.get("required", ())) == set(about["properties"]), name
