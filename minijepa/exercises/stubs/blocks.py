"""A mask of blocks: cover half of each digit's blocks, and say which (I-JEPA's question).

    blocks (N, 16, P)  ->  x (N, 16, P): the same, with CARD on COVERED blocks of each digit
                           y (COVERED, N, P): these blocks, as they were
                           places (COVERED, N): which they are, from 0 to 15

Each digit gets its own random choice of COVERED different places, any as likely as another; and
y[k, n] is the block that stood at places[k, n] of digit n. Work out how to draw N choices without
repetition at once: what does sorting random numbers give?

The check looks at: shapes; that x, y and places belong together; that blocks stays as it was; that
places differ in a digit and between digits, and are drawn from rng, evenly.
"""

import numpy as np

from minijepa.worlds.digits import CARD, COVERED


def cover(blocks, rng):
    raise NotImplementedError("your turn")
