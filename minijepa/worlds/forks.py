"""Pictures of a ball that comes to a fork, and where it may go from there."""

import numpy as np

WIDTH, BALL = 16, 1.5                        # pixels of a picture's side, of the ball's σ
SEEN = np.array([4.0, 2.0])                  # pixels before the fork, in the two pictures
UPWARD, SLANT, SHIFT = -np.pi / 2, 0.2, 1.0  # its course, in radians; where the fork is, in pixels
BEYOND, WIDEST = 5.5, 1.2                    # pixels beyond the fork; radians to either side


def along(angle):
    """A step of one pixel: (...)  ->  (..., 2), its column and row."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def forks(count, ways, rng):
    """Where the ball is seen (B, 2, 2), twice, and where each way takes it (ways, B, 2)."""
    fork = WIDTH / 2 + rng.uniform(-SHIFT, SHIFT, (count, 2))
    course = UPWARD + rng.uniform(-SLANT, SLANT, count)
    turns = np.linspace(-WIDEST, WIDEST, ways) if ways > 1 else np.zeros(1)
    seen = fork[:, None] - SEEN[:, None] * along(course)[:, None]
    return seen, fork + BEYOND * along(course + turns[:, None])


def picture(place, dtype):
    """The ball at each place (..., 2), as a picture (..., WIDTH²): exp(−distance² / 2σ²)."""
    at = np.arange(WIDTH) + 0.5
    column, row = (np.exp(-(place[..., axis, None] - at) ** 2 / (2 * BALL**2)) for axis in (0, 1))
    return (row[..., :, None] * column[..., None, :]).reshape(*place.shape[:-1], -1).astype(dtype)


def brightest(pixels):
    """The middle of the brightest pixel of a picture (WIDTH²): its column and row."""
    row, column = divmod(int(pixels.argmax()), WIDTH)
    return np.array([column, row]) + 0.5


def drawn(marks):
    """Text, a line for each row of a picture: [(place, letter), …], what comes later on top."""
    rows = [["·"] * WIDTH for _ in range(WIDTH)]
    for place, letter in marks:
        column, row = np.clip(place, 0, WIDTH - 1).astype(int)
        rows[row][column] = letter
    return "\n".join(map(" ".join, rows))
