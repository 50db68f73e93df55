"""Runs the chart's container as a node would, without a container engine: the rendered command, arguments, environment,
user, groups, volumes, read-only root, probes and signals, in a mount namespace of its own.

What is not as in a cluster: the files below /usr are this machine's and not the image's, the network is this machine's, and
there is no seccomp filter.
"""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/freshet"
RELEASE = "freshet"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def render(helm, values, *more):
    """The objects that the chart makes of these values, and of more files of values before them."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        flags = [flag for path in (*more, file.name) for flag in ("--values", str(path))]
        done = subprocess.run([str(helm), "template", RELEASE, str(CHART), "--kube-version", "1.36", *flags], capture_output=True,
                              text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def only(objects, kind, suffix=""):
    return next(item for item in objects if item["kind"] == kind and item["metadata"]["name"] == RELEASE + suffix)


class Volume:
    """The disk behind the claim."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder)
        self.path.mkdir()
        (self.path / "lost+found").mkdir(mode=0o700)  # as on any fresh ext4

    def copy(self, folder):
        subprocess.run(["cp", "--archive", str(self.path), str(folder)], check=True)
        copied = Volume.__new__(Volume)
        copied.path = pathlib.Path(folder)
        return copied

    def hand_to(self, group):
        """What fsGroup does."""
        for at in (self.path, *(path for path in self.path.rglob("*") if path.name != "lost+found")):
            os.chown(at, -1, group)
            at.chmod(at.stat().st_mode | (0o2070 if at.is_dir() else 0o060))


class Pod:
    """One life of the container."""

    def __init__(self, objects, freshet, volume, folder, cluster_id=None, secrets=None):
        self.spec = only(objects, "StatefulSet")["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.objects = objects
        self.secrets = secrets or {}  # {name: {key: text}}
        self.freshet = pathlib.Path(freshet).resolve()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pod-", dir=folder))
        self.log_path = self.folder / "log"
        context = self.spec["securityContext"]
        # Where the chart names no ids the cluster does, as OpenShift: an arbitrary user of the root group.
        self.user = context.get("runAsUser", cluster_id)
        self.group = context.get("runAsGroup", 0)
        self.files_group = context.get("fsGroup", cluster_id)
        self.port = self.container["ports"][0]["containerPort"]
        volume.hand_to(self.files_group)
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "bash", str(self.write_script(volume))],
                                            stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL)

    # ---- the node's side ----

    def mounts(self, volume):
        """(source, path, read-only) of each volume; None for one in memory."""
        sources = {"state": volume.path}
        for item in self.spec["volumes"]:
            if "configMap" in item:
                folder = self.folder / item["name"]
                folder.mkdir()
                for name, text in only(self.objects, "ConfigMap")["data"].items():
                    (folder / name).write_text(text)
                sources[item["name"]] = folder
            elif "secret" in item:
                folder = self.folder / item["name"]
                folder.mkdir()
                for key in item["secret"]["items"]:
                    file = folder / key["path"]
                    file.write_text(self.secrets[item["secret"]["secretName"]][key["key"]])
                    os.chown(file, 0, self.files_group)
                    file.chmod(item["secret"]["defaultMode"])
                sources[item["name"]] = folder
            elif "emptyDir" in item:
                sources[item["name"]] = None
        for mount in self.container["volumeMounts"]:
            yield sources[mount["name"]], mount["mountPath"], mount.get("readOnly", False)

    def environment(self):
        made = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": f"{RELEASE}-0",
                "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
        made.update({item["name"]: item["value"] for item in self.container.get("env", [])})
        return made

    def libraries(self):
        """Folders outside of /usr that the binary's libraries lie in."""
        said = subprocess.run(["ldd", str(self.freshet)], capture_output=True, text=True, check=True).stdout
        found = {os.path.realpath(os.path.dirname(path)) for path in re.findall(r"=> (/\S+)", said)}
        return sorted(path for path in found if not path.startswith(("/usr/", "/lib")))

    def write_script(self, volume):
        security = self.container["securityContext"]
        root = self.folder / "root"
        root.mkdir()
        command = self.container["command"] + self.container["args"]
        lines = ["set -euo pipefail", f"root={root}", "mount -t tmpfs -o mode=755 tmpfs $root",
                 "mkdir -p $root/usr $root/etc $root/proc $root/dev $root/tmp",
                 "for name in bin lib lib64; do ln -s usr/$name $root/$name; done",
                 "cp --archive /etc/ld.so.cache /etc/nsswitch.conf /etc/hosts /etc/resolv.conf $root/etc/",
                 "mount --bind /usr $root/usr", "mount -o remount,bind,ro $root/usr", "mount --rbind /dev $root/dev",
                 "mount --rbind /proc $root/proc", "mount -t tmpfs -o mode=755 tmpfs $root/usr/local/bin",
                 "touch $root/usr/local/bin/freshet", f"mount --bind {self.freshet} $root/usr/local/bin/freshet",
                 "mount -o remount,bind,ro $root/usr/local/bin/freshet"]
        for folder in self.libraries():
            lines += [f"mkdir -p $root{folder}", f"mount --bind {folder} $root{folder}", f"mount -o remount,bind,ro $root{folder}"]
        for source, path, read_only in self.mounts(volume):
            lines.append(f"mkdir -p $root{path}")
            if source is None:
                lines.append(f"mount -t tmpfs -o mode=2777,gid={self.files_group},size=256m tmpfs $root{path}")
            else:
                lines.append(f"mount --bind {source} $root{path}")
                if read_only:
                    lines.append(f"mount -o remount,bind,ro $root{path}")
        if security["readOnlyRootFilesystem"]:
            lines += ["mount -o remount,ro $root/usr/local/bin", "mount -o remount,ro $root"]
        privileges = ["--no-new-privs"] if not security["allowPrivilegeEscalation"] else []
        if security["capabilities"]["drop"] == ["ALL"]:
            privileges += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        variables = " ".join(f"'{name}={value}'" for name, value in self.environment().items())
        quoted = " ".join(f"'{word}'" for word in command)
        # setpriv drops the capabilities last, when the change of the user is done.
        lines.append(f"exec chroot $root setpriv --reuid={self.user} --regid={self.group} --groups={self.files_group} "
                     f"{' '.join(privileges)} env -i --chdir=/var/lib/freshet {variables} {quoted}")
        script = self.folder / "start.sh"
        script.write_text("\n".join(lines) + "\n")
        return script

    # ---- probes and signals ----

    def ask(self, path, timeout=5, token=None):
        """(status, body), or None where nobody answers."""
        try:
            if self.container["readinessProbe"]["httpGet"].get("scheme") == "HTTPS":
                # Probes take any certificate.
                connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=ssl._create_unverified_context())
            else:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return None
        finally:
            connection.close()

    def probe(self, name):
        answer = self.ask(self.container[name]["httpGet"]["path"], self.container[name]["timeoutSeconds"])
        return answer is not None and 200 <= answer[0] < 400

    def start(self):
        """Waits as the startup probe does, then for readiness."""
        startup = self.container["startupProbe"]

        def answers():
            if self.process.poll() is not None:
                raise AssertionError(f"the container ended with {self.process.returncode}:\n{self.log()}")
            return self.probe("startupProbe")

        until("the startup probe", answers, startup["periodSeconds"] * startup["failureThreshold"])
        until("the readiness probe", lambda: self.probe("readinessProbe"))
        assert self.probe("livenessProbe"), "started, but the liveness probe fails"
        return self

    def pause_seconds(self):
        return self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)

    def terminate(self):
        """SIGTERM, and SIGKILL where the grace period is over; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=self.spec["terminationGracePeriodSeconds"] - self.pause_seconds())
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there when the grace period was over:\n{self.log()}") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    # ---- what it says ----

    def log(self):
        return self.log_path.read_text(errors="replace")

    def events(self):
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def learnt(self):
        """Events since the state began."""
        answer = self.ask("/status")
        return json.loads(answer[1])["events"] if answer else 0


class Broker:
    """The embedded broker of another daemon, for those in pods."""

    def __init__(self, freshet, topic, folder):
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder / "broker.log"
        self.freshet, self.topic = str(freshet), topic
        sets = {"stream.brokers": "embedded", "stream.topic": topic, "stream.label": "late", "stream.group": "broker", "model.architecture": "linear",
                "stream.features": "{distance: number}", "memory.path": str(self.folder / "broker"), "memory.capacity_events": "1000",
                "serving.listen": "127.0.0.1:0", "serving.gate.enabled": "false"}
        arguments = [word for name, value in sets.items() for word in ("--set", f"{name}={value}")]
        config = self.folder / "broker.yaml"
        config.write_text("{}\n")
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([self.freshet, "run", "--config", str(config), *arguments], stderr=log,
                                            stdin=subprocess.DEVNULL)
        found = until("the broker's address", lambda: re.search(r"an embedded broker is at ([0-9.:]+);", self.log_path.read_text()))
        self.address = found.group(1)

    def produce(self, lines, rate=None):
        """Starts to fill the topic."""
        source = tempfile.NamedTemporaryFile("w", suffix=".jsonl", dir=self.folder, delete=False)
        source.writelines(lines)
        source.close()
        return subprocess.Popen([self.freshet, "produce", "--brokers", self.address, "--topic", self.topic, "--input", source.name,
                                 *(["--rate", str(rate)] if rate else [])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
