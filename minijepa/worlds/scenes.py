"""Pictures of one object, questions about it, and their answers in words."""

import difflib
import os
import sys

import numpy as np

from minijepa.layers import Embedding, Linear, Mean
from minijepa.modules import Module
from minijepa.options import UserError
from minijepa.worlds.corpus import words

SIDE, SIZE, CELL = 12, 5, 6                  # pixels: of the picture, of an object, of a place
NOISE = 0.05                                 # σ of each channel of each pixel
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}
SHAPES = {"square": "..... .###. .###. .###. .....", "cross": "..#.. ..#.. ##### ..#.. ..#..",
          "ring": "..#.. .#.#. #...# .#.#. ..#..", "triangle": "..... ..#.. .###. ##### ....."}
PLACES = {"top left": (0, 0), "top right": (0, CELL), "bottom left": (CELL, 0),
          "bottom right": (CELL, CELL)}
MASKS = np.array([[list(row) for row in shape.split()] for shape in SHAPES.values()]) == "#"

# What is asked, how it is asked, and how it is answered
QUESTIONS = {
    "colour": ["what colour is the object", "which colour does it have", "what is its colour"],
    "shape": ["what shape is the object", "which shape does it have", "what is its shape"],
    "place": ["where is the object", "where is it", "in which corner is it"],
    "what": ["what is the object", "what is it", "what do you see"],
}
PHRASINGS = {
    "colour": ["{0}", "it is {0}", "its colour is {0}", "a {0} one"],
    "shape": ["{0}", "a {0}", "it is a {0}", "its shape is a {0}"],
    "place": ["{0}", "at the {0}", "it is {0}", "in the {0} corner"],
    "what": ["{0} {1}", "a {1}, {0}", "it is a {0} {1}", "the {1} is {0}"],
}
KINDS = list(QUESTIONS)
MEANINGS = [("colour", c) for c in COLOURS] + [("shape", s) for s in SHAPES] \
    + [("place", p) for p in PLACES] + [("what", c, s) for c in COLOURS for s in SHAPES]
ANSWERS = [[phrasing.format(*what) for phrasing in PHRASINGS[kind]] for kind, *what in MEANINGS]
TEXTS = [*sum(QUESTIONS.values(), []), *sum(ANSWERS, [])]
VOCABULARY = sorted({word for text in TEXTS for word in words(text)})
LONGEST = max(len(words(text)) for text in TEXTS)
NUMBER = {word: index for index, word in enumerate(VOCABULARY)}


def ids(texts):
    """Words' numbers of texts, or of lists of them: (..., LONGEST), −1 where there is no word."""
    if not isinstance(texts, str):
        return np.array([ids(text) for text in texts])
    numbers = [NUMBER[word] for word in words(texts)]
    return np.array(numbers + [-1] * (LONGEST - len(numbers)))


QUESTION_IDS, ANSWER_IDS = ids(QUESTIONS.values()), ids(ANSWERS)  # (4, 3, T) and (28, 4, T)


def ids_asked(question):
    """The words' numbers of a question (T,), if QUESTIONS has all of them. Raises UserError."""
    known = sorted({word for texts in QUESTIONS.values() for text in texts for word in words(text)})
    asked = words(question)
    if not asked:
        raise UserError(f"a question needs a word; {question!r} has none")
    for word in asked:
        if word not in known:
            close = difflib.get_close_matches(word, known, 1, cutoff=0)[0]
            raise UserError(f"the model has never seen the word {word!r} in a question; "
                            f"the closest it knows is {close!r}")
    return np.array([NUMBER[word] for word in asked])


class Text(Module):
    """A text as one latent: the mean of its words' embeddings, and a linear map of it.

    ids (..., T), −1 where there is no word  ->  (..., E); backward returns None.
    """

    def __init__(self, width, rng, dtype):
        self.embedding = Embedding(len(VOCABULARY), width, rng, dtype)
        self.mean, self.linear = Mean(), Linear(width, width, rng, dtype)

    def forward(self, ids):
        rows = ids.reshape(-1, ids.shape[-1])                                  # (N, T)
        embedded, embedding_backward = self.embedding.forward(np.maximum(rows, 0))     # (N, T, E)
        mean, mean_backward = self.mean.forward(embedded, rows >= 0)           # (N, E)
        y, linear_backward = self.linear.forward(mean)

        def backward(dy):
            embedding_backward(mean_backward(linear_backward(dy.reshape(y.shape))))

        return y.reshape(*ids.shape[:-1], -1), backward


def meanings(objects):
    """The right answer to each kind of question: (..., 3)  ->  (..., 4), numbers in MEANINGS."""
    colour, shape, place = np.moveaxis(objects, -1, 0)
    return np.stack([colour, 4 + shape, 8 + place, 12 + 4 * colour + shape], axis=-1)


def like_nearest(pictures, known, objects):
    """The answers about the known picture (M, D) that is nearest in pixels: (N, D)  ->  (4, N)."""
    squares = (known**2).sum(axis=1) - 2 * pictures @ known.T                  # (N, M)
    return meanings(objects[squares.argmin(axis=1)]).T


def objects_of(pairs, count, rng):
    """Random objects of these pairs (P, 2): (count, 3), a colour, a shape and a place each."""
    pair, place = rng.integers(len(pairs), size=count), rng.integers(4, size=count)
    return np.column_stack([pairs[pair], place])


def photograph(objects, shifts, pale, rng, dtype):
    """Pictures of objects (N, 3), shifted in their places by shifts (N, 2): (N, SIDE²·3).

    pale: the value of the channels that a colour lacks.
    """
    colour, shape, place = objects.T
    channels = np.maximum(list(COLOURS.values()), pale)[colour]                # (N, 3)
    corner = np.array(list(PLACES.values()))[place] + shifts                   # (N, 2)
    pixels = NOISE * rng.standard_normal((len(objects), SIDE, SIDE, 3), np.float32)
    row, column = (corner[:, axis, None] + np.arange(SIZE) for axis in (0, 1))  # (N, SIZE)
    n = np.arange(len(objects))[:, None, None]
    pixels[n, row[:, :, None], column[:, None, :]] += \
        MASKS[shape][..., None] * channels[:, None, None, :]
    return pixels.reshape(len(objects), -1).astype(dtype)


def streams(count, length, change, rng):
    """Objects that drift, and now and then another comes: (length, count, 3), shifts (…, 2)."""
    every_pair = np.argwhere(np.ones((4, 4)))
    objects = objects_of(every_pair, length * count, rng).reshape(length, count, 3)
    comes = rng.random((length, count)) < change
    comes[0] = True
    since = np.maximum.accumulate(np.where(comes, np.arange(length)[:, None], 0), axis=0)
    drift = np.cumsum(rng.random((length, count, 2)) < change, axis=0)
    return objects[since, np.arange(count)], drift % (CELL - SIZE + 1)


def drawn(picture, in_colour=None):
    """A picture as text: coloured blocks on a terminal, else a letter for each bright pixel."""
    if in_colour is None:
        in_colour = (sys.stdout or sys.stderr).isatty() and "NO_COLOR" not in os.environ
    pixels = picture.reshape(SIDE, SIDE, 3)
    if in_colour:
        def block(pixel):
            return "\033[48;2;{};{};{}m  \033[0m".format(*(255 * np.clip(pixel, 0, 1)).astype(int))
    else:
        bright = pixels[pixels.max(axis=2) > 0.6].mean(axis=0)
        pure = np.array(list(COLOURS.values()))
        near = np.abs((bright > (bright.max() + bright.min()) / 2) - pure).sum(axis=1).argmin()

        def block(pixel):
            return list(COLOURS)[near][0] + " " if pixel.max() > 0.6 else "· "
    return "\n".join("".join(map(block, row)).rstrip() for row in pixels)
