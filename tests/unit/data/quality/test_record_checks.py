"""Each record check: what it finds, what it says, and what it leaves alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graftwork.core.errors import SpecError
from graftwork.core.spec import parse
from graftwork.data.quality.check import CHECKS, Quarantined, Repaired
from graftwork.data.quality.record_checks.language import by_script, is_english
from graftwork.data.quality.record_checks.repetition import line_frac, loop_frac, stretch_frac
from graftwork.data.records import TEXT, Origin, Record


def said(answer, question="What is it?", **more):
    turns = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Record(turns, Origin("x.jsonl", 1), **more)


def decision(name, record, **asked):
    check = CHECKS[name]
    return check.decide(parse(check.spec, asked), record)


def repaired(name, text, **asked):
    """The answer after the repair and how it was made; None when there is none."""
    decided = decision(name, said(text), **asked)
    assert decided is None or isinstance(decided, Repaired), decided
    return decided and (decided.record.answer, decided.how)


def detail(name, record, **asked):
    decided = decision(name, record, **asked)
    assert decided is None or isinstance(decided, Quarantined), decided
    return decided and decided.detail


FRACTION = st.floats(0, 1)


WESTERN = ("Tolérance à 5°C", "é", "贷款利率为５％，请确认。", "naïve façade “quoted” — ﬁnal", "NÃO", "👍🏽")


@pytest.mark.parametrize(
    ("text", "encoding"), [*((text, "latin-1") for text in WESTERN), *((text, "cp1252") for text in WESTERN[:2])]
)
def test_utf8_read_as_a_western_encoding_is_read_back(text, encoding):
    wrong = text.encode("utf-8").decode(encoding)
    assert repaired("encoding", f"fine before\n{wrong}\nfine after") == (f"fine before\n{text}\nfine after", "mojibake")


@pytest.mark.parametrize(
    "text", ["治疗方面应按照病因治疗，", "可能是低钾血症，", "对于小张的情况，", "临床表现也不同，", "建议到医院就诊，"]
)
def test_utf8_read_as_gbk_is_read_back_where_nothing_is_lost(text):
    wrong = text.encode("utf-8").decode("gb18030")
    assert repaired("encoding", f"A: {wrong} B") == (f"A: {text} B", "mojibake")


def test_a_text_read_as_gbk_that_cannot_be_read_back_is_set_aside():
    assert detail("encoding", said("锛屼綘濂姐�傜殑鏄�", "问")) == (
        "4 of its 11 characters are lost to a wrong encoding; 5.0% (max_lost_frac) or 1 (max_lost) may be"
    )


@pytest.mark.parametrize(
    "text",
    [
        "利率为５％（年化），“固定”。１２３ＡＢＣ",
        "fi ligature ﬁ, “curly” ‘quotes’, ½, ²",
        "É PROIBIDO: NÃO ENTRE. Ça coûte 5€ à l’été.",
        "می‌خواهم",
        "👨‍👩‍👧 family",
        "涓涓细流，浣熊",
        "a\tb\r\nc",
        "Grüße aus Österreich: »ja«",
    ],
)
def test_correct_text_stays_as_it_is(text):
    assert repaired("encoding", text) is None


@given(
    st.text(
        st.sampled_from(
            "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严"
        ),
        min_size=1,
        max_size=60,
    )
)
def test_the_commonest_chinese_characters_in_any_order_are_no_mojibake(text):
    assert decision("encoding", said(text, text)) is None


def test_control_characters_go_and_marks_move_along():
    record = said("\x00a\x1b[31mb\x0bc\ufeff", learn=(None, ((1, 2), (7, 10))))
    decided = decision("encoding", record)
    assert decided.how == "control characters"
    assert decided.record.answer == "ab\nc"
    assert decided.record.learn == (None, ((0, 1), (1, 4)))


def test_a_command_of_latex_gets_the_backslash_back_that_json_took():
    broken = json.loads(r'"\frac{1}{2} and \begin{a} but not this:\f"')
    assert repaired("encoding", broken) == ("\\frac{1}{2} and \\begin{a} but not this:\n", "control characters")


def test_the_worse_answer_is_repaired_too():
    decided = decision("encoding", said("yes", rejected="fiancÃ©"))
    assert decided.record.rejected == "fiancé"


def test_one_lost_character_is_no_reason_and_many_are():
    assert detail("encoding", said("好�", "?")) is None
    assert detail("encoding", said("好���", "?")) == (
        "3 of its 5 characters are lost to a wrong encoding; 5.0% (max_lost_frac) or 1 (max_lost) may be"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" yes \n", ("yes", "white space")),
        ("\n\n  def f():\n    return 1\n", ("  def f():\n    return 1", "white space")),
        ("a\r\nb\rc", ("a\nb\nc", "line ends")),
        ("a\n\n\n\n\n\n\nb", ("a\n\n\n\nb", "blank lines")),
        ("a\n \n\u3000\n\t\n\n\n  b", ("a\n\n\n\n  b", "blank lines")),
        ("中\u200b文", ("中文", "spaces without width")),
        ("a\n\n\n\nb", None),
        ("if x:\n    y", None),
        ("    if x:\n        y", None),
        ("می‌خواهم", None),
        ("ภาษา\u200bไทย", None),
        ("👨‍👩‍👧", None),
        ("   ", ("", "white space")),
    ],
)
def test_white_space_that_means_nothing_goes_and_the_rest_stays(text, expected):
    assert repaired("whitespace", text) == expected


def test_marks_move_along_when_white_space_goes():
    decided = decision("whitespace", said("  yes, of course ", learn=(None, ((2, 5),))))
    assert decided.record.learn == (None, ((0, 3),))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (said(""), "the answer is empty"),
        (said(" \n"), "the answer is empty"),
        (said("……"), "the answer is only punctuation, '……'; name it if it is right (allowed)"),
        (said("yes", " "), "the question is empty; it need not be there (questions)"),
        (said("+"), None),
        (said("👍"), None),
        (said("0"), None),
        (said("是"), None),
        (Record(({"role": TEXT, "content": "text"},), Origin("x.txt", 1)), None),
        (Record(({"role": "assistant", "content": "Hello"},), Origin("x.txt", 1)), None),
    ],
)
def test_what_says_nothing_is_set_aside(record, expected):
    assert detail("empty", record) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"min_answer": 4}, "the answer has 3 characters; 4 are the least (min_answer)"),
        ({"max_answer": 2}, "the answer has 3 characters; 2 are the most (max_answer)"),
        ({"min_question": 2000}, "the question has 11 characters; 2,000 are the least (min_question)"),
        ({"max_question": 10}, "the question has 11 characters; 10 are the most (max_question)"),
        ({}, None),
    ],
)
def test_too_short_and_too_long_are_told_apart(asked, expected):
    assert detail("length", said("yes"), **asked) == expected


def test_plain_text_has_no_question_that_could_be_too_short():
    text = Record(({"role": TEXT, "content": "text"},), Origin("x.txt", 1))
    assert detail("length", text, min_question=5) is None


def test_a_length_that_no_record_can_have_is_refused():
    with pytest.raises(SpecError) as refused:
        parse(CHECKS["length"].spec, {"min_answer": 5, "max_answer": 2, "min_question": 3, "max_question": 1})
    assert str(refused.value) == (
        "max_question = 1: expected a value >= min_question = 3. No record could be kept.\n"
        "max_answer = 2: expected a value >= min_answer = 5. No record could be kept."
    )


ZH = "根据您提供的信息，贷款利率为每年百分之五，需要按月还款，具体以合同为准。"
EN = "The rate of the loan is five percent a year, and it is paid back in equal parts at the end of each month."
FR = "Le taux du prêt est de cinq pour cent par an, et il est remboursé chaque mois en parts égales pendant dix ans."
JA = "ローンの金利は年五パーセントで、毎月末に均等に返済していただきます。詳しくは契約書をご覧ください。"
KO = "대출 금리는 연 오 퍼센트이며 매월 말에 균등하게 상환하셔야 합니다. 자세한 내용은 계약서를 보십시오."


@pytest.mark.parametrize(("text", "expected"), [(ZH, "zh"), (JA, "ja"), (KO, "ko"), (EN, None), (FR, None), ("", None)])
def test_the_script_tells_chinese_japanese_and_korean(text, expected):
    assert by_script(text) == expected


@pytest.mark.parametrize(
    "text",
    [ZH, "请调用 AutoModelForCausalLM 来加载模型", "好呀ヽ(ー_ー)ノ 我们一起去吃饭吧，然后看电影，再回家睡觉好不好"],
)
def test_chinese_with_english_terms_or_an_emoticon_is_chinese(text):
    assert by_script(text) == "zh"


def test_english_is_told_by_its_commonest_words():
    assert [is_english(text) for text in (EN, FR, ZH)] == [True, False, False]


@pytest.mark.parametrize("text", [ZH, EN, "def f(x): return x + 1", "12345 + 678 = 6023 " * 5, "oui", "哈哈"])
def test_wanted_languages_and_what_is_in_doubt_are_kept(text):
    assert detail("language", said(text), languages=["zh", "en"]) is None


def test_another_language_is_set_aside_with_how_certain_that_is():
    assert detail("language", said(ZH), languages=["en"]) == (
        "the answer is in 'zh' (certainty 1.00); wanted: en (languages)"
    )
    assert detail("language", said(FR), languages=["zh", "en"]).startswith("the answer is in 'fr' (certainty ")


@pytest.mark.parametrize(("name", "hint"), [("cn", "Did you mean 'zh'?"), ("EN", "Did you mean 'en'?"), ("qqqq", "")])
def test_a_language_that_is_none_is_refused(name, hint):
    with pytest.raises(SpecError) as refused:
        parse(CHECKS["language"].spec, {"languages": [name]})
    expected = f"languages = {name!r}: expected short names of languages, such as zh, en, ja, de"
    assert str(refused.value) == (f"{expected}. {hint}" if hint else expected)


LAW = (
    "第一条 为了规范借款合同，保护借款人的合法权益，制定本办法。第二条 借款人应当按照约定的期限返还借款。第三条 "
    "贷款人不得预先在本金中扣除利息；利息预先扣除的，应当按照实际数额返还。"
)
TABLE = "| Month | Rate | Fee |\n|---|---|---|\n" + "".join(f"| {m} | {m * 3}.5 % | {m + 7} |\n" for m in range(1, 13))


@pytest.mark.parametrize(
    "text", [LAW, TABLE, EN, "哈哈哈哈", "Ha! " * 5, "----------\nA heading\n----------\nand its text, here."]
)
def test_articles_tables_and_a_short_laugh_are_no_loops(text):
    assert detail("repetition", said(text)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("哈哈哈哈" * 20, "100% of the answer is a piece said over and over in a row; 80% is the most (max_loop_frac)"),
        ("." * 300, "100% of the answer is a piece said over and over in a row; 80% is the most (max_loop_frac)"),
        (
            "I am not sure. " * 40,
            "100% of the answer is a piece said over and over in a row; 80% is the most (max_loop_frac)",
        ),
        (
            "".join(f"{'We cannot say that.' if n % 4 else f'Number {n}.'}\n" for n in range(40)),
            "83% of the answer is lines that stood there before; 50% is the most (max_line_frac)",
        ),
    ],
)
def test_a_loop_is_set_aside(text, expected):
    assert detail("repetition", said(text)) == expected


@given(st.text(max_size=300))
def test_shares_of_repetition_are_shares(text):
    for measure in (loop_frac, line_frac, stretch_frac):
        assert 0 <= measure(text) <= 1


@given(st.text("abc", min_size=1, max_size=6), st.integers(5, 12), st.text("xyz", max_size=4))
def test_a_piece_said_five_times_in_a_row_is_all_loop(piece, turns, rest):
    assert loop_frac(piece * turns + rest) >= len(piece) * turns / len(piece * turns + rest) - 1e-9


def test_a_piece_said_four_times_in_a_row_is_no_loop():
    assert loop_frac("abcdefg" * 4) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#$%^&*" * 10, "0% of the answer are letters or digits; 20% is the least (min_letters_frac)"),
        ("a #### " * 10, "20% of the answer are letters or digits; 21% is the least (min_letters_frac)"),
        (ZH, None),
        ("x = (a[i] + b[j]) ** 2  # {k: v for k, v in d}", None),
        ("👍" * 39, None),
    ],
)
def test_an_answer_of_symbols_is_set_aside(text, expected):
    asked = {"min_letters_frac": 0.21} if "21%" in str(expected) else {}
    assert detail("symbols", said(text), **asked) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("As an AI Language Model, I cannot.", "the answer has 'as an ai language model', kind model (kinds)"),
        ("作为一个人工智能语言模型，我不能", "the answer has '作为一个人工智能语言模型', kind model (kinds)"),
        ("[Insert answer here]", "the answer has '[insert answer', kind placeholder (kinds)"),
        (
            "We use cookies.\nAccept all cookies\nCookie policy\nYes.",
            "92% of the answer is the frame of a web page; 30% is the most (max_page_frac)",
        ),
        ("Write it so:\n```latex\nLorem ipsum dolor\n```", None),
        ("Our privacy policy says that data of customers is kept for ten years and then deleted without a copy.", None),
        ("What an AI language model is, is told in the law.", None),
        (ZH, None),
    ],
)
def test_what_is_no_answer_is_set_aside_and_what_mentions_it_is_kept(text, expected):
    assert detail("boilerplate", said(text)) == expected


def test_phrases_of_ones_own_are_found_in_any_case():
    assert detail("boilerplate", said("ask YOUR advisor"), phrases=["Your Advisor"]) == (
        "the answer has 'Your Advisor' (phrases)"
    )
