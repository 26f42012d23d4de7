"""Two keys: what is asked and what is answered, under the names that are in use."""

from graftwork.data.edits import Spans
from graftwork.data.layouts.chat import are_messages, turns_of
from graftwork.data.layouts.layout import LAYOUTS, Conversation, Data, Layout, LayoutError
from graftwork.data.layouts.values import asked_and_answered, beside, ends_with_an_answer, text, texts

Marks = tuple[Spans | None, ...]


def _prompt_completion(data: Data) -> Conversation:
    if not (are_messages(data["prompt"]) or are_messages(data["completion"])):
        return asked_and_answered(data, text(data, "prompt"), text(data, "completion"))
    asked, answered = turns_of(data["prompt"], "prompt"), turns_of(data["completion"], "completion")
    ends_with_an_answer(answered.turns, "completion")
    said = Conversation([*asked.turns, *answered.turns], (*_marks(asked), *_marks(answered)))
    return beside(data, said if asked.learn or answered.learn else Conversation(said.turns))


def _marks(said: Conversation) -> Marks:
    """A mark for each turn, also where none says anything."""
    return said.learn or (None,) * len(said.turns)


def _question_answer(data: Data) -> Conversation:
    return asked_and_answered(data, _with_context(data), text(data, "answer"))


def _extracted(data: Data) -> Conversation:
    answers = data["answers"]
    found = answers.get("text") if isinstance(answers, dict) else answers
    if not isinstance(found, list) or not found:
        raise LayoutError("answers", answers, "texts, of which the first is the answer", "It has no answer.")
    return asked_and_answered(data, _with_context(data), text({"answers[0]": found[0]}, "answers[0]"))


def _with_context(data: Data) -> str:
    context, question = texts(data, "context"), text(data, "question")
    return f"{context}\n\n{question}" if context else question


LAYOUTS.add("prompt_completion", Layout(needs=("prompt", "completion"), conversation=_prompt_completion))
LAYOUTS.add(
    "question_answer", Layout(needs=("question", "answer"), more=("context", "system"), conversation=_question_answer)
)
LAYOUTS.add("extractive_qa", Layout(needs=("context", "question", "answers"), conversation=_extracted))
