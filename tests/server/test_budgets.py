"""Budgets of requests: what exceeds one is refused before it is read, parsed or routed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn

from masklet.api import Model
from masklet.errors import ConfigError
from masklet.server.app import create_app
from masklet.server.budgets import MASKS, UPLOADS
from masklet.server.openapi import api_document
from masklet.server.routes import annotate
from masklet.server.security import network_of
from masklet.server.settings import API_BASE, Limits, Settings
from tests.fake_engine import FakeEngine
from tests.server.conftest import Open, Page, png
from tests.waiting import PATIENCE_S

TOKEN = "correct horse battery staple"


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# Bodies.


@pytest.mark.parametrize("is_announced", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/projects", "max_json_bytes"),
        ("POST", "/media/x/track", "max_json_bytes"),
        ("GET", "/projects", "max_json_bytes"),
        ("DELETE", "/media/x", "max_json_bytes"),
        ("POST", "/nothing", "max_json_bytes"),
        ("PUT", "/media/x/frames/0/objects/1/mask", "max_mask_bytes"),
        ("PUT", "/media/x/frames/0/objects/1/prompt", "max_mask_bytes"),
        ("POST", "/login", "max_login_bytes"),
    ],
)
def test_bodies_are_bounded_before_routing(page: Page, method: str, path: str, limit: str, is_announced: bool) -> None:
    most = getattr(Limits(), limit)

    def chunks(size: int) -> Iterator[bytes]:
        for start in range(0, size, 2**16):
            yield b" " * min(2**16, size - start)

    for size, is_too_large in ((most, False), (most + 1, True)):
        body = b" " * size if is_announced else chunks(size)
        answer = page.request(method, API_BASE + path, content=body, headers={"content-type": "application/json"})
        assert (answer.status_code == 413) is is_too_large, answer.text
        if is_too_large:
            assert f"{most:,} bytes" in answer.json()["error"]["message"]


def test_a_stranger_is_refused_before_the_body_is_read(open_studio: Open) -> None:
    page = open_studio(needs_login=True)
    num_read = 0

    def body() -> Iterator[bytes]:
        nonlocal num_read
        for _ in range(1000):
            num_read += 1
            yield b"[]," * 20_000

    for path in ("/projects", "/projects/x/media", "/media/x/import", "/nothing"):
        answer = page.post(API_BASE + path, content=body(), headers={"content-type": "application/json"})
        assert refusal(answer) == (401, "login")
    assert refusal(page.post(f"{API_BASE}/login", content=body())) == (413, "too_large")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"name": ' + b"9" * 100_000 + b"}", b'{"name": "\\ud800"}', b"\xff"]
)
def test_bodies_that_parsers_break_on_are_refused(page: Page, body: bytes) -> None:
    answer = page.post(f"{API_BASE}/projects", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


def test_every_upload_and_mask_has_its_budget() -> None:
    for path, operations in api_document()["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            is_upload = "multipart/form-data" in content
            assert is_upload == (method == "post" and UPLOADS.fullmatch(path) is not None), path
            schema = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
            if schema in ("MaskRequest", "PromptRequest"):
                assert MASKS.fullmatch(path), path


# Addresses, hosts and origins.


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/" + "a" * 5000, 200),
        ("/" + "a" * 9000, 414),
        (f"{API_BASE}/projects?x=" + "a" * 9000, 414),
        (f"{API_BASE}/media/" + "a" * 5000, 422),
        (f"{API_BASE}/" + "a" * 5000, 404),
        ("/" + "%00" * 2000, 200),
        ("/" + "a/" * 3000, 200),
    ],
)
def test_long_addresses(page: Page, path: str, status: int) -> None:
    answer = page.get(path)
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 20_000


@pytest.mark.parametrize(
    "host",
    [
        *("[evil", "[evil]", "]", "[::1", "[::1]evil", "127.0.0.1:x", "127.0.0.1:", "a@127.0.0.1", "127.0.0.1/x", "é"),
        *("a b", "127.0.0.1\t", "[::ffff:10.0.0.1]", "x" * 3000),
    ],
)
def test_malformed_hosts_are_refused(page: Page, host: str) -> None:
    for path in ("/", f"{API_BASE}/projects"):
        answer = page.get(path, headers={"host": host.encode("latin-1")})
        assert refusal(answer) == (403, "wrong_host")


@pytest.mark.parametrize(
    "origin", ["http://[evil", "[", "http://", "://127.0.0.1:8100.evil", "http://a@127.0.0.1:8100"]
)
def test_malformed_origins_are_refused(page: Page, origin: str) -> None:
    answer = page.post(f"{API_BASE}/projects", json={"name": "x"}, headers={"origin": origin})
    assert refusal(answer) == (403, "wrong_origin")


# Uploads.


def part(header: bytes) -> bytes:
    return b"--x\r\n" + header + b"\r\n\r\nabc\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"", 415),
        ("multipart/form-data; boundary=", b"", 415),
        ('multipart/form-data; boundary=""', b"", 415),
        ("multipart/form-data; boundary=" + "x" * 300, b"--" + b"x" * 300, 400),
        ("multipart/form-data; boundary=\xe9", b"--\xe9\r\n", 400),
        ("multipart/form-data; boundary=x; boundary*=utf-8''y", b"--y\r\n", 400),
        ('multipart/form-data; boundary="x', b"--x\r\n", 400),
        ("multipart/mixed; boundary=x", part(b"a: b"), 415),
        (
            "multipart/form-data; boundary=x",
            part(b'Content-Disposition: form-data; name="' + b"a" * 100_000 + b'"'),
            400,
        ),
        ("multipart/form-data; boundary=x", part(b"\r\n".join(b"a%d: b" % number for number in range(5000))), 400),
        ("multipart/form-data; boundary=x", part(b"no colon"), 400),
        (
            "multipart/form-data; boundary=x",
            b"".join(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' for _ in range(200)) + b"--x--\r\n",
            413,
        ),
        ("multipart/form-data; boundary=x", part(b'Content-Disposition: form-data; filename="a.png"; name="f'), 422),
    ],
)
def test_malformed_multipart(page: Page, tmp_path: Path, content_type: str, body: bytes, status: int) -> None:
    project = page.new_project()
    headers = {"content-type": content_type.encode("latin-1")}
    answer = page.post(f"{API_BASE}/projects/{project}/media", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert list((tmp_path / "data" / "tmp").iterdir()) == []


def test_the_number_of_files_is_bounded(open_studio: Open) -> None:
    page = open_studio(limits=Limits(max_files=2, import_files=1))
    clip = page.new_clip(2)
    files = [("files", (f"{number}.png", png(number))) for number in range(3)]
    for path, most in ((f"/projects/{page.new_project()}/media", 2), (f"/media/{clip}/import", 1)):
        answer = page.post(API_BASE + path, files=files)
        assert refusal(answer) == (413, "too_many")
        assert f"{most} files" in answer.json()["error"]["message"]


@pytest.mark.parametrize("limits", [Limits(import_bytes=2000), Limits(import_unpacked_bytes=20_000)])
def test_imports_have_their_own_budget(open_studio: Open, limits: Limits) -> None:
    page = open_studio(limits=limits)
    clip = page.new_clip(2)
    files = [("files", (f"{number}.json", b" " * 15_000)) for number in range(2)]
    answer = page.post(f"{API_BASE}/media/{clip}/import", files=files)
    assert refusal(answer) in ((413, "too_large"), (422, "data")), answer.text
    assert "large" in answer.json()["error"]["message"]


# Users.


def test_one_user_does_not_take_all_threads(open_studio: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_studio(needs_login=True, limits=Limits(requests_per_user=2))
    for name in ("ann", "bob"):
        page.app.state.studio.accounts.set_token(name, f"{name} {TOKEN}")  # type: ignore[attr-defined]
    ann, bob = ({"authorization": f"Bearer {name} {TOKEN}"} for name in ("ann", "bob"))
    entered, may_go_on = threading.Semaphore(0), threading.Event()
    lists = annotate.objects_info

    def wait(*args: Any) -> Any:
        entered.release()
        assert may_go_on.wait(PATIENCE_S)
        return lists(*args)

    project = page.post(f"{API_BASE}/projects", json={"name": "x"}, headers=ann).json()["id"]
    added = page.post(f"{API_BASE}/projects/{project}/media", files={"files": ("a.png", png(1))}, headers=ann).json()
    path = f"{API_BASE}/media/{added['media'][0]['id']}/objects"
    monkeypatch.setattr(annotate, "objects_info", wait)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(page.get, path, headers=ann) for _ in range(2)]
        for _ in running:
            assert entered.acquire(timeout=PATIENCE_S)
        third = page.get(f"{API_BASE}/projects", headers=ann)
        assert refusal(third) == (429, "too_many_requests")
        assert third.headers["retry-after"] == "1"
        assert page.get(f"{API_BASE}/projects", headers=bob).status_code == 200
        may_go_on.set()
        assert [answer.result().status_code for answer in running] == [200, 200]
    assert page.get(f"{API_BASE}/projects", headers=ann).status_code == 200


def test_many_guesses_at_once_are_not_more_than_one_by_one(open_studio: Open) -> None:
    page = open_studio(needs_login=True, limits=Limits(logins_per_minute=5))
    page.app.state.studio.accounts.set_token("ann", TOKEN)  # type: ignore[attr-defined]

    def guess(number: int) -> int:
        if number % 2:
            return page.post(f"{API_BASE}/login", json={"token": f"guess {number}"}).status_code
        return page.get(f"{API_BASE}/projects", headers={"authorization": f"Bearer guess {number}"}).status_code

    with ThreadPoolExecutor(30) as pool:
        codes = list(pool.map(guess, range(30)))
    assert sorted(codes) == [401] * 5 + [429] * 25


def test_right_tokens_are_not_counted(open_studio: Open) -> None:
    page = open_studio(needs_login=True, limits=Limits(logins_per_minute=1))
    accounts = page.app.state.studio.accounts  # type: ignore[attr-defined]
    for number in range(3):
        accounts.set_token("ann", f"{TOKEN} {number}")  # so that no token has been seen before
        assert page.post(f"{API_BASE}/login", json={"token": f"{TOKEN} {number}"}).status_code == 204


@pytest.mark.parametrize(
    ("address", "network"),
    [("10.0.0.1", "10.0.0.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("::1", "::/64"), ("?", "?")],
)
def test_addresses_of_one_customer_count_together(address: str, network: str) -> None:
    assert network_of(address) == network


# Proxies: with a real server, since uvicorn reads the headers.


@pytest.mark.parametrize(("proxies", "is_believed"), [((), False), (("127.0.0.1",), True), (("10.0.0.0/8",), False)])
def test_only_named_proxies_tell_the_client(
    open_studio: Open, monkeypatch: pytest.MonkeyPatch, proxies: tuple[str, ...], is_believed: bool
) -> None:
    from masklet.server import run

    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own setting is not asked
    page = open_studio(needs_login=True, limits=Limits(logins_per_minute=2), proxies=frozenset(proxies))
    configs: list[uvicorn.Config] = []

    class Recorded(run._Server):
        def run(self, sockets: list[socket.socket] | None = None) -> None:
            configs.append(self.config)

    monkeypatch.setattr(run, "_Server", Recorded)
    with socket.socket() as sock:
        run.serve(page.app, sock, log_level="error")  # type: ignore[arg-type]
    (config,) = configs
    config.load()
    page.app = config.loaded_app  # type: ignore[assignment]
    page._transport.app = config.loaded_app  # type: ignore[attr-defined]
    page._transport.client = ("127.0.0.1", 5000)  # type: ignore[attr-defined]
    codes = [
        page.get(
            f"{API_BASE}/projects",
            headers={"authorization": f"Bearer guess {number}", "x-forwarded-for": f"10.1.1.{number}"},
        ).status_code
        for number in range(4)
    ]
    assert codes == ([401] * 4 if is_believed else [401, 401, 429, 429])


@pytest.mark.parametrize("proxy", ["*", "proxy.example", "10.0.0.1/8", ""])
def test_a_proxy_is_an_address_or_a_network(tmp_path: Path, proxy: str) -> None:
    with pytest.raises(ConfigError, match="proxy must be an address"):
        Settings(data=tmp_path, proxies=frozenset({proxy}))


@pytest.mark.parametrize("name", Limits.__slots__)
def test_every_budget_must_be_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: 0})


def test_the_guide_lists_every_budget() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "limits.md").read_text(encoding="utf-8")
    assert [name for name in Limits.__slots__ if f"`{name}`" not in guide] == []


def test_answers_with_masks_are_bounded(open_studio: Open) -> None:
    page = open_studio(limits=Limits(answer_masks=8))
    clip = page.new_clip(6)
    for _ in range(2):
        page.click(clip, page.new_object(clip))
    page.track(clip)
    answer = page.get(f"/api/v1/media/{clip}/masks")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "too_many_masks"
    assert "ask for fewer frames" in answer.json()["error"]["message"]
    assert page.get(f"/api/v1/media/{clip}/masks?before=true").status_code == 422
    assert len(page.get(f"/api/v1/media/{clip}/masks?stop=3").json()["frames"]) == 3
    assert page.get(f"/api/v1/media/{clip}/masks?objects=1").status_code == 200
    page = open_studio(limits=Limits(answer_mask_bytes=1))
    clip = page.new_clip(1)
    page.click(clip, page.new_object(clip))
    assert page.get(f"/api/v1/media/{clip}/masks").status_code == 422


def test_a_body_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path / "data", limits=Limits(body_seconds=0.05)), Model(FakeEngine()))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8100"), (b"x-masklet", b"1"), (b"content-type", b"application/json")]
    path = f"{API_BASE}/projects"
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": "POST"},
        **{"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers},
        **{"client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8100)},
    }
    anyio.run(app, scope, receive, send)
    assert sent[0]["status"] == 408
    assert b"did not arrive" in sent[1]["body"]


def test_a_login_ends_after_its_days(open_studio: Open) -> None:
    page = open_studio(needs_login=True, limits=Limits(login_days=1e-9))
    page.app.state.studio.accounts.set_token("ann", TOKEN)  # type: ignore[attr-defined]
    assert page.post(f"{API_BASE}/login", json={"token": TOKEN}).status_code == 204
    assert page.get(f"{API_BASE}/projects").status_code == 401
