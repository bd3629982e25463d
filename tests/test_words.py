"""The word world against slow loops over plain lists of words."""

import io
import math
import re
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minijepa.options import UserError
from minijepa.worlds.corpus import Corpus, read_corpus, words
from minijepa.worlds.words import FRAMES, FUNCTION_WORDS, MEASURED, PROMPTS, Words, grammar

some = settings(deadline=None, max_examples=40)
few = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**32 - 1)
TWELVE = "a b c d e f g h i j the on".split()           # a corpus may hide "the" and "on" as well

CONCEPTS = {frozenset(group) for agents, verbs, things in FRAMES
            for group in (agents, [verb.split()[0] for verb in verbs], things)}


def random_sentences(rng, count=None, longest=7):
    """Different sentences of 2 to `longest` words out of twelve, which may repeat in one."""
    count = count or int(rng.integers(5, 40))
    sentences = {}
    while len(sentences) < count:
        sentences[tuple(rng.choice(TWELVE, rng.integers(2, longest + 1)).tolist())] = None
    return list(sentences)


def random_world(seed, **sizes):
    """Of a random corpus, or, one time in four, of the grammar."""
    rng = np.random.default_rng(seed)
    corpus = None if rng.integers(4) == 0 else Corpus(random_sentences(rng, **sizes), "")
    return Words(rng, corpus=corpus)


def sentences_of(world):
    """The sentences in their order in the world: a list of tuples of words."""
    return [tuple(world.vocabulary[index] for index in sentence)
            for sentence in np.split(world.tokens, np.cumsum(world.lengths)[:-1])]


def examples_of(world, sentences):
    """(the other words, the hidden word) for every word of the sentences that may be hidden."""
    return [(sentence[:place] + sentence[place + 1:], word)
            for sentence in sentences for place, word in enumerate(sentence)
            if world.is_corpus or word not in ("the", "up", "on")]


def split(world):
    """The sentences to train on, and the last fifth, which are held out."""
    sentences = sentences_of(world)
    count = len(sentences) // 5
    return sentences[:-count], sentences[-count:]


def spell(world, x, y):
    """(the context's words, the hidden word) of each example of a batch, by its mask."""
    (context_ids, mask), (hidden,) = x, y
    name = world.vocabulary
    return [(tuple(name[index] for index, there in zip(row, here) if there), name[target])
            for row, here, target in zip(context_ids.tolist(), mask.tolist(), hidden.tolist())]


# ---- the grammar

def test_the_grammar_makes_280_different_sentences_and_those_of_the_article():
    sentences = {" ".join(sentence) for sentence in grammar()[0]}
    assert len(sentences) == len(grammar()[0]) == 280
    assert sentences >= {
        "the cat climbed the tree", "the dog chased the ball", "the child opened the door",
        "the bird sat on the branch", "the cat climbed up the tree"}


def test_seventeen_concepts_have_no_word_in_common():
    members = [word for concept in CONCEPTS for word in concept]
    assert len(CONCEPTS) == 17 and len(members) == len(set(members))
    for concept in CONCEPTS:
        names = {grammar()[1][word] for word in concept}
        assert len(names) == 1 and names <= concept
    assert grammar()[1].keys() == set(members)


def test_function_words_are_seen_and_never_hidden():
    world = Words(np.random.default_rng(0))
    assert FUNCTION_WORDS == {"the", "up", "on"} <= set(world.vocabulary)
    hidden = {world.vocabulary[world.tokens[place]] for place in [*world.training, *world.held_out]}
    assert hidden == set(grammar()[1]) == {world.vocabulary[index] for index in world.content}
    assert hidden | FUNCTION_WORDS == set(world.vocabulary)


# ---- text to words

@pytest.mark.parametrize("text, expected", [
    ("The cat climbed up the tree.", "the cat climbed up the tree"),
    ("  (Stop!)\t«Why?» — he_said;1,5 ", "stop why he said 1 5"),
    ("Don't re-do it, 'quoted' -dashed- o’clock’", "don't re-do it quoted dashed o’clock"),
    ("' - ’ … ! 🐈", ""),
    ("", ""),
    ("\ufeffThe cat", "the cat"),                      # a byte order mark
    ("co\u00adoperate zero\u200bwidth", "cooperate zerowidth"),
    ("Cafe\u0301 CAFÉ", "café café"),                  # the accent apart, and in one letter
    ("ΠΡΟΪ\u0301ΟΝ Straße ПРИВЕТ", "προΐον straße привет"),
    ("हिन्दी में, தமிழ்!", "हिन्दी में தமிழ்"),                    # vowel signs are combining marks
    ("你好，世界。 שָׁלוֹם عَرَبِيّ", "你好 世界 " + unicodedata.normalize("NFC", "שָׁלוֹם عَرَبِيّ")),
    ("½ ﬁn x²", "½ ﬁn x²"),                            # NFC, which does not spell them out
    ("i ❤️ you", "i you"),                             # the heart has an invisible mark behind it
])
def test_words_of_a_text(text, expected):
    assert words(text) == expected.split()


letters = st.characters(exclude_categories=["Cs"])
marks = st.sampled_from("aIΪΣ'- .❤\u00ad\u0301\u0323\u0345\ufe0f\u0f71\u0f73")
texts = st.text(letters) | st.text(marks)


@settings(deadline=None, max_examples=200)
@given(texts)
def test_words_are_nfc_lower_case_without_punctuation_and_words_of_words_the_same(text):
    found = words(text)
    assert words(" ".join(found)) == words(unicodedata.normalize("NFD", text)) == found
    for word in found:
        assert unicodedata.is_normalized("NFC", word) and word == word.lower()
        assert unicodedata.category(word[0])[0] in "LN" and word[-1] not in "'’-"
        assert all(unicodedata.category(letter)[0] in "LMN" or letter in "'’-" for letter in word)


# ---- reading a corpus

def read(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.txt"
        path.write_bytes(data)
        return read_corpus(str(path))


@some
@given(seeds, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_corpus_comes_back_as_it_was_written(seed, newline, bom):
    rng = np.random.default_rng(seed)
    foreign = "été हिन्दी 你好 привет don't re-do ß ô z9 ζ the on".split()
    foreign = dict(zip(TWELVE, foreign, strict=True))
    sentences = [tuple(foreign[word] for word in sentence) for sentence in random_sentences(rng)]
    lines = [" ".join(sentence) for sentence in sentences]
    for place in rng.integers(0, len(lines) + 1, 3):
        lines.insert(place, rng.choice(["", "  ", " ... "]))               # skipped
    lines += [line.upper() + "!" for line in rng.choice(lines, 3) if "ß" not in line]  # repeated
    corpus = read(("\ufeff" * bom + newline.join(lines)).encode())
    assert corpus.sentences == sentences


def test_the_digest_tells_corpora_apart_by_their_words_alone():
    text = "a b\nc d\ne f\ng h\ni j k\n"
    same = text.upper().replace("\n", ".\r\n\r\n")
    others = [text.replace("i j", "i"), text.replace("a b", "a bc"), text + "l m"]
    digest, again, *digests = (read(each.encode()).digest for each in [text, same, *others])
    assert digest == again and len({digest, *digests}) == 4


@pytest.mark.parametrize("data, message", [
    (b"a b\n\nc d\nalone!\ne f\n", "line 4.*'alone'"),
    (b"", "at least 5 .* it has 0"),
    (b"a b\nc d\ne f\ng h\nA B.\n", "at least 5 .* it has 4"),
    (b"a b\xff\n", "not UTF-8"),
    (b"a b\nc\0d\n", "binary"),
])
def test_a_corpus_that_cannot_be_used(data, message):
    with pytest.raises(UserError, match=message):
        read(data)


def test_a_corpus_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "missing.txt", tmp_path):
        with pytest.raises(UserError, match="cannot read the corpus"):
            read_corpus(str(path))


# ---- the split

@some
@given(seeds)
def test_every_sentence_is_in_the_world_once(seed):
    rng = np.random.default_rng(seed)
    sentences = random_sentences(rng)
    assert sorted(sentences_of(Words(rng, corpus=Corpus(sentences, "")))) == sorted(sentences)


@some
@given(seeds)
def test_a_fifth_of_the_sentences_is_held_out_and_never_trained_on(seed):
    world = random_world(seed)
    training, held_out = split(world)
    assert spell(world, *world.examples(world.training)) == examples_of(world, training)
    assert spell(world, *world.examples(world.held_out)) == examples_of(world, held_out)
    seen = {word for sentence in training for word in sentence}
    assert {world.vocabulary[index] for index in world.seen} == seen


@some
@given(seeds)
def test_another_seed_holds_out_other_sentences(seed):
    first, second = (set(split(Words(np.random.default_rng(s)))[1]) for s in (seed, seed + 1))
    assert first != second


@few
@given(seeds)
def test_at_most_a_thousand_examples_are_measured_of_every_place(seed):
    rng = np.random.default_rng(seed)
    length = int(rng.integers(2, 7))                   # about 2,200 examples are held out
    sentences = np.unique(rng.integers(0, 300, (11_000 // length, length)), axis=0).tolist()
    world = Words(rng, corpus=Corpus([tuple(map(str, sentence)) for sentence in sentences], ""))
    first = int(world.lengths[:-(len(sentences) // 5)].sum())
    assert MEASURED / 2 <= len(world.held_out) <= MEASURED == 1000
    assert len(set(world.held_out.tolist())) == len(world.held_out)
    assert world.held_out.min() >= first
    places = np.bincount((world.held_out - first) % length, minlength=length)
    assert places.min() > 0.6 * len(world.held_out) / length


# ---- examples and batches

@some
@given(seeds)
def test_a_context_is_the_sentence_without_the_hidden_place(seed):
    """In any order, more than once, of any word; the padding is at the end."""
    world = random_world(seed)
    places = np.random.default_rng(seed).choice(len(world.tokens), 9)
    (context_ids, mask), target_ids = world.examples(places)
    ends = np.cumsum(world.lengths).tolist()
    contexts = []
    for place in places.tolist():
        end = min(end for end in ends if end > place)
        start = max(start for start in [0, *ends] if start <= place)
        contexts.append([*world.tokens[start:place], *world.tokens[place + 1:end]])
    longest = max(map(len, contexts))
    assert context_ids.shape == mask.shape == (9, longest) and mask.dtype == bool
    assert target_ids.tolist() == [world.tokens[places].tolist()]
    for row, here, context in zip(context_ids.tolist(), mask.tolist(), contexts):
        assert here == [True] * len(context) + [False] * (longest - len(context))
        assert row[:len(context)] == context


@some
@given(seeds, st.integers(1, 20))
def test_an_epoch_has_each_training_example_once(seed, size):
    world = random_world(seed)
    size = min(size, len(world.training))
    batches = list(world.batches(size, np.random.default_rng(seed)))
    examples = [example for batch in batches for example in spell(world, *batch[:2])]
    assert sorted(examples) == sorted(examples_of(world, split(world)[0]))
    sizes = [y.shape[1] for x, y, z in batches]
    assert {z for x, y, z in batches} == {None}
    assert set(sizes[:-1]) <= {size} and 1 <= sizes[-1] <= size


def test_each_epoch_has_its_own_order_and_a_seed_repeats_it():
    world, rng = Words(np.random.default_rng(0)), np.random.default_rng(1)
    first, second = ([y.tolist() for x, y, z in world.batches(32, rng)] for epoch in range(2))
    again = [y.tolist() for x, y, z in world.batches(32, np.random.default_rng(1))]
    assert first != second and first == again


def test_a_batch_larger_than_the_data_is_refused():
    world = Words(np.random.default_rng(0))
    count = len(world.training)
    assert len(list(world.batches(count, np.random.default_rng(0)))) == 1
    with pytest.raises(UserError, match=f"at most {count}.* was given {count + 1}"):
        next(world.batches(count + 1, np.random.default_rng(0)))


# ---- measuring, with models made by hand

class HandMade:
    """Latents from a table, a row a word; the prediction sums the context's rows of another."""

    def __init__(self, latents, contributions):
        self.latents, self.contributions = latents, contributions

    def encode_target(self, ids):
        return self.latents[ids], None

    def predict(self, x, z=None):
        context_ids, mask = x
        return np.where(mask[..., None], self.contributions[context_ids], 0).sum(axis=1)[None], None


def random_model(world, seed, dimension=4):
    rng = np.random.default_rng(seed)
    return HandMade(*rng.standard_normal((2, len(world.vocabulary), dimension)))


def coarse_model(world, seed):
    """Latents on six half-axes, predictions on whole numbers: most cosines tie, exactly."""
    rng = np.random.default_rng(seed)
    latents = np.concatenate([np.eye(3), -np.eye(3)])[rng.integers(0, 6, len(world.vocabulary))]
    return HandMade(latents * 2.0 ** rng.integers(-2, 3, (len(latents), 1)),
                    rng.integers(-2, 3, (len(latents), 3)).astype(float))


def cosine(a, b):
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b)) / lengths if lengths else 0.0


def cosines(world, model, context):
    """The cosine of every word with what the model predicts from the context's words."""
    ids = [world.vocabulary.index(word) for word in context]
    prediction = sum(model.contributions[index] for index in ids)
    return dict(zip(world.vocabulary, (cosine(prediction, latent) for latent in model.latents)))


def interchangeable(world, one, other):
    return one == other or not world.is_corpus and any({one, other} <= each for each in CONCEPTS)


@few
@given(seeds)
def test_a_hit_is_a_nearest_word_of_the_hidden_concept(seed):
    world = random_world(seed)
    model, hits, top = random_model(world, seed), [], []
    for context, word in examples_of(world, split(world)[1]):
        near = cosines(world, model, context)
        best_first = sorted(near, key=near.get, reverse=True)
        hits.append(interchangeable(world, best_first[0], word))
        top.append(word in best_first[:5])
    measured = world.measure(model)
    assert list(measured) == list(world.columns)
    assert measured["hits"] == pytest.approx(np.mean(hits), abs=1e-12)
    assert ("top5_hits" in measured) == world.is_corpus
    if world.is_corpus:
        assert measured["top5_hits"] == pytest.approx(np.mean(top), abs=1e-12)


def test_a_model_that_knows_hits_always_and_its_opposite_never():
    world = Words(np.random.default_rng(0))
    axes = np.eye(len(world.vocabulary))[world.concepts]

    class Knows(HandMade):
        def predict(self, x, z=None):
            return self.contributions * self.latents[world.tokens[world.held_out]][None], None

    assert world.measure(Knows(axes, 1))["hits"] == 1
    assert world.measure(Knows(axes, -1))["hits"] == 0
    assert world.measure(Knows(axes, 1))["relative_loss"] == 0


@few
@given(seeds)
def test_a_word_that_ties_with_five_others_is_not_in_the_top_five(seed):
    rng = np.random.default_rng(seed)
    world = Words(rng, corpus=Corpus(random_sentences(rng), ""))
    model, top = coarse_model(world, seed), []
    for context, word in examples_of(world, split(world)[1]):
        near = cosines(world, model, context)
        top.append(sum(near[other] >= near[word] - 1e-9 for other in near) <= 5)
    assert world.measure(model)["top5_hits"] == pytest.approx(np.mean(top), abs=1e-12)


@few
@given(seeds)
def test_the_latents_are_measured_over_content_words_and_held_out_targets(seed):
    world = random_world(seed, count=30)
    model = random_model(world, seed)
    function = [world.vocabulary.index(word) for word in ("the", "up", "on") if not world.is_corpus]
    model.latents[function] *= 1000
    content = np.delete(model.latents, function, axis=0)
    measured = world.measure(model)
    assert measured["std"] == pytest.approx(np.sqrt(np.cov(content.T, bias=True).diagonal()).mean())
    shares = np.sqrt(np.linalg.eigvalsh(np.cov(content.T)))
    shares /= shares.sum()
    assert measured["effective_rank"] == pytest.approx(np.prod(shares**-shares), rel=1e-9)

    targets, errors = [], []
    for context, word in examples_of(world, split(world)[1]):
        ids = [world.vocabulary.index(other) for other in context]
        targets.append(model.latents[world.vocabulary.index(word)])
        errors.append(np.sum((sum(model.contributions[ids]) - targets[-1]) ** 2))
    variance = np.cov(np.transpose(targets), bias=True).trace()
    assert measured["relative_loss"] == pytest.approx(np.mean(errors) / variance)


@few
@given(seeds)
def test_a_collapsed_model_hits_no_more_than_by_always_naming_one_word(seed):
    rng = np.random.default_rng(seed)
    world = Words(rng, corpus=Corpus(random_sentences(rng, 30), ""))
    latents = np.tile([0.0, 2.0, 0.0], (len(world.vocabulary), 1))
    measured = world.measure(HandMade(latents, latents))
    hidden = [word for _, word in examples_of(world, split(world)[1])]
    assert measured["hits"] in {hidden.count(word) / len(hidden) for word in world.vocabulary}
    assert measured["top5_hits"] == measured["std"] == measured["effective_rank"] == 0
    assert all(map(math.isfinite, measured.values()))


# ---- asking

def parsed(world, prompt):
    ids, = world.parse(prompt)
    return [world.vocabulary[index] for index in ids]


@pytest.mark.parametrize("prompt", [
    "the cat climbed up the __", "The cat climbed up the __.", "the cat climbed up the _",
    " the cat (climbed) up the ____!"])
def test_a_prompt_as_it_is_pasted(prompt):
    assert parsed(Words(np.random.default_rng(0)), prompt) == "the cat climbed up the".split()


@some
@given(seeds)
def test_any_word_of_a_sentence_may_be_the_blank(seed):
    world = random_world(seed)
    rng = np.random.default_rng(seed)
    sentence = list(split(world)[0][0])
    place = rng.integers(len(sentence))
    prompt = " ".join([*sentence[:place], "__", *sentence[place + 1:]])
    assert parsed(world, prompt) == sentence[:place] + sentence[place + 1:]


@pytest.mark.parametrize("prompt, message", [
    ("the cat climbed", "one blank.* has 0"),
    ("the __ climbed the __", "one blank.* has 2"),
    ("__", "a word beside its blank"),
    ("... __ !", "a word beside its blank"),
    ("the cat climbd up the __", "never seen the word 'climbd'.* 'climbed'"),
    ("the cat climbed up the zzzzz __", "never seen the word 'zzzzz'"),
])
def test_a_prompt_that_cannot_be_answered(prompt, message):
    with pytest.raises(UserError, match=message):
        Words(np.random.default_rng(0)).parse(prompt)


def test_a_word_of_the_held_out_sentences_alone_was_never_seen():
    corpus = Corpus([(f"word{number}", "same") for number in range(10)], "")
    world = Words(np.random.default_rng(0), corpus=corpus)
    training, held_out = split(world)
    for word, _ in training:
        world.parse(f"{word} __")
    for word, _ in held_out:
        with pytest.raises(UserError, match=f"never seen the word '{word}'"):
            world.parse(f"{word} __")


@few
@given(seeds, st.integers(1, 80))
def test_nearest_are_all_words_in_the_order_of_their_cosine(seed, count):
    world = random_world(seed)
    model = random_model(world, seed)
    context = split(world)[0][0][:-1]
    near = cosines(world, model, context)
    expected = sorted(near, key=near.get, reverse=True)[:count]
    nearest = world.nearest(model, " ".join(context) + " __", count)
    assert [word for word, _ in nearest] == expected
    wanted = [near[word] for word in expected]
    assert [found for _, found in nearest] == pytest.approx(wanted, abs=1e-14)


# ---- what is shown

def shown(world, model):
    """[(prompt, [(word, cosine), …]), …] as answers() has it."""
    lines = world.answers(model).splitlines()
    if len(lines) < 2:                                 # of a corpus where there is none to show
        assert world.is_corpus and "never saw" in "".join(lines)
        return []
    nearest = [[(word, float(number))
                for word, number in re.findall(r"(\S+) (-?\d\.\d\d)(?:  |$)", line)]
               for line in lines[1::2]]
    return list(zip(lines[::2], nearest, strict=True))


def test_the_prompts_of_the_grammar_are_shown():
    world = Words(np.random.default_rng(0))
    rows = shown(world, random_model(world, 0))
    assert [prompt for prompt, _ in rows] == PROMPTS and PROMPTS[0] == "the cat climbed up the __"
    for prompt, nearest in rows:
        near = cosines(world, random_model(world, 0), prompt.replace("__", "").split())
        assert nearest == [(word, pytest.approx(near[word], abs=0.005001))
                           for word in sorted(near, key=near.get, reverse=True)[:5]]


@some
@given(seeds)
def test_held_out_sentences_of_a_corpus_are_shown(seed):
    rng = np.random.default_rng(seed)
    world = Words(rng, corpus=Corpus(random_sentences(rng), ""))
    training, held_out = split(world)
    seen = {word for sentence in training for word in sentence}
    contexts = [sentence[:-1] for sentence in held_out if seen.issuperset(sentence[:-1])]
    expected = [" ".join(context) + " __" for context in contexts[:4]]
    rows = shown(world, random_model(world, seed))
    assert [prompt for prompt, _ in rows] == expected
    assert all(len(nearest) == min(5, len(world.vocabulary)) for _, nearest in rows)


def test_a_corpus_of_any_spelling_can_be_shown():
    lines = ["e\u200d\u0301 ❤️ Ϊ\u0301 x", "İstanbul ΟΔΟΣ x", "don't x--y", "ǅ ŉ ﬁ", "ΑΣ' x",
             "a\u0345\u0301 b"]
    corpus = read("\n".join(f"{line} {number}" for line in lines for number in "1234").encode())
    for seed in range(5):
        world = Words(np.random.default_rng(seed), corpus=corpus)
        rows = shown(world, random_model(world, seed))
        assert [prompt for prompt, _ in rows] == world.held_out_prompts()


@some
@given(seeds)
def test_describe_counts(seed):
    world = random_world(seed)
    training, held_out = split(world)
    vocabulary = {word for sentence in training + held_out for word in sentence}
    counts = [len(training + held_out), len(vocabulary), len(examples_of(world, training)),
              len(examples_of(world, held_out)), len(held_out)]
    if not world.is_corpus:
        counts.insert(2, 17)
    assert [int(number) for number in re.findall(r"\d+", world.describe())] == counts


# ---- a checkpoint keeps the world

@few
@given(seeds)
def test_a_restored_world_is_the_same(seed):
    world = random_world(seed)
    file = io.BytesIO()
    np.savez(file, **world.state())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        restored = Words.restore(dict(stored), world.config)
    assert sentences_of(restored) == sentences_of(world)
    assert restored.describe() == world.describe() and restored.columns == world.columns
    model = random_model(world, seed)
    assert restored.measure(model) == world.measure(model)
    assert restored.answers(model) == world.answers(model)
    first, second = ([spell(w, *batch[:2]) for batch in w.batches(3, np.random.default_rng(seed))]
                     for w in (world, restored))
    assert first == second
    for name, array in world.state().items():
        assert np.array_equal(restored.state()[name], array), name
