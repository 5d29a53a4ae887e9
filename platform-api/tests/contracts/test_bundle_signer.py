"""What every signer of bundles does, with a key alone and with a certificate of an authority."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mlops_platform.adapters.openssf.signer import OpenSsfSigner
from mlops_platform.builds.interfaces import SIGNATURE, BundleSigner, SignatureNotValid


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    bundle = tmp_path / "bundle"
    (bundle / "native").mkdir(parents=True)
    (bundle / "native" / "model.pkl").write_bytes(b"a model")
    (bundle / "bundle.json").write_text("{}")
    return bundle


class BundleSignerContract:
    __test__ = False

    @pytest.fixture
    def signer(self, tmp_path: Path) -> BundleSigner:
        raise NotImplementedError

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> BundleSigner:
        """Somebody else's signer of the same kind."""
        raise NotImplementedError

    async def test_what_was_signed_verifies_wherever_it_lies_and_names_the_key(
        self, signer: BundleSigner, bundle: Path
    ) -> None:
        key = await signer.sign(bundle)
        assert len(key) == 64
        assert await signer.verify(bundle) == key
        moved = bundle.rename(bundle.with_name("moved"))
        assert await signer.verify(moved) == key
        assert await signer.sign(moved) == key, "signing again replaces the signature"
        assert await signer.verify(moved) == key

    async def test_samples_that_are_added_later_do_no_harm(self, signer: BundleSigner, bundle: Path) -> None:
        await signer.sign(bundle)
        (bundle / "recent-inputs.json").write_text("{}")
        await signer.verify(bundle)

    @pytest.mark.parametrize("change", ["edited", "removed", "unsigned", "broken", "foreign"])
    async def test_anything_else_is_refused(
        self, signer: BundleSigner, stranger: BundleSigner, bundle: Path, change: str
    ) -> None:
        await signer.sign(bundle)
        match change:
            case "edited":
                (bundle / "native" / "model.pkl").write_bytes(b"b model")
            case "removed":
                (bundle / "bundle.json").unlink()
            case "unsigned":
                (bundle / SIGNATURE).unlink()
            case "broken":
                (bundle / SIGNATURE).write_text("{}")
            case "foreign":
                await stranger.sign(bundle)
        with pytest.raises(SignatureNotValid):
            await signer.verify(bundle)


class TestKey(BundleSignerContract):
    __test__ = True

    @pytest.fixture
    def signer(self, tmp_path: Path) -> BundleSigner:
        return OpenSsfSigner(tmp_path / "keys" / "models.pem")

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> BundleSigner:
        return OpenSsfSigner(tmp_path / "elsewhere" / "models.pem")

    async def test_the_key_is_made_once_and_readable_by_nobody_else(
        self, signer: BundleSigner, bundle: Path, tmp_path: Path
    ) -> None:
        await signer.sign(bundle)
        assert (tmp_path / "keys" / "models.pem").stat().st_mode & 0o077 == 0
        again = OpenSsfSigner(tmp_path / "keys" / "models.pem")
        assert await again.verify(bundle) == await signer.verify(bundle)


class TestCertificate(BundleSignerContract):
    __test__ = True

    @pytest.fixture
    def signer(self, tmp_path: Path) -> BundleSigner:
        return _certified(tmp_path / "authority")

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> BundleSigner:
        return _certified(tmp_path / "other-authority")


def _certified(folder: Path) -> OpenSsfSigner:
    """A signer whose certificate an authority of its own has issued."""
    folder.mkdir()
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("authority", root_key, None, "authority", root_key)
    leaf = _certificate("models", key, root, "authority", root_key)
    (folder / "models.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "models.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "roots.crt").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    return OpenSsfSigner(folder / "models.pem", folder / "models.crt", folder / "roots.crt")


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_name: str,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    today = dt.datetime.now(dt.UTC)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=issuer is None,
                crl_sign=issuer is None,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
