"""TLS to the broker: what an `amqps://` address says of it, as the client library takes it.

The idea: the broker's certificate is always checked, by the system's authorities or by those in `cacertfile`, and its
host name too. `certfile` and `keyfile` are our own, for a broker that asks who we are. The three are parameters of the
address, as RabbitMQ's own clients have them.
"""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from shared.errors import Fatal

_OPTIONS = {"cacertfile": "ca_certs", "certfile": "certfile", "keyfile": "keyfile"}


def split_tls(url: str) -> tuple[str, dict[str, Any] | bool]:
    """The address without these parameters, and what they mean; False: an address without TLS.

    Raises Fatal for a file that cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme != "amqps":
        return url, False
    asked = parse_qs(parts.query)
    files = {option: asked.pop(name)[0] for name, option in _OPTIONS.items() if name in asked}
    for file in files.values():
        _check_readable(file)
    options = {
        "server_hostname": parts.hostname,
        "cert_reqs": ssl.CERT_REQUIRED,
        "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
        **files,
    }
    return parts._replace(query=urlencode(asked, doseq=True)).geturl(), options


def is_lasting(error: ssl.SSLError) -> bool:
    """Whether trying again would be refused in the same way: a certificate, a version; not a connection that ended."""
    return not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLWantReadError | TimeoutError)


def _check_readable(file: str) -> None:
    try:
        Path(file).read_bytes()
    except OSError as error:
        raise Fatal("a file for TLS to the broker cannot be read", file=file, error=error.strerror) from error
