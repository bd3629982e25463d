"""Questions: VL-JEPA in miniature. x is a picture, z a question in words, y its answer in words.

The answer is found, not generated: of all answers, the one whose latent is nearest to the predicted
one. The energy is InfoNCE, and its gradient flows into both branches: what is not the answer keeps
the latents apart, and no regularizer is needed (Chen et al. 2025).
"""

from functools import partial

import numpy as np

from minijepa.gauges import cosine_similarity, effective_rank, linear_probe, std
from minijepa.jepa import JEPA
from minijepa.layers import Sequential, perceptron
from minijepa.losses import cross_entropy, infonce
from minijepa.options import Option, choice, number, table, whole
from minijepa.predictors import Each, Told
from minijepa.worlds import selective
from minijepa.worlds.base import World, two_encoders
from minijepa.worlds.scenes import (ANSWER_IDS, ANSWERS, KINDS, MEANINGS, QUESTION_IDS, QUESTIONS,
                                    SIDE, Text, drawn, ids_asked, like_nearest, meanings,
                                    objects_of, photograph, streams)

STEPS, PICTURES = 50, 1000                   # batches in an epoch; held-out pictures of each sort
STREAMS, FRAMES, CHANGE = 20, 300, 1 / 30    # what is watched; how often another object comes


class Questions(World):
    """The questions. An epoch is 50 batches of pictures and questions never seen before."""

    name = "questions"
    about, seconds = "a picture and a question: the answer, also of pairs never seen together", 15
    options = {
        "pale": Option(0.5, number(0, 1), "value of the channels that a colour lacks; 0: pure"),
        "embed_dim": Option(32, whole(1), "features of a word, a question and an answer"),
        "hidden_dim": Option(256, whole(1), "hidden units of the encoder and the predictor"),
        "latent_dim": Option(64, whole(1), "dimensions of s_x"),
        "temperature": Option(0.07, number(0.01), "of InfoNCE"),
        "predict": Option("latents", choice("latents", "classes"), "classes: a classifier of the "
                          "same size, each answer a class of its own"),
    }
    defaults = {"epochs": 40, "batch_size": 128, "learning_rate": 2e-3, "decay": 0.5,
                "treatment": "joint"}
    comparisons = {"classifier": {"predict": "classes"}}
    extras = {"show": "ask about held-out pictures, drawn in the terminal"}
    columns = {"std": ("std", ".4f"), "effective_rank": ("effective rank", ".2f"),
               "seen": ("seen", ".4f"), "never": ("never seen", ".4f"),
               "never_what": ("what is it", ".4f"),
               **{kind: (f"{kind}, never seen", ".3f") for kind in KINDS[:3]}}
    probed = "context encoder"
    guess = "most frequent"

    def prepare(self, rng):
        together = np.arange(4)[:, None] != rng.permutation(4)                 # (4, 4)
        self.pairs, never = np.argwhere(together), np.argwhere(~together)      # (12, 2), (4, 2)
        self.fitted, self.seen, self.never = (self.scenes(pairs, PICTURES, rng)
                                              for pairs in (self.pairs, self.pairs, never))
        objects, shifts = streams(STREAMS, FRAMES, CHANGE, rng)
        self.film = self.photograph(objects.reshape(-1, 3), shifts.reshape(-1, 2), rng), objects

    def photograph(self, objects, shifts, rng):
        return photograph(objects, shifts, self.config["pale"], rng, self.config["dtype"])

    def scenes(self, pairs, count, rng):
        """Pictures of objects of these pairs (N, D), and the objects (N, 3)."""
        objects = objects_of(pairs, count, rng)
        return self.photograph(objects, rng.integers(2, size=(count, 2)), rng), objects

    def describe(self):
        return (f"{SIDE} x {SIDE} pictures, 12 of 16 pairs of colour and shape; {STEPS} batches of "
                f"new ones an epoch; {ANSWER_IDS[..., 0].size} answers in words")

    def build(self, config, rng, regularizer):
        two_encoders(config)
        width, hidden, latent = config["embed_dim"], config["hidden_dim"], config["latent_dim"]
        dtype, is_classifier = np.dtype(config["dtype"]), config["predict"] == "classes"
        encoder = perceptron(SIDE * SIDE * 3, hidden, latent, rng, dtype, reads_data=True)
        target = Sequential() if is_classifier else Text(width, rng, dtype)
        outputs = len(MEANINGS) if is_classifier else width
        net = Told(perceptron(latent + width, hidden, outputs, rng, dtype), Text(width, rng, dtype))
        distance = partial(infonce, temperature=config["temperature"])
        return JEPA(encoder, target, Each(net), config["treatment"], config["tau"], regularizer,
                    distance=cross_entropy if is_classifier else distance)

    def batches(self, size, rng):
        for _ in range(STEPS):
            pictures, objects = self.scenes(self.pairs, size, rng)
            kind = rng.integers(len(KINDS), size=size)
            asked = QUESTION_IDS[kind, rng.integers(QUESTION_IDS.shape[1], size=size)]
            meaning = meanings(objects)[np.arange(size), kind]
            y = ANSWER_IDS[meaning, rng.integers(ANSWER_IDS.shape[1], size=size)]      # (B, T)
            if self.config["predict"] == "classes":
                y = np.eye(len(MEANINGS), dtype=self.config["dtype"])[meaning]         # (B, 28)
            yield pictures, y[None], asked[None]

    # --- what it has learned ---------------------------------------------------------------------

    def predict(self, model, pictures, phrasings=QUESTION_IDS.shape[1]):
        """The predicted latents of each kind of question: (4, N, L), its phrasings by turns."""
        return model.predict(pictures, QUESTION_IDS[:, np.arange(len(pictures)) % phrasings])[0]

    def find(self, model, predictions):
        """The answer nearest by cosine, of all: (..., L)  ->  numbers in MEANINGS (...)."""
        if model.distance is cross_entropy:
            return predictions.argmax(axis=-1)
        answers = self.answers(model)                                          # (28·4, L)
        nearest = cosine_similarity(predictions.reshape(-1, answers.shape[1]), answers)
        return (nearest.argmax(axis=1) // ANSWER_IDS.shape[1]).reshape(predictions.shape[:-1])

    def answers(self, model):
        return model.encode_target(ANSWER_IDS)[0].reshape(-1, self.config["embed_dim"])

    def hits(self, find):
        """{key: share of right answers}; find(pictures) gives the answers (4, N)."""
        seen, never = (find(pictures) == meanings(objects).T
                       for pictures, objects in (self.seen, self.never))       # (4, N) each
        return {"seen": float(seen.mean()), "never": float(never.mean()),
                "never_what": float(never[KINDS.index("what")].mean())}

    def found(self, model):
        return self.hits(lambda pictures: self.find(model, self.predict(model, pictures)))

    def measure(self, model):
        latents = self.predict(model, self.seen[0])
        latents = latents.reshape(-1, latents.shape[-1])
        return {"std": std(latents), "effective_rank": effective_rank(latents),
                **self.found(model), **self.probe(model)}

    def probe(self, model):
        """What a linear probe, fitted on pairs that are seen, tells of those never seen."""
        (known, objects), (pictures, truth) = self.fitted, self.never
        one_hot = np.eye(4)[objects].reshape(len(objects), -1)                 # (N, 3·4)
        read = linear_probe(model.encode_context(known)[0], one_hot)
        found = read(model.encode_context(pictures)[0]).reshape(-1, 3, 4).argmax(axis=2)
        return dict(zip(KINDS[:3], map(float, (found == truth).mean(axis=0))))

    def probed_input(self):
        return self.fitted[0]

    def report(self, model, config, others):
        """The answers of each model and the nearest picture; when to look words up; the probes."""
        probes, findings = super().report(model, config, others)
        models = {"this model": model, **others}
        rows = {label: self.found(each) for label, each in models.items()}
        rows["the nearest picture's answers"] = self.hits(
            lambda pictures: like_nearest(pictures, *self.fitted))
        columns = {key: self.columns[key] for key in ("seen", "never", "never_what")}
        answers = table("held out, the right answer is found", rows, columns)
        rules = selective.numbers(self.rules(model))
        text = "\n".join([answers, selective.table(rules), probes])
        return text, {"answers": rows, "selective": rules, **findings}

    # --- selective decoding ----------------------------------------------------------------------

    def rules(self, model):
        """When to look words up, and how often that is right: rows as `selective.compare` says."""
        pictures, objects = self.film
        asked = np.arange(STREAMS) % len(KINDS)                                # one question each
        latents = self.predict(model, pictures, 1).reshape(len(KINDS), FRAMES, STREAMS, -1)
        latents = latents[asked, :, np.arange(STREAMS)].swapaxes(0, 1)         # (FRAMES, …, L)
        truth = meanings(objects)[:, np.arange(STREAMS), asked]                # (FRAMES, STREAMS)
        s_x = model.encode_context(pictures)[0].reshape(FRAMES, STREAMS, -1)
        return selective.compare(self.find(model, latents), truth, latents,
                                 {"s_x": s_x, "pixels": pictures.reshape(FRAMES, STREAMS, -1)})

    def plot_answers(self, axes, model, others):
        """A picture of a pair never seen together, the questions, and the answers found."""
        axes.imshow(np.clip(self.never[0][0].reshape(SIDE, SIDE, 3), 0, 1))
        answers = (f"{question}?  {self.nearest(model, question, 1)[0][0]}"
                   for question, *_ in QUESTIONS.values())
        axes.set(xticks=[], yticks=[], title="a pair never seen together")
        axes.set_xlabel("\n".join(answers), loc="left", fontsize=10)

    def plot_stream(self, axes, model, others):
        selective.plot(axes, self.rules(model))

    plots = plot_answers, plot_stream

    def parse(self, question):
        """The ids of a question's words (1, 1, T). Raises UserError."""
        return ids_asked(question)[None, None]

    def nearest(self, model, question, count=5, picture=0):
        """The answers nearest to what is predicted: [(answer, cosine; of a classifier, logit)]."""
        prediction = model.predict(self.never[0][picture:picture + 1], self.parse(question))[0][0]
        if model.distance is cross_entropy:
            texts, score = [answer for answer, *_ in ANSWERS], prediction[0]   # (28,)
        else:
            texts = sum(ANSWERS, [])
            score = cosine_similarity(prediction, self.answers(model))[0]      # (28·4,)
        best = np.argsort(-score, kind="stable")[:count]
        return [(texts[index], float(score[index])) for index in best]

    def scene(self, picture=0):
        """A held-out picture, of a pair never seen together, as text."""
        return drawn(self.never[0][picture])

    def show(self, model, others):
        """Two pictures of pairs never seen together, and the first phrasing of each question."""
        lines = []
        for picture in range(2):
            lines.append(self.scene(picture))
            for question, *_ in QUESTIONS.values():
                (answer, score), = self.nearest(model, question, 1, picture)
                lines.append(f"{question}?  {answer} ({score:.2f})")
        return "\n".join(lines)
