"""Runs a program of the model server in the libraries of one model: `PYTHON -I -S launch.py FOLDER LANDLOCKPY MODULE [ARGUMENT …]`.

Nothing of FOLDER is imported here, no file `.pth` of it read: whoever made its packages could write any code there. Only the standard
library, this package and landlockpy can be imported until the process has confined itself (`sandbox/confine.py`); `entering.enter`,
which that calls, then adds FOLDER. The platform's own libraries are on no path.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType


class Only(MetaPathFinder):
    """Finds these packages by their folders, before any path is asked: no library can take their names."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return the package of that name; what is inside it, its own path finds."""
        folder = self._folders.get(fullname)
        if folder is None:
            return None
        return spec_from_file_location(fullname, folder / "__init__.py", submodule_search_locations=[str(folder)])


def main(arguments: list[str]) -> int:
    """Run the module's `main` with the rest of the arguments; return its exit code."""
    folder, landlock, module, *rest = arguments
    package = Path(__file__).absolute().parents[1]
    # no bytecode is written beside the platform's sources by who runs a model
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Only({package.name: package, "landlockpy": Path(landlock)}))
    entering = importlib.import_module(f"{package.name}.libraries.entering")
    entering.choose(Path(folder), Path(landlock))
    program = importlib.import_module(module)
    if hasattr(program, "__path__"):
        program = importlib.import_module(f"{module}.__main__")
    sys.argv = [str(program.__file__), *rest]
    return int(program.main())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
