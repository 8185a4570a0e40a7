#!/usr/bin/env python3
"""PostgreSQL under the server is killed, stays away and comes back: clear 503s meanwhile, nothing
acknowledged lost, nothing shown that was not recorded."""
import sys
import time

from crash_loop import crash_loop
from support import Postgres, Skip, Store, create, declare, eventually, main, test


@test
def a_server_answers_503_while_its_database_is_away_and_recovers(postgres, store):
    with store.serve() as server:
        client = server.client()
        declare(client)
        made = create(client, "ext:1", email="ann@example.org")
        assert client.reveal(made["record"], ["email"]).status == 200

        postgres.kill()
        for _ in range(3):
            started = time.monotonic()
            shown = client.reveal(made["record"], ["email"])
            assert shown.status == 503 and shown.code == "unavailable", shown
            assert shown.headers["Retry-After"], shown.headers
            assert "ann@example.org" not in shown.body.decode()
            assert time.monotonic() - started < 15
        written = client.post("/v1/collections/people/records", {"subject": "ext:2", "values": {"email": "bob@example.org"}})
        assert written.status == 503, written
        assert client.get("/healthz").status == 200, "the process itself is well"
        eventually(lambda: client.get("/readyz").status == 503, "it says that it cannot work")

        postgres.start()
        eventually(lambda: client.get("/readyz").status == 200, "it is ready again")
        eventually(lambda: client.reveal(made["record"], ["email"]).status == 200, "and shows again")
        create(client, "ext:3", email="cas@example.org")
        second = store.run("serve", "--dir", store.dir, "--listen", "127.0.0.1:0")
        assert second.code == 5 and "another Holdfast server" in second.err, "its schema is still its own"
        assert server.stop() == 0
    assert store.check_state().code == 0


@test
def a_server_that_finds_no_database_says_so(postgres, store):
    postgres.stop()
    try:
        refused = store.run("serve", "--dir", store.dir, "--listen", "127.0.0.1:0", timeout=60)
        assert refused.code == 6 and "PostgreSQL" in refused.err, refused
    finally:
        postgres.start()


@test
def kills_of_the_database_under_load_lose_nothing(postgres):
    with Store("--set", f"database.url={postgres.url()}", "--set", "database.schema=killed") as own:
        print("  " + crash_loop(own, 2, "postgres", "postgres", postgres))


@test
def kills_of_the_server_under_load_lose_nothing(postgres):
    with Store("--set", f"database.url={postgres.url()}", "--set", "database.schema=server_killed") as own:
        print("  " + crash_loop(own, 2, "server", "server", postgres))


if __name__ == "__main__":
    try:
        with Postgres() as database, Store("--set", f"database.url={database.url()}") as shop:
            sys.exit(main(postgres=database, store=shop))
    except Skip as why:
        print(f"SKIP a server and its PostgreSQL: {why}")
