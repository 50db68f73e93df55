#!/usr/bin/env python3
"""What good clients notice while thousands of bad ones do their worst.

A daemon serves the example's flights model. One good client asks for predictions at a steady rate over kept connections,
and opens a new one now and then: first alone, then beside bad clients, then alone again. The bad ones are of five kinds,
as many of each, and come back whenever they are cut off:

  header     sends the header of a request byte by byte, and never ends it
  body       sends a header whole and then the body byte by byte
  half       sends half of a request, or a whole one, closes its side and waits
  reset      sends half of a body and ends the connection by a reset
  oversized  announces or sends headers and bodies above the limits

  bench/slowloris.py                       # 5,000 bad clients; needs build/release/freshet
  bench/slowloris.py --clients 300 --seconds 3 --check

With --check the exit code is 1 when a good request failed, or when the p99 beside bad clients is above twice the one
without. Clients and server share the machine, so that a part of what is measured is the bad clients' own work.
"""
import argparse
import json
import multiprocessing
import pathlib
import random
import re
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ("header", "body", "half", "reset", "oversized")
FLIGHT = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "tailnum": "N14228", "dow": 1, "hour": 18,
          "distance": 719.0, "temp": 39.0, "wind_speed": 12.7, "visib": 10.0, "seats": 149.0}
PATH = "/v2/models/flights/infer"
SPARE_CONNECTIONS = 512  # that the server may hold beside the bad ones


def infer_body():
    inputs = []
    for name, value in FLIGHT.items():
        datatype = "BYTES" if isinstance(value, str) else "INT64" if isinstance(value, int) else "FP64"
        inputs.append({"name": name, "shape": [1], "datatype": datatype, "data": [value]})
    return json.dumps({"inputs": inputs}).encode()


def request(body, extra=b""):
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s" % (PATH.encode(), extra, len(body), body)


def raise_limit(files):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    elif hard < files:
        sys.exit(f"needs {files} open files, the hard limit is {hard}: ulimit -Hn, or fewer --clients")


class Bad:
    """One bad client, driven by a loop that calls `step` about once a second and `readable` when there is something."""

    def __init__(self, kind, port, number):
        self.kind, self.port, self.number = kind, port, number
        self.socket = None
        self.sent = 0

    def open(self, selector):
        self.sent = 0
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", self.port))
        selector.register(self.socket, selectors.EVENT_READ, self)

    def close(self, selector, by_reset=False):
        if self.socket is None:
            return
        selector.unregister(self.socket)
        if by_reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.socket = None

    def send(self, data):
        try:
            self.socket.send(data)
            return True
        except BlockingIOError:
            return True
        except OSError:
            return False

    def step(self, selector):
        if self.socket is None:
            self.open(selector)
            return
        self.sent += 1
        alive = getattr(self, "step_" + self.kind)(selector)
        if not alive:
            self.close(selector)

    def step_header(self, _):
        text = b"POST %s HTTP/1.1\r\nHost: localhost\r\nX-Slow: " % PATH.encode()
        return self.send(text[self.sent - 1:self.sent] or b"a")

    def step_body(self, _):
        return self.send(b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" % PATH.encode()
                         if self.sent == 1 else b"{")

    def step_half(self, _):
        if self.sent > 1:
            return True  # until the server lets go
        whole = request(infer_body())
        alive = self.send(whole if self.number % 2 else whole[:len(whole) // 2])
        if alive:
            self.socket.shutdown(socket.SHUT_WR)
        return alive

    def step_reset(self, selector):
        self.send(b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" % PATH.encode() + b"x" * 20000)
        self.close(selector, by_reset=True)
        return True

    def step_oversized(self, _):
        if self.number % 3 == 0:
            return self.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 10000)
        if self.number % 3 == 1:
            return self.send(b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n" % PATH.encode())
        return self.send(b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" % PATH.encode()
                         if self.sent == 1 else b"x" * 100000)

    def readable(self, selector):
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(selector)


def attack(port, clients, ready, stop):
    """The bad clients' process: each is given its turn once a second, spread over it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_limit(clients + 64)
    selector = selectors.DefaultSelector()
    bad = [Bad(KINDS[i % len(KINDS)], port, i // len(KINDS)) for i in range(clients)]
    random.Random(7).shuffle(bad)
    turns = 100
    for turn in range(10**9):
        until = time.monotonic() + 1 / turns
        for client in bad[turn % turns::turns]:
            try:
                client.step(selector)
            except OSError:
                client.close(selector)
        while (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                key.data.readable(selector)
        if turn == 2 * turns:
            ready.set()
        if stop.is_set():
            return


class Good:
    """A steady client on kept connections; every hundredth request opens a new one."""

    def __init__(self, port, connections):
        self.port = port
        self.request = request(infer_body())
        self.kept = [self.connect() for _ in range(connections)]
        self.latencies, self.failed, self.new_failed = [], 0, 0

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, connection):
        connection.sendall(self.request)
        reply = b""
        while b"\r\n\r\n" not in reply:
            piece = connection.recv(65536)
            if not piece:
                return False
            reply += piece
        head, _, body = reply.partition(b"\r\n\r\n")
        length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
        while len(body) < length:
            body += connection.recv(65536)
        return head.startswith(b"HTTP/1.1 200")

    def run(self, seconds, rate):
        self.latencies, self.failed, self.new_failed = [], 0, 0
        end, due, number = time.monotonic() + seconds, time.monotonic(), 0
        while due < end:
            number += 1
            place = number % len(self.kept)
            began = time.monotonic()
            try:
                if number % 100 == 0:
                    self.kept[place].close()
                    began = time.monotonic()
                    self.kept[place] = self.connect()
                good = self.ask(self.kept[place])
            except OSError:
                good = False
            self.latencies.append(time.monotonic() - began)
            if not good:
                self.failed += 1
                self.new_failed += number % 100 == 0
                self.kept[place].close()
                try:
                    self.kept[place] = self.connect()
                except OSError:
                    pass
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
        ordered = sorted(self.latencies)
        at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000
        return {"requests": len(ordered), "failed": self.failed, "p50_ms": at(0.5), "p99_ms": at(0.99),
                "p999_ms": at(0.999), "max_ms": ordered[-1] * 1000}


class Daemon:
    def __init__(self, binary, folder, sets):
        words = [binary, "run", "--config", str(ROOT / "examples/flights.yaml")]
        for one in ["stream.brokers=embedded", f"memory.path={folder}/state", "serving.listen=127.0.0.1:0", *sets]:
            words += ["--set", one]
        self.log = open(f"{folder}/log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(words, stderr=self.log, stdout=subprocess.DEVNULL, cwd=ROOT)
        for _ in range(600):
            found = re.search(r"HTTP on 127\.0\.0\.1:(\d+)", pathlib.Path(self.log.name).read_text(encoding="utf-8"))
            if found or self.process.poll() is not None:
                break
            time.sleep(0.05)
        if not found:
            sys.exit(f"the daemon does not answer:\n{pathlib.Path(self.log.name).read_text(encoding='utf-8')}")
        self.port = int(found.group(1))

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        kept = {}
        for name in ("connections", "connections_refused_total", "connections_evicted_total", "timeouts_total"):
            kept[name] = sum(float(line.split()[-1]) for line in text.splitlines()
                             if line.startswith(f"freshet_http_{name}{{"))
        for code in (400, 408, 413, 431, 503):
            kept[str(code)] = sum(float(line.split()[-1]) for line in text.splitlines()
                                  if line.startswith("freshet_http_requests_total{") and f'code="{code}"' in line)
        return kept

    def memory_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release/freshet"))
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=20, help="of each of the three measurements")
    parser.add_argument("--rate", type=float, default=300, help="good requests a second")
    parser.add_argument("--connections", type=int, default=8, help="of the good client")
    parser.add_argument("--set", action="append", default=[], help="an option of the daemon: name=value")
    parser.add_argument("--json", help="write the figures here as well")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    raise_limit(256)
    with tempfile.TemporaryDirectory(prefix="freshet-slowloris-") as folder:
        sets = [f"serving.connections_max={arguments.clients + SPARE_CONNECTIONS}", *arguments.set]
        daemon = Daemon(arguments.binary, folder, sets)
        try:
            report = measure(daemon, arguments)
        finally:
            daemon.stop()
    print(f"{'':22}{'requests':>9}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}{'p99.9':>9}{'max':>9}{'memory MB':>11}")
    for name in ("alone", "beside bad clients", "alone again"):
        row = report[name]
        print(f"{name:22}{row['requests']:9}{row['failed']:8}{row['p50_ms']:9.3f}{row['p99_ms']:9.3f}"
              f"{row['p999_ms']:9.3f}{row['max_ms']:9.3f}{row['memory_mb']:11.1f}")
    print(f"{arguments.clients} bad clients; p99 is {report['p99_ratio']:.2f} times that of the good client alone; "
          f"most connections at a time {report['connections']:.0f}")
    print("what the server told the bad ones: " + ", ".join(f"{k} {v:.0f}" for k, v in report["told"].items()))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    failed = sum(report[name]["failed"] for name in ("alone", "beside bad clients", "alone again"))
    return 1 if arguments.check and (failed > 0 or report["p99_ratio"] > 2) else 0


def measure(daemon, arguments):
    good = Good(daemon.port, arguments.connections)
    good.run(1, arguments.rate)  # to warm up
    report = {}

    def one(name):
        report[name] = good.run(arguments.seconds, arguments.rate)
        report[name]["memory_mb"] = daemon.memory_mb()

    one("alone")
    before = daemon.metrics()
    ready, stop = multiprocessing.Event(), multiprocessing.Event()
    attackers = multiprocessing.Process(target=attack, args=(daemon.port, arguments.clients, ready, stop), daemon=True)
    attackers.start()
    if not ready.wait(120):
        sys.exit("the bad clients do not come up")
    one("beside bad clients")
    during = daemon.metrics()
    stop.set()
    attackers.join(30)
    time.sleep(1)
    one("alone again")
    normal = (report["alone"]["p99_ms"] + report["alone again"]["p99_ms"]) / 2
    report["p99_ratio"] = report["beside bad clients"]["p99_ms"] / normal
    report["connections"] = during.pop("connections")
    report["told"] = {name: value - before[name] for name, value in during.items()}
    return report


if __name__ == "__main__":
    sys.exit(main())
