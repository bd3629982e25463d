"""Cosine retrieval: which words are nearest to a prediction?

    cos(a, b) = a·b / (|a| |b|)

    cosine_similarity: a (N, L), b (V, L)  ->  (N, V), every row of a with every row of b
    retrieve: predictions (N, L), latents (V, L)  ->  ids (N, count), the rows of latents nearest
              to each prediction by cosine, the best first

There is no gradient here: this is how a JEPA is asked what it predicts. Work out how to scale the
rows once, so that one matrix product gives all N·V cosines; and what a row of zeros should give: it
points nowhere, so its cosine with anything is 0, and not NaN. (TINY, the smallest normal number of
float32, stands in for a zero that would be divided by.)

The check looks at: the cosines against a plain loop, for rows from tiny to large and rows of zeros,
in float64 and float32; the ids and their order, for several counts; and that the inputs are left as
they were.
"""

import numpy as np

from minijepa.gauges import TINY


def cosine_similarity(a, b):
    raise NotImplementedError("your turn")


def retrieve(predictions, latents, count=1):
    raise NotImplementedError("your turn")
