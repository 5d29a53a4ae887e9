"""Where a person is sent after signing in: a page of this console, whatever the link said. Pure."""

from urllib.parse import unquote, urlsplit

HOME = "/console"
_LONGEST = 1_500
# pages about signing in: returning to them would go round in circles
_NOT_BACK = ("/console/sign-", "/console/signed-", "/console/static")
# an escape within an escape within an escape is nobody's link
_UNESCAPED = 4


def page_to_return_to(asked: str | None) -> str:
    """Return the path of a page below the console: the one asked for, or the console's first page.

    What could name another machine to any browser is not returned: schemes, hosts, backslashes, doubled slashes, control
    characters and dot segments, however often they are escaped.
    """
    if not asked or len(asked) > _LONGEST or not asked.isascii():
        return HOME
    split = urlsplit(asked)
    ours = split.path == HOME or (split.path.startswith(f"{HOME}/") and not split.path.startswith(_NOT_BACK))
    if split.scheme or split.netloc or not ours or not _harmless(asked):
        return HOME
    return f"{split.path}?{split.query}" if split.query else split.path


def _harmless(text: str) -> bool:
    """Return whether nothing in a link, unescaped as often as any program might, could lead elsewhere."""
    for _ in range(_UNESCAPED):
        path = text.partition("?")[0]
        strange = any(not character.isprintable() or character == "\\" for character in text)
        if strange or "//" in path or any(part in {".", ".."} for part in path.split("/")):
            return False
        plainer = unquote(text)
        if plainer == text:
            return True
        text = plainer
    return False
