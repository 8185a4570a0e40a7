#!/usr/bin/env python3
"""Every route for every built-in role: whoever lacks the permission is refused with 403 before the
request is even parsed, and everyone else is not. The rule is worked out here once more, from the
roles that the server shows, so that two programs must agree."""
import http.client
import sys

from support import ROOT, Store, main, test

OPEN_TO_ALL = {"server.health", "server.ready", "server.openapi"}
OPEN_TO_EVERY_KEY = {"access.whoami"}
# Whoever gets in is refused for this member, so that nothing is locked or erased on the way.
NOTHING_KNOWN = b'{"no_such_member": 1}'


def permits(permissions, operation):
    return operation in OPEN_TO_EVERY_KEY or any(one in ("*", operation) or (one.endswith(".*") and operation.startswith(one[:-1])) for one in permissions)


def operations(client):
    document = client.get("/openapi.json").json
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            target = path
            for member in ("{collection}", "{purpose}", "{record}", "{subject}", "{request}", "{import}", "{fill}", "{key}", "{role}", "{entry}", "{engagement}", "{kind}", "{hold}", "{field}"):
                target = target.replace(member, "x")
            yield route["operationId"], method.upper(), target


def status_of(client, method, target, key):
    """The status alone: some bodies never end."""
    connection = http.client.HTTPSConnection("127.0.0.1", client.port, context=client.context, timeout=60)
    headers = {"Connection": "close", "Content-Type": "text/csv" if "imports" in target else "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request(method, target, body=None if method in ("GET", "DELETE") else NOTHING_KNOWN, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@test
def each_role_may_use_its_own_operations_and_no_others(server):
    client = server.client()
    roles = {role["role"]: role["permissions"] for role in client.get("/v1/roles").json["roles"]}
    assert len(roles) >= 11, roles
    keys = {name: client.good("POST", "/v1/api-keys", {"name": f"matrix {name}", "roles": [name]})["api_key"] for name in roles}
    table = [one for one in operations(client) if not one[0].startswith("server.")]
    assert len(table) >= 45, len(table)
    wrong, refused = [], 0
    for operation, method, target in table:
        for name, permissions in roles.items():
            status = status_of(client, method, target, keys[name])
            allowed = permits(permissions, operation)
            refused += not allowed
            if (status == 403) == allowed or status in (401, 500):
                wrong.append((name, operation, status, "allowed" if allowed else "not allowed"))
    assert not wrong, wrong
    entries = client.get("/v1/journal?outcome=refused&limit=500").json["entries"]
    assert len(entries) >= min(refused, 400), (len(entries), refused)


@test
def the_agreed_matrix_has_every_operation_and_role(server):
    client = server.client()
    roles = {role["role"]: role["permissions"] for role in client.get("/v1/roles").json["roles"]}
    lines = (ROOT / "tests" / "cases" / "access" / "matrix.tsv").read_text().splitlines()[1:]
    names = lines[0].split("\t")[1:]
    agreed = {line.split("\t")[0]: dict(zip(names, line.split("\t")[1:])) for line in lines[1:]}
    assert set(names) == set(roles), set(names) ^ set(roles)
    routes = {one[0] for one in operations(client) if not one[0].startswith("server.")}
    assert set(agreed) == routes, set(agreed) ^ routes
    for operation, row in agreed.items():
        for name, may in row.items():
            assert (may == "y") == permits(roles[name], operation), (operation, name)


@test
def nobody_without_a_key_gets_anything(server):
    client = server.client()
    answers = {}
    for operation, method, target in operations(client):
        answers[operation] = status_of(client, method, target, None)
    for operation, status in answers.items():
        open_to_all = operation in OPEN_TO_ALL or operation == "server.metrics"
        # Who tries too often is told so: 429.
        assert status == 200 if open_to_all else status in (401, 429), (operation, status)
    assert 401 in answers.values()


@test
def scopes_narrow_a_key_and_never_widen_it(server):
    client = server.client()
    make = lambda name, roles, scopes: client.good("POST", "/v1/api-keys", {"name": name, "roles": roles, "scopes": scopes})["api_key"]
    narrowed = make("narrowed", ["owner"], ["records.*", "subjects.get"])
    widened = make("widened", ["auditor"], ["journal.list"])
    for operation, method, target in operations(client):
        if operation.startswith("server.") or operation in OPEN_TO_EVERY_KEY:
            continue
        status = status_of(client, method, target, narrowed)
        assert (status != 403) == permits(["records.*", "subjects.get"], operation), (operation, status)
        status = status_of(client, method, target, widened)
        assert (status != 403) == (operation == "journal.list"), (operation, status)
    answer = client.post("/v1/api-keys", {"name": "more", "roles": ["auditor"], "scopes": ["records.*"]})
    assert answer.status in (400, 201), answer
    if answer.status == 201:
        assert status_of(client, "GET", "/v1/records/x", answer.json["api_key"]) == 403


@test
def metrics_from_elsewhere_take_a_key_that_may_read_them(server):
    client = server.client()
    client.good("PUT", "/v1/roles/metrics", {"permissions": ["metrics.read"]})
    make = lambda name, **rights: client.good("POST", "/v1/api-keys", {"name": name, **rights})["api_key"]
    elsewhere = lambda key: client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"}, key=key).status
    reader = make("prometheus", roles=["metrics"])
    assert elsewhere(reader) == 200
    assert elsewhere(make("scoped", roles=["owner"], scopes=["metrics.read"])) == 200
    assert elsewhere(make("unfit", roles=["auditor"])) == 403
    assert client.get("/v1/journal", key=reader).status == 403
    assert client.send("PUT", "/v1/roles/typo", {"permissions": ["metrics.reed"]}).status == 400


if __name__ == "__main__":
    with Store() as shop, shop.serve() as served:
        failed = main(server=served)
        status = served.stop()
    sys.exit(failed or status)
