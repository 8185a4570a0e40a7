#!/usr/bin/env python3
"""The scripts whose stores may stand on any database, on PostgreSQL; and what is PostgreSQL's own:
a backup comes back into a new schema, what somebody changes or puts back behind the server is found, and no
planted value stands in the server's files."""
import contextlib
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys

from support import ROOT, Postgres, Skip, Store, create, declare, eventually, main, test

# Some with words, which name those of its tests that run.
SCRIPTS = ("every_operation", "rights", "fill", "conditions", "card_values", "who_gets_in", "hostile_requests", "command_line",
           "large_imports each_file both_files", "settings", "rotation every_kind_rotates a_kill_at_any_moment")
PLANTED = {"email": "planted.pg.4711@example.org", "name": "Plantedsurname Qwertzuiop", "phone": "+442079460999"}


def sql(postgres, text):
    """What psql prints. It may write to a database that is read-only for others."""
    done = subprocess.run(postgres.command("psql", "-X", "-h", "127.0.0.1", "-p", postgres.port, "-U", "postgres",
                                           "-v", "ON_ERROR_STOP=1", "-Atqc", text), capture_output=True, text=True,
                          env={**os.environ, "PGOPTIONS": "-c default_transaction_read_only=off"})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextlib.contextmanager
def stopped(postgres):
    postgres.stop()
    try:
        yield postgres.base / "data"
    finally:
        postgres.start()


def on_schema(name):
    return ["--set", f"database.schema={name}"]


def store_on(postgres, name):
    return Store("--set", f"database.url={postgres.url()}", *on_schema(name))


@test
def a_backup_comes_back_into_a_new_schema(postgres):
    with store_on(postgres, "first") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            kept = create(client, "ext:1", email="ann@example.org")
            erased = create(client, "ext:2", email="bob@example.org")
            backup = client.good("POST", "/v1/backups", {})
            client.good("POST", "/v1/subjects/ext:2/erase", {"reason": "asked"})
            create(client, "ext:3", email="cas@example.org")
            assert server.stop() == 0
        files = ["--data", backup["data"], "--keys", backup["keys"]]
        refused = own.run("restore", "--dir", own.dir, *files)
        assert refused.code == 5 and "not empty" in refused.err, refused
        done = own.run("restore", "--dir", own.dir, *files, *on_schema("second"))
        assert done.code == 0 and "names was done again.\n" in done.out, done
        with own.serve(*on_schema("second")) as server:
            client = server.client()
            shown = client.reveal(kept["record"], ["email"])
            assert shown.status == 200 and "ann@example.org" in shown.body.decode(), shown
            gone = client.reveal(erased["record"], ["email"])
            assert gone.status in (404, 410) and "bob@example.org" not in gone.body.decode(), gone
            assert client.get("/v1/subjects/ext:3").status == 404, "it came after the backup"
            assert server.stop() == 0


def status_of(own, key, *arguments):
    with own.serve(*arguments) as server:
        status = server.client(key=key).get("/v1/collections").status
        assert server.stop() == 0
    return status


@test
def a_backup_that_comes_back_without_the_afterlog_has_no_key_left(postgres):
    with store_on(postgres, "with_afterlog") as own:
        second = on_schema("without_afterlog")
        with own.serve() as server:
            client = server.client()
            declare(client)
            kept = create(client, "ext:1", email="ann@example.org")
            revoked = client.good("POST", "/v1/api-keys", {"name": "revoked", "roles": ["owner"]})
            backup = client.good("POST", "/v1/backups", {})
            client.good("POST", f"/v1/api-keys/{revoked['info']['key']}/revoke")
            assert server.stop() == 0
        for name in ("witness", "afterlog"):
            (own.dir / name).unlink()
        done = own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys", backup["keys"], *second)
        assert done.code == 0 and "There was no afterlog" in done.out, done
        assert status_of(own, revoked["api_key"], *second) == 401
        assert status_of(own, own.owner_key, *second) == 401
        owner = own.run("access", "recover", "--dir", own.dir, *second)
        assert owner.code == 0, owner
        with own.serve(*second) as server:
            shown = server.client(key=owner.out.strip()).reveal(kept["record"], ["email"])
            assert shown.status == 200 and "ann@example.org" in shown.body.decode(), shown
            assert server.stop() == 0


@test
def yesterdays_database_is_refused_until_the_owner_accepts_it(postgres):
    with store_on(postgres, "yesterday") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            kept = create(client, "ext:kept", email="kept@example.org")
            erased = create(client, "ext:erased", email="erased@example.org")
            assert server.stop() == 0
        yesterday = postgres.base / "yesterday"
        with stopped(postgres) as data:
            subprocess.run(["cp", "-a", data, yesterday], check=True)
        with own.serve() as server:
            client = server.client()
            lost = create(client, "ext:lost", email="lost@example.org")
            client.good("POST", "/v1/subjects/ext:erased/erase", {})
            assert server.stop() == 0
        with stopped(postgres) as data:
            shutil.rmtree(data)
            yesterday.rename(data)

        start = ("serve", "--dir", own.dir, "--listen", "127.0.0.1:0")
        refused = own.run(*start)
        assert refused.code == 5 and "older than the witness" in refused.err, refused
        assert "`holdfast journal accept-rollback --dir DIR`" in refused.err, refused
        unsure = own.run("journal", "accept-rollback", "--dir", own.dir)
        assert unsure.code == 2 and "--yes" in unsure.err, unsure
        assert own.run(*start).code == 5
        accepted = own.run("journal", "accept-rollback", "--yes", "--dir", own.dir)
        assert accepted.code == 0, accepted
        with own.serve() as server:
            client = server.client()
            assert client.reveal(kept["record"], ["email"]).json["values"]["email"] == "kept@example.org"
            assert client.get(f"/v1/records/{lost['record']}").status == 404
            again = client.reveal(erased["record"], ["email"])
            assert again.status == 404, f"erased stays erased: {again}"
            assert server.stop() == 0
        assert own.check_state().code == 0


@test
def rights_written_straight_into_the_database_give_nothing(postgres):
    with store_on(postgres, "hand") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            role = client.good("PUT", "/v1/roles/desk", {"permissions": ["collections.list", "subjects.get"]})
            create(client, "ext:1", email="ann@example.org")
            keys = {name: client.good("POST", "/v1/api-keys", {"name": name, "roles": [of]})
                    for name, of in (("weak", "auditor"), ("desk", "desk"), ("revoked", "owner"))}
            assert server.stop() == 0
        ids = {name: key["info"]["key"] for name, key in keys.items()}
        sql(postgres, "create table hand_before as select * from hand.access_authority")
        with own.serve() as server:
            client = server.client()
            client.good("PUT", "/v1/roles/desk", {"permissions": ["collections.list"]},
                        headers={"If-Match": f'"{role["version"]}"'})
            client.good("POST", f"/v1/api-keys/{ids['revoked']}/revoke")
            assert server.stop() == 0
        assert own.check_state().code == 0
        sql(postgres, "create table hand_now as select * from hand.access_authority")

        def statuses():
            """Of a request that each key may make, and of one that it may with what is written alone."""
            with own.serve() as server:
                client = server.client()
                one = lambda path, name: client.get(path, key=keys[name]["api_key"]).status
                may = {"weak": "/v1/journal", "desk": "/v1/collections", "revoked": "/v1/collections"}
                got = {name: (one(may[name], name), one("/v1/subjects/ext:1", name)) for name in keys}
                assert server.stop() == 0
            return got

        def found(statement, what):
            sql(postgres, "delete from hand.access_authority; insert into hand.access_authority select * from hand_now; "
                          + statement)
            checked = own.check_state()
            assert checked.code == 1 and what in checked.out, checked
            return statuses()

        good = statuses()
        assert good == {"weak": (200, 403), "desk": (200, 403), "revoked": (401, 401)}, good
        widened = found("update hand.access_authority set content = replace(content, 'auditor', 'owner') "
                        f"where id = '{ids['weak']}'", ids["weak"])
        assert widened == {**good, "weak": (401, 401)}, "a key whose roles were changed by hand is no key"
        widened = found("update hand.access_authority set content = replace(content, '\"collections.list\"', "
                        "'\"collections.list\",\"subjects.get\"') where id = 'desk'", "roles desk")
        assert widened == {**good, "desk": (403, 403)}, "a role that was changed by hand gives nothing"
        older = found("delete from hand.access_authority where id = 'desk'; insert into hand.access_authority "
                      "select * from hand_before where id = 'desk'", "roles desk")
        assert older == {**good, "desk": (403, 403)}, "nor does the row that it had before"
        older = found("insert into hand.access_authority select * from hand_before "
                      f"where id = '{ids['revoked']}' on conflict (kind, id) do update set version = excluded.version, "
                      "content = excluded.content, mac_key = excluded.mac_key, mac = excluded.mac", ids["revoked"])
        assert older == good, "a revoked key's older row is no key"

        sql(postgres, "delete from hand.access_authority; insert into hand.access_authority select * from hand_before")
        checked = own.check_state()
        assert checked.code == 1 and '"rolled_back"' in checked.err and "access_manifest" in checked.out, checked
        assert set(statuses().values()) == {(401, 401)}, "all older rows put back together give nothing"


@test
def a_database_that_is_read_only_is_a_503_until_it_is_not(postgres):
    def read_only(state):
        sql(postgres, f"alter database postgres set default_transaction_read_only = {state}")
        sql(postgres, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holdfast'")

    with store_on(postgres, "read_only") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            new = {"subject": "ext:2", "values": {"email": "bob@example.org"}}
            try:
                read_only("on")
                eventually(lambda: (got := client.post("/v1/collections/people/records", new)).status == 503 and
                           "database is read-only" in got.json["detail"] and got.code == "unavailable", "it says so")
                shown = client.reveal(made["record"], ["email"])
                assert shown.status == 503 and "ann@" not in shown.body.decode(), "an opening that is not recorded"
                eventually(lambda: client.get("/readyz").status == 503, "it is not ready")
                assert client.get("/v1/collections").status == 200, "what needs no entry is answered"
                assert client.get("/healthz").status == 200
            finally:
                read_only("off")
            eventually(lambda: client.post("/v1/collections/people/records", new).status == 201, "it writes again")
            eventually(lambda: client.get("/readyz").status == 200, "it is ready again")
            assert client.reveal(made["record"], ["email"]).json["values"]["email"] == "ann@example.org"
            assert server.stop() == 0
        try:
            read_only("on")
            refused = own.run("serve", "--dir", own.dir, "--listen", "127.0.0.1:0")
            assert refused.code == 6 and "database is read-only" in refused.err, refused
        finally:
            read_only("off")
        assert own.check_state().code == 0


@test
def a_rotation_that_was_killed_on_the_way_goes_on(postgres):
    people = {f"ext:{number}": f"p{number}@example.org" for number in range(1200)}

    def rotation(client, which):
        return client.good("GET", f"/v1/keys/progress?rotation={which}")["rotations"][0]

    def opens(client, email):
        found = client.good("POST", "/v1/collections/people/search", {"q": {"email": email}, "purpose": "support"})
        shown = client.reveal(found["records"][0]["record"], ["email"])
        assert shown.status == 200 and shown.json["values"]["email"] == email, shown

    def moved(client, which):
        """Whether some rows were. Beside others who work it goes in small batches."""
        opens(client, people["ext:0"])
        now = rotation(client, which)
        return now["moved"] > 0 or now["phase"] == "done"

    def killed_on_the_way(own, kind):
        """The rotation, when the database says that some of its rows were moved and others not."""
        with own.serve() as server:
            client = server.client()
            begun = client.good("POST", "/v1/keys/rotate", {"kind": kind, "at_once": True})["rotation"]
            eventually(lambda: moved(client, begun), "rows are moved")
            server.kill()
        left = sql(postgres, "select phase in ('renewing', 'moving') and moved > 0 and after <> '' from "
                             f"rotated.vault_rotations where running = 1 and kind = '{kind}'")
        if left == "t":
            return begun
        with own.serve() as server:
            client = server.client()
            eventually(lambda: rotation(client, begun)["phase"] == "done", "this one was too fast")
            assert server.stop() == 0
        return None

    with store_on(postgres, "rotated") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            rows = [{"subject": subject, "values": {"email": email}} for subject, email in people.items()]
            for at in range(0, len(rows), 300):
                client.good("POST", "/v1/collections/people/records", {"records": rows[at:at + 300]})
            assert server.stop() == 0
        for kind in ("external", "index", "subject"):
            begun = eventually(lambda k=kind: killed_on_the_way(own, k), "a kill between two batches")
            with own.serve() as server:
                client = server.client()
                eventually(lambda b=begun: rotation(client, b)["phase"] == "done", "it goes on after the kill")
                if kind == "external":
                    assert rotation(client, begun)["moved"] == len(people), "each row once"
                for email in list(people.values())[::200]:
                    opens(client, email)
                assert server.stop() == 0
        assert own.check_state().code == 0


@test
def a_store_goes_from_sqlite_to_postgresql_and_back(postgres):
    with Store() as own:
        here = ["--set", f"database.url={postgres.url()}", *on_schema("moved")]
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = [create(client, "ext:1", email="ann@example.org")]
            backup = client.good("POST", "/v1/backups", {})
            assert server.stop() == 0
        for where in (here, [], ["--set", f"database.url={postgres.url()}", *on_schema("moved_again")]):
            done = own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys", backup["keys"], *where,
                           timeout=30)
            assert done.code == 0, done
            with own.serve(*where) as server:
                client = server.client()
                for one in made:
                    assert "ann@example.org" in client.reveal(one["record"], ["email"]).body.decode()
                made.append(create(client, f"ext:{len(made) + 1}", email="ann@example.org"))
                backup = client.good("POST", "/v1/backups", {})
                assert server.stop() == 0
            checked = own.run("journal", "check", "--dir", own.dir, *where)
            assert checked.code == 0 and " 0 faults" in checked.out, checked
            with contextlib.closing(sqlite3.connect(backup["data"])) as data:
                last, head = data.execute("select max(seq), (select size from journal_head) from journal_entries").fetchone()
                assert not where or head == last + 1, (head, last)


@test
def entries_that_were_pending_when_a_backup_was_made_have_their_place_on_sqlite(postgres):
    with Store() as own:
        with own.serve() as server:
            backup = server.client().good("POST", "/v1/backups", {})
            assert server.stop() == 0
        with contextlib.closing(sqlite3.connect(backup["data"])) as data:  # as a busy PostgreSQL store gives it
            last = data.execute("select max(seq) from journal_entries").fetchone()[0]
            event = data.execute("select id from journal_entries where seq = ?", (last,)).fetchone()[0]
            data.execute("insert into journal_pending select 1, 1, id, entry from journal_entries where seq = ?", (last,))
            data.execute("delete from journal_entries where seq = ?", (last,))
            data.execute("update journal_head set size = ?", (last,))
            data.commit()
        done = own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys", backup["keys"])
        assert done.code == 0, done
        with contextlib.closing(sqlite3.connect(own.dir / "holdfast.db")) as data:
            assert data.execute("select count(*) from journal_pending").fetchone()[0] == 0
            assert data.execute("select seq from journal_entries where id = ?", (event,)).fetchone() == (last,)


@test
def a_store_whose_host_is_lost_comes_back_on_its_database(postgres):
    with store_on(postgres, "lost") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            client.good("POST", "/v1/keys/rotate", {"kind": "authority", "at_once": True})
            eventually(lambda: client.good("GET", "/v1/keys/progress")["rotations"][0]["phase"] == "done", "a new key")
            server.kill()
        shares = sorted(own.dir.parent.rglob("recovery-share-*.txt"))[:2]
        again = own.base / "again"
        again.mkdir(mode=0o700)
        for name, source in (("holdfast.toml", own.dir), ("keyring", own.base / "shop.backup" / "keys")):
            (again / name).write_bytes((source / name).read_bytes())
            (again / name).chmod(0o600)
        written = own.run("keys", "recover", "--dir", again, *shares)
        assert written.code == 0, written
        owner = own.run("access", "recover", "--dir", again)
        assert owner.code == 0, owner
        own.dir, own.owner_key = again, owner.out.strip()
        with own.serve() as server:
            shown = server.client().reveal(made["record"], ["email"])
            assert "ann@example.org" in shown.body.decode(), shown
            assert server.stop() == 0


@test
def a_second_server_on_the_schema_is_refused(postgres):
    with store_on(postgres, "taken") as own:
        with own.serve() as server:
            declare(server.client())
            refused = own.run("serve", "--dir", own.dir, "--listen", "127.0.0.1:0")
            assert refused.code == 5 and "another Holdfast server" in refused.err, refused
            backup = server.client().good("POST", "/v1/backups", {})
            refused = own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys", backup["keys"],
                              *on_schema("beside"))
            assert refused.code == 5 and "another Holdfast server" in refused.err, "its folder is its own"
            assert not (own.dir / "replay.pending").exists()
            assert server.client().get("/v1/collections").status == 200
            server.kill()
        with own.serve() as server:
            assert server.client().get("/v1/collections").status == 200, "who was killed is not waited for"


@test
def a_restore_that_was_cut_off_while_it_loaded_leaves_no_empty_store(postgres):
    with store_on(postgres, "cut") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            backup = client.good("POST", "/v1/backups", {})
            assert server.stop() == 0
        files = ["--data", backup["data"], "--keys", backup["keys"]]
        with contextlib.closing(sqlite3.connect(backup["keys"])) as keys:
            window = keys.execute("select content from parts where name = 'window'").fetchone()[0]
        (own.dir / "replay.pending").write_bytes(b"schema fresh\n" + window)  # with nothing loaded yet
        with own.serve() as server:
            assert server.stop() == 0
        assert (own.dir / "replay.pending").exists(), "it is not of this schema"
        (own.dir / "witness").unlink()
        refused = own.run("serve", "--dir", own.dir, "--listen", "127.0.0.1:0", *on_schema("fresh"))
        assert refused.code == 4 and "database is empty" in refused.err, refused
        done = own.run("restore", "--dir", own.dir, *files, *on_schema("fresh"))
        assert done.code == 0, done
        with own.serve(*on_schema("fresh")) as server:
            assert "ann@example.org" in server.client().reveal(made["record"], ["email"]).body.decode()
            assert server.stop() == 0


@test
def a_keys_file_and_a_data_file_are_not_taken_for_each_other(postgres):
    with store_on(postgres, "exchanged") as own:
        with own.serve() as server:
            backup = server.client().good("POST", "/v1/backups", {})
            assert server.stop() == 0
        done = own.run("restore", "--dir", own.dir, "--data", backup["keys"], "--keys", backup["data"],
                       *on_schema("never"))
        assert done.code not in (0, 2) and "keys" in done.err, done


@test
def no_planted_value_stands_in_the_files_of_the_database(postgres):
    with store_on(postgres, "planted") as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:planted.external.815", **PLANTED)
            assert client.reveal(made["record"], list(PLANTED)).status == 200
            client.good("POST", "/v1/collections/people/search", {"q": {"email": PLANTED["email"]}, "purpose": "support"})
            assert server.stop() == 0
        wanted = [one.encode() for one in (*PLANTED.values(), "planted.external.815")]
        looked = 0
        with stopped(postgres):  # a clean stop writes everything out
            for file in pathlib.Path(postgres.base).rglob("*"):
                if not file.is_file():
                    continue
                body = file.read_bytes()
                looked += len(body)
                for one in wanted:
                    assert one not in body, (file, one)
        assert looked > 1 << 20


def run_script(script, url):
    """Its lines, each said to be of this database; whether all is well."""
    name, *words = script.split()
    done = subprocess.run([sys.executable, ROOT / "tests" / "app" / f"{name}.py", *words], capture_output=True, text=True,
                          env={**os.environ, "HOLDFAST_TEST_POSTGRES": url})
    for line in done.stdout.splitlines():
        print(re.sub(r"^(PASS|FAIL|SKIP) ", rf"\1 on PostgreSQL, {name}: ", line), flush=True)
    if done.returncode != 0 and "FAIL" not in done.stdout:
        print(f"FAIL on PostgreSQL, {name}: exit status {done.returncode}\n{done.stderr[-3000:]}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    try:
        with Postgres() as database:
            failed = main(postgres=database)
            if not sys.argv[1:]:
                for script in SCRIPTS:
                    failed |= not run_script(script, database.url())
            sys.exit(failed)
    except Skip as why:
        print(f"SKIP a store on PostgreSQL: {why}")
