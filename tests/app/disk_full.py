#!/usr/bin/env python3
"""A disk that runs full, the store's or PostgreSQL's: clear 503s, nothing acknowledged lost, and work again
once there is space."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import Postgres, Skip, Store, create, declare, eventually, main, test


class SmallDisk:
    """A tmpfs of its own; only root can make one, and not in every container."""

    def __init__(self, mib):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-disk-"))
        if os.geteuid() != 0:
            self.path.rmdir()
            raise Skip("only root can mount a small disk")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", self.path], capture_output=True)
        if done.returncode != 0:
            self.path.rmdir()
            raise Skip("a tmpfs cannot be mounted here: " + done.stderr.decode().strip())

    def fill(self, but):
        """A file that leaves so many bytes; gone, there is room again."""
        ballast = self.path / "ballast"
        free = os.statvfs(self.path)
        ballast.write_bytes(b"\0" * (free.f_bavail * free.f_frsize - but))
        return ballast

    def take(self, postgres, folder):
        """A folder of PostgreSQL's own data comes here."""
        postgres.stop()
        if postgres.user:
            os.chown(self.path, postgres.user.pw_uid, postgres.user.pw_gid)
        theirs, here = postgres.base / "data" / folder, self.path / folder
        subprocess.run(["cp", "-a", theirs, here], check=True)
        shutil.rmtree(theirs)
        theirs.symlink_to(here)
        postgres.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.path], check=False)
        self.path.rmdir()


@test
def a_reserve_keeps_openings_and_erasures_going():
    with SmallDisk(160) as disk, Store("--set", "database.reserve_mib=8", parent=disk.path) as store, \
            store.serve() as server:
        client = server.client()
        declare(client)
        reserve = store.dir / "reserve"
        eventually(reserve.exists, "space is kept back")
        assert reserve.stat().st_size == 8 << 20 and reserve.stat().st_mode & 0o777 == 0o600
        first = create(client, "ext:first", email="first@example.org")
        create(client, "ext:second", email="second@example.org")
        ballast = disk.fill(but=2 << 20)

        body = {"subject": "ext:more", "values": {"email": "more@example.org", "note": "x" * 3000}}
        for _ in range(3000):
            answer = client.post("/v1/collections/people/records", body)
            if answer.status != 201:
                break
        assert answer.status == 503 and "nearly full" in answer.json["detail"], answer
        assert not reserve.exists()
        for _ in range(200):
            assert client.reveal(first["record"], ["email"]).status == 200
        client.good("POST", "/v1/subjects/ext:second/erase", {"reason": "asked"})
        for path in ("/v1/collections/people/records", "/v1/imports?preset=shopify"):
            assert client.post(path, body).status == 503, path
        ready = client.get("/readyz")
        assert ready.status == 200 and ready.json["warning"] == "disk_low", ready
        assert "holdfast_disk_low 1" in client.get("/metrics").body.decode()
        eventually(lambda: '"disk_low"' in server.log(), "the log says so")

        ballast.unlink()
        eventually(reserve.exists, "space is kept back again")
        client.good("POST", "/v1/collections/people/records", body)
        assert "warning" not in client.get("/readyz").json
        assert server.stop() == 0, server.log()[-2000:]
        checked = store.check_state()
        assert checked.code == 0, checked


@test
def a_full_disk_loses_nothing_that_was_acknowledged():
    with SmallDisk(24) as disk, Store(parent=disk.path) as store, store.serve() as server:
        client = server.client()
        declare(client)
        kept = {}
        first = create(client, "ext:first", email="first@example.org")
        ballast = disk.fill(but=2 << 20)

        full = None
        for number in range(3000):
            email = f"c{number}@example.org"
            answer = client.post("/v1/collections/people/records",
                                 {"subject": f"ext:{number}", "values": {"email": email, "note": "x" * 3000}})
            if answer.status == 201:
                kept[answer.json["records"][0]["record"]] = email
                continue
            full = answer
            break
        assert full is not None, "the disk never ran full"
        assert full.status == 503 and full.code == "unavailable", full
        assert len(kept) > 10
        shown = client.reveal(first["record"], ["email"])
        assert shown.status in (200, 503), shown
        assert shown.status == 503 or shown.json["event"], "what is shown is recorded"
        for _ in range(20):
            again = client.post("/v1/collections/people/records", {"subject": "ext:late", "values": {"email": "late@example.org", "note": "x" * 3000}})
            assert again.status in (201, 503), again
            if again.status == 201:
                kept[again.json["records"][0]["record"]] = "late@example.org"
        assert server.process.poll() is None, server.log()[-2000:]

        ballast.unlink()
        eventually(lambda: client.get("/readyz").status == 200, "the server is ready again")
        eventually(lambda: client.post("/v1/collections/people/records", {"subject": "ext:after", "values": {"email": "after@example.org"}}).status == 201,
                   "it writes again")
        nothing_was_lost(client, kept)
        assert server.stop() == 0, server.log()[-2000:]
        checked = store.check_state()
        assert checked.code == 0, checked


@test
def a_start_on_a_full_or_read_only_disk_says_so_and_loses_nothing():
    with SmallDisk(24) as disk, Store(parent=disk.path) as store:
        with store.serve() as server:
            client = server.client()
            declare(client)
            record = create(client, "ext:1", email="first@example.org")["record"]
            assert server.stop() == 0
        start = ("serve", "--dir", store.dir, "--listen", "127.0.0.1:0")
        ballast = disk.path / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass
        full = store.run(*start)
        assert full.code == 6 and "disk is full" in full.err, full
        ballast.unlink()

        subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
        fixed = store.run(*start)
        assert fixed.code == 6 and "read-only" in fixed.err, fixed
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)

        with store.serve() as server:
            assert server.client().reveal(record, ["email"]).json["values"]["email"] == "first@example.org"
            assert server.stop() == 0
        assert store.check_state().code == 0


LARGE = {"fields": [{"name": "email", "type": "email"}, {"name": "note", "type": "text", "max_bytes": 65_536}]}


def written_until_it_is_full(client, kept):
    """The first refusal. What is acknowledged before goes into `kept`."""
    for number in range(1000):
        records = [{"subject": f"ext:{number}-{i}", "values": {"email": f"c{number}-{i}@example.org", "note": "x" * 30_000}}
                   for i in range(10)]
        answer = client.post("/v1/collections/people/records", {"records": records})
        if answer.status != 201:
            return answer
        for made, sent in zip(answer.json["records"], records):
            kept[made["record"]] = sent["values"]["email"]
    raise AssertionError("the disk never ran full")


def nothing_was_lost(client, kept):
    records = list(kept)
    for at in range(0, len(records), 500):
        part = records[at:at + 500]
        answer = client.good("POST", "/v1/records/reveal", {"records": part, "fields": ["email"], "purpose": "support"})
        assert {one["record"]: one["values"]["email"] for one in answer["records"]} == {record: kept[record] for record in part}


@test
def a_full_disk_of_postgresql_is_a_503_until_there_is_room():
    with SmallDisk(64) as disk, Postgres() as postgres:
        disk.take(postgres, "base")
        with Store("--set", f"database.url={postgres.url()}") as store, store.serve() as server:
            client = server.client()
            declare(client, spec=LARGE)
            kept = {create(client, "ext:first", email="first@example.org")["record"]: "first@example.org"}
            ballast = disk.fill(but=2 << 20)

            full = written_until_it_is_full(client, kept)
            assert full.status == 503 and full.code == "unavailable" and "disk is full" in full.json["detail"], full
            assert len(kept) > 20
            for record in list(kept)[:20]:
                shown = client.reveal(record, ["email"])
                assert shown.status == 503 or shown.json["values"]["email"] == kept[record], shown
            assert client.get("/healthz").status == 200, server.log()[-2000:]

            ballast.unlink()
            eventually(lambda: client.post("/v1/collections/people/records", {"subject": "ext:after", "values": {"email": "after@example.org"}})
                       .status == 201, "it writes again")
            assert client.get("/readyz").status == 200
            nothing_was_lost(client, kept)
            assert server.stop() == 0, server.log()[-2000:]
            assert store.check_state().code == 0


@test
def a_postgresql_that_ends_because_its_log_is_full_loses_nothing():
    with SmallDisk(64) as disk, Postgres() as postgres:
        disk.take(postgres, "pg_wal")
        with Store("--set", f"database.url={postgres.url()}") as store, store.serve() as server:
            client = server.client()
            declare(client, spec=LARGE)
            kept = {}
            ballast = disk.fill(but=1 << 20)

            full = written_until_it_is_full(client, kept)
            assert full.status == 503 and full.code == "unavailable", full
            assert len(kept) > 20
            shown = client.reveal(next(iter(kept)), ["email"])
            assert shown.status == 503 or shown.json["event"], shown
            assert client.get("/healthz").status == 200, server.log()[-2000:]

            ballast.unlink()
            postgres.stop()
            postgres.start()
            eventually(lambda: client.get("/readyz").status == 200, "it is ready again")
            eventually(lambda: client.post("/v1/collections/people/records", {"subject": "ext:after", "values": {"email": "after@example.org"}})
                       .status == 201, "it writes again")
            nothing_was_lost(client, kept)
            assert server.stop() == 0, server.log()[-2000:]
            assert store.check_state().code == 0


if __name__ == "__main__":
    sys.exit(main())
