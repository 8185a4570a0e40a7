#!/usr/bin/env python3
"""What the command line does with mistakes, files, pipes and odd ids, and what it says of them."""
import errno
import json
import os
import pty
import re
import shlex
import sqlite3
import stat
import subprocess
import sys
import termios
import threading
from concurrent.futures import ThreadPoolExecutor

from support import BIN, ROOT, Store, create, declare, eventually, main, test

DONE, FAILED, USAGE, REFUSED, NOT_FOUND, CONFLICT, UNAVAILABLE = range(7)
MAPPING = {"collection": "people", "external_id": "id", "fields": {"email": "mail"}}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# ── imports

@test
def an_import_that_brings_nothing_in_fails_and_still_shows_its_report(store, server):
    file, report = store.base / "in.csv", store.base / "refused.csv"
    words = ["imports", "create", "--mapping", json.dumps(MAPPING), file, "--report", report]
    for content in (b"", b"\x00\x01junk\xff", b"a,b\n1,2\n", b"id,mail\n1,none\n2,neither\n"):
        file.write_bytes(content)
        done = store.run(*words, server=server)
        assert done.code == FAILED and "nothing" in done.err, (content, done)
        assert "import" in done.rows[0], done
    assert report.read_text().count("\n") == 3 and mode(report) == 0o600, report.read_text()
    file.write_bytes(b"id,mail\n1,none\n2,ann@example.org\n")
    assert store.run(*words, server=server).code == DONE


@test
def a_report_says_how_many_refused_rows_it_does_not_list(store, server):
    file, report = store.base / "in.csv", store.base / "refused.csv"
    file.write_bytes(b"id,mail\ngood,good@example.org\n" + b"".join(b"%d,none\n" % i for i in range(10_050)))
    done = store.run("imports", "create", "--mapping", json.dumps(MAPPING), file, "--report", report, server=server)
    assert done.code == DONE, done.err
    lines = report.read_text().splitlines()
    assert len(lines) == 1 + 10_000 + 1 and lines[1].startswith("3,") and "and 50 more" in lines[-1], lines[-1]


@test
def a_report_that_cannot_be_written_stops_an_import_before_it_starts(store, server):
    file = store.base / "in.csv"
    file.write_bytes(b"id,mail\nunsent,ann@example.org\n")
    done = store.run("imports", "create", "--mapping", json.dumps(MAPPING), file, "--report", "/nope/rep.csv", server=server)
    assert done.code == FAILED and "--report" in done.err and not done.out, done
    assert server.client().get("/v1/subjects/ext:unsent").status == 404


@test
def a_mapping_may_be_a_file_with_line_breaks(store, server):
    file, mapping = store.base / "in.csv", store.base / "mapping.json"
    file.write_bytes(b"id,mail\nmapped,ann@example.org\n")
    pretty = json.dumps(MAPPING, indent=2)
    mapping.write_text(pretty + "\n")
    for given, stdin in ((f"@{mapping}", b""), (pretty, b""), ("-", pretty.encode())):
        done = store.run("imports", "create", "--mapping", given, file, server=server, stdin=stdin)
        assert done.code == DONE, done
    for broken in ('{"collection":\n', '{"a":1,"a":2}', "[1,"):
        refused = store.run("imports", "create", "--mapping", broken, file, server=server)
        assert refused.code == FAILED and "--mapping" in refused.err, refused
    values = store.run("records", "update", "rec_x", "--values", "-", server=server, stdin=b'{"note":\n"x"')
    assert values.code == FAILED and "--values" in values.err, values


@test
def the_answer_of_an_import_is_a_table_on_a_terminal_unless_json_is_asked_for(store, server):
    file = store.base / "in.csv"
    file.write_bytes(b"id,mail\nshown,shown@example.org\n")
    words = ["imports", "create", "--mapping", json.dumps(MAPPING), str(file)]
    assert "state: done" in shown_on_terminal(store, server, *words, columns=1000)
    told = json.loads("".join(shown_on_terminal(store, server, *words, "--json", columns=1000)))
    assert told["state"] == "done", told
    piped = store.run(*words, "--json", server=server)
    assert piped.code == DONE and piped.rows[0]["state"] == "done", piped


# ── what is sent

@test
def a_schema_may_be_toml(store, server):
    file = store.base / "orders.toml"
    file.write_text('doc = "A parcel."  # with a comment\n[[fields]]\nname = "recipient"\ntype = "name"\n')
    done = store.run("collections", "put", "orders", "--body", f"@{file}", server=server)
    assert done.code == DONE and done.rows[0]["doc"] == "A parcel.", done
    file.write_text('doc = "A parcel."\ndoc = "Twice."\n')
    refused = store.run("collections", "put", "orders", "--body", f"@{file}", server=server)
    assert refused.code == FAILED and "TOML" in refused.err, refused


@test
def a_body_that_may_be_personal_is_not_taken_from_the_command_line(store, server):
    create(server.client(), "ext:argv", email="argv@example.org")
    body = json.dumps({"subject": "ext:argv", "kind": "ticket", "reference": "T-argv"})
    refused = store.run("engagements", "open", "--body", body, server=server)
    assert refused.code == FAILED and "body: " in refused.err and "--body @FILE" in refused.err, refused
    assert "T-argv" not in refused.err, refused
    file = store.base / "open.json"
    file.write_text(body)
    assert store.run("engagements", "open", "--body", f"@{file}", server=server).code == DONE
    find = json.dumps({"kind": "ticket", "reference": "T-argv"}).encode()
    assert store.run("engagements", "find", "--body", "-", server=server, stdin=find).code == DONE
    assert store.run("roles", "put", "argv", "--body", '{"permissions":["journal.list"]}', server=server).code == DONE
    assert "--body -|@FILE" in store.run("engagements", "open", "--help").out
    assert "--body JSON|-|@FILE" in store.run("roles", "put", "--help").out


@test
def backup_is_one_word_too(store, server):
    done = store.run("backup", server=server)
    assert done.code == DONE and os.path.exists(done.rows[0]["data"]), done


@test
def a_customer_whose_id_has_a_slash_can_be_named(store, server):
    client = server.client()
    declare(client)
    create(client, "ext:A/1", email="ann@example.org")
    create(client, "ext:/RE 2026/11-7", email="bob@example.org")
    for subject in ("ext:A/1", "ext:/RE 2026/11-7"):
        assert store.run("subjects", "get", subject, server=server).code == DONE, subject
    assert client.get("/v1/subjects/ext:A%2F1/accesses").status == 200
    assert client.get("/v1/subjects/ext:A%2F1%2Faccesses").status == 404
    for hostile in ("ext:A/1", "ext:A%2F..%2F1", "ext:A%2F%2e", "ext:A%252F1", "ext:A%5C1", "ext:A%2F%00", "ext:A%2F%0a"):
        assert client.get(f"/v1/subjects/{hostile}").status in (400, 404), hostile
    erased = store.run("subjects", "erase", "ext:A/1", "--reason", "-", server=server, stdin=b"asked")
    assert erased.code == DONE, erased


@test
def a_flag_can_be_said_to_be_false(store, server):
    client = server.client()
    declare(client)
    subject = create(client, "ext:flags", email="flags@example.org")["subject"]
    opened = client.good("POST", "/v1/engagements", {"subject": "ext:flags", "kind": "ticket", "reference": "T-1"})
    store.run("engagements", "close", opened["engagement"], server=server)
    client.good("POST", "/v1/engagements", {"subject": "ext:flags", "kind": "ticket", "reference": "T-2"})
    client.good("POST", "/v1/engagements", {"subject": "ext:flags", "kind": "ticket", "reference": "T-3"})
    count = lambda *words: len(store.run("engagements", "list", "--subject", subject, "--json", *words, server=server).rows[0]["engagements"])
    assert count("--live") == count("--live=true") == 2
    assert count("--live=false") == 1 and count() == 3
    assert store.run("engagements", "list", "--live=perhaps", server=server).code == USAGE


@test
def what_is_allowed_is_said(store, server):
    for words, said in [
            (("journal", "list", "--outcome", "maybe"), "not one of the allowed values: "),
            (("journal", "list", "--limit", "0"), "out of range: 1 to "),
            (("records", "get", "4711"), "not an id of this kind: rec_..."),
            (("engagements", "find", "--kind", "x" * 300, "--reference", "-"), "longer than allowed: at most ")]:
        done = store.run(*words, server=server, stdin=b"T-1")
        assert done.code == FAILED and said in done.err, (said, done)
    number = store.run("keys", "reshare", "--needed", "two", "--total", "3", server=server)
    assert number.code == FAILED and "needed: " in number.err and "integer" in number.err, number


@test
def a_forgotten_at_is_named(store, server):
    file = store.base / "desk.json"
    file.write_text('{"permissions":["journal.list"]}')
    refused = store.run("roles", "put", "desk", "--body", file, server=server)
    assert refused.code == FAILED and "body: " in refused.err and "write @ before it" in refused.err, refused
    assert store.run("roles", "put", "desk", "--body", f"@{file}", server=server).code == DONE


@test
def an_empty_body_is_not_taken_for_a_request_for_nothing(store, server):
    empty, toml, marked = (store.base / name for name in ("empty.json", "empty.toml", "marked.json"))
    for file in (empty, toml):
        file.write_bytes(b" \n")
    marked.write_bytes(b"\xef\xbb\xbf" + b'{"permissions":["journal.list"]}')
    put = lambda *words, **more: store.run("roles", "put", "kept", *words, server=server, **more)
    role = put("--body", f"@{marked}")
    assert role.code == DONE, role
    version = store.run("roles", "get", "kept", server=server).rows[0]["version"]
    for words, stdin in ((["--body", f"@{empty}"], b""), (["--body", f"@{toml}"], b""), (["--body", f"@{store.base}"], b""),
                         (["--body", "-"], b""), (["--body", ""], b"")):
        refused = put("--if-match", str(version), *words, stdin=stdin)
        assert refused.code in (FAILED, USAGE) and "body: " in refused.err, (words, refused)
    assert store.run("roles", "get", "kept", server=server).rows[0]["permissions"] == ["journal.list"]
    folder = store.run("records", "verify", "rec_none", "--field", "email", "--value", f"@{store.base}",
                       "--purpose", "support", server=server)
    assert folder.code == FAILED and "is a folder" in folder.err, folder


@test
def spaces_after_the_commas_of_a_list_are_none_of_its_words(store, server):
    declare(server.client())
    record = create(server.client(), "ext:spaces", email="a@example.org", phone="+4930123456")["record"]
    done = store.run("records", "reveal", record, "--fields", "email, phone", "--purpose", "support", server=server)
    assert done.code == DONE and set(done.rows[0]["values"]) == {"email", "phone"}, done


@test
def a_row_of_a_restricted_customer_goes_in_whole_or_not_at_all(store, server):
    file = store.base / "restricted.csv"
    header = "Customer ID,First Name,Email,Default Address City\n"
    words = ["imports", "create", "--preset", "shopify", file]
    file.write_text(header + "9101,Half,half@example.org,\n9102,Free,free@example.org,Kiel\n")
    assert store.run(*words, server=server).rows[0]["created"] == 3
    assert store.run("subjects", "restrict", "ext:9101", "--ground", "unlawful", server=server).code == DONE

    file.write_text(header + "9101,Half,half@example.org,Ulm\n9102,Other,free@example.org,Kiel\n")
    done = store.run(*words, server=server)
    assert done.code == DONE and "nothing" not in done.err, done
    assert (done.rows[0]["refused"], done.rows[0]["created"], done.rows[0]["updated"]) == (1, 0, 1), done
    assert len(store.run("subjects", "get", "ext:9101", server=server).rows[0]["records"]) == 1

    file.write_text(header + "9101,Half,half@example.org,Ulm\n")
    alone = store.run(*words, server=server)
    assert alone.code == FAILED and "nothing of this file went in" in alone.err, alone


@test
def lines_of_json_say_what_they_lack(store, server):
    file = store.base / "lines.jsonl"
    mapping = {**MAPPING, "fields": {"email": "mail"}}
    file.write_text('{"id":"j1","e_mail":"x@example.org"}\n{"id":4.47E+12,"mail":"x@example.org"}\n'
                    '{"id":true,"mail":"x@example.org"}\n{"id":77,"mail":"ok@example.org"}\n{"id":78,"mail":null}\n')
    done = store.run("imports", "create", "--format", "json_lines", "--mapping", json.dumps(mapping), file,
                     server=server)
    report = done.rows[0]
    assert [row["line"] for row in report["refusals"]] == [1, 2, 3], done
    assert (report["customers"], report["created"]) == (2, 1), done
    bare = store.base / "map.json"
    bare.write_text(json.dumps(mapping))
    forgot = store.run("imports", "create", "--format", "json_lines", "--mapping", bare, file, server=server)
    assert forgot.code == FAILED and "write @ before it" in forgot.err, forgot


@test
def an_empty_id_is_named(store, server):
    refused = store.run("subjects", "get", "", server=server)
    assert refused.code == FAILED and "subject: it is empty" in refused.err, refused


@test
def a_stream_that_the_server_ends_is_no_success():
    with Store() as own, own.serve() as server, ThreadPoolExecutor(1) as beside:
        file = own.base / "events.txt"
        following = beside.submit(own.run, "journal", "events", "--after", "0", "--output", file, server=server)
        eventually(lambda: file.exists() and file.stat().st_size, "there are events")
        server.stop()
        done = following.result()
        assert done.code == UNAVAILABLE and "go on with --after" in done.err, done


# ── what is checked without a server

@test
def what_makes_no_store_is_named(store):
    fresh = store.base / "fresh"
    for words, said in (
            (["init", "--dir", ""], "--dir: it is empty"),
            (["config", "show", "--dir", ""], "--dir: it is empty"),
            (["init", "--dir", fresh, "--set", "server.lisen=1"], "server.lisen: there is no such setting"),
            (["init", "--dir", fresh, "--set", "lisen=1"], "lisen: there is no such setting"),
            (["init", "--dir", fresh, "--passphrase-file", "pw"], "--method passphrase")):
        done = store.run(*words)
        assert done.code == FAILED and said in done.err, (words, done)
    assert not fresh.exists()
    none = store.base / "none.json"
    none.write_text("a,b\n")
    for file in (none, "/dev/null"):
        done = store.run("proof", "verify", file)
        assert done.code == FAILED and "this is no proof" in done.err, done
    for words in (["proof", "verify"], ["journal", "check", "--export"]):
        done = store.run(*words, store.base)
        assert done.code == FAILED and "this is a folder" in done.err, done
    for words, said in ((["records", "reveal"], "record is required"), (["completion", "fish"], "fish"),
                        (["config", "show", "--dir"], "--dir")):
        done = store.run(*words)
        assert done.code == USAGE and done.err.startswith("holdfast: ") and said in done.err and "--help" in done.err, done


@test
def a_verifier_key_that_is_none_is_refused(store, server):
    proof, log = store.base / "event.json", store.base / "log.exp"
    proof.write_text(store.run("journal", "proof", "0", server=server).out)
    assert store.run("journal", "export", "--output", log, server=server).code == DONE
    key = store.run("journal", "checkpoint", server=server).rows[0]["verifier"]
    for words in (("proof", "verify", proof), ("journal", "check", "--export", log)):
        bare = store.run(*words)
        assert bare.code == DONE and "The key came with the" in bare.out and key in bare.out, bare
        good = store.run(*words, "--verifier", key)
        assert good.code == DONE and "The key came with the" not in good.out, good
        for none, said in (("", "the verifier key is empty"), ("verifier.key", "not a verifier key"), (proof, "$(cat FILE)")):
            refused = store.run(*words, "--verifier", none)
            assert refused.code == FAILED and said in refused.err and not refused.out, refused
    assert store.run("journal", "check", "--dir", store.dir, "--verifier", key).code == USAGE


# ── what is printed

@test
def a_list_in_a_pipe_says_that_there_is_more(store, server):
    first = store.run("journal", "list", "--limit", "2", server=server)
    assert first.code == DONE and len(first.rows) == 2, first
    assert first.err.startswith("more: --after "), first
    option, cursor = shlex.split(first.err)[1:]
    second = store.run("journal", "list", "--limit", "2", option, cursor, server=server)
    assert second.code == DONE and second.rows[0] != first.rows[0], second
    assert "more:" not in store.run("engagements", "list", server=server).err


@test
def a_command_takes_two_words_and_only_what_its_operation_takes(store, server):
    declare(server.client())
    done = store.run("indexes", "rebuild", "people", "email", server=server)
    assert done.code == DONE, done
    one = store.run("indexes", "rebuild", "people", server=server)
    assert one.code == USAGE and "field" in one.err, one
    for command, option, there in (("retention hold", "--idempotency-key", True),
                                   ("retention unhold", "--idempotency-key", False),
                                   ("collections put", "--if-match", True), ("purposes put", "--if-match", False)):
        assert (option in store.run(*command.split(), "--help").out) == there, (command, option)


@test
def output_files_are_private(store, server):
    file = store.base / "map.csv"
    file.write_text("old")
    file.chmod(0o644)
    for _ in range(2):
        done = store.run("reports", "data-map-csv", "--output", file, server=server)
        assert done.code == DONE and mode(file) == 0o600 and "old" not in file.read_text(), done
        file.unlink()
    assert store.run("reports", "data-map-csv", "--output", "/dev/null", server=server).code == DONE


@test
def a_file_stays_as_it_was_when_no_answer_comes(store, server):
    file, link = store.base / "kept.csv", store.base / "link.csv"
    link.symlink_to(file)
    away = {"env": {"HOLDFAST_API_KEY": store.owner_key, "HOLDFAST_URL": "https://127.0.0.1:1"}}
    refused = {"server": server, "key": "hf_live_none"}
    csv = ("reports", "data-map-csv")
    fill = ("fill", "--format", "csv", "--purpose")
    imports = ("imports", "create", "--mapping", json.dumps(MAPPING), "-")
    for words, option, options in [
            (("subjects", "export", "sub_none", "--purpose", "subject_request"), "--output", {"server": server}),
            (csv, "--output", away), (csv, "--output", refused),
            ((*fill, "gossip"), "--output", {"server": server, "stdin": b"a,b\n"}),
            ((*fill, "support"), "--output", {"server": server, "stdin": b"a,b\n" * 200_000 + b'"never closed'}),
            (imports, "--report", away), (imports, "--report", refused)]:
        file.write_text("yesterday's")
        failed = store.run(*words, option, file, **options)
        assert failed.code not in (DONE, USAGE) and file.read_text() == "yesterday's", failed
        assert not (store.base / "kept.csv.part").exists(), words
    done = store.run(*csv, "--output", link, server=server)
    assert done.code == DONE and link.is_symlink() and "yesterday" not in file.read_text(), done
    file.chmod(0o400)
    if os.geteuid() != 0:
        assert store.run(*csv, "--output", file, server=server).code == FAILED


@test
def a_file_that_is_read_is_not_written(store, server):
    file, link, part = store.base / "own.csv", store.base / "own-too.csv", store.base / "own.csv.part"
    link.symlink_to(file)
    for source, into in ((file, file), (file, link), (part, file)):
        source.write_text("id,mail\nsame,ann@example.org\n")
        for words in (("fill", "--purpose", "support", "--format", "csv", "--output", into, source),
                      ("imports", "create", "--mapping", json.dumps(MAPPING), "--report", into, source)):
            refused = store.run(*words, server=server)
            assert refused.code == FAILED and "another file" in refused.err, refused
            assert source.read_text().endswith("ann@example.org\n"), words
    assert server.client().get("/v1/subjects/ext:same").status == 404


@test
def output_may_be_standard_output_or_a_pipe(store, server):
    words = ("reports", "data-map-csv", "--output")
    for into in ("-", "/dev/stdout"):
        done = store.run(*words, into, server=server)
        assert done.code == DONE and done.out, done
    pipe = store.base / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    assert store.run(*words, pipe, server=server).code == DONE
    assert reader.communicate(timeout=60)[0] and pipe.is_fifo()


@test
def a_key_is_printed_into_a_private_file_or_not_at_all(store):
    with Store() as own:
        second, third = own.base / "second", own.base / "third"
        made, again = ("init", "--dir", second), ("access", "recover", "--dir", own.dir)

        def into(file, words):
            with open(file, "w") as out:
                return subprocess.run([BIN, *map(str, words)], stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=subprocess.PIPE, env=own.env(), timeout=60)

        for words in (made, again):
            file = own.base / "owner.key"
            file.touch()
            file.chmod(0o644)
            done = into(file, words)
            assert done.returncode == DONE and mode(file) == 0o600, (words, done)
            assert file.read_text().startswith("hf_live_"), words
        for words in (("init", "--dir", third), again):
            refused = into("/proc/self/comm", words)  # a file whose mode nobody can change
            assert refused.returncode == UNAVAILABLE and b"others can read" in refused.stderr, (words, refused)
        assert not third.exists()


# ── mistakes

@test
def a_mistyped_word_is_named(store):
    for words, named in [
            (["recods", "list"], "`recods`: did you mean records?"),
            (["subject", "get"], "`subject`: did you mean subjects?"),
            (["records", "revela"], "`revela`: did you mean reveal?"),
            (["frobnicate"], "`frobnicate`: see `holdfast --help`"),
            (["records", "frobnicate"], "see `holdfast records --help`"),
            (["records", "reveal", "R", "--field", "email"], "no option --field: did you mean --fields?"),
            (["records", "reveal", "R", "--nonsense=ann@example.org"], "no option --nonsense: see"),
            (["records", "reveal", "R", "--fields", "a", "b"], "--fields takes one word: write A,B or repeat the option")]:
        done = store.run(*words)
        assert done.code == USAGE and named in done.err and "ann@" not in done.err, done
    bare = store.run("records")
    assert bare.code == USAGE and "`holdfast records` needs a command" in bare.err, bare
    assert store.run("records", "--help").code == DONE


@test
def help_has_examples_that_run_as_written(store, server):
    shown = store.run("subjects", "export", "--help").out
    assert "holdfast subjects export SUBJECT --body -" in shown, shown
    assert "Required." in shown, shown
    assert "A,B or repeat the option" in store.run("records", "reveal", "--help").out
    declare(server.client())
    create(server.client(), "ext:example", email="ann@example.org")
    line = next(line for line in shown.splitlines() if "echo" in line).replace("holdfast", shlex.quote(BIN), 1).replace("SUBJECT", "ext:example")
    env = {**store.env(), "HOLDFAST_URL": server.url(), "HOLDFAST_CA_FILE": str(store.dir / "ca.pem"), "HOLDFAST_API_KEY": store.owner_key}
    done = subprocess.run(["bash", "-c", "set -o pipefail; " + line], env=env, capture_output=True)
    assert done.returncode == 0 and b"ann@example.org" in done.stdout, done


def commands_of(store):
    """All that can be typed, such as `records get` and `serve`: what completion knows, without the groups."""
    script = store.run("completion", "bash").out
    known = dict(re.findall(r'^ +"(\w[^"]*)"\) words="([^"]*)"', script, re.M))
    return [path for path, words in known.items() if not any(f"{path} {word}" in known for word in words.split())]


def shown_examples(store, command):
    """The lines to type in a command's help."""
    shown = store.run(*command.split(), "--help").out
    return [line.strip() for line in re.findall(r"^Example(?:, .+)?:\n  (.+)$", shown, re.M)]


def typed_example(store, command, line):
    """Types it in a folder of its own, something in place of each word in upper case, without a server."""
    folder = store.base / "typed" / command.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "given").write_text("given\n")
    put = lambda word: "shop" if word == "DIR" else "1" if word == "N" else "given" if re.search("FILE|SHARE", word) else "x"
    before, name, words = line.partition("holdfast ")
    words = re.sub(r"\b[A-Z][A-Z0-9_-]*", lambda word: put(word[0]), words)
    script = f'holdfast() {{ {shlex.quote(os.path.abspath(BIN))} "$@"; }}; set -o pipefail; {before}{name}{words}'
    env = {**store.env(), "HOLDFAST_URL": "https://127.0.0.1:1", "HOLDFAST_API_KEY": store.owner_key}
    return subprocess.run(["bash", "-c", script], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120)


@test
def every_command_has_an_example_in_its_help_whose_words_are_right(store):
    listed = (ROOT / "tests/cases/access/operations.txt").read_text().splitlines()
    operations = {line.replace(".", " ").replace("_", "-") for line in listed if line and not line.startswith("#")}
    commands = commands_of(store)
    assert operations < set(commands) and {"serve", "backup", "config show", "proof verify"} < set(commands), commands

    def check(command):
        lines = shown_examples(store, command)
        assert lines, f"{command}: no example"
        for line in lines:
            form = rf"(echo '.*' \| |umask 077; |source <\()?holdfast {command}(?![\w-])"
            assert re.match(form, line), (command, line)
            done = typed_example(store, command, line)
            if command in operations | {"backup"}:
                assert done.returncode == UNAVAILABLE and "https://127.0.0.1:1" in done.stderr, (line, done)
            else:
                assert done.returncode in range(7) and done.returncode != USAGE, (line, done)

    with ThreadPoolExecutor(4) as beside:
        list(beside.map(check, commands))


@test
def a_shell_completes_commands_and_options(store):
    script = store.base / "completion"
    script.write_text(store.run("completion", "bash").out)
    complete = ("source \"$1\" && shift && complete -p holdfast | grep -q -- '-F _holdfast' || exit 1; "
                "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _holdfast; printf '%s\\n' \"${COMPREPLY[@]}\"")
    for words, wanted in ((["records", "re"], {"reveal", "reveal-batch"}), (["rec"], {"records"}),
                          (["retention", "un"], {"unhold"}), (["records", "reveal", "REC", "--pur"], {"--purpose"}),
                          (["proof", "verify", "--ver"], {"--verifier"})):
        done = subprocess.run(["bash", "--norc", "-c", complete, "bash", script, "holdfast", *words],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and set(done.stdout.split()) == wanted, (words, done)


@test
def who_does_not_answer_is_named(store, server):
    key = {"HOLDFAST_API_KEY": store.owner_key}
    away = store.run("journal", "list", env={**key, "HOLDFAST_URL": "https://127.0.0.1:1"})
    assert away.code == UNAVAILABLE and "https://127.0.0.1:1" in away.err, away
    untrusted = store.run("journal", "list", env={**key, "HOLDFAST_URL": server.url()})
    assert untrusted.code == REFUSED and "HOLDFAST_CA_FILE is not set" in untrusted.err, untrusted
    set_wrong = store.run("journal", "list", env={**key, "HOLDFAST_URL": server.url(), "HOLDFAST_CA_FILE": "/etc/hostname"})
    assert "is not set" not in set_wrong.err, set_wrong


# ── a new store

@test
def a_wrong_setting_stops_init_before_anything_is_written(store):
    new = store.base / "new"
    for words, named in [
            (["--set", "server.cores=many"], "server.cores"), (["--set", "log.level=loud"], "log.level"),
            (["--set", "keys.epoch=soon"], "keys.epoch"), (["--set", "backup.keep_keys=1 minute"], "backup.keep_keys"),
            (["--set", "access.time_zone=Moon"], "access.time_zone"), (["--set", "retention.each=0 s"], "retention.each"),
            (["--set", "vault.calling_code=+49"], "vault.calling_code"), (["--set", "keys.rehearse_days=0"], "keys.rehearse_days"),
            (["--set", "keys.unlock_over_https=maybe"], "keys.unlock_over_https"), (["--set", "server.names=a b"], "server.names"),
            (["--set", "server.proxies=proxy"], "server.proxies"), (["--set", "access.store_per_day=-1"], "access.store_per_day"),
            (["--set", "database.url=host=/nowhere"], "database.url"),
            (["--set", f"keys.file={new}/root.key"], "keys.file"), (["--set", f"recovery.dir={new}/recovery"], "recovery.dir"),
            (["--set", f"backup.keys={new}/backup"], "backup.keys"),
            (["--listen", "nonsense"], "server.listen"), (["--listen", "shop.example:8443"], "server.listen"),
            (["--listen", ":8443"], "0.0.0.0"), (["--method", "magic"], "method"),
            (["--needed", "3", "--total", "5"], "--needed"), (["--total", "4"], "--total"),
            (["--method", "shamir", "--needed", "9", "--total", "3"], "needed")]:
        refused = store.run("init", "--dir", new, *words)
        assert refused.code not in (DONE, USAGE) and named in refused.err and not refused.out, (words, refused)
        assert not [path for path in store.base.iterdir() if path.name.startswith("new")], words
    assert store.run("init", "--dir", new, "--needed", "2", "--total", "3", "--listen", "127.0.0.1:0").code == DONE


@test
def config_show_finds_what_serve_refuses(store):
    folder = store.base / "settings"
    folder.mkdir()
    file = folder / "holdfast.toml"
    show = lambda: store.run("config", "show", "--dir", folder)
    away = show()
    assert away.code == DONE and "no holdfast.toml" in away.err, away
    for section, line in [("keys", 'epoch = "monthly"'), ("access", 'time_zone = "Mars/Phobos"'),
                          ("vault", 'calling_code = "+49"'), ("backup", 'keep_keys = "1 hour"'),
                          ("access", "store_per_hour = -5"), ("log", 'level = "loud"'),
                          ("database", 'reserve_mib = "much"')]:
        file.write_text(f"[{section}]\n{line}\n")
        refused = show()
        named = f"{section}.{line.split()[0]}"
        assert refused.code == FAILED and f"{named}: " in refused.err and f"{named} = " in refused.out, refused
    file.write_text('[log]\nlevel = = "info"\n\n# more\n')
    broken = show()
    assert broken.code == FAILED and "line[2]: " in broken.err and "TOML" in broken.err, broken
    file.write_text('[log]\nlevel = "info"\n')
    assert (show().code, show().err) == (DONE, "")


@test
def an_upgrade_says_what_it_would_change():
    with Store() as own:
        upgrade = lambda *words: own.run("upgrade", "--dir", own.dir, *words)
        checked = upgrade("--check")
        assert checked.code == DONE and "Nothing to change" in checked.out, checked
        assert own.run("upgrade", "--dir", own.dir / "nowhere", "--check").code == NOT_FOUND
        if os.environ.get("HOLDFAST_TEST_POSTGRES"):
            return
        file, away = own.dir / "holdfast.db", own.dir / "away.db"
        database = sqlite3.connect(file, isolation_level=None)
        latest = database.execute("select room, number, name, checksum, applied_at_ms from schema_migrations "
                                  "where room = 'vault' order by number desc limit 1").fetchone()
        database.execute("delete from schema_migrations where room = 'vault' and number = ?", (latest[1],))
        checked = upgrade("--check")
        assert checked.code == DONE and f"database: vault {latest[1]}, {latest[2]}" in checked.out, checked
        database.execute("insert into schema_migrations values (?, ?, ?, ?, ?)", latest)
        assert upgrade().code == DONE
        database.execute("insert into schema_migrations values ('vault', 999, 'from_later', x'00', 0)")
        database.close()
        for words in (["--check"], []):
            refused = upgrade(*words)
            assert refused.code == CONFLICT and "newer release" in refused.err and "from_later" in refused.err, refused
        file.rename(away)
        gone = upgrade("--check")
        assert gone.code == NOT_FOUND and not file.exists(), gone


def shown_on_terminal(store, server, *words, columns=0):
    """The lines that a command prints on a terminal of so many columns; 0: it does not say."""
    shown, end = pty.openpty()
    termios.tcsetwinsize(end, (24, columns))
    env = {**store.env(), "HOLDFAST_URL": server.url(), "HOLDFAST_CA_FILE": str(store.dir / "ca.pem"),
           "HOLDFAST_API_KEY": store.owner_key}
    command = subprocess.Popen([BIN, *words], stdout=end, env=env)
    os.close(end)
    late = threading.Timer(60, command.kill)
    late.start()
    with open(shown, "rb", buffering=0) as terminal:
        text = b"".join(iter(lambda: read_terminal(terminal), b""))
    lines = text.decode().replace("\r", "").splitlines()
    late.cancel()
    assert command.wait(60) == DONE, lines
    return lines


def read_terminal(terminal):
    """A piece; nothing at its end, which Linux calls an error."""
    try:
        return terminal.read(4096)
    except OSError as error:
        assert error.errno == errno.EIO, error
        return b""


@test
def a_terminal_shows_each_list_of_an_answer_as_a_table(store, server):
    lines = shown_on_terminal(store, server, "keys", "status")
    for name, column in (("keys:", "use"), ("alarms:", "alarm")):
        heads = lines[lines.index(name) + 1].split()
        assert column in heads, lines
    assert "method: file" in lines and not any("api_keys_due" in line for line in lines), lines


@test
def a_table_has_no_empty_columns_and_fits_or_is_shown_row_by_row(store, server):
    client = server.client()
    declare(client, "narrow")
    create(client, "ext:narrow-1", "narrow", email="narrow@example.org", name="Ann Narrow")
    wide = shown_on_terminal(store, server, "collections", "get", "narrow", columns=1000)
    heads = next(line for line in wide if line.startswith("id ")).split()
    assert "type" in heads and "consent" not in heads, wide
    narrow = shown_on_terminal(store, server, "collections", "get", "narrow", columns=80)
    assert "name: email" in narrow and not any(line.startswith("consent") for line in narrow), narrow
    indexes = next(line for line in narrow if line.startswith("indexes: "))
    assert "serving: true" in indexes and not indexes.endswith("\u2026"), narrow


@test
def the_end_of_input_is_no_answer_to_a_question(store, server):
    asked, end = pty.openpty()
    env = {**store.env(), "HOLDFAST_URL": server.url(), "HOLDFAST_CA_FILE": str(store.dir / "ca.pem"),
           "HOLDFAST_API_KEY": store.owner_key}
    ask = lambda *words: subprocess.Popen([BIN, *words], stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    lock = ask("keys", "lock")
    assert lock.stderr.read(7) == b"reason:"
    os.write(asked, b"\x04")
    out, err = lock.communicate(timeout=60)
    assert lock.returncode == FAILED and b"nothing was done" in err and not out, (out, err)
    move = ask("keys", "move", "--to", "passphrase", "--passphrase", "?")
    assert move.stderr.read(11) == b"passphrase:"
    os.write(asked, b"correct horse battery staple\ncorrect horse battery stable\n")
    out, err = move.communicate(timeout=60)
    assert move.returncode == FAILED and b"not the same" in err, (out, err)
    os.close(asked)
    os.close(end)
    status = store.run("keys", "status", server=server).rows[0]
    assert status["method"] == "file" and not status["locked"], status


@test
def init_says_where_the_server_will_be(store):
    for listen, url in (("127.0.0.1:18460", "127.0.0.1:18460"), ("0.0.0.0:18460", "127.0.0.1:18460"), (None, None)):
        place = store.base / f"listens-{listen}"
        made = store.run("init", "--dir", place / "data", "--set", f"keys.file={place}/keys/root.key", "--set",
                         f"recovery.dir={place}/recovery", "--set", f"backup.keys={place}/backup",
                         *(["--listen", listen] if listen else []))
        assert made.code == DONE, made
        said = f"HOLDFAST_URL=https://{url}\n"
        assert (said in made.err) if url else ("HOLDFAST_URL" not in made.err), made.err


@test
def help_and_version_are_words_too(store):
    plain, flag = store.run("help"), store.run("--help")
    assert plain.code == flag.code == DONE and plain.out == flag.out and "records" in plain.out, plain
    word, flag = store.run("version"), store.run("--version")
    assert word.code == flag.code == DONE and word.out == flag.out and word.out.startswith("holdfast "), flag


@test
def serve_wants_the_host_that_it_listens_on(store):
    refused = store.run("serve", "--dir", store.dir, "--listen", ":18447")
    assert refused.code == FAILED and "0.0.0.0:PORT" in refused.err and "127.0.0.1:PORT" in refused.err, refused


if __name__ == "__main__":
    os.environ.pop("HOLDFAST_API_KEY", None)
    with Store() as shop, shop.serve() as served:
        declare(served.client())
        failed = main(store=shop, server=served)
        status = served.stop()
    sys.exit(failed or status)
