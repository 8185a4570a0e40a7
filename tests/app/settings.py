#!/usr/bin/env python3
"""Settings in effect: what the built program does otherwise when one of them says something else.
Every test starts servers of its own over one store, each with the values that it is about."""
import datetime
import pathlib
import re
import sys

from support import Store, create, declare, eventually, main, test

DAY = datetime.timedelta(days=1)


def serve(store, **values):
    """`access__time_zone="UTC"` is the setting access.time_zone."""
    return store.serve(*(word for name, value in values.items()
                         for word in ("--set", f"{name.replace('__', '.')}={value}")))


def key_with(client, name, **more):
    return client.good("POST", "/v1/api-keys", {"name": name, **more})["api_key"]


def put_role(client, name, **grant):
    client.good("PUT", f"/v1/roles/{name}", {"permissions": ["records.*"], "grants": [
        {"collection": "people", "classes": ["personal"], "view": "clear", "purposes": ["support"], **grant}]})


@test
def the_ceilings_of_an_hour_and_of_a_day_hold_over_all_callers(store):
    with serve(store, access__store_per_hour=2, access__store_per_day=100) as server:
        client = server.client()
        made = [create(client, f"ext:ceiling-{n}", email=f"c{n}@example.org")["record"] for n in range(3)]
        support = server.client(key_with(client, "Desk", roles=["support"]))
        assert client.reveal(made[0], ["email"]).status == support.reveal(made[1], ["email"]).status == 200
        for one in (client, support):
            spent = one.reveal(made[2], ["email"])
            assert (spent.status, spent.json["field"]) == (429, "budget.store.per_hour"), spent
        assert support.reveal(made[0], ["email"]).status == 200, "who was opened costs nothing more"
        row = next(one for one in client.get("/v1/budgets").json["budgets"] if one["account"] == "store")
        assert (row["per_hour"], row["per_day"], row["used_hour"], row["used_day"]) == (2, 100, 2, 2), row
    with serve(store, access__store_per_hour=100, access__store_per_day=2) as server:
        spent = server.client().reveal(made[2], ["email"])
        assert (spent.status, spent.json["field"]) == (429, "budget.store.per_day"), spent
    with serve(store) as server:
        assert server.client().reveal(made[2], ["email"]).status == 200, "0 is no ceiling"


@test
def hours_of_a_grant_are_meant_in_the_time_zone_of_the_store(store):
    now = datetime.datetime.now(datetime.timezone.utc)

    def around(offset):
        """Four hours of every day around now, by a clock that is so far ahead of UTC."""
        begin, end = (now + offset + datetime.timedelta(hours=hours) for hours in (-2, 2))
        return [f"mon-sun {begin:%H:%M}-{end:%H:%M}"]

    with serve(store) as server:
        client = server.client()
        record = create(client, "ext:hours", email="hours@example.org")["record"]
        keys = {}
        for zone, offset in (("utc", 0), ("kolkata", 5.5)):
            put_role(client, f"in_{zone}", hours=around(datetime.timedelta(hours=offset)))
            keys[zone] = key_with(client, zone, roles=[f"in_{zone}"])
    for named, open_there in (({}, "utc"), ({"access__time_zone": "Asia/Kolkata"}, "kolkata")):
        with serve(store, **named) as server:
            for zone, key in keys.items():
                shown = server.client(key).reveal(record, ["email"]).json
                assert (shown["masked"] == []) == (zone == open_there), (named, zone, shown)


@test
def a_forwarded_address_counts_when_a_proxy_of_the_settings_sends_it(store):
    inside = {"X-Forwarded-For": "203.0.113.7"}
    outside = {"X-Forwarded-For": "203.0.113.7, 198.51.100.9"}  # the last one is the client's
    with serve(store) as server:
        client = server.client()
        key = key_with(client, "Office", roles=["support"], networks=["203.0.113.0/24"])
        record = create(client, "ext:from", email="from@example.org")["record"]
    asked = {"fields": ["email"], "purpose": "support"}
    for proxies, believed in (("10.0.0.1,127.0.0.0/8", True), ("10.0.0.0/8", False), ("", False)):
        with serve(store, server__proxies=proxies) as server:
            office = server.client(key)
            answers = [office.get("/v1/whoami", headers=headers).status for headers in (inside, outside, {})]
            assert answers == [200 if believed else 401, 401, 401], (proxies, answers)
            client = server.client()
            shown = client.send("POST", f"/v1/records/{record}/reveal", asked, headers=inside).json
            sides = client.good("GET", f"/v1/journal/{shown['event']}/sides")
            assert sides["address"] == ("203.0.113.7" if believed else "127.0.0.1"), (proxies, sides)


@test
def a_phone_without_a_calling_code_is_found_under_that_of_the_settings(store):
    phones = {"fields": [{"name": "phone", "type": "phone", "index": "exact"}]}
    with serve(store, vault__calling_code=49) as server:
        client = server.client()
        declare(client, "callers", phones)
        declare(client, "abroad", {**phones, "calling_code": "41"})
        found = {}
        for collection in ("callers", "abroad"):
            create(client, "ext:phone", collection, phone="030 1234567")
            found[collection] = [code for code in (49, 41) if client.good(
                "POST", f"/v1/collections/{collection}/search",
                {"q": {"phone": f"+{code}301234567"}, "purpose": "support"})["records"]]
        assert found == {"callers": [49], "abroad": [41]}, found


@test
def the_end_of_erased_keys_is_planned_by_epoch_and_window(store):
    with serve(store) as server:
        client = server.client()
        create(client, "ext:erased", email="erased@example.org")
        subject = client.good("POST", "/v1/subjects/ext:erased/erase", {})["subject"]
        begun = next(one["created"] for one in client.good("GET", "/v1/keys")["keys"] if one["use"] == "epoch")
    planned = lambda days: {"state": "planned", "after": days * DAY}
    for epoch, keep, wanted in (("10 days", "3 days", planned(13)), ("20 days", "3 days", planned(23)),
                                ("10 days", "4 days", planned(14)), ("never", "3 days", {"state": "not_scheduled"})):
        with serve(store, keys__epoch=epoch, backup__keep_keys=keep) as server:
            steps = server.client().good("GET", f"/v1/subjects/{subject}/erasure")["said"]["steps"]
            step = next(one for one in steps if one["step"] == "epoch_key_destroyed")
            said = {"state": step["state"]}
            if "at" in step:
                said["after"] = datetime.datetime.fromisoformat(step["at"]) - datetime.datetime.fromisoformat(begun)
            assert said == wanted, (epoch, keep, step)


@test
def keys_files_and_old_keys_are_kept_for_the_window_of_the_settings(store):
    with serve(store, backup__keep_keys="3 days") as server:
        client = server.client()
        made = pathlib.Path(client.good("POST", "/v1/backups")["keys"])
        dated = re.search(r"\d{8}", made.name)[0]
        days_ago = lambda days: made.with_name(made.name.replace(dated, (
            datetime.datetime.strptime(dated, "%Y%m%d") - days * DAY).strftime("%Y%m%d")))
        for days in (2, 4):
            days_ago(days).write_bytes(b"a keys file of that day")
        assert client.good("POST", "/v1/backups")["keys_files_destroyed"] == 1
        assert made.exists() and days_ago(2).exists() and not days_ago(4).exists()

        begun = client.good("POST", "/v1/keys/rotate", {"kind": "cursor"})["rotation"]

        def waiting():
            row = client.good("GET", f"/v1/keys/progress?rotation={begun}")["rotations"][0]
            return row["phase"] == "waiting" and row

        row = eventually(waiting, "the old key waits for backups")
        ends = {name: datetime.datetime.fromisoformat(row[name]) for name in ("moved_at", "destroyed_from")}
        assert ends["destroyed_from"] - ends["moved_at"] == 3 * DAY, row


@test
def a_mistyped_name_in_the_environment_is_refused(store):
    show = lambda **env: store.run("config", "show", "--dir", store.dir, env=env)
    for name, near in (("HOLDFAST_SERVER_LISTTEN", "HOLDFAST_SERVER_LISTEN: "), ("HOLDFAST_LOG_LEVLE", "HOLDFAST_LOG_LEVEL: "),
                       ("HOLDFAST_KEYS_", ""), ("HOLDFAST_DATABASE_PASSWORD", "")):
        refused = show(**{name: "hunter2"})
        assert refused.code == 1 and f"{name}: there is no such setting" in refused.err, refused
        first, *more = refused.err.splitlines()
        assert len(more) == bool(near) and near in "".join(more), refused
        assert "hunter2" not in refused.out + refused.err, refused
    others = show(HOLDFAST_URL="x", HOLDFAST_API_KEY="x", HOLDFAST_CA_FILE="x", HOLDFAST_SERVER="x", HOLDFAST_SERVERS_LISTEN="x")
    assert others.code == 0 and not others.err, others


if __name__ == "__main__":
    with Store() as shop:
        with shop.serve() as first:
            declare(first.client())
        sys.exit(main(store=shop))
