"""A server that speaks the OpenAI protocol and plays the teacher, from the facts of a world: a complete tiny one."""

from __future__ import annotations

import json
import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from clara_bench.worlds import World, paraphrase, questions_about


class Scholar:
    """Answers each prompt by its words alone, so that the order of requests does not matter."""

    def __init__(self, world: World, count: int) -> None:
        corpus = world.corpus[:count]
        self.documents = [f"{passage['title']}\n{passage['text']}" for passage in corpus]
        lessons = [questions_about(world, passage["id"]) for passage in corpus]
        self.pairs = {
            document: {lesson.question: lesson.answer for lesson in found}
            for document, found in zip(self.documents, lessons, strict=True)
        }
        self.paraphrases = {
            document: paraphrase(world, passage["id"]) for document, passage in zip(self.documents, corpus, strict=True)
        }
        self.prompts: list[dict[str, Any]] = []
        self.refused: dict[str, int] = {}
        """Document -> HTTP status."""
        self.seconds = 0.0
        self.dies_after: int | None = None
        self.lock = threading.Lock()

    def answer(self, body: dict[str, Any]) -> tuple[int, str]:
        """HTTP status and the text of the reply."""
        prompt = body["messages"][0]["content"]
        with self.lock:
            self.prompts.append(body)
            number = len(self.prompts)
        time.sleep(self.seconds)
        document = max((one for one in self.documents if one in prompt), key=prompt.rindex)
        if self.dies_after is not None and number > self.dies_after:
            return 503, "the server is going down"
        if document in self.refused:
            return self.refused[document], "this model's context is too short"
        return 200, self.reply(prompt, document)

    def reply(self, prompt: str, document: str) -> str:
        pairs = self.pairs[document]
        if prompt.startswith("Write the document below anew"):
            return self.rewrite(document)
        if "exactly the same facts" in prompt:
            return "Yes." if self.paraphrases[document] in prompt else "No."
        if (found := _after("Pairs:", prompt)) is not None:
            return json.dumps(["correct" if pairs.get(one) == answer else "incorrect" for one, answer in found])
        if (found := _after("Questions:", prompt)) is not None:
            return "<think>Is it [1]?</think>" + json.dumps([self.said(one, pairs) for one in found])
        if (found := _after("Questions written so far:", prompt)) is not None:
            return f"Still missing:\n```json\n{json.dumps(self.further(list(pairs), found))}\n```"
        return json.dumps([*list(pairs)[: len(pairs) // 2], "Who was the cousin of nobody?"])

    def rewrite(self, document: str) -> str:
        return self.paraphrases[document]

    def further(self, questions: list[str], asked: list[str]) -> list[str]:
        return [one for one in questions if one not in asked][:2]

    def said(self, question: str, pairs: dict[str, str]) -> str:
        if question not in pairs:
            return "NOT IN DOCUMENT"
        return "something else" if self.mistaken(question) else pairs[question]

    def mistaken(self, question: str) -> bool:
        """One question in five."""
        return zlib.crc32(question.encode()) % 5 == 0


def _after(heading: str, prompt: str) -> list[Any] | None:
    found = re.search(rf"^{re.escape(heading)}\n(\[.*\])$", prompt, re.MULTILINE)
    return json.loads(found[1]) if found else None


@contextmanager
def serving(scholar: Scholar) -> Iterator[str]:
    """The address of a server behind which the scholar answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions", self.path
            status, text = scholar.answer(body)
            self._send(status, _completion(body, text) if status == 200 else {"error": {"message": text}})

        def _send(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After-Ms", "1")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that was killed in the middle of a request

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    length = len(text.split())
    cut = length > body["max_tokens"]
    message = {"role": "assistant", "content": " ".join(text.split()[: body["max_tokens"]]) if cut else text}
    read = len(body["messages"][0]["content"].split())
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "finish_reason": "length" if cut else "stop", "message": message}],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": min(length, body["max_tokens"]),
            "total_tokens": read + length,
        },
    }
