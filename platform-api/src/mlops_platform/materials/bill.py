"""A version's bill of materials in CycloneDX 1.6 JSON (ECMA-424): the model, and each library it is loaded in."""

import uuid
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from mlops_platform.materials.schemas import LibraryView, Materials

_SHA256 = "sha256:"
MEDIA_TYPE = "application/vnd.cyclonedx+json; version=1.6"


def bill(materials: Materials) -> bytes:
    """Return the document. The same materials give the same bytes."""
    # deterministic: the same version's bill can be compared with the one kept elsewhere
    named = f"{materials.model_name}:{materials.model_version}:{materials.digest}:{materials.recorded_at}"
    document = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, named))
    document.metadata.timestamp = materials.recorded_at or datetime.fromtimestamp(0, UTC)
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=materials.model_name,
        version=str(materials.model_version),
        bom_ref="model",
        hashes=_hashes(materials.digest),
    )
    document.metadata.component = model
    libraries = [_library(each) for each in materials.libraries]
    for each in libraries:
        document.components.add(each)
    document.register_dependency(model, libraries)
    return make_outputter(document, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2).encode()


def _hashes(digest: str) -> list[HashType]:
    if not digest.startswith(_SHA256):
        return []
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix(_SHA256))]


def _library(library: LibraryView) -> Component:
    address = PackageURL("pypi", None, library.name, library.version)
    licences = [] if library.licence is None else [LicenseFactory().make_from_string(library.licence)]
    return Component(
        type=ComponentType.LIBRARY,
        name=library.name,
        version=library.version,
        purl=address,
        bom_ref=address.to_string(),
        licenses=licences,
    )
