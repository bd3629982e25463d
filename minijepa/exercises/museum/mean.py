import numpy as np

from minijepa.exercises.checks import B, E, T, Gradients

TITLE = "mean over tokens: what is padding worth?"
SOURCE = "minijepa.layers:Mean"
HINTS = """
Suppose a sentence of 3 tokens and 2 of padding. By how much does y_be move when x_bte of the first
token does? And when x_bte of the padding does?

y_be = Σ_t share_bt · x_bte, so dx_bte = share_bt · dy_be: the same dy goes to every token of the
sentence, each with its share.

share has the shape (B, T, 1) and dy (B, E): give dy an axis for the tokens, dy[:, None, :], and let
them broadcast to (B, T, E).
"""
MISTAKES = r"""
### padding is not masked: right at every token that is there, but padding gets a gradient too
share * dy => 1 / count[:, :, None] * np.ones_like(x) * dy
### padding is not masked in the count: it is divided by T, the length with its padding
share * dy => mask[:, :, None] / x.shape[1] * dy
### the mask is left out: every token gets dy / T, padding too, and T counts the padding
share * dy => np.ones_like(x) / x.shape[1] * dy
### it is not divided by the number of tokens: each that is there gets all of dy
share * dy => mask[:, :, None] * dy
### neither the mask nor the count is used: every token gets all of dy
share * dy => np.ones_like(x) * dy
### the mask is the wrong way round: padding gets the gradient, and the tokens none
share * dy => ~mask[:, :, None] / count[:, :, None] * dy
### it is divided by the count twice, or share is multiplied in twice: share has it already
share * dy => share / count[:, :, None] * dy
### it is multiplied by the count, and should be divided by it
share * dy => mask[:, :, None] * count[:, :, None] * dy
### it is divided by the batch B, and not by the number of tokens
share * dy => mask[:, :, None] / len(x) * dy
### it is divided by the batch too
share * dy => share / len(x) * dy
### it is divided by the number of features E, and not by the number of tokens
share * dy => mask[:, :, None] / x.shape[2] * dy
### the number of tokens of the whole batch is used: each sentence has its own
share * dy => mask[:, :, None] / mask.sum() * dy
### the mean number of tokens is used: each sentence has its own
share * dy => mask[:, :, None] / count.mean() * dy
### the longest sentence's number of tokens is used: each sentence has its own
share * dy => mask[:, :, None] / count.max() * dy
### the first sentence's number of tokens is used: each sentence has its own
share * dy => mask[:, :, None] / count[0] * dy
### it is divided by one less than the number of tokens
share * dy => mask[:, :, None] / (count[:, :, None] - 1) * dy
# or
share * dy => mask[:, :, None] / np.maximum(count[:, :, None] - 1, 1) * dy
### it is divided by one more than the number of tokens
share * dy => mask[:, :, None] / (count[:, :, None] + 1) * dy
### the count is that of each place over the batch (axis 0): it is that of each sentence
share * dy => mask[:, :, None] / mask.sum(axis=0)[:, None] * dy
# or
share * dy => mask[:, :, None] / np.maximum(mask.sum(axis=0), 1)[:, None] * dy
### it is divided by the root of the count
share * dy => mask[:, :, None] / count[:, :, None]**0.5 * dy
### x takes part: y is linear in x, so that its slope is share alone
share * dy => share * x * dy
### x stands in the place of dy
return share * dy[:, None, :] => return share * x
### x minus its mean takes part, as in a variance
share * dy => share * (x - y[:, None, :]) * dy
### y stands in the place of dy
share * dy[ => share * y[
### dy is left out: every token gets its share itself
share * dy[:, None, :] => share * np.ones_like(x)
### only the first token gets a gradient: all that are there should
share * dy => (np.arange(x.shape[1]) == 0)[:, None] * share * dy
### only the first token gets a gradient, and all of dy: all that are there should get their share
share * dy => (np.arange(x.shape[1]) == 0)[:, None] * dy
### only the last token that is there gets a gradient
share * dy => (np.arange(x.shape[1]) == count[:, :, None][:, :, 0] - 1)[:, :, None] * share * dy
### the last place is left out
share * dy => (np.arange(x.shape[1]) < x.shape[1] - 1)[:, None] * share * dy
### the shares are laid over the tokens from the wrong end
share * dy => share[:, ::-1] * dy
### the sentences are mixed up: dy of another sentence of the batch is used
share * dy[ => share * dy[::-1][
### dy is averaged (or summed) over the batch first: each sentence has its own
share * dy[:, None, :] => share * dy.mean(axis=0)
# or
share * dy[:, None, :] => share * dy.sum(axis=0)
### dy is averaged (or summed) over the features first: each has its own
share * dy[:, None, :] => share * dy.mean(axis=1)[:, None, None] * np.ones_like(x)
# or
share * dy[:, None, :] => share * dy.sum(axis=1)[:, None, None] * np.ones_like(x)
### shapes are made to fit by reshape, which mixes tokens and sentences: use share and dy[:, None,
### :]
share * dy[:, None, :]
=> (share * dy[:, None, :]).reshape(x.shape[1], x.shape[0], -1).swapaxes(0, 1)
"""


def cases():
    rng = np.random.default_rng(0)
    for batch, tokens in (B, T), (1, T), (B, 1):
        x = rng.standard_normal((batch, tokens, E))
        yield Gradients(f"Mean without a mask, x of shape {x.shape}",
                        lambda module: module.Mean(), x)
    for lengths, tokens in ([2, 1, 3, 2, 1], 7), ([4, 7, 2, 6, 5], 7), ([2], 3):
        mask = np.arange(tokens) < np.array(lengths)[:, None]                  # (B, T)
        x = rng.standard_normal((*mask.shape, E))
        yield Gradients(f"Mean of sentences of {lengths} tokens, x of shape {x.shape}",
                        lambda module: module.Mean(), x, mask)
