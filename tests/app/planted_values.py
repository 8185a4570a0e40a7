#!/usr/bin/env python3
"""Personal values that exist nowhere else are put in by every way there is. After that, and after a
kill -9, none of them may lie in any file of the store, the logs, the metrics or the journal's export;
neither as it is, nor in upper or lower case, base64, hexadecimal, UTF-16 or as a URL has it."""
import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.parse

from support import CUSTOMERS, Skip, Store, declare, eventually, main, test

WORD = "zq7wvkxj"  # in every planted value, so that a part of one is found too
PLANTED = {
    "email": f"{WORD}.mail@{WORD}-example.org",
    "name": f"Ann{WORD} O'Plant",
    "phone": "+49 30 55501728364",
    "street": f"{WORD}-Strasse 17, 3. Stock",
    "note": f"rings twice {WORD}",
    "external": f"shop-{WORD}-4711",
    "agent": f"OddAgent/{WORD} (X; Y)",
    "reason": f"asked by letter {WORD}",
    "person": f"staff:{WORD}",
    "search": f"{WORD}.search@example.org",
    "wrong": f"{WORD}.wrong@example.org",
    "path": f"{WORD}inpath",
    "forwarded": "198.51.100.73",
}
DIGITS = "5550172836"  # of the phone, however it is written


def needles():
    out = {}
    for name, value in {**PLANTED, "word": WORD, "digits": DIGITS}.items():
        raw = value.encode()
        forms = {
            "plain": raw, "upper": raw.upper(), "lower": raw.lower(),
            "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode(),
            "utf-16": value.encode("utf-16-le"), "reversed": raw[::-1],
            "url": urllib.parse.quote(value).encode(),
        }
        # base64 of a longer text shows a value in one of three shifts
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + raw)
            inner = whole[4 if shift else 0: len(whole) - 4]
            if len(inner) >= 8:
                forms[f"base64+{shift}"] = inner
                forms[f"base64url+{shift}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
        for form, text in forms.items():
            if len(text) >= 8:
                out.setdefault(text, f"{name} ({form})")
    return out


NEEDLES = needles()
PATTERN = re.compile(b"|".join(re.escape(needle) for needle in sorted(NEEDLES, key=len, reverse=True)))


def search(place, content):
    found = PATTERN.search(content)
    assert not found, f"{place} holds {NEEDLES[found.group()]} at {found.start()}: {content[max(0, found.start() - 40):found.end() + 40]!r}"


def search_files(store):
    seen = {}
    for file in [*store.dir.rglob("*"), *store.base.glob("serve-*"), *(store.base / "shop.keys").iterdir(),
                 *(store.base / "shop.recovery").iterdir()]:
        if file.is_file():
            content = file.read_bytes()
            search(file.name, content)
            seen[file.name] = len(content)
    for expected in ("holdfast.db", "holdfast.db-wal", "scratch.db", "witness", "afterlog"):
        assert expected in seen, (expected, seen)
    return seen


def log_lines(server):
    lines = [json.loads(line) for line in server.log().splitlines()]
    for line in lines:
        assert set(line) == {"at", "level", "log"}, line
    return lines


def plant(server):
    client = server.client()
    client.good("PUT", "/v1/collections/people", {
        "fields": CUSTOMERS["fields"] + [{"name": "prefs", "type": "json"}]})
    header = {"User-Agent": PLANTED["agent"], "X-Forwarded-For": PLANTED["forwarded"], "Referer": f"https://x/{WORD}",
              "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Cookie": f"a={WORD}"}
    values = {name: PLANTED[name] for name in ("email", "name", "phone", "street", "note")}
    values["prefs"] = {"size": WORD, "seen": [DIGITS]}
    subject = "ext:" + PLANTED["external"]

    mapping = ('{"collection":"people","external_id":"id","fields":{"email":"mail","name":"who","phone":"tel","street":"road"}}')
    table = (f'id,mail,who,tel,road,{WORD}col\n{PLANTED["external"]}-2,{PLANTED["email"]},{PLANTED["name"]},{PLANTED["phone"]},"{PLANTED["street"]}",x\n'
             f'{PLANTED["external"]}-3,not an email {WORD},{PLANTED["name"]},,,\n{PLANTED["external"]}-4,a@example.org,"{WORD}\n')
    imported = client.send("POST", "/v1/imports?mapping=" + urllib.parse.quote(mapping), table.encode(),
                           headers={**header, "Content-Type": "text/csv"})
    assert imported.status == 201 and imported.json["created"] == 1, imported

    send = lambda method, path, body=None, **more: client.send(method, path, body, headers={**header, **more})
    made = send("POST", "/v1/collections/people/records", {"subject": subject, "values": values},
                **{"Idempotency-Key": f"order-{WORD}"})
    assert made.status == 201, made
    again = send("POST", "/v1/collections/people/records", {"subject": subject, "values": values},
                 **{"Idempotency-Key": f"order-{WORD}"})
    assert again.json["records"] == made.json["records"], again
    record = made.json["records"][0]["record"]
    tokens = send("POST", "/v1/tokens", {"subject": subject, "collection": "people", "values": {"email": PLANTED["email"]}})
    assert tokens.status == 201, tokens
    token = tokens.json["items"][0]["tokens"]["email"]["token"]
    person = {"on_behalf_of": PLANTED["person"]}
    shop = client.good("POST", "/v1/api-keys", {"name": "shop", "roles": ["service"], "acts_for": ["staff"]})["api_key"]

    expected = [
        (send("POST", "/v1/collections/people/search", {"q": {"email": PLANTED["search"]}, "purpose": "support"}), 200),
        (send("POST", "/v1/collections/people/search", {"q": {"phone": PLANTED["phone"]}, "purpose": "support"}), 200),
        (send("POST", f"/v1/records/{record}/verify", {"field": "email", "value": PLANTED["wrong"], "purpose": "support"}), 200),
        (send("POST", f"/v1/records/{record}/verify", {"field": "name", "value": PLANTED["name"], "purpose": "support"}), 200),
        (send("POST", f"/v1/records/{record}/reveal", {"fields": ["email", "name", "phone", "street", "note", "prefs"], "purpose": "support"}), 200),
        (client.send("POST", f"/v1/records/{record}/reveal", {"fields": ["email"], "purpose": "support", **person}, headers=header, key=shop), 200),
        (client.send("POST", f"/v1/records/{record}/reveal", {"fields": ["email"], "purpose": "self_service", **person}, headers=header, key=shop), 403),
        (send("POST", "/v1/tokens/reveal", {"tokens": [token], "purpose": "support"}), 200),
        (send("POST", "/v1/records/reveal", {"records": [record], "fields": ["email"], "purpose": "support"}), 200),
        (client.send("POST", "/v1/fill?purpose=support", f"a,{token}\n", headers={**header, "Content-Type": "text/csv"}), 200),
        (client.send("POST", "/v1/fill?purpose=support", f'a,"{token}\n{WORD}', headers={**header, "Content-Type": "text/csv"}), 400),
        (client.send("POST", "/v1/fill?purpose=support&format=json", f'["{WORD}\n', headers={**header, "Content-Type": "text/csv"}), 400),
        (send("PATCH", f"/v1/records/{record}", {"values": {"note": f"new {WORD}"}}), 200),
        (send("GET", f"/v1/subjects/{subject}"), 200),
        (send("GET", f"/v1/subjects/{subject}/accesses"), 200),
        (send("POST", f"/v1/subjects/{subject}-2/erase", {"reason": PLANTED["reason"]}), 200),
        (send("POST", "/v1/journal/pseudonym", {"person": PLANTED["person"]}), 200),
        # and what is refused: values where they do not belong
        (send("POST", "/v1/collections/people/records", {"subject": subject, "values": {"email": f"not an email {WORD}"}}), 400),
        (send("POST", "/v1/collections/people/records", {"subject": subject, "values": {PLANTED["email"]: "x"}}), 400),
        (send("POST", "/v1/collections/people/records", {PLANTED["email"]: 1}), 400),
        (send("POST", "/v1/collections/people/records", '{"subject":"' + WORD), 400),
        (send("POST", f"/v1/records/{record}/reveal", {"fields": [PLANTED["email"]], "purpose": "support"}), 200),
        (send("POST", f"/v1/records/{record}/reveal", {"fields": ["email"], "purpose": PLANTED["email"]}), 400),
        (send("GET", f"/v1/records/{PLANTED['path']}"), 400),
        (send("GET", f"/v1/nothing/{PLANTED['path']}?q={urllib.parse.quote(PLANTED['email'])}"), 404),
        (send("GET", f"/v1/journal?operation={PLANTED['path']}"), 200),
        (client.send("GET", "/v1/collections", key=f"hf_live_{WORD}"), 401),
    ]
    for number, (answer, status) in enumerate(expected):
        assert answer.status == status, (number, answer)
    return record, subject


@test
def nothing_personal_lies_outside_the_seals():
    with Store() as store:
        with store.serve("--set", "log.level=debug") as server:
            record, subject = plant(server)
            client = server.client()
            search("/metrics", client.get("/metrics").body)
            search("/openapi.json", client.get("/openapi.json").body)
            export = client.get("/v1/journal/export")
            assert export.status == 200 and len(export.body) > 1000, export
            search("the journal's export", export.body)
            for page in ("/v1/journal?limit=500", "/v1/api-keys", "/v1/collections", "/v1/imports"):
                search(page, client.get(page).body)
            note = {"values": {"note": PLANTED["note"]}}
            eventually(lambda: client.good("PATCH", f"/v1/records/{record}", note)
                       and search_files(store)["holdfast.db-wal"], "what was written is in the WAL")
            client.good("POST", f"/v1/subjects/{subject}/erase", {"reason": PLANTED["reason"]})
            search_files(store)
            server.kill()
            assert len(log_lines(server)) > 30, "a line for each request"
        search_files(store)

        with store.serve() as server:  # and the values did go in
            client = server.client()
            assert client.get(f"/v1/records/{record}").status == 404
            journal = client.get("/v1/journal?limit=500").json["entries"]
            entry = next(one for one in journal if one["operation"] == "records.reveal")
            sides = client.get(f"/v1/journal/{entry['seq']}/sides").json
            assert sides["user_agent"] == PLANTED["agent"], "it is kept, but sealed"
            assert server.stop() == 0
            assert log_lines(server)
        search_files(store)
        assert store.check_state().code == 0


@test
def a_server_that_breaks_leaves_no_core():
    with Store() as store:
        # as high as this machine lets it be, and where a core would be removed with the store
        unlimited = ["bash", "-c", 'cd "$0" && ulimit -S -c "$(ulimit -H -c)" && exec "$@"', str(store.base)]

        def dumped(process):
            process.send_signal(signal.SIGABRT)
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert ended.si_status == signal.SIGABRT, ended
            return ended.si_code == os.CLD_DUMPED

        with subprocess.Popen([*unlimited, "sleep", "60"]) as other:
            eventually(lambda: pathlib.Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n", "bash became sleep")
            control = dumped(other)
        with store.serve(wrapper=unlimited) as server:
            plant(server)
            assert not dumped(server.process)
            server.wait()
        if not control:
            raise Skip("this machine keeps no core of any program")


@test
def what_is_shown_on_errors_holds_no_value():
    with Store() as store, store.serve() as server:
        client = server.client()
        declare(client)
        bodies = [
            {"subject": f"ext:{WORD}\n", "values": {"email": PLANTED["email"]}},
            {"subject": f"sub_{WORD}", "values": {"email": PLANTED["email"]}},
            {"subject": "ext:1", "values": {"email": f"{WORD} at example"}},
            {"subject": "ext:1", "values": {"phone": f"call {WORD}"}},
            {"subject": "ext:1", "values": {PLANTED["email"]: "x"}},
            {"subject": "ext:1", "values": [PLANTED["email"]]},
            {"subject": "ext:1", "values": {"email": {"x": WORD}}},
            {"subject": "ext:1", "slot": PLANTED["name"], "values": {"email": "a@example.org"}},
            {"subject": "ext:1", "valuez": {"email": PLANTED["email"]}},
        ]
        for body in bodies:
            answer = client.post("/v1/collections/people/records", body)
            assert answer.status == 400 and answer.json.get("field"), (body, answer)
            for value in (WORD + ".mail", PLANTED["name"], f"{WORD} at"):
                assert value not in answer.body.decode(), (body, answer)


if __name__ == "__main__":
    sys.exit(main())
