"""The documents say what the code says."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mlops_platform.cli.main import app

ROOT = Path(__file__).parents[3]
LONGEST_LINE = 150
# ways to cite what only its author has: sections of absent requirements, tags of documents, numbers of issues
CITATION = re.compile(
    r"(?i:requirements'? (§|section|\(section))|(?<!\d )§|\b(GOV\d|PICK|ARCH)\b|\bA(10|[1-9])\b(?=[,)])"
    r"|(?i:\bissue \d+, (item|section))|(?i:\bthe seed(?!s? of)(?:'s)?\b)"
)
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.pages())


def test_reference_pages_are_what_the_code_says_now() -> None:
    for name, content in _generated().items():
        assert (ROOT / "docs" / "reference" / name).read_text() == content, f"run `make docs`: {name} is out of date"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    inline = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    references = re.findall(r"^\[[^\]]+\]: ([^#:\s]+)(?:#\S*)?$", text, re.MULTILINE)
    for target in (*inline, *references):
        assert (path.parent / target).exists(), f"{target} does not exist"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_anchors_name_a_heading(path: Path) -> None:
    text = path.read_text()
    inline = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text)
    references = re.findall(r"^\[[^\]]+\]: ([^#:\s]*)#(\S+)$", text, re.MULTILINE)
    for file, anchor in (*inline, *references):
        target = path.parent / file if file else path
        # headings as GitHub turns them into anchors
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{file or path.name} has no heading for #{anchor}"


def test_every_reference_link_has_a_target() -> None:
    for path in DOCUMENTS:
        # code may hold brackets of its own
        text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(), flags=re.DOTALL)
        named = set(re.findall(r"(?<!\])\[([^\]\[]+)\](?![(\[:])", text))
        defined = set(re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE))
        assert defined <= named | set(re.findall(r"\]\[([^\]]+)\]", text)), f"{path.name}: a target nobody links to"
        assert not {name for name in named - defined if name.startswith("ADR-")}, f"{path.name}: a link without target"


def test_nothing_cites_a_document_that_is_not_here() -> None:
    """A stranger has this repository and public standards (an RFC with its section); nothing else can be cited."""
    places = [
        *DOCUMENTS,
        *(ROOT / "platform-api" / "src").rglob("*"),
        *(ROOT / "platform-api" / "tests").rglob("*.py"),
        *(ROOT / "terraform").glob("environments/*/*.tf*"),
    ]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in places
        if path.suffix in {".md", ".py", ".yaml", ".cedar", ".html", ".tf", ".tfvars"} and path != Path(__file__)
        for line in path.read_text().splitlines()
        if CITATION.search(line)
    ]
    assert not found, "cite a document of this repository: " + "; ".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "requirements §4, GOV1",
        "requirements section 3",
        "the roles (issue 2, item 6)",
        "hard floors (PICK)",
        "six factors (A10)",
        "limits (ARCH gates)",
        "see §14",
        "as the seed says",
    ],
)
def test_citations_of_absent_documents_are_recognised(line: str) -> None:
    assert CITATION.search(line)


@pytest.mark.parametrize(
    "line", ["RFC 9162 §2.1.1", "`requirements.lock` pins", "the seed of the generator", "issue a token"]
)
def test_what_a_stranger_can_look_up_is_no_such_citation(line: str) -> None:
    assert not CITATION.search(line)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_prose_fits_a_screen(path: Path) -> None:
    # reference pages are generated; the README shows output as it was printed
    if path.parent.name == "reference" or path == ROOT / "README.md":
        return
    # tables and commands cannot be wrapped
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL).splitlines()
    long = [line for line in prose if len(line) > LONGEST_LINE and not line.lstrip().startswith("|")]
    assert not long, f"wrap: {long[0][:80]}…"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_named_in_documents_exist(path: Path) -> None:
    text = path.read_text()
    if "Status: superseded" in text:
        # a decision that was replaced may name files that went with it
        return
    source = ROOT / "platform-api" / "src"
    bases = (ROOT, ROOT / "platform-api", source, source / "mlops_platform", source / "model_server")
    for named in re.findall(r"`([a-z_./-]+/[a-z_0-9]+\.(?:py|yaml|lock))`", text):
        assert any((base / named).exists() for base in bases), f"{named} does not exist"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_named_in_documents_exist(path: Path) -> None:
    # what stands alone between backticks, and what is typed at the beginning of a line of a block
    text = path.read_text()
    typed = re.findall(r"`mlops ([^`\n]+)`", text)
    for block in re.findall(r"```(?:bash|sh|shell)\n(.*?)```", text, flags=re.DOTALL):
        typed += re.findall(r"^(?:\$ )?(?:\S*/)?mlops (.+)$", block, flags=re.MULTILINE)
    for words in typed:
        command: Any = get_command(app)
        for word in words.split():
            # only a group has commands below it
            if not hasattr(command, "commands") or not re.fullmatch(r"[a-z][a-z-]+", word):
                break
            assert word in command.commands, f"mlops {words}: there is no '{word}'"
            command = command.commands[word]


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "architecture" / "adrs"
    index = (folder / "README.md").read_text()
    missing = [path.name for path in folder.glob("0*.md") if path.name not in index]
    assert not missing


def test_every_room_is_on_the_map() -> None:
    architecture = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    package = ROOT / "platform-api" / "src" / "mlops_platform"
    missing = [
        folder.name
        for folder in package.iterdir()
        if (folder / "__init__.py").exists() and f"{folder.name}/" not in architecture
    ]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_claims_to_be_compliant(path: Path) -> None:
    for sentence in re.split(r"(?<=[.!?])\s", path.read_text()):
        if "compliant" in sentence:
            assert "does not" in sentence or "not " in sentence, f"claim: {sentence}"
