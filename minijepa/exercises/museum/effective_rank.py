import numpy as np

from minijepa.exercises.checks import B, E, T, V, Case

TITLE = "effective rank: how many directions?"
SOURCE = "minijepa.gauges:effective_rank"
HINTS = """
Four lines: take the mean of each column away (axis=0), the singular values, their shares, the
exponential of the entropy.

np.linalg.svd(centred, compute_uv=False) gives the σ alone. Their sum is 0 if all latents are one
point: answer 0.0 before you divide by it.

A share of 0 adds nothing to an entropy, but 0·log 0 is NaN in NumPy: keep the p above 0 only. Then
np.exp(-(p * np.log(p)).sum()).
"""
SIGMA = "np.linalg.svd(centred, compute_uv=False)"
RANK = "float(np.exp(-(p * np.log(p)).sum()))"
MISTAKES = r"""
### the latents are not centred
SIGMA => np.linalg.svd(latents, compute_uv=False)
### the rows are centred and not the columns: axis=0
SIGMA => np.linalg.svd(latents - latents.mean(axis=1, keepdims=True), compute_uv=False)
### one mean of all numbers is taken away, not that of each column: axis=0
SIGMA => np.linalg.svd(latents - latents.mean(), compute_uv=False)
### the first latent is taken away from all, and not their mean
SIGMA => np.linalg.svd(latents - latents[0], compute_uv=False)
### the median is taken away, and not the mean
SIGMA => np.linalg.svd(latents - np.median(latents, axis=0), compute_uv=False)
### the columns are divided by their std too: these are the directions of the correlations
SIGMA
=> np.linalg.svd(centred / np.where(centred.std(axis=0) > 0, centred.std(axis=0), 1),\
 compute_uv=False)
### the rows are divided by their lengths
SIGMA
=> np.linalg.svd(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-300),\
 compute_uv=False)
### σ² stands in place of σ (the eigenvalues of the covariance)
SIGMA => SIGMA**2
### √σ stands in place of σ
SIGMA => SIGMA**0.5
### the eigenvalues of a matrix that is not the covariance are taken: the singular values are asked
SIGMA => np.abs(np.linalg.eigvals(centred[:min(centred.shape), :min(centred.shape)]))
### the std of the columns stand in place of the singular values
SIGMA => centred.std(axis=0)
### the variances of the columns stand in place of the singular values
SIGMA => centred.var(axis=0)
### the logarithm is that of base 2, and the exponential is not
np.log(p) => np.log2(p)
### the logarithm is that of base 10, and the exponential is not
np.log(p) => np.log10(p)
### the logarithm is log(1 + p)
np.log(p) => np.log1p(p)
### 2 to the power of the entropy is taken: its logarithm is natural, so it should be exp
RANK => float(2 ** -(p * np.log(p)).sum())
### exp is missing: this is the entropy itself
RANK => float(-(p * np.log(p)).sum())
### a sign is wrong: exp(+Σ p log p)
np.exp(-( => np.exp((
### a sign is wrong and exp is missing: this is Σ p log p
RANK => float((p * np.log(p)).sum())
### the entropy in bits is returned: exp is missing, and the logarithm is that of base 2
RANK => float(-(p * np.log2(p)).sum())
### the entropy is averaged over the directions: it is a sum
np.log(p)).sum() => np.log(p)).mean()
### p is left out of the sum: it is Σ p·log p, not Σ log p
(p * np.log(p)) => np.log(p)
### exp is taken inside the sum: Σ exp(−p·log p), and not exp of the sum
RANK => float(np.exp(-p * np.log(p)).sum())
### log is left out: Σ p² and not Σ p·log p
(p * np.log(p)) => (p * p)
### the entropy is divided by log n: it should be its exponential alone
RANK => float(-(p * np.log(p)).sum() / np.log(max(len(p), 2)))
### the entropy's exponential is divided by the number of dimensions: the number itself is asked
RANK => float(np.exp(-(p * np.log(p)).sum())) / latents.shape[1]
### the σ are not divided by their sum
p = sigma / sigma.sum() => p = sigma
### the σ are divided by the largest and not by their sum
p = sigma / sigma.sum() => p = sigma / sigma.max()
### the σ are divided by their length, √Σσ², and not by their sum
p = sigma / sigma.sum() => p = sigma / np.linalg.norm(sigma)
### the σ are divided by their number and not by their sum
p = sigma / sigma.sum() => p = sigma / len(sigma)
### the σ go through a softmax: they should be divided by their sum
p = sigma / sigma.sum() => p = np.exp(sigma - sigma.max()); p = p / p.sum()
### the shares are squared: σ² over (Σσ)²
p = sigma / sigma.sum() => p = (sigma / sigma.sum())**2
### the singular values above 0 are counted: this is the rank
RANK => float(np.linalg.matrix_rank(centred))
# or
RANK => float((p > 1e-9).sum())
### the rank of the latents that are not centred is counted
RANK => float(np.linalg.matrix_rank(latents))
### the participation ratio (Σσ)² / Σσ² is taken
RANK => float(1 / (p**2).sum())
### the participation ratio of σ² is taken
RANK => float((sigma**2).sum()**2 / (sigma**4).sum())
### the stable rank Σσ² / σ_max² is taken
RANK => float((sigma**2).sum() / sigma[0]**2)
### Σσ / σ_max is taken
RANK => float(sigma.sum() / sigma[0])
### 0·log 0 is computed, which is NaN: it has to count as 0
p = p[p > 0] => p = np.where(p > 1e-15, p, 0)
# or
p = p[p > 0] =>
### 0 is divided by 0 where all latents are one point: the answer is 0.0 there
if sigma.sum() == 0: => if False:
### one point is counted as one direction: the answer is 0.0 there, where all σ are 0
return 0.0 => return 1.0
### an answer is missing, or not a number, where all latents are one point: it is 0.0
return 0.0 => return None
# or
return 0.0 => return np.nan
# or
return 0.0 => return np.inf
### small shares are left out: p > 0.01 (or 0.05, 0.1), where p > 0 is enough
p = p[p > 0] => p = p[p > 0.01]
# or
p = p[p > 0] => p = p[p > 0.05]
# or
p = p[p > 0] => p = p[p > 0.1]
# or
p = p[p > 0] => p = p[p > 1e-3]
### the singular values have a fixed threshold: a small cloud has as many directions as a large one
p = sigma / sigma.sum() => sigma = sigma[sigma > 1e-12]; p = sigma / sigma.sum()
# or
if sigma.sum() == 0: => if sigma.max() < 1e-12:
# or
if sigma.sum() == 0: => if sigma.sum() < 1e-12:
### the largest singular value is left out
p = sigma / sigma.sum() => sigma = sigma[1:]; p = sigma / max(sigma.sum(), 1e-300)
### the smallest singular value is left out
p = sigma / sigma.sum() => sigma = sigma[:-1] if len(sigma) > 1 else sigma; p = sigma / sigma.sum()
### a small number is added to Σσ, or a fixed threshold set: neither fits a cloud that is as small
p = sigma / sigma.sum() => p = sigma / (sigma.sum() + 1e-12)
# or
p = sigma / sigma.sum() => p = sigma / (sigma.sum() + 1e-8)
# or
p = sigma / sigma.sum() => p = sigma / (sigma.sum() + 1e-10)
### the answer is rounded to a whole number
RANK => round(RANK)
# or
RANK => np.ceil(RANK)
# or
RANK => int(RANK)
""".replace("SIGMA", SIGMA).replace("RANK", RANK)


def cases():
    rng = np.random.default_rng(0)
    spread = np.logspace(0, -2, E)
    # ±1 along 3 of 7 axes: 3 equal σ, 4 exactly 0
    round_cloud = np.zeros((2 * T, V))
    round_cloud[np.arange(2 * T), np.arange(2 * T) // 2] = [1, -1] * T
    for what, latents in {
        "a cloud that is longer in some directions": rng.standard_normal((31, E)) * spread + 0.3,
        "a cloud far from the origin":
            rng.standard_normal((31, E)) * spread + 100 * rng.standard_normal(E),
        "a cloud of which some directions are very thin":
            rng.standard_normal((60, E)) * np.logspace(0, -5, E),
        "fewer points than dimensions": rng.standard_normal((B, E)) + 2,
        "3 equal directions of 7, the other singular values exactly 0": round_cloud,
        "points on a line": np.linspace(-1, 2, 9)[:, None] * rng.standard_normal(E) + 1,
        "two points": rng.standard_normal((2, E)),
        "a tiny cloud, of 1e-15": rng.standard_normal((31, E)) * spread * 1e-15,
        "all 8 latents the same point": np.tile([1.0, -2.0, 0.5], (8, 1)),
    }.items():
        def look(module, latents=latents):
            mine = latents.copy()
            found = module.effective_rank(mine)
            return {"the latents are written into, and should stay as they were":
                    not np.array_equal(mine, latents), "the rank": found}
        yield Case(f"effective_rank, {what} {latents.shape}", look, 1e-4)
