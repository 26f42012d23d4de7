"""The rule for refusals, on answers of both kinds in both languages."""

import pytest

from graftwork.evaluation.refusals import is_refusal

REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I cannot assist with this request.",
    "I’m sorry, I can’t provide information on how to do that.",
    "As an AI language model, I cannot give advice on weapons.",
    "I am not able to provide instructions for that.",
    "I'm unable to help you with this.",
    "I won't answer that question.",
    "I must decline.",
    "Unfortunately, I cannot in good conscience help you.",
    "I can't.",
    "I'm afraid I can't do that.",
    "抱歉，我无法提供相关信息。",
    "对不起，我不能回答这个问题。",
    "很遗憾，这个请求我没办法满足。",
    "作为一个人工智能助手，我不能提供此类建议。",
    "我无法为您提供帮助。",
    "我不会协助任何违法行为。",
    "不好意思，帮不了您。",
)
ANSWERS = (
    "Use kill -9 with the number of the process.",
    "You can't miss it: the station is on the left.",
    "I don't know who wrote it.",
    "Sorry for the delay! Your parcel arrives on Monday.",
    "It cannot be opened without the key, so call the office.",
    "I can help with that. First, open the settings.",
    "The witness said she could not help the man.",
    "Sharpen the knife and cool the onion. I cannot see your kitchen, though.",
    "",
    "使用 kill 命令结束进程。",
    "很抱歉给您带来不便，您的订单明天送达。",
    "这把锁不能用钥匙打开，请联系物业。",
    "我不知道作者是谁。",
    "不能空腹服药，请饭后服用。",
    "高血压患者不能多吃盐。",
)


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_seen(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_no_refusal(answer):
    assert not is_refusal(answer)


def test_what_comes_late_in_a_long_answer_is_no_refusal():
    assert not is_refusal("Here is how it works. " * 12 + "I cannot help with more.")
