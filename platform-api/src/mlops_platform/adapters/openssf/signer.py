"""OpenSSF model signing: DSSE signatures over the hash of every file, with an elliptic-curve key or its certificate."""

import hashlib
from pathlib import Path
from typing import Any

import anyio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mlops_platform.builds.interfaces import SIGNATURE, BundleSigner, SignatureNotValid
from mlops_platform.kit.keyfiles import load_or_create


class OpenSsfSigner(BundleSigner):
    """Signs with one key; with a certificate, verification asks for a path to the given roots instead of that key."""

    def __init__(self, key_file: Path, certificate: Path | None = None, roots: Path | None = None) -> None:
        self._key_file = key_file
        self._certificate = certificate
        self._roots = roots

    async def sign(self, bundle: Path) -> str:
        return await anyio.to_thread.run_sync(self._sign, bundle)

    async def verify(self, bundle: Path) -> str:
        return await anyio.to_thread.run_sync(self._verify, bundle)

    def _sign(self, bundle: Path) -> str:
        from model_signing import signing

        public = self._public()
        config = signing.Config()
        if self._certificate is not None and self._roots is not None:
            config.use_certificate_signer(
                private_key=self._key_file, signing_certificate=self._certificate, certificate_chain=[self._roots]
            )
        else:
            config.use_elliptic_key_signer(private_key=self._key_file)
        target = bundle / SIGNATURE
        target.unlink(missing_ok=True)
        fresh = bundle.with_name(f".{bundle.name}.signature")
        config.sign(bundle, fresh)
        fresh.replace(target)
        return hashlib.sha256(public).hexdigest()

    def _verify(self, bundle: Path) -> str:
        from model_signing import verifying

        if not (bundle / SIGNATURE).is_file():
            raise SignatureNotValid("The bundle was never signed by this platform; deploy the version again.")
        public = self._public()
        # what is added after signing (a sample for explanations) is not part of what was approved
        config = verifying.Config().set_ignore_unsigned_files(True)
        try:
            if self._roots is not None:
                config.use_certificate_verifier(certificate_chain=[self._roots])
            else:
                public_file = self._key_file.with_suffix(".pub")
                load_or_create(public_file, lambda: public)
                config.use_elliptic_key_verifier(public_key=public_file)
            config.verify(bundle, bundle / SIGNATURE)
        except Exception as error:
            # the library raises whatever its parsers raise; each means the same: do not run these files
            raise SignatureNotValid("The bundle's files are not those this platform signed.") from error
        return hashlib.sha256(public).hexdigest()

    def _public(self) -> bytes:
        """Return the public half as PEM; the key is made first when there is none."""
        private: Any = serialization.load_pem_private_key(load_or_create(self._key_file, _new_key), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._key_file} must hold an elliptic-curve private key")
        return private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
