import numpy as np

from minijepa.exercises.checks import Case
from minijepa.worlds.digits import CARD, COVERED

TITLE = "a mask of blocks: what is covered, and where"
SOURCE = "minijepa.worlds.digits:cover"
HINTS = """
rng.random((N, 16)).argsort(axis=1) has in each row the numbers from 0 to 15 in a random order: the
first COVERED of a row are a fair choice. Transposed, they are places.

blocks[each, places], with each = np.arange(N), takes for every k and n the block places[k, n] of
digit n. x[each, places] = CARD covers them, in a copy.
"""
MISTAKES = r"""
### blocks itself is covered: x should be a copy
x = blocks.copy() => x = blocks
### y is taken after the blocks are covered: it is all CARD
return x, blocks[each, places], => return x, x[each, places],
### all digits have the same places: each should have its own choice
order[:, :COVERED].T => np.repeat(order[:1, :COVERED], len(blocks), axis=0).T
### a place may be drawn twice for one digit: they should all differ
order[:, :COVERED].T => rng.integers(blocks.shape[1], size=(COVERED, len(blocks)))
### the places are always the same: they should be drawn
order[:, :COVERED].T => np.sort(order, axis=1)[:, :COVERED].T
### the places are drawn from a generator of its own, and not from rng
order, each = rng => order, each = np.random.default_rng()
# or
order, each = rng => order, each = np.random.default_rng(0)
### the axes of places are exchanged: (COVERED, N)
return x, blocks[each, places], places => return x, blocks[each, places], places.T
### the axes of y are exchanged: (COVERED, N, P)
blocks[each, places], places => blocks[each, places].swapaxes(0, 1), places
### the covered blocks are 0, and not CARD
x[each, places] = CARD => x[each, places] = 0 * CARD + 0.123
### too many or too few blocks are covered: COVERED of them
order[:, :COVERED] => order[:, :COVERED - 1]
# or
order[:, :COVERED] => order[:, :COVERED + 1]
# or
order[:, :COVERED] => order
### y are the blocks that are left, and not those that are covered
blocks[each, places], places => blocks[each, order[:, COVERED:].T], places
### places are those of the blocks that are left
places], places => places], order[:, COVERED:].T
### x shows the covered blocks, and covers the others
x[each, places] = CARD => x[each, order[:, COVERED:].T] = CARD
### nothing is covered
x[each, places] = CARD => pass
### everything is covered in all digits: x[each, places] covers each digit's own places
x[each, places] = CARD => x[:, places] = CARD
### y belongs to other digits: blocks[each, places] takes those of digit n
blocks[each, places], places => blocks[each[::-1], places], places
### the places stand in the order of a digit, and y does not
places], places => places], np.sort(places, axis=0)
"""


def cases():
    blocks = np.random.default_rng(0).standard_normal((400, 16, 3))

    def look(module):
        mine, rng = blocks.copy(), np.random.default_rng(1)
        x, y, places = module.cover(mine, rng)
        shapes = str([np.shape(each) for each in (x, y, places)])
        seen = {"the shapes of x, y and places": shapes,
                "blocks is written into, and should stay as it was":
                not np.array_equal(mine, blocks),
                "the places are not drawn from rng": bool(
                    np.random.default_rng(1).random() == rng.random() or not np.array_equal(
                        places, module.cover(blocks.copy(), np.random.default_rng(1))[2]))}
        if shapes == str([blocks.shape, (COVERED, 400, 3), (COVERED, 400)]):
            seen.update(contents(x, y, places))
        return seen

    def contents(x, y, places):
        rows, covered = np.asarray(places).T, (x == CARD).all(axis=2)          # (N, K), (N, 16)
        often = np.bincount(rows.ravel().astype(int) % 16, minlength=16)
        there = blocks[np.arange(400), np.clip(places, 0, 15).astype(int)]
        return {
            "a place occurs twice in a digit": bool((np.diff(np.sort(rows)) == 0).any()),
            "all digits have the same places": bool((np.sort(rows) == np.sort(rows[0])).all()),
            "some places are covered more often than others": bool(np.abs(often - 200).max() > 60),
            "how many blocks of x are CARD": int(covered.sum()),
            "what is covered in x is not what places says": bool(
                not np.take_along_axis(covered, rows, 1).all()),
            "what is not covered in x is not as it was": bool((x != blocks)[~covered].any()),
            "y is not the blocks at places, as they were": not np.array_equal(y, there), "_y": y}

    yield Case("cover", look)
