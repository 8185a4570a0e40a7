#!/usr/bin/env python3
"""One shop's customers through the built program, from `init` to a proof of erasure; and what an
operator meets on a bad day: wrong folders, wrong keys, damaged files, an older database."""
import collections
import contextlib
import csv
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from support import (BIN, ROOT, SANITIZED, Client, Skip, Store, create, declare, eventually, free_port, main, test,
                     with_checksum)

DONE, FAILED, USAGE, REFUSED, NOT_FOUND, CONFLICT, UNAVAILABLE = range(7)


# ── the good day

@test
def a_new_store_is_private(store):
    for path in [store.dir, *store.base.glob("shop.*")]:
        for found in [path, *path.rglob("*")]:
            assert stat.S_IMODE(found.stat().st_mode) == (0o700 if found.is_dir() else 0o600), found
    assert len(list((store.base / "shop.recovery").iterdir())) == 3
    assert store.owner_key.startswith("hf_live_")
    again = store.run("init", "--dir", store.dir)
    assert again.code == CONFLICT and "already" in again.err, again


@test
def a_shops_export_goes_in_and_comes_back_only_for_a_purpose(store, server):
    rows = 300
    export = store.base / "shopify.csv"
    with open(export, "wb") as out:
        subprocess.run([ROOT / "tools" / "make_sample_shop", "--preset", "shopify", "--rows", str(rows)],
                       stdout=out, stderr=subprocess.DEVNULL, check=True)
    refused_file = store.base / "refused.csv"
    imported = store.run("imports", "create", "--preset", "shopify", export, "--report", refused_file,
                         server=server)
    assert imported.code == DONE, imported
    report = imported.rows[0]
    with open(refused_file, newline="") as file:
        refused = list(csv.DictReader(file))
    assert report["state"] == "done" and report["rows"] == rows, report
    assert report["refused"] == len(refused) == 4, refused
    assert {row["reason"] for row in refused} == {
        "not an email address", "more columns than the header has", "not valid UTF-8: save the file as UTF-8",
        "fewer columns than the header has"}, refused
    again = store.run("imports", "create", "--preset", "shopify", export, server=server).rows[0]
    assert again["customers"] == again["created"] == 0, again

    with open(export, encoding="utf-8", errors="replace", newline="") as file:
        wanted = next(row for row in list(csv.DictReader(file))[50:] if "@" in row["Email"] and row["First Name"])
    query = json.dumps({"email": wanted["Email"].upper()}).encode()
    found = store.run("records", "search", "customers", "--q", "-", "--purpose", "support",
                      server=server, stdin=query)
    assert found.code == DONE, found
    record = found.rows[0]["records"][0]
    assert wanted["Email"] not in found.out and "@" in record["values"]["email"], found
    revealed = store.run("records", "reveal", record["record"], "--fields", "email,first_name",
                         "--purpose", "support", server=server)
    assert revealed.code == DONE, revealed
    assert revealed.rows[0]["values"] == {"email": wanted["Email"], "first_name": wanted["First Name"]}
    seen = store.run("subjects", "accesses", record["subject"], server=server).rows[0]["accesses"]
    assert [one["event"] for one in seen] == [revealed.rows[0]["event"], found.rows[0]["event"]], seen
    assert seen[0]["purpose"] == "support" and seen[0]["fields"] == ["email", "first_name"], seen


@test
def an_erased_customer_leaves_a_proof(store, server):
    client = server.client()
    declare(client)
    made = create(client, "ext:erase-me", email="erase.me@example.org")
    erased = store.run("subjects", "erase", "ext:erase-me", "--reason", "-", server=server, stdin=b"asked, ticket 88")
    assert erased.code == DONE, erased
    assert erased.rows[0]["erased"] == ["account"] and erased.rows[0]["values"] == 1, erased

    proof = store.run("journal", "proof", erased.rows[0]["event"], "--subject", made["subject"], server=server)
    file = store.base / "proof.json"
    file.write_text(proof.out)
    verified = store.run("proof", "verify", file)
    assert verified.code == DONE and "subjects.erase, success" in verified.out, verified
    assert made["subject"] in verified.out, verified
    key = re.search(r"Log key: (\S+)", verified.out).group(1)
    assert store.run("proof", "verify", file, "--verifier", key).code == DONE
    assert store.run("proof", "verify", file, "--verifier", key[:-2] + "AA").code == FAILED
    for wrong in (proof.out.replace("records", "recordz", 1), proof.out[:-40], "{}", ""):
        file.write_text(wrong)
        assert store.run("proof", "verify", file).code == FAILED, wrong[:80]
    for gone in ("ext:erase-me", made["record"]):
        path = f"/v1/subjects/{gone}" if gone.startswith("ext") else f"/v1/records/{gone}"
        assert client.get(path).status == 404, gone
    assert client.get(f"/v1/subjects/{made['subject']}").json["erased"]


@test
def a_shop_goes_on_while_holdfast_is_away(store, server):
    client = server.client()
    declare(client)
    key = store.base / "sealing-key.json"
    key.write_text(store.run("tokens", "sealing-key", server=server).out)
    order = store.base / "order.json"
    order.write_text(json.dumps({"subject": "ext:away", "collection": "people",
                                 "values": {"email": "away@example.org", "name": "Ann Away"}}))

    sealed = store.run("tokens", "seal", "--key", key, order)  # asks no server

    assert sealed.code == DONE and "away@" not in sealed.out and "Ann" not in sealed.out, sealed
    pending = json.loads(sealed.out)
    values = pending["items"][0]["values"]
    assert set(values) == {"email", "name"} and all(one.startswith("pnd_") for one in values.values()), pending
    given = store.run("tokens", "exchange", "--body", "-", server=server, stdin=sealed.out.encode())
    again = store.run("tokens", "exchange", "--body", "-", server=server, stdin=sealed.out.encode())
    assert given.code == DONE and again.code == DONE, (given, again)
    tokens = {name: one["token"] for name, one in given.rows[0]["tokens"].items()}
    assert {name: one["token"] for name, one in again.rows[0]["tokens"].items()} == tokens
    shown = client.good("POST", "/v1/tokens/reveal", {"tokens": list(tokens.values()), "purpose": "support"})
    assert shown["values"] == {tokens["email"]: "away@example.org", tokens["name"]: "Ann Away"}, shown
    of_another = {"items": [{**pending["items"][0], "subject": "ext:another"}]}
    refused = client.post("/v1/tokens/exchange", of_another)
    assert refused.status == 400 and refused.json["field"] == "items[0].values.email", refused
    assert client.get("/v1/subjects/ext:another").status == 404
    with open("/dev/full", "wb") as full:
        lost = subprocess.run([BIN, "tokens", "seal", "--key", key, order], stdout=full, stderr=subprocess.PIPE)
    assert lost.returncode == UNAVAILABLE and b"keep the order" in lost.stderr, lost
    nobody = store.base / "nobody.json"
    for never in ({"values": {"email": "away@example.org"}},
                  {"subject": "4711", "collection": "people", "values": {"email": "away@example.org"}},
                  {"subject": "ext:4711", "collection": "people", "values": {"email": ""}}):
        nobody.write_text(json.dumps(never))
        assert store.run("tokens", "seal", "--key", key, nobody).code != DONE, never
    for wrong in ("{}", "[]", "", key.read_text().replace("X25519", "X448")):
        bad = store.base / "bad-key.json"
        bad.write_text(wrong)
        failed = store.run("tokens", "seal", "--key", bad, order)
        assert failed.code == FAILED and "key" in failed.err and "away@" not in failed.err, failed


@test
def a_shops_common_names_raise_no_alarm_of_an_index(store):
    with Store() as own, own.serve() as server:
        rows = 2500
        export = own.base / "shopify.csv"
        with open(export, "wb") as out:
            subprocess.run([ROOT / "tools" / "make_sample_shop", "--preset", "shopify", "--rows", str(rows)],
                           stdout=out, stderr=subprocess.DEVNULL, check=True)

        client = server.client()

        def imported():  # an index that grows meanwhile may end it with `repeat the request`
            done = own.run("imports", "create", "--preset", "shopify", export, server=server, timeout=300)
            assert done.code == DONE or "repeat the request" in done.err, done
            return done.code == DONE

        def grown():
            fields = client.good("GET", "/v1/collections/customers")["fields"]
            indexes = [field["indexes"] for field in fields if field["index"] == "exact"]
            return indexes and all(len(one) == 1 and one[0]["bits"] > 0 and one[0]["serving"] for one in indexes)

        eventually(imported, "the import is done")
        eventually(grown, "the indexes are of a size that fits so many customers")
        metrics = client.get("/metrics").body.decode()
        assert re.search(r"^holdfast_index_alarms 0$", metrics, re.M), re.findall(".*index_alarms.*", metrics)
        assert server.stop() == 0


@test
def broken_text_in_json_is_refused_with_the_path_to_it(server):
    client = server.client()
    declare(client)
    good = b'"values":{"email":"a@example.org"}'
    deep = 10_000
    for body, field in [
            (b'{"subject":"ext:\xff\xfe",' + good + b"}", "subject"),
            (b'{"subject":"ext:broken","values":{"name":"\xc3\x28"}}', "values.name"),
            (b'{"subject":"ext:broken","values":{"name":"\xed\xa0\x80"}}', "values.name"),
            (b'{"subject":"ext:broken","values":{"name":"\\ud800"}}', "values.name"),
            (b'{"records":[{"subject":"ext:broken","values":{"name":"\xff"}}]}', "records[0].values.name")]:
        answer = client.post("/v1/collections/people/records", body)
        assert (answer.status, answer.json["field"]) == (400, field), (body, answer)
    for body, start in [("[" * deep + "]" * deep, "[0][0]"),
                        ('{"subject":' + "[" * deep + "]" * deep + "}", "subject[0][0]"),
                        ('{"values":' + '{"a":' * deep + "1" + "}" * deep + "}", "values.a.a")]:
        answer = client.post("/v1/collections/people/records", body)
        assert answer.code == "too_large" and answer.json["field"].startswith(start), (body[:60], answer)
    assert client.get("/v1/subjects/ext:broken").status == 404


# ── who gets in

def key_with(client, name, **more):
    return client.good("POST", "/v1/api-keys", {"name": name, **more})


@test
def refusals_say_what_was_wrong_in_a_code(store, server):
    client = server.client()
    declare(client)
    made = create(client, "ext:refusals", email="refusals@example.org", name="Ann Lee")
    record = f"/v1/records/{made['record']}"
    reveal = {"fields": ["email"], "purpose": "support"}
    auditor = key_with(client, "auditor", roles=["auditor"])["api_key"]
    admin = key_with(client, "admin", roles=["admin"])["api_key"]
    support = key_with(client, "support", roles=["support"])["api_key"]
    shop = key_with(client, "shop", roles=["service"], acts_for=["customer", "staff"])["api_key"]
    alone = key_with(client, "alone", roles=["service"])["api_key"]
    elsewhere = key_with(client, "elsewhere", roles=["owner"], networks=["192.0.2.0/24"])["api_key"]
    short = key_with(client, "short", roles=["owner"], expires_in="1 s")["api_key"]
    revoked = key_with(client, "revoked", roles=["owner"])
    client.good("POST", f"/v1/api-keys/{revoked['info']['key']}/revoke")
    eventually(lambda: client.get(record, key=short).status == 401, "the key expires")
    wrong_secret = with_checksum(store.owner_key[:21] + support[21:])
    unknown = with_checksum("hf_live_" + "0" * 12 + store.owner_key[20:])

    cases = [
        ("no key", dict(key="", headers={"Authorization": ""}), reveal, 401, "unauthenticated"),
        ("not a key", dict(key="hf_live_0"), reveal, 401, "unauthenticated"),
        ("a wrong checksum", dict(key=store.owner_key[:-6] + support[-6:]), reveal, 401, "unauthenticated"),
        ("a known id with a wrong secret", dict(key=wrong_secret), reveal, 401, "unauthenticated"),
        ("an unknown id", dict(key=unknown), reveal, 401, "unauthenticated"),
        ("expired", dict(key=short), reveal, 401, "unauthenticated"),
        ("revoked", dict(key=revoked["api_key"]), reveal, 401, "unauthenticated"),
        ("from elsewhere", dict(key=elsewhere), reveal, 401, "unauthenticated"),
        ("a role without the right", dict(key=auditor), reveal, 403, "forbidden"),
        ("a role that sees masks", dict(key=admin), reveal, 403, "forbidden"),
        ("a purpose that nobody declared", {}, {**reveal, "purpose": "curiosity"}, 400, "invalid"),
        ("a person that the key may not name", dict(key=alone), {**reveal, "on_behalf_of": "staff:17"}, 403, "forbidden"),
        ("a person of no kind", dict(key=shop), {**reveal, "on_behalf_of": "17"}, 400, "invalid"),
        ("someone else's own data", dict(key=shop),
         {**reveal, "purpose": "self_service", "on_behalf_of": "customer:other"}, 403, "forbidden"),
    ]
    for what, options, body, status, code in cases:
        answer = client.post(record + "/reveal", body, **options)
        assert (answer.status, answer.code) == (status, code), f"{what}: {answer}"
        assert answer.json["request_id"].startswith("req_"), answer
        assert "refusals@example.org" not in answer.body.decode(), what

    counted = lambda: int(re.search(r"^holdfast_refused_total (\d+)$", client.get("/metrics").body.decode(), re.M)[1])
    before = counted()
    for _, options, body, status, _ in cases[-1:]:
        assert client.post(record + "/reveal", body, **options).status == status
    assert client.get("/v1/api-keys", key=support).status == 403
    assert counted() == before + 2, "what the vault refuses is counted as what the gate does"

    opened = lambda shown: client.good("GET", f"/v1/journal/{shown['event']}")["opened"]
    answer = client.post(record + "/reveal", {**reveal, "purpose": "fraud_check"}, key=support)
    assert answer.status == 200, f"a purpose that is declared, but none of the role's: {answer}"
    masks = answer.json
    assert masks["masked"] == ["email"] and "refusals@" not in masks["values"]["email"], masks
    assert not opened(masks), "nothing was shown in the clear"
    backend = client.post(record + "/reveal", reveal, key=shop).json
    assert backend["masked"] == ["email"], "without a person behind the call the backend gets masks"
    person = client.post(record + "/reveal", {**reveal, "on_behalf_of": "staff:17"}, key=shop).json
    assert person["values"]["email"] == "refusals@example.org" and opened(person), person
    own = client.post(record + "/reveal", {**reveal, "purpose": "self_service", "on_behalf_of": "customer:refusals"}, key=shop).json
    assert own["values"]["email"] == "refusals@example.org", own

    refused = client.get("/v1/journal?outcome=refused&limit=100").json["entries"]
    count = collections.Counter(entry["operation"] for entry in refused)
    assert count["records.reveal"] >= 5, count


@test
def exit_codes_tell_a_script_what_happened(store, server):
    client = server.client()
    declare(client)
    made = create(client, "ext:exit-codes", email="exit@example.org")
    nobody = made["record"][:-2] + ("22" if made["record"][-2:] != "22" else "33")
    auditor = key_with(client, "auditor of exits", roles=["auditor"])["api_key"]
    run = lambda *words, **more: store.run(*words, server=server, **more)
    reveal = ["records", "reveal", made["record"], "--fields", "email", "--purpose", "support"]

    assert run(*reveal).code == DONE
    assert run("records", "reveal").code == USAGE
    assert run("records", "burn", made["record"]).code == USAGE
    assert run(*reveal, key="hf_live_nothing").code == REFUSED
    assert run(*reveal, key=auditor).code == REFUSED
    assert run("records", "get", nobody).code == NOT_FOUND
    assert run(*reveal[:-1], "curiosity").code == FAILED
    assert run("records", "update", made["record"], "--values", "-", "--if-match", "7", stdin=b'{"note":"x"}').code == CONFLICT
    personal = run("records", "search", "people", "--q", '{"email":"exit@example.org"}', "--purpose", "support")
    assert personal.code == FAILED and "must not be on the command line" in personal.err, personal
    away = store.run(*reveal, env={"HOLDFAST_URL": "https://127.0.0.1:1", "HOLDFAST_API_KEY": store.owner_key,
                                   "HOLDFAST_CA_FILE": str(store.dir / "ca.pem")})
    assert away.code == UNAVAILABLE, away
    no_key = store.run(*reveal, env={"HOLDFAST_URL": server.url(), "HOLDFAST_CA_FILE": str(store.dir / "ca.pem")})
    assert no_key.code == REFUSED, no_key
    no_trust = store.run(*reveal, env={"HOLDFAST_URL": server.url(), "HOLDFAST_API_KEY": store.owner_key})
    assert no_trust.code not in (DONE, USAGE) and "exit@" not in no_trust.out, no_trust
    assert store.run("version").out.startswith("holdfast ")
    assert store.run("--help").code == DONE
    assert json.loads(store.run("openapi").out)["openapi"].startswith("3.1")
    for shell in ("bash", "zsh"):
        assert "complete -F" in store.run("completion", shell).out


@test
def unknown_and_wrong_keys_cannot_be_told_apart(store):
    with Store() as own, own.serve() as server:
        client = server.client()
        known = key_with(client, "known", roles=["auditor"])["api_key"]
        other = key_with(client, "other", roles=["auditor"])["api_key"]
        assert with_checksum(known) == known, "so those below get past their checksum"
        keys = {
            "a known id with a wrong secret": with_checksum(known[:21] + other[21:]),
            "an unknown id": with_checksum("hf_live_" + "0" * 12 + known[20:]),
            "a wrong checksum": known[:-6] + other[-6:],
            "not a key": "hf_live_" + "x" * (len(known) - 8),
        }
        bodies, headers, times = {}, {}, collections.defaultdict(list)
        for _ in range(5):
            for what, key in keys.items():
                started = time.perf_counter()
                answer = client.get("/v1/api-keys", key=key)
                times[what].append(time.perf_counter() - started)
                assert answer.status == 401, (what, answer)
                problem = answer.json
                problem.pop("request_id")
                bodies[what] = json.dumps(problem, sort_keys=True)
                headers[what] = tuple(sorted(name for name, _ in answer.headers.items()))
        assert len(set(bodies.values())) == 1, bodies
        assert len(set(headers.values())) == 1, headers
        medians = {what: statistics.median(value) for what, value in times.items()}
        assert max(medians.values()) < 3 * min(medians.values()) + 0.01, medians
        tries = [client.get("/v1/api-keys", key=keys["not a key"]).status for _ in range(40)]
        assert 429 in tries, "guessing is slowed down"
        assert client.get("/v1/api-keys").status == 200, "and a good key from the same address still works"


# ── settings

@test
def config_show_says_where_each_value_came_from(store):
    shown = store.run("config", "show", "--dir", store.dir, "--set", "log.level=debug",
                      env={"HOLDFAST_SERVER_CORES": "1", "HOLDFAST_DATABASE_URL": "host=db password=hunter2"})
    assert shown.code == DONE, shown
    lines = {line.split(" = ")[0]: line for line in shown.out.splitlines()}
    assert "debug  # flag" in lines["log.level"], lines["log.level"]
    assert "1  # environment" in lines["server.cores"], lines["server.cores"]
    assert "# default" in lines["server.listen"], lines["server.listen"]
    assert "hunter2" not in shown.out + shown.err
    for words in (["--set", "log.colour=red"], ["--set", "log.level"]):
        refused = store.run("config", "show", "--dir", store.dir, *words)
        assert refused.code == FAILED and "set" in refused.err, refused

    folder = store.base / "layers"
    folder.mkdir()
    (folder / "holdfast.toml").write_text('[log]\nlevel = "warn"\n')
    by_environment, by_flag = {"HOLDFAST_LOG_LEVEL": "error"}, ["--set", "log.level=debug"]
    for words, env, level in (([], {}, "warn  # file"), ([], by_environment, "error  # environment"),
                              (by_flag, by_environment, "debug  # flag"), (by_flag, {}, "debug  # flag")):
        shown = store.run("config", "show", "--dir", folder, *words, env=env)
        assert shown.code == DONE and f"log.level = {level}" in shown.out, (level, shown)


@test
def a_wrong_setting_is_named(store):
    file = store.dir / "holdfast.toml"
    before = file.read_text()
    cases = [("[server]\ncolour = \"red\"\n", "server.colour"), ("[server]\ncores = true\n", "server.cores"),
             ("listen = 1\n", "listen"), ("[server\n", "TOML"), ("[server]\ncores = \"many\"\n", "server.cores"),
             ("[server]\nlisten = [\"127.0.0.1:99999\"]\n", "server.listen"), ("[log]\nlevel = \"loud\"\n", "log.level")]
    try:
        for text, named in cases:
            file.write_text(text)
            refused = store.run("serve", "--dir", store.dir)
            assert refused.code not in (DONE, USAGE) and named in refused.err, (text, refused)
    finally:
        file.write_text(before)


# ── starting and stopping

@test
def serve_names_a_folder_that_holds_no_store(store):
    missing = store.run("serve", "--dir", store.base / "nothing")
    assert missing.code == NOT_FOUND and "holdfast init" in missing.err, missing
    checked = store.run("journal", "check", "--dir", store.base / "nothing")
    assert checked.code == NOT_FOUND and "--dir" in checked.err, checked
    assert not (store.base / "nothing").exists(), "a mistyped folder is not made"


@test
def a_second_server_on_a_store_is_refused(store, server):
    second = store.run("serve", "--dir", store.dir, "--listen", "127.0.0.1:0")
    assert second.code == CONFLICT and "another Holdfast" in second.err, second
    check = store.run("journal", "check", "--dir", store.dir)
    assert check.code == CONFLICT, check
    assert server.client().get("/healthz").status == 200


@test
def a_port_in_use_is_named(store):
    with Store() as other, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = other.run("serve", "--dir", other.dir, "--listen", f"127.0.0.1:{port}")
        assert refused.code not in (DONE, USAGE) and "listen" in refused.err, refused


@test
def sigterm_finishes_what_is_in_flight(store):
    with Store() as own, own.serve() as server:
        client = server.client()
        declare(client)
        made = create(client, "ext:1", email="ann@example.org")
        context = ssl.create_default_context(cafile=str(own.dir / "ca.pem"))
        idle = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="127.0.0.1")
        slow = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="127.0.0.1")
        body = json.dumps({"fields": ["email"], "purpose": "support"}).encode()
        head = (f"POST /v1/records/{made['record']}/reveal HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own.owner_key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        slow.sendall(head + body[:-5])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        slow.sendall(body[-5:])
        slow.settimeout(20)
        answer = b""
        while chunk := slow.recv(65536):
            answer += chunk
        assert answer.startswith(b"HTTP/1.1 200") and b"ann@example.org" in answer, answer[:200]
        assert server.wait(30) == 0
        idle.close()
        slow.close()
        assert own.check_state().code == DONE


@test
def sighup_takes_a_new_certificate_and_keeps_the_old_one_when_it_is_broken(store):
    with Store() as own, Store() as other:
        certificate_file, key_file = own.base / "own.pem", own.base / "own.key"

        def put(source):
            shutil.copyfile(source.dir / "server.key", key_file)
            shutil.copyfile(source.dir / "server.pem", certificate_file)

        put(own)
        with own.serve("--set", f"server.certificate={certificate_file}", "--set", f"server.certificate_key={key_file}") as server:
            served = lambda: ssl.get_server_certificate(("127.0.0.1", server.port))
            first = served()
            open_before = server.client()
            assert open_before.get("/healthz").status == 200

            put(other)
            server.process.send_signal(signal.SIGHUP)
            second = eventually(lambda: served() != first and served(), "the new certificate is served")
            assert second.strip() in (other.dir / "server.pem").read_text()
            assert open_before.get("/healthz").status == 200, "connections go on"

            for broken in ("not a certificate", (own.dir / "server.pem").read_text()):
                certificate_file.write_text(broken)
                before = server.log().count("certificate_not_reloaded")
                server.process.send_signal(signal.SIGHUP)
                eventually(lambda: server.log().count("certificate_not_reloaded") > before, "the log says so")
                assert served() == second
            assert server.stop() == 0
        certificate_file.write_text("not a certificate")
        refused = own.run("serve", "--dir", own.dir, "--listen", "127.0.0.1:0", "--set", f"server.certificate={certificate_file}",
                          "--set", f"server.certificate_key={key_file}")
        assert refused.code not in (DONE, USAGE) and "PEM" in refused.err, refused


def sign_authority_again(store, days):
    """Makes the store's ca.pem end in so many days."""
    signed = store.base / "signed.pem"
    subprocess.run(["openssl", "x509", "-in", store.dir / "ca.pem", "-signkey", store.dir / "ca.key",
                    "-days", str(days), "-out", signed], check=True, capture_output=True)
    shutil.move(signed, store.dir / "ca.pem")


@test
def a_local_ca_near_its_end_is_an_alarm_until_it_is_renewed(store):
    with Store() as own:
        sign_authority_again(own, days=20)
        before = own.base / "before.pem"
        with own.serve() as server:
            old = server.client()
            alarms = lambda client: [one["text"] for one in client.good("GET", "/v1/keys")["alarms"]
                                     if one["alarm"] == "certificate_due"]
            assert "local CA" in "".join(alarms(old)), alarms(old)

            (own.dir / "ca.pem").rename(before)
            server.process.send_signal(signal.SIGHUP)
            eventually((own.dir / "ca.pem").exists, "the new ca.pem is there")

            for authority in (before, own.dir / "ca.pem"):
                client = Client(server.port, authority, own.owner_key)
                assert alarms(client) == [], authority
                client.close()
            assert server.stop() == 0


@test
def a_local_ca_past_its_end_is_refused_with_the_clock_named(store):
    with Store() as own:
        sign_authority_again(own, days=-1)
        refused_at_start(own, "if this machine's clock is right", "ca.pem", "has ended")


# ── bad days

def refused_at_start(store, *words, code=None):
    done = store.run("serve", "--dir", store.dir, "--listen", "127.0.0.1:0", timeout=60)
    assert done.code not in (DONE, USAGE) and done.code > 0, done
    assert code is None or done.code == code, done
    for word in words:
        assert word in done.err, (word, done)
    return done


@test
def a_missing_damaged_or_foreign_key_is_refused(store):
    with Store() as own, Store() as other:
        key_file = own.base / "shop.keys" / "root.key"
        key = key_file.read_bytes()
        key_file.unlink()
        refused_at_start(own, "recovery shares", code=NOT_FOUND)
        key_file.write_bytes(key)
        key_file.chmod(0o644)
        refused_at_start(own, "chmod 600")
        key_file.chmod(0o600)
        for at in range(0, len(key), 41):
            damaged = bytearray(key)
            damaged[at] ^= 4
            key_file.write_bytes(damaged)
            refused_at_start(own, "key file")
        shutil.copyfile(other.base / "shop.keys" / "root.key", key_file)
        refused_at_start(own, "another store")
        key_file.write_bytes(key)

        keyring_file = own.dir / "keyring"
        keyring = keyring_file.read_bytes()
        for at in range(0, len(keyring), 61):
            damaged = bytearray(keyring)
            damaged[at] ^= 1
            keyring_file.write_bytes(damaged)
            refused_at_start(own, "keyring", "backup.keys")
        keyring_file.write_bytes(keyring[:100])
        refused_at_start(own, "keyring", "backup.keys")
        shutil.copyfile(other.dir / "keyring", keyring_file)
        refused_at_start(own, "another store")
        keyring_file.write_bytes(keyring)
        with own.serve() as server:
            assert server.client().get("/readyz").status == 200


@test
def a_store_without_its_keyring_is_not_taken_for_no_store(store):
    with Store("--set", "controller.name=The Shop") as own:
        with own.serve() as server:
            assert server.stop() == 0
        keyring = (own.dir / "keyring").read_bytes()
        settings = (own.dir / "holdfast.toml").read_bytes()
        (own.dir / "keyring").unlink()
        refused_at_start(own, "the keyring is missing", ".previous", code=NOT_FOUND)
        again = own.run("init", "--dir", own.dir)
        assert again.code == CONFLICT and "keyring" in again.err, again
        assert (own.dir / "holdfast.toml").read_bytes() == settings
        assert not (own.dir / "keyring").exists()
        (own.dir / "keyring").write_bytes(keyring)
        (own.dir / "keyring").chmod(0o600)
        with own.serve() as server:
            assert server.client().get("/readyz").status == 200


@test
def init_keeps_a_settings_file_that_is_there(store):
    with Store() as own:
        folder = own.base / "second"
        folder.mkdir()
        written = b"[controller]\nname = 'The Shop'\n"
        (folder / "holdfast.toml").write_bytes(written)
        refused = own.run("init", "--dir", folder, "--set", "controller.email=it@example.org")
        assert refused.code == CONFLICT and "holdfast.toml" in refused.err, refused
        assert sorted(path.name for path in folder.iterdir()) == ["holdfast.toml"]
        made = own.run("init", "--dir", folder)
        assert made.code == DONE, made
        assert (folder / "holdfast.toml").read_bytes() == written


@test
def verify_tells_a_script_by_its_exit_code(store):
    with Store() as own:
        with own.serve() as server:
            weak = key_with(server.client(), "weak", roles=["auditor"])
            good = own.run("journal", "verify", "--state", server=server)
            assert good.code == DONE, good
            assert server.stop() == 0
        with contextlib.closing(sqlite3.connect(own.dir / "holdfast.db")) as raw:
            raw.execute("update access_authority set content = replace(content, 'auditor', 'owner') where id = ?", [weak["info"]["key"]])
            raw.commit()
        with own.serve() as server:
            bad = own.run("journal", "verify", "--state", server=server)
            assert bad.code == FAILED and "false" in bad.out and weak["info"]["key"] in bad.out, bad
            assert own.run("journal", "verify", server=server).code == DONE, "the entries themselves are good"


@test
def restoring_without_any_afterlog_revokes_every_key(store):
    with Store() as own:
        desk = {"permissions": ["subjects.get", "collections.list"]}
        with own.serve() as server:
            made = server.client().good("PUT", "/v1/roles/desk", desk)
            assert server.stop() == 0
        key, backup = revoked_after_a_backup(own)
        with own.serve() as server:
            narrower = {"permissions": ["collections.list"]}
            server.client().good("PUT", "/v1/roles/desk", narrower, headers={"If-Match": f'"{made["version"]}"'})
            assert server.stop() == 0
        for name in ("witness", "afterlog"):
            (own.dir / name).unlink()
        done = restored(own, backup)
        assert done.code == DONE and "There was no afterlog" in done.out, done
        assert status_of(own, key)[0] == 401
        assert status_of(own, own.owner_key)[0] == 401
        owner = own.run("access", "recover", "--dir", own.dir).out.strip()
        with own.serve() as server:
            client = server.client(key=owner)
            role = client.good("GET", "/v1/roles/desk")
            assert "suspended" in role and role["permissions"] == desk["permissions"], role
            holder = client.good("POST", "/v1/api-keys", {"name": "desk", "roles": ["desk"]})["api_key"]
            listed = lambda: server.client(key=holder).get("/v1/collections").status
            assert listed() == 403, "nobody knows whether it had been narrowed"
            again = client.good("PUT", "/v1/roles/desk", narrower, headers={"If-Match": f'"{role["version"]}"'})
            assert "suspended" not in again and listed() == 200, again
            assert server.stop() == 0


@test
def shares_bring_the_root_key_back_and_a_wrong_one_is_named(store):
    with Store() as own, Store() as other:
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            assert server.stop() == 0
        shares = sorted((own.base / "shop.recovery").iterdir())
        foreign = sorted((other.base / "shop.recovery").iterdir())
        (own.base / "shop.keys" / "root.key").unlink()
        mistyped = own.base / "mistyped.txt"
        text = shares[1].read_text()
        words = [match for match in re.finditer(r"\b[a-z0-9]{4,}\b", text)]
        last = words[-1]
        letter = text[last.start()]
        mistyped.write_text(text[:last.start()] + ("q" if letter != "q" else "z") + text[last.start() + 1:])
        recover = lambda *files: own.run("keys", "recover", *files, "--dir", own.dir)

        one = recover(shares[0])
        assert one.code not in (DONE, USAGE), one
        wrong = recover(shares[0], mistyped)
        assert wrong.code not in (DONE, USAGE) and "mistyped.txt" in wrong.err, wrong
        mixed = recover(shares[0], foreign[1])
        assert mixed.code not in (DONE, USAGE), mixed
        others = recover(*foreign[:2])
        assert others.code not in (DONE, USAGE) and "another store" in others.err, others
        twice = recover(shares[0], shares[0])
        assert twice.code not in (DONE, USAGE), twice
        assert not (own.base / "shop.keys" / "root.key").exists()
        assert own.run("keys", "check", shares[1], shares[2], "--dir", own.dir).code == DONE
        assert not (own.base / "shop.keys" / "root.key").exists(), "a rehearsal changes nothing"
        assert recover(shares[0], shares[2]).code == DONE
        with own.serve() as server:
            revealed = server.client().reveal(made["record"], ["email"]).json
            assert revealed["values"]["email"] == "ann@example.org"


@test
def yesterdays_database_is_refused_until_the_owner_accepts_it(store):
    with Store() as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            kept = create(client, "ext:kept", email="kept@example.org")
            erased = create(client, "ext:erased", email="erased@example.org")
            assert server.stop() == 0
        yesterday = own.base / "yesterday"
        yesterday.mkdir()
        for file in own.dir.glob("holdfast.db*"):
            shutil.copy2(file, yesterday)
        with own.serve() as server:
            client = server.client()
            lost = create(client, "ext:lost", email="lost@example.org")
            client.good("POST", "/v1/subjects/ext:erased/erase", {})
            assert server.stop() == 0
        for file in own.dir.glob("holdfast.db*"):
            file.unlink()
        for file in yesterday.iterdir():
            shutil.copy2(file, own.dir)

        refused_at_start(own, "accept-rollback", code=CONFLICT)
        unsure = own.run("journal", "accept-rollback", "--dir", own.dir)
        assert unsure.code == USAGE and "--yes" in unsure.err, unsure
        refused_at_start(own, "accept-rollback", code=CONFLICT)
        accepted = own.run("journal", "accept-rollback", "--yes", "--dir", own.dir)
        assert accepted.code == DONE, accepted
        with own.serve() as server:
            client = server.client()
            assert client.reveal(kept["record"], ["email"]).json["values"]["email"] == "kept@example.org"
            assert client.get(f"/v1/records/{lost['record']}").status == 404
            again = client.reveal(erased["record"], ["email"])
            assert again.status == 404, f"erased stays erased: {again}"
            assert server.stop() == 0
        assert own.check_state().code == DONE


@test
def rights_written_straight_into_the_database_give_nothing(store):
    with Store() as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            weak = key_with(client, "weak", roles=["auditor"])
            revoked = key_with(client, "revoked", roles=["owner"])
            rotated = key_with(client, "rotated", roles=["owner"])
            narrow = {"permissions": ["records.reveal"], "grants": []}
            wide = {**narrow, "grants": [{"collection": "people", "classes": ["personal"], "view": "clear", "purposes": ["support"]}]}
            role = client.good("PUT", "/v1/roles/desk", wide)
            desk = key_with(client, "desk", roles=["desk"])
            assert server.client(key=desk["api_key"]).reveal(made["record"], ["email"]).status == 200
            assert server.stop() == 0
        database = own.dir / "holdfast.db"
        with contextlib.closing(sqlite3.connect(database)) as raw:
            before = raw.execute("select kind, id, version, content, mac_key, mac from access_authority").fetchall()
        with own.serve() as server:
            client = server.client()
            client.good("POST", f"/v1/api-keys/{revoked['info']['key']}/revoke")
            client.good("POST", f"/v1/api-keys/{rotated['info']['key']}/rotate", {"overlap": "1 s"})
            client.good("PUT", "/v1/roles/desk", narrow, headers={"If-Match": f'"{role["version"]}"'})
            eventually(lambda: client.get("/v1/collections", key=rotated["api_key"]).status == 401, "the overlap is over")
            assert server.stop() == 0
        assert own.check_state().code == DONE

        def write(*statements):
            with contextlib.closing(sqlite3.connect(database)) as raw:
                for statement in statements:
                    raw.execute(*statement)
                raw.commit()

        def reveals(key):
            with own.serve() as server:
                status = server.client(key=key).reveal(made["record"], ["email"]).status
                server.stop()
            return status

        widen = ("update access_authority set content = replace(content, 'auditor', 'owner') where id = ?", [weak["info"]["key"]])
        write(widen)
        assert reveals(weak["api_key"]) == 401, "a key whose roles were changed by hand is no key"
        checked = own.check_state()
        assert checked.code == FAILED and weak["info"]["key"] in checked.out, checked

        older = [("delete from access_authority",)] + [
            ("insert into access_authority (kind, id, version, content, mac_key, mac) values (?, ?, ?, ?, ?, ?)", row) for row in before]
        write(*older)
        for key in (revoked, rotated, desk):
            assert reveals(key["api_key"]) == 401, "what was ended or narrowed stays so when all older rows are put back"
        assert reveals(own.owner_key) == 401, "nobody can say what holds"
        checked = own.check_state()
        assert checked.code == FAILED and "rolled_back" in checked.err and "access_manifest" in checked.out, checked
        recovered = own.run("access", "recover", "--dir", own.dir)
        assert recovered.code == DONE, recovered
        assert reveals(recovered.out.strip()) == 200
        assert reveals(desk["api_key"]) == 401, "what was listed is made again"


def without_last_line(afterlog):
    whole = afterlog.read_bytes()
    afterlog.write_bytes(whole[:whole.rindex(b"\n", 0, -1) + 1])


def revoked_after_a_backup(own):
    """The key, its text's owner, and the backup in which it lives."""
    with own.serve() as server:
        client = server.client()
        key = key_with(client, "revoked", roles=["owner"])
        backup = client.good("POST", "/v1/backups")
        client.good("POST", f"/v1/api-keys/{key['info']['key']}/revoke")
        assert server.stop() == 0
    return key["api_key"], backup


def status_of(own, key):
    with own.serve() as server:
        status = server.client(key=key).get("/v1/collections").status
        log = server.log()
        assert server.stop() == 0
    return status, log


def restored(own, backup):
    return own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys", backup["keys"])


def unfinished(*folders):
    return [file for folder in folders for file in folder.glob("holdfast-*.part*")]


@test
def a_backup_that_is_cut_off_leaves_no_keys_with_the_data(store):
    with Store() as own:
        data, keys = own.base / "shop.backup" / "data", own.base / "shop.backup" / "keys"
        with own.serve() as server:
            client = server.client()
            declare(client)
            for number in range(50):
                create(client, f"ext:{number}", email=f"c{number}@example.org", note="x" * 3000)
            asked = threading.Thread(target=own.run, args=["backup"], kwargs={"server": server})
            asked.start()
            while asked.is_alive() and not unfinished(data, keys):
                pass
            server.kill()
            asked.join()
        for file in data.iterdir():
            with contextlib.closing(sqlite3.connect(file)) as raw:
                assert raw.execute("select count(*) from vault_subject_keys").fetchone() == (0,), file

        left = "holdfast-data-20250101T000000000Z.db.part"
        for file in (data / left, keys / left, keys / (left + "-wal"), keys / left.replace("data", "keys"),
                     data / "of-somebody-else.part"):
            file.write_bytes(b"left")
        with own.serve() as server:
            made = server.client().good("POST", "/v1/backups")
            assert not unfinished(data, keys), "what was left is removed, and nothing new is left"
            assert (data / "of-somebody-else.part").exists()
            assert server.stop() == 0
        assert restored(own, made).code == DONE


@test
def an_afterlog_that_is_named_is_the_one_that_counts(store):
    with Store() as own:
        key, backup = revoked_after_a_backup(own)
        newest = own.base / "newest"
        newest.write_bytes((own.dir / "afterlog").read_bytes())
        restore = lambda file: own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys",
                                       backup["keys"], "--afterlog", file)
        whole = newest.read_bytes()
        for wrong in ("/etc/passwd", own.base / "nowhere"):
            refused = restore(wrong)
            assert refused.code not in (DONE, USAGE) and "afterlog" in refused.err, refused
            assert (own.dir / "afterlog").read_bytes() == whole and not (own.dir / "replay.pending").exists()
        # As in a folder out of an older snapshot: before the key was revoked.
        without_last_line(own.dir / "afterlog")
        assert restore(newest).code == DONE
        assert (own.dir / "afterlog").read_bytes().startswith(whole)
        assert status_of(own, key)[0] == 401
        older = own.base / "older"
        older.write_bytes(whole)
        assert restore(older).code == DONE, "the folder's goes on from it"
        assert status_of(own, key)[0] == 401
        (own.dir / "afterlog").write_bytes(b"something else\n")
        refused = restore(newest)
        assert refused.code == CONFLICT and "move" in refused.err, refused


@test
def a_new_folder_never_comes_up_empty_where_a_restore_was_cut_off(store):
    with Store() as own:
        key, backup = revoked_after_a_backup(own)
        again = own.base / "again"
        (own.base / "again.keys").mkdir(mode=0o700)
        shutil.copy(own.base / "shop.keys" / "root.key", own.base / "again.keys" / "root.key")
        command = ["restore", "--dir", again, "--data", backup["data"], "--keys", backup["keys"], "--afterlog",
                   own.dir / "afterlog"]

        def cut_off():
            shutil.rmtree(again, ignore_errors=True)
            process = subprocess.Popen([BIN, *map(str, command)], env=own.env(), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while not (again / "keyring").exists() and process.poll() is None:
                pass
            process.kill()
            process.wait()
            return not (again / "holdfast.db").exists()

        eventually(cut_off, "a restore that is killed before its database is in place")
        refused = own.run("serve", "--dir", again, "--listen", "127.0.0.1:0")
        assert refused.code == NOT_FOUND and "restore a backup" in refused.err, refused
        (again / "restore.part-journal").write_bytes(b"left by one that was cut off" * 100)
        (again / "restore.part-wal").write_bytes(b"left by one that was cut off" * 100)
        done = own.run(*command)
        assert done.code == DONE, done
        own.dir = again
        assert status_of(own, key)[0] == 401
        assert status_of(own, own.owner_key)[0] == 200


@test
def data_and_keys_may_lie_on_two_disks(store):
    disk = pathlib.Path("/dev/shm")
    if not os.access(disk, os.W_OK) or disk.stat().st_dev == store.base.stat().st_dev:
        raise Skip("there is no second disk")
    with tempfile.TemporaryDirectory(dir=disk) as folder, Store("--set", f"backup.data={folder}/data") as own:
        key, backup = revoked_after_a_backup(own)
        file, keys = pathlib.Path(backup["data"]), own.base / "shop.backup" / "keys"
        assert file.parent.parent == pathlib.Path(folder) and list(file.parent.iterdir()) == [file], backup
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not unfinished(keys), "nothing is left where it was made"
        assert restored(own, backup).code == DONE
        assert status_of(own, key)[0] == 401


@test
def a_restore_from_a_data_file_that_is_none_names_it_and_changes_nothing(store):
    with Store() as own:
        key, backup = revoked_after_a_backup(own)
        before = (own.dir / "holdfast.db").read_bytes()
        whole = open(backup["data"], "rb").read()
        for name, content in {"empty": b"", "half": whole[:len(whole) // 2], "a page less": whole[:-4096],
                              "text": b"email,name\n" * 1000}.items():
            data = own.base / "data.db"
            data.write_bytes(content)
            refused = restored(own, {**backup, "data": str(data)})
            assert refused.code != DONE and "data: " in refused.err and "cut short" in refused.err, (name, refused)
        assert (own.dir / "holdfast.db").read_bytes() == before
        assert not list(own.dir.glob("restore.part*")), "nothing is left behind"
        assert restored(own, backup).code == DONE
        assert status_of(own, key)[0] == 401


def bob_between_two_backups(own):
    with own.serve() as server:
        client = server.client()
        declare(client)
        create(client, "ext:1", email="ann@example.org")
        first = client.good("POST", "/v1/backups")
        create(client, "ext:2", email="bob@example.org")
        second = client.good("POST", "/v1/backups")
        server.stop()
    return first, second


def bob_opens(own):
    with own.serve() as server:
        found = server.client().good("GET", "/v1/collections/people/records?subject=ext:2")["records"]
        shown = server.client().reveal(found[0]["record"], ["email"]).json
        server.stop()
    return shown["values"]["email"] == "bob@example.org"


@test
def data_of_a_history_that_was_left_goes_with_the_keys_of_its_time_alone(store):
    with Store() as own:
        first, left = bob_between_two_backups(own)
        assert restored(own, first).code == DONE
        with own.serve() as server:
            client = server.client()
            for number in range(3, 20):
                create(client, f"ext:{number}", email=f"c{number}@example.org")
            newest = client.good("POST", "/v1/backups")
            server.stop()
        before = (own.dir / "holdfast.db").read_bytes()

        refused = restored(own, {"data": left["data"], "keys": newest["keys"]})
        assert refused.code == CONFLICT and "of two histories" in refused.err, refused
        longer = restored(own, {"data": newest["data"], "keys": left["keys"]})
        assert longer.code == CONFLICT and "older than the data" in longer.err, longer
        assert (own.dir / "holdfast.db").read_bytes() == before

        done = restored(own, {"data": first["data"], "keys": newest["keys"]})
        assert done.code == DONE and "Nothing that the afterlog names" in done.out, done
        assert restored(own, left).code == DONE
        assert bob_opens(own)


@test
def data_whose_keys_a_restore_brought_along_goes_with_every_later_keys_file(store):
    with Store() as own:
        first, second = bob_between_two_backups(own)
        # As documented: old data, the newest keys file.
        assert restored(own, {"data": first["data"], "keys": second["keys"]}).code == DONE
        with own.serve() as server:
            newest = server.client().good("POST", "/v1/backups")
            server.stop()
        assert newest["journal_size"] != second["journal_size"]
        done = restored(own, {"data": second["data"], "keys": newest["keys"]})
        assert done.code == DONE, done
        assert bob_opens(own)


@test
def keys_that_came_with_a_newer_keys_file_go_with_the_erasure_that_the_afterlog_names(store):
    with Store() as own:
        first, second = bob_between_two_backups(own)
        with own.serve() as server:
            server.client().good("POST", "/v1/subjects/ext:2/erase", {"reason": "asked"})
            server.stop()

        def whose():
            with contextlib.closing(sqlite3.connect(own.dir / "holdfast.db")) as raw:
                return raw.execute("select count(distinct subject) from vault_subject_keys").fetchone()[0]

        assert restored(own, {"data": first["data"], "keys": second["keys"]}).code == DONE
        assert whose() == 1, "Ann's alone"
        (own.dir / "afterlog").unlink()
        assert restored(own, {"data": first["data"], "keys": second["keys"]}).code == DONE
        assert whose() == 2, "nobody says that Bob was erased"


@test
def a_restore_cut_off_before_its_database_was_in_place_leaves_nothing_of_it_in_the_other(store):
    with Store() as own:
        first, second = bob_between_two_backups(own)
        assert restored(own, first).code == DONE
        with contextlib.closing(sqlite3.connect(second["keys"])) as keys:
            window = keys.execute("select content from parts where name = 'window'").fetchone()[0]
        (own.dir / "replay.pending").write_bytes(window)
        with own.serve() as server:
            newest = server.client().good("POST", "/v1/backups")
            server.stop()
        refused = restored(own, {"data": second["data"], "keys": newest["keys"]})
        assert refused.code == CONFLICT and "of two histories" in refused.err, refused
        (own.dir / "replay.pending").write_bytes(window)
        failed = own.run("restore", "--dir", own.dir, "--data", first["data"], "--keys", first["keys"], "--set",
                         f"database.url=host=127.0.0.1 port={free_port()} user=nobody dbname=none")
        assert failed.code == UNAVAILABLE, failed
        assert (own.dir / "replay.pending").read_bytes() == window, "the one of before"


@test
def files_that_are_no_backup_are_told_apart(store):
    with Store() as own:
        with own.serve() as server:
            made = server.client().good("POST", "/v1/backups")
            server.stop()
        data, keys = made["data"], made["keys"]
        for wrong, field, says in (({"data": keys, "keys": data}, "data", "this is a keys file"),
                                   ({"data": data, "keys": data}, "keys", "holdfast-keys-TIME.db"),
                                   ({"data": data, "keys": own.dir / "holdfast.toml"}, "keys", "holdfast-keys-TIME.db"),
                                   ({"data": own.dir, "keys": keys}, "data", "no such file"),
                                   ({"data": data, "keys": own.base / "nowhere"}, "keys", "no such file")):
            target = own.base / "target"
            refused = own.run("restore", "--dir", target, "--data", wrong["data"], "--keys", wrong["keys"])
            assert refused.code not in (DONE, USAGE) and f"{field}: " in refused.err and says in refused.err, refused
            assert not target.exists(), "nothing was made"
        for words, missing in ((["--data", data], "--keys is required"), (["--keys", keys], "--data is required"),
                               ([], "--data is required")):
            refused = own.run("restore", "--dir", own.base / "target", *words)
            assert refused.code == USAGE and missing in refused.err, refused
            assert not (own.base / "target").exists(), "nothing was made"


@test
def a_data_file_copied_by_hand_into_the_place_of_the_database_is_refused(store):
    with Store() as own, Store() as other:
        backups = {}
        for one in (own, other):
            with one.serve() as server:
                client = server.client()
                declare(client)
                create(client, "ext:1", email="ann@example.org")
                backups[one] = client.good("POST", "/v1/backups")
                if one is other:  # whose root key is newer than the data then
                    client.good("POST", "/v1/keys/reshare", {"needed": 2, "total": 3})
                assert server.stop() == 0

        def put(store, file):
            for left in store.dir.glob("holdfast.db*"):
                left.unlink()
            shutil.copyfile(file, store.dir / "holdfast.db")
            (store.dir / "holdfast.db").chmod(0o600)

        for store, file, says in ((own, backups[other]["data"], "different stores"),
                                  (own, backups[own]["data"], "holdfast restore"),
                                  (own, backups[own]["keys"], "not a Holdfast database"),
                                  (other, backups[other]["data"], "holdfast restore")):
            put(store, file)
            refused_at_start(store, says)
        put(own, backups[own]["data"])
        accepted = own.run("journal", "accept-rollback", "--yes", "--dir", own.dir)
        assert accepted.code == CONFLICT and "data file of a backup" in accepted.err, accepted
        assert not (own.dir / "replay.pending").exists()
        assert restored(own, backups[own]).code == DONE, "and the documented way still goes"
        with own.serve() as server:
            found = server.client().good("GET", "/v1/collections/people/records?subject=ext:1")["records"]
            assert server.client().reveal(found[0]["record"], ["email"]).json["values"] == {"email": "ann@example.org"}
            assert server.stop() == 0


@test
def a_stop_ends_a_server_whose_disk_answers_no_more(store):
    with Store() as own:
        with own.serve() as server:
            method = (own.dir / "unlock").rename(own.base / "unlock")
            os.mkfifo(own.dir / "unlock")  # opening it waits for a writer that never comes
            asked = threading.Thread(target=own.run, args=["backup"], kwargs={"server": server})
            asked.start()
            eventually(lambda: unfinished(own.base / "shop.backup" / "keys"), "a backup under way")
            assert server.client().get("/healthz").status == 200
            assert server.stop() == 0 and "process_ended" in server.log(), server.log()
            asked.join()
        method.rename(own.dir / "unlock")
        with own.serve() as server:
            server.client().good("POST", "/v1/backups")
            server.stop()


@test
def a_line_cut_off_the_afterlog_is_noticed_at_start(store):
    with Store() as own:
        key, _ = revoked_after_a_backup(own)
        without_last_line(own.dir / "afterlog")
        status, log = status_of(own, own.owner_key)
        assert status == 401 and "afterlog_missing" in log, (status, log)
        recovered = own.run("access", "recover", "--dir", own.dir)
        assert recovered.code == DONE, recovered
        status, log = status_of(own, recovered.out.strip())
        assert status == 200 and "afterlog_missing" not in log, (status, log)
        assert status_of(own, key)[0] == 401


@test
def a_line_cut_off_the_afterlog_revives_no_key_in_a_restore(store):
    with Store() as own:
        key, backup = revoked_after_a_backup(own)
        whole = (own.dir / "afterlog").read_bytes()
        done = restored(own, backup)
        assert done.code == DONE and "names was done again.\n" in done.out, done
        assert status_of(own, key)[0] == 401
        assert status_of(own, own.owner_key)[0] == 200

        without_last_line(own.dir / "afterlog")
        done = restored(own, backup)
        assert done.code == DONE and "lines were cut off" in done.out, done
        assert status_of(own, key)[0] == 401, "cut off before a restore"
        assert status_of(own, own.owner_key)[0] == 401, "nobody can say who else was revoked"

        done = restored(own, backup)
        assert done.code == DONE and "was lost after this backup" in done.out, done
        assert status_of(own, key)[0] == 401, "nor by restoring once more"

        for name in ("witness", "afterlog"):
            (own.dir / name).unlink()
        (own.dir / "afterlog").write_bytes(whole)
        later = own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys", backup["keys"])
        assert later.code == DONE and "lines were cut off" not in later.out, later
        assert status_of(own, own.owner_key)[0] == 200
        assert status_of(own, key)[0] == 401


@test
def data_from_before_a_loss_says_with_whatever_keys_file_that_its_keys_are_revoked(store):
    with Store() as own:
        key, backup = revoked_after_a_backup(own)
        without_last_line(own.dir / "afterlog")
        assert status_of(own, own.owner_key)[0] == 401, "the loss is noticed"
        recovered = own.run("access", "recover", "--dir", own.dir)
        with own.serve() as server:
            newer = server.client(key=recovered.out.strip()).good("POST", "/v1/backups")
            server.stop()
        done = restored(own, {"data": backup["data"], "keys": newer["keys"]})
        assert done.code == DONE and "access recover" in done.out, done
        assert "are back" not in done.out, "the keys file is from after the loss: who was erased before it does not open"
        assert "withdrawn consents" in done.out and "your own roles" in done.out, done
        done = restored(own, newer)
        assert done.code == DONE and "withdrawn consents" not in done.out, done
        done = restored(own, {"data": backup["data"], "keys": newer["keys"]})
        assert done.code == DONE, done
        assert status_of(own, own.owner_key)[0] == 401
        assert status_of(own, key)[0] == 401


@test
def a_backup_knows_how_far_the_afterlog_had_come(store):
    with Store() as own:
        key, _ = revoked_after_a_backup(own)
        with own.serve() as server:
            backup = server.client().good("POST", "/v1/backups")
            assert server.stop() == 0
        without_last_line(own.dir / "afterlog")
        (own.dir / "witness").unlink()
        done = restored(own, backup)
        assert done.code == DONE and "lines were cut off" in done.out, done
        assert status_of(own, own.owner_key)[0] == 401


@test
def a_check_of_a_store_without_its_afterlog_or_witness_changes_nothing(store):
    with Store() as own:
        with own.serve() as server:
            assert server.stop() == 0
        for name in ("afterlog", "witness"):
            (own.dir / name).rename(own.base / name)
            checked = own.run("journal", "check", "--dir", own.dir)
            assert checked.code == CONFLICT and f"`{name}` is missing" in checked.err, checked
            assert not (own.dir / name).exists()
            (own.base / name).rename(own.dir / name)
        assert own.check_state().code == DONE
        assert status_of(own, own.owner_key)[0] == 200
        revoked_after_a_backup(own)
        without_last_line(own.dir / "afterlog")
        short = own.run("journal", "check", "--dir", own.dir)
        assert short.code == FAILED and "every API key was revoked" in short.out, short


@test
def a_missing_witness_is_said_and_recorded(store):
    with Store() as own:
        with own.serve() as server:
            assert "witness_missing" not in server.log()
            assert server.stop() == 0
        (own.dir / "witness").unlink()
        with own.serve() as server:
            assert "witness_missing" in server.log(), server.log()
            entries = json.dumps(server.client().good("GET", "/v1/journal"))
            assert "journal.witness_missing" in entries, entries[:500]
            assert server.stop() == 0
        with own.serve() as server:
            assert "witness_missing" not in server.log()
            assert server.stop() == 0


@test
def a_legal_hold_changed_by_hand_stops_neither_the_start_nor_the_check(store):
    with Store() as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            create(client, "ext:1", email="ann@example.org")
            held = client.good("POST", "/v1/retention/holds", {"subject": "ext:1", "reason": "dispute"})
            assert server.stop() == 0
        with contextlib.closing(sqlite3.connect(own.dir / "holdfast.db")) as raw:
            raw.execute("update vault_holds set until_ms = 1")
            raw.commit()
        checked = own.check_state()
        assert checked.code == FAILED and held["hold"] in checked.out, checked
        with own.serve() as server:
            assert held["hold"] in server.log(), server.log()
            client = server.client()
            refused = client.post("/v1/subjects/ext:1/erase", {"reason": "asked"})
            assert refused.status >= 400 and "hold" in refused.json["detail"], refused
            client.good("POST", "/v1/retention/holds", {"subject": "ext:1", "reason": "dispute"})
            client.good("POST", f"/v1/retention/holds/{held['hold']}/lift", {"reason": "placed anew"})
            assert server.stop() == 0
        assert own.check_state().code == DONE


@test
def a_flipped_byte_in_the_database_never_shows_a_wrong_value(store):
    rng = random.Random(20)
    with Store() as own:
        values = {}
        with own.serve() as server:
            client = server.client()
            declare(client)
            for i in range(40):
                email = f"customer{i}@example.org"
                values[create(client, f"ext:{i}", email=email, name=f"Name {i}")["record"]] = email
            assert server.stop() == 0
        whole = {file.name: file.read_bytes() for file in own.dir.glob("holdfast.db*")}
        damaged_runs = 0
        for trial in range(6):
            for name, content in whole.items():
                (own.dir / name).write_bytes(content)
            damaged = bytearray(whole["holdfast.db"])
            for _ in range(4):
                damaged[rng.randrange(100, len(damaged))] ^= 1 << rng.randrange(8)
            (own.dir / "holdfast.db").write_bytes(damaged)
            for name in ("scratch.db", "scratch.db-wal", "scratch.db-shm"):
                (own.dir / name).unlink(missing_ok=True)
            try:
                server = own.serve()
            except AssertionError as why:
                assert "ended with -" not in str(why), f"trial {trial}: {why}"
                assert re.search(r"holdfast: .*(damaged|changed|edited)", str(why)), f"trial {trial}: {why}"
                damaged_runs += 1
                continue
            with server:
                client = server.client()
                for record, email in values.items():
                    answer = client.reveal(record, ["email"])
                    assert answer.status in (200, 404, 500, 503, 401, 410), (trial, answer)
                    if answer.status == 200:
                        assert answer.json["values"].get("email", email) == email, (trial, answer)
                    elif answer.status == 500:
                        assert answer.code == "corrupt", (trial, answer)
                code = server.stop()
                assert code >= 0, f"trial {trial}: killed by signal {-code}\n{server.log()[-2000:]}"
            check = own.check_state()
            assert check.code >= 0, check
            damaged_runs += check.code != DONE
        assert damaged_runs > 0, "four flipped bits went unnoticed in every trial"


@test
def a_flipped_bit_anywhere_in_a_records_row_shows_no_wrong_value_and_is_found(store):
    with Store() as own:
        emails = {}
        with own.serve() as server:
            client = server.client()
            declare(client)
            for i in range(60):
                emails[create(client, f"ext:{i}", email=f"customer{i}@example.org", name=f"Name {i}")["record"]] = (
                    f"customer{i}@example.org")
            assert server.stop() == 0
        database = own.dir / "holdfast.db"
        with contextlib.closing(sqlite3.connect(database)) as raw:
            rows = [sealed for sealed, in raw.execute("select sealed from vault_records order by id")]
            for number, sealed in enumerate(rows):
                damaged = bytearray(sealed)
                damaged[number * len(sealed) // len(rows)] ^= 1
                raw.execute("update vault_records set sealed = ? where sealed = ?", [bytes(damaged), sealed])
            raw.commit()
        said = collections.Counter()
        with own.serve() as server:
            client = server.client()
            for record, email in emails.items():
                answer = client.reveal(record, ["email"])
                if answer.status == 500:
                    assert answer.code == "corrupt", answer
                    said["row"] += 1
                elif answer.json["refused"]:
                    assert answer.json["refused"] == [{"field": "email", "reason": "corrupt"}], answer
                    assert not answer.json["values"], answer
                    said["value"] += 1
                else:  # in the name, or in the number that says whose value it is
                    assert answer.status == 200 and answer.json["values"] in ({"email": email}, {}), answer
                    said["other"] += 1
            assert min(said[place] for place in ("row", "value", "other")) > 0, said
            assert server.stop() == 0
        checked = own.check_state()
        assert checked.code == FAILED and all(record in checked.out for record in emails), checked


def as_nobody(store):
    """A command in front of the program that takes root away, and the store given to that user."""
    if os.geteuid() != 0:
        return []
    subprocess.run(["chown", "-R", "65534:65534", store.base], check=True)
    store.base.chmod(0o755)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]


def reachable_by_others(path):
    return all(stat.S_IMODE(parent.stat().st_mode) & 0o001 for parent in pathlib.Path(path).resolve().parents)


@test
def a_folder_that_cannot_be_written_is_refused_with_a_reason(store):
    if os.geteuid() == 0 and not reachable_by_others(BIN):
        raise Skip("another user cannot reach the program here")
    with Store() as own:
        wrapper = as_nobody(own)
        for path in [*own.dir.iterdir()]:
            path.chmod(0o400)
        own.dir.chmod(0o500)
        done = subprocess.run([*wrapper, BIN, "serve", "--dir", str(own.dir), "--listen", "127.0.0.1:0"],
                              capture_output=True, timeout=60, env=own.env(), cwd="/")
        own.dir.chmod(0o700)
        said = done.stderr.decode()
        assert done.returncode > 0 and done.returncode != USAGE, (done.returncode, said)
        assert "holdfast:" in said and len(said.splitlines()) <= 3, said


@test
def memory_that_cannot_be_locked_is_refused_with_the_limit(store):
    if os.geteuid() == 0 and not reachable_by_others(BIN):
        raise Skip("another user cannot reach the program here")
    if SANITIZED:
        raise Skip("a sanitizer's mlock does nothing")
    with Store() as own:
        wrapper = as_nobody(own)
        done = subprocess.run(["prlimit", "--memlock=0:0", *wrapper, BIN, "serve", "--dir", str(own.dir)],
                              capture_output=True, timeout=60, env=own.env(), cwd="/")
        assert done.returncode == UNAVAILABLE and b"ulimit -l" in done.stderr, done


@test
def a_server_leaves_no_core_and_small_memory(store, server):
    limits = pathlib.Path(f"/proc/{server.pid}/limits").read_text()
    assert re.search(r"Max core file size\s+0\s+", limits), limits
    if not SANITIZED:
        assert server.memory("VmRSS") < 100 << 20, server.memory("VmRSS")


if __name__ == "__main__":
    with Store() as shop, shop.serve() as served:
        failed = main(store=shop, server=served)
        assert served.process.poll() is None, f"the server died: {served.log()[-3000:]}"
        assert served.stop() == 0
        checked = shop.check_state()
        print(f"{'PASS' if checked.code == 0 else 'FAIL'} the journal agrees with every row in the end")
        if checked.code:
            print(checked)
    sys.exit(failed or checked.code)
