"""Routes of the HTTP API, one module per subject. They check and convert; the work is done elsewhere."""

from __future__ import annotations

from masklet.server.routes import (
    account,
    annotate,
    assets,
    bulk,
    classes,
    counting,
    export,
    frames,
    imports,
    jobs,
    live,
    media,
    projects,
    proposals,
    render,
)

ROUTERS = tuple(
    module.router
    for module in (
        account,
        projects,
        classes,
        media,
        bulk,
        frames,
        annotate,
        jobs,
        proposals,
        export,
        counting,
        render,
        assets,
        imports,
        live,
    )
)
"""Routers in the order of the API's description."""
