#!/usr/bin/env python3
"""Rotation in the built program: every kind of key while customers are served, kill -9 on the way,
and what goes together after a restore and what is refused."""
import contextlib
import datetime
import json
import pathlib
import shutil
import sqlite3
import sys
import threading
import time

from support import Store, declare, eventually, main, test

KINDS = ["epoch", "subject", "index", "external", "authority", "digest", "journal", "side",
         "afterlog", "cursor", "token", "sealing"]  # and idempotency, whose old key stays for a day
PEOPLE = 400
CONFLICT = 5


def fill(client, first, count):
    for start in range(first, first + count, 100):
        records = [{"subject": f"ext:{n}", "values": {"email": f"p{n}@example.org", "phone": f"030 123{n:04d}"}}
                   for n in range(start, min(start + 100, first + count))]
        client.good("POST", "/v1/collections/people/records", {"records": records})


def served(call):
    """The answer; a request that meets rights that are just being written again is told to repeat."""
    answer = eventually(lambda: (got := call()).code != "stale" and got, "rights that stand still")
    assert answer.status == 200, answer
    return answer.json


def look(client, number):
    found = served(lambda: client.post("/v1/collections/people/search",
                                       {"q": {"email": f"p{number}@example.org"}, "purpose": "support"}))["records"]
    assert len(found) == 1, (number, found)
    shown = served(lambda: client.reveal(found[0]["record"], ["email", "phone"]))
    assert shown["values"]["phone"] == f"030 123{number:04d}", shown


def rotation(client, wanted):
    return served(lambda: client.get(f"/v1/keys/progress?rotation={wanted}"))["rotations"][0]


@test
def every_kind_rotates_while_customers_are_served(store):
    with store.serve() as server:
        client = server.client()
        declare(client)
        fill(client, 0, PEOPLE)
        body = {"subject": "ext:token", "collection": "people", "values": {"email": "tok@example.org"}}
        token = client.good("POST", "/v1/tokens", body)["items"][0]["tokens"]["email"]["token"]
        for round_, kind in enumerate(KINDS):
            begun = client.good("POST", "/v1/keys/rotate", {"kind": kind, "at_once": True})
            refused = client.post("/v1/keys/rotate", {"kind": kind})
            assert refused.status == 409, refused
            deadline = time.monotonic() + 60
            while rotation(client, begun["rotation"])["phase"] != "done":
                look(client, round_ * 31 % PEOPLE)
                assert time.monotonic() < deadline, rotation(client, begun["rotation"])
            look(client, PEOPLE - 1 - round_)
            shown = served(lambda: client.post("/v1/tokens/reveal", {"tokens": [token], "purpose": "support"}))
            assert shown["values"] == {token: "tok@example.org"}, (kind, shown)
            ids = [key["id"] for key in client.good("GET", "/v1/keys")["keys"] if key["use"] == kind]
            assert kind == "subject" or ids == [begun["to"]] != [begun["from"]], (kind, ids, begun)
            proved = store.run("journal", "proof", rotation(client, begun["rotation"])["proof"], server=server)
            file = store.base / "proof.json"
            file.write_text(proved.out)
            checked = store.run("proof", "verify", file)
            assert checked.code == 0 and "keys.destroyed" in checked.out, (kind, proved, checked)
            said = json.loads(json.loads(proved.out)["entry"])["unmapped"]["facts"]
            assert (said["kind"], said["rotation"]) == (kind, begun["rotation"]), said
        shown = store.run("keys", "progress", server=server)
        assert shown.code == 0 and len(shown.rows) >= 1, shown
    server.stop()
    checked = store.check_state()
    assert checked.code == 0, checked


@test
def a_repeated_request_is_answered_the_same_for_a_day_over_a_rotation():
    with Store() as own, own.serve() as server:
        client = server.client()
        declare(client)

        def order(number):
            body = {"subject": f"ext:{number}", "values": {"email": f"p{number}@example.org"}}
            answer = client.post("/v1/collections/people/records", body, headers={"Idempotency-Key": f"order-{number}"})
            assert answer.status == 201, answer
            return answer.json["records"]

        before = order(1)
        begun = client.good("POST", "/v1/keys/rotate", {"kind": "idempotency", "at_once": True})
        row = eventually(lambda: (got := rotation(client, begun["rotation"]))["phase"] == "waiting" and got, "it waits")
        ends = [datetime.datetime.fromisoformat(row[name]) for name in ("moved_at", "destroyed_from")]
        assert ends[1] - ends[0] == datetime.timedelta(hours=24), row
        assert order(1) == before
        assert order(2) == order(2)
        server.stop()


@test
def a_kill_at_any_moment_loses_nothing(store):
    for attempt, kind in enumerate(["subject", "epoch", "index", "external", "digest"] * 2):
        with store.serve() as server:
            client = server.client()
            begun = client.post("/v1/keys/rotate", {"kind": kind, "at_once": True})
            assert begun.status in (202, 409), begun
            time.sleep(0.02 * (attempt + 1))
            server.kill()
        with store.serve() as server:
            client = server.client()
            look(client, attempt)
            eventually(lambda c=client: all(row["phase"] == "done" for row in
                                            c.good("GET", "/v1/keys/progress")["rotations"]),
                       "rotations go on after a kill")
            for number in range(0, PEOPLE, 97):
                look(client, number)
    checked = store.check_state()
    assert checked.code == 0, checked


@test
def backups_go_together_or_are_refused(store):
    with store.serve() as server:
        client = server.client()
        early = client.good("POST", "/v1/backups")
        fill(client, 1000, 20)
        rolled = client.good("POST", "/v1/keys/roll")
        eventually(lambda: rotation(client, rolled["rotation"])["phase"] == "waiting", "keys are wrapped again")
        client.good("POST", "/v1/subjects/ext:7/erase", {"reason": "asked"})
        late = client.good("POST", "/v1/backups")
        server.stop()
    afterlog = store.dir / "afterlog"

    def restore(data, keys, name):
        target = store.base / name
        target.mkdir(mode=0o700)
        return target, store.run("restore", "--dir", target, "--data", data, "--keys", keys,
                                 "--afterlog", afterlog, "--set", f"keys.file={store.base}/shop.keys/root.key")

    target, refused = restore(late["data"], early["keys"], "older-keys")
    assert refused.code == CONFLICT and "keys file is older than the data" in refused.err, refused
    assert not (target / "holdfast.db").exists()

    target, done = restore(early["data"], late["keys"], "older-data")
    assert done.code == 0, done
    again = Store.__new__(Store)
    again.base, again.dir, again.settings, again.owner_key = store.base, target, [], store.owner_key
    again.more_env = {}
    with again.serve("--set", f"keys.file={store.base}/shop.keys/root.key") as server:
        client = server.client()
        look(client, 8)
        found = client.good("POST", "/v1/collections/people/search",
                            {"q": {"email": "p7@example.org"}, "purpose": "support"})["records"]
        assert found == [], "who was erased since does not come back"
        server.stop()


@test
def old_data_with_the_newest_keys_verifies_after_several_rotations():
    with Store() as own:
        keys_file = f"keys.file={own.base}/shop.keys/root.key"
        waiting = lambda client, count: len(rows := served(lambda: client.get("/v1/keys/progress"))["rotations"]) == count \
            and all(row["phase"] == "waiting" for row in rows)
        with own.serve() as server:
            client = server.client()
            declare(client)
            fill(client, 0, 30)
            early = client.good("POST", "/v1/backups")
            for count, kind in enumerate(["digest", "authority", "external", "digest"], 1):
                eventually(lambda k=kind: client.post("/v1/keys/rotate", {"kind": k}).status == 202, "it begins")
                eventually(lambda n=count: waiting(client, n), "its rows are moved")
            late = client.good("POST", "/v1/backups")
            server.stop()
        target = own.base / "older-data"
        target.mkdir(mode=0o700)
        done = own.run("restore", "--dir", target, "--data", early["data"], "--keys", late["keys"],
                       "--afterlog", own.dir / "afterlog", "--set", keys_file)
        assert done.code == 0, done
        again = Store.__new__(Store)
        again.base, again.dir, again.settings, again.owner_key = own.base, target, [], own.owner_key
        again.more_env = {}
        with again.serve("--set", keys_file) as server:
            client = server.client()
            eventually(lambda: waiting(client, 4), "the keys that were left are taken up")
            look(client, 7)
            state = client.good("POST", "/v1/journal/verify", {"state": True})
            assert state["good"], state
            server.stop()
        checked = own.run("journal", "check", "--state", "--dir", target, "--set", keys_file, timeout=300)
        assert checked.code == 0, checked


@test
def data_whose_subject_keys_went_with_an_epoch_is_refused():
    with Store() as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            fill(client, 0, 10)
            early = client.good("POST", "/v1/backups")
            for kind, at_once, phase in (("subject", False, "waiting"), ("epoch", True, "done")):
                begun = client.good("POST", "/v1/keys/rotate", {"kind": kind, "at_once": at_once})
                eventually(lambda b=begun, p=phase: rotation(client, b["rotation"])["phase"] == p, phase)
            late = client.good("POST", "/v1/backups")
            look(client, 7)
            server.stop()
        refused = own.run("restore", "--dir", own.dir, "--data", early["data"], "--keys", late["keys"])
        assert refused.code == CONFLICT and "data file is older" in refused.err, refused
        with own.serve() as server:
            look(server.client(), 7)
            server.stop()


@test
def an_erasure_is_not_said_to_be_done_while_the_folder_of_backups_is_away():
    with Store() as own, own.serve() as server:
        keys = own.base / "shop.backup" / "keys"
        client = server.client()
        declare(client)
        fill(client, 0, 2)
        backup = client.good("POST", "/v1/backups")
        subject = client.good("POST", "/v1/subjects/ext:1/erase", {})["subject"]
        begun = client.good("POST", "/v1/keys/rotate", {"kind": "epoch", "at_once": True})
        eventually(lambda: rotation(client, begun["rotation"])["phase"] == "done", "the epoch goes")

        def state():
            steps = client.good("GET", f"/v1/subjects/{subject}/erasure")["said"]["steps"]
            return next(one["state"] for one in steps if one["step"] == "epoch_key_destroyed")

        planned = [state()]
        away = keys.rename(own.base / "away")
        planned.append(state())
        keys.mkdir(mode=0o700)
        planned.append(state())
        keys.rmdir()
        away.rename(keys)
        assert planned == ["planned"] * 3, planned
        pathlib.Path(backup["keys"]).unlink(missing_ok=True)
        assert state() == "done"
        server.stop()


@test
def a_backup_says_from_before_when_copies_of_the_database_open_nothing():
    with Store() as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            fill(client, 0, 2)
            assert "copies_dead_before" not in client.good("POST", "/v1/backups")
            assert server.stop() == 0
        copy = (own.dir / "holdfast.db").read_bytes()
        copied = datetime.datetime.now(datetime.timezone.utc)
        with own.serve() as server:
            client = server.client()
            begun = client.good("POST", "/v1/keys/rotate", {"kind": "epoch", "at_once": True})
            eventually(lambda: rotation(client, begun["rotation"])["phase"] == "done", "the epoch goes")
            said = client.good("POST", "/v1/backups")["copies_dead_before"]
            assert copied < datetime.datetime.fromisoformat(said), (copied, said)
            assert server.stop() == 0
        (own.dir / "holdfast.db").write_bytes(copy)
        accepted = own.run("journal", "accept-rollback", "--yes", "--dir", own.dir)
        assert accepted.code == 0, accepted
        with own.serve() as server:
            client = server.client()
            record = client.good("GET", "/v1/subjects/ext:1")["records"][0]["record"]
            shown = client.reveal(record, ["email"])
            assert "p1@example.org" not in shown.body.decode() and "erased" in shown.body.decode(), shown
            assert server.stop() == 0


@test
def a_new_key_waits_until_its_copy_lies_elsewhere():
    with Store() as own:
        a_new_key_waits(own)


def a_new_key_waits(store):
    keys = store.base / "shop.backup" / "keys"
    with store.serve() as server:
        client = server.client()
        declare(client)
        fill(client, 0, 5)
        eventually((store.dir / "keyring.copied").exists, "the copy of the first keyring")
        away = keys.rename(store.base / "away")  # as when a mount is gone

        begun = client.good("POST", "/v1/keys/rotate", {"kind": "cursor", "at_once": True})
        eventually(lambda: "rotation_failed" in server.log(), "the log says that it waits")
        assert rotation(client, begun["rotation"])["phase"] == "adding"
        assert "backup.keys" in server.log()
        look(client, 3)

        server.kill()
    with store.serve() as server:
        client = server.client()
        alarms = lambda: [one["alarm"] for one in client.good("GET", "/v1/keys")["alarms"]]
        eventually(lambda: "keyring_copy" in alarms(), "the alarm")
        assert not keys.exists(), "nothing is made beneath a mount point"
        away.rename(keys)
        eventually(lambda: rotation(client, begun["rotation"])["phase"] == "done", "it goes on")
        server.stop()
    # The host's own is lost, and the database lives on.
    (store.dir / "keyring").unlink()
    (store.dir / "keyring.previous").unlink()
    refused = store.run("serve", "--dir", store.dir)
    assert refused.code != 0 and "backup.keys" in refused.err, refused
    (store.dir / "keyring").write_bytes((keys / "keyring").read_bytes())
    (store.dir / "keyring").chmod(0o600)
    with store.serve() as server:
        look(server.client(), 3)
        server.stop()


@test
def data_from_before_a_destroyed_key_is_refused(store):
    with store.serve() as server:
        client = server.client()
        early = client.good("POST", "/v1/backups")
        begun = client.good("POST", "/v1/keys/rotate", {"kind": "index", "at_once": True})
        eventually(lambda: rotation(client, begun["rotation"])["phase"] == "done", "the index key is new")
        late = client.good("POST", "/v1/backups")
        server.stop()
    target = store.base / "too-old"
    target.mkdir(mode=0o700)
    refused = store.run("restore", "--dir", target, "--data", early["data"], "--keys", late["keys"],
                        "--set", f"keys.file={store.base}/shop.keys/root.key")
    assert refused.code == CONFLICT and "data file is older" in refused.err, refused
    target = store.base / "of-its-time"
    target.mkdir(mode=0o700)
    done = store.run("restore", "--dir", target, "--data", early["data"], "--keys", early["keys"],
                     "--afterlog", store.dir / "afterlog",
                     "--set", f"keys.file={store.base}/shop.keys/root.key")
    assert done.code == 0, done


@test
def a_backup_beside_a_hurried_rotation_opens_or_is_not_made():
    with Store() as own:
        def rotate(client):
            for kind in ["index", "authority", "digest", "external", "epoch"]:
                begun = client.good("POST", "/v1/keys/rotate", {"kind": kind, "at_once": True})
                eventually(lambda wanted=begun["rotation"]: rotation(client, wanted)["phase"] == "done", "it is done")

        with own.serve() as server:
            client = server.client()
            declare(client)
            fill(client, 0, 100)
            rotating = threading.Thread(target=rotate, args=[server.client()])
            rotating.start()
            answers = []
            while rotating.is_alive():
                answers.append(client.post("/v1/backups"))
            rotating.join()
            done = [one["kind"] for one in client.good("GET", "/v1/keys/progress")["rotations"] if one["phase"] == "done"]
            assert sorted(done) == ["authority", "digest", "epoch", "external", "index"], done
            server.stop()
        made = [answer.json for answer in answers if answer.status == 201]
        refused = [answer for answer in answers if answer.status != 201]
        assert made and all(answer.code == "stale" or "back up again" in answer.body.decode() for answer in refused), refused
        for number, backup in enumerate(made[::max(1, len(made) // 6)]):
            target = own.base / f"target-{number}"
            target.mkdir(mode=0o700)
            done = own.run("restore", "--dir", target, "--data", backup["data"], "--keys", backup["keys"],
                           "--afterlog", own.dir / "afterlog", "--set", f"keys.file={own.base}/shop.keys/root.key")
            assert done.code == 0, (number, done)
            checked = own.run("journal", "check", "--state", "--dir", target,
                              "--set", f"keys.file={own.base}/shop.keys/root.key")
            assert checked.code == 0, (number, checked)


@test
def a_restore_with_a_setting_that_cannot_be_used_changes_nothing():
    with Store() as own:
        with own.serve() as server:
            backup = server.client().good("POST", "/v1/backups")
            server.stop()
        files = lambda: {file.name: file.read_bytes() for file in own.dir.iterdir() if file.is_file()}
        before = files()
        restore = lambda *more: own.run("restore", "--dir", own.dir, "--data", backup["data"],
                                        "--keys", backup["keys"], *more)
        refused = restore("--set", "access.time_zone=Nowhere/Atall")
        assert refused.code != 0 and "time_zone" in refused.err, refused
        assert files() == before and not list(own.dir.glob("before-restore-*"))
        done = restore()
        assert done.code == 0, done
        assert not (own.dir / "replay.pending").exists()


@test
def a_restore_that_was_cut_off_is_finished_by_the_next_start():
    with Store() as own:
        desk = {"permissions": ["metrics.read", "subjects.get"]}
        with own.serve() as server:
            made = server.client().good("PUT", "/v1/roles/desk", desk)
            backup = server.client().good("POST", "/v1/backups")
            server.stop()
        then = own.base / "then"
        then.mkdir()
        for file in (*own.dir.glob("holdfast.db*"), own.dir / "witness"):
            shutil.copy2(file, then)
        with own.serve() as server:
            server.client().good("PUT", "/v1/roles/desk", {"permissions": ["metrics.read"]},
                                 headers={"If-Match": f'"{made["version"]}"'})
            server.stop()

        with contextlib.closing(sqlite3.connect(backup["keys"])) as keys:
            window = keys.execute("select content from parts where name = 'window'").fetchone()[0]
        # Killed before the log had its new origin, then after it: database and witness agree, the
        # afterlog is ahead.
        for files in (then.glob("holdfast.db*"), then.iterdir()):
            for file in (*own.dir.glob("holdfast.db*"), *own.dir.glob("scratch.db*")):
                file.unlink()
            for file in files:
                shutil.copy2(file, own.dir)
            (own.dir / "replay.pending").write_bytes(window)
            (own.dir / "restore.part").write_bytes(b"what was being put together")
            for suspended in (True, False):
                with own.serve() as server:
                    roles = {role["role"]: role for role in server.client().good("GET", "/v1/roles")["roles"]}
                    assert "suspended" in roles["desk"], roles["desk"]
                    assert ("roles_suspended" in server.log()) == suspended, server.log()
                    assert not (own.dir / "replay.pending").exists(), "once"
                    assert not (own.dir / "restore.part").exists(), "wrapped keys lay in it"
                    server.stop()


if __name__ == "__main__":
    with Store() as made:
        sys.exit(main(store=made))
