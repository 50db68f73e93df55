#!/usr/bin/env python3
"""The daemon as the chart's pod runs it: start, readiness, drain under load, restart on its volume, a node's death.

Needs root, for a mount namespace; ends with 77, ctest's word for skipped, without.
"""
import argparse
import gzip
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import kubelet
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAUSE_S = 2
LATE_S = 1  # how long after the pod's end is decided proxies still send to it
given = argparse.Namespace()


def flights(count):
    with gzip.open(ROOT / "examples/flights/flights-slice.jsonl.gz", "rt") as file:
        lines = [line for _, line in zip(range(count), file)]
    assert len(lines) == count
    return lines


REQUEST = json.dumps({"inputs": [{"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
                                 {"name": "distance", "shape": [1], "datatype": "FP32", "data": [719]}]}).encode()


class Client(threading.Thread):
    """Asks for predictions on one connection until told that the pod is going; any answer but 200 is kept as a failure."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.told, self.answers, self.failures = port, threading.Event(), 0, []

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.told.is_set():
            try:
                connection.request("POST", "/v2/models/flights/infer", REQUEST)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    self.failures.append((answer.status, body[:200]))
                self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                return
        connection.close()


class SlowRequest:
    """A request whose second half comes when the pod has been asked to stop."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = f"POST /v2/models/flights/infer HTTP/1.1\r\nHost: pod\r\nContent-Length: {len(REQUEST)}\r\n\r\n"
        self.socket.sendall(head.encode() + REQUEST[:20])

    def finish(self):
        self.socket.sendall(REQUEST[20:])
        answer = b""
        while part := self.socket.recv(65536):
            answer += part
        self.socket.close()
        return answer


class PodTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="freshet-pod-", dir=given.scratch)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.broker = kubelet.Broker(given.freshet, "flights", self.folder)
        self.addCleanup(self.broker.stop)

    def objects(self, *files, **options):
        """What the chart makes of examples/flights.yaml, with options over it."""
        config = yaml.safe_load((ROOT / "examples/flights.yaml").read_text())
        config["stream"]["brokers"] = self.broker.address
        config["stream"].pop("group", None)
        config.get("memory", {}).pop("path", None)
        config.setdefault("serving", {})["listen"] = f"0.0.0.0:{kubelet.free_port()}"
        for name, value in options.items():
            section, _, option = name.partition("__")
            at = config.setdefault(section, {})
            *outer, last = option.split("__")
            for key in outer:
                at = at.setdefault(key, {})
            at[last] = value
        return kubelet.render(given.helm, {"config": config, "shutdown": {"pauseSeconds": PAUSE_S}}, *files)

    def pod(self, objects, volume, **options):
        pod = kubelet.Pod(objects, given.freshet, volume, self.folder, **options)
        self.addCleanup(pod.kill)
        return pod

    def volume(self, name="volume"):
        return kubelet.Volume(self.folder / name)

    def stored(self, volume):
        """Events in the log."""
        done = subprocess.run([given.freshet, "state", "inspect", "--path", volume.path / "state", "--json"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["events"]["last_seq"]

    def assert_sound(self, volume, events):
        """All is whole, and every one of `events` is in the log once."""
        done = subprocess.run([given.freshet, "state", "verify", "--path", volume.path / "state", "--quiet"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.stored(volume), events)

    def state_hash(self, pod):
        return [event for event in pod.events() if event.get("event") == "state_hash"][-1]

    def learns(self, pod, events):
        kubelet.until(f"{events} events learnt", lambda: pod.learnt() >= events, 120)


class Life(PodTest):
    def test_drains_under_load_and_goes_on_from_its_volume(self):
        lines = flights(20000)
        objects, volume = self.objects(), self.volume()
        pod = self.pod(objects, volume).start()
        producing = self.broker.produce(lines[:15000], rate=2500)
        self.learns(pod, 2000)
        clients = [Client(pod.port) for _ in range(4)]
        for client in clients:
            client.start()

        # The pod is to go. Proxies hear of it a little later; SIGTERM comes after the pause.
        self.learns(pod, 4000)
        decided = time.monotonic()
        kubelet.until("proxies have heard", lambda: time.monotonic() > decided + LATE_S)
        for client in clients:
            client.told.set()
        slow = [SlowRequest(pod.port) for _ in range(8)]
        kubelet.until("the pause is over", lambda: time.monotonic() > decided + pod.pause_seconds())
        finishing = threading.Thread(target=lambda: (
            kubelet.until("it stops", lambda: any(event.get("event") == "stopping" for event in pod.events())),
            answers.extend(request.finish() for request in slow)))
        answers = []
        finishing.start()
        code = pod.terminate()
        finishing.join(timeout=60)
        for client in clients:
            client.join(timeout=60)

        self.assertEqual(code, 0, pod.log())
        self.assertEqual([failure for client in clients for failure in client.failures], [])
        self.assertGreater(sum(client.answers for client in clients), 100)
        self.assertEqual([answer.split(b"\r\n")[0] for answer in answers], [b"HTTP/1.1 200 OK"] * len(slow))
        self.assertEqual([event for event in pod.events() if event.get("event") == "drain_incomplete"], [])

        self.assertEqual(producing.wait(timeout=120), 0)
        again = self.pod(objects, volume).start()
        self.assertEqual(self.broker.produce(lines[15000:]).wait(timeout=120), 0)
        self.learns(again, len(lines))
        self.assertEqual(again.terminate(), 0, again.log())
        self.assert_sound(volume, len(lines))

    def test_a_dead_node_loses_nothing_and_a_copy_of_its_volume_goes_on_exactly(self):
        lines = flights(30000)
        objects = self.objects(learning__round__every="none", learning__round__go_live="next_cut", checkpoint__every="100ms")
        volume = self.volume()
        pod = self.pod(objects, volume).start()
        producing = self.broker.produce(lines, rate=2000)
        self.learns(pod, 5000)
        pod.kill()
        self.assertEqual(producing.wait(timeout=120), 0)
        stored = self.stored(volume)
        self.assertTrue(5000 <= stored < len(lines), f"killed at {stored}: not in the middle of the stream")

        hashes = []
        for at in (volume, volume.copy(self.folder / "copy"), self.volume("whole")):
            later = self.pod(objects, at).start()
            self.learns(later, len(lines))
            self.assertEqual(later.terminate(), 0, later.log())
            self.assert_sound(at, len(lines))
            told = self.state_hash(later)
            hashes.append((told["message"], told["seq"]))
        self.assertEqual(hashes[0], hashes[1], "the copy is not as the volume")
        self.assertEqual(hashes[0], hashes[2], "killed and never killed are not the same")


class Guards(PodTest):
    def test_runs_as_a_user_and_group_that_only_the_cluster_knows(self):
        objects, volume = self.objects(kubelet.CHART / "ci/openshift.yaml"), self.volume()
        cluster_id = 1000680000
        pod = self.pod(objects, volume, cluster_id=cluster_id).start()
        self.assertEqual(self.broker.produce(flights(2000)).wait(timeout=60), 0)
        self.learns(pod, 2000)
        status = pathlib.Path(f"/proc/{pod.process.pid}/status").read_text()
        self.assertRegex(status, rf"Uid:\s+{cluster_id}\s+{cluster_id}\s")
        self.assertRegex(status, r"CapEff:\s+0+\n")
        self.assertRegex(status, r"CapBnd:\s+0+\n")
        self.assertRegex(status, r"NoNewPrivs:\s+1\n")
        self.assertEqual(pod.terminate(), 0, pod.log())
        self.assert_sound(volume, 2000)
        self.assertEqual((volume.path / "state").stat().st_uid, cluster_id)

    def test_writes_to_its_volume_alone(self):
        """Seen from inside: the image, the configuration and the secrets cannot be written."""
        objects, volume = self.objects(), self.volume()
        pod = self.pod(objects, volume).start()
        mounts = [line.split()[:4] for line in pathlib.Path(f"/proc/{pod.process.pid}/mounts").read_text().splitlines()]
        writable = [path for kind, path, _, options in mounts
                    if "rw" in options.split(",") and not path.startswith(("/proc", "/dev", "/sys"))]
        self.assertEqual(sorted(set(writable)), ["/tmp", "/var/lib/freshet"])
        self.assertEqual(pod.terminate(), 0, pod.log())

    def test_helm_test_tells_a_pod_that_answers_from_one_that_does_not(self):
        objects, volume = self.objects(), self.volume()
        pod = self.pod(objects, volume).start()
        test = kubelet.only(objects, "Pod", "-test")["spec"]["containers"][0]

        def ask(**changes):
            environment = {item["name"]: item["value"] for item in test["env"]}
            self.assertEqual(environment["HOST"], kubelet.RELEASE)
            environment.update({"HOST": "127.0.0.1", "PORT": str(pod.port), "SECONDS_MAX": "1", "PATH": os.environ["PATH"]}, **changes)
            return subprocess.run(test["command"] + test["args"], env=environment, capture_output=True, text=True, timeout=60, check=False)

        well = ask()
        self.assertEqual(well.returncode, 0, well.stderr)
        self.assertIn('"ready":true', well.stdout)
        self.assertIn('"name":"flights"', well.stdout)
        other = ask(MODEL="trains")
        self.assertEqual(other.returncode, 1)
        self.assertIn("does not describe the model trains", other.stderr)
        self.assertEqual(pod.terminate(), 0, pod.log())
        gone = ask()
        self.assertEqual(gone.returncode, 1)
        self.assertIn("not ready after 1 s", gone.stderr)


    def test_closed_it_answers_over_https_and_to_tokens_alone(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=freshet", "-keyout", self.folder / "key.pem", "-out", self.folder / "certificate.pem"],
                       check=True, capture_output=True)
        token = "0123456789abcdef0123456789abcdef"
        secrets = {"freshet-tls": {"tls.crt": (self.folder / "certificate.pem").read_text(), "tls.key": (self.folder / "key.pem").read_text()},
                   "freshet-tokens": {"clients": f"# clients\n{token}\n", "operators": "fedcba9876543210fedcba9876543210\n"}}
        objects, volume = self.objects(kubelet.CHART / "ci/closed.yaml", serving__admin__listen="none"), self.volume()
        pod = self.pod(objects, volume, secrets=secrets).start()
        self.assertEqual(pod.ask("/metrics")[0], 401)
        self.assertEqual(pod.ask("/metrics", token=token)[0], 200)
        test = kubelet.only(objects, "Pod", "-test")["spec"]["containers"][0]
        tokens = self.folder / "tokens"
        tokens.write_text(secrets["freshet-tokens"]["clients"])
        environment = {item["name"]: item["value"] for item in test["env"]}
        environment.update(HOST="127.0.0.1", PORT=str(pod.port), SECONDS_MAX="1", PATH=os.environ["PATH"], TOKENS=str(tokens))
        well = subprocess.run(test["command"] + test["args"], env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(well.returncode, 0, well.stderr)
        self.assertIn('"name":"flights"', well.stdout)
        tokens.write_text("another-token-than-that-one\n")
        refused = subprocess.run(test["command"] + test["args"], env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(pod.terminate(), 0, pod.log())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--freshet", required=True, help="the binary")
    parser.add_argument("--helm", required=True)
    parser.add_argument("--scratch", default=None, help="folder for temporary files")
    parser.add_argument("tests", nargs="*", help="such as Life or Guards.test_writes_to_its_volume_alone; default: all")
    parser.parse_args(namespace=given)
    if os.geteuid() != 0:
        print("skipped: only root may make the pod's file system")
        return 77
    return 0 if unittest.main(argv=[sys.argv[0], *given.tests], exit=False, verbosity=2).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
