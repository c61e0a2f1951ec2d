"""Checks of requests, and the refusal of bad ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.websockets import WebSocketDisconnect

from masklet.errors import ConfigError
from masklet.server.settings import Limits
from masklet.server.uploads.ingest import shown_name
from masklet.server.uploads.probe import safe_suffix
from tests.server.conftest import LIVE, HeldEngine, Open, Page, png
from tests.waiting import PATIENCE_S, wait_until

TOKEN = "correct horse battery staple"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Without a login: this machine only.


@pytest.mark.parametrize("host", ["127.0.0.1:8100", "localhost:8100", "[::1]:8100", "127.0.0.53"])
def test_own_host_names_are_accepted(page: Page, host: str) -> None:
    assert page.get("/api/v1/me", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7:8100", ""])
def test_other_host_names_are_refused(page: Page, host: str) -> None:
    answer = page.get("/api/v1/projects", headers={"host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_host")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"origin": "http://127.0.0.1:8100"}, 201),
        ({"x-masklet": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_only_the_own_page_can_change_something(page: Page, headers: dict[str, str], status: int) -> None:
    assert page.post("/api/v1/projects", json={"name": "x"}, headers=headers).status_code == status


def test_another_sites_page_cannot_open_a_live_stream(page: Page) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        page.websocket_connect(LIVE, headers={"origin": "http://evil.example"}),
    ):
        pass


def test_answers_tell_browsers_to_trust_this_server_only(page: Page) -> None:
    for path in ("/", "/api/v1/me", "/api/v1/nothing", "/healthz"):
        headers = page.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"].split("style-src")[0]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/app.py", "/assets/../../app.py", "/a%00b"]
)
def test_the_page_has_no_way_out_of_its_folder(page: Page, path: str) -> None:
    answer = page.get(path)
    assert b"root:" not in answer.content
    assert b"create_app" not in answer.content


def test_graphs_are_four_files_and_no_others(page: Page) -> None:
    assert page.get("/api/v1/graphs/..%2fapp.py").status_code == 404
    assert page.get("/api/v1/graphs/encode_image.onnx").status_code == 404  # this engine has no graphs


# With a login.


def test_requests_without_a_token_are_refused(open_studio: Open) -> None:
    page = open_studio(needs_login=True, host="0.0.0.0")
    me = page.get("/api/v1/me").json()
    assert (me["user"], me["needs_login"]) == (None, True)
    for method, path in (("GET", "/api/v1/projects"), ("POST", "/api/v1/projects"), ("GET", "/metrics")):
        answer = page.request(method, path, json={"name": "x"} if method == "POST" else None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "login")
    assert page.get("/api/v1/projects", headers=bearer("wrong")).status_code == 401
    assert page.get("/healthz").status_code == 200
    with pytest.raises(WebSocketDisconnect), page.websocket_connect(LIVE):
        pass


def test_a_token_is_stored_as_a_hash_and_gives_access_to_its_users_data(open_studio: Open, tmp_path: Path) -> None:
    page = open_studio(needs_login=True)
    accounts = page.app.state.studio.accounts  # type: ignore[attr-defined]
    accounts.set_token("ann", TOKEN)
    accounts.set_token("bob", TOKEN[::-1])
    ann, bob = bearer(TOKEN), bearer(TOKEN[::-1])
    assert page.get("/api/v1/me", headers=ann).json()["user"] == {"name": "ann"}
    project = page.post("/api/v1/projects", json={"name": "Ann's"}, headers=ann).json()["id"]
    files = {"files": ("a.png", png(1))}
    medium = page.post(f"/api/v1/projects/{project}/media", files=files, headers=ann).json()["media"][0]["id"]
    assert page.get("/api/v1/projects", headers=bob).json() == {"projects": []}
    for path in (
        f"/projects/{project}",
        f"/projects/{project}/media",
        f"/media/{medium}",
        f"/media/{medium}/frames/0.jpg",
        f"/media/{medium}/masks",
    ):
        assert page.get(f"/api/v1{path}", headers=ann).status_code == 200
        assert page.get(f"/api/v1{path}", headers=bob).status_code == 404
    for method, path in (("DELETE", f"/projects/{project}"), ("POST", f"/media/{medium}/track")):
        assert page.request(method, f"/api/v1{path}", headers=bob, json={}).status_code == 404
    for file in (tmp_path / "data").glob("studio.db*"):
        assert TOKEN.encode() not in file.read_bytes()
    accounts.revoke("ann")
    assert page.get("/api/v1/projects", headers=ann).status_code == 401
    with pytest.raises(ConfigError, match="16 characters"):
        accounts.set_token("eve", "1234")


def test_a_cookie_is_strict_and_ends_with_the_logout(open_studio: Open) -> None:
    page = open_studio(needs_login=True, is_https=True)
    page.app.state.studio.accounts.set_token("ann", TOKEN)  # type: ignore[attr-defined]
    answer = page.post("/api/v1/login", json={"token": TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" in cookie
    value = answer.headers["set-cookie"].split(";")[0]
    assert page.get("/api/v1/projects", headers={"cookie": value}).status_code == 200
    assert page.post("/api/v1/projects", json={"name": "x"}, headers={"cookie": value}).status_code == 201
    no_header = page.post("/api/v1/projects", json={"name": "x"}, headers={"cookie": value, "x-masklet": ""})
    assert no_header.status_code == 403
    page.post("/api/v1/logout", headers={"cookie": value})
    assert page.get("/api/v1/projects", headers={"cookie": value}).status_code == 401


def test_repeated_wrong_tokens_are_delayed(open_studio: Open) -> None:
    page = open_studio(needs_login=True)
    page.app.state.studio.accounts.set_token("ann", TOKEN)  # type: ignore[attr-defined]
    most = Limits().logins_per_minute
    codes = [page.post("/api/v1/login", json={"token": f"guess {n}"}).status_code for n in range(most + 1)]
    assert codes == [401] * most + [429]
    assert page.post("/api/v1/login", json={"token": TOKEN}).headers["retry-after"] == "60"


# Uploads.


def test_upload_limits_apply_while_receiving(open_studio: Open, tmp_path: Path) -> None:
    page = open_studio(limits=Limits(max_bytes=5000))
    project = page.new_project()

    def body() -> Iterator[bytes]:  # no Content-Length: the size is unknown
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(100):
            yield b"0" * 1000

    answer = page.post(
        f"/api/v1/projects/{project}/media", content=body(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert "5.0 KB" in answer.json()["error"]["message"]
    assert list((tmp_path / "data" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_pixels=40), "8 x 6 = 48 million pixels"),
        (Limits(max_frames=2), "3 frames, and at most 2"),
        (Limits(max_seconds=0.1), "seconds"),
    ],
)
def test_rejected_files_name_the_limit(open_studio: Open, limits: Limits, reason: str) -> None:
    page = open_studio(limits=limits)
    files = [("files", (f"{index}.png", png(index))) for index in range(3)]
    answer = page.post(f"/api/v1/projects/{page.new_project()}/media?as=sequence", files=files)
    assert answer.status_code == 422
    assert reason.replace(" million", "") in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"nothing", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nContent-Disposition: form-data; name=files", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422),
    ],
)
def test_a_request_that_is_not_an_upload(page: Page, body: bytes, kind: str, status: int) -> None:
    where = f"/api/v1/projects/{page.new_project()}/media"
    assert page.post(where, content=body, headers={"content-type": kind}).status_code == status


def test_names_are_shown_and_never_paths(page: Page, tmp_path: Path) -> None:
    project = page.new_project()
    name = "../../../" + "e\u202evil\x00" * 50 + ".png"
    medium = page.post(f"/api/v1/projects/{project}/media", files={"files": (name, png(1))}).json()["media"][0]
    assert len(medium["name"]) <= 200
    assert ".." not in medium["name"].split("/")
    assert "\u202e" not in medium["name"]
    kept = [path.relative_to(tmp_path / "data").parts for path in (tmp_path / "data" / "media").rglob("*.png")]
    assert kept == [("media", medium["id"], "source.png")]
    assert shown_name("a/b/../c\\d.png") == "a/b/c/d.png"
    assert safe_suffix("clip.mp4.exe") == ""
    assert safe_suffix("scan.NII.GZ") == ".nii.gz"


# Jobs.


def test_the_queue_is_bounded(open_studio: Open) -> None:
    engine = HeldEngine(held_at=5)
    page = open_studio(engine=engine, limits=Limits(jobs_per_user=3, queued_jobs=1))
    clips = [page.new_clip(8) for _ in range(4)]
    for clip in clips:
        page.click(clip, page.new_object(clip))
    queue = page.app.state.studio.jobs  # type: ignore[attr-defined]
    jobs = []
    for clip in clips[:2]:
        jobs.append(page.post(f"/api/v1/media/{clip}/track", json={}).json())
        # Only one job may wait, so the next one is refused until a worker has taken this one.
        wait_until(lambda: queue.num_queued == 0, "a worker that takes the job")
    assert engine.is_waiting.wait(PATIENCE_S)
    again = page.post(f"/api/v1/media/{clips[0]}/track", json={})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "tracking")
    jobs.append(page.post(f"/api/v1/media/{clips[2]}/track", json={}).json())
    full = page.post(f"/api/v1/media/{clips[3]}/track", json={})
    assert full.status_code == 429, full.text
    assert int(full.headers["retry-after"]) > 0
    assert page.post(f"/api/v1/jobs/{jobs[2]['id']}/cancel").json()["state"] == "cancelled"
    # Meanwhile the others wait for nothing: reading, undoing elsewhere, stopping.
    assert page.get(f"/api/v1/media/{clips[0]}/masks").status_code == 200
    assert page.post(f"/api/v1/media/{clips[0]}/undo").status_code == 409
    page.post(f"/api/v1/jobs/{jobs[0]['id']}/cancel")
    engine.go_on.set()
    ends = [page.events(job["id"])[-1][0] for job in jobs]
    assert ends[0] in ("cancelled", "done")
    assert ends[1:] == ["done", "cancelled"]
    assert page.get("/metrics").text.count("masklet_jobs_ended{") >= 2


def test_a_stopping_server_finishes_the_current_frame(open_studio: Open) -> None:
    engine = HeldEngine(held_at=5)
    page = open_studio(engine=engine)
    clip = page.new_clip(40)
    page.click(clip, page.new_object(clip))
    job_id = page.post(f"/api/v1/media/{clip}/track", json={}).json()["id"]
    assert engine.is_waiting.wait(PATIENCE_S)
    tracking = page.app.state.studio.jobs.find(job_id)  # type: ignore[attr-defined]

    def finish_the_frame_once_the_job_is_to_stop() -> None:
        assert tracking.cancelled.wait(PATIENCE_S)
        engine.go_on.set()

    thread = threading.Thread(target=finish_the_frame_once_the_job_is_to_stop)
    thread.start()
    page = open_studio()  # closes the other one first
    thread.join()
    job = page.get("/api/v1/jobs").json()["jobs"][0]
    assert job["state"] == "failed"
    assert "the server was stopped" in job["message"]
    status = page.timeline(clip)["objects"][0]["status"]
    assert status.startswith("pppp")
    done = [name for name, _ in page.track(clip, start=len(status.rstrip(".")))]
    assert done[-1] == "done"
    assert page.timeline(clip)["objects"][0]["status"] == "p" * 40


def test_jobs_of_other_users_are_hidden(open_studio: Open) -> None:
    page = open_studio()
    clip = page.new_clip(3)
    page.click(clip, page.new_object(clip))
    job = page.post(f"/api/v1/media/{clip}/track", json={}).json()["id"]
    page.events(job)
    page = open_studio(needs_login=True)
    page.app.state.studio.accounts.set_token("eve", TOKEN)  # type: ignore[attr-defined]
    for method, path in (("GET", ""), ("GET", "/events"), ("GET", "/result"), ("POST", "/cancel")):
        assert page.request(method, f"/api/v1/jobs/{job}{path}", headers=bearer(TOKEN)).status_code == 404
