#!/usr/bin/env python3
"""Fill through the built program: labels, letters and mail from tokens, what is left and said, a
stream far larger than memory should ever be, and clients that do not do their part."""
import base64
import os
import socket
import ssl
import sys
import threading

from support import SANITIZED, Store, declare, main, test

MIB = 1 << 20
LARGE = int(os.environ.get("HOLDFAST_TEST_FILL_MIB", "32" if SANITIZED else "256")) * MIB
MARGIN = (500 if SANITIZED else 100) * MIB
UNKNOWN = "tok_01j0000000e0000000000000ff"


def tokens(server, count=1, **values):
    """Tokens by field of so many customers."""
    items = [{"subject": f"ext:{next(iter(values.values()))}-{i}", "collection": "people", "values": values} for i in range(count)]
    made = server.client().good("POST", "/v1/tokens", {"items": items})["items"]
    return [{field: view["token"] for field, view in one["tokens"].items()} for one in made]


def converse(server, target, pieces, take):
    """Sends chunk by chunk while another thread takes what comes; the trailer, or None when the answer
    was cut off."""
    context = ssl.create_default_context(cafile=str(server.store.dir / "ca.pem"))
    head = (f"POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.store.owner_key}\r\n"
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n").encode()
    # Two sockets' ends of one TLS object must not be used at once, so it works on memory.
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.settimeout(120)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    lock = threading.Lock()

    def pump():
        data = outgoing.read()
        if data:
            sock.sendall(data)

    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            pump()
            incoming.write(sock.recv(65536))
    pump()
    answer = bytearray()
    ended = []

    def reader():
        while True:
            data = sock.recv(262144)
            with lock:
                incoming.write(data) if data else incoming.write_eof()
                try:
                    while chunk := tls.read(262144):
                        take_bytes(chunk)
                    return
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    return
            if not data:
                return

    def take_bytes(chunk):
        answer.extend(chunk)
        if not ended and b"\r\n\r\n" not in answer[:65536]:
            return
        if not ended:
            status, _, rest = bytes(answer).partition(b"\r\n\r\n")
            ended.append(status)
            answer[:] = rest
        while True:  # whole chunks
            end = answer.find(b"\r\n")
            if end < 0:
                return
            size = int(answer[:end], 16)
            if size == 0 or len(answer) < end + 4 + size:
                return
            take(bytes(answer[end + 2:end + 2 + size]))
            del answer[:end + 4 + size]

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        for data in [head, *[None]]:
            with lock:
                if data:
                    tls.write(data)
                out = outgoing.read()
            if out:
                sock.sendall(out)
        for piece in pieces:
            with lock:
                tls.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                out = outgoing.read()
            sock.sendall(out)
        with lock:
            tls.write(b"0\r\n\r\n")
            out = outgoing.read()
        sock.sendall(out)
    except OSError:
        pass  # the server ended it: what came before says why
    thread.join()
    sock.close()
    rest = bytes(answer)
    if not rest.startswith(b"0\r\n"):
        return None
    return dict(line.decode().split(": ", 1) for line in rest[3:].split(b"\r\n") if line)


@test
def labels_are_filled_on_the_command_line(store, server):
    declare(server.client())
    one = tokens(server, name="Ann, A", phone="+49 30 123")[0]
    run = lambda text, *words, **more: store.run("fill", "--purpose", "support", *words, server=server, stdin=text.encode(), **more)

    done = run(f"name,phone\n{one['name']},{one['phone']}\n", "--format", "csv")
    assert (done.code, done.err) == (0, ""), done
    assert done.out == 'name,phone\n"Ann, A",+49 30 123\n', done
    assert run(f'["{one["name"]}"]', "--format", "json").out == '["Ann, A"]'
    assert run(f'<a b="{one["name"]}"/>', "--format", "xml").out == '<a b="Ann, A"/>'
    assert run(f"Subject: Dear {one['name']}\n\n{one['phone']}\n", "--format", "mail").out == "Subject: Dear Ann, A\n\n+49 30 123\n"

    into = store.base / "label.csv"
    (store.base / "in.csv").write_text(f"a,{one['phone']}\n")
    assert run("", store.base / "in.csv", "--format", "csv", "--output", into).code == 0
    assert into.read_text() == "a,+49 30 123\n"


@test
def what_is_left_is_said_and_listed(store, server):
    one = tokens(server, name="Bob")[0]["name"]
    done = store.run("fill", "--purpose", "support", "--format", "csv", server=server, stdin=f"{one}\n{UNKNOWN}\n".encode())
    assert done.code == 1 and done.out == f"Bob\n{UNKNOWN}\n", done
    assert "1 left as they stand (not_found=1)" in done.err, done
    report = done.err.split("`")[1].split()[-1]
    listed = store.run("fills", "get", report, server=server).rows[0]
    assert listed["refusals"] == [{"token": UNKNOWN, "line": 2, "reason": "not_found"}], listed

    assert store.run("fill", "--purpose", "gossip", "--format", "csv", server=server, stdin=b"a").code == 1
    assert store.run("fill", "--purpose", "support", server=server, stdin=b"a").code == 1
    key = server.client().good("POST", "/v1/api-keys", {"name": "auditor", "roles": ["auditor"]})["api_key"]
    assert store.run("fill", "--purpose", "support", "--format", "csv", server=server, stdin=b"a", key=key).code == 3
    packer = server.client().good("POST", "/v1/api-keys", {"name": "packer", "roles": ["fulfilment"]})["api_key"]
    done = store.run("fill", "--purpose", "order_fulfilment", "--format", "csv", server=server, stdin=one.encode(), key=packer)
    assert (done.code, done.out) == (0, "Bob"), done
    mail = tokens(server, email="bob@example.org")[0]["email"]
    done = store.run("fill", "--purpose", "order_fulfilment", "--format", "csv", server=server, stdin=mail.encode(), key=packer)
    assert (done.code, done.out) == (1, mail) and "forbidden=1" in done.err, done


@test
def every_customer_shown_is_in_the_journal(server):
    client = server.client()
    some = tokens(server, 3, name="Cas")
    text = "".join(one["name"] + "\n" for one in some)
    done = client.send("POST", "/v1/fill?purpose=support", text, headers={"Content-Type": "text/csv"})
    assert done.status == 200 and done.body == b"Cas\n" * 3, done
    for i in range(3):
        seen = client.good("GET", f"/v1/subjects/ext:Cas-{i}/accesses")
        assert any("fill" in str(entry) for entry in seen["accesses"]), seen


@test
def a_broken_text_ends_without_its_end(server):
    one = tokens(server, name="Dan")[0]["name"]
    got = []
    pieces = [b"a,b\n" * 16_000 for _ in range(20)] + [f'"{one}\n'.encode()]
    assert converse(server, "/v1/fill?purpose=support&format=csv", pieces, got.append) is None
    assert b"".join(got).startswith(b"a,b\n") and b"Dan" not in b"".join(got)


def from_base64(take):
    """Gives take() the text of a mail that is one base64 part."""
    rest, head = bytearray(), [True]

    def taker(chunk):
        rest.extend(chunk)
        if head:
            end = rest.find(b"\n\n")
            if end < 0:
                return
            del rest[:end + 2]
            head.clear()
        text = rest.replace(b"\n", b"")
        whole = len(text) // 4 * 4
        take(base64.b64decode(text[:whole]))
        rest[:] = text[whole:]

    return taker


# What comes first, a row with a token, one without, what comes last.
STREAMS = {
    "csv": (b"", b'4711,"%s",some street 12,a city\n', b"4712,nobody,some street 12,a city\n", b""),
    "json": (b"", b'{"id":4711,"name":"%s"}\n', b'{"id":4712,"name":"nobody","city":"some city"}\n', b""),
    "xml": (b"<list>\n", b'<one id="4711">%s</one>\n', b'<one id="4712" city="some city">nobody</one>\n', b"</list>\n"),
    "mail": (b"Subject: All of you\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n",
             b"Dear %s,\n", b"nobody who lives in some street 12 in a city is meant by this\n", b""),
}


@test
def a_stream_of_any_length_passes_in_flat_memory():
    for kind, (first, row, other, last) in STREAMS.items():
        with Store() as own, own.serve() as server:
            declare(server.client())
            one = tokens(server, name="Eve")[0]["name"].encode()
            piece = row % one + other * 1500
            piece += b"\n" * (-len(piece) % 57)  # whole lines of base64
            sent = base64.encodebytes(piece) if kind == "mail" else piece
            count = (LARGE if kind == "csv" else LARGE // 2) // len(sent) + 1  # over MARGIN, but under a sanitizer
            taken = {"bytes": 0, "Eve": 0, "end": b""}

            def take(chunk):
                text = taken["end"] + chunk
                taken["bytes"] += len(chunk)
                taken["Eve"] += text.count(b"Eve")
                taken["end"] = text[-2:]

            def pieces():
                yield from [first] if first else []
                yield from (sent for _ in range(count))
                yield from [last] if last else []

            before = server.memory()
            trailer = converse(server, f"/v1/fill?purpose=support&format={kind}", pieces(),
                               from_base64(take) if kind == "mail" else take)
            grown = server.memory() - before
            assert trailer and trailer["Holdfast-Filled"] == str(count), (kind, trailer)
            around = 0 if kind == "mail" else len(first + last)
            wanted = around + count * (len(piece) - len(one) + len("Eve"))
            assert (taken["bytes"], taken["Eve"]) == (wanted, count), (kind, taken)
            assert grown < MARGIN, f"{kind}: {grown >> 20} MiB more"
            assert server.stop() == 0


if __name__ == "__main__":
    with Store() as a_store, a_store.serve() as a_server:
        status = main(store=a_store, server=a_server)
        assert a_server.stop() == 0
        checked = a_store.check_state()
        assert checked.code == 0, checked
    sys.exit(status)
