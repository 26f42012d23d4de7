"""BLEU and chrF beside sacrebleu; ROUGE beside rouge-score in what it reads, which is plain English."""

import random

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from graftwork.evaluation.metrics import bleu, chrf, rouge

ENGLISH = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "that",
    "no",
    "dog",
    "was",
    "near",
    "it",
    "so",
    "it",
    "slept",
    "until",
    "noon",
    "in",
    "warm",
    "sun",
]
CHINESE = list("头孢类药物应当在饭后服用每天两次每次一片连续七天不得与酒同服如有不适请立即停药并就医")


def pairs(words, joiner, *, count=60, seed=0):
    drawn = random.Random(seed)
    for _ in range(count):
        expected = drawn.choices(words, k=drawn.randrange(1, 40))
        said = [drawn.choice(words) if drawn.random() < 0.3 else word for word in expected]
        cut = drawn.randrange(0, len(said) + 1) if drawn.random() < 0.5 else len(said)
        more = drawn.choices(words, k=drawn.randrange(0, 9)) if cut == len(said) else []
        yield joiner.join([*said[:cut], *more]), joiner.join(expected)


LANGUAGES = pytest.mark.parametrize(("words", "joiner", "cut"), [(ENGLISH, " ", "13a"), (CHINESE, "", "zh")])


@LANGUAGES
def test_chrf_of_one_answer_and_of_all_is_that_of_sacrebleu(words, joiner, cut):
    told = list(pairs(words, joiner))
    for said, expected in told:
        assert 100 * chrf.chrf(said, expected).total == pytest.approx(CHRF().sentence_score(said, [expected]).score)
    counts_K = np.array([chrf.chrf(*pair).counts for pair in told]).sum(0)
    said, expected = zip(*told, strict=True)
    assert 100 * chrf.combined(counts_K) == pytest.approx(CHRF().corpus_score(said, [expected]).score, abs=1e-9)


@LANGUAGES
def test_bleu_of_one_answer_and_of_all_is_that_of_sacrebleu(words, joiner, cut):
    told = list(pairs(words, joiner))
    theirs = BLEU(tokenize=cut, effective_order=True)
    for said, expected in told:
        assert 100 * bleu.bleu(said, expected).total == pytest.approx(theirs.sentence_score(said, [expected]).score)
    counts_K = np.array([bleu.bleu(*pair).counts for pair in told]).sum(0)
    said, expected = zip(*told, strict=True)
    whole = BLEU(tokenize=cut).corpus_score(said, [expected]).score
    assert 100 * bleu.combined(counts_K) == pytest.approx(whole, abs=1e-9)
    assert whole > 1
    longer = [pair for pair in told if len(pair[0]) > len(pair[1])]
    said, expected = zip(*longer, strict=True)
    counts_K = np.array([bleu.bleu(*pair).counts for pair in longer]).sum(0)
    assert 100 * bleu.combined(counts_K) == pytest.approx(
        BLEU(tokenize=cut).corpus_score(said, [expected]).score, abs=1e-9
    )


@pytest.mark.parametrize("few", [1, 2, 3])
def test_bleu_of_few_answers_without_any_long_run_is_that_of_sacrebleu(few):
    told = list(pairs(ENGLISH[:6], " ", count=few, seed=few))
    counts_K = np.array([bleu.bleu(*pair).counts for pair in told]).sum(0)
    said, expected = zip(*told, strict=True)
    assert 100 * bleu.combined(counts_K) == pytest.approx(BLEU().corpus_score(said, [expected]).score, abs=1e-9)


def test_rouge_of_english_is_that_of_rouge_score():
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    for said, expected in pairs(ENGLISH, " "):
        theirs = scorer.score(expected, said)
        assert rouge.rouge_n(said, expected, order=1).total == pytest.approx(theirs["rouge1"].fmeasure)
        assert rouge.rouge_n(said, expected, order=2).total == pytest.approx(theirs["rouge2"].fmeasure)
        assert rouge.rouge_l(said, expected).total == pytest.approx(theirs["rougeL"].fmeasure)


def test_rouge_score_sees_nothing_in_chinese_where_ours_does():
    assert RougeScorer(["rouge1"]).score("发热三天", "发热三天")["rouge1"].fmeasure == 0
    assert rouge.rouge_n("发热三天", "发热三天", order=1).total == 1


def test_the_longest_common_subsequence_is_that_of_the_table():
    drawn = random.Random(1)
    for _ in range(200):
        a, b = (drawn.choices("abcd", k=drawn.randrange(0, 70)) for _ in range(2))
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, left in enumerate(a):
            for j, right in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
        assert rouge.common_length(a, b) == table[-1][-1]
