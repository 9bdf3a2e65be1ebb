"""`penstock health`: whether the process that runs here answers; for images without a shell."""

from __future__ import annotations

import http.client
import ssl
from typing import Annotated, Final

import typer

from penstock.cli.exits import Exit, Failed, told
from penstock.errors import ConfigurationError

_TIMEOUT_S: Final = 3.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # what is listened on, not listening
_OK: Final = 200


def health(
    *,
    port: Annotated[int | None, typer.Option(help="Port; else as the settings have it.")] = None,
    ready: Annotated[
        bool, typer.Option("--ready", help="Also whether it is ready for requests.")
    ] = False,
) -> None:
    """Ask the process that runs here, with these settings, whether it is alive.

    It is asked for /livez, or for /readyz, on its own address; the exit code is 4 where it does not
    answer, and 3 where it says that it is not ready.
    """
    from penstock.config import Configuration  # noqa: PLC0415  # the house loads where it is run

    with told():
        try:
            configuration = Configuration.read(port=port)
        except ConfigurationError as error:
            raise Failed(str(error), Exit.USAGE) from error
        host = _EVERYWHERE.get(configuration.host, configuration.host)
        path = "/readyz" if ready else "/livez"
        status, body = _asked(host, configuration.port, path, tls=bool(configuration.tls_cert))
        if status != _OK:
            raise Failed(body, Exit.REFUSED)


def _asked(host: str, port: int, path: str, *, tls: bool) -> tuple[int, str]:
    """Status and text of an answer. Raises `Failed` where there is none."""
    # Its certificate names the service, not the address that we ask; we know whom we ask.
    context = ssl._create_unverified_context() if tls else None  # noqa: S323, SLF001  # see above
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
        if tls
        else http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"no answer from {host}, port {port}: {error}", Exit.UNREACHABLE) from error
    finally:
        connection.close()
