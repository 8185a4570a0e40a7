"""What the scripts of this folder share: stores in temporary folders, servers on free ports, a small
HTTPS client, and a runner that prints PASS, FAIL and SKIP lines for tools/run_tests.

Nothing here waits by guess: a server is ready when it says so, and stopped by its process id.
"""
import contextlib
import http.client
import inspect
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = os.environ.get("HOLDFAST_BIN", str(ROOT / "build" / "dev" / "holdfast"))
SANITIZED = "asan" in BIN or "tsan" in BIN
PATIENCE_S = 60  # for what takes a second on an idle machine


class Skip(Exception):
    """A test that cannot run here, and why."""


def eventually(check, what, seconds=PATIENCE_S):
    """Waits until check() gives something true, and returns it."""
    until = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > until:
            raise AssertionError(f"did not happen within {seconds} s: {what}")
        time.sleep(0.02)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """`code` of a problem document; empty for an answer that is none."""
        try:
            return self.json.get("code", "") if self.status >= 400 else ""
        except ValueError:
            return ""

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Client:
    """One keep-alive connection. Threads: one at a time."""

    def __init__(self, port, ca_file, key=None, timeout=PATIENCE_S):
        self.context = ssl.create_default_context(cafile=str(ca_file))
        self.port, self.key, self.timeout = port, key, timeout
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def send(self, method, path, body=None, headers=None, key=None):
        """What breaks the connection is raised; the next call makes a new one."""
        all_headers = {"Authorization": f"Bearer {key or self.key}"} if key or self.key else {}
        if isinstance(body, (dict, list)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode()
        if body is not None:
            all_headers["Content-Type"] = "application/json"
        all_headers.update(headers or {})
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, context=self.context, timeout=self.timeout)
        connection = self.connection  # another thread may close this client meanwhile
        try:
            connection.request(method, path, body=body, headers=all_headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def get(self, path, **options):
        return self.send("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.send("POST", path, {} if body is None else body, **options)

    def good(self, method, path, body=None, **options):
        """The parsed answer of a call that must work."""
        answer = self.send(method, path, body, **options)
        assert 200 <= answer.status < 300, f"{method} {path}: {answer}"
        return answer.json

    def reveal(self, record, fields, purpose="support", **more):
        return self.post(f"/v1/records/{record}/reveal", {"fields": fields, "purpose": purpose, **more})


class Server:
    """`holdfast serve` on a free port. Its standard output and its log are kept in files."""

    def __init__(self, store, *arguments, wait=True, wrapper=(), env=None):
        self.store = store
        number = len(list(store.base.glob("serve-*.log")))
        self.out_file = store.base / f"serve-{number}.out"
        self.log_file = store.base / f"serve-{number}.log"
        listen = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0"]
        with open(self.out_file, "wb") as out, open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [*wrapper, BIN, "serve", "--dir", str(store.dir), *listen, *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, env={**store.env(), **(env or {})})
        self.port = None
        self.clients = []
        if wait:
            self.wait_ready()

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_file.read_text(errors="replace")

    def wait_ready(self):
        def said():
            found = re.search(r"ready at https://[^:]+:(\d+)", self.out_file.read_text())
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()}")
            return None
        self.port = eventually(said, "the server is ready")

    def client(self, key=None, timeout=PATIENCE_S):
        client = Client(self.port, self.store.dir / "ca.pem", key or self.store.owner_key, timeout)
        self.clients.append(client)
        return client

    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def memory(self, row="VmHWM"):
        """Bytes, from /proc/PID/status."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{row}:\s+(\d+) kB", text, re.M).group(1)) * 1024

    def wait(self, seconds=PATIENCE_S):
        return self.process.wait(seconds)

    def stop(self, how=signal.SIGTERM):
        """Ends it and gives its exit status; negative for a signal that killed it."""
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode

    def kill(self):
        return self.stop(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)


class Store:
    """A store in a folder of its own, removed in the end with all that the tests put beside it."""

    def __init__(self, *init_arguments, parent=None, stdin=b"", env=None):
        self.more_env = env or {}
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-app-", dir=parent))
        self.dir = self.base / "shop"
        database = os.environ.get("HOLDFAST_TEST_POSTGRES")  # on_postgres.py
        if database:
            init_arguments += ("--set", f"database.url={database}",
                               "--set", f"database.schema=shop_{self.base.name.rsplit('-', 1)[1]}")
        made = self.run("init", "--dir", str(self.dir), *init_arguments, stdin=stdin)
        assert made.code == 0, made
        self.owner_key = made.out.strip().splitlines()[-1]

    def env(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":allocator_release_to_os_interval_ms=100"
        return {**env, **self.more_env}

    def run(self, *arguments, key=None, server=None, stdin=b"", timeout=PATIENCE_S, env=None):
        """The program to its end."""
        all_env = {**self.env(), **(env or {})}
        if server:
            all_env.update(HOLDFAST_URL=server.url(), HOLDFAST_CA_FILE=str(self.dir / "ca.pem"),
                           HOLDFAST_API_KEY=key or self.owner_key)
        done = subprocess.run([BIN, *map(str, arguments)], input=stdin, capture_output=True,
                              timeout=timeout, env=all_env)
        return Run(arguments, done.returncode, done.stdout.decode(errors="replace"),
                   done.stderr.decode(errors="replace"))

    def serve(self, *arguments, **options):
        return Server(self, *arguments, **options)

    def check_state(self):
        """`holdfast journal check --state` of the stopped store."""
        return self.run("journal", "check", "--state", "--dir", self.dir, timeout=300)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.base, ignore_errors=True)


class Run:
    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    @property
    def rows(self):
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines() if line]

    def __repr__(self):
        words = " ".join(map(str, self.arguments))
        return f"holdfast {words}: {self.code}\n{self.out}{self.err}"


CUSTOMERS = {
    "fields": [
        {"name": "email", "type": "email", "index": "exact"},
        {"name": "name", "type": "name", "index": "exact"},
        {"name": "phone", "type": "phone", "index": "exact"},
        {"name": "street", "type": "address_line"},
        {"name": "note", "type": "text"},
    ]
}


def declare(client, collection="people", spec=None):
    return client.good("PUT", f"/v1/collections/{collection}", spec or CUSTOMERS)


def create(client, subject, collection="people", **values):
    """The one record that was made."""
    body = {"subject": subject, "values": values}
    return client.good("POST", f"/v1/collections/{collection}/records", body)["records"][0]


def with_checksum(text):
    """An API key text whose last six characters are the checksum of those before."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number, checksum = zlib.crc32(text[:-6].encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        checksum = digits[digit] + checksum
    return text[:-6] + checksum


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Postgres:
    """A PostgreSQL of its own. As root it runs as the user postgres, since initdb refuses root."""

    def __init__(self):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            raise Skip("there is no PostgreSQL on this machine")
        self.bin = found[-1].parent
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-app-pg-"))
        self.port = free_port()
        self.process = None
        self.user = None
        if os.geteuid() == 0:
            self.user = pwd.getpwnam("postgres")
            os.chown(self.base, self.user.pw_uid, self.user.pw_gid)
        subprocess.run(self.command("initdb", "-D", self.base / "data", "-U", "postgres", "-A", "trust",
                                    "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
                       check=True, capture_output=True)
        with open(self.base / "data" / "postgresql.conf", "a") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                       f"unix_socket_directories = '{self.base}'\nmax_connections = 100\n")
        self.start()

    def command(self, program, *arguments):
        words = [str(self.bin / program), *map(str, arguments)]
        if self.user:
            words = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}",
                     "--clear-groups", *words]
        return words

    def url(self):
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def start(self):
        with open(self.base / "log", "ab") as log:
            self.process = subprocess.Popen(self.command("postgres", "-D", self.base / "data"),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        ready = self.command("pg_isready", "-q", "-h", "127.0.0.1", "-p", self.port)
        eventually(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL answers")

    def kill(self):
        """SIGKILL to the postmaster and all its children, which have a session of their own."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        self.process.send_signal(signal.SIGSTOP)  # so that it starts no further ones
        self.process.kill()
        for child in children.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        self.process.wait()
        for child in children.split():
            eventually(lambda pid=child: not alive(int(pid)), "a child of PostgreSQL is gone")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.base, ignore_errors=True)


def alive(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rsplit(") ", 1)[1][0] != "Z"


# ── the runner

_tests = []


def test(function):
    _tests.append(function)
    return function


def name_of(function):
    return function.__name__.replace("_", " ")


def main(**fixtures):
    """Runs every @test in order, or those whose name has a word of the command line. A test gets the
    fixtures that its parameters name."""
    words = sys.argv[1:]
    failed = False
    for function in _tests:
        if words and not any(word in function.__name__ for word in words):
            continue
        started = time.monotonic()
        try:
            function(**{name: fixtures[name] for name in inspect.signature(function).parameters})
        except Skip as why:
            print(f"SKIP {name_of(function)}: {why}", flush=True)
        except Exception:
            failed = True
            print(f"FAIL {name_of(function)}", flush=True)
            traceback.print_exc(file=sys.stdout)
            for value in fixtures.values():
                if isinstance(value, Server):
                    print("\n".join(value.log().splitlines()[-20:]))
        else:
            print(f"PASS {name_of(function)} ({time.monotonic() - started:.1f} s)", flush=True)
    return 1 if failed else 0


def in_threads(functions):
    """Runs them side by side; what one raises is raised here."""
    failures = []

    def guarded(function):
        try:
            function()
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
