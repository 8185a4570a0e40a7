#!/usr/bin/env python3
"""Imports that are larger than memory should ever be: a line of a gigabyte, and many rows; and the
files of whole shops, each with its preset and nothing else."""
import csv
import io
import os
import runpy
import socket
import ssl
import sys
import time

from support import ROOT, SANITIZED, Store, eventually, main, test

MAPPING = "%7B%22collection%22%3A%22people%22%2C%22external_id%22%3A%22id%22%2C%22fields%22%3A%7B%22email%22%3A%22mail%22%2C%22name%22%3A%22name%22%7D%7D"
# A sanitizer keeps freed memory for a while and shadows all of it.
MARGIN = (700 if SANITIZED else 200) << 20
LONG_LINE = int(os.environ.get("HOLDFAST_TEST_LONG_LINE_MIB", "64" if SANITIZED else "1024")) << 20
ROWS = max(20_000, int(os.environ.get("HOLDFAST_TEST_ROWS", "20000" if SANITIZED else "200000")))  # several batches
SHOP_ROWS = int(os.environ.get("HOLDFAST_TEST_ROWS", "2000"))
SEED = 7
write_shop = runpy.run_path(str(ROOT / "tools" / "make_sample_shop"))["write"]


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
    piece = b"u,ann@example.org,Ann,%s\n" % (b"x" * 200) * 400
    size = 1_300_000  # a row may have 1 MiB

    def table():
        yield b'id,mail,name,more\n7,"'
        for _ in range(size // len(piece) + 1):
            yield piece

    before = server.memory()
    report = upload(server, table())
    grown = server.memory() - before
    assert report["created"] == 1 and report["refused"] >= 1, report
    assert report["refusals"][0]["line"] == 2, report
    assert grown < MARGIN, f"{grown >> 20} MiB more"


@test
def many_rows_go_in_with_flat_memory_and_show_progress(server):
    asking = server.client()
    half_way = []

    def running():
        """The report of the import that is under way. Its first batch's entry names it."""
        newest = asking.good("GET", "/v1/journal?operation=imports.create&limit=1")["entries"]
        facts = asking.good("GET", f"/v1/journal/{newest[0]['id']}")["event"]["unmapped"]["facts"] if newest else {}
        report = asking.get(f"/v1/imports/{facts['import']}").json if facts else {}  # 404 until that batch is counted
        return report.get("state") == "running" and report

    def table():
        yield b"id,mail,name\n"
        for at in range(0, ROWS, 1000):
            if at >= ROWS // 2 and not half_way:
                half_way.append(eventually(running, "the import shows how far it is"))
            yield b"".join(b"m%d,c%d@example.org,Name %d\n" % (i, i, i) for i in range(at, min(at + 1000, ROWS)))

    before = server.memory()
    started = time.monotonic()
    report = upload(server, table())
    seconds = time.monotonic() - started
    grown = server.memory() - before
    assert report["created"] == ROWS and report["refused"] == 0, report
    assert grown < MARGIN, f"{grown >> 20} MiB more"
    assert half_way[0]["import"] == report["import"] and 0 < half_way[0]["rows"] <= ROWS // 2, half_way
    assert 0 < half_way[0]["created"] <= half_way[0]["rows"], half_way
    client = server.client()
    found = client.good("POST", "/v1/collections/people/search", {"q": {"email": f"c{ROWS - 1}@example.org"}, "purpose": "support"})
    assert len(found["records"]) == 1
    again = client.get(f"/v1/imports/{report['import']}").json
    assert again["created"] == ROWS and again["state"] == "done", again
    print(f"  {ROWS / seconds:,.0f} rows/s, {grown >> 20} MiB more, {server.memory() >> 20} MiB at most")


REASONS = {"too many columns": "more columns than the header has", "too few columns": "fewer columns than the header has",
           "no email": "not an email address", "not UTF-8": "not valid UTF-8: save the file as UTF-8"}  # the later of two rows of one id counts


def shop_file(preset, part):
    """A file of an invented shop; its whole rows by their numbers; line and reason of those to be refused (how
    many columns a row has, its end shows)."""
    out = io.BytesIO()
    broken = write_shop(out, preset, part, SHOP_ROWS, SEED)
    reader = csv.reader(io.StringIO(out.getvalue().decode(errors="replace"), newline=""))
    header = next(reader)
    whole, planted = {}, []
    for number in range(1, SHOP_ROWS + 1):
        line, row, how = reader.line_num + 1, next(reader), broken.get(number)
        if not how:
            whole[number] = dict(zip(header, row))
        elif how in REASONS:
            planted.append((reader.line_num if "columns" in how else line, REASONS[how]))
    return out.getvalue(), whole, planted


def goes_in(client, preset, file, planted, left_out=()):
    """The report of an import in which nothing but the planted rows was refused."""
    report = client.good("POST", f"/v1/imports?preset={preset}", file, headers={"Content-Type": "text/csv"})
    assert report["state"] == "done" and report["rows"] == SHOP_ROWS and not report["failure"], report
    assert report["refused"] == len(planted), (report["refused"], len(planted))
    listed = [(one["line"], one["reason"]) for one in report["refusals"]]
    assert listed == planted, [one for one in zip(listed, planted) if one[0] != one[1]]
    assert report["unknown_columns"] == [], report["unknown_columns"]
    assert [one["column"] for one in report["left_out"]] == list(left_out), report["left_out"]
    return report


@test
def each_file_of_a_shop_goes_in_with_its_preset_alone():
    for preset, part, left_out in (("shopify", "customers", ()), ("woocommerce", "users", ()), ("woocommerce", "report", ("AOV",))):
        with Store() as own, own.serve() as server:
            file, whole, planted = shop_file(preset, part)
            report = goes_in(server.client(timeout=300), preset, file, planted, left_out)
            assert report["customers"] == len(whole), report
            assert server.stop() == 0


MAGENTO_LEFT_OUT = {
    "customers": ("confirmation", "created_in", "disable_auto_group_change", "password_hash", "rp_token", "rp_token_created_at",
                  "store_id", "website_id", "password"),
    "addresses": ("region_id", "vat_is_valid", "vat_request_date", "vat_request_id", "vat_request_success")}


@test
def both_files_of_magento_meet_in_one_customer():
    with Store() as own, own.serve() as server:
        client = server.client(timeout=300)
        file, whole, planted = shop_file("magento", "customers")
        report = goes_in(client, "magento", file, planted, MAGENTO_LEFT_OUT["customers"])
        assert report["customers"] == len(whole), report
        file, addresses, planted = shop_file("magento", "addresses")
        planted = [one for one in planted if one[1] != REASONS["no email"]]  # it is an id there, and no email
        report = goes_in(client, "magento", file, planted, MAGENTO_LEFT_OUT["addresses"])
        assert report["customers"] <= SHOP_ROWS - len(whole), "only who was refused before is new"

        for number in list(whole)[::max(1, len(whole) // 20)]:
            query = {"q": {"email": whole[number]["email"]}, "purpose": "support"}
            found = client.good("POST", "/v1/collections/customers/search", query)["records"]
            assert len(found) == 1, (number, found)
            records = client.good("GET", f"/v1/subjects/{found[0]['subject']}")["records"]
            theirs = {(one["collection"], one["slot"]): one["record"] for one in records}
            assert set(theirs) == {("customers", "main"), ("addresses", str(number))}, (number, theirs)
            shown = client.reveal(theirs["addresses", str(number)], ["line1", "city"]).json["values"]
            expected = addresses[number]["street"].replace("\n", ", "), addresses[number]["city"]
            assert (shown.get("line1", ""), shown.get("city", "")) == expected, (number, shown)
        assert server.stop() == 0


if __name__ == "__main__":
    with Store() as shop, shop.serve() as served:
        served.client().good("PUT", "/v1/collections/people", {"fields": [
            {"name": "email", "type": "email", "index": "exact"}, {"name": "name", "type": "name", "index": "exact"}]})
        failed = main(server=served)
        status = served.stop()
    sys.exit(failed or status)
