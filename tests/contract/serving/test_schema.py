"""The published schema is true: nothing fails, nothing answers what it does not say."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
QUICK = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def told(server):
    """The published schema."""
    with server.plain() as plain:
        return plain.get("/openapi.json").json()


@pytest.fixture(scope="module")
def schema(told, server):
    """The same, for schemathesis."""
    made = schemathesis.openapi.from_dict(told)
    made.config.update(base_url=server.url)
    return made


def test_every_reference_leads_somewhere(told):
    parts = told["components"]["schemas"]
    text = json.dumps(told)
    named = {one.split('"')[0] for one in text.split('"#/components/schemas/')[1:]}
    assert named <= parts.keys()
    assert "HTTPValidationError" not in text
    assert {"ChatRequest", "CompletionRequest", "ChatCompletion", "ErrorBody"} <= parts.keys()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_path_answers_what_the_schema_does_not_say(schema, server, mode):
    headers = {"Authorization": f"Bearer {server.keys['admin']}"}
    seen = {}

    def hold(operation):
        @QUICK
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case):
            answer = case.call(headers=headers, timeout=30)
            case.validate_response(answer, checks=CHECKS)
            seen.setdefault(operation.label, set()).add(answer.status_code)

        run()

    operations = [found.ok() for found in schema.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:  # nothing can be wrong about a path that takes nothing
        operations = [one for one in operations if one.body]
    for operation in operations:
        hold(operation)
    assert len(seen) == len(operations) >= 12
    assert 400 in {status for statuses in seen.values() for status in statuses}


CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "n": 2}
TEXT = {"model": "bot", "prompt": ["a", "b"], "max_tokens": 3}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 2}),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/completions", TEXT),
        ("/v1/completions", {**TEXT, "logprobs": 2}),
        ("/v1/completions", {**TEXT, "stream": True}),
        ("/admin/v1/models/{name}/load", {}),
        ("/admin/v1/keys", {"owner": "kim", "roles": ["viewer"]}),
    ],
)
def test_answers_are_as_the_schema_says(schema, server, path, body):
    case = schema[path]["POST"].Case(body=body, path_parameters={"name": "bot"} if "{" in path else {})
    answer = case.call(headers={"Authorization": f"Bearer {server.keys['admin']}"}, timeout=30)
    assert answer.status_code in (200, 201)
    case.validate_response(answer, checks=CHECKS[:-1])
