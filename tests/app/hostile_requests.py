#!/usr/bin/env python3
"""What a hostile or broken client sends: answered with 4xx that names the field, never 5xx, in
bounded time and memory, and the server goes on."""
import json
import re
import socket
import ssl
import sys
import time

from support import SANITIZED, Store, create, declare, eventually, main, test

ID = "0" * 25


def complete(answer):
    """Whether all that Content-Length promises is there."""
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(found and length and len(body) >= int(length.group(1)))


def raw(server, head, body=b"", more=(), patience=20):
    """Sends bytes as they are, piece by piece, and gives all that comes back."""
    context = ssl.create_default_context(cafile=str(server.store.dir / "ca.pem"))
    with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="127.0.0.1") as tls:
        tls.settimeout(patience)
        out = b""
        try:
            tls.sendall(head + body)
            for piece in more:
                tls.sendall(piece)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass  # it has had enough
        try:
            while not complete(out) and (chunk := tls.recv(65536)):
                out += chunk
        except (ConnectionResetError, ssl.SSLError):
            pass
        return out


def head_of(server, method, path, *lines):
    text = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.store.owner_key}\r\nConnection: close\r\n"
    return (text + "".join(line + "\r\n" for line in lines) + "\r\n").encode()


@test
def malformed_json_is_named(server):
    client = server.client()
    path = "/v1/collections/people/records"
    deep = 10_000
    good = '"values":{"email":"a@example.org"}'
    cases = [
        ('{"subject":"ext:1","subject":"ext:2",' + good + "}", "subject"),
        ('{"subject":"ext:1","values":{"email":"a@example.org","email":"b@example.org"}}', "values.email"),
        ('{"subject":"ext:1","values":{"email":"a@example.org","\\u0065mail":"b@example.org"}}', "values.email"),
        ('{"subject":"ext:1","colour":"red",' + good + "}", "colour"),
        ('{"subject":"ext:1","values":{"colour":"red"}}', "values.colour"),
        ('{"subject":17,' + good + "}", "subject"),
        ('{"subject":null,' + good + "}", "subject"),
        ('{"subject":["ext:1"],' + good + "}", "subject"),
        ('{"subject":"ext:1","values":"email"}', "values"),
        ('{"subject":"ext:1","values":{"email":17}}', "values.email"),
        ('{"subject":"ext:1","values":{"email":["a@example.org"]}}', "values.email"),
        ('{"subject":"ext:1","upsert":"yes",' + good + "}", "upsert"),
        ('{"subject":"ext:1","upsert":1,' + good + "}", "upsert"),
        ('{"records":{"0":1}}', "records"),
        ('{"records":[17]}', "records[0]"),
        ('{"records":[{"subject":"ext:1","values":{"email":"a@example.org","email":"a@example.org"}}]}', "records[0].values.email"),
        ('{"subject":"' + "x" * 300 + '",' + good + "}", "subject"),
        ('{"subject":"ext:1","slot":"' + "x" * 300 + '",' + good + "}", "slot"),
        (b'{"subject":"ext:\xff\xfe","values":{"email":"a@example.org"}}', ""),
        (b'{"subject":"ext:1","values":{"name":"\xc3\x28"}}', ""),
        (b'{"subject":"ext:1","values":{"name":"\xed\xa0\x80"}}', ""),
        ('{"subject":"ext:1","values":{"name":"\\ud800"}}', ""),
        ('{"subject":"ext:1","values":{"name":"a\\u0000b"}}', "values.name"),
        ('{"subject":"ext:1","values":{"name":"a\\u001bb"}}', "values.name"),
        ("[" * deep + "]" * deep, ""),
        ('{"subject":' + "[" * deep + "]" * deep + "}", ""),
        ('{"values":' + '{"a":' * deep + "1" + "}" * deep + "}", ""),
        ('{"subject":"ext:1",' + good + "} trailing", ""),
        ('{"subject":"ext:1",' + good + "}{}", ""),
        ('{"subject":"ext:1",' + good, ""),
        ("", ""), ("null", ""), ("[]", ""), ("17", ""), ('"x"', ""), ("{'subject':1}", ""), ("\x00", ""), ("\ufeff{}", ""),
        ('{"subject":"ext:1","values":{}}', "values"),
        ('{"subject":"ext:1"}', "values"),
    ]
    for body, field in cases:
        answer = client.post(path, body)
        assert answer.status == 400 or answer.code == "too_large", (body[:120], answer)
        assert answer.headers["Content-Type"].startswith("application/problem+json"), answer.headers
        if field:
            assert answer.json.get("field") == field, (body[:120], answer)
    assert client.get("/v1/collections/people/records").json["records"] == []


@test
def numbers_out_of_range_are_named(server):
    client = server.client()
    made = create(client, "ext:numbers", email="a@example.org")
    path = f"/v1/records/{made['record']}"
    for number in ("0", "-1", "1.5", "9007199254740992", "18446744073709551616", "1e999", '"1"', "true"):
        answer = client.send("PATCH", path, '{"values":{"note":"x"},"version":' + number + "}")
        assert answer.status == 400 and answer.json["field"] == "version", (number, answer)
    for limit in ("0", "-1", "501", "1001", "x", "", "1e2", "99999999999999999999", "0x10", "+1", " 1"):
        answer = client.get("/v1/journal?limit=" + limit.replace(" ", "%20").replace("+", "%2B"))
        assert answer.status == 400 and answer.json["field"] == "limit", (limit, answer)


@test
def ids_that_are_none_are_refused(server):
    client = server.client()
    odd = ["x", "rec_", "rec_" + "z" * 26, "rec_" + "8" + ID, "REC_" + "0" + ID, "sub_0" + ID, "rec_" + "0" * 5000,
           "%00", "..", "%2e%2e", "rec_%F0%9F%98%80", "rec_0" + ID + "%20"]
    for text in odd:
        for path in (f"/v1/records/{text}", f"/v1/subjects/{text}", f"/v1/imports/{text}", f"/v1/journal/{text}"):
            answer = client.get(path)
            assert 400 <= answer.status < 500, (path[:80], answer)
    for method, path, body in [
            ("POST", "/v1/records/reveal", {"records": ["x"], "fields": ["email"], "purpose": "support"}),
            ("POST", "/v1/records/reveal", {"records": ["rec_0" + ID] * 1001, "fields": ["email"], "purpose": "support"}),
            ("POST", "/v1/tokens/reveal", {"tokens": ["y" * 97], "purpose": "support"}),
            ("POST", "/v1/tokens/reveal", {"tokens": ["tok_0" + ID] * 1001, "purpose": "support"}),
            ("POST", "/v1/tokens/delete", {"tokens": "all"})]:
        answer = client.send(method, path, body)
        assert answer.status == 400 and answer.json["field"], answer
    assert client.get("/v1/records/rec_0" + ID).status == 404
    assert client.post("/v1/records/reveal", {"records": ["rec_0" + ID], "fields": ["email"], "purpose": "support"}).json["missing"]


@test
def a_body_over_the_limit_is_refused_before_it_is_read(server):
    promised = 8 << 30
    head = head_of(server, "POST", "/v1/records/reveal", "Content-Type: application/json", f"Content-Length: {promised}")
    started = time.monotonic()
    answer = raw(server, head)
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert time.monotonic() - started < 10

    before = server.memory()
    chunk = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
    head = head_of(server, "POST", "/v1/records/reveal", "Content-Type: application/json", "Transfer-Encoding: chunked")
    answer = raw(server, head, more=(chunk for _ in range(64)))
    assert not answer or answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert server.memory() - before < (48 << 20), "what is over the limit is not kept"
    answer = raw(server, head_of(server, "POST", "/v1/records/reveal", "Content-Type: application/json",
                                 "Content-Length: 100000000", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]


@test
def many_large_bodies_at_once_share_one_room(server):
    """Each is within its own limit, and none ever ends."""
    size, callers = 30 << 20, 16
    before = server.memory()
    head = head_of(server, "POST", "/v1/collections/people/records", "Content-Type: application/json", f"Content-Length: {size}")
    context = ssl.create_default_context(cafile=str(server.store.dir / "ca.pem"))
    held, answers = [], []
    for _ in range(callers):
        tls = context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="127.0.0.1")
        tls.settimeout(20)
        held.append(tls)
        try:
            tls.sendall(head)
            for _ in range(29):
                tls.sendall(b" " * (1 << 20))
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            answers.append(tls)
    assert answers, "nobody was refused"
    assert create(server.client(), "ext:small", email="small@example.org"), "daily work goes on"
    grown = server.memory() - before
    for tls in held:
        tls.close()
    # A sanitizer keeps freed memory for a while.
    assert grown < ((1000 if SANITIZED else 400) << 20), f"{grown >> 20} MiB more"
    body = json.dumps({"records": [{"subject": "ext:small", "values": {"note": "x" * 1000}}] * 300})
    eventually(lambda: server.client().post("/v1/collections/people/records", body).status == 201, "the room is free again")


@test
def values_and_lists_over_their_limits_are_named(server):
    client = server.client()
    path = "/v1/collections/people/records"
    cases = [
        ({"subject": "ext:1", "values": {"note": "x" * 70_000}}, "values.note"),
        ({"subject": "ext:1", "values": {"name": "x" * 300}}, "values.name"),
        ({"records": [{"subject": "ext:1", "values": {"name": "x"}}] * 1001}, "records"),
        ({"subject": "ext:1", "values": {f"f{i}": "x" for i in range(201)}}, "values"),
    ]
    for body, field in cases:
        answer = client.post(path, body)
        assert answer.status in (400, 413) and answer.json["field"] == field, (field, answer)


@test
def requests_that_are_no_http_are_refused(server):
    authorization = f"Authorization: Bearer {server.store.owner_key}"
    heads = [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G" * 70_000,
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X-Long: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(5000)) + b"\r\n",
        b"POST /v1/records/reveal HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/records/reveal HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v1/records/reveal HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/records/reveal HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /v1/%2e%2e/records HTTP/1.1\r\nHost: a\r\n" + authorization.encode() + b"\r\n\r\n",
        b"GET /v1//records HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/records/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    for head in heads:
        answer = raw(server, head, patience=15)
        assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 50")), (head[:60], answer[:100])
        assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.1 502", b"HTTP/1.1 503")), (head[:60], answer[:100])
    client = server.client()
    assert client.send("DELETE", "/healthz").status == 405
    assert client.send("PUT", "/v1/records/reveal", {}).status == 405
    wrong_type = client.send("POST", "/v1/records/reveal", b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert wrong_type.status == 415, wrong_type


@test
def hostile_headers_do_no_harm(server):
    client = server.client()
    made = create(client, "ext:headers", email="a@example.org")
    path = f"/v1/records/{made['record']}"
    for name, value, statuses in [
            ("If-Match", "x", (400,)), ("If-Match", '"99999999999999999999"', (400,)), ("If-Match", '"0"', (400, 409, 412)),
            ("Idempotency-Key", "x" * 5000, (200, 400)), ("traceparent", "x" * 500, (200,)),
            ("User-Agent", "\\x00" * 500, (200,)), ("X-Forwarded-For", "1.2.3.4, " * 300, (200,)), ("Cookie", "a=" + "b" * 5000, (200,))]:
        method = "PATCH" if name == "If-Match" else "GET"
        answer = client.send(method, path, {"values": {"note": "x"}} if method == "PATCH" else None, headers={name: value})
        assert answer.status in statuses, (name, value[:40], answer)
    for key in ("Basic YTpi", "Bearer", "Bearer " + "x" * 8000, "bearer " + server.store.owner_key + " ", "Bearer\t" + server.store.owner_key):
        answer = client.send("GET", path, headers={"Authorization": key}, key="")
        assert answer.status in (200, 400, 401, 431), (key[:30], answer)


@test
def a_trace_is_logged_when_it_is_well_formed_and_else_nothing_of_it(server):
    def logged(traceparent):
        """The line of a request, which is written after the answer."""
        answer = raw(server, head_of(server, "GET", "/healthz", f"traceparent: {traceparent}"))
        request = re.search(rb"(?i)x-request-id: (\S+)", answer)[1].decode()
        line = eventually(lambda: next((one for one in server.log().splitlines() if request in one), None), "its line")
        return json.loads(line)["log"]

    trace, span = "5ca1ab1e" * 4, "feedbead" * 2
    assert logged(f"00-{trace}-{span}-01")["trace"] == trace
    odd, none = "0ddba11" + "0" * 25, "0" * 32
    for broken in (f"01-{odd}-{span}-01", f"00-{odd.upper()}-{span}-01", f"00-{odd}-{'0' * 16}-01",
                   f"00-{none}-{span}-01", f"00-{odd}-{span}", f"00-{odd}-{span}-01-{odd}", f"00-{odd}-{span}-zz",
                   f"00-{odd[:-1]}x-{span}-01", f"00-{odd}-{span[:-1]}x-01", f"00_{odd}_{span}_01", odd,
                   f'00-{odd[:-2]}"}}-{span}-01', ""):
        line = logged(broken)
        assert line["operation"] == "server.health" and line["status"] == 200 and "trace" not in line, (broken, line)
    assert odd[:7] not in server.log().lower() and span not in server.log() and none not in server.log()


@test
def someone_elses_record_stays_closed_whatever_is_tried(server):
    client = server.client()
    own = create(client, "ext:me", email="me@example.org", name="Same Name")
    other = create(client, "ext:you", email="you@example.org", name="Same Name")
    token = client.good("POST", "/v1/tokens", {"subject": "ext:you", "collection": "people", "values": {"email": "you@example.org"}})
    token = token["items"][0]["tokens"]["email"]["token"]
    shop = client.good("POST", "/v1/api-keys", {"name": "storefront", "roles": ["service"], "acts_for": ["customer"]})["api_key"]
    me = {"purpose": "self_service", "on_behalf_of": "customer:me"}
    tries = [
        (f"/v1/records/{other['record']}/reveal", {"fields": ["email"], **me}),
        ("/v1/records/reveal", {"records": [other["record"]], "fields": ["email"], **me}),
        ("/v1/records/reveal", {"records": [own["record"], other["record"]], "fields": ["email"], **me}),
        (f"/v1/records/{other['record']}/verify", {"field": "email", "value": "you@example.org", **me}),
        ("/v1/tokens/reveal", {"tokens": [token], **me}),
        ("/v1/collections/people/search", {"q": {"name": "Same Name"}, **me}),
        ("/v1/collections/people/search", {"q": {"email": "you@example.org"}, **me}),
    ]
    for path, body in tries:
        answer = client.post(path, body, key=shop)
        assert answer.status in (200, 403), (path, answer)
        assert "you@example.org" not in answer.body.decode() and not answer.json.get("matches"), (path, answer)
    found = client.post("/v1/collections/people/search", tries[5][1], key=shop).json["records"]
    assert [one["record"] for one in found] == [own["record"]], found
    for person in ("customer:", "customer:you\u0000", "customer: you", "Customer:you", "customer:you:me", "staff:you", "you", ":", "customer:" + "y" * 300):
        answer = client.post(f"/v1/records/{other['record']}/reveal",
                             {"fields": ["email"], "purpose": "self_service", "on_behalf_of": person}, key=shop)
        assert answer.status in (400, 403), (person, answer)


@test
def many_connections_from_one_address_are_bounded(store):
    with Store() as own, own.serve("--set", "server.connections_per_address=20") as server:
        held = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(40)]
        for one in held:
            one.setblocking(False)

        def let_go(one):
            """Whether the server closed it; those that it keeps say nothing."""
            try:
                return one.recv(1, socket.MSG_PEEK) == b""
            except BlockingIOError:
                return False
            except OSError:
                return True

        eventually(lambda: sum(map(let_go, held)) == 20, "as many as are too many are closed")
        for one in held:
            one.close()

        def served():
            try:
                return server.client().get("/healthz").status == 200
            except OSError:
                return False

        eventually(served, "they are let go again")


if __name__ == "__main__":
    with Store() as shop, shop.serve() as served:
        declare(served.client())
        failed = main(store=shop, server=served)
        alive = served.process.poll() is None and served.client().get("/healthz").status == 200
        print(f"{'PASS' if alive else 'FAIL'} the server is alive after all of it")
        status = served.stop()
        print(f"{'PASS' if status == 0 else 'FAIL'} and ends well")
        if status:
            print(served.log()[-3000:])
    sys.exit(failed or status or not alive)
