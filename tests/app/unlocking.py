#!/usr/bin/env python3
"""A server that starts locked, is unlocked by its people, is locked on purpose and stays so: with the
built program, over its local socket and over HTTPS."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading

from support import Server, Skip, Store, create, declare, eventually, main, test

WORDS = "correct horse battery staple"
DONE, FAILED, USAGE, REFUSED, NOT_FOUND, CONFLICT, UNAVAILABLE = range(7)


class LockedServer(Server):
    """`holdfast serve` that says it is locked; ready() waits until it is open."""

    def __init__(self, store, *arguments, **options):
        super().__init__(store, *arguments, wait=False, **options)

        def said():
            assert self.process.poll() is None, self.log()
            found = re.search(r"locked at https://[^:]+:(\d+)", self.out_file.read_text())
            return found and int(found.group(1))

        self.port = eventually(said, "the server is locked")

    def ready(self):
        self.wait_ready()
        for client in self.clients:
            client.close()


def passphrase_file(store, words=WORDS):
    file = store.base / "passphrase"
    file.write_text(words + "\n")
    file.chmod(0o600)
    return file


def passphrase_store():
    """The passphrase goes in by standard input: it is never an argument."""
    return Store("--method", "passphrase", "--passphrase-file", "-", stdin=WORDS.encode() + b"\n")


def unlock(store, *arguments, stdin=b""):
    return store.run("unlock", "--dir", store.dir, *arguments, stdin=stdin)


@test
def a_locked_server_answers_health_and_what_unlocks_it_and_nothing_else():
    with passphrase_store() as own:
        assert not (own.base / "shop.keys" / "root.key").exists()
        with LockedServer(own) as server:
            client = server.client()
            assert client.get("/healthz").status == 200
            ready = client.get("/readyz")
            assert ready.status == 503 and ready.code == "locked", ready
            status = client.get("/v1/keys").json
            assert status["locked"] and status["reason"] == "needs_people" and status["method"] == "passphrase", status
            for method, path in (("GET", "/v1/collections"), ("POST", "/v1/keys/lock"), ("GET", "/v1/journal"),
                                 ("POST", "/v1/keys/reshare"), ("POST", "/v1/backups")):
                answer = client.send(method, path, {} if method == "POST" else None)
                assert answer.status == 503 and answer.code == "locked", (path, answer)
            over = client.post("/v1/keys/unlock", {"passphrase": WORDS})
            assert over.status == 403, over
            assert "holdfast_locked 1" in client.get("/metrics").body.decode()

            mode = stat.S_IMODE(os.stat(own.dir / "unlock.sock").st_mode)
            assert mode == 0o600, oct(mode)
            wrong = unlock(own, "--passphrase-file", "-", stdin=b"correct horse battery stapler\n")
            assert wrong.code == REFUSED and "wrong" in wrong.err, wrong
            right = unlock(own, "--passphrase-file", "-", stdin=WORDS.encode())
            assert right.code == DONE, right
            server.ready()
            assert not (own.dir / "unlock.sock").exists()
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            assert client.reveal(made["record"], ["email"]).json["values"]["email"] == "ann@example.org"
            entries = client.get("/v1/journal?limit=50").json
            assert "keys.unlock" in json.dumps(entries), entries
            assert client.post("/v1/keys/unlock", {"passphrase": WORDS}).status == 409
            assert server.stop() == 0
        log = server.log() + server.out_file.read_text()
        assert WORDS not in log and "stapler" not in log
        checked = own.run("journal", "check", "--state", "--dir", own.dir, "--passphrase-file", "-",
                          stdin=WORDS.encode(), timeout=300)
        assert checked.code == DONE, checked
        refused = own.run("journal", "check", "--dir", own.dir)
        assert refused.code == UNAVAILABLE and "passphrase" in refused.err, refused


@test
def what_a_method_protects_against_is_said():
    with Store() as own, own.serve() as server:
        said = own.run("keys", "status", server=server).rows[0]
        assert said["method"] == "file" and not said["locked"], said
        assert said["protects"] == (
            "A stolen database or backup opens nothing. A stolen disk, virtual machine or whole-host backup does: "
            "the key file is on it. The server starts by itself."), said
        moved = own.run("keys", "move", "--to", "passphrase", "--passphrase", "-", server=server, stdin=WORDS.encode())
        assert moved.code == DONE, moved
        said = own.run("keys", "status", server=server).rows[0]
        assert said["protects"].startswith("A stolen disk opens nothing without guessing the passphrase"), said
        assert server.stop() == 0


@test
def a_private_passphrase_file_starts_the_server_by_itself():
    with passphrase_store() as own:
        file = passphrase_file(own)
        with own.serve("--set", f"keys.passphrase_file={file}") as server:
            assert server.client().get("/readyz").status == 200
            assert server.stop() == 0
        credentials = own.base / "credentials"
        credentials.mkdir(mode=0o700)
        file.rename(credentials / "holdfast-passphrase")
        with own.serve(env={"CREDENTIALS_DIRECTORY": str(credentials)}) as server:
            assert server.stop() == 0
        file = passphrase_file(own)
        file.chmod(0o644)
        exposed = own.run("serve", "--dir", own.dir, "--set", f"keys.passphrase_file={file}")
        assert exposed.code == REFUSED and "chmod 600" in exposed.err, exposed
        passphrase_file(own, "another long passphrase").chmod(0o600)
        wrong = own.run("serve", "--dir", own.dir, "--set", f"keys.passphrase_file={file}")
        assert wrong.code == REFUSED and "wrong" in wrong.err, wrong


@test
def a_lock_drops_the_keys_stays_over_a_restart_and_is_taken_back():
    with Store() as own:
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            asked = own.run("keys", "lock", server=server)
            assert asked.code != DONE and "--reason" in asked.err, asked
            locked = client.post("/v1/keys/lock", {"reason": "drill"})
            assert locked.status == 200 and locked.json["locked"] and locked.json["latched"], locked
            eventually(lambda: "locked at https" in server.out_file.read_text(), "it comes up locked")
            client.close()
            status = server.client().get("/v1/keys").json
            assert status["reason"] == "deliberate" and status["locked_by"].startswith("key_"), status
            assert "`holdfast unlock --dir DIR`" in status["protects"], status
            assert server.client().reveal(made["record"], ["email"]).status == 503
            assert server.kill() < 0
        for arguments in (["journal", "check"], ["access", "recover"]):
            done = own.run(*arguments, "--dir", own.dir)
            assert done.code == UNAVAILABLE and "holdfast unlock" in done.err, done
        with LockedServer(own, "--set", "keys.unlock_over_https=yes") as server:
            afar = server.client().post("/v1/keys/unlock", {})
            assert afar.status == 403, afar
            assert unlock(own).code == DONE
            server.ready()
            client = server.client()
            assert client.reveal(made["record"], ["email"]).json["values"]["email"] == "ann@example.org"
            assert client.post("/v1/keys/lock", {"reason": "again"}).status == 200
            eventually(lambda: server.out_file.read_text().count("locked at https") == 2, "it locks again")
            assert server.stop() == 0
        stopped = unlock(own)
        assert stopped.code == UNAVAILABLE and "holdfast serve" in stopped.err, stopped
        with LockedServer(own) as server:
            assert unlock(own).code == DONE
            server.ready()
            assert server.stop() == 0


@test
def a_lock_does_not_wait_for_a_backup():
    with Store() as own, own.serve() as server:
        client = server.client()
        keys = own.base / "shop.backup" / "keys"
        pipe = own.dir / "unlock"
        method = pipe.rename(own.base / "unlock")
        os.mkfifo(pipe)  # a backup that reads it waits for who writes it
        asked = threading.Thread(target=own.run, args=["backup"], kwargs={"server": server})
        asked.start()


        def reads():
            with contextlib.suppress(OSError):  # until somebody does
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)

        writing = eventually(reads, "a backup under way")
        locked = client.post("/v1/keys/lock", {"reason": "stolen laptop"})
        assert locked.status == 200 and locked.json["locked"], locked
        method.rename(pipe)
        os.close(writing)
        asked.join()
        eventually(lambda: "locked at https" in server.out_file.read_text(), "it comes up locked")
        assert not list(keys.glob("holdfast-keys-*.db")), "no keys were copied out of a locked server"
        assert unlock(own).code == DONE
        eventually(lambda: server.out_file.read_text().count("ready at https") == 2, "it is open again")
        made = server.client().good("POST", "/v1/backups")
        assert not list(keys.glob("*.part")) and pathlib.Path(made["keys"]).exists()
        assert server.stop() == 0


@test
def a_passphrase_is_refused_by_a_store_that_has_none():
    with Store() as own:
        words = own.base / "words"
        words.write_bytes(WORDS.encode())
        words.chmod(0o600)
        stopped = unlock(own, "--passphrase-file", words)
        assert stopped.code == FAILED and "does not open with a passphrase" in stopped.err, stopped
        with own.serve() as server:
            server.client().good("POST", "/v1/keys/lock", {"reason": "drill"})
            eventually(lambda: (own.dir / "unlock.sock").exists(), "it waits to be unlocked")
            refused = unlock(own, "--passphrase-file", words)
            assert refused.code == FAILED and "does not open with a passphrase" in refused.err, refused
            assert unlock(own).code == DONE


@test
def shares_are_given_one_by_one_and_a_wrong_one_is_named():
    with Store("--method", "shamir", "--needed", "2", "--total", "3") as own, Store() as other:
        everyday = sorted(next((own.base / "shop.recovery").glob("everyday-*")).iterdir())
        foreign = sorted((other.base / "shop.recovery").glob("*.txt"))
        recovery = sorted((own.base / "shop.recovery").glob("*.txt"))
        assert len(everyday) == len(recovery) == 3
        for kind, files in (("everyday", everyday), ("recovery", recovery)):
            assert files[0].name == f"{kind}-share-1-of-3.txt", files
            assert files[0].read_text().startswith(f"# Holdfast {kind} share 1 of 3."), files
        with LockedServer(own, "--set", "keys.unlock_over_https=yes") as server:
            assert unlock(own).code == USAGE
            first = unlock(own, "--share", everyday[0])
            assert first.code == DONE and "1 of 2" in first.out, first
            twice = unlock(own, "--share", everyday[0])
            assert twice.code == DONE and "1 of 2" in twice.out, twice
            stranger = unlock(own, "--share", foreign[0])
            assert stranger.code == FAILED and "another store" in stranger.err, stranger
            mixed = unlock(own, "--share", recovery[1])
            assert mixed.code == FAILED and "another set" in mixed.err, mixed
            client = server.client()
            assert client.get("/v1/keys").json["shares_given"] == [1]
            done = client.post("/v1/keys/unlock", {"share": everyday[2].read_text()})
            assert done.status == 200 and not done.json["locked"], done
            server.ready()
            assert server.stop() == 0
        with LockedServer(own) as server:
            both = unlock(own, "--share", recovery[0], "--share", recovery[2])
            assert both.code == DONE and "Unlocked" in both.out, both
            server.ready()
            assert server.stop() == 0


@test
def https_takes_only_so_many_attempts():
    with passphrase_store() as own:
        with LockedServer(own, "--set", "keys.unlock_over_https=yes") as server:
            client = server.client()
            answers = [client.post("/v1/keys/unlock", {"passphrase": "short"}).status for _ in range(14)]
            assert answers[0] == 403 and answers[-1] == 429, answers
            assert server.stop() == 0


@test
def the_local_socket_takes_no_nonsense():
    with passphrase_store() as own:
        with LockedServer(own) as server:
            for line in (b"\n", b"{}\n", b"[]\n", b"{\"command\":\"dump\"}\n", b"{\"command\":\"status\",\"x\":1}\n",
                         b"x" * 40_000 + b"\n", b"\xff\xfe\n", b"{\"command\":\"unlock\",\"share\":\"x\"}\n"):
                with socket.socket(socket.AF_UNIX) as link:
                    link.settimeout(30)
                    link.connect(os.path.relpath(own.dir / "unlock.sock"))
                    try:
                        link.sendall(line)
                        answer = link.recv(65536)
                    except (BrokenPipeError, ConnectionResetError):
                        answer = b""
                assert b"\"progress\"" not in answer and b"\"status\"" not in answer, (line[:40], answer)
            assert server.client().get("/healthz").status == 200
            assert server.stop() == 0


@test
def a_move_and_new_shares_survive_and_the_old_ones_are_void():
    with Store() as own:
        recovery = sorted((own.base / "shop.recovery").glob("*.txt"))
        with own.serve() as server:
            client = server.client()
            declare(client)
            made = create(client, "ext:1", email="ann@example.org")
            rehearsed = own.run("keys", "rehearse", "--shares", f"@{recovery[0]}", "--shares", f"@{recovery[1]}",
                                server=server)
            assert rehearsed.code == DONE, rehearsed
            lone = own.run("keys", "rehearse", "--shares", f"@{recovery[0]}", server=server)
            assert lone.code not in (DONE, USAGE) and "not a share" not in lone.err, lone
            moved = own.run("keys", "move", "--to", "passphrase", "--passphrase", "-", server=server,
                            stdin=WORDS.encode())
            assert moved.code == DONE, moved
            assert not (own.base / "shop.keys" / "root.key").exists()
            reshared = client.good("POST", "/v1/keys/reshare",
                                   {"needed": 2, "total": 3, "passphrase": WORDS, "download": True})
            assert len(reshared["recovery"]["shares"]) == 3, reshared
            status = client.get("/v1/keys").json
            assert status["generation"] == 2 and status["method"] == "passphrase", status
            backup = client.good("POST", "/v1/backups", {})
            assert server.kill() < 0
        void = own.run("keys", "check", recovery[0], recovery[1], "--dir", own.dir)
        assert void.code not in (DONE, USAGE) and "replaced" in void.err, void
        with LockedServer(own) as server:
            assert unlock(own, "--passphrase-file", "-", stdin=WORDS.encode()).code == DONE
            server.ready()
            assert server.client().reveal(made["record"], ["email"]).json["values"]["email"] == "ann@example.org"
            assert server.stop() == 0

        again = own.base / "again"
        restored = own.run("restore", "--dir", again, "--data", backup["data"], "--keys", backup["keys"],
                           "--afterlog", own.dir / "afterlog", "--passphrase-file", "-", stdin=WORDS.encode())
        assert restored.code == DONE, restored
        shares = []
        for one in reshared["recovery"]["shares"][:2]:
            shares.append(own.base / f"new-{one['number']}.txt")
            shares[-1].write_text(one["text"])
        third = own.base / "third"
        restored = own.run("restore", "--dir", third, "--data", backup["data"], "--keys", backup["keys"],
                           "--afterlog", own.dir / "afterlog", "--share", shares[0], "--share", shares[1])
        assert restored.code == DONE, restored


@test
def shares_from_after_a_backup_restore_it_with_the_newest_keyring():
    with Store() as own:
        copy = own.base / "shop.backup" / "keys" / "keyring"
        with own.serve() as server:
            client = server.client()
            backup = client.good("POST", "/v1/backups", {})
            before = eventually(lambda: copy.exists() and copy.read_bytes(), "the first copy of the keyring")
            reshared = client.good("POST", "/v1/keys/reshare", {"needed": 2, "total": 3})
            assert copy.read_bytes() != before, "the copy is made before the answer"
            assert server.stop() == 0
        shares = reshared["recovery"]["files"][:2]
        machine = own.base / "machine"

        def restore():
            return own.run("restore", "--dir", machine, "--data", backup["data"], "--keys", backup["keys"],
                           "--afterlog", own.dir / "afterlog", "--share", shares[0], "--share", shares[1])

        refused = restore()
        assert refused.code not in (DONE, USAGE) and "newest keyring" in refused.err, refused
        assert not (machine / "keyring").exists() and not (machine / "unlock").exists()
        shutil.copy(copy, machine / "keyring")
        done = restore()
        assert done.code == DONE, done
        recovered = own.run("keys", "recover", "--dir", machine, *shares)
        assert recovered.code == DONE, recovered
        checked = own.run("journal", "check", "--dir", machine)
        assert checked.code == DONE, checked

        # With the key file of after the reshare: the unlock file of before it would refuse the shares.
        other = own.base / "other"
        other.mkdir()
        (own.base / "other.keys").mkdir(mode=0o700)
        shutil.copy(copy, other / "keyring")
        shutil.copy(own.base / "shop.keys" / "root.key", own.base / "other.keys" / "root.key")
        done = own.run("restore", "--dir", other, "--data", backup["data"], "--keys", backup["keys"],
                       "--afterlog", own.dir / "afterlog")
        assert done.code == DONE, done
        known = own.run("keys", "check", *shares, "--dir", other)
        assert known.code == DONE, known


@test
def a_keys_file_of_another_store_is_refused_by_name_and_touches_nothing():
    with Store() as own, Store() as other:
        with other.serve() as server:
            backup = server.client().good("POST", "/v1/backups", {})
            assert server.stop() == 0
        files = lambda: {file.name: file.read_bytes() for file in own.dir.iterdir() if file.is_file()}
        before = files()
        refused = own.run("restore", "--dir", own.dir, "--data", backup["data"], "--keys", backup["keys"])
        assert refused.code == CONFLICT and "another store" in refused.err, refused
        assert files() == before


@test
def what_a_running_server_has_staged_is_left_to_it():
    with Store() as own:
        staged = own.dir / "unlock.next"
        with own.serve() as server:
            shutil.copy(own.dir / "unlock", staged)
            for command in (("journal", "check"), ("serve", "--listen", "127.0.0.1:0")):
                refused = own.run(*command, "--dir", own.dir)
                assert refused.code == CONFLICT and "another Holdfast server" in refused.err, refused
                assert staged.exists(), command
            assert server.stop() == 0
        with own.serve() as server:
            assert not staged.exists(), "nobody else is there: it was cut off"
            assert server.stop() == 0


@test
def an_older_keyring_is_refused():
    with Store() as own:
        before = (own.dir / "keyring").read_bytes()
        with own.serve() as server:
            server.client().good("POST", "/v1/keys/reshare", {"needed": 2, "total": 3})
            assert server.stop() == 0
        (own.dir / "keyring").write_bytes(before)
        refused = own.run("serve", "--dir", own.dir, "--listen", "127.0.0.1:0")
        assert refused.code not in (DONE, USAGE), refused
        shutil.copyfile(own.dir / "keyring.previous", own.dir / "keyring")
        with own.serve() as server:
            assert server.stop() == 0


def soft_hsm(base):
    module = "/usr/lib/softhsm/libsofthsm2.so"
    if not os.path.exists(module):
        raise Skip("SoftHSM 2 is not installed: tools/setup test")
    (base / "tokens").mkdir()
    conf = base / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {base}/tokens\nlog.level = ERROR\n")
    env = {"SOFTHSM2_CONF": str(conf)}
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "shop", "--pin", "1234", "--so-pin", "5678"],
                   env={**os.environ, **env}, check=True, capture_output=True)
    pin = base / "pin"
    pin.write_text("1234\n")
    pin.chmod(0o600)
    return env, ["--set", f"keys.hsm_module={module}", "--set", "keys.hsm_token=shop", "--set",
                 f"keys.hsm_pin_file={pin}"]


@test
def a_store_with_an_hsm_starts_by_itself_and_not_without_it():
    base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-hsm-"))
    try:
        env, settings = soft_hsm(base)
        with Store("--method", "pkcs11", *settings, env=env) as own:
            with own.serve() as server:
                client = server.client()
                assert client.get("/v1/keys").json["method"] == "pkcs11"
                declare(client)
                made = create(client, "ext:1", email="ann@example.org")
                opens = lambda: server.client().reveal(made["record"], ["email"]).json["values"] == {"email": "ann@example.org"}
                files = lambda: [(own.dir / name).read_bytes() for name in ("keyring", "unlock")]
                before = files()
                (base / "tokens").rename(base / "unplugged")
                assert opens(), "it goes on with the keys that it holds"
                for command in (["reshare", "--needed", "2", "--total", "3"], ["move", "--to", "pkcs11"]):
                    refused = own.run("keys", *command, server=server)
                    assert refused.code == UNAVAILABLE and "the HSM does not answer" in refused.err, refused
                    assert files() == before and not (own.dir / "unlock.next").exists(), command
                assert opens(), "nothing was begun"
                assert server.stop() == 0
            gone = own.run("serve", "--dir", own.dir, "--listen", "127.0.0.1:0")
            assert gone.code not in (DONE, USAGE) and "HSM" in gone.err, gone
            (base / "unplugged").rename(base / "tokens")
            with own.serve() as server:
                assert opens()
                assert own.run("keys", "reshare", "--needed", "2", "--total", "3", server=server).code == DONE
                assert server.stop() == 0
            with own.serve() as server:
                assert opens(), "under the new root key, too"
                assert server.stop() == 0
    finally:
        shutil.rmtree(base, ignore_errors=True)


@test
def a_store_whose_hsm_is_gone_moves_to_a_file_from_memory():
    base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-hsm-"))
    try:
        env, settings = soft_hsm(base)
        with Store("--method", "pkcs11", *settings, env=env) as own:
            key_file = own.base / "shop.keys" / "root.key"
            with own.serve() as server:
                client = server.client()
                declare(client)
                made = create(client, "ext:1", email="ann@example.org")
                (base / "tokens").rename(base / "unplugged")
                assert not key_file.exists()
                moved = own.run("keys", "move", "--to", "file", server=server)
                assert moved.code == DONE and key_file.exists(), moved
                assert server.kill() < 0
            with own.serve() as server:
                client = server.client()
                assert client.reveal(made["record"], ["email"]).json["values"] == {"email": "ann@example.org"}
                assert client.get("/v1/keys").json["method"] == "file"
                assert server.stop() == 0
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
