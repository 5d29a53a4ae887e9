"""Who somebody is to the platform: one configured claim, in one form, so that one account is one person in every token. Pure."""

import unicodedata
from collections.abc import Mapping
from typing import Any

# what OpenID Connect allows for 'sub'
_LONGEST = 255
# control characters, invisible marks, halves of characters, and what no version of Unicode has given a meaning
_UNUSABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
EMAIL = "email"


class SubjectNotUsable(ValueError):
    """The text cannot name anybody; the message is a sentence without the text itself."""


def normalised(text: object) -> str:
    """Return a name in the one form that names are compared in. Raises SubjectNotUsable.

    Letters of one appearance become one (NFKC), blanks at the ends go and blanks inside become one. An address is lower-cased:
    no provider gives two people addresses that differ in capitals. Other names keep theirs, because an issuer's own ids may
    differ in nothing else.
    """
    if not isinstance(text, str):
        raise SubjectNotUsable("it is not text")
    # a longer text is not looked at: normalising costs time
    if len(text) > _LONGEST:
        raise SubjectNotUsable(f"it is longer than {_LONGEST} characters")
    if any(unicodedata.category(character) in _UNUSABLE for character in text):
        raise SubjectNotUsable("it has characters that cannot be seen")
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    if not name:
        raise SubjectNotUsable("it is empty")
    if len(name) > _LONGEST:
        raise SubjectNotUsable(f"it is longer than {_LONGEST} characters")
    return name.lower() if "@" in name else name


def same_person(one: str | None, other: str) -> bool:
    """Return whether two names, one of which somebody may have typed, are one person's."""
    if one is None:
        return False
    try:
        return normalised(one) == normalised(other)
    except SubjectNotUsable:
        return False


def subject_of(claims: Mapping[str, Any], claim: str, *, service: bool) -> str:
    """Return whom verified claims name. Raises SubjectNotUsable.

    An address names a person only when it is the configured claim and `email_verified` is exactly true: whoever may write
    their own address could else be anybody. A service has no address: it is named by 'sub' then.
    """
    if claim == EMAIL:
        if service and EMAIL not in claims:
            return normalised(claims.get("sub"))
        if claims.get("email_verified") is not True:
            raise SubjectNotUsable("its address is not verified ('email_verified' is not true)")
    return normalised(claims.get(claim))
