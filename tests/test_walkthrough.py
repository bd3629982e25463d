"""walkthrough.md and README.md: all that they show is run and compared (documents.py says how)."""

import functools
import re

import pytest
from documents import CHECKS, ROOT, Document

from minijepa.worlds import WORLDS


@functools.cache
def document(name):
    return Document(ROOT / name)


@pytest.mark.parametrize("name", [
    "README.md", pytest.param("walkthrough.md", marks=pytest.mark.slow)])  # it trains for minutes
@pytest.mark.parametrize("check", CHECKS)
def test_the_document_is_true(name, check):
    wrong = list(getattr(document(name), check)())
    assert not wrong, "\n".join(wrong)


def test_the_readme_begins_with_the_two_commands():
    blocks = [block.text.strip() for block in document("README.md").blocks
              if block.language == "sh"]
    install, tests = [block for block in blocks if block.startswith("python3 -m venv")]
    assert install.endswith("-m minijepa.train") and tests.endswith("-m pytest")


def test_the_readme_names_the_seconds_that_the_worlds_do():
    text = document("README.md").text
    rows = re.findall(r"\| `(train \w+|train|plan)(?: --ways 3)?` \| (\d+) \|", text)
    named = {{"train": "words", "plan": "rooms"}.get(what, what[6:]): int(seconds)
             for what, seconds in rows}
    assert named == {name: world.seconds for name, world in WORLDS.items()}


def test_the_walkthrough_is_two_evenings_long():
    first, *further = document("walkthrough.md").text.split("\n## 10 ")
    assert 7000 <= len(first.split()) <= 11400 and len("".join(further).split()) <= 6500


def test_the_walkthrough_shows_its_pictures_and_answers():
    text = document("walkthrough.md").text
    assert "![" in text or "<img" in text
    assert "<details>" in text
