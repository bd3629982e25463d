import numpy as np

from minijepa.exercises.checks import B, E, V, Case

TITLE = "cosine retrieval: what does it predict?"
SOURCE = """minijepa.gauges:unit_rows minijepa.gauges:cosine_similarity
minijepa.gauges:retrieve"""
HINTS = """
If each row of a and b is divided by its own length first, the cosine is the product of two rows;
and all the products of rows are one matrix product.

The length of each row is np.linalg.norm(rows, axis=1, keepdims=True), of shape (N, 1), so that it
divides row by row. Where it is 0 divide by something else: np.maximum(..., TINY). 0 / TINY is 0.

np.argsort sorts from small to large. Sort the negated cosines along axis=1, and keep the first
`count` columns: [:, :count].
"""
UNIT = "rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)"
MISTAKES = r"""
### 0 is divided by 0 where a row has no length: its cosines should be 0, not NaN
np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
=> np.linalg.norm(rows, axis=1, keepdims=True)
### a row of zeros gets another cosine than 0: it points nowhere
return unit_rows(a) @ unit_rows(b).T
=> return np.nan_to_num(a / np.linalg.norm(a, axis=1, keepdims=True) @ (b / np.linalg.norm(b,\
 axis=1, keepdims=True)).T, nan=1.0)
# or
return unit_rows(a) @ unit_rows(b).T
=> return np.nan_to_num(a / np.linalg.norm(a, axis=1, keepdims=True) @ (b / np.linalg.norm(b,\
 axis=1, keepdims=True)).T, nan=-1.0)
### nothing is divided by the lengths: this is a·b
UNIT => rows
### only a is divided by its length
unit_rows(b).T => b.T
### only b is divided by its length
return unit_rows(a) => return a
### it is divided by |a|²|b|²
keepdims=True), => keepdims=True)**2,
### it is divided by √|a|√|b|
keepdims=True), => keepdims=True)**0.5,
### it is divided by |a|² or by |b|² and not by |a|·|b|
unit_rows(a) @ unit_rows(b).T => a @ b.T / np.maximum((a * a).sum(axis=1, keepdims=True), TINY)
# or
unit_rows(a) @ unit_rows(b).T => a @ b.T / np.maximum((b * b).sum(axis=1), TINY)
### it is multiplied by the lengths, and should be divided by them
UNIT => rows * np.linalg.norm(rows, axis=1, keepdims=True)
### the columns are scaled and not the rows: axis=1
UNIT => rows / np.maximum(np.linalg.norm(rows, axis=0), TINY)
### all of a and all of b are divided by one length: axis=1 is missing
UNIT => rows / np.maximum(np.linalg.norm(rows), TINY)
### the rows are divided by the sum of their entries' sizes, not by their length
np.linalg.norm(rows, axis=1, keepdims=True) => np.abs(rows).sum(axis=1, keepdims=True)
### the rows are divided by their largest entry, not by their length
np.linalg.norm(rows, axis=1, keepdims=True) => np.abs(rows).max(axis=1, keepdims=True)
# or
np.linalg.norm(rows, axis=1, keepdims=True) => rows.max(axis=1, keepdims=True)
### the rows are divided by the sum of their entries, not by their length
UNIT => rows / rows.sum(axis=1, keepdims=True)
### the rows are divided by the mean of their squares: L is in it
np.linalg.norm(rows, axis=1, keepdims=True) => np.sqrt((rows * rows).mean(axis=1, keepdims=True))
### the rows are divided by their std, or centred: this is the correlation, not the cosine
UNIT
=> (rows - rows.mean(axis=1, keepdims=True)) / np.maximum(np.linalg.norm(rows - rows.mean(\
axis=1, keepdims=True), axis=1, keepdims=True), TINY)
# or
np.linalg.norm(rows, axis=1, keepdims=True) => rows.std(axis=1, keepdims=True)
### the rows are centred first (axis=0): the cosine is that of the rows as they are
rows = rows.astype(np.float64) => rows = rows - rows.mean(axis=0)
### the axes are exchanged: (V, N) and not (N, V)
return unit_rows(a) @ unit_rows(b).T => return unit_rows(b) @ unit_rows(a).T
### the distance 1 − cosine is returned
return unit_rows(a) @ unit_rows(b).T => return 1 - unit_rows(a) @ unit_rows(b).T
### the sign is wrong
return unit_rows(a) @ => return -unit_rows(a) @
### the size of the cosine is returned without its sign: abs
return unit_rows(a) @ unit_rows(b).T => return np.abs(unit_rows(a) @ unit_rows(b).T)
### the cosine is squared
return unit_rows(a) @ unit_rows(b).T => return (unit_rows(a) @ unit_rows(b).T)**2
### the cosine is scaled to 0 … 1
return unit_rows(a) @ unit_rows(b).T => return (1 + unit_rows(a) @ unit_rows(b).T) / 2
### the cosine is cut off at 0
return unit_rows(a) @ unit_rows(b).T => return np.maximum(unit_rows(a) @ unit_rows(b).T, 0)
### the angle is returned, and not its cosine
return unit_rows(a) @ unit_rows(b).T => return np.arccos(unit_rows(a) @ unit_rows(b).T)
### 1e-8 (or 1e-6, 1e-10) is added to each length, which makes short rows shorter
np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
=> (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6)
# or
np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
=> (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-8)
### 1e-8 is added to the product of the lengths, which makes short rows shorter
unit_rows(a) @ unit_rows(b).T
=> a @ b.T / (np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1) + 1e-8)
### a short row counts as one of zeros: the threshold is too large, and 1 stands in for its length
np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
=> np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
# or
TINY) => 1e-3)
# or
TINY) => 1e-2)
### the distances are returned, and not the cosines
return unit_rows(a) @ unit_rows(b).T => return np.linalg.norm(a[:, None] - b, axis=2)
# or
return unit_rows(a) @ unit_rows(b).T => return -np.linalg.norm(a[:, None] - b, axis=2)
# or
return unit_rows(a) @ unit_rows(b).T => return ((a[:, None] - b)**2).sum(axis=2)
### a softmax is taken: the cosines themselves are asked
return unit_rows(a) @ unit_rows(b).T
=> e = np.exp(unit_rows(a) @ unit_rows(b).T); return e / e.sum(axis=1, keepdims=True)
### the order is that of the smallest cosine first: argsort sorts from small to large
-similarity => similarity
### the best come last: the chosen ones are turned round
[:, :count] => [:, :count][:, ::-1]
### the largest are taken, but the best comes last
np.argsort(-similarity, axis=1, kind="stable")[:, :count]
=> np.argsort(similarity, axis=1)[:, -count:]
### argpartition gives the largest, but not in their order: the best is asked first
np.argsort(-similarity, axis=1, kind="stable")
=> np.argpartition(-similarity, min(count, similarity.shape[1] - 1), axis=1)
# or
np.argsort(-similarity, axis=1, kind="stable") => np.argpartition(-similarity, count - 1, axis=1)
# or
np.argsort(-similarity, axis=1, kind="stable")[:, :count]
=> np.argpartition(similarity, -count, axis=1)[:, -count:]
### the nearest by the dot product are taken, not by cosine
similarity = cosine_similarity(predictions, latents) => similarity = predictions @ latents.T
### the nearest by distance are taken, not by cosine
similarity = cosine_similarity(predictions, latents)
=> similarity = -np.linalg.norm(predictions[:, None] - latents, axis=2)
### the farthest by distance are taken
similarity = cosine_similarity(predictions, latents)
=> similarity = np.linalg.norm(predictions[:, None] - latents, axis=2)
### the largest |cosine| are taken: the opposite direction is the farthest
-similarity => -np.abs(similarity)
### the cosines are returned, not the ids
np.argsort(-similarity, axis=1, kind="stable")[:, :count]
=> -np.sort(-similarity, axis=1)[:, :count]
### the ranks are returned, not the ids: argsort of argsort
np.argsort(-similarity, axis=1, kind="stable")
=> np.argsort(np.argsort(-similarity, axis=1), axis=1)
### the axis of count is missing: (N, count), also for a count of 1
[:, :count] => [:, :count].squeeze()
# or
[:, :count] => [:, 0]
# or
np.argsort(-similarity, axis=1, kind="stable")[:, :count] => similarity.argmax(axis=1)
### the argument count is ignored: one id is returned
[:, :count] => [:, :1]
### the argument count is ignored: all ids are returned
[:, :count] =>
### one id too few, or too many: [:, :count] are the first count columns
[:, :count] => [:, :count - 1]
# or
[:, :count] => [:, :count + 1]
# or
[:, :count] => [:, 1:count]
### the best is left out, as if it were the prediction itself
[:, :count] => [:, 1:count + 1]
### only the first rows are kept, and not the first columns: [:, :count]
[:, :count] => [:count]
### only the count-th best is returned
[:, :count] => [:, count - 1:count]
### each latent's nearest prediction is looked for
cosine_similarity(predictions, latents) => cosine_similarity(latents, predictions)
### axis=1 is missing: the predictions are sorted for each latent
axis=1, kind="stable") => axis=0, kind="stable")
### axis=1 is missing: all cosines are sorted as one
np.argsort(-similarity, axis=1, kind="stable")[:, :count]
=> np.argsort(-similarity, axis=None)[:count]
### the ids are not whole numbers
[:, :count] => [:, :count].astype(float)
### the rows are returned, not their ids
return np.argsort => return latents[np.argsort
[:, :count] => [:, :count]]
### the ids count from 1: the first row is number 0
[:, :count] => [:, :count] + 1
### the ids are sorted by number: the best is asked first
return np.argsort(-similarity, axis=1, kind="stable")[:, :count]
=> return np.sort(np.argsort(-similarity, axis=1)[:, :count], axis=1)
""".replace("UNIT", UNIT)


def cosines(what, a, b, tolerance):
    def look(module):
        mine, other = a.copy(), b.copy()
        found = module.cosine_similarity(mine, other)
        return {"a or b is written into, and should stay as it was":
                not (np.array_equal(mine, a) and np.array_equal(other, b)), "the cosines": found}
    return Case(f"cosine_similarity, {what}", look, tolerance, group="cosine_similarity")


def ids(what, predictions, latents, *count):
    def look(module):
        mine, other = predictions.copy(), latents.copy()
        found = module.retrieve(mine, other, *count)
        kind = getattr(getattr(found, "dtype", None), "kind", "?")
        return {"predictions or latents is written into, and should stay as it was":
                not (np.array_equal(mine, predictions) and np.array_equal(other, latents)),
                "the ids": found, "the ids are not whole numbers": kind not in "iu"}
    return Case(f"retrieve, {what}", look, 0, group="retrieve")


def cases():
    rng = np.random.default_rng(0)
    for dtype, tolerance in (np.float64, 1e-6), (np.float32, 1e-5):
        for spread, lengths in (0, ""), (4, ", rows from tiny to large"):
            a, b = (rng.standard_normal((n, E)) * np.logspace(-spread, spread, n)[:, None]
                    for n in (B, V))
            a, b = a.astype(dtype), b.astype(dtype)
            yield cosines(f"{np.dtype(dtype)}{lengths}", a, b, tolerance)
        a, b = a.copy(), b.copy()
        a[1], b[4] = 0, 0
        yield cosines("with a row of zeros in a and in b (0, not NaN)", a, b, tolerance)
    predictions, latents = rng.standard_normal((B, E)), rng.standard_normal((401, E))
    latents *= rng.uniform(0.5, 3, (len(latents), 1))
    for count in 3, 1, 150, len(latents):
        yield ids(f"count = {count}", predictions, latents, *([count] if count > 1 else []))
    latents = latents.copy()
    latents[2] = 0
    yield ids("count = 300, with a row of zeros in latents", predictions, latents, 300)
