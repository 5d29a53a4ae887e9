"""Each kept file is what its name says, by its content: text is text, pictures and tables begin as such, nothing can be run.

Deny by default. A library or program with a harmless name could be loaded by whatever can be told a path.
"""

from collections.abc import Iterator
from pathlib import Path

from model_server.formats.allowed import PLAIN_NAMES, SOURCE, declared
from model_server.refusals import Refused

_CHUNK = 1 << 20
# ELF, Windows, Mach-O of both orders and both widths, fat Mach-O or Java, WebAssembly, scripts, archives of objects
_PROGRAMS = (
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\x00asm",
    b"#!",
    b"!<arch>",
)
_TEXT = frozenset({".yaml", ".yml", ".json", ".txt", ".csv", ".md", ".html", ".svg", ".lgb", SOURCE})
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    ".parquet": (b"PAR1",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".npy": (b"\x93NUMPY",),
    ".npz": (b"PK\x03\x04", b"PK\x05\x06"),
    ".skops": (b"PK\x03\x04", b"PK\x05\x06"),
    ".cb": (b"CBM1",),
    ".cbm": (b"CBM1",),
}
_CONTROLS = frozenset(range(32)) - {9, 10, 12, 13}


def check_contents(root: Path, files: list[Path]) -> None:
    """Raises Refused `not_what_it_says` for the first file whose content is not of its kind, `custom_code` for a program.

    Python sources that the model declares are text; check_formats has refused others.
    """
    places = declared(root)
    for path in files:
        relative = path.relative_to(root).as_posix()
        with path.open("rb") as stream:
            begins = stream.read(16)
        # a two-letter beginning also starts words: text that begins so is judged as text
        if any(begins.startswith(magic) for magic in _PROGRAMS if len(magic) > 2 or not _is_text(path)):  # noqa: PLR2004
            raise Refused(
                "custom_code",
                f"'{relative}' is a program or a library; models bring Python sources only (code_paths=[...]).",
            )
        if begins.startswith(b"#!") and not places.is_source(relative):
            raise Refused("custom_code", f"'{relative}' is a script that the model does not declare.")
        expected = _BEGINNINGS.get(path.suffix.lower())
        if expected and not begins.startswith(expected) and not _damaged_is_told_better(path):
            raise _not(relative)
        if _is_text(path) and not _reads_as_text(path):
            raise _not(relative)


def _is_text(path: Path) -> bool:
    return path.suffix.lower() in _TEXT or path.name in PLAIN_NAMES


def _damaged_is_told_better(path: Path) -> bool:
    """The scan names what is wrong with an archive or an array; it opens each of them."""
    return path.suffix.lower() in (".npy", ".npz", ".skops")


def _reads_as_text(path: Path) -> bool:
    """UTF-8 without control characters; a .csv may be in an older encoding, and is then any bytes but those."""
    decodes = path.suffix.lower() == ".csv"
    for chunk in _lines(path):
        if _CONTROLS.intersection(chunk):
            return False
        if not decodes:
            try:
                chunk.decode("utf-8")
            except UnicodeDecodeError:
                return False
    return True


def _lines(path: Path) -> Iterator[bytes]:
    """Pieces that end at a line's end, so that no character is cut; a line of more than a chunk ends where it must."""
    rest = b""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            rest += chunk
            # a character of UTF-8 begins where the two highest bits are not 10
            cut = len(rest)
            while cut > len(rest) - 4 and cut > 0 and rest[cut - 1] & 0xC0 == 0x80:  # noqa: PLR2004
                cut -= 1
            cut = max(cut - 1, 0)
            yield rest[:cut]
            rest = rest[cut:]
    yield rest


def _not(relative: str) -> Refused:
    return Refused(
        "not_what_it_says",
        f"The content of '{relative}' is not what its name says; log the model again with plain text and data files only.",
    )
