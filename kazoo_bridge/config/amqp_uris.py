"""AMQP URIs: ``amqp://user:pass@host:5672/vhost?heartbeat=30``, ``amqps://…?cacertfile=/etc/ssl/ca.pem``."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
DEFAULT_HEARTBEAT = 30


@frozen
class AmqpUri:
    """The address of a broker, and how to log in.

    `heartbeat` is in seconds; 0: none. `cacertfile` is the path of a PEM file with the authorities to trust;
    None: those of the system. The password is neither in the repr nor in the label.
    """

    host: str
    port: int = 5672
    vhost: str = "/"
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    tls: bool = False
    heartbeat: int = DEFAULT_HEARTBEAT
    cacertfile: str | None = None

    @property
    def label(self) -> str:
        """The broker's address for logs, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        vhost = self.vhost if self.vhost.startswith("/") else f"/{self.vhost}"
        return f"{'amqps' if self.tls else 'amqp'}://{host}:{self.port}{vhost}"


def parse_uri(text: str) -> AmqpUri:
    """Parse one URI.

    A missing path means the vhost ``/``. User, password and vhost are percent-decoded.

    Raises ValueError, which names the mistake but never repeats the URI, because that may contain a password.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("the AMQP URI's host or port is not valid") from None
    if port == 0:
        raise ValueError("the AMQP URI's port is a number between 1 and 65535")
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("an AMQP URI starts with amqp:// or amqps://")
    if not parts.hostname:
        raise ValueError("the AMQP URI names no host")
    if parts.fragment:
        raise ValueError("the AMQP URI has a '#'; write it as %23 in a password or vhost")
    if "@" in parts.path + parts.query:
        # Otherwise a part of the password would be taken for a vhost or an option, and logged.
        raise ValueError(
            "the AMQP URI has a '@' behind the host; "
            "in a password write '/' as %2F, '?' as %3F and '@' as %40"
        )
    tls = parts.scheme == "amqps"
    heartbeat, cacertfile = _options(parts.query, tls)
    return AmqpUri(
        host=unquote(parts.hostname),
        port=port if port is not None else DEFAULT_PORTS[parts.scheme],
        vhost=_vhost(parts.path),
        user=unquote(parts.username) if parts.username is not None else "guest",
        password=unquote(parts.password) if parts.password is not None else "guest",
        tls=tls,
        heartbeat=heartbeat,
        cacertfile=cacertfile,
    )


def parse_uris(text: str) -> tuple[AmqpUri, ...]:
    """Parse several URIs, separated by commas (a comma within a URI is written ``%2C``).

    Raises ValueError, which contains the number of the wrong URI if there are several.
    """
    parts = text.split(",")
    uris = []
    for number, part in enumerate(parts, 1):
        try:
            uris.append(parse_uri(part))
        except ValueError as error:
            raise ValueError(
                f"URI number {number} is wrong: {error}" if len(parts) > 1 else str(error)
            ) from None
    return tuple(uris)


def _vhost(path: str) -> str:
    if path in ("", "/"):
        return "/"
    if "/" in path[1:]:
        raise ValueError("the AMQP URI's vhost has a '/'; write it as %2F")
    return unquote(path[1:])


def _options(query: str, tls: bool) -> tuple[int, str | None]:
    """Parse the query part into heartbeat (seconds) and CA file."""
    heartbeat, cacertfile = DEFAULT_HEARTBEAT, None
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "heartbeat":
            if not (value.isascii() and value.isdigit()) or int(value) > 0xFFFF:
                raise ValueError("the AMQP URI's heartbeat is a number of seconds between 0 and 65535")
            heartbeat = int(value)
        elif name == "cacertfile":
            if not tls:
                raise ValueError("the AMQP URI's cacertfile needs amqps://")
            cacertfile = value
        else:
            raise ValueError("the AMQP URI has an unknown option; known are heartbeat and cacertfile")
    return heartbeat, cacertfile
