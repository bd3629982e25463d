"""Words: hide a word of a sentence, predict its latent from the words that are left.

The sentences come from a small grammar, or from a reader's own file (`--corpus`).
"""

import difflib
import re

import numpy as np

from minijepa.gauges import (cosine_similarity, effective_rank, linear_probe, principal_components,
                             relative_loss, std, unit_rows)
from minijepa.jepa import ToyJEPA
from minijepa.options import Option, UserError, choice, printable, resolve, whole
from minijepa.worlds.base import COLLAPSE, World
from minijepa.worlds.corpus import HELD_OUT, read_corpus, words

# Words of one line are interchangeable: they form a concept. A concept is what can be predicted
# of a hidden word: "the cat climbed up the __" leaves open which of the four it is.
ANIMALS = "cat dog fox mouse horse".split()
PEOPLE = "child girl boy woman man".split()
BIRDS = "bird robin sparrow owl crow".split()

# who, what they do, and to what: "the cat climbed up the tree"
FRAMES = [
    (ANIMALS, ["climbed", "climbed up"], "tree stairs sofa wall".split()),
    (ANIMALS, ["chased", "followed"], "ball leaf butterfly rabbit".split()),
    (ANIMALS, ["drank", "spilled"], "milk water tea juice".split()),
    (PEOPLE, ["opened", "closed"], "door window box gate".split()),
    (PEOPLE, ["read", "wrote"], "book letter story poem".split()),
    (PEOPLE, ["baked", "ate"], "bread cake pie pizza".split()),
    (BIRDS, ["sat on", "landed on"], "branch fence roof nest".split()),
]
FUNCTION_WORDS = {"the", "up", "on"}         # never hidden: they are the same in every frame

PROMPTS = ["the cat climbed up the __", "the dog chased the __", "the child __ the door",
           "the __ sat on the branch"]

MEASURED = 1000                              # at most so many examples are measured,
COUNTED = 500                                # and so many words counted as the raw input
BLOCK = 2**19                                # numbers that are compared at once


def grammar():
    """The 280 sentences, each a list of words, and the concept of each content word."""
    sentences, concepts = [], {}
    for agents, verbs, things in FRAMES:
        for group in (agents, [verb.split()[0] for verb in verbs], things):
            concepts.update(dict.fromkeys(group, group[0]))
        sentences += [f"the {agent} {verb} the {thing}".split()
                      for agent in agents for verb in verbs for thing in things]
    return sentences, concepts


def sample(places):
    """All places, or as many as are measured, evenly spread."""
    spread = np.linspace(0, len(places) - 1, min(MEASURED, len(places)))
    return places[spread.astype(int)]


class Words(World):
    """The word world. Sentences are stored end to end: `tokens` (all words' ids) and `lengths`."""

    name = "words"
    about, seconds = "a hidden word of a sentence: which words fit?", 1
    options = {
        "embed_dim": Option(32, whole(1), "features of a word's embedding"),
        "hidden_dim": Option(64, whole(1), "hidden units of each encoder and the predictor"),
        "latent_dim": Option(32, whole(1), "dimensions of the latents"),
        "predictor": Option("mlp", choice("mlp", "none"), "mlp, or none: ŝ_y is s_x itself"),
        "corpus": Option(None, read_corpus,
                         "your own text instead of the grammar: a sentence a line, UTF-8"),
    }
    columns = {**COLLAPSE, "hits": ("held-out hits", ".2f")}
    probed = "context encoder"
    guess = "most frequent"

    def __init__(self, rng=None, **given):
        rng = np.random.default_rng(0) if rng is None else rng
        self.given, self.config = given, resolve(self.all_options(), given)
        corpus = self.config["corpus"]
        sentences = grammar()[0] if corpus is None else corpus.sentences
        order = rng.permutation(len(sentences))
        self.lay_out([sentences[index] for index in order], is_corpus=corpus is not None)

    def configure(self, config):
        self.config = config                           # the sentences stay

    def state(self):
        ends = np.cumsum(self.lengths)[:-1]
        text = "\n".join(" ".join(self.vocabulary[token] for token in sentence)
                         for sentence in np.split(self.tokens, ends))
        return {"sentences": np.frombuffer(text.encode(), np.uint8),
                "is_corpus": np.array(self.is_corpus)}

    @classmethod
    def restore(cls, state, config):
        world = cls.__new__(cls)
        world.given, world.config = {}, config
        text = state["sentences"].tobytes().decode()
        sentences = [sentence.split() for sentence in text.split("\n")]
        if any(words(" ".join(each)) != each or len(each) < 2 for each in sentences):
            raise ValueError("a sentence that is none")
        world.lay_out(sentences, bool(state["is_corpus"]))
        return world

    def lay_out(self, sentences, is_corpus):
        """Be the world of these sentences, each a list of words, in this order."""
        self.is_corpus, concepts = is_corpus, {} if is_corpus else grammar()[1]
        self.vocabulary = sorted({word for sentence in sentences for word in sentence})
        number = {word: index for index, word in enumerate(self.vocabulary)}
        self.concepts = np.array([number[concepts.get(word, word)] for word in self.vocabulary])
        self.tokens = np.array([number[word] for sentence in sentences for word in sentence])
        self.lengths = np.array([len(sentence) for sentence in sentences])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.sentence = np.repeat(np.arange(len(self.lengths)), self.lengths)  # of each token

        # An example is a token that may be hidden. The last fifth of the sentences is held out,
        # whichever of their words is hidden.
        hideable = np.array([self.is_corpus or word not in FUNCTION_WORDS
                             for word in self.vocabulary])
        self.content = np.flatnonzero(hideable)        # ids that may be hidden
        examples = np.flatnonzero(hideable[self.tokens])                       # places in tokens
        self.first_held_out = len(self.lengths) - len(self.lengths) // HELD_OUT
        is_training = self.sentence[examples] < self.first_held_out
        self.training, self.held_out = examples[is_training], sample(examples[~is_training])
        self.seen = np.unique(self.tokens[self.sentence < self.first_held_out])        # ids
        often = np.argsort(-np.bincount(self.tokens), kind="stable")[:COUNTED]
        self.counted = np.full(len(self.vocabulary), -1)                       # (V,) column in raw
        self.counted[np.sort(often)] = np.arange(len(often))
        if self.is_corpus:
            self.columns = {**self.columns, "top5_hits": ("in the top 5", ".2f")}

    def describe(self):
        held_out = len(self.lengths) - self.first_held_out
        concepts = "" if self.is_corpus else f" in {len(set(self.concepts[self.content]))} concepts"
        return (f"{len(self.lengths)} sentences of {len(self.vocabulary)} words{concepts}: "
                f"{len(self.training)} examples to train on, {len(self.held_out)} held out "
                f"(from {held_out} sentences never seen in training)")

    def build(self, config, rng, regularizer):
        return ToyJEPA(len(self.vocabulary), rng, config["embed_dim"], config["hidden_dim"],
                       config["latent_dim"], np.dtype(config["dtype"]), config["treatment"],
                       config["tau"], regularizer, with_predictor=config["predictor"] == "mlp")

    def examples(self, hidden):
        """The places of B hidden words in `tokens`  ->  x = (context_ids, mask), y = target_ids."""
        sentence = self.sentence[hidden]
        start, length = self.starts[sentence], self.lengths[sentence]
        column = np.arange(length.max() - 1)                                   # (T,)
        place = start[:, None] + column                                        # (B, T)
        place += place >= hidden[:, None]              # skip the hidden word
        mask = column < length[:, None] - 1                                    # (B, T)
        context_ids = self.tokens[np.where(mask, place, 0)]                    # (B, T)
        return (context_ids, mask), self.tokens[hidden][None]                  # y (K = 1, B)

    def batches(self, size, rng):
        if size > len(self.training):
            raise UserError(f"--batch-size: wanted at most {len(self.training)}, the number of "
                            f"training examples, was given {size}")
        order = rng.permutation(self.training)
        for start in range(0, len(order), size):
            yield *self.examples(order[start:start + size]), None              # nothing is told

    def latents(self, model):
        """The target latents of the whole vocabulary: (V, latent)."""
        return model.encode_target(np.arange(len(self.vocabulary)))[0]

    def measure(self, model):
        """relative_loss, std, effective_rank, hits; top5_hits for a reader's corpus.

        A hit: the word nearest to the prediction, by cosine over the whole vocabulary, belongs to
        the hidden word's concept. In a reader's corpus each word is a concept of its own.
        """
        x, y = self.examples(self.held_out)
        prediction, hidden = model.predict(x)[0][0], y[0]                      # (N, latent), (N,)
        latents = self.latents(model)                                          # (V, latent)
        nearest, rank = self.compare(prediction, latents, hidden)
        measured = {
            "relative_loss": relative_loss(prediction, latents[hidden]),
            "std": std(latents[self.content]),
            "effective_rank": effective_rank(latents[self.content]),
            "hits": float(np.mean(self.concepts[nearest] == self.concepts[hidden])),
        }
        if self.is_corpus:
            measured["top5_hits"] = float(np.mean(rank <= 5))
        return measured

    def compare(self, prediction, latents, hidden):
        """The word nearest to each prediction, and the rank of the hidden one: (N,) and (N,)."""
        nearest, rank = [], []
        prediction, latents = unit_rows(prediction), unit_rows(latents)        # once, for all parts
        count = -(-len(hidden) * len(latents) // BLOCK)                        # N·V may be too much
        for part in np.array_split(np.arange(len(hidden)), count):
            similarity = prediction[part] @ latents.T                          # (n, V)
            own = np.take_along_axis(similarity, hidden[part, None], axis=1)   # (n, 1)
            nearest.append(similarity.argmax(axis=1))
            rank.append((similarity >= own).sum(axis=1))                       # what ties is first
        return np.concatenate(nearest), np.concatenate(rank)

    def parse(self, prompt):
        """The ids of the words around the blank (`__`) of a prompt: (1, T). Raises UserError."""
        parts = re.split("_+", prompt)
        if len(parts) != 2:
            raise UserError(f"a prompt needs one blank, as in 'the cat climbed up the __'; "
                            f"{prompt!r} has {len(parts) - 1}")
        context = words(parts[0]) + words(parts[1])
        if not context:
            raise UserError(f"a prompt needs a word beside its blank; {prompt!r} has none")
        seen = {self.vocabulary[index]: index for index in self.seen}
        for word in context:
            if word not in seen:
                close = difflib.get_close_matches(word, seen, 1, cutoff=0)[0]
                raise UserError(f"the model has never seen the word {word!r}; "
                                f"the closest it knows is {close!r}")
        return np.array([[seen[word] for word in context]])

    def nearest(self, model, prompt, count=5):
        """The words nearest to the latent predicted for the blank, best first: [(word, cosine)]."""
        context_ids = self.parse(prompt)                                       # (1, T)
        prediction = model.predict((context_ids, np.ones(context_ids.shape, bool)))[0][0]
        similarity = cosine_similarity(prediction, self.latents(model))[0]     # (V,)
        best = np.argsort(-similarity, kind="stable")[:count]
        return [(self.vocabulary[index], float(similarity[index])) for index in best]

    def report(self, model, config, others):
        """The words nearest to a few blanks; and the probes' table."""
        table, findings = super().report(model, config, others)
        if len(self.vocabulary) > COUNTED:
            table += (f"\n(measured on {len(self.held_out)} held-out examples; raw input: "
                      f"counts of the {COUNTED} most frequent words)")
        return f"{self.answers(model)}\n{table}", findings

    def probe(self, model):
        """The held-out hits of a linear probe that tells the hidden word's concept from s_x."""
        x, y = self.examples(sample(self.training))
        x_held_out, y_held_out = self.examples(self.held_out)
        concepts, concept = np.unique(self.concepts[y[0]], return_inverse=True)
        one_hot = np.eye(len(concepts))[concept]                               # (N, C)
        probe = linear_probe(model.encode_context(x)[0], one_hot)
        found = concepts[probe(model.encode_context(x_held_out)[0]).argmax(axis=1)]
        return {"hits": float(np.mean(found == self.concepts[y_held_out[0]]))}

    def probed_input(self):
        return self.raw(self.examples(sample(self.training))[0])

    def raw(self, x):
        """How often each frequent word is seen: (N, T) ids and mask  ->  (N, V), or fewer."""
        context_ids, mask = x
        column = self.counted[context_ids]                                     # (N, T)
        counts = np.zeros((len(context_ids), self.counted.max() + 1))
        np.add.at(counts, (np.arange(len(context_ids))[:, None], column), mask & (column >= 0))
        return counts

    def answers(self, model):
        """A few prompts (of a reader's corpus: held-out sentences), the words nearest to each."""
        prompts = self.held_out_prompts() if self.is_corpus else PROMPTS
        lines = [] if prompts else ["(each held-out sentence has a word that training never saw)"]
        for prompt in prompts:
            nearest = (f"{printable(word, 40)} {cosine:.2f}"
                       for word, cosine in self.nearest(model, prompt))
            lines.append(f"{printable(prompt)}\n    {'  '.join(nearest)}")
        return "\n".join(lines)

    def plot_latents(self, axes, model, others):
        """In 2-D: the latents of the content words, if frequent; the predictions, held out."""
        latents = self.latents(model).astype(np.float64)                       # (V, L)
        project = principal_components(latents[self.content], 2)
        predictions = project(model.predict(self.examples(self.held_out)[0])[0][0])
        content = self.content[self.counted[self.content] >= 0]
        hideable = np.isin(np.arange(len(latents)), content)
        axes.plot(*predictions.T, ".", color="#999999", zorder=0,
                  label="predictions, held-out sentences")
        groups = {concept: np.flatnonzero((self.concepts == concept) & hideable)
                  for concept in dict.fromkeys(self.concepts[content])}
        for ids in groups.values():
            axes.plot(*project(latents[ids]).T, linestyle="", markersize=5)
        self.name_groups(axes, {" ".join(self.vocabulary[index] for index in ids[:5]):
                                project(latents[ids]).mean(axis=0) for ids in groups.values()})
        axes.set(title="target latents, first two principal components")
        axes.axis("off")

    def name_groups(self, axes, middles):
        """Words beside the picture, level by level, each with a line to its group's middle."""
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        by_x = sorted(middles, key=lambda name: middles[name][0])
        half = (len(by_x) + 1) // 2
        for names, side, x in (by_x[:half], "right", left), (by_x[half:], "left", right):
            names.sort(key=lambda name: middles[name][1])
            for name, y in zip(names, np.linspace(bottom, top, len(names) + 2)[1:-1]):
                axes.annotate(name, middles[name], (x, y), fontsize=7, ha=side, va="center",
                              arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "lw": 0.6})
        wide, high = right - left, top - bottom
        axes.set(xlim=(left - 0.55 * wide, right + 0.55 * wide), ylim=(bottom, top + 0.1 * high))

    plots = (plot_latents,)

    def held_out_prompts(self):
        """Up to four held-out sentences whose last word is hidden and whose others were seen."""
        prompts, held_out = [], slice(self.first_held_out, None)
        unseen = np.ones(len(self.vocabulary), bool)
        unseen[self.seen] = False
        for start, length in zip(self.starts[held_out], self.lengths[held_out]):
            ids = self.tokens[start:start + length - 1]
            if len(prompts) < 4 and not unseen[ids].any():
                prompts.append(" ".join(self.vocabulary[index] for index in ids) + " __")
        return prompts
