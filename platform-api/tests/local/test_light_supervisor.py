"""The supervisor holds what it needs, for as long as the platform runs: no web framework, no database toolkit, no numbers."""

import subprocess
import sys


def test_the_supervisor_imports_nothing_of_the_application() -> None:
    heavy = {"fastapi", "sqlalchemy", "pydantic", "httpx", "numpy", "opentelemetry", "cryptography"}
    code = f"import sys, mlops_platform.local.daemon; print(sorted({heavy!r} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
