"""Codes that people type (RFC 8628, 6.1): letters that make no words and are not mistaken for each other. Pure."""

import secrets

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8


def new_user_code() -> str:
    """Return a code of 34 bits: with ten wrong ones allowed in ten minutes nobody guesses it."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def shown(code: str) -> str:
    """Return the code as people read it."""
    return f"{code[:4]}-{code[4:]}"


def typed(text: str) -> str | None:
    """Return the code in what somebody typed, None when it is none."""
    code = "".join(letter for letter in text.upper() if letter.isalnum())
    return code if len(code) == _LENGTH and set(code) <= set(_LETTERS) else None
