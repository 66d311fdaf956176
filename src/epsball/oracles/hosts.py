"""Whose server is asked: anything but this machine needs a typed confirmation."""

import ipaddress
from urllib.parse import urlsplit

from epsball.errors import InvalidInput


def is_loopback(host: str) -> bool:
    """Say whether a host name means this machine.

    Example:
        >>> is_loopback("localhost"), is_loopback("127.0.0.5"), is_loopback("example.com")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, *, owned: bool) -> bool:
    """Refuse a URL that cannot be asked, or may not be without confirmation.

    Args:
        url: of the oracle.
        owned: the caller has confirmed that the server may be attacked.

    Returns:
        Whether the host is this machine.

    Raises:
        InvalidInput: no http or https URL, or another host without confirmation.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"oracle: {url!r} is not a URL ({error})") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidInput(
            f"oracle: the URL must be http://HOST/PATH or https://HOST/PATH, got {url!r}"
        )
    local = is_loopback(host)
    if not local and not owned:
        raise InvalidInput(
            f"oracle: {host} is not this machine: add --i-own-this to confirm that you own it or "
            "are allowed to attack it; nothing was sent"
        )
    return local
