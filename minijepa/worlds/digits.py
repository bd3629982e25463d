"""Handwritten digits with stripes: how much ink there is can be known, where it is bright cannot.

digits.npz holds 1,797 real digits of 8×8 pixels; digits.txt says whose, and how it was made.
"""

import os

import numpy as np

SIDE = 4                                     # blocks in a row, and pixels in a block's row
PLACES = PIXELS = SIDE * SIDE                # blocks of a digit, pixels of a block
COVERED = PLACES // 2                        # blocks that are hidden
CARD = 1                                     # what each pixel of the card shows that covers them
CELL = 2                                     # side of a cell: what was one pixel of the digit
STRIPE = np.add.outer(np.arange(SIDE), np.arange(SIDE)).ravel() % 4            # of each pixel


def read_digits():
    """Images (N, 8, 8) of whole numbers from 0 to 16, and labels (N,) from 0 to 9."""
    path = os.path.join(os.path.dirname(__file__), "digits.npz")
    with np.load(path, allow_pickle=False) as file:
        return file["images"], file["labels"]


def cut(images):
    """Images (N, 16, 16)  ->  their blocks (N, PLACES, PIXELS), row by row."""
    rows = images.reshape(-1, SIDE, SIDE, SIDE, SIDE)
    return rows.transpose(0, 1, 3, 2, 4).reshape(-1, PLACES, PIXELS)


def join(blocks):
    """Blocks (N, PLACES, PIXELS)  ->  images (N, 16, 16): what `cut` has cut."""
    return cut(blocks).reshape(-1, SIDE * SIDE, SIDE * SIDE)


def enlarge(images):
    """Digits (N, 8, 8)  ->  the ink of their blocks, from 0 to 1: each pixel is a cell of 2×2."""
    return cut(images.repeat(CELL, axis=1).repeat(CELL, axis=2) / 16)


def stripe(ink, rng, q, noise=0):
    """What is seen of ink (N, PLACES, PIXELS): ink · cos(φ + stripe·π/2), with a φ for each block.

    φ is random with probability q, else 0. The mean of cos² over a cell is 1/2, whatever φ is: its
    energy, the mean of pixel², tells the ink. Noise is normal, of this standard deviation.
    """
    shape = (*ink.shape[:-1], 1)
    phase = np.where(rng.random(shape) < q, rng.uniform(0, 2 * np.pi, shape), 0)
    waves = np.cos(phase + np.arange(4) * np.pi / 2)                           # (N, PLACES, 4)
    blocks = ink * waves.astype(ink.dtype)[..., STRIPE]
    if noise > 0:
        blocks += noise * rng.standard_normal(ink.shape, ink.dtype)
    return blocks


def cover(blocks, rng):
    """Cover half of each digit's blocks: x (N, PLACES, PIXELS), y (K, N, PIXELS), places (K, N)."""
    order, each = rng.random(blocks.shape[:2]).argsort(axis=1), np.arange(len(blocks))
    places = order[:, :COVERED].T
    x = blocks.copy()
    x[each, places] = CARD
    return x, blocks[each, places], places


def ink_of(blocks):
    """The ink of blocks (..., PIXELS), whatever their phase: √(2 · mean of pixel²)."""
    return np.sqrt(2 * (blocks * blocks).mean(axis=-1))


def ink_of_cells(blocks):
    """The same of the 64 cells of digits: (N, PLACES, PIXELS)  ->  (N, 64)."""
    cells = blocks.reshape(-1, PLACES, SIDE // CELL, CELL, SIDE // CELL, CELL).swapaxes(3, 4)
    return ink_of(cells.reshape(len(blocks), -1, CELL * CELL))
