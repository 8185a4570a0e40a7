#!/usr/bin/env python3
"""Customers' rights through the built program, with the commands of docs/rights.md: consent,
objection, restriction, merge, export, erasure with its statement, requests, and a restore that undoes
none of it."""
import json
import os
import re
import shutil
import sys

from support import Skip, Store, create, declare, eventually, main, test

DONE, FAILED, USAGE, REFUSED, NOT_FOUND, CONFLICT, UNAVAILABLE = range(7)


def good(answer):
    assert answer.code == DONE, answer
    return answer.rows[0] if answer.rows else None


def reveal(server, record, purpose):
    answer = server.client().post(f"/v1/records/{record}/reveal", {"fields": ["email"], "purpose": purpose})
    return answer.json["values"]["email"] if answer.status == 200 else answer.code


@test
def a_customer_decides_what_their_data_is_used_for(store, server):
    run = lambda *words, **more: store.run(*words, server=server, **more)
    declare(server.client())
    record = create(server.client(), "ext:decides", email="decides@example.org")["record"]

    assert reveal(server, record, "marketing") == "forbidden"
    assert run("subjects", "consent", "ext:decides", "--purpose", "marketing").code != DONE, "no evidence"
    good(run("subjects", "consent", "ext:decides", "--purpose", "marketing", "--evidence", "-", stdin=b"box ticked"))
    assert reveal(server, record, "marketing") == "decides@example.org"
    good(run("subjects", "consent", "ext:decides", "--purpose", "marketing", "--withdrawn"))
    assert reveal(server, record, "marketing") == "forbidden"

    good(run("subjects", "object", "ext:decides", "--purpose", "fraud_check"))
    assert reveal(server, record, "fraud_check") == "forbidden"
    good(run("subjects", "object", "ext:decides", "--purpose", "fraud_check", "--lifted"))
    assert reveal(server, record, "fraud_check") == "decides@example.org"

    good(run("subjects", "restrict", "ext:decides", "--ground", "accuracy_contested"))
    assert reveal(server, record, "support") == "forbidden"
    right = good(run("subjects", "rectify", "ext:decides", "--record", record, "--values", "-",
                     stdin=b'{"email":"right@example.org"}'))
    assert right["changed"] == ["email"], right
    good(run("subjects", "unrestrict", "ext:decides", "--note", "-", stdin=b"told by letter"))
    assert reveal(server, record, "support") == "right@example.org"

    standing = good(run("subjects", "standing", "ext:decides"))
    assert [one["decided"] for one in standing["decisions"]] == [
        "unrestricted", "restricted", "objection_lifted", "objected", "consent_withdrawn", "consent_given"], standing
    assert standing["decisions"][-1]["evidence"] == "box ticked", standing


@test
def a_copy_of_everything_is_downloaded(store, server):
    declare(server.client())
    create(server.client(), "ext:copy", email="copy@example.org")
    file = store.base / "copy.html"
    done = store.run("subjects", "export", "ext:copy", "--purpose", "subject_request", "--format", "html",
                     "--output", file, server=server)
    assert done.code == DONE, done
    text = file.read_text()
    assert "copy@example.org" in text and "<script" not in text, text[:500]
    done = store.run("subjects", "export", "ext:copy", "--purpose", "subject_request", server=server)
    copy = json.loads(done.out)
    assert copy["external_ids"] == ["copy"] and copy["accesses"], copy
    assert store.run("subjects", "export", "ext:copy", "--purpose", "support", server=server).code != DONE


@test
def a_guest_is_merged_and_erased_with_a_statement_that_verifies(store, server):
    client = server.client()
    declare(client)
    account = create(client, "ext:account", email="account@example.org")
    create(client, "ext:guest-1", email="guest@example.org")
    merged = good(store.run("subjects", "merge", "ext:account", "--from", "ext:guest-1", server=server))
    assert merged["subject"] == account["subject"] and merged["records"] == 1, merged
    asked = good(store.run("requests", "open", "--subject", "ext:guest-1", "--kind", "erase", "--text", "-",
                           server=server, stdin=b"please erase me"))
    erased = good(store.run("subjects", "erase", "ext:guest-1", server=server))
    good(store.run("requests", "update", asked["request"], "--identity", "account_login", server=server))
    done = good(store.run("requests", "answer", asked["request"], "--outcome", "granted",
                          "--event", erased["event"], server=server))
    assert done["state"] == "answered" and done["event"] == erased["event"], done
    assert good(store.run("requests", "get", asked["request"], server=server))["text"] == "please erase me"
    assert not good(store.run("requests", "list", server=server))["requests"]

    file = store.base / "erasure.json"
    file.write_text(store.run("subjects", "erasure", account["subject"], server=server).out)
    verified = store.run("proof", "verify", file)
    assert verified.code == DONE and account["subject"] in verified.out, verified
    assert "keys_deleted: done" in verified.out and "epoch_key_destroyed: planned" in verified.out, verified
    key = re.search(r"Log key: (\S+)", verified.out).group(1)
    assert store.run("proof", "verify", file, "--verifier", key).code == DONE
    assert store.run("proof", "verify", file, "--verifier", key[:-2] + "AA").code == FAILED
    said = file.read_text()
    for wrong in (said.replace("not_scheduled", "done", 1), said.replace('"account"', '"legal"', 1), said[:-40]):
        file.write_text(wrong)
        assert store.run("proof", "verify", file).code == FAILED, wrong[:80]


@test
def terms_in_old_copies_are_gone_with_the_last_of_their_keys():
    with Store() as own, own.serve() as server:
        client = server.client()
        declare(client)

        def erased(name):
            create(client, name, email="gone@example.org")
            return client.good("POST", f"/v1/subjects/{name}/erase", {"reason": "asked"})["subject"]

        def step(subject):
            said = client.get(f"/v1/subjects/{subject}/erasure").json["said"]["steps"]
            return next(one for one in said if one["step"] == "index_key_destroyed")

        def rotate(kind, at_once, phase):
            begun = client.good("POST", "/v1/keys/rotate", {"kind": kind, "at_once": at_once})["rotation"]
            row = lambda: client.get(f"/v1/keys/progress?rotation={begun}").json["rotations"][0]
            return eventually(lambda: (got := row())["phase"] == phase and got, f"the rotation of {kind}")

        first = erased("ext:first")
        for kind in ("index", "external", "token"):
            assert step(first)["state"] == "not_scheduled", kind
            rotate(kind, True, "done")
        assert step(first)["state"] == "done", step(first)
        second = erased("ext:second")
        waiting = rotate("index", False, "waiting")
        for kind in ("external", "token"):
            assert step(second)["state"] == "not_scheduled", kind
            rotate(kind, True, "done")
        planned = step(second)
        assert planned["state"] == "planned" and planned["at"] >= waiting["destroyed_from"], (planned, waiting)
        assert step(first)["state"] == "done", step(first)


@test
def a_legal_hold_keeps_a_customer_until_it_is_lifted(store, server):
    client = server.client()
    declare(client, "disputes")
    run = lambda *words, **more: store.run(*words, server=server, **more)
    for number, what in enumerate((["--subject", "ext:held-0"], ["--collection", "disputes"])):
        subject, email = f"ext:held-{number}", f"held-{number}@example.org"
        record = create(client, subject, "disputes", email=email)["record"]

        hold = good(run("retention", "hold", *what, "--reason", "-", stdin=b"dispute, file 12/26"))["hold"]

        refused = run("subjects", "erase", subject, "--reason", "-", stdin=b"asked")
        assert refused.code == CONFLICT and "legal hold" in refused.err, refused
        answer = client.post(f"/v1/subjects/{subject}/erase", {"reason": "asked"})
        assert (answer.status, answer.code) == (409, "conflict"), answer
        answer = client.send("DELETE", f"/v1/records/{record}")
        assert (answer.status, answer.code) == (409, "conflict"), answer
        assert reveal(server, record, "support") == email
        assert [one["hold"] for one in run("retention", "holds").rows] == [hold]

        good(run("retention", "unhold", hold, "--reason", "-", stdin=b"settled"))
        assert hold not in run("retention", "holds").out
        assert good(run("subjects", "erase", subject, "--reason", "-", stdin=b"asked"))["values"] == 1
        assert reveal(server, record, "support") == "not_found"


@test
def each_access_has_a_proof_that_a_customer_can_check(store, server):
    client = server.client()
    declare(client)
    made = [create(client, f"ext:seen-{i}", email=f"seen-{i}@example.org") for i in range(3)]
    seen, other = (one["subject"] for one in made[:2])
    assert reveal(server, made[0]["record"], "support") == "seen-0@example.org"
    client.good("POST", "/v1/records/reveal", {"records": [one["record"] for one in made], "fields": ["email"],
                                               "purpose": "order_fulfilment"})
    accesses = good(store.run("subjects", "accesses", "ext:seen-0", server=server))["accesses"]
    assert [one["operation"] for one in accesses] == ["records.reveal_batch", "records.reveal"], accesses
    file = store.base / "access.json"
    stranger = create(client, "ext:unseen", email="unseen@example.org")["subject"]
    refused = store.run("journal", "proof", accesses[0]["event"], "--subject", stranger, server=server)
    assert refused.code == NOT_FOUND and "did nothing to that subject" in refused.err, refused

    def verified(proof):
        file.write_text(proof if isinstance(proof, str) else json.dumps(proof))
        return store.run("proof", "verify", file)

    for access in accesses:
        proof = store.run("journal", "proof", access["event"], "--subject", seen, server=server).out
        right = verified(proof)
        assert right.code == DONE and access["operation"] in right.out and seen in right.out, right
        assert not any(one["subject"] in right.out for one in made[1:]), right
        parts = json.loads(proof)
        changes = [{"entry": parts["entry"].replace(access["purpose"], "marketing")}, {"seq": parts["seq"] + 1},
                   {"entry": parts["entry"].replace('"email"', '"phone"')}, {"path": parts["path"][1:]}]
        if parts["leaves"]:
            theirs = json.loads(store.run("journal", "proof", access["event"], "--subject", other, server=server).out)
            changes.append({"leaves": [{**parts["leaves"][0], "leaf": theirs["leaves"][0]["leaf"]}]})
        else:
            changes.append({"entry": parts["entry"].replace(seen, other)})
        for change in changes:
            assert change != {name: parts[name] for name in change}, change
            wrong = verified({**parts, **change})
            assert wrong.code == FAILED and not wrong.out, (change, wrong)


@test
def who_was_refused_beside_others_is_nobodys_access(store, server):
    client = server.client()
    declare(client)
    ann, bob = (create(client, f"ext:{name}", email=f"{name}@example.org") for name in ("open-ann", "shut-bob"))
    good(store.run("subjects", "restrict", "ext:shut-bob", "--ground", "unlawful", server=server))
    shown = client.good("POST", "/v1/records/reveal", {"records": [ann["record"], bob["record"]], "fields": ["email"],
                                                       "purpose": "support"})
    assert [one["values"] for one in shown["records"]] == [{"email": "open-ann@example.org"}, {}], shown
    accesses = lambda of: good(store.run("subjects", "accesses", of, server=server))["accesses"]
    assert [one["event"] for one in accesses("ext:open-ann")] == [shown["event"]]
    assert accesses("ext:shut-bob") == []
    file = store.base / "not-opened.json"
    file.write_text(store.run("journal", "proof", shown["event"], "--subject", bob["subject"], server=server).out)
    proved = store.run("proof", "verify", file)
    assert proved.code == DONE and f"records not opened of {bob['subject']}" in proved.out, proved


@test
def a_database_put_back_undoes_no_decision(store, server):
    del store, server
    if os.environ.get("HOLDFAST_TEST_POSTGRES"):
        raise Skip("it is about a database file")
    with Store() as own:
        with own.serve() as server:
            declare(server.client())
            record = create(server.client(), "ext:back", email="back@example.org")["record"]
        before = own.base / "before"
        shutil.copytree(own.dir, before)
        with own.serve() as server:
            good(own.run("subjects", "restrict", "ext:back", "--ground", "unlawful", server=server))
        for file in own.dir.glob("holdfast.db*"):
            file.unlink()
        for file in before.glob("holdfast.db*"):
            shutil.copy2(file, own.dir / file.name)
        assert own.run("journal", "accept-rollback", "--yes", "--dir", own.dir).code == DONE
        with own.serve() as server:
            assert reveal(server, record, "support") == "forbidden"
        assert own.check_state().code == 0


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
