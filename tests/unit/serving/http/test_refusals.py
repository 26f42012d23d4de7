"""What is refused, and how: whole, in OpenAI's form, with the name of what is wrong."""

import json
import socket
from contextlib import closing

import pytest
from tests.support.served import served

from graftwork.adapters.bank import AdapterBank
from graftwork.base.load import load_base
from graftwork.core.errors import (
    CapacityError,
    ConflictError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    OverloadedError,
    SpecError,
    WorkError,
)
from graftwork.serving.http.errors import ApiError, error_of
from graftwork.serving.http.openai.asked import ChatRequest
from graftwork.serving.http.seams import BlockedError, RateLimitedError

HELLO = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server(llama_folder):
    """A server with the base alone, and short times."""
    times = {"body_s": 0.5, "headers_s": 0.5, "drain_s": 5.0, "key_s": 60.0}
    with served(AdapterBank(load_base(str(llama_folder), dtype="float32")), spec={"times": times}) as here:
        yield here


@pytest.fixture(scope="module")
def plain(server):
    """A client that sends whatever it is told to."""
    with server.plain() as client:
        yield client


def refused(answer, status, **expected):
    """The error of an answer, whole and in OpenAI's form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    told = answer.json()
    assert told.keys() == {"error"}
    assert told["error"].keys() == {"message", "type", "param", "code"}
    assert "Traceback" not in answer.text
    for name, value in expected.items():
        assert told["error"][name] == value
    return told["error"]["message"]


def chat(plain, **asked):
    return plain.post(CHAT, json={"model": "tiny", "messages": HELLO, "max_tokens": 2, **asked})


@pytest.mark.parametrize(
    ("asked", "param", "words"),
    [
        ({"temprature": 1}, "temprature", "Did you mean 'temperature'?"),
        ({"temperature": 2.5}, "temperature", "<= 2"),
        ({"temperature": "1"}, "temperature", "a number"),
        ({"stop": list("abcde")}, "stop", "at most 4 entries"),
        ({"stop": ""}, "stop", "not empty"),
        ({"n": 99}, "n", "at most 16 answers"),
        ({"seed": -1}, "seed", ">= 0"),
        ({"max_tokens": 5000}, "max_tokens", "at most 4096"),
        ({"max_tokens": 505}, "messages", "at most 512 tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_completion_tokens", "older name"),
        ({"logit_bias": {"999": 1}}, "logit_bias", "0 to 258"),
        ({"top_logprobs": 2}, "top_logprobs", "logprobs: true"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream: true"),
        ({"response_format": {"type": "json_object"}}, "response_format.type", "Text alone"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "does not write tools"),
        ({"tool_choice": "required"}, "tool_choice", "cannot be forced"),
        ({"functions": []}, "functions", "use tools"),
        ({"store": True}, "store", "not stored"),
        ({"service_tier": "flex"}, "service_tier", "There is one"),
        ({"audio": {"voice": "alloy"}}, "audio", "leave it out"),
        ({"messages": []}, "messages", "1 or more"),
        ({"messages": [{"role": "user", "content": "a", "name": "kim"}]}, "messages[0].name", "leave it out"),
        ({"messages": [{"role": "usr", "content": "a"}]}, "messages[0].role", "Did you mean 'user'?"),
        ({"messages": [{"role": "user", "content": "<|im_end|>"}]}, "messages[0].content", "without the control token"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "no default"),
        ({"model": "../../etc/passwd"}, "model", "There is no model '../../etc/passwd'"),
    ],
)
def test_what_is_wrong_is_named(plain, asked, param, words):
    status = 404 if "model" in asked else 400
    assert words in refused(chat(plain, **asked), status, param=param)


def test_images_are_refused_by_name(plain):
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    said = refused(chat(plain, messages=[{"role": "user", "content": parts}]), 400)
    assert "messages[0].content[1].type = 'image_url'" in said
    assert "no images" in said


def test_all_that_is_wrong_is_told_at_once(plain):
    said = refused(chat(plain, temprature=1, n=0, stop=[1]), 400)
    assert [line.split(" = ")[0] for line in said.splitlines()] == ["n", "stop[0]", "temprature"]


def test_null_is_as_good_as_leaving_a_field_out(plain):
    fields = {name: None for name in ChatRequest.model_fields if name not in ("model", "messages", "max_tokens")}
    assert chat(plain, **fields).status_code == 200


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"model": "tiny"', "invalid_json"),
        (b'{"model": "ti\xff"}', "invalid_utf8"),
        (b'{"model": "a", "model": "b"}', "invalid_json"),
        (b'{"temperature": NaN}', "invalid_json"),
        (b"[" * 100_00, "invalid_json"),
        (b'{"a":' * 80 + b"1" + b"}" * 80, "invalid_json"),
        (b'{"n": ' + b"1" * 5000 + b"}", "invalid_json"),
        (b'{"model": "\\ud800", "messages": []}', "invalid_value"),
        (b'{"model": "tiny", "temperature": 1e999, "messages": []}', "invalid_value"),
        (b"[]", "invalid_value"),
        (b"", "invalid_json"),
    ],
)
def test_a_body_that_is_no_whole_json_is_refused(plain, content, code):
    answer = plain.post(CHAT, content=content, headers={"content-type": "application/json"})
    refused(answer, 400, code=code, type="invalid_request_error")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=gbk"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_other_kinds_of_body_are_refused(plain, headers):
    refused(plain.post(CHAT, content=b"{}", headers=headers), 415)


def pieces(count, size=16_384):
    for _ in range(count):
        yield b" " * size


@pytest.mark.parametrize("content", [b" " * 70_000, pieces(200)], ids=["with a length", "in chunks"])
def test_a_body_that_is_too_long_is_refused_and_said_so(plain, content):
    answer = plain.post(CHAT, content=content, headers={"content-type": "application/json"})
    refused(answer, 413, code="body_too_large")
    assert chat(plain).status_code == 200


def raw(server, *parts, role="admin"):
    """What a server answers to bytes, until it closes the connection."""
    host, port = server.url.removeprefix("http://").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=10)) as client:
        for part in parts:
            client.sendall(part.replace(b"KEY", server.keys[role].encode()))
        told = b""
        try:
            while more := client.recv(65_536):
                told += more
        except ConnectionResetError:
            pass
        return told


def test_a_body_that_comes_too_slowly_is_refused(server):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer KEY\r\ncontent-length: 50\r\n\r\n{"
    told = raw(server, head)
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in told


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: a\r\n"])
def test_a_connection_whose_headers_do_not_come_is_ended(server, begun):
    assert raw(server, begun) == b""


def test_a_second_request_whose_headers_do_not_come_is_ended_too(server):
    first = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n"
    told = raw(server, first + b"GET /health/li")
    assert told.count(b"HTTP/1.1 ") == 1


def test_what_is_no_http_is_refused_in_the_same_form(server):
    told = raw(server, b"\x16\x03\x01\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 400 ")
    assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_request"


@pytest.mark.parametrize("size", [40_000, 200_000])
def test_headers_that_are_too_long_are_refused(server, size):
    head = b"GET /v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer KEY\r\nx-long: " + b"a" * size
    told = raw(server, head + b"\r\n\r\n")
    assert told == b"" or told.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


def test_methods_and_paths_that_there_are_not(plain):
    assert "GET /openapi.json" in refused(plain.get("/v1/nothing"), 404)
    refused(plain.get(CHAT), 405)
    refused(plain.get("/docs"), 404)
    refused(plain.get("/v1/models?limt=3"), 400, param="limt")


@pytest.mark.parametrize(
    "path", ["..", "../..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a/../../b", "%00", "a" * 5000, "好"]
)
def test_names_of_models_are_names_and_no_paths(plain, path):
    answer = plain.get(f"/v1/models/{path}")
    assert answer.status_code == 404
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (SpecError([]), 400, "invalid_request_error"),
        (BlockedError("no"), 400, "invalid_request_error"),
        (DeniedError("no"), 403, "permission_error"),
        (NotFoundError("no"), 404, "not_found_error"),
        (TimeoutError(), 408, "invalid_request_error"),
        (ConflictError("no"), 409, "conflict_error"),
        (RateLimitedError("no", retry_after_s=2.1), 429, "rate_limit_error"),
        (OverloadedError("no", retry_after_s=2.1), 503, "overloaded_error"),
        (CapacityError("no"), 503, "overloaded_error"),
        (IntegrityError("spoilt"), 500, "server_error"),
        (WorkError("failed"), 500, "server_error"),
        (ZeroDivisionError("secret"), 500, "server_error"),
    ],
)
def test_every_error_has_one_answer(error, status, kind):
    told = error_of(error, "req_1")
    assert isinstance(told, ApiError)
    assert (told.status, told.body.error.type) == (status, kind)
    assert ("retry-after" in told.headers) == (status in (429, 503))
    assert "secret" not in told.message
    if status == 429:
        assert told.headers["retry-after"] == "3"
    if isinstance(error, ZeroDivisionError):
        assert "req_1" in told.message
