"""When the certificates of the addresses the platform uses end."""

import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509

_SECONDS = 5.0


def address_of(url: str | None) -> tuple[str, int] | None:
    """Return host and port of an https URL; None for any other."""
    parts = urlsplit(url or "")
    return (parts.hostname, parts.port or 443) if parts.scheme == "https" and parts.hostname else None


def expiry(host: str, port: int) -> datetime:
    """Return when the certificate a server shows ends, trusted or not: an expired one must still be seen. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    if shown is None:
        raise OSError("the server shows no certificate")
    return x509.load_der_x509_certificate(shown).not_valid_after_utc.astimezone(UTC)
