#!/usr/bin/env python3
"""Card data from the switch to the restart: a card number and the tokens that stand for values lie in
no file of the store, in no log, metric or export; a verification code is read once and is forgotten
at a restart; and what the command line says of switching on."""
import base64
import os
import re
import sys

from support import Store, main, test

PAN = "4539578763621486"
NUMBER = "7710045533221"
FIELDS = [
    {"name": "pan", "type": "card_number", "token": {"shape": "card"}},
    {"name": "expiry", "type": "card_expiry"},
    {"name": "cvc", "type": "card_verification"},
    {"name": "number", "type": "text", "token": {"shape": "digits", "deterministic": "subject"}},
]


def forms(value):
    raw = value.encode()
    yield from (raw, raw.hex().encode(), raw[::-1], value.encode("utf-16-le"))
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw)
        yield whole[4 if shift else 0: len(whole) - 4]


def search(place, content, values):
    pattern = re.compile(b"|".join(re.escape(form) for value in values for form in forms(value)))
    found = pattern.search(content)
    assert not found, f"{place} holds {found.group()!r} at {found.start()}"


def search_files(store, values):
    seen = []
    for file in [*store.dir.rglob("*"), *store.base.glob("serve-*")]:
        if file.is_file():
            search(file.name, file.read_bytes(), values)
            seen.append(file.name)
    assert "holdfast.db" in seen or os.environ.get("HOLDFAST_TEST_POSTGRES"), seen


@test
def card_data_is_off_until_it_is_switched_on():
    with Store() as store, store.serve() as server:
        client = server.client()
        refused = client.send("PUT", "/v1/collections/wallet", {"fields": FIELDS})
        assert refused.status == 400 and b"SAQ D" in refused.body, refused
        assert client.post("/v1/cards/switch-on", {"accept": "yes"}).status == 400
        status = client.get("/v1/cards").json
        assert status["on"] is False and "SAQ D" in status["consequence"] and "gateway" in status["advice"], status
        on = client.post("/v1/cards/switch-on", {"accept": "SAQ D", "reason": "orders by telephone"})
        assert on.status == 200 and on.json["on"] is True, on
        assert client.get("/v1/cards").json["on"] is True
        client.good("PUT", "/v1/collections/wallet", {"fields": FIELDS})
        shown = client.get("/v1/collections/wallet").json["fields"]
        assert "equal value" not in shown[0]["leaks"] and "same value again" in shown[3]["leaks"], shown
        findable = [{**FIELDS[0], "index": "unique"}, *FIELDS[1:]]
        refused = client.send("PUT", "/v1/collections/wallet", {"fields": findable}, headers={"If-Match": '"1"'})
        assert refused.status == 400 and refused.json["field"] == "fields[0].index", refused
        journal = client.get("/v1/journal?limit=500").json["entries"]
        assert any(entry["operation"] == "cards.switch_on" for entry in journal), journal


@test
def card_numbers_and_tokens_lie_in_no_file():
    with Store() as store:
        with store.serve("--set", "log.level=debug", "--set", "cards.node=till-1") as server:
            client = server.client()
            client.good("POST", "/v1/cards/switch-on", {"accept": "SAQ D"})
            client.good("PUT", "/v1/collections/wallet", {"fields": FIELDS})
            body = {"subject": "ext:1", "collection": "wallet",
                    "values": {"pan": PAN, "expiry": "09/31", "cvc": "123", "number": NUMBER}}
            made = client.send("POST", "/v1/tokens", body, headers={"Idempotency-Key": "order-1"})
            assert made.status == 201, made
            tokens = {name: one["token"] for name, one in made.json["items"][0]["tokens"].items()}
            assert made.json["items"][0]["tokens"]["pan"]["mask"] == "453957•••1486", made
            assert tokens["pan"][:6] == PAN[:6] and tokens["pan"][-4:] == PAN[-4:] and tokens["pan"] != PAN
            assert tokens["cvc"].startswith("cvc_till-1_"), tokens
            again = client.send("POST", "/v1/tokens", body, headers={"Idempotency-Key": "order-1"})
            assert {n: t["token"] for n, t in again.json["items"][0]["tokens"].items()} == tokens, again
            same = client.good("POST", "/v1/tokens", {
                "subject": "ext:1", "collection": "wallet", "values": {"number": NUMBER}})
            assert same["items"][0]["tokens"]["number"]["token"] == tokens["number"], same

            opened = client.good("POST", "/v1/tokens/reveal", {"tokens": list(tokens.values()), "purpose": "support"})
            assert opened["values"] == {tokens["pan"]: PAN, tokens["expiry"]: "2031-09", tokens["cvc"]: "123",
                                        tokens["number"]: NUMBER}, opened
            second = client.good("POST", "/v1/tokens/reveal", {"tokens": [tokens["cvc"]], "purpose": "support"})
            assert second["refused"][0]["reason"] == "read_or_expired", second
            other = client.good("POST", "/v1/tokens", {
                "subject": "ext:1", "collection": "wallet", "values": {"cvc": "9876"}})
            unread = other["items"][0]["tokens"]["cvc"]["token"]

            secret = [PAN, NUMBER, tokens["pan"], tokens["number"]]
            search("/metrics", client.get("/metrics").body, secret)
            search("the journal's export", client.get("/v1/journal/export").body, secret)
            search_files(store, secret)
            server.kill()
        search_files(store, secret)
        with store.serve("--set", "cards.node=till-1") as server:
            client = server.client()
            gone = client.good("POST", "/v1/tokens/reveal", {"tokens": [unread, tokens["pan"]], "purpose": "support"})
            assert gone["values"] == {tokens["pan"]: PAN} and gone["refused"][0]["token"] == unread, gone
            client.good("POST", "/v1/subjects/ext:1/erase", {"reason": "asked"})
            after = client.good("POST", "/v1/tokens/reveal", {"tokens": [tokens["pan"]], "purpose": "support"})
            assert after["refused"] == [{"token": tokens["pan"], "reason": "not_found"}], after
            assert server.stop() == 0
        search_files(store, secret)
        assert store.check_state().code == 0


@test
def the_command_line_says_what_switching_on_means():
    with Store() as store, store.serve() as server:
        refused = store.run("cards", "switch-on", "--accept", "yes", server=server)
        assert refused.code != 0 and "SAQ D" in refused.err, refused
        assert store.run("cards", "switch-on", "--accept", "SAQ D", server=server).code == 0
        assert store.run("cards", "status", server=server).rows[0]["on"] is True


if __name__ == "__main__":
    sys.exit(main())
