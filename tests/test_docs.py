"""The documents beside the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def anchors(document: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_document_links_to_is_there(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", document.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        linked = document.parent / name if name else document
        assert linked.exists(), f"{link} is not there"
        assert not anchor or anchor in anchors(linked), f"{link}: there is no such heading"


def test_every_document_is_linked_to() -> None:
    texts = {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    for file in DOCUMENTS:
        linked = re.compile(rf"[(/]{re.escape(file.name)}[)#]")
        assert file.name == "README.md" or any(linked.search(text) for document, text in texts.items() if document != file), file.name
