"""Who you are, projects, and the images and videos in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from masklet._version import __version__
from masklet.engine.hub import EMBEDDED
from masklet.media.source import natural_key
from masklet.server import database, schemas
from masklet.server.annotation.workspace import COLORS
from masklet.server.convert import medium_info, project_info
from masklet.server.database import new_id
from masklet.server.depends import Id, MediumNow, ProjectNow, StudioNow, UserNow
from masklet.server.errors import ApiError
from masklet.server.security import COOKIE
from masklet.server.studio import Studio
from masklet.server.uploads.ingest import Form, Upload, probe, receive, scratch
from masklet.server.uploads.probe import Found

router = APIRouter(tags=["projects"])

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}
"""For the description of the API: bodies that are streamed to disk are read by hand."""


@router.get("/me", tags=["server"])
def me(request: Request, studio: StudioNow) -> schemas.ServerInfo:
    """Who you are, and what this server can do. Works without a login."""
    try:
        user = studio.accounts.user_of(request)
    except ApiError:
        user = None
    info, limits = studio.engine.info, studio.limits
    return schemas.ServerInfo(
        user=None if user is None else schemas.UserInfo(name=user.name),
        needs_login=studio.settings.needs_login,
        version=__version__,
        model=schemas.ModelInfo(
            name=info.name,
            backend=info.backend,
            image_size=info.image_size,
            has_graphs=getattr(studio.model.engine, "folder", None) is not None,
        ),
        models=sorted({info.name, *EMBEDDED}),
        colors=list(COLORS),
        limits=schemas.LimitsInfo(
            max_bytes=limits.max_bytes,
            max_pixels=limits.max_pixels,
            max_frames=limits.max_frames,
            max_seconds=limits.max_seconds,
        ),
    )


@router.post("/login", status_code=204, tags=["server"])
def login(body: schemas.LoginRequest, request: Request, studio: StudioNow) -> Response:
    """Exchange a token for a cookie."""
    if not studio.settings.needs_login:
        return Response(status_code=204)
    user = studio.accounts.check(body.token, request.client.host if request.client is not None else "?")
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE,
        studio.accounts.login(user),
        max_age=int(studio.limits.login_days * 86400),
        httponly=True,
        samesite="strict",
        secure=studio.settings.is_https or request.url.scheme == "https",
        path="/",
    )
    return answer


@router.post("/logout", status_code=204, tags=["server"])
def logout(request: Request, studio: StudioNow) -> Response:
    """Forget the cookie."""
    studio.accounts.logout(request)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/")
    return answer


@router.get("/projects")
def list_projects(user: UserNow, studio: StudioNow) -> schemas.ProjectList:
    """Your projects, the one changed last first."""
    with studio.database.session() as session:
        found = session.scalars(
            select(database.Project)
            .where(database.Project.user_id == user.id)
            .order_by(database.Project.updated_at.desc())
            .options(selectinload(database.Project.media))
        )
        return schemas.ProjectList(projects=[project_info(project) for project in found])


@router.post("/projects", status_code=201)
def create_project(body: schemas.ProjectCreate, user: UserNow, studio: StudioNow) -> schemas.ProjectInfo:
    with studio.database.session() as session:
        project = database.Project(user_id=user.id, name=body.name, classes=body.classes)
        session.add(project)
        session.flush()
        return project_info(project)


@router.get("/projects/{pid}")
def get_project(project: ProjectNow, studio: StudioNow) -> schemas.ProjectInfo:
    with studio.database.session() as session:
        return project_info(session.get_one(database.Project, project.id))


@router.patch("/projects/{pid}")
def change_project(body: schemas.ProjectChange, project: ProjectNow, studio: StudioNow) -> schemas.ProjectInfo:
    with studio.database.session() as session:
        stored = session.get_one(database.Project, project.id)
        if body.name is not None:
            stored.name = body.name
        if body.classes is not None:
            stored.classes = body.classes
        session.flush()
        return project_info(stored)


@router.delete("/projects/{pid}", status_code=204)
def delete_project(project: ProjectNow, studio: StudioNow) -> Response:
    """With all its media, masks and assets."""
    with studio.database.session() as session:
        media = list(session.scalars(select(database.Medium).where(database.Medium.project_id == project.id)))
        assets = list(session.scalars(select(database.Asset).where(database.Asset.project_id == project.id)))
    for medium in media:
        _check_at_rest(studio, medium)
    for medium in media:
        studio.delete_medium(medium)
    with studio.database.session() as session:
        stored = session.get(database.Project, project.id)
        if stored is not None:
            session.delete(stored)
    for asset in assets:
        shutil.rmtree(studio.asset_path(asset).parent, ignore_errors=True)
    return Response(status_code=204)


@router.get("/projects/{pid}/media")
def list_media(project: ProjectNow, studio: StudioNow) -> schemas.MediumList:
    """In the order in which they came."""
    with studio.database.session() as session:
        stored = session.get_one(database.Project, project.id)
        return schemas.MediumList(media=[medium_info(medium) for medium in stored.media])


@router.post(
    "/projects/{pid}/media",
    status_code=201,
    openapi_extra=UPLOAD_BODY,
    responses={
        413: {"model": schemas.ErrorAnswer, "description": "More bytes or files than are taken."},
        415: {"model": schemas.ErrorAnswer, "description": "No multipart/form-data."},
        422: {"model": schemas.ErrorAnswer, "description": "No file could be taken."},
    },
)
async def upload(
    project: ProjectNow,
    request: Request,
    studio: StudioNow,
    how: Annotated[
        Literal["auto", "sequence"],
        Query(alias="as", description="`sequence` makes one video of many images, in natural order of their names."),
    ] = "auto",
    fps: Annotated[float, Query(gt=0, le=1000, description="Of a sequence.")] = 24.0,
) -> schemas.UploadReport:
    """Add images and videos. A file that cannot be taken costs the others nothing; each says why."""
    with scratch(studio.settings.data) as folder:
        form = await receive(request, folder, studio.limits)
        if not form.files:
            raise ApiError(422, "no_files", "send at least one file, in fields called files", "files")
        return await anyio.to_thread.run_sync(take_in, studio, project, form, how, fps)


def take_in(studio: Studio, project: database.Project, form: Form, how: str, fps: float) -> schemas.UploadReport:
    added: list[database.Medium] = []
    rejected: list[schemas.RejectedFile] = []
    if how == "sequence":
        taken = [_as_sequence(form.files)]
    else:
        taken = [(upload.path, upload.name, upload.num_bytes) for upload in form.files]
    thumbnails = {path: path.with_name(path.name + ".thumbnail.jpg") for path, _, _ in taken}
    found = probe([path for path, _, _ in taken], studio.limits, thumbnails)
    for (path, name, num_bytes), what in zip(taken, found, strict=True):
        if isinstance(what, str):
            rejected.append(schemas.RejectedFile(name=name, message=what))
        else:
            added.append(_keep(studio, project, path, name, num_bytes, what, thumbnails[path], fps))
    if not added and rejected:
        first = rejected[0]
        more = f", nor could {len(rejected) - 1} others" if len(rejected) > 1 else ""
        raise ApiError(422, "rejected", f"{first.name} could not be taken{more}: {first.message}", "files")
    return schemas.UploadReport(media=[medium_info(medium) for medium in added], rejected=rejected)


def _as_sequence(files: list[Upload]) -> tuple[Path, str, int]:
    """Move images into a folder, numbered in natural order of their names."""
    folder = files[0].path.parent / "frames"
    folder.mkdir()
    ordered = sorted(files, key=lambda upload: natural_key(upload.name))
    for index, upload in enumerate(ordered):
        upload.path.rename(folder / f"{index:06d}{upload.path.suffix}")
    parent = Path(ordered[0].name).parent.name
    return folder, parent or Path(ordered[0].name).stem, sum(upload.num_bytes for upload in files)


def _keep(
    studio: Studio,
    project: database.Project,
    path: Path,
    name: str,
    num_bytes: int,
    what: Found,
    thumbnail: Path,
    fps: float,
) -> database.Medium:
    media_id = new_id()
    folder = studio.folder(media_id)
    folder.mkdir(parents=True)
    file = "frames" if path.is_dir() else f"source{''.join(path.suffixes)}"
    shutil.move(path, folder / file)
    own_fps = fps if file == "frames" else what.fps
    medium = database.Medium(
        id=media_id,
        project_id=project.id,
        kind=what.kind,
        name=name,
        file=file,
        width=what.width,
        height=what.height,
        num_frames=what.num_frames,
        fps=own_fps,
        duration_s=what.num_frames / fps if file == "frames" else what.duration_s,
        has_audio=what.has_audio,
        num_bytes=num_bytes,
    )
    with studio.database.session() as session:
        session.add(medium)
        session.get_one(database.Project, project.id).updated_at = database.now()
    if thumbnail.exists():
        studio.pictures.keep(media_id, "0-480.jpg", thumbnail.read_bytes())
    return medium


@router.get("/media/{mid}")
def get_medium(medium: MediumNow, studio: StudioNow) -> schemas.MediumInfo:
    with studio.workspace(medium) as workspace:
        return medium_info(medium, workspace.store)


@router.patch("/media/{mid}")
def change_medium(body: schemas.MediumChange, medium: MediumNow, studio: StudioNow) -> schemas.MediumInfo:
    with studio.database.session() as session:
        stored = session.get_one(database.Medium, medium.id)
        stored.name = body.name
        session.flush()
        return medium_info(stored)


@router.delete("/media/{mid}", status_code=204)
def delete_medium(mid: Id, medium: MediumNow, studio: StudioNow) -> Response:
    """With its masks."""
    _check_at_rest(studio, medium)
    studio.delete_medium(medium)
    return Response(status_code=204)


def _check_at_rest(studio: Studio, medium: database.Medium) -> None:
    if studio.jobs.is_busy(medium.id):
        raise ApiError(409, "busy", f"{medium.name} is being worked on: cancel its jobs first")
