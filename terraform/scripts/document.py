"""Write the tables of inputs and outputs into every module's README.md: `make terraform-docs`. A house test compares."""

import re
import sys
from pathlib import Path

MODULES = Path(__file__).parents[1] / "modules"
START = "<!-- written by make terraform-docs -->"


def readme(module: Path) -> str:
    """The README of a module as it must be: what people wrote above the mark, tables below it."""
    path = module / "README.md"
    written = path.read_text().split(START)[0].rstrip() if path.exists() else f"# {module.name}"
    inputs = ["| input | type | default | meaning |", "|---|---|---|---|"]
    for name, body in _blocks("variable", (module / "variables.tf").read_text()):
        default = _value(body, "default")
        inputs.append(
            f"| `{name}` | {_type(body)} | {'required' if default is None else _code(default)} | {_description(body)} |"
        )
    outputs = ["| output | meaning |", "|---|---|"]
    outputs += [
        f"| `{name}` | {_description(body)} |" for name, body in _blocks("output", (module / "outputs.tf").read_text())
    ]
    return "\n".join([written, "", START, "", "## Inputs", "", *inputs, "", "## Outputs", "", *outputs]) + "\n"


def _blocks(kind: str, text: str) -> list[tuple[str, str]]:
    return re.findall(rf'^{kind} "([a-z0-9_]+)" \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL)


def _value(body: str, attribute: str) -> str | None:
    found = re.search(rf"^  {attribute}\s*= (.*?)$", body, re.MULTILINE)
    return found[1].strip() if found else None


def _type(body: str) -> str:
    found = _value(body, "type") or "any"
    return (
        f"`{found}`"
        if not found.endswith(("{", "(", "({"))
        else f"`{found.split('(')[0]}` of objects, see `variables.tf`"
    )


def _code(default: str) -> str:
    return f"`{default}`".replace("|", "\\|")


def _description(body: str) -> str:
    long = re.search(r"description = <<-EOT\n(.*?)\n\s*EOT", body, re.DOTALL)
    text = " ".join(long[1].split()) if long else (_value(body, "description") or '""')[1:-1].replace('\\"', '"')
    return text.replace("|", "\\|")


def main() -> int:
    for module in sorted(path for path in MODULES.iterdir() if path.is_dir()):
        (module / "README.md").write_text(readme(module))
    return 0


if __name__ == "__main__":
    sys.exit(main())
