#!/usr/bin/env python3
"""The scripts whose stores may stand on any database, on PostgreSQL; and what is PostgreSQL's own:
a backup comes back into a new schema, and no planted value stands in the server's files."""
import contextlib
import os
import pathlib
import re
import sqlite3
import subprocess
import sys

from support import ROOT, Postgres, Skip, Store, create, declare, eventually, main, test

SCRIPTS = ("rights", "fill", "conditions", "card_values", "who_gets_in", "hostile_requests", "command_line")
PLANTED = {"email": "planted.pg.4711@example.org", "name": "Plantedsurname Qwertzuiop", "phone": "+442079460999"}


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
        postgres.stop()  # a clean stop writes everything out
        wanted = [one.encode() for one in (*PLANTED.values(), "planted.external.815")]
        looked = 0
        for file in pathlib.Path(postgres.base).rglob("*"):
            if not file.is_file():
                continue
            body = file.read_bytes()
            looked += len(body)
            for one in wanted:
                assert one not in body, (file, one)
        assert looked > 1 << 20
        postgres.start()


def run_script(name, url):
    """Its lines, each said to be of this database; whether all is well."""
    done = subprocess.run([sys.executable, ROOT / "tests" / "app" / f"{name}.py"], capture_output=True, text=True,
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
