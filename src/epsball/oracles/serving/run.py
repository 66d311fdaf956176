"""Running the server until it is stopped."""

from pathlib import Path
from typing import TYPE_CHECKING

from epsball.errors import InvalidInput

if TYPE_CHECKING:
    from fastapi import FastAPI


def run_server(app: "FastAPI", *, host: str, port: int, port_file: Path | None = None) -> None:
    """Serve an application until the process is interrupted.

    Args:
        app: see `build_app`.
        host: address to listen at.
        port: 0 takes any that is free.
        port_file: where the port is written once the server listens; None: nowhere.

    Raises:
        InvalidInput: the address cannot be listened at.
    """
    import socket

    import uvicorn

    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:  # the latter for a number that is no port
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"serve: cannot listen at {host}:{port} ({reason}): choose another --port; 0 takes any"
        ) from error
    if port_file is not None:
        port_file.write_text(str(listener.getsockname()[1]))
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
