"""A lock: every package of an environment with the hashes of its files, and the name that follows from it. Pure."""

import hashlib
import json
import re
from dataclasses import dataclass

_PACKAGE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
# what installs it, and how: another way of installing is another environment
LAYOUT = "1"


@dataclass(frozen=True)
class Lock:
    """`text` is a list of requirements with hashes; `python` the interpreter's full version, `platform` what wheels it takes."""

    text: str
    python: str
    platform: str

    @property
    def name(self) -> str:
        """The digest that names the environment: of all that decides what lies in it."""
        whole = json.dumps([LAYOUT, self.text, self.python, self.platform])
        return hashlib.sha256(whole.encode()).hexdigest()

    @property
    def packages(self) -> dict[str, str]:
        """Library -> version."""
        return {found[1].lower(): found[2] for found in _PACKAGE.finditer(self.text)}

    def as_json(self) -> dict[str, str]:
        """Return what is kept with a bundle."""
        return {"name": self.name, "python": self.python, "platform": self.platform, "lock": self.text}


def read(content: bytes) -> Lock:
    """Return the lock that was kept with a bundle. Raises ValueError when it is none, or not the one it says it is."""
    try:
        said = json.loads(content)
        lock = Lock(str(said["lock"]), str(said["python"]), str(said["platform"]))
        named = said["name"]
    except (KeyError, TypeError) as error:
        raise ValueError("this is no lock of an environment") from error
    if named != lock.name:
        raise ValueError("the lock is not the one that its name says")
    return lock
