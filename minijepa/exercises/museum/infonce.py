import numpy as np

from minijepa.exercises.checks import B, E, Gradients

TITLE = "InfoNCE: both directions"
SOURCE = "minijepa.losses:infonce"
HINTS = """
The loss is half of each direction: both backwards are given dloss / 2. The second gives a gradient
toward logits.T, so transpose it before the two are added.

logits = u vᵀ / temperature is a matrix product as in Linear: du = dlogits @ v / temperature, dv =
dlogits.T @ u / temperature. Then each goes through its own unit's backward.
"""
MISTAKES = r"""
### down's gradient is that of logits.T: it should be transposed before the two are added
down_backward(half)[0].T => down_backward(half)[0]
### only the direction across is used: the loss has both
 + down_backward(half)[0].T =>
### only the direction down is used: the loss has both
across_backward(half)[0] + =>
### across is counted twice, and down not at all
down_backward(half)[0].T => across_backward(half)[0]
### the half is missing: the loss is the mean of the two directions
half = float(dloss) / 2 => half = float(dloss)
### it is halved once too often
half = float(dloss) / 2 => half = float(dloss) / 4
### dloss is left out
half = float(dloss) / 2 => half = 0.5
### down's gradient is subtracted
 + down_backward => - down_backward
### it is not divided by the temperature, in du and in dv
u_backward(dlogits @ v / temperature), v_backward(dlogits.T @ u / temperature)
=> u_backward(dlogits @ v), v_backward(dlogits.T @ u)
### du is not divided by the temperature
dlogits @ v / temperature => dlogits @ v
### dv is not divided by the temperature
dlogits.T @ u / temperature => dlogits.T @ u
### it is multiplied by the temperature, and should be divided
u_backward(dlogits @ v / temperature), v_backward(dlogits.T @ u / temperature)
=> u_backward(dlogits @ v * temperature), v_backward(dlogits.T @ u * temperature)
### dv is made of dlogits: it is dlogits.T @ u, since v is transposed in the product
dlogits.T @ u => dlogits @ u
### du is made of dlogits.T: it is dlogits @ v
dlogits @ v / => dlogits.T @ v /
### u and v are exchanged: du is made of v, and dv of u
dlogits @ v / temperature), v_backward(dlogits.T @ u
=> dlogits @ u / temperature), v_backward(dlogits.T @ v
### u's backward is left out: the division by the length has a gradient too
u_backward(dlogits @ v / temperature) => (dlogits @ v / temperature)
### v's backward is left out: the division by the length has a gradient too
v_backward(dlogits.T @ u / temperature) => (dlogits.T @ u / temperature)
### both units' backwards are left out: the division by the length has a gradient too
u_backward(dlogits @ v / temperature), v_backward(dlogits.T @ u / temperature)
=> dlogits @ v / temperature, dlogits.T @ u / temperature
### u's and v's backwards are exchanged
u_backward(dlogits @ v / temperature), v_backward
=> v_backward(dlogits @ v / temperature), u_backward
### prediction and target stand where the units belong, in the products
u_backward(dlogits @ v / temperature), v_backward(dlogits.T @ u / temperature)
=> u_backward(dlogits @ target / temperature), v_backward(dlogits.T @ prediction / temperature)
### the target gets no gradient: it is in the logits too
v_backward(dlogits.T @ u / temperature) => 0 * target
### the two gradients are returned in the wrong order: prediction's first
return u_backward(dlogits @ v / temperature), v_backward(dlogits.T @ u / temperature)
=> return v_backward(dlogits.T @ u / temperature), u_backward(dlogits @ v / temperature)
"""


def cases():
    rng = np.random.default_rng(0)
    for N, temperature in (B, 0.5), (2, 0.2), (B, 1.7):
        prediction, target = rng.standard_normal((2, N, E))
        yield Gradients(f"infonce, {N} latents, temperature = {temperature}", lambda module,
                        t=temperature: lambda p, s: module.infonce(p, s, t), prediction, target,
                        sizes={"number of latents": N, "feature size": E})
