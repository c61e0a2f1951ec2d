"""Routes of the current user: server information, login and logout."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from masklet._version import __version__
from masklet.engine.hub import EMBEDDED
from masklet.server import schemas
from masklet.server.colors import COLORS
from masklet.server.depends import CurrentStudio
from masklet.server.errors import ApiError
from masklet.server.security import COOKIE, address_of

router = APIRouter(tags=["server"])


@router.get("/me")
def get_server_info(request: Request, studio: CurrentStudio) -> schemas.ServerInfo:
    """Describe the current user, the model and the limits of this server. Works without a login."""
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
            has_graphs=studio.graph_folder is not None,
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


@router.post("/login", status_code=204)
def login(body: schemas.LoginRequest, request: Request, studio: CurrentStudio) -> Response:
    """Exchange a token for a cookie."""
    if not studio.settings.needs_login:
        return Response(status_code=204)
    user = studio.accounts.check(body.token, address_of(request))
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


@router.post("/logout", status_code=204)
def logout(request: Request, studio: CurrentStudio) -> Response:
    """End the login of this browser."""
    studio.accounts.logout(request)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/")
    return answer
