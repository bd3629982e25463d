"""Films of a ball that rolls behind a chair: what physics allows, and what it forbids."""

from dataclasses import dataclass

import numpy as np

WIDTH, BALL, LAMPS = 24, 3, 4                # pixels, pixels, lamps
CHAIR = slice(9, 15)                         # the pixels that it covers
LEFT, RIGHT = BALL / 2, WIDTH - BALL / 2     # where the ball's middle turns back
SLOWEST, FASTEST = 0.6, 1.4                  # pixels a frame
LATE, AHEAD_OF = 3, 2                        # frames, pixels: by which impossible films are wrong
FRAME, WINDOW, AHEAD = WIDTH + LAMPS, 3, 12  # numbers in a frame; frames seen; windows ahead


@dataclass
class Films:
    """N films of T frames: what is seen, and the truth behind it, which only probes are told."""

    frames: np.ndarray       # (N, T, FRAME)
    position: np.ndarray     # (N, T) of the ball's middle, in pixels
    velocity: np.ndarray     # (N, T) in pixels a frame

    @property
    def windows(self):
        """(N, T − 2, 3·FRAME): the frames t, t + 1, t + 2 side by side."""
        T = self.frames.shape[1]
        return np.concatenate([self.frames[:, i:T - WINDOW + 1 + i] for i in range(WINDOW)], axis=2)

    @property
    def hidden(self):
        """(N, T): whether all of the ball is behind the chair."""
        return is_behind(self.position)

    def in_windows(self):
        """Of each window (N, T − 2): is the ball seen in every frame of it; is it in none?"""
        hidden = np.lib.stride_tricks.sliding_window_view(self.hidden, WINDOW, axis=1)
        return ~hidden.any(axis=2), hidden.all(axis=2)


def is_behind(position):
    return (position >= CHAIR.start + BALL / 2) & (position <= CHAIR.stop - BALL / 2)


def roll(count, length, rng):
    """How `count` balls roll: position and velocity, each (N, T)."""
    start = rng.uniform(LEFT, RIGHT, count)
    speed = rng.uniform(SLOWEST, FASTEST, count) * rng.choice([-1, 1], count)
    # A ball that bounces in a box is one that rolls straight on in a row of mirrored boxes
    box = RIGHT - LEFT
    rolled = (start[:, None] - LEFT + speed[:, None] * np.arange(length)) % (2 * box)  # (N, T)
    velocity = speed[:, None] * np.where(rolled < box, 1, -1)
    return LEFT + np.minimum(rolled, 2 * box - rolled), velocity


def shoot(position, velocity, rng, q, dtype=np.float32):
    """The films of balls that roll so."""
    pixel, middle = np.arange(WIDTH), position[:, :, None]                     # (N, T, 1)
    covered = np.minimum(pixel + 1, middle + BALL / 2) - np.maximum(pixel, middle - BALL / 2)
    strip = np.clip(covered, 0, 1)                                             # (N, T, WIDTH)
    strip[:, :, CHAIR] = 0
    lamps = rng.integers(0, 2, (*position.shape, LAMPS))
    if q > 0:                                          # one sign for the whole ball
        strip *= np.where(rng.random(middle.shape) < q, rng.choice([-1, 1], middle.shape), 1)
    return Films(np.concatenate([strip, lamps], axis=2).astype(dtype), position, velocity)


def passing(films):
    """Films in which the ball, seen at first, goes behind the chair once, and comes out of it.

    Their numbers (n,), and for each the frame in which the ball is hidden first, and that in which
    it is back: so early that it would be back by the end were it LATE.
    """
    hidden = films.hidden
    enters = np.where(hidden.any(axis=1), hidden.argmax(axis=1), -1)           # (N,)
    after = np.arange(hidden.shape[1]) > enters[:, None]
    leaves = (after & ~hidden).argmax(axis=1)
    passes = (enters >= WINDOW) & (leaves > enters + 2) & ~hidden[:, -1 - LATE:].any(axis=1)
    passes &= hidden.sum(axis=1) == leaves - enters    # once
    return np.flatnonzero(passes), enters[passes], leaves[passes]


def impossible(position, velocity, enters, leaves):
    """{kind: position (n, T)}: as it was until the ball is hidden, then not as physics says."""
    n, T = position.shape
    frame, row = np.arange(T), np.arange(n)[:, None]
    middle = (CHAIR.start + CHAIR.stop) / 2
    late = np.maximum(frame - LATE, np.minimum(frame, enters[:, None]))        # it waits behind it
    forward = position + AHEAD_OF * np.sign(velocity)
    forward = np.minimum(np.maximum(forward, 2 * LEFT - forward), 2 * RIGHT - forward)
    changed = {
        "comes back": 2 * middle - position,
        "never comes": np.full_like(position, middle),
        f"{LATE} frames late": position[row, late],
        f"{AHEAD_OF} px ahead": np.where(frame >= leaves[:, None], forward, position),
    }
    begun = frame >= enters[:, None]
    return {kind: np.where(begun, other, position) for kind, other in changed.items()}


def pairs(films, seed, q):
    """{kind: films that pass}: "possible", and impossible ones with the same lamps and glitter.

    They differ in where the ball is, and only from where it is hidden on.
    """
    numbers, enters, leaves = passing(films)
    possible, velocity = films.position[numbers], films.velocity[numbers]
    kinds = {"possible": possible, **impossible(possible, velocity, enters, leaves)}
    return {kind: shoot(position, position, np.random.default_rng(seed), q, films.frames.dtype)
            for kind, position in kinds.items()}
