"""The end of a certificate is read from the server that shows it, an expired one too."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mlops_platform.monitoring.certificates import address_of, expiry

ENDED = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ENDED - timedelta(days=90))
        .not_valid_after(ENDED)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with context.wrap_socket(connection, server_side=True):
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    yield listening.getsockname()[1]
    thread.join(5)
    listening.close()


def test_an_expired_certificate_is_read(server: int) -> None:
    assert expiry("127.0.0.1", server) == ENDED


def test_a_server_that_is_gone_is_an_error_and_no_date() -> None:
    with pytest.raises(OSError, match="refused"):
        expiry("127.0.0.1", 1)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://login.company.com/realm", ("login.company.com", 443)),
        ("https://mlflow:8443", ("mlflow", 8443)),
        ("http://127.0.0.1:5000", None),
        (None, None),
    ],
)
def test_only_https_addresses_have_certificates(url: str | None, address: tuple[str, int] | None) -> None:
    assert address_of(url) == address
