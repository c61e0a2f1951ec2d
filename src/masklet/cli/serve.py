"""`masklet serve`: the studio in the browser, and its HTTP API. `masklet users`: the users of a server."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from masklet.cli.command import MaskletCommand
from masklet.cli.console import print_line, show_status, stderr
from masklet.cli.groups import OptionGroup, with_groups
from masklet.cli.options import ModelChoice, examples
from masklet.errors import ConfigError

if TYPE_CHECKING:
    from masklet.server.security import Accounts
    from masklet.server.settings import Settings

EPILOG = examples(
    ("The studio on this machine", "masklet serve"),
    ("For others, with a token", "masklet serve --host 0.0.0.0 --data /srv/masklet"),
    notes="Projects, masks and results are kept in the data folder and are available again after a restart, whatever "
    "ended the server.",
)

DEFAULT_DATA = "~/.local/share/masklet"

DataOption = Annotated[
    Path, typer.Option("--data", help="The folder of projects, masks and results; created if it is missing.")
]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        metavar="URL",
        help="A database other than the SQLite file in the data folder, such as postgresql+psycopg://user@host/name.",
    ),
]


class ServerChoice(OptionGroup):
    """The server's address, data, access and limits."""

    data: DataOption = Path(DEFAULT_DATA)
    host: Annotated[
        str, typer.Option(help="The address to listen on. Any address that other machines can reach needs a token.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(help="The port; 0 takes any free one.", min=0, max=65535)] = 8100
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MASKLET_TOKEN",
            help="The token of the user admin. If other machines can reach the server and no user has a token yet, one "
            "is created and printed.",
        ),
    ] = None
    database: DatabaseOption = ""
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A host name under which browsers reach the server. Repeat for more.")
    ] = None
    allow_stream: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host whose RTSP streams users may open. Repeat for more."),
    ] = None
    https: Annotated[
        bool, typer.Option("--https", help="Set this behind an HTTPS proxy: cookies are then sent over HTTPS only.")
    ] = False
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="The address of a proxy in front of the server, or a network. Its X-Forwarded-For header is believed, "
            "so that wrong tokens are counted by client. Repeat for more.",
        ),
    ] = None
    max_upload: Annotated[float, typer.Option(help="Largest upload, in GB.", min=0.001)] = 20.0
    max_hours: Annotated[float, typer.Option(help="Longest video, in hours.", min=0.001)] = 6.0

    def settings(self, port: int) -> Settings:
        """Return the server's settings; it listens on `port`."""
        from masklet.server.settings import LOOPBACK, Limits, Settings

        return Settings(
            data=self.data.expanduser(),
            database=self.database,
            host=self.host,
            port=port,
            needs_login=self.host not in LOOPBACK or self.token is not None,
            allowed_hosts=frozenset(name.lower() for name in self.allow_host or ()),
            is_https=self.https,
            proxies=frozenset(self.proxy or ()),
            stream_hosts=frozenset(name.lower() for name in self.allow_stream or ()),
            limits=Limits(max_bytes=int(self.max_upload * 2**30), max_seconds=self.max_hours * 3600),
        )

    def address(self, port: int) -> str:
        """Return the address under which a browser on this machine reaches it."""
        host = f"[{self.host}]" if ":" in self.host else "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://{host}:{port}/"


@with_groups
def serve(
    server: ServerChoice,
    *,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page when the server runs.")] = True,
    sample: Annotated[
        Path | None, typer.Option(help="A folder of images and videos from which a first project is created, once.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
    model: ModelChoice,
) -> int:
    """Open the studio: segment and track in the browser."""
    from masklet.engine.open import needs_extra

    with needs_extra("server", "masklet serve"):
        from masklet.server.app import create_app, has_page
        from masklet.server.run import listen
        from masklet.server.run import serve as run_server
        from masklet.server.uploads.sample import add_sample
    if log_level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"--log-level must be one of debug, info, warning, error, got {log_level!r}")
    with ExitStack() as stack:
        sock = stack.enter_context(closing(listen(server.host, server.port)))
        port = sock.getsockname()[1]
        settings = server.settings(port)
        loaded = model.load()
        with show_status(f"opening {settings.data} ..."):
            app = create_app(settings, loaded)
            stack.callback(app.state.studio.close)
            generated_token = (
                _set_admin_token(app.state.studio.accounts, server.token) if settings.needs_login else None
            )
            if sample is not None:
                add_sample(app.state.studio, sample)
        address = server.address(port)

        def on_start() -> None:
            print_line(f"masklet studio: {address}")
            stderr().print(f"data in {settings.data}, model {loaded.info.name}; stop with Ctrl-C", soft_wrap=True)
            if generated_token is not None:
                stderr().print(f"token (shown once, kept as a hash): {generated_token}", soft_wrap=True, markup=False)
            if not has_page():
                note = "the page is not built, so browsers see only a note: run `make studio`, or install a wheel"
                stderr().print(note, soft_wrap=True, markup=False)
            if browser:
                import webbrowser

                webbrowser.open(address)

        run_server(app, sock, on_start=on_start, log_level=log_level)
    stderr().print(f"stopped; everything is kept in {settings.data}", soft_wrap=True)
    return 0


def _set_admin_token(accounts: Accounts, token: str | None) -> str | None:
    """Set the token of the user admin: the one passed, or a generated one if there are no users yet.

    Returns:
        The generated token; None if none was generated.
    """
    from masklet.server.security import new_token

    generated = new_token() if token is None and not accounts.names() else None
    admin_token = generated if token is None else token
    if admin_token is not None:
        accounts.set_token("admin", admin_token)
    return generated


users_app = typer.Typer(help="Manage the users of a server and their tokens.", no_args_is_help=True)


@users_app.command("add", cls=MaskletCommand)
def add_user(
    name: Annotated[str, typer.Argument(help="Name of a new user, or of a user who needs another token.")],
    data: DataOption = Path(DEFAULT_DATA),
    database: DatabaseOption = "",
) -> int:
    """Create a user and print the token, which is shown only once."""
    from masklet.engine.open import needs_extra

    with needs_extra("server", "masklet users"):
        from masklet.server.security import new_token, open_accounts
    token = new_token()
    open_accounts(data.expanduser(), database).set_token(name, token)
    print_line(token)
    return 0


@users_app.command("list", cls=MaskletCommand)
def list_users(data: DataOption = Path(DEFAULT_DATA), database: DatabaseOption = "") -> int:
    """List the users who have a token."""
    from masklet.engine.open import needs_extra

    with needs_extra("server", "masklet users"):
        from masklet.server.security import open_accounts
    for name in open_accounts(data.expanduser(), database).names():
        print_line(name)
    return 0


@users_app.command("revoke", cls=MaskletCommand)
def revoke_user(
    name: Annotated[str, typer.Argument(help="Name of the user whose token and logins end; the projects stay.")],
    data: DataOption = Path(DEFAULT_DATA),
    database: DatabaseOption = "",
) -> int:
    """Revoke a user's token and end the user's logins."""
    from masklet.engine.open import needs_extra

    with needs_extra("server", "masklet users"):
        from masklet.server.security import open_accounts
    open_accounts(data.expanduser(), database).revoke(name)
    return 0
