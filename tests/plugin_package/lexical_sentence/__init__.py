"""An outsider's baseline: the answer is the sentence that shares most words with the question."""

import re

from clara_bench import Answer, IndexStats, Ranked, Traits


class LexicalSentence:
    traits = Traits(backbone="none")

    def index(self, corpus):
        self.corpus = corpus
        return IndexStats(passages=len(corpus), seconds=0.0, bytes=0)

    def answer(self, questions):
        return [self.answer_one(question) for question in questions]

    def answer_one(self, question):
        asked = set(re.findall(r"\w+", question.text.lower()))
        ranked, best = [], (-1, "")
        for pid in self.corpus if question.candidates is None else question.candidates:
            sentences = re.split(r"(?<=[.!?])\s+", self.corpus[pid].text)
            overlap = [(len(asked & set(re.findall(r"\w+", s.lower()))), s) for s in sentences]
            ranked.append(Ranked(pid, max(overlap)[0]))
            best = max(best, max(overlap))
        return Answer(best[1], retrieved=tuple(sorted(ranked, key=lambda r: -r.score)[:10]))
