#!/usr/bin/env python3
"""Conditions, budgets and canaries as a shop meets them: through the command line and over HTTPS."""
import json
import ssl
import sys
import threading
import urllib.request

from support import Store, create, declare, eventually, main, test

DESK = {
    "permissions": ["records.*", "engagements.list"],
    "grants": [{"collection": "*", "classes": ["personal"], "view": "clear", "purposes": ["support"],
                "engagements": ["ticket"], "assignee": True,
                "budget": {"per_hour": 2, "key_per_hour": 50}}],
}


def key_with(client, name, **more):
    return client.good("POST", "/v1/api-keys", {"name": name, **more})["api_key"]


def desk(store, server, client, name="desk", role=None):
    put = store.run("roles", "put", name, "--body", "-", server=server, stdin=json.dumps(role or DESK).encode())
    assert put.code == 0, put
    return client.good("POST", "/v1/api-keys", {"name": name, "roles": [name], "acts_for": ["staff"]})["api_key"]


def open_ticket(store, server, subject, reference, assignee):
    body = {"subject": subject, "kind": "ticket", "reference": reference, "assignee": assignee}
    opened = store.run("engagements", "open", "--body", "-", server=server, stdin=json.dumps(body).encode())
    assert opened.code == 0, opened
    return opened.rows[0]["engagement"]


def watch(server, key, seen, stop):
    """Entries of the event stream, until it ends or is told to stop."""
    context = ssl.create_default_context(cafile=str(server.store.dir / "ca.pem"))
    request = urllib.request.Request(server.url() + "/v1/journal/events", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, context=context, timeout=30) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))
            if stop.is_set():
                return


@test
def the_desk_opens_what_its_tickets_are_about_and_no_more(store):
    with store.serve() as server:
        client = server.client()
        declare(client)
        made = [create(client, f"ext:{number}", email=f"c{number}@example.org") for number in range(4)]
        agent = server.client(desk(store, server, client))
        tickets = [open_ticket(store, server, f"ext:{number}", f"T-{number}", "staff:17") for number in range(4)]

        assert agent.reveal(made[0]["record"], ["email"], on_behalf_of="staff:17").json["masked"] == ["email"]
        asked = {"purpose": "support", "on_behalf_of": "staff:17"}
        searches = (("/v1/collections/people/search", {"q": {"email": "c0@example.org"}}),
                    (f"/v1/records/{made[0]['record']}/verify", {"field": "email", "value": "c0@example.org"}))
        for path, body in searches:
            unnamed = agent.post(path, {**body, **asked})
            assert (unnamed.status, unnamed.json["field"]) == (403, "engagement"), unnamed
        for number in (0, 1):
            shown = agent.reveal(made[number]["record"], ["email"], on_behalf_of="staff:17", engagement=tickets[number])
            assert shown.json["values"]["email"] == f"c{number}@example.org", shown
        other = agent.reveal(made[1]["record"], ["email"], on_behalf_of="staff:17", engagement=tickets[0])
        assert (other.status, other.json["field"]) == (403, "engagement"), other
        stranger = agent.reveal(made[0]["record"], ["email"], on_behalf_of="staff:18", engagement=tickets[0])
        assert (stranger.status, stranger.json["field"]) == (403, "engagement"), stranger
        spent = agent.reveal(made[2]["record"], ["email"], on_behalf_of="staff:17", engagement=tickets[2])
        assert (spent.status, spent.json["field"]) == (429, "budget.person.per_hour"), spent
        assert 3000 < int(spent.headers["Retry-After"]) <= 3660, spent.headers
        assert spent.headers["RateLimit"] == f'"budget";r=0;t={spent.headers["Retry-After"]}', spent.headers
        assert spent.json["free_at"].endswith("Z"), spent
        closed = store.run("engagements", "close", tickets[0], server=server)
        assert closed.code == 0 and not closed.rows[0]["live"], closed
        ended = agent.reveal(made[0]["record"], ["email"], on_behalf_of="staff:17", engagement=tickets[0])
        assert (ended.status, ended.json["field"]) == (403, "engagement"), ended

        personal = {"permissions": ["records.*"], "grants": [{"collection": "*", "classes": ["personal"], "view": "clear",
                                                              "purposes": ["support"], "needs_person": True}]}
        nobody = server.client(desk(store, server, client, "personal", personal))
        for path, body in searches:
            unnamed = nobody.post(path, {**body, "purpose": "support"})
            assert (unnamed.status, unnamed.json["field"]) == (403, "on_behalf_of"), unnamed
            assert nobody.post(path, {**body, **asked}).status == 200, body

        status = store.run("budgets", "status", server=server)
        assert {row["used_hour"] for row in status.rows} == {2}, status
        refused = client.get("/v1/journal?outcome=refused&limit=100").json["entries"]
        assert [entry["reason"] for entry in refused].count("engagement") == 5, refused
        assert [entry["reason"] for entry in refused].count("budget") == 1, refused


@test
def a_budget_holds_over_kill_and_restart(store):
    with store.serve() as server:
        client = server.client()
        declare(client, "members")
        made = [create(client, f"ext:m{number}", "members", email=f"m{number}@example.org") for number in range(2)]
        role = {"permissions": ["records.*"], "grants": [{
            "collection": "*", "classes": ["personal"], "view": "clear", "purposes": ["support"], "budget": {"per_day": 1}}]}
        key = desk(store, server, client, "once", role)
        assert server.client(key).reveal(made[0]["record"], ["email"]).status == 200
        server.kill()
    with store.serve() as again:
        answer = again.client(key).reveal(made[1]["record"], ["email"])
        assert (answer.status, answer.json["field"]) == (429, "budget.key.per_day"), answer


@test
def a_canary_raises_the_alarm_everywhere_but_in_the_answer(store):
    with store.serve() as server:
        client = server.client()
        declare(client, "guests")
        real = create(client, "ext:real", "guests", email="real@example.org", name="Ann Real", phone="+49 30 23125007",
                      street="Hauptstraße 1")
        planted = store.run("canaries", "plant", "--collection", "guests", "--locale", "de",
                            "--email-domain", "post.example.org", server=server)
        assert planted.code == 0, planted
        canary = planted.rows[0]
        assert canary["values"]["email"].endswith("@post.example.org"), canary
        support = server.client(key_with(client, "support", roles=["support"]))
        seen, stop = [], threading.Event()
        watching = threading.Thread(target=watch, args=(server, store.owner_key, seen, stop))
        watching.start()

        usual = support.reveal(real["record"], ["email", "name"]).json
        alarming = support.reveal(canary["record"], ["email", "name"]).json
        assert usual.keys() == alarming.keys(), (usual, alarming)
        masked = [support.get(f"/v1/records/{record}").json for record in (real["record"], canary["record"])]
        assert masked[0].keys() == masked[1].keys(), masked

        entry = eventually(lambda: next((one for one in seen if one["severity_id"] == 5), None), "the alarm is in the stream")
        stop.set()
        assert entry["metadata"]["uid"] == alarming["event"], entry
        support.get(f"/v1/records/{real['record']}")  # something for the watcher to wake up with
        watching.join(30)
        assert "canary_opened" in server.log() and alarming["event"] in server.log()
        for value in canary["values"].values():
            assert value not in server.log(), value
        metrics = client.get("/metrics").body.decode()
        assert "holdfast_canary_openings_total 1" in metrics, metrics
        listed = store.run("canaries", "list", server=server)
        assert listed.rows[0]["canaries"][0]["state"] == "planted", listed
    for file in store.dir.rglob("*"):
        if file.is_file():
            for name in ("email", "phone"):
                assert canary["values"][name].encode() not in file.read_bytes(), (file, name)


if __name__ == "__main__":
    with Store() as shop:
        failed = main(store=shop)
    sys.exit(failed)
