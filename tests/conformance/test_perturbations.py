"""What every disturbance keeps, whichever it is: the meaning, the answer, and its own word about what it touches."""

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graftwork.evaluation.perturbations  # noqa: F401
from graftwork.data.script import script_of
from graftwork.evaluation.perturbations.perturbation import (
    PERTURBATIONS,
    Asked,
    Perturbation,
    disturbed,
    keeps_parts,
    on_question,
)
from graftwork.evaluation.perturbations.protect import ALL, protected, spelled

NAMES = list(PERTURBATIONS)
LABELS = ("Anatomy", "Dentistry", "Physiology", "口腔科", "心内科", "儿科")
ENGLISH = [
    "How long does a transfer to a European account usually take if it is not urgent?",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May. How many altogether?",
    "Which department treats a patient called Ann Miller with pH 7.35, 2.5 mg of B12 and no Dentistry record?",
    "Which of these is a vitamin?\nA. Iron\nB. Ascorbic acid\nC. Zinc\nD. Water",
]
CHINESE = [
    "珍妮特的鸭子每天下 16 颗蛋。她每天早上早餐时吃 3 颗，每天用 4 颗为自己的朋友做松饼。她每天赚多少钱？",
    "张伟今天没有收到信用卡，请问多久能寄到？",
    "患者王小明体温38.5℃，不伴咳嗽，应当挂口腔科还是儿科的号？",
    "下列哪一项是维生素？A. 铁 B. 抗坏血酸 C. 锌 D. 水",
]
MIXED = ["我的 Visa card 昨天被 ATM 吞了，怎么办？", "用 Python 写 quicksort 要几行代码？请给出 example。"]
TEXTS = [*ENGLISH, *CHINESE, *MIXED]
PIECES = [
    *TEXTS,
    "1,200.50",
    "https://a.example/b?c=1",
    "me@here.example",
    "`x = 1`",
    "{name}",
    "$a+b$",
    "DNA",
    "not",
    "不",
]


def asked(question, expected="42", labels=LABELS):
    system = "Reply with one of: Anatomy, Dentistry, Physiology."
    turns = ({"role": "system", "content": system}, {"role": "user", "content": question})
    return Asked(prompt=turns, expected=expected, labels=labels)


def forms(name, texts=TEXTS, seeds=range(8)):
    for text in texts:
        for seed in seeds:
            before = asked(text)
            after = disturbed(PERTURBATIONS[name], before, seed=seed, item="one")
            if after is not None:
                yield before, after


@pytest.mark.parametrize("name", NAMES)
def test_it_applies_to_each_script_that_it_is_for(name):
    texts = {"latin": ENGLISH, "zh": CHINESE, "zh + latin": MIXED, "other": ["12 + 30 = ?"]}
    for script in PERTURBATIONS[name].scripts:
        assert list(forms(name, texts[script])), script


@pytest.mark.parametrize("name", NAMES)
def test_it_never_touches_another_script(name):
    for text in TEXTS:
        if script_of(text) not in PERTURBATIONS[name].scripts:
            assert disturbed(PERTURBATIONS[name], asked(text), seed=0, item="one") is None


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_something_and_only_the_prompt(name):
    for before, after in forms(name):
        assert after.prompt != before.prompt
        assert (after.expected, after.labels) == (before.expected, before.labels)
        assert [set(turn) for turn in after.prompt] == [set(turn) for turn in before.prompt]
        assert [turn["role"] for turn in after.prompt] == [turn["role"] for turn in before.prompt]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_each_time_and_drawn_from_seed_and_item(name):
    def all_forms(seed, item):
        return [getattr(disturbed(PERTURBATIONS[name], asked(t), seed=seed, item=item), "prompt", None) for t in TEXTS]

    assert all_forms(3, "one") == all_forms(3, "one")
    if name not in ("case", "width", "script"):  # these draw nothing
        several = [all_forms(seed, "one") for seed in range(5)]
        assert any(one != several[0] for one in several)
        assert any(all_forms(3, item) != all_forms(3, "one") for item in ("two", "three", "four"))


@pytest.mark.parametrize("name", NAMES)
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_what_it_says_it_keeps_stands_as_before(name, pieces, seed):
    before = asked(" ".join(pieces), expected="口腔科")
    after = PERTURBATIONS[name].disturb(before, Random(seed))
    if after is not None:
        assert keeps_parts(PERTURBATIONS[name], before, after), (before.question, after.question)


@pytest.mark.parametrize("name", NAMES)
def test_digits_and_their_order_stay(name):
    if name == "option_order":
        return
    for before, after in forms(name):
        assert re.findall(r"\d", before.question) == re.findall(r"\d", after.question)


@pytest.mark.parametrize("name", [name for name in NAMES if PERTURBATIONS[name].is_idempotent])
def test_what_is_disturbed_already_cannot_be_disturbed_again(name):
    told = list(forms(name))
    assert told
    for _, after in told:
        assert disturbed(PERTURBATIONS[name], after, seed=9, item="other") is None


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_question_and_one_of_another_role_are_left_alone(name):
    for turns in ((), ({"role": "user", "content": ""},), ({"role": "tool", "content": ENGLISH[0]},)):
        assert disturbed(PERTURBATIONS[name], Asked(prompt=turns, expected="x"), seed=0, item="one") is None


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_does(name):
    one = PERTURBATIONS[name]
    assert one.name == name
    assert one.about.endswith(".")
    assert one.scripts
    assert one.keeps <= ALL


def test_what_carries_meaning_is_found():
    text = "Give Ann Miller 2.5 mg of B12 and not the one at https://a.example/b, pH 7.35, -5℃"
    told = spelled(text, protected(text, ALL))
    for part in ("Ann", "Miller", "2.5", "B12", "not", "https://a.example/b,", "pH", "7.35", "-5℃"):
        assert any(part in one for one in told), (part, told)
    text = "张伟没有发烧38.5℃，三天不吃 DNA 药"
    told = spelled(text, protected(text, ALL))
    for part in ("张伟", "没", "38.5℃", "三", "不", "DNA"):
        assert any(part in one for one in told), (part, told)


def test_what_would_hurt_a_part_that_it_keeps_is_no_disturbance():
    def slip(text, spans, drawn):
        return text.replace("16", "61")

    careless = Perturbation(
        name="careless", about="Turns digits.", scripts=("zh",), severity="seen", disturb=on_question(slip)
    )
    assert careless.disturb(asked(CHINESE[0]), Random(0)) is not None
    assert disturbed(careless, asked(CHINESE[0]), seed=0, item="one") is None
