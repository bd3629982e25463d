"""InfoNCE, in both directions: which target belongs to which prediction? The forward is given.

    u = ŝ / |ŝ|,  v = s / |s|  (N, L)      logits_ij = u_i·v_j / temperature  (N, N)
    across = cross-entropy of softmax over j,  down = of softmax over i; the right one is on the
    diagonal;  loss = (across + down) / 2

    prediction, target (N, L)  ->  loss, and backward(dloss) -> (dprediction, dtarget)

All backwards are at hand: `across_backward(d)[0]` is the gradient toward logits for an upstream
gradient d, `down_backward(d)[0]` that toward logits.T; `u_backward(du)` goes back through the
division by the length. Work out how the two meet in dlogits, and from logits = u vᵀ / temperature
what du and dv are.

The check looks at: both gradients, for several N and temperatures, and for a dloss other than 1.
"""

import numpy as np

from minijepa.losses import cross_entropy, unit


def infonce(prediction, target, temperature=0.07):
    (u, u_backward), (v, v_backward) = unit(prediction), unit(target)          # (N, L) each
    logits, right = u @ v.T / temperature, np.eye(len(u), dtype=u.dtype)       # (N, N)
    across, across_backward = cross_entropy(logits, right)
    down, down_backward = cross_entropy(logits.T, right)

    def backward(dloss=1):
        raise NotImplementedError("your turn")

    return (across + down) / 2, backward
