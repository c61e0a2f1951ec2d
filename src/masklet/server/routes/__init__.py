"""Routes of the HTTP API, one module per subject. They check and convert; what they do is done elsewhere."""

from __future__ import annotations

from masklet.server.routes import annotate, frames, jobs, live, projects, results

ROUTERS = tuple(module.router for module in (projects, frames, annotate, jobs, results, live))
"""In the order in which the API's description lists them."""
