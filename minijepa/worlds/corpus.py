"""A reader's own text: a file of sentences. Nothing to learn here."""

import hashlib
import unicodedata
from dataclasses import dataclass

from minijepa.options import UserError

HELD_OUT = 5                                 # one sentence in five is held out


def words(text):
    """Lower-cased words, punctuation dropped: "Don't stop." -> ["don't", "stop"].

    Letters, the marks that belong to them and digits make words, in any script; an apostrophe
    or a hyphen only inside one.
    """
    kind = unicodedata.category  # L letter, M mark, N number; Cf invisible joiner
    kept = "".join(
        letter if kind(letter)[0] in "LMN" or letter in "'’-"
        else "" if kind(letter) == "Cf" else " "
        for letter in text.lower()
    )
    found = []
    for part in unicodedata.normalize("NFC", kept).replace("--", " ").split():     # -- is a dash
        begin = next((i for i, letter in enumerate(part) if kind(letter)[0] in "LN"), len(part))
        found.append(part[begin:].rstrip("'’-"))
    return [word for word in found if word]


@dataclass(frozen=True)
class Corpus:
    """A reader's sentences; its digest tells it from another one, wherever the file lies."""

    sentences: list
    digest: str


def read_corpus(path):
    """The sentences of a UTF-8 file, one a line. Blank lines are skipped, repeated count once."""
    if isinstance(path, Corpus):
        return path
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, TypeError, ValueError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else \
            getattr(error, "strerror", None) or error
        raise UserError(f"cannot read the corpus {path}: {reason}") from None
    if "\0" in text:
        raise UserError(f"cannot read the corpus {path}: it is binary, not text")
    sentences = {}
    for number, line in enumerate(text.splitlines(), 1):
        sentence = words(line)
        if len(sentence) == 1:
            raise UserError(f"{path}, line {number}: a sentence needs at least two words, one to "
                            f"hide and one to see; this line has only {sentence[0]!r}")
        if sentence:
            sentences[tuple(sentence)] = None
    if len(sentences) < HELD_OUT:
        raise UserError(f"the corpus {path} is too small to hold one in {HELD_OUT} out: wanted at "
                        f"least {HELD_OUT} different sentences, it has {len(sentences)}")
    lines = "\n".join(" ".join(sentence) for sentence in sentences)
    return Corpus(list(sentences), hashlib.sha256(lines.encode()).hexdigest())
