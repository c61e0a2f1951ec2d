"""An RTSP server of moving test pictures, run by the Python of Debian, which has GStreamer's bindings.

    /usr/bin/python3 rtsp_server.py PORT WIDTH FPS PASSWORD PATTERN

Serves /plain, and /secret to the user "ann" with the password. PORT 0 means a free one; it is printed.
"""

import socket
import sys

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402

port, width, fps, password, pattern = sys.argv[1:6]
if port == "0":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
auth = GstRtspServer.RTSPAuth()
for name, basic in (("ann", GstRtspServer.RTSPAuth.make_basic("ann", password)), ("", None)):
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", name or "anonymous")
    if basic is None:
        auth.set_default_token(token)
    else:
        auth.add_basic(basic, token)
server.set_auth(auth)
for path, roles in (("/plain", ("ann", "anonymous")), ("/secret", ("ann",))):
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( videotestsrc is-live=true pattern={pattern} ! video/x-raw,width={width},height=48,framerate={fps}/1 ! "
        f"x264enc tune=zerolatency key-int-max=10 ! rtph264pay name=pay0 config-interval=1 )"
    )
    factory.set_shared(True)
    permissions = GstRtspServer.RTSPPermissions()
    for role in ("ann", "anonymous"):  # who may see it but not have it is asked for a password
        permissions.add_permission_for_role(role, "media.factory.access", True)
        permissions.add_permission_for_role(role, "media.factory.construct", role in roles)
    factory.set_permissions(permissions)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
sys.stdout.write(f"port {port}\n")
sys.stdout.flush()
GLib.MainLoop().run()
