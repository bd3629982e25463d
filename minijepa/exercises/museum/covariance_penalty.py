import numpy as np

from minijepa.exercises.museum.variance_hinge import alone, penalty

TITLE = "the covariance penalty: no dimension twice"
SOURCE = "minijepa.losses:covariance_penalty"
HINTS = """
The derivative of C_ij² / L by C_ij is 2·C_ij / L; on the diagonal, which the loss does not see, it
is 0. off_diagonal has those zeros already.

centred_ni is in C_ij and in C_ji, for every j. The two are equal, so the gradient of one is counted
twice.

dcentred_ni = 2 · Σ_j dC_ij · centred_nj / (N − 1): a matrix product of centred (N, L) with a matrix
(L, L).

centred @ off_diagonal, times 4 · dloss / (L·(N − 1)). One 2 is that of the square, the other that
of the pair.
"""
MISTAKES = r"""
### the diagonal is left in: the loss does not see the variances
return centred @ off_diagonal => return centred @ (centred.T @ centred / (N - 1))
### only the diagonal is taken: the loss does not see the variances
return centred @ off_diagonal => return centred @ np.diag(np.diag(centred.T @ centred / (N - 1)))
### both factors 2 are missing: that of the square, and that of the pair
(4 * => (
### one factor 2 is missing: C is made of centred twice, or the 2 of the square
(4 * => (2 *
### a factor 2 too many: one is that of the square, one that of the pair
(4 * => (8 *
### C is divided by N − 1 in the forward, and by N here
/ (L * (N - 1))) => / (L * N))
### it is not divided by N − 1 here, as C is in the forward
/ (L * (N - 1))) => / L)
### it is divided by N − 1 twice: off_diagonal has it already once, and needs it once more
/ (L * (N - 1))) => / (L * (N - 1)**2))
### it is not divided by L, as the forward is
/ (L * (N - 1))) => / (N - 1))
### it is divided neither by L nor by N − 1
/ (L * (N - 1))) => )
### it is divided by L·(L − 1), the number of pairs, where the forward divides by L
/ (L * (N - 1))) => / (L * (L - 1) * (N - 1)))
### it is divided by L²
/ (L * (N - 1))) => / (L * L * (N - 1)))
### the latents stand where centred belongs: their mean was taken away first
return centred @ => return latents @
### the derivative of C² is taken as C²: it is 2·C
@ off_diagonal * => @ off_diagonal**2 *
# or
@ off_diagonal * (4 * => @ off_diagonal**2 * (2 *
### |C| stands where C belongs: the sign is lost
@ off_diagonal * => @ np.abs(off_diagonal) *
### the sign of C stands where C belongs
@ off_diagonal * => @ np.sign(off_diagonal) *
### C is left out: each dimension is pulled by all others alike
@ off_diagonal * => @ (1 - np.eye(L)) *
### the correlations stand where the covariances belong: C is divided by the std
@ off_diagonal *
=> @ (off_diagonal / centred.std(axis=0, ddof=1) / centred.std(axis=0, ddof=1)[:, None]) *
### centred is divided by its std: C is made of centred as it is
return centred @ => return centred / centred.std(axis=0) @
# or
return centred @ => return centred / centred.std(axis=0, ddof=1) @
### only the pairs with i < j are counted: C_ij goes to both of the two, and so does C_ji
@ off_diagonal * => @ np.triu(off_diagonal) *
# or
@ off_diagonal * (4 * => @ np.triu(off_diagonal) * (2 *
### only the pairs with i > j are counted: C_ij goes to both of the two, and so does C_ji
@ off_diagonal * => @ np.tril(off_diagonal) *
# or
@ off_diagonal * (4 * => @ np.tril(off_diagonal) * (2 *
### loss, the number, is multiplied in
float(dloss) => float(dloss) * loss
### dloss is left out
float(dloss) => 1
### dloss is multiplied in twice
float(dloss) => float(dloss)**2
### the opposite sign
return centred @ => return -centred @
### the product is entry by entry, or with the sum of each column of C: it is a matrix product
@ off_diagonal * => * off_diagonal.sum(axis=0) *
# or
@ off_diagonal * => * off_diagonal.mean(axis=0) *
"""


def cases():
    rng = np.random.default_rng(0)
    for what, N, L in [("", 10, 7), ("two latents, ", 2, 3), ("one dimension, ", 9, 1),
                       ("repeated dimensions, ", 10, 4)]:
        latents = rng.standard_normal((N, L)) @ rng.uniform(0.3, 1, (L, L)) + 0.4
        if what.startswith("repeated"):
            latents[:, 2:] = latents[:, :2] * [1, -1]
        yield penalty("covariance_penalty", f"{what}latents of shape {(N, L)}", latents,
                      floor=floor(latents))
    yield alone("covariance_penalty", latents)


def floor(latents):
    """How much of the gradient may be rounding where terms cancel, as all do in one dimension.

    Each entry is a sum of L terms, each of N products, rounded by u each, of at most
    4·|centred|·C / (L·(N − 1)) with the variances in C; dloss is within 4 here.
    """
    (N, L), centred = latents.shape, latents - latents.mean(axis=0)
    terms = np.abs(centred) @ (np.abs(centred).T @ np.abs(centred) / (N - 1))  # (N, L)
    return 4 * (N + L) * np.finfo(float).eps * 4 * terms.max() / (L * (N - 1))
