#!/usr/bin/env python3
"""Every operation of tests/cases/access/operations.txt does its work when the command line asks for it."""
import datetime
import json
import subprocess
import sys

from support import BIN, ROOT, Store, declare, eventually, main, test

DONE, FAILED, USAGE, REFUSED, NOT_FOUND, CONFLICT, UNAVAILABLE = range(7)
OPERATIONS = {line for line in (ROOT / "tests/cases/access/operations.txt").read_text().splitlines()
              if line and not line.startswith("#")}
WORDS = "correct horse battery staple"
UNKNOWN = "tok_01j0000000e0000000000000ff"
worked = set()


def command(operation):
    assert operation in OPERATIONS, f"{operation} is not in operations.txt"
    return operation.replace("_", "-").split(".")


def text(server, operation, *words, body=None, stdin=b"", key=None):
    """What the command of an operation prints; a body goes in by standard input."""
    if body is not None:
        words, stdin = (*words, "--body", "-"), json.dumps(body).encode()
    done = server.store.run(*command(operation), *words, server=server, stdin=stdin, key=key)
    assert done.code == DONE, done
    worked.add(operation)
    return done.out


def call(server, operation, *words, **options):
    """The whole answer, parsed."""
    return json.loads(text(server, operation, *words, "--json", **options))


def person(server, subject):
    """The one record of a new customer."""
    declare(server.client())
    body = {"subject": f"ext:{subject}", "values": {"email": f"{subject}@example.org", "name": "Ann"}}
    return call(server, "records.create", "people", body=body)["records"][0]


def reveal(server, record, *words, **options):
    return call(server, "records.reveal", record, "--fields", "email", "--purpose", "support", *words, **options)


def key_with(server, name, role, **more):
    return call(server, "api_keys.create", body={"name": name, "roles": [role], **more})


# ── what is declared

@test
def a_collection_is_declared_shown_and_deleted(server):
    fields = [{"name": "recipient", "type": "name"}]
    made = call(server, "collections.put", "parcels", body={"doc": "A parcel.", "fields": fields})
    assert made["fields"][0]["name"] == "recipient", made
    assert call(server, "collections.get", "parcels")["doc"] == "A parcel."
    names = lambda: [one["collection"] for one in call(server, "collections.list")["collections"]]
    assert "parcels" in names()
    call(server, "collections.delete", "parcels")
    assert "parcels" not in names()


@test
def a_purpose_comes_and_goes(server):
    made = call(server, "purposes.put", "warranty", body={"legal_basis": "contract", "doc": "To repair it."})
    assert made["legal_basis"] == "contract", made
    names = lambda: [one["purpose"] for one in call(server, "purposes.list")["purposes"]]
    assert {"warranty", "support"} <= set(names())
    call(server, "purposes.delete", "warranty")
    assert "warranty" not in names()


@test
def a_kind_of_engagement_comes_and_goes(server):
    words = ("--doc", "A device in repair.", "--max-life", "30 days", "--fields", "phone")
    made = call(server, "engagement_kinds.put", "repair", *words)
    assert made["fields"] == ["phone"], made
    names = lambda: [one["kind"] for one in call(server, "engagement_kinds.list")["kinds"]]
    assert {"repair", "ticket"} <= set(names())
    call(server, "engagement_kinds.delete", "repair")
    assert "repair" not in names()


@test
def card_data_is_switched_on_and_off(server):
    on = lambda: call(server, "cards.status")["on"]
    assert not on()
    assert call(server, "cards.switch_on", body={"accept": "SAQ D", "reason": "orders by telephone"})["on"] and on()
    assert not call(server, "cards.switch_off", body={"reason": "a gateway does it now"})["on"] and not on()


# ── records, indexes, tokens

@test
def a_record_is_made_changed_opened_and_deleted(server):
    made, other = person(server, "record"), person(server, "record-2")
    record, email = made["record"], "record@example.org"
    listed = lambda: [one["record"] for one in
                      call(server, "records.list", "people", "--subject", made["subject"])["records"]]
    assert listed() == [record]
    assert email not in text(server, "records.get", record)
    changed = call(server, "records.update", record, body={"values": {"name": "Bob"}, "version": made["version"]})
    assert changed["version"] == made["version"] + 1, changed
    shown = call(server, "records.reveal", record, "--fields", "email,name", "--purpose", "support")
    assert shown["values"] == {"email": email, "name": "Bob"}, shown
    batch = call(server, "records.reveal_batch", "--records", f"{record},{other['record']}", "--fields", "email",
                 "--purpose", "support")
    assert [one["values"]["email"] for one in batch["records"]] == [email, "record-2@example.org"], batch
    for value, same in ((email, True), ("else@example.org", False)):
        said = call(server, "records.verify", record, body={"field": "email", "value": value, "purpose": "support"})
        assert said["matches"] == same, said
    found = call(server, "records.search", "people", body={"q": {"email": email}, "purpose": "support"})
    assert [one["record"] for one in found["records"]] == [record], found
    assert call(server, "records.delete", record)["deleted"] == 1
    assert listed() == []


@test
def an_import_is_indexed_and_the_owner_consents_to_what_stands_out(server):
    call(server, "collections.put", "members", body={"fields": [{"name": "name", "type": "name", "index": "exact"}]})
    rows = [f"m{number},{'Smith' if number % 4 == 0 else f'Name {number}'}\n" for number in range(1200)]
    mapping = json.dumps({"collection": "members", "external_id": "id", "fields": {"name": "who"}})
    file = server.store.base / "members.csv"
    file.write_text("id,who\n" + "".join(rows))
    now = lambda: datetime.datetime.now(datetime.timezone.utc)
    asked = now() - datetime.timedelta(milliseconds=1)  # an id counts whole milliseconds
    done = json.loads(text(server, "imports.create", "--mapping", mapping, file))
    assert done["created"] == 1200, done
    assert call(server, "imports.get", done["import"]) == done
    line = {name: done[name] for name in ("import", "state", "bytes", "rows", "refused")}
    listed = next(one for one in call(server, "imports.list")["imports"] if one["import"] == done["import"])
    assert asked <= datetime.datetime.fromisoformat(listed.pop("started")) <= now()
    assert listed == line

    field = lambda: call(server, "collections.get", "members")["fields"][0]

    def standing_out(before=None):
        found = field()["indexes"]
        return found[0] if len(found) == 1 and "alarm" in found[0] and found[0]["number"] != before else None

    first = eventually(standing_out, "the commonest name stands out")
    call(server, "indexes.rebuild", "members", "name")
    index = eventually(lambda: standing_out(first["number"]), "the index is built anew")
    counted = {"counted": index["counted"], "largest": index["largest"]}
    said = call(server, "indexes.consent", "members", "name", body={**counted, "reason": "a small risk"})
    assert said["fields"][0]["consent"]["rows"] == 1200, said
    assert "alarm" not in field()["indexes"][0], field()


@test
def a_token_stands_for_a_value_until_it_is_deleted(server):
    declare(server.client())
    body = {"subject": "ext:token", "collection": "people", "values": {"email": "tok@example.org"}}
    token = call(server, "tokens.create", body=body)["items"][0]["tokens"]["email"]["token"]
    opened = lambda: call(server, "tokens.reveal", "--tokens", token, "--purpose", "support")
    assert opened()["values"] == {token: "tok@example.org"}
    fill = ("--purpose", "support", "--format", "csv")
    assert text(server, "fill", *fill, stdin=token.encode()) == "tok@example.org"
    left = server.store.run("fill", *fill, server=server, stdin=f"{token},{UNKNOWN}".encode())
    report = call(server, "fills.get", left.err.split("`")[1].split()[-1])
    assert (report["filled"], report["refusals"][0]["token"]) == (1, UNKNOWN), report
    assert call(server, "tokens.delete", "--tokens", token)["deleted"] == 1
    assert opened()["refused"] == [{"token": token, "reason": "not_found"}]


@test
def a_value_that_the_shop_sealed_becomes_a_token(server):
    declare(server.client())
    key, body = server.store.base / "sealing-key.json", {
        "subject": "ext:sealed", "collection": "people", "values": {"email": "sealed@example.org"}}
    key.write_text(text(server, "tokens.sealing_key"))
    sealed = server.store.run("tokens", "seal", "--key", key, "-", stdin=json.dumps(body).encode())
    assert sealed.code == DONE, sealed
    token = call(server, "tokens.exchange", body=json.loads(sealed.out))["items"][0]["tokens"]["email"]["token"]
    shown = call(server, "tokens.reveal", "--tokens", token, "--purpose", "support")
    assert shown["values"] == {token: "sealed@example.org"}, shown


# ── who may what

@test
def an_api_key_is_shown_replaced_and_ended(server):
    made = key_with(server, "desk", "support")
    key = made["info"]["key"]
    assert call(server, "api_keys.get", key) == made["info"]
    new = call(server, "api_keys.rotate", key, body={"overlap": "2 h"})
    assert new["info"]["replaces"] == key and new["api_key"] != made["api_key"], new
    for one in (made, new):
        assert call(server, "access.whoami", key=one["api_key"])["key"]["key"] == one["info"]["key"]
    assert call(server, "api_keys.revoke", key)["state"] == "revoked"
    assert server.store.run("access", "whoami", server=server, key=made["api_key"]).code == REFUSED
    listed = lambda state: [one["key"] for one in call(server, "api_keys.list", "--state", state)["keys"]]
    assert key in listed("revoked") and new["info"]["key"] in listed("live")


@test
def a_role_is_tried_out_and_deleted(server):
    now = datetime.datetime.fromisoformat(call(server, "retention.status")["clock"])
    grant = {"collection": "*", "classes": ["personal"], "view": "clear", "purposes": ["support"],
             "engagements": ["ticket"], "observe_until": (now + datetime.timedelta(days=1)).isoformat()}
    made = call(server, "roles.put", "tried", body={"permissions": ["records.*"], "grants": [grant]})
    assert call(server, "roles.get", "tried") == made
    names = lambda: [one["role"] for one in call(server, "roles.list")["roles"]]
    assert {"tried", "owner"} <= set(names())
    key = key_with(server, "tried", "tried")
    shown = reveal(server, person(server, "tried")["record"], key=key["api_key"])
    assert shown["values"] == {"email": "tried@example.org"}, shown
    counted = lambda: [one for one in call(server, "roles.observed")["observed"] if one["role"] == "tried"]
    seen = eventually(counted, "it is counted")
    assert [(one["rule"], one["count"]) for one in seen] == [("engagement", 1)], seen
    call(server, "api_keys.revoke", key["info"]["key"])
    assert call(server, "roles.delete", "tried")["deleted"]
    assert "tried" not in names()


@test
def an_answer_is_explained_and_counts_in_a_budget(server):
    grant = {"collection": "*", "classes": ["personal"], "view": "clear", "purposes": ["support"],
             "budget": {"per_day": 5}}
    call(server, "roles.put", "clerk", body={"permissions": ["records.*"], "grants": [grant]})
    key = key_with(server, "clerk", "clerk")
    record = person(server, "explained")["record"]

    def explained(purpose):
        return call(server, "access.explain", body={"operation": "records.reveal", "collection": "people",
                    "field": "email", "purpose": purpose, "key": key["info"]["key"]})

    assert (explained("support")["view"], explained("fraud_check")["view"]) == ("clear", "masked")
    assert reveal(server, record, key=key["api_key"])["values"] == {"email": "explained@example.org"}
    budgets = call(server, "budgets.status", "--account", key["info"]["key"])["budgets"]
    assert [(one["used_day"], one["per_day"]) for one in budgets] == [(1, 5)], budgets


@test
def an_engagement_is_opened_found_and_closed(server):
    subject = person(server, "engaged")["subject"]
    body = {"subject": "ext:engaged", "kind": "ticket", "reference": "T-88"}
    opened = call(server, "engagements.open", body=body)
    assert opened["live"] and opened["subject"] == subject, opened
    for found in (call(server, "engagements.find", body={"kind": "ticket", "reference": "T-88"}),
                  call(server, "engagements.list", "--subject", subject, "--live")):
        assert found["engagements"] == [opened], found
    assert not call(server, "engagements.close", opened["engagement"], body={"reason": "solved"})["live"]


@test
def a_canary_is_planted_and_listed(server):
    declare(server.client())
    words = ("--collection", "people", "--locale", "de", "--email-domain", "post.example.org")
    planted = call(server, "canaries.plant", *words)
    assert planted["values"]["email"].endswith("@post.example.org"), planted
    listed = call(server, "canaries.list")["canaries"]
    assert (planted["subject"], "planted") in [(one["subject"], one["state"]) for one in listed], listed


# ── the journal

@test
def the_journal_tells_who_opened_what(server):
    made, key = person(server, "opened"), key_with(server, "teller", "support", acts_for=["staff"])
    event = reveal(server, made["record"], "--on-behalf-of", "staff:17", key=key["api_key"])["event"]
    actor = call(server, "journal.pseudonym", body={"person": "staff:17"})["actor"]
    entry = call(server, "journal.get", event)
    assert (entry["operation"], entry["actor"], entry["fields"]) == ("records.reveal", actor, ["email"]), entry
    assert call(server, "journal.sides", event)["on_behalf_of"] == "staff:17"
    listed = call(server, "journal.list", "--subject", made["subject"], "--operation", "records.reveal")
    assert [one["id"] for one in listed["entries"]] == [event], listed
    for who in (actor, key["info"]["key"]):
        scope = call(server, "journal.scope", "--actor", who)
        assert made["subject"] in [one["subject"] for one in scope["subjects"]], scope
    accesses = call(server, "subjects.accesses", "ext:opened")["accesses"]
    assert [(one["event"], one["actor"]) for one in accesses] == [(event, actor)], accesses


@test
def the_journal_is_proved(server):
    store, event = server.store, reveal(server, person(server, "proved")["record"])["event"]
    head = call(server, "journal.checkpoint")
    proof, log = store.base / "proof.json", store.base / "log.exp"
    proof.write_text(text(server, "journal.proof", event))
    text(server, "journal.export", "--output", log)
    for words in (("proof", "verify", proof), ("journal", "check", "--export", log)):
        checked = store.run(*words, "--verifier", head["verifier"])
        assert checked.code == DONE, checked
    grown = call(server, "journal.consistency", "--from", head["size"])
    assert grown["from"] == head["size"] < grown["to"], grown
    kept, grew = store.base / "kept.json", store.base / "consistency.json"
    kept.write_text(json.dumps(head))
    grew.write_text(json.dumps(grown))
    checked = store.run("proof", "verify", grew, "--checkpoint", kept)
    assert checked.code == DONE and f"all {head['size']} of the checkpoint" in checked.out, checked
    kept.write_text(json.dumps({**head, "checkpoint": head["checkpoint"].replace(str(head["size"]), "1", 1)}))
    assert store.run("proof", "verify", grew, "--checkpoint", kept).code == FAILED
    without = store.run("proof", "verify", grew)
    assert without.code == FAILED and "--checkpoint" in without.err, without
    checked = call(server, "journal.verify", "--state")
    assert checked["good"] and checked["root_matches"] and checked["state"]["changed_total"] == 0, checked


@test
def the_journal_is_followed(server):
    event, file = reveal(server, person(server, "followed")["record"])["event"], server.store.base / "events.txt"
    env = {**server.store.env(), "HOLDFAST_URL": server.url(), "HOLDFAST_API_KEY": server.store.owner_key,
           "HOLDFAST_CA_FILE": str(server.store.dir / "ca.pem")}
    words = [BIN, *command("journal.events"), "--after", "0", "--output", str(file)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, env=env) as following:
        try:
            eventually(lambda: file.exists() and event in file.read_text(), "the event is in the stream")
            assert following.poll() is None
        finally:
            following.terminate()  # it has no other end
    worked.add("journal.events")


# ── what is kept, and reports

@test
def a_legal_hold_is_placed_and_lifted(server):
    subject = person(server, "held")["subject"]
    hold = call(server, "retention.hold", body={"subject": "ext:held", "reason": "file 12/26"})
    assert hold["subject"] == subject, hold
    holds = lambda: [one["hold"] for one in call(server, "retention.holds")["holds"]]
    assert hold["hold"] in holds()
    assert call(server, "retention.unhold", hold["hold"], body={"reason": "settled"})["lifted"]
    assert hold["hold"] not in holds()


@test
def a_keep_time_is_foreseen_ends_and_is_reported(server):
    keep = lambda duration: {"duration": duration, "from": "created"}
    fields = [{"name": "note", "type": "text", "keep": keep("1 s")},
              {"name": "last_ip", "type": "ip", "keep": keep("20 days")}]
    call(server, "collections.put", "visits", body={"fields": fields})
    values = {"note": "asked for a catalogue", "last_ip": "192.0.2.1"}
    call(server, "records.create", "visits", body={"subject": "ext:visit", "values": values})
    due = call(server, "retention.preview", "--days", 30)["fields"]
    assert [one["due"] for one in due if one["field"] == "last_ip"] == [1], due
    reported = lambda: [one["fields"] for one in call(server, "retention.report")["batches"]
                        if one.get("collection") == "visits"]
    gone = eventually(reported, "the sweep takes the note")
    assert gone == [[{"field": "note", "values": 1}]], gone
    status = call(server, "retention.status")
    assert status["sweep"]["started"] and "refused" not in status, status


@test
def reports_tell_what_is_held_and_used(server):
    reveal(server, person(server, "reported")["record"])
    held = {one["collection"]: one for one in call(server, "reports.data_map")["collections"]}["people"]
    assert held["records"] >= 1 and held["fields"][0]["field"] == "email", held
    used = {(one["collection"], one["field"]): one for one in call(server, "reports.unused")["fields"]}
    assert used["people", "email"]["opened"] >= 1 and not used["people", "email"]["unused"], used
    assert any("support" in one["purposes"] for one in call(server, "reports.openings")["actors"])
    assert call(server, "reports.key_versions")["index_terms"] >= 1
    assert "support" in [one["purpose"] for one in call(server, "reports.art30")["activities"]]
    assert '"people","email"' in text(server, "reports.data_map_csv")
    page = text(server, "reports.art30_page")
    assert page.startswith("<!doctype html>") and "support" in page, page[:300]


@test
def a_backup_is_made(server):
    made = call(server, "backups.create")
    for file in ("data", "keys"):
        assert (server.store.base / "shop.backup" / made[file]).exists(), made


# ── customers' rights

@test
def a_customer_decides(server):
    record = person(server, "decides")["record"]
    run = lambda operation, **body: call(server, operation, "ext:decides", body=body)
    given = run("subjects.consent", purpose="marketing", evidence="box ticked")
    assert given["purposes"][0]["consent"] == "given", given
    assert run("subjects.object", purpose="fraud_check")["purposes"][0]["objected"]
    assert run("subjects.restrict", ground="unlawful")["restricted"]["ground"] == "unlawful"
    assert "restricted" not in run("subjects.unrestrict", note="told by letter")
    decided = [one["decided"] for one in call(server, "subjects.standing", "ext:decides")["decisions"]]
    assert decided == ["unrestricted", "restricted", "objected", "consent_given"], decided
    assert run("subjects.rectify", record=record, values={"name": "Lee"})["changed"] == ["name"]


@test
def a_customer_asks_is_merged_exported_and_erased(server):
    subject = person(server, "asks")["subject"]
    guest = person(server, "guest")["subject"]
    asked = call(server, "requests.open", body={"subject": "ext:asks", "kind": "erase", "text": "please"})
    request = asked["request"]
    assert call(server, "requests.list", "--subject", subject)["requests"] == [asked]
    known = call(server, "requests.update", request, "--identity", "account_login")
    assert known["identity"] == "account_login", known
    assert call(server, "subjects.merge", "ext:asks", "--from", "ext:guest")["merged"] == guest
    held = call(server, "subjects.get", "ext:asks")
    assert held["aliases"] == [guest] and len(held["records"]) == 2, held
    copy = json.loads(text(server, "subjects.export", "ext:asks", "--purpose", "subject_request"))
    assert copy["external_ids"] == ["asks", "guest"], copy
    erased = call(server, "subjects.erase", "ext:asks", body={"reason": "asked"})
    assert erased["records"] == 2, erased
    said = call(server, "subjects.erasure", subject)["said"]
    assert said["erasure"] == erased["event"] and said["steps"][0]["state"] == "done", said
    call(server, "requests.answer", request, "--outcome", "granted", "--event", erased["event"])
    answered = call(server, "requests.get", request)
    assert (answered["state"], answered["outcome"], answered["text"]) == ("answered", "granted", "please"), answered


# ── keys

@test
def keys_are_rotated(server):
    def phase_of(begun):
        rotations = call(server, "keys.progress", "--rotation", begun["rotation"])["rotations"]
        return [one["phase"] for one in rotations]

    begun = call(server, "keys.rotate", "--kind", "cursor", "--at-once")
    eventually(lambda: phase_of(begun) == ["done"], "the old key is destroyed")
    begun = call(server, "keys.roll")
    assert begun["kind"] == "epoch", begun
    eventually(lambda: phase_of(begun) == ["waiting"], "keys are wrapped again")
    newest = {one["use"]: one["id"] for one in call(server, "keys.status")["keys"] if one["active"]}
    assert newest["cursor"] == newest["epoch"] == 2, newest


@test
def the_time_is_confirmed(server):
    before = call(server, "retention.status")
    assert abs(call(server, "keys.confirm_time", "--time", before["clock"])["behind_ms"]) < 300_000
    assert call(server, "retention.status")["confirmations"] == before["confirmations"] + 1


@test
def a_store_has_new_shares_moves_to_a_passphrase_is_locked_and_unlocked():
    with Store() as own, own.serve("--set", "keys.unlock_over_https=yes") as server:
        said = server.out_file.read_text
        shares = sorted((own.base / "shop.recovery").glob("*.txt"))[:2]
        rehearsed = call(server, "keys.rehearse", *(word for file in shares for word in ("--shares", f"@{file}")))
        assert rehearsed["numbers"] == [1, 2], rehearsed
        reshared = call(server, "keys.reshare", "--needed", 2, "--total", 4)
        assert len(reshared["recovery"]["files"]) == 4 and reshared["replaced"] == rehearsed["set"], reshared
        assert call(server, "keys.move", body={"to": "passphrase", "passphrase": WORDS})["to"] == "passphrase"
        record = person(server, "locked")["record"]
        assert call(server, "keys.lock", body={"reason": "drill"})["locked"]
        eventually(lambda: "locked at https" in said(), "it comes up locked")
        assert call(server, "keys.status")["reason"] == "deliberate"
        assert not call(server, "keys.unlock", body={"passphrase": WORDS})["locked"]
        eventually(lambda: said().count("ready at https") == 2, "it is open again")
        assert reveal(server, record)["values"] == {"email": "locked@example.org"}
        assert server.stop() == 0


if __name__ == "__main__":
    with Store() as shop, shop.serve("--set", "retention.each=1 s") as served:
        failed = main(server=served)
        if not sys.argv[1:]:
            never = OPERATIONS - worked
            print(f"{'FAIL' if never else 'PASS'} every operation of operations.txt did its work")
            for operation in sorted(never):
                print(f"  not so {operation}")
            failed |= bool(never)
        assert served.stop() == 0
        checked = shop.check_state()
        assert checked.code == 0, checked
    sys.exit(failed)
