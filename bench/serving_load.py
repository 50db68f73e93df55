#!/usr/bin/env python3
"""Predictions over HTTP while the daemon trains: a million requests at 16 connections.

A daemon learns the example's flights from a real Kafka broker on loopback, as fast as it can: the file is sent again and
again for as long as the questions last. Meanwhile `wrk` asks with 16 connections, each in a thread of its own, which
checks every answer: status 200, and the version of a model that was published, never older than in the answer before.

  bench/serving_load.py                      # needs wrk, Java and Kafka's jars (`./dev test` fetches those)
  bench/serving_load.py --requests 100000 --rate 20000
"""
import argparse
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache" / "freshet"))
FLIGHT = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "tailnum": "N14228", "dow": 1, "hour": 18,
          "distance": 719.0, "temp": 39.0, "wind_speed": 12.7, "visib": 10.0, "seats": 149.0}

# wrk gives each thread a Lua state of its own; with as many threads as connections that is one for each connection.
SCRIPT = """
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args)
  answered, failed, first, last, back, changes, why = 0, 0, 0, 0, 0, 0, ""
  wrk.method, wrk.body = "POST", %s
  wrk.headers["Content-Type"] = "application/json"
end
function response(status, headers, body)
  local version = tonumber(string.match(body, '"model_version":"(%%d+)"') or 0)
  if status ~= 200 or version == 0 then failed = failed + 1; why = status .. " " .. body; return end
  answered = answered + 1
  if first == 0 then first = version end
  if version < last then back = back + 1 end
  if version ~= last then changes = changes + 1 end
  last = version
end
function done(summary, latency, requests)
  local errors = summary.errors
  for _, t in ipairs(threads) do
    print(string.format("connection %%d %%d %%d %%d %%d %%d %%s", t:get("answered"), t:get("failed"), t:get("first"),
      t:get("last"), t:get("back"), t:get("changes"), t:get("why")))
  end
  print(string.format("summary %%d %%d %%d %%d %%d %%d %%d %%d", errors.connect, errors.read, errors.write,
    errors.timeout, errors.status, latency:percentile(50), latency:percentile(99), latency.max))
end
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Kafka:
    def __init__(self, folder):
        jars = os.environ.get("FRESHET_KAFKA_JARS") or next(iter(sorted(glob.glob(str(CACHE / "kafka-*")))), "")
        if not jars or not shutil.which("java"):
            sys.exit("needs Java and Kafka's jars: `./dev test` installs both, FRESHET_KAFKA_JARS names the jars' folder")
        port, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        properties = folder / "server.properties"
        properties.write_text(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.retention.bytes=268435456
log.segment.bytes=67108864
""")
        java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        self.log = open(folder / "kafka.log", "w")
        subprocess.run(java + ["kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", properties],
                       stdout=self.log, stderr=self.log, check=True)
        self.process = subprocess.Popen(java + ["kafka.Kafka", properties], stdout=self.log, stderr=self.log)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Daemon:
    def __init__(self, binary, brokers, folder):
        self.log = folder / "daemon.log"
        self.process = subprocess.Popen(
            [binary, "run", "--config", ROOT / "examples/flights.yaml", "--set", f"stream.brokers={brokers}",
             "--set", "serving.listen=127.0.0.1:0", "--set", f"memory.path={folder}/state"],
            stdout=subprocess.DEVNULL, stderr=open(self.log, "w"))
        found = wait_for(lambda: re.search(r"HTTP on 127\.0\.0\.1:(\d+)", self.log.read_text()), "the daemon's port")
        self.url = f"http://127.0.0.1:{found.group(1)}"

    def metrics(self):
        values = {}
        with urllib.request.urlopen(self.url + "/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if not line.startswith("#"):
                    name, _, value = line.rpartition(" ")
                    values.setdefault(name.split("{")[0], float(value))
        return values

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def wait_for(look, what, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"waited {seconds} s in vain for {what}")


class Stream(threading.Thread):
    """Sends the file again and again until told to stop."""

    def __init__(self, command):
        super().__init__()
        self.command, self.stopping, self.failed = command, False, False
        self.process = None

    def run(self):
        while not self.stopping:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if self.process.wait() != 0 and not self.stopping:
                self.failed = True
                return

    def stop(self):
        self.stopping = True
        if self.process:
            self.process.terminate()
        self.join()


def infer_body():
    def tensor(name, value):
        kind = {str: "BYTES", int: "INT64", float: "FP64"}[type(value)]
        return {"name": name, "shape": [1], "datatype": kind, "data": [value]}
    return json.dumps({"inputs": [tensor(*item) for item in FLIGHT.items()]})


def ask(url, connections, seconds, script):
    output = subprocess.run(["wrk", f"-t{connections}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                             "-s", script, url], capture_output=True, text=True, check=True).stdout
    seen = [line.split(" ", 7)[1:] for line in output.splitlines() if line.startswith("connection ")]
    summary = [int(word) for word in re.search(r"^summary (.*)$", output, re.M).group(1).split()]
    return [([int(float(word)) for word in words[:6]], words[6] if len(words) > 6 else "") for words in seen], summary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release/freshet"))
    parser.add_argument("--data", default=str(ROOT / "examples/flights/flights-slice.jsonl.gz"))
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0, help="events a second sent; 0: as fast as the broker takes them")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("needs wrk")
    with tempfile.TemporaryDirectory(prefix="freshet-load-") as name:
        return measure(arguments, pathlib.Path(name))


def measure(arguments, folder):
    kafka = Kafka(folder)
    produce = [arguments.binary, "produce", "--input", arguments.data, "--brokers", kafka.address, "--topic", "flights",
               "--create", "4"]
    daemon = stream = None
    try:
        wait_for(lambda: subprocess.run(produce + ["--count", "5000"], capture_output=True).returncode == 0, "the broker")
        daemon = Daemon(arguments.binary, kafka.address, folder)
        wait_for(lambda: daemon.metrics().get("freshet_model_swaps_total", 0) >= 1, "the first model")
        script = folder / "ask.lua"
        script.write_text(SCRIPT % json.dumps(infer_body()))
        stream = Stream(produce + (["--rate", str(arguments.rate)] if arguments.rate else []))
        stream.start()
        before, begun = daemon.metrics(), time.monotonic()
        answered = failed = back = 0
        lowest, highest, worst50, worst99, longest, changes = None, 0, 0, 0, 0, 0
        reasons = []
        while answered + failed < arguments.requests and not stream.failed and daemon.process.poll() is None:
            connections, summary = ask(daemon.url + "/v2/models/flights/infer", arguments.connections, 10, script)
            failed += sum(summary[:4])
            worst50, worst99, longest = (max(old, new) for old, new in zip((worst50, worst99, longest), summary[5:]))
            for (good, bad, first, last, went_back, changed), why in connections:
                answered, failed, back, changes = answered + good, failed + bad, back + went_back, changes + changed
                lowest = first if lowest is None else min(lowest, first)
                highest = max(highest, last)
                if why:
                    reasons.append(why)
            print(f"  {answered:,} answered, {failed} failed, version {highest}", file=sys.stderr)
        seconds, after = time.monotonic() - begun, daemon.metrics()
        stream_failed = stream.failed
        stream.stop()
        exit_code = daemon.stop()
    finally:
        if stream and stream.is_alive():
            stream.stop()
        if daemon and daemon.process.poll() is None:
            daemon.process.kill()
        kafka.stop()
    published = after["freshet_model_version"]
    result = {
        "requests": answered + failed, "failures": failed, "connections": arguments.connections,
        "requests_per_second": round((answered + failed) / seconds),
        "p50_ms": worst50 / 1000, "p99_ms": worst99 / 1000, "max_ms": longest / 1000,
        "first_version": lowest, "last_version": highest, "published_version": published,
        "version_changes_seen": changes, "versions_went_back": back,
        "events_learnt_meanwhile": after["freshet_events_total"] - before["freshet_events_total"],
        "events_per_second": round((after["freshet_events_total"] - before["freshet_events_total"]) / seconds),
        "daemon_exit_code": exit_code,
    }
    print(json.dumps(result, indent=2))
    good = failed == 0 and back == 0 and highest <= published and exit_code == 0 and not stream_failed
    if not good:
        print("\n".join(reasons[:5]), file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
