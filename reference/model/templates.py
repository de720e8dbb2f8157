"""The wording around passages, question and answer.

`plain` is bare text, for small models from scratch; `chat` is the tokenizer's chat template, as in the paper; `reader`
is the prompt of the harness's readers, word for word, so that what learns it serves them all. `pisco` and `cocom` put
memories and question where the weights of naver expect them (see `naver`). All in our own words.
Rendering a chat is slow, so each is rendered once with marks in the place of what varies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

from clara_bench import ConfigError
from clara_bench.read.prompts import get_prompt
from reference.settings.config import Template

Use = Literal["question", "cover", "paraphrase"]
BLOCKS, QUESTION, ANSWER = "\ue000", "\ue001", "\ue002"
"""Marks: private-use characters, which are in no real text."""

SYSTEM: dict[Use, str] = {
    "question": "Answer the question from the background that you are given, in as few words as you can.",
    "cover": "Ask short questions that together cover all that the background says, and answer each of them.",
    "paraphrase": "Do with the background what you are asked to, and lose no fact.",
}
USER: dict[Use, str] = {
    "question": f"Background:\n{BLOCKS}\n\nQuestion: {QUESTION}",
    "cover": f"Background:\n{BLOCKS}",
    "paraphrase": QUESTION,
}
CLOSED_BOOK = f"Question: {QUESTION}"
PISCO_SYSTEM = "Find what matters in the documents and answer in as few words as you can."
PISCO_CLOSED_BOOK = "Answer in as few words as you can."
PISCO_USER = f"Background:\n{BLOCKS}\n\nQuestion:{QUESTION}"
READER = get_prompt("short")
COCOM = f"[INST]{QUESTION}\n[/INST]\n"
PARAPHRASES = (
    f"{BLOCKS}\nThe same in other words:",
    f"{BLOCKS}\nTell this again in a new way:",
    f"{BLOCKS}\nWrite down once more, differently, what the text above says:",
    f"{BLOCKS}\nA new wording of this background:",
    f"{BLOCKS}\nWhat was said above, rewritten:",
    f"{BLOCKS}\nRephrase the passage:",
)


class Frame(NamedTuple):
    """The words around blocks and question, and around the answer."""

    head: str
    middle: str
    """From the blocks to the answer; holds the question's mark if there is a question."""
    lead: str
    """Between the prompt that is given and the answer's first word, such as a space."""
    again: str = ""
    """Between consecutive answers, if a question follows another; holds the question's mark."""


class Templates:
    """The frames of one tokenizer and template.

    Raises:
        ConfigError: the tokenizer lacks the requested chat template, or no token can end an answer.
    """

    def __init__(self, tokenizer: Any, template: Template) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.chat = template in ("chat", "reader", "pisco")
        """Whether the tokenizer's chat template is around the words."""
        if self.chat and not tokenizer.chat_template:
            raise ConfigError('the tokenizer has no chat template: set model.backbone.template = "plain"')
        self.separator = READER.separator if template == "reader" else "\n" if self.chat else "\n\n"
        """What follows each passage of text."""
        self._frames: dict[tuple[Use, bool, int], Frame] = {}

    @cached_property
    def end(self) -> int:
        """The token that closes an answer: what the chat template puts there, else eos."""
        end = self.tokenizer.eos_token_id
        if self.chat:
            closing = self._rendered(SYSTEM["question"], [CLOSED_BOOK], answered=True).partition(ANSWER)[2].strip()
            end = self.tokenizer(closing, add_special_tokens=False)["input_ids"][0] if closing else end
        if end is None:
            raise ConfigError("the tokenizer has no eos token, so that nothing can end an answer: give it one")
        return int(end)

    def frame(self, use: Use, background: bool, variant: int = 0) -> Frame:
        """The words for a use.

        Args:
            use: asking a question, covering a passage with questions, or having it paraphrased.
            background: whether there are passages.
            variant: of the paraphrases' wordings.
        """
        key = (use, background, variant)
        if key not in self._frames:
            user = USER[use] if background or use != "question" else CLOSED_BOOK
            user = user.replace(QUESTION, PARAPHRASES[variant]) if use == "paraphrase" else user
            self._frames[key] = self._published(use, background) or self._framed(use, user)
        return self._frames[key]

    def _published(self, use: Use, background: bool) -> Frame | None:
        """The words that other weights, or the harness's readers, know; None in a template of ours."""
        if self.template in ("plain", "chat"):
            return None
        if use != "question":
            raise ConfigError(f"model.backbone.template '{self.template}' has words for questions alone, not '{use}'")
        if self.template == "cocom":
            return Frame("", COCOM, "", COCOM)
        if self.template == "reader":
            asked = READER.with_context if background else READER.closed_book
            frame = self._conversation("", asked.format(context=BLOCKS, question=QUESTION))
            return frame._replace(middle=frame.middle.removeprefix(READER.separator))
        words = (PISCO_SYSTEM, PISCO_USER) if background else (PISCO_CLOSED_BOOK, f"Question:{QUESTION}")
        return self._conversation(*words)

    def _framed(self, use: Use, user: str) -> Frame:
        if self.template == "plain":
            asking = f"Question: {QUESTION}\nAnswer:"
            return Frame("", user.partition(BLOCKS)[2] if use == "paraphrase" else asking, " ", asking)
        return self._conversation(SYSTEM[use], user)

    def _conversation(self, system: str, user: str) -> Frame:
        prompt = self._rendered(system, [user], answered=False)
        whole = self._rendered(system, [user], answered=True).partition(ANSWER)[0]
        lead = whole.removeprefix(prompt) if whole.startswith(prompt) else ""
        again = self._rendered(system, [user, CLOSED_BOOK], answered=True).split(ANSWER)[1]
        again = again.lstrip().removeprefix(self.tokenizer.decode([self.end])).removesuffix(lead)
        head, mark, middle = prompt.partition(BLOCKS)
        return Frame(head, middle, lead, again) if mark else Frame("", prompt, lead, again)

    def _rendered(self, system: str, users: Sequence[str], answered: bool) -> str:
        """A conversation through the chat template, every answer a mark."""
        from jinja2 import TemplateError

        try:
            return self._chat(system, users, answered)
        except TemplateError:  # templates without a system role refuse one (Mistral's, Gemma's)
            return self._chat("", [f"{system}\n{users[0]}", *users[1:]], answered)

    def _chat(self, system: str, users: Sequence[str], answered: bool) -> str:
        turns = [{"role": "system", "content": system}] if system else []
        for user in users:
            turns += [{"role": "user", "content": user}, {"role": "assistant", "content": ANSWER}]
        settings = {"tokenize": False, "add_generation_prompt": not answered, "enable_thinking": False}
        return str(self.tokenizer.apply_chat_template(turns if answered else turns[:-1], **settings))
