"""Selective decoding: words are looked up only when what is predicted has moved (VL-JEPA)."""

import numpy as np

from minijepa import options

THRESHOLD = 0.3                              # between latents of length 1; fixed beforehand
THRESHOLDS = [0.1, THRESHOLD, 0.5, 0.7, 0.9]
EVERY = [1, 4, 13]                           # frames
TRIES, LACKING = 40, 0.005                   # thresholds tried with hindsight; of the score


def unit(latents):
    """Each latent over its length."""
    return latents / np.maximum(np.linalg.norm(latents, axis=-1, keepdims=True), 1e-12)


def when_moved(latents, threshold):
    """The frame that was decoded last: latents (T, N, L)  ->  (T, N), numbers of frames.

    A frame is decoded where its latent is further than the threshold from the last one decoded.
    """
    last, held = latents[0], np.zeros(latents.shape[:2], int)
    for t in range(1, len(latents)):
        moved = np.linalg.norm(latents[t] - last, axis=-1) > threshold         # (N,)
        last = np.where(moved[:, None], latents[t], last)
        held[t] = np.where(moved, t, held[t - 1])
    return held


def when_changed(truth):
    """The frame since when the right answer is what it is: (T, N)  ->  (T, N)."""
    frame, changed = np.arange(len(truth))[:, None], np.ones_like(truth, bool)
    changed[1:] = truth[1:] != truth[:-1]
    return np.maximum.accumulate(np.where(changed, frame, 0), axis=0)


def compare(found, truth, latents, others):
    """Rows {rule, what, decodings, score} for each rule of when to decode.

    found, truth (T, N): the answer decoded at each frame, and the right one; latents (T, N, L) are
    watched; others: {what: (T, N, D)}, watched in their place, their thresholds chosen with
    hindsight as the one of the fewest decodings that is within half a point of every frame.
    """
    frame = np.arange(len(found))[:, None]

    def row(rule, what, held):
        said = np.take_along_axis(found, held, axis=0)
        return {"rule": rule, "what": what, "decodings": int((held == frame).sum()),
                "score": float(np.mean(said == truth))}

    rows = [row("every", f"every {n}th frame" if n > 1 else "every frame",
                np.broadcast_to(frame - frame % n, found.shape)) for n in EVERY]
    rows += [row("moved", f"predicted latent moved by {threshold}"
                 + " (beforehand)" * (threshold == THRESHOLD),
                 when_moved(unit(latents), threshold)) for threshold in THRESHOLDS]
    for what, watched in others.items():
        watched = unit(watched)
        tried = [row(what, f"{what} moved (threshold by hindsight)",
                     when_moved(watched, threshold)) for threshold in np.geomspace(0.05, 2, TRIES)]
        good = [each for each in tried if each["score"] >= rows[0]["score"] - LACKING]
        rows.append(min(good or tried, key=lambda each: each["decodings"]))
    return [*rows, row("changed", "at each true change (the ceiling)", when_changed(truth))]


def numbers(rows):
    """{what: {decodings, score}} of the rows."""
    return {row["what"]: {key: row[key] for key in ("decodings", "score")} for row in rows}


def table(numbers):
    """How often words are looked up by each rule, and how often what was said last is right."""
    columns = {"decodings": ("decodings", "d"), "score": ("right", ".4f")}
    return options.table("words are looked up", numbers, columns)


def plot(axes, rows):
    """Decodings against score, a line for each rule."""
    for rule, label in {"every": "every n-th frame", "moved": "predicted latent moved",
                        "s_x": "s_x moved", "pixels": "pixels moved",
                        "changed": "at each true change"}.items():
        own = [row for row in rows if row["rule"] == rule]
        axes.plot([row["decodings"] for row in own], [row["score"] for row in own], label=label)
    axes.set(xscale="log", xlabel="decodings", ylabel="frames with the right answer",
             title="words are looked up only when the latent has moved")
    axes.set_xticks([200, 600, 2000, 6000], ["200", "600", "2,000", "6,000"])
    axes.minorticks_off()
