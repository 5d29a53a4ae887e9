"""A body as it was before it was encoded, of which never more is made than is allowed."""

import zlib

_GZIP = 16 + zlib.MAX_WBITS


class UnknownEncoding(ValueError):
    """The body is encoded in a way that is not read here."""


class NotThatEncoding(ValueError):
    """The body is not one whole stream of the encoding it names."""


class TooLong(ValueError):
    """The body is longer than allowed once it is decoded."""


def unpacked(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return a body, decoded as its Content-Encoding says. Raises UnknownEncoding, NotThatEncoding and TooLong."""
    name = encoding.strip().lower()
    if name in {b"", b"identity"}:
        return body
    if name not in {b"gzip", b"x-gzip"}:
        raise UnknownEncoding
    unpacking = zlib.decompressobj(_GZIP)
    try:
        # one byte more than allowed is enough to know
        content = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise NotThatEncoding from error
    if len(content) > limit:
        raise TooLong
    if not unpacking.eof or unpacking.unused_data:
        raise NotThatEncoding
    return content
