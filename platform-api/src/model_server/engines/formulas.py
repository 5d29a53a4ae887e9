"""A formula is a small program that libraries evaluate as Python: which ones are plain enough to be evaluated. Pure.

Allowed are columns, numbers, text, the operators of formulas, and calls of functions named here; attributes of numpy are its
functions of numbers. Nothing else can be said, so nothing else can be reached.
"""

import io
import keyword
import tokenize

from model_server.formats.pickle_names import UFUNCS

_OPERATORS = frozenset({"~", "+", "-", "*", "/", ":", "**", "^", "(", ")", ",", "=", "%", "|"})
_FUNCTIONS = frozenset(
    [
        "C",
        "I",
        "Q",
        "Treatment",
        "Sum",
        "Diff",
        "Helmert",
        "Poly",
        "bs",
        "cr",
        "cc",
        "te",
        "center",
        "scale",
        "standardize",
        "poly",
        "log",
        "log10",
        "exp",
        "sqrt",
        "abs",
    ]
)
_CONSTANTS = frozenset({"True", "False", "None"})
_NUMPY = frozenset({"np", "numpy"})
_LONGEST = 20_000
_IGNORED = frozenset({tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT})


def problem(formula: object) -> str | None:
    """Say what a formula holds besides columns and known functions; None when it is plain."""
    if not isinstance(formula, str) or len(formula) > _LONGEST:
        return "no short text"
    try:
        tokens = [
            token
            for token in tokenize.generate_tokens(io.StringIO(formula.strip()).readline)
            if token.type not in _IGNORED
        ]
    except (tokenize.TokenError, SyntaxError, ValueError):
        return "what is no formula"
    texts = [token.string for token in tokens]
    for place, token in enumerate(tokens):
        before = texts[place - 1] if place else ""
        after = texts[place + 1] if place + 1 < len(texts) else ""
        if not _is_plain(token, before, after, texts[place - 2] if place > 1 else ""):
            return f"'{token.string[:40]}'"
    return None


def names_in(formula: str) -> frozenset[str]:
    """Return the names right of the ~ of a plain formula that may be columns, those that Q quotes included.

    What is called, an attribute and the name of an argument is no column, and neither is another text: it is a value.
    """
    right = formula.split("~", 1)[-1]
    tokens = [(token.type, token.string) for token in tokenize.generate_tokens(io.StringIO(right.strip()).readline)]
    found = set()
    for place, (kind, text) in enumerate(tokens):
        before = [string for _, string in tokens[max(place - 2, 0) : place]]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == tokenize.STRING and before == ["Q", "("]:
            found.add(text.strip("'\""))
        elif kind == tokenize.NAME and after not in ("(", ".", "=") and before[-1:] != ["."]:
            found.add(text)
    return frozenset(found)


def _is_plain(token: tokenize.TokenInfo, before: str, after: str, two_before: str) -> bool:
    text = token.string
    if token.type == tokenize.NAME:
        return _is_plain_name(text, before, after, two_before)
    if token.type == tokenize.STRING:
        # an f-string is code; calling text is nothing a formula does
        return text[0] in "'\"" and after != "("
    if text == ".":
        return before in _NUMPY
    if text == ")" and after == "(":
        # what a call gave would be called
        return False
    return token.type == tokenize.NUMBER or (token.type == tokenize.OP and text in _OPERATORS)


def _is_plain_name(text: str, before: str, after: str, two_before: str) -> bool:
    if text.startswith("__") or (keyword.iskeyword(text) and text not in _CONSTANTS):
        return False
    if before == ".":
        return two_before in _NUMPY and text in UFUNCS
    return after != "(" or text in _FUNCTIONS
