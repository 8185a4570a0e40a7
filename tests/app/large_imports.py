#!/usr/bin/env python3
"""Imports that are larger than memory should ever be: a line of a gigabyte, and many rows."""
import os
import socket
import ssl
import sys
import time

from support import SANITIZED, Store, main, test

MAPPING = "%7B%22collection%22%3A%22people%22%2C%22external_id%22%3A%22id%22%2C%22fields%22%3A%7B%22email%22%3A%22mail%22%2C%22name%22%3A%22name%22%7D%7D"
# A sanitizer keeps freed memory for a while and shadows all of it.
MARGIN = (700 if SANITIZED else 200) << 20
LONG_LINE = int(os.environ.get("HOLDFAST_TEST_LONG_LINE_MIB", "64" if SANITIZED else "1024")) << 20
ROWS = int(os.environ.get("HOLDFAST_TEST_ROWS", "20000" if SANITIZED else "200000"))


def upload(server, pieces):
    """Sends an import chunk by chunk, generated on the way; the parsed answer."""
    import json
    context = ssl.create_default_context(cafile=str(server.store.dir / "ca.pem"))
    head = (f"POST /v1/imports?mapping={MAPPING} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.store.owner_key}\r\n"
            "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n").encode()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port)), server_hostname="127.0.0.1") as tls:
        tls.settimeout(300)
        tls.sendall(head)
        for piece in pieces:
            tls.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        tls.sendall(b"0\r\n\r\n")
        answer = b""
        while chunk := tls.recv(65536):
            answer += chunk
    status, _, rest = answer.partition(b"\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 201"), answer[:500]
    return json.loads(rest)


@test
def a_line_of_a_gigabyte_is_refused_in_flat_memory(server):
    piece = b"x" * (1 << 20)

    def table():
        yield b"id,mail,name\n1,ann@example.org,Ann\n2,"
        for _ in range(LONG_LINE // len(piece)):
            yield piece
        yield b",Bob\n3,cas@example.org,Cas\n"

    before = server.memory()
    report = upload(server, table())
    grown = server.memory() - before
    assert report["created"] == 2 and report["refused"] == 1, report
    assert report["refusals"][0]["line"] == 3, report
    assert report["bytes"] > LONG_LINE, report
    assert grown < MARGIN, f"{grown >> 20} MiB more"


@test
def an_unclosed_quote_does_not_swallow_the_memory(server):
    piece = b"1,ann@example.org,Ann\n" * 4_000
    size = 1_300_000  # a row may have 1 MiB

    def table():
        yield b'id,mail,name\n7,"'
        for _ in range(size // len(piece) + 1):
            yield piece

    before = server.memory()
    report = upload(server, table())
    grown = server.memory() - before
    assert report["created"] == 0 and report["refused"] >= 1, report
    assert report["refusals"][0]["line"] == 2, report
    assert grown < MARGIN, f"{grown >> 20} MiB more"


@test
def many_rows_go_in_with_flat_memory_and_show_progress(server):
    def table():
        yield b"id,mail,name\n"
        for at in range(0, ROWS, 1000):
            yield b"".join(b"m%d,c%d@example.org,Name %d\n" % (i, i, i) for i in range(at, min(at + 1000, ROWS)))

    before = server.memory()
    started = time.monotonic()
    report = upload(server, table())
    seconds = time.monotonic() - started
    grown = server.memory() - before
    assert report["created"] == ROWS and report["refused"] == 0, report
    assert grown < MARGIN, f"{grown >> 20} MiB more"
    client = server.client()
    found = client.good("POST", "/v1/collections/people/search", {"q": {"email": f"c{ROWS - 1}@example.org"}, "purpose": "support"})
    assert len(found["records"]) == 1
    again = client.get(f"/v1/imports/{report['import']}").json
    assert again["created"] == ROWS and again["state"] == "done", again
    print(f"  {ROWS / seconds:,.0f} rows/s, {grown >> 20} MiB more, {server.memory() >> 20} MiB at most")


if __name__ == "__main__":
    with Store() as shop, shop.serve() as served:
        served.client().good("PUT", "/v1/collections/people", {"fields": [
            {"name": "email", "type": "email", "index": "exact"}, {"name": "name", "type": "name", "index": "exact"}]})
        failed = main(server=served)
        status = served.stop()
    sys.exit(failed or status)
