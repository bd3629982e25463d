"""Words: hide a word of a sentence, predict its latent from the words that are left.

The sentences come from a small grammar, or from a reader's own file (`--corpus`).
"""

import difflib
import hashlib
import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from minijepa.gauges import (cosine_similarity, effective_rank, latent_std, linear_probe, principal_components,
                             relative_loss)
from minijepa.jepa import ToyJEPA
from minijepa.losses import no_regularizer
from minijepa.options import Option, UserError, choice, whole

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

MEASURED = 1000                              # at most so many held-out examples are measured


def grammar():
    """The 280 sentences, each a list of words, and the concept of each content word."""
    sentences, concepts = [], {}
    for agents, verbs, things in FRAMES:
        for group in (agents, [verb.split()[0] for verb in verbs], things):
            concepts.update(dict.fromkeys(group, group[0]))
        sentences += [f"the {agent} {verb} the {thing}".split()
                      for agent in agents for verb in verbs for thing in things]
    return sentences, concepts


def words(text):
    """Lower-cased words, punctuation dropped: "Don't stop." -> ["don't", "stop"].

    Letters, the marks that belong to them and digits make words, in any script; an apostrophe
    or a hyphen only inside one.
    """
    kind = unicodedata.category                        # L letter, M mark, N number; Cf invisible joiner
    kept = "".join(
        letter if kind(letter)[0] in "LMN" or letter in "'’-" else "" if kind(letter) == "Cf" else " "
        for letter in text.lower()
    )
    found = []
    for part in unicodedata.normalize("NFC", kept).replace("--", " ").split():     # -- is a dash
        begin = next((i for i, letter in enumerate(part) if kind(letter)[0] in "LN"), len(part))
        found.append(part[begin:].rstrip("'’-"))
    return [word for word in found if word]


@dataclass(frozen=True)
class Corpus:
    """A reader's sentences; its digest tells it from another one, wherever the file lies."""

    sentences: list
    digest: str


def read_corpus(path):
    """The sentences of a UTF-8 file, one a line. Blank lines are skipped, repeated ones count once."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, TypeError, ValueError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else \
            getattr(error, "strerror", None) or error
        raise UserError(f"cannot read the corpus {path}: {reason}") from None
    if "\0" in text:
        raise UserError(f"cannot read the corpus {path}: it is binary, not text")
    sentences = {}
    for number, line in enumerate(text.splitlines(), 1):
        sentence = words(line)
        if len(sentence) == 1:
            raise UserError(f"{path}, line {number}: a sentence needs at least two words, one to hide "
                            f"and one to see; this line has only {sentence[0]!r}")
        if sentence:
            sentences[tuple(sentence)] = None
    if len(sentences) < 5:
        raise UserError(f"the corpus {path} is too small to hold a fifth out: "
                        f"wanted at least 5 different sentences, it has {len(sentences)}")
    lines = "\n".join(" ".join(sentence) for sentence in sentences)
    return Corpus(list(sentences), hashlib.sha256(lines.encode()).hexdigest())


class Words:
    """The word world. Sentences are stored end to end: `tokens` (all words' ids) and `lengths`."""

    name = "words"
    options = {
        "embed_dim": Option(32, whole(1), "features of a word's embedding"),
        "hidden_dim": Option(64, whole(1), "hidden units of each encoder and the predictor"),
        "latent_dim": Option(32, whole(1), "dimensions of the latents"),
        "predictor": Option("mlp", choice("mlp", "none"), "mlp, or none: ŝ_y is s_x itself"),
        "corpus": Option(None, read_corpus, "your own text instead of the grammar: a sentence a line, UTF-8"),
    }
    defaults = {}
    comparisons, extras = {}, {}

    def __init__(self, rng, corpus=None, **_):
        if corpus is None:
            sentences, concepts = grammar()
        else:
            sentences, concepts = corpus.sentences, {}
        order = rng.permutation(len(sentences))
        sentences = [sentences[index] for index in order]
        vocabulary = sorted({word for sentence in sentences for word in sentence})
        number = {word: index for index, word in enumerate(vocabulary)}
        self._take({
            "vocabulary": np.array(vocabulary),
            "concepts": np.array([number[concepts.get(word, word)] for word in vocabulary]),
            "tokens": np.array([number[word] for sentence in sentences for word in sentence]),
            "lengths": np.array([len(sentence) for sentence in sentences]),
            "is_corpus": np.array(corpus is not None),
        })

    @classmethod
    def restore(cls, state):
        if state["concepts"].shape != state["vocabulary"].shape:
            raise ValueError("concepts and vocabulary differ in length")
        world = cls.__new__(cls)
        world._take(state)
        return world

    def state(self):
        return {"vocabulary": np.array(self.vocabulary), "concepts": self.concepts, "tokens": self.tokens,
                "lengths": self.lengths, "is_corpus": np.array(self.is_corpus)}

    def _take(self, state):
        self.vocabulary = [str(word) for word in state["vocabulary"]]
        self.concepts = state["concepts"]                                      # (V,)
        self.tokens, self.lengths = state["tokens"], state["lengths"]
        self.is_corpus = bool(state["is_corpus"])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.sentence = np.repeat(np.arange(len(self.lengths)), self.lengths)  # of each token

        # An example is a token that may be hidden. The last fifth of the sentences is held out,
        # whichever of their words is hidden.
        hideable = np.array([self.is_corpus or word not in FUNCTION_WORDS for word in self.vocabulary])
        self.content = np.flatnonzero(hideable)                                # ids that may be hidden
        examples = np.flatnonzero(hideable[self.tokens])                       # places in tokens
        first_held_out = len(self.lengths) - len(self.lengths) // 5
        is_training = self.sentence[examples] < first_held_out
        self.training, held_out = examples[is_training], examples[~is_training]
        spread = np.linspace(0, len(held_out) - 1, min(MEASURED, len(held_out))).astype(int)
        self.held_out = held_out[spread]                                       # all of them, or 1,000
        self.seen = np.unique(self.tokens[self.sentence < first_held_out])      # ids
        self.columns = {"relative_loss": ("relative loss", ".4f"), "latent_std": ("std", ".4f"),
                        "effective_rank": ("effective rank", ".2f"),
                        "hit_rate": ("held-out hits", ".2f")}
        if self.is_corpus:
            self.columns["top5_rate"] = ("in the top 5", ".2f")

    def describe(self):
        held_out = len(self.lengths) // 5
        concepts = "" if self.is_corpus else f" in {len(set(self.concepts[self.content]))} concepts"
        return (f"{len(self.lengths)} sentences of {len(self.vocabulary)} words{concepts}: "
                f"{len(self.training)} examples to train on, {len(self.held_out)} held out "
                f"(from {held_out} sentences never seen in training)")

    def build(self, config, rng, regularizer):
        return ToyJEPA(len(self.vocabulary), rng, config["embed_dim"], config["hidden_dim"],
                       config["latent_dim"], np.dtype(config["dtype"]), config["target"], config["momentum"],
                       regularizer, with_predictor=config["predictor"] == "mlp")

    def examples(self, hidden):
        """The places of N hidden words in `tokens`  ->  x = (context_ids, mask) and y = target_ids."""
        sentence = self.sentence[hidden]
        start, length = self.starts[sentence], self.lengths[sentence]
        column = np.arange(length.max() - 1)                                   # (T,)
        place = start[:, None] + column                                        # (N, T)
        place += place >= hidden[:, None]                                      # skip the hidden word
        mask = column < length[:, None] - 1                                    # (N, T)
        context_ids = self.tokens[np.where(mask, place, 0)]                    # (N, T)
        return (context_ids, mask), self.tokens[hidden][None]                  # y (K = 1, N)

    def batches(self, size, rng):
        if size > len(self.training):
            raise UserError(f"--batch-size: wanted at most {len(self.training)}, the number of training "
                            f"examples, was given {size}")
        order = rng.permutation(self.training)
        for start in range(0, len(order), size):
            yield self.examples(order[start:start + size])

    def latents(self, model):
        """The target latents of the whole vocabulary: (V, latent)."""
        return model.encode_target(np.arange(len(self.vocabulary)))[0]

    def measure(self, model):
        """relative_loss, latent_std, effective_rank, hit_rate; top5_rate for a reader's corpus.

        A hit: the word nearest to the prediction, by cosine over the whole vocabulary, belongs to
        the hidden word's concept. In a reader's corpus each word is a concept of its own.
        """
        x, y = self.examples(self.held_out)
        prediction, hidden = model.predict(x)[0][0], y[0]                      # (N, latent), (N,)
        latents = self.latents(model)                                          # (V, latent)
        similarity = cosine_similarity(prediction, latents)                    # (N, V)
        nearest = similarity.argmax(axis=1)
        measured = {
            "relative_loss": relative_loss(prediction, latents[hidden]),
            "latent_std": latent_std(latents[self.content]),
            "effective_rank": effective_rank(latents[self.content]),
            "hit_rate": float(np.mean(self.concepts[nearest] == self.concepts[hidden])),
        }
        if self.is_corpus:                             # a word that ties with the hidden one is before it
            own = np.take_along_axis(similarity, hidden[:, None], axis=1)      # (N, 1)
            measured["top5_rate"] = float(np.mean((similarity >= own).sum(axis=1) <= 5))
        return measured

    def parse(self, prompt):
        """The ids of the words around the one blank (`__`) of a prompt: (1, T). Raises UserError."""
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
                raise UserError(f"the model has never seen the word {word!r}; the closest it knows is {close!r}")
        return np.array([[seen[word] for word in context]])

    def nearest(self, model, prompt, count=5):
        """The words nearest to the latent predicted for the blank: [(word, cosine), …], best first."""
        context_ids = self.parse(prompt)                                       # (1, T)
        prediction = model.predict((context_ids, np.ones(context_ids.shape, bool)))[0][0]
        similarity = cosine_similarity(prediction, self.latents(model))[0]     # (V,)
        best = np.argsort(-similarity, kind="stable")[:count]
        return [(self.vocabulary[index], float(similarity[index])) for index in best]

    def report(self, model, config, others):
        """What `show` shows; and how well a linear probe tells the hidden word's concept from s_x, the
        context's latent, beside its baselines. Returns the text, and {"probe": {what: hit rate}}.
        """
        untrained = self.build(config, np.random.default_rng(config["seed"]), no_regularizer)
        probes = self.probe({"trained encoder": model, "untrained encoder": untrained})
        rows = "  ".join(f"{what} {rate:.2f}" for what, rate in probes.items())
        return f"{self.show(model)}\nheld-out hits of a linear probe: {rows}", {"probe": probes}

    def probe(self, models):
        """The held-out hit rate of a linear probe of each model's s_x, and of the baselines."""
        training = self.training[np.linspace(0, len(self.training) - 1, min(MEASURED, len(self.training))).astype(int)]
        (x, y), (x_held_out, y_held_out) = self.examples(training), self.examples(self.held_out)
        concept, held_out = self.concepts[y[0]], self.concepts[y_held_out[0]]  # (N,)
        one_hot = np.eye(len(self.vocabulary))[concept]                        # (N, V)
        bags = [self.bag(*each) for each in (x, x_held_out)]                   # the raw input: (N, V)
        width = len(next(iter(models.values())).encode_context(x)[0][0])
        project = principal_components(bags[0], width)
        features = {what: [model.encode_context(each)[0] for each in (x, x_held_out)] for what, model in models.items()}
        features[f"PCA of the input to {width}"] = [project(bag) for bag in bags]
        features["raw input"] = bags
        features["most frequent"] = [np.zeros((len(bag), 1)) for bag in bags]
        return {what: float(np.mean(linear_probe(fit, one_hot)(test).argmax(axis=1) == held_out))
                for what, (fit, test) in features.items()}

    def bag(self, context_ids, mask):
        """How often each word occurs: (N, T) ids, (N, T) mask  ->  (N, V)."""
        counts = np.zeros((len(context_ids), len(self.vocabulary)))
        np.add.at(counts, (np.arange(len(context_ids))[:, None], context_ids), mask)
        return counts

    def show(self, model):
        """A few prompts (of a reader's corpus: held-out sentences) and the words nearest to each."""
        prompts = self.held_out_prompts() if self.is_corpus else PROMPTS
        lines = [] if prompts else ["(each held-out sentence has a word that training never saw)"]
        for prompt in prompts:
            nearest = "  ".join(f"{word} {cosine:.2f}" for word, cosine in self.nearest(model, prompt))
            lines.append(f"{prompt}\n    {nearest}")
        return "\n".join(lines)

    def held_out_prompts(self):
        """Up to four held-out sentences whose last word is hidden and whose others were all seen."""
        first = len(self.lengths) - len(self.lengths) // 5
        prompts = []
        for start, length in zip(self.starts[first:], self.lengths[first:]):
            ids = self.tokens[start:start + length - 1]
            if np.isin(ids, self.seen).all():
                prompts.append(" ".join(self.vocabulary[index] for index in ids) + " __")
        return prompts[:4]
