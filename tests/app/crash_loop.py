#!/usr/bin/env python3
"""kill -9 in a loop under mixed load: nothing that was acknowledged is lost, nothing is half done.

    tests/app/crash_loop.py [ROUNDS] [--database sqlite|postgres] [--kill server|postgres] [--seed N]

Each round: workers create, update, reveal, tokenise and erase customers of their own, and one
imports a table, all over HTTPS; at a random moment the server (or PostgreSQL under it) is killed and
started again. Then every acknowledged thing is looked for: values as they were left, erased
customers gone, tokens open, each event in the journal by its id. What was under way and not
acknowledged may have happened or not: it is repeated under its Idempotency-Key, and must then be
there once. In the end `journal check --state` must be good. Five rounds in `make test`; 200 show more.
"""
import argparse
import http.client
import os
import random
import ssl
import sys
import threading
import time
import traceback
import urllib.parse

from support import Postgres, Skip, Store, declare, eventually, in_threads

WORKERS = 4
BROKEN = (OSError, http.client.HTTPException, ssl.SSLError)
MAPPING = '{"collection":"people","external_id":"id","fields":{"email":"mail","name":"name"}}'


class Away(Exception):
    """The server or its database went away in the middle of a request."""


class Customer:
    def __init__(self, subject):
        self.subject = subject
        self.record = None
        self.notes = {None}    # what the note may be: more than one after an update without an answer
        self.tokens = {}       # token: value
        self.gone = False


class Worker:
    """One client with customers of its own. `repeat` is the request that got no answer, if any."""

    def __init__(self, number, seed):
        self.number, self.rng = number, random.Random(f"{seed} worker {number}")
        self.client = None
        self.customers = []
        self.made = 0
        self.repeat = None
        self.events = []
        self.counts = {}
        self.stopping = False

    def call(self, method, path, body, key=None):
        try:
            answer = self.client.send(method, path, body, headers={"Idempotency-Key": key} if key else None)
        except BROKEN as why:
            raise Away(str(why)) from why
        if answer.status == 503:
            raise Away(str(answer))
        assert 200 <= answer.status < 300 or answer.status in (404, 410), f"{method} {path}: {answer}"
        return answer

    def load(self):
        try:
            while not self.stopping:
                self.step()
        except Away:
            pass

    def step(self):
        living = [one for one in self.customers if one.record and not one.gone]
        draw = self.rng.random()
        if len(living) < 5 or draw < 0.40:
            self.made += 1
            customer = Customer(f"ext:w{self.number}-{self.made}")
            self.customers.append(customer)
            self.attempt(self.create, customer)
        elif draw < 0.65:
            self.attempt(self.update, self.rng.choice(living), f"note {self.rng.random()}")
        elif draw < 0.85:
            self.reveal(self.rng.choice(living))
        elif draw < 0.95:
            self.attempt(self.tokenise, self.rng.choice(living), f"+49 30 {self.rng.randrange(10**6, 10**7)}",
                         f"token-{self.rng.random()}")
        else:
            self.attempt(self.erase, self.rng.choice(living))

    def attempt(self, function, *arguments):
        self.repeat = (function, arguments)
        function(*arguments)
        self.repeat = None
        self.counts[function.__name__] = self.counts.get(function.__name__, 0) + 1

    def email(self, customer):
        return customer.subject[4:] + "@example.org"

    def create(self, customer):
        body = {"subject": customer.subject, "values": {"email": self.email(customer), "name": "Ann Lee"}}
        answer = self.call("POST", "/v1/collections/people/records", body, key=customer.subject)
        customer.record = answer.json["records"][0]["record"]

    def update(self, customer, note):
        customer.notes.add(note)
        self.call("PATCH", f"/v1/records/{customer.record}", {"values": {"note": note}})
        customer.notes = {note}

    def reveal(self, customer):
        answer = self.call("POST", f"/v1/records/{customer.record}/reveal",
                           {"fields": ["email", "note"], "purpose": "support"}).json
        assert answer["values"]["email"] == self.email(customer), answer
        assert answer["values"].get("note") in customer.notes, (answer, customer.notes)
        self.events.append(answer["event"])
        self.counts["reveal"] = self.counts.get("reveal", 0) + 1

    def tokenise(self, customer, phone, key):
        body = {"subject": customer.subject, "collection": "people", "values": {"phone": phone}}
        answer = self.call("POST", "/v1/tokens", body, key=key)
        customer.tokens[answer.json["items"][0]["tokens"]["phone"]["token"]] = phone

    def erase(self, customer):
        customer.gone = True
        answer = self.call("POST", f"/v1/subjects/{customer.subject}/erase", {"reason": "asked"})
        if answer.status == 200:
            self.events.append(answer.json["event"])

    def settle(self):
        """After the restart: what had no answer is repeated."""
        if self.repeat:
            function, arguments = self.repeat
            self.repeat = None
            function(*arguments)

    def check(self):
        """Everything that was ever acknowledged."""
        known = [one for one in self.customers if one.record]
        for at in range(0, len(known), 500):
            part = known[at:at + 500]
            body = {"records": [one.record for one in part], "fields": ["email", "note"], "purpose": "support"}
            answer = self.call("POST", "/v1/records/reveal", body).json
            shown = {one["record"]: one for one in answer["records"]}
            missing = set(answer["missing"])
            for one in part:
                if one.gone:
                    assert one.record in missing, f"{one.subject} was erased and is back"
                    continue
                assert one.record in shown, f"{one.subject} is lost"
                values = shown[one.record]["values"]
                assert values["email"] == self.email(one), (one.subject, values)
                assert values.get("note") in one.notes, (one.subject, values, one.notes)
                one.notes = {values.get("note")}
        tokens = {token: (phone, one.gone) for one in known for token, phone in one.tokens.items()}
        names = list(tokens)
        for at in range(0, len(names), 500):
            answer = self.call("POST", "/v1/tokens/reveal", {"tokens": names[at:at + 500], "purpose": "support"}).json
            for token in names[at:at + 500]:
                phone, gone = tokens[token]
                shown = answer["values"].get(token)
                assert shown == (None if gone else phone), (token, shown, phone, gone)
        for one in known[-20:]:
            if not one.gone:
                found = self.call("POST", "/v1/collections/people/search",
                                  {"q": {"email": self.email(one)}, "purpose": "support"}).json["records"]
                assert [record["record"] for record in found] == [one.record], f"{one.subject}: {found}"

    def check_events(self):
        for event in self.events:
            answer = self.call("GET", f"/v1/journal/{event}", None)
            assert answer.status == 200 and answer.json["id"] == event, (event, answer)
        self.events = []


class Importer(Worker):
    """Imports a table of its own, over and over with more rows; a cut-off import is run again."""

    ROWS = 300

    def __init__(self, number, seed):
        super().__init__(number, seed)
        self.done = 0

    def step(self):
        self.attempt(self.run, self.done + 1)

    def run(self, table):
        text = "id,mail,name\n" + "".join(
            f"i{self.number}-{table}-{row},i{table}.{row}@example.org,Row {row}\n" for row in range(self.ROWS))
        try:
            answer = self.client.send("POST", "/v1/imports?mapping=" + urllib.parse.quote(MAPPING), text,
                                      headers={"Content-Type": "text/csv"})
        except BROKEN as why:
            raise Away(str(why)) from why
        if answer.status == 503:
            raise Away(str(answer))
        assert answer.status == 201, answer
        report = answer.json
        assert report["state"] == "done" and report["refused"] == 0, report
        assert report["created"] + report["unchanged"] == self.ROWS, report
        self.done = max(self.done, table)

    def check(self):
        for table in range(1, self.done + 1):
            row = self.rng.randrange(self.ROWS)
            found = self.call("POST", "/v1/collections/people/search",
                              {"q": {"email": f"i{table}.{row}@example.org"}, "purpose": "support"}).json["records"]
            assert len(found) == 1, (table, row, found)


def round_of(server, workers, rng, kill):
    for worker in workers:
        worker.client = server.client()
        worker.stopping = False
    failures = []

    def run(worker):
        try:
            worker.load()
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=[worker]) for worker in workers]
    for thread in threads:
        thread.start()
    time.sleep(rng.uniform(0.3, 1.8))
    kill()
    for worker in workers:
        worker.stopping = True
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def ready(server):
    def answers():
        try:
            return server.client().get("/readyz").status == 200
        except BROKEN:
            return False
    eventually(answers, "the server is ready again")


def crash_loop(store, rounds, seed, kill="server", postgres=None):
    rng = random.Random(f"{seed} moments")
    workers = [Worker(number, seed) for number in range(WORKERS)] + [Importer(WORKERS, seed)]
    server = store.serve()
    try:
        declare(server.client())
        for number in range(rounds):
            victim = server.kill if kill == "server" else postgres.kill
            round_of(server, workers, rng, victim)
            if kill == "server":
                server = store.serve()
            else:
                postgres.start()
            ready(server)
            for worker in workers:
                worker.client = server.client()
            in_threads([lambda worker=worker: (worker.settle(), worker.check(), worker.check_events()) for worker in workers])
            if (number + 1) % 10 == 0 and sys.stdout.isatty():
                print(f"{number + 1} of {rounds} rounds", flush=True)
        assert server.stop() == 0, server.log()[-2000:]
    except BaseException:
        print(server.log()[-3000:])
        server.kill()
        raise
    checked = store.check_state()
    assert checked.code == 0, checked
    totals = {}
    for worker in workers:
        for name, count in worker.counts.items():
            totals[name] = totals.get(name, 0) + count
    return ", ".join(f"{count} {name}" for name, count in sorted(totals.items()))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("rounds", nargs="?", type=int, default=5)
    arguments.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    arguments.add_argument("--kill", choices=["server", "postgres"], default="server")
    arguments.add_argument("--seed", default=os.environ.get("HOLDFAST_TEST_SEED", str(random.randrange(10**9))))
    options = arguments.parse_args()
    name = f"kill -9 of the {options.kill} loses nothing on {options.database}, {options.rounds} rounds, --seed {options.seed}"
    try:
        if options.database == "sqlite":
            with Store() as store:
                done = crash_loop(store, options.rounds, options.seed)
        else:
            with Postgres() as postgres, Store("--set", f"database.url={postgres.url()}") as store:
                done = crash_loop(store, options.rounds, options.seed, options.kill, postgres)
    except Skip as why:
        print(f"SKIP {name}: {why}")
        return 0
    except Exception:
        print(f"FAIL {name}")
        traceback.print_exc(file=sys.stdout)
        return 1
    print(f"PASS {name}: {done}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
