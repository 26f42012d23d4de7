"""Who may do what over HTTP: every path, every role; and what the admin API does."""

import pytest
from tests.support.registries import put
from tests.support.served import keys_of, served

from graftwork.pipeline.service import passing_registry
from graftwork.registry.access.keys import authenticated, new_key
from graftwork.registry.access.roles import MAY, principal
from graftwork.registry.naming import names, nominate, promote
from graftwork.serving.http.app import inner_app

TRAINER = principal("tom", ["trainer"])
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
NEEDS = {
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/openapi.json"): "any key",
    ("GET", "/v1/models"): "read",
    ("GET", "/v1/models/{model:path}"): "read",
    ("POST", "/v1/chat/completions"): "read",
    ("POST", "/v1/completions"): "read",
    ("GET", "/v1/receipts/{id}"): "read",
    ("GET", "/metrics"): "administer",
    ("GET", "/admin/v1/status"): "read",
    ("GET", "/admin/v1/names"): "read",
    ("GET", "/admin/v1/names/{name}/history"): "read",
    ("POST", "/admin/v1/names/{name}/promote"): "promote",
    ("POST", "/admin/v1/names/{name}/rollback"): "promote",
    ("POST", "/admin/v1/names/{name}/retire"): "promote",
    ("POST", "/admin/v1/names/{name}/approve"): "approve",
    ("POST", "/admin/v1/models/{name}/load"): "promote",
    ("POST", "/admin/v1/models/{name}/unload"): "promote",
    ("POST", "/admin/v1/models/{name}/pin"): "promote",
    ("POST", "/admin/v1/models/{name}/unpin"): "promote",
    ("GET", "/admin/v1/keys"): "administer",
    ("POST", "/admin/v1/keys"): "administer",
    ("POST", "/admin/v1/keys/{id}/revoke"): "administer",
}
BODIES = {"/v1/chat/completions": CHAT, "/v1/completions": {"model": "tiny", "prompt": "a", "max_tokens": 1}}
WITHOUT_ANY = ("none", "expired", "revoked")


@pytest.fixture(scope="module")
def server(tiny_bank, lively):
    """A server with a name of the default tenant, `bot`, that is a version in production and one before it."""
    registry, text = passing_registry()
    keys = keys_of(registry, text)
    who = authenticated(registry, text)
    one, two = put(registry, "one", TRAINER), put(registry, "two", TRAINER)
    for digest, before in ((one, None), (two, one)):
        nominate(registry, TRAINER, "bot", digest, expected=None)
        promote(registry, who, "bot", digest, "production", expected=before)
    rows = {"bot": lively(tiny_bank, 9)}
    with served(tiny_bank, rows, registry=registry, keys=keys, spec={"times": {"key_s": 60.0}}) as here:
        here.one, here.two, here.registry = one, two, registry
        yield here


def test_the_table_has_every_path_there_is(server):
    with server.plain() as plain:
        told = plain.get("/openapi.json").json()["paths"]
    there = {(method.upper(), path) for path, methods in told.items() for method in methods}
    known = {(method, path.replace(":path", "")) for method, path in NEEDS} - {("GET", "/openapi.json")}
    assert there == known
    assert inner_app(server.parts).openapi_url is None


@pytest.mark.parametrize("role", [*MAY, *WITHOUT_ANY, "elsewhere"])
def test_every_role_may_do_what_the_table_says_and_nothing_else(server, role):
    with server.plain(role) as plain:
        for (method, path), needed in NEEDS.items():
            where = path.replace("{model:path}", "tiny").replace("{name}", "nobody").replace("{id}", "0" * 12)
            answer = plain.request(method, where, json=BODIES.get(path, {}) if method == "POST" else None)
            seen = f"{role} {method} {path}: {answer.status_code} {answer.text}"
            if needed is None:
                assert answer.status_code == 200, seen
            elif role in WITHOUT_ANY:
                assert answer.status_code == 401, seen
            elif role == "elsewhere" or needed == "any key" or needed in MAY[role]:
                assert answer.status_code in (200, 400, 404), seen  # it came past the door; 400 for an empty body
            else:
                assert answer.status_code == 403, seen


@pytest.mark.parametrize("role", [*MAY, "elsewhere"])
@pytest.mark.parametrize("act", ["load", "pin", "unload", "unpin"])
def test_models_are_moved_by_whoever_may_promote(server, role, act):
    with server.plain(role) as plain:
        answer = plain.post(f"/admin/v1/models/bot/{act}")
    expected = 409 if act.startswith("un") else 200
    if role == "elsewhere":
        expected = 404
    elif "promote" not in MAY[role]:
        expected = 403
    assert answer.status_code == expected, answer.text


def test_a_name_is_rolled_back_promoted_and_retired_from_where_it_was_seen(server):
    with server.plain("deployer") as plain:
        bot = "/admin/v1/names/bot"
        assert plain.get("/admin/v1/names").json() == {"names": [{"name": "bot", "stages": {"production": server.two}}]}
        stale = plain.post(f"{bot}/rollback", json={"expected": server.one})
        assert stale.status_code == 409
        assert "somebody moved it" in stale.json()["error"]["message"]
        blind = plain.post(f"{bot}/rollback", json={})
        assert blind.status_code == 400
        assert blind.json()["error"]["param"] == "expected"
        moved = plain.post(f"{bot}/rollback", json={"expected": server.two, "reason": "worse"}).json()
        assert moved == {"name": "bot", "stage": "production", "before": server.two, "after": server.one}
        told = {"version": server.two, "expected": server.one}
        assert plain.post(f"{bot}/promote", json=told).json()["after"] == server.two
        assert plain.post(f"{bot}/retire", json={"expected": server.two}).json()["after"] is None
        back = {"version": server.two, "expected": None}
        assert plain.post(f"{bot}/rollback", json=back).json()["after"] == server.two
        moves = plain.get(f"{bot}/history").json()["moves"]
    assert [move["reason"] for move in moves].count("worse") == 1
    assert moves[-1]["actor"] == "deployer.1"
    assert names(server.registry, TRAINER)["bot"]["production"] == server.two


def test_a_version_is_approved_once_by_a_person_and_not_by_its_trainer(server):
    asked = {"version": server.two, "stage": "canary"}
    with server.plain("approver") as plain:
        assert plain.post("/admin/v1/names/bot/approve", json=asked).json()["approver"] == "approver.1"
        assert plain.post("/admin/v1/names/bot/approve", json=asked).status_code == 409


def test_other_tenants_have_no_names_and_no_keys_here(server):
    with server.plain("elsewhere") as plain:
        assert plain.get("/admin/v1/names").json() == {"names": []}
        assert plain.get("/admin/v1/names/bot/history").status_code == 404
        asked = {"version": server.one, "expected": server.two}
        assert plain.post("/admin/v1/names/bot/promote", json=asked).status_code == 404
        assert [key["owner"] for key in plain.get("/admin/v1/keys").json()["keys"]] == ["other"]
        mine = server.keys["viewer"].split("_")[1]
        assert plain.post(f"/admin/v1/keys/{mine}/revoke").status_code == 404
        assert [one["id"] for one in plain.get("/v1/models").json()["data"]] == ["tiny"]


def test_a_key_is_made_works_and_is_taken_back(server):
    with server.plain() as plain:
        made = plain.post("/admin/v1/keys", json={"owner": "kim", "roles": ["viewer"], "expires": "2099-01-01T00:00Z"})
        assert made.status_code == 201
        told = made.json()
        server.keys["kim"] = told["key"]
        with server.plain("kim") as hers:
            assert hers.get("/v1/models").status_code == 200
            assert hers.get("/admin/v1/keys").status_code == 403
        listed = {key["id"]: key for key in plain.get("/admin/v1/keys").json()["keys"]}
        assert listed[told["id"]]["expires"] == "2099-01-01T00:00:00.000000Z"
        assert told["key"] not in str(listed)
        assert "hash" not in listed[told["id"]]
        assert plain.post(f"/admin/v1/keys/{told['id']}/revoke").json()["done"] == "revoked"
        assert plain.post(f"/admin/v1/keys/{told['id']}/revoke").status_code == 409
        wrong = plain.post("/admin/v1/keys", json={"owner": "kim", "roles": ["viewr"], "tenant": "elsewhere"})
        assert wrong.status_code == 400
        assert "Did you mean 'viewer'?" in wrong.json()["error"]["message"]
        assert "tenant" in wrong.json()["error"]["message"]


def test_scopes_take_permissions_away(server):
    who = authenticated(server.registry, server.keys["admin"])
    server.keys["scoped"] = new_key(server.registry, who, "s", ["admin"], scopes=["read"])
    with server.plain("scoped") as plain:
        assert plain.get("/v1/models").status_code == 200
        assert plain.get("/admin/v1/keys").status_code == 403


def test_the_status_says_how_the_server_stands(server):
    with server.plain("viewer") as plain:
        told = plain.get("/admin/v1/status").json()
    assert told["is_ready"] is True
    assert told["engine"]["running"] == 0
    assert [(one["name"], one["is_in_memory"]) for one in told["models"]] == [("tiny", True), ("bot", True)]


def test_a_revoked_key_works_no_longer_than_it_is_believed(tiny_bank):
    registry, text = passing_registry()
    keys = keys_of(registry, text)
    spec = {"times": {"key_s": 0.0}}
    with (
        served(tiny_bank, registry=registry, keys=keys, spec=spec) as server,
        server.plain() as plain,
        server.plain("viewer") as other,
    ):
        assert other.get("/v1/models").status_code == 200
        assert plain.post(f"/admin/v1/keys/{keys['viewer'].split('_')[1]}/revoke").status_code == 200
        assert other.get("/v1/models").status_code == 401
