#!/usr/bin/env python3
"""The chart on a real API server: installed, upgraded, drained, stopped, removed.

etcd, kube-apiserver, the controllers and the scheduler are the real ones; nodes and kubelets are kwok's, which reports pods
as running without running them. So this proves what Kubernetes does with the chart's objects (admission to the restricted
standard, strict fields, rollouts, evictions, claims), and nothing about the daemon.

Everything lives in a temporary folder and on free ports of the loopback, and is ended at the end. Each part begins with an
empty namespace of its own.
"""
import argparse
import contextlib
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHART = ROOT / "helm/freshet"
WAIT_S = 60
CLASS = "by-hand"


class Failure(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, seconds=WAIT_S):
    """What the condition gives once it is true; a Failure names it otherwise."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def expect(truth, words):
    if not truth:
        raise Failure(words)


class Cluster:
    """The control plane, two ordinary nodes and one with a GPU."""

    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder
        self.processes = []
        self.kubeconfig = folder / "kubeconfig"
        self.volumes = 0

    # ---- starting and ending ----

    def spawn(self, name, *command):
        log = open(self.folder / f"{name}.log", "wb")
        self.processes.append((name, subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=self.folder)))

    def start(self):
        folder, tools = self.folder, self.arguments.cluster
        client, peer, port = free_port(), free_port(), free_port()
        token = secrets.token_hex(16)
        subprocess.run(["openssl", "genrsa", "-out", folder / "account.key", "2048"], check=True, capture_output=True)
        (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}]}))
        self.spawn("etcd", self.arguments.etcd, "--data-dir", folder / "etcd", "--unsafe-no-fsync",
                   "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls", f"http://127.0.0.1:{client}",
                   "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-cluster", f"default=http://127.0.0.1:{peer}")
        self.spawn("apiserver", tools / "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{client}",
                   "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", folder / "certificates",
                   "--token-auth-file", folder / "tokens.csv", "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
                   "--service-account-issuer", "https://test", "--service-account-key-file", folder / "account.key",
                   "--service-account-signing-key-file", folder / "account.key")
        until("the API server answers", lambda: self.kubectl("get", "--raw", "/readyz", fail=False).stdout == "ok")
        self.spawn("controllers", tools / "kube-controller-manager", "--kubeconfig", self.kubeconfig, "--leader-elect=false",
                   "--bind-address", "127.0.0.1", "--secure-port", free_port(), "--cert-dir", folder / "certificates",
                   "--service-account-private-key-file", folder / "account.key")
        self.spawn("scheduler", tools / "kube-scheduler", "--kubeconfig", self.kubeconfig, "--leader-elect=false",
                   "--bind-address", "127.0.0.1", "--secure-port", free_port(), "--cert-dir", folder / "certificates")
        stages = [word for path in sorted((tools / "stages").glob("*.yaml")) for word in ("--config", path)]
        self.spawn("kwok", tools / "kwok", "--kubeconfig", self.kubeconfig, "--manage-all-nodes", "--node-lease-duration-seconds", "40",
                   "--server-address", "", *stages)
        for path in sorted((self.arguments.tools / "crds").glob("*.yaml")):
            self.kubectl("apply", "--server-side", "--filename", path)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", f"--timeout={WAIT_S}s")
        self.apply({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": CLASS},
                    "provisioner": "kubernetes.io/no-provisioner"})
        for name, gpus in (("node-a", 0), ("node-b", 0), ("node-gpu", 1)):
            self.add_node(name, gpus)
        self.kubectl("wait", "--for=condition=Ready", "node", "--all", f"--timeout={WAIT_S}s")

    def add_node(self, name, gpus):
        room = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "50"}
        spec = {}
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        if gpus:
            room["nvidia.com/gpu"] = str(gpus)
            labels.update({"nvidia.com/gpu.product": "NVIDIA-L4", "topology.kubernetes.io/zone": "a"})
            spec["taints"] = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
        self.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec,
                    "status": {"allocatable": room, "capacity": room}})

    def stop(self):
        for _, process in reversed(self.processes):
            process.terminate()
        for _, process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def died(self):
        return any(process.poll() is not None for _, process in self.processes)

    def last_words(self):
        for name, process in self.processes:
            if process.poll() is not None:
                tail = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
                print(f"    {name} ended with {process.returncode}:\n" + "\n".join("      " + line[:200] for line in tail))

    # ---- asking ----

    def run(self, *command, text=None, fail=True):
        done = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True, check=False,
                              env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HELM_CACHE_HOME": str(self.folder / "helm"),
                                   "HELM_CONFIG_HOME": str(self.folder / "helm"), "HELM_DATA_HOME": str(self.folder / "helm")})
        if fail and done.returncode != 0:
            raise Failure(f"{pathlib.Path(command[0]).name} {' '.join(str(part) for part in command[1:4])} …: "
                          f"{(done.stderr or done.stdout).strip()[-800:]}")
        return done

    def kubectl(self, *arguments, text=None, fail=True):
        return self.run(self.arguments.cluster / "kubectl", *arguments, text=text, fail=fail)

    def helm(self, *arguments, text=None, fail=True):
        return self.run(self.arguments.tools / "helm", *arguments, text=text, fail=fail)

    def apply(self, item):
        self.kubectl("apply", "--server-side", "--filename", "-", text=json.dumps(item))

    def get(self, *arguments):
        done = self.kubectl("get", *arguments, "--output", "json", fail=False)
        return json.loads(done.stdout) if done.returncode == 0 else None


class Space:
    """A namespace that holds pods to the restricted standard, a volume in it for the taking, and one release."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        until("the namespace has its ServiceAccount", lambda: self.get("serviceaccount", "default"))

    def add_volume(self):
        self.cluster.volumes += 1
        self.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"volume-{self.cluster.volumes}"},
                            "spec": {"capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
                                     "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/nowhere"}}})

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("--namespace", self.name, *arguments, **options)

    def get(self, *arguments):
        return self.cluster.get("--namespace", self.name, *arguments)

    def helm(self, *arguments, **options):
        return self.cluster.helm("--namespace", self.name, *arguments, **options)

    def deploy(self, *sets, values="minimal", fail=True, wait=True):
        flags = [flag for item in sets for flag in ("--set", item)]
        return self.helm("upgrade", "--install", "prod", CHART, "--values", CHART / f"ci/{values}.yaml",
                         "--set", f"persistence.storageClass={CLASS}", *flags, *(["--wait", "--timeout", f"{WAIT_S}s"] if wait else []), fail=fail)

    def install(self, *sets, values="minimal"):
        self.add_volume()
        return self.deploy(*sets, values=values)

    def pod(self):
        return self.get("pod", "prod-freshet-0")

    def pod_id(self):
        pod = self.pod()
        return pod and pod["metadata"]["uid"]

    def claim_id(self):
        claim = self.get("persistentvolumeclaim", "state-prod-freshet-0")
        return claim and claim["metadata"]["uid"]

    def ready(self):
        pod = self.pod()
        return bool(pod) and "deletionTimestamp" not in pod["metadata"] and any(
            condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"].get("conditions", []))


# ---- the parts ----


def render(cluster, values, space):
    return cluster.helm("template", "prod", CHART, "--namespace", space.name, "--values", values, "--kube-version", "1.36").stdout


def server_accepts_every_file_of_values(cluster, space):
    for values in sorted((CHART / "ci").glob("*.yaml")):
        done = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", "-", text=render(cluster, values, space))
        expect("Warning" not in done.stderr, f"{values.stem}: {done.stderr}")


def server_refuses_bad_fields(cluster, space):
    objects = {}
    for name in ("monitoring", "keda"):
        for item in yaml.safe_load_all(render(cluster, CHART / f"ci/{name}.yaml", space)):
            objects[item["kind"]] = item
    for kind in ("StatefulSet", "NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor", "PrometheusRule", "ScaledObject",
                 "TriggerAuthentication"):
        bad = json.loads(json.dumps(objects[kind]))
        bad["spec"]["noSuchField"] = 1
        done = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", "-", text=json.dumps(bad), fail=False)
        expect(done.returncode != 0 and 'unknown field "spec.noSuchField"' in done.stderr, f"{kind}: {done.stdout}{done.stderr}")
    bad = json.loads(json.dumps(objects["ServiceMonitor"]))
    bad["spec"]["endpoints"][0]["interval"] = "often"
    done = cluster.kubectl("apply", "--dry-run=server", "--filename", "-", text=json.dumps(bad), fail=False)
    expect(done.returncode != 0 and "spec.endpoints[0].interval" in done.stderr, f"a bad interval: {done.stdout}{done.stderr}")


def pods_meet_the_restricted_standard(cluster, space):
    """The namespace refuses others; the chart's, of `helm test` too, it takes."""
    guest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "guest"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    done = space.kubectl("apply", "--filename", "-", text=json.dumps(guest), fail=False)
    expect("violates PodSecurity" in done.stderr, f"an ordinary pod was taken: {done.stdout}{done.stderr}")
    space.install()
    events = space.get("events")["items"]
    expect(not [event for event in events if "PodSecurity" in event.get("message", "")], "the trainer violates the standard")
    test = subprocess.Popen([str(cluster.arguments.tools / "helm"), "--namespace", space.name, "test", "prod", "--timeout", f"{WAIT_S}s"],
                            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)
    try:
        until("the pod of helm test runs", lambda: (space.get("pod", "prod-freshet-test") or {}).get("status", {}).get("phase") == "Running")
        # kwok runs no script; what it would have done is tried elsewhere.
        space.kubectl("patch", "pod", "prod-freshet-test", "--subresource=status", "--type=merge", "--patch", '{"status":{"phase":"Succeeded"}}')
        said, _ = test.communicate(timeout=WAIT_S)
    finally:
        test.kill()
    expect(test.returncode == 0 and "Phase:          Succeeded" in said, said)


def install_makes_a_ready_trainer(_, space):
    said = space.install().stdout
    expect("rollout status statefulset/prod-freshet" in said, f"the notes name no next command: {said}")
    pod = space.pod()
    expect(space.ready() and pod["spec"]["nodeName"] in ("node-a", "node-b"), "the trainer is not ready on an ordinary node")
    mounted = [volume["name"] for volume in pod["spec"]["volumes"]]
    expect(sorted(mounted) == ["config", "state", "tmp"], f"volumes: {mounted}")
    expect(pod["spec"]["terminationGracePeriodSeconds"] == 60, "the grace period")
    slices = until("the Service has an address", lambda: [
        endpoint for item in space.get("endpointslice", "--selector", "kubernetes.io/service-name=prod-freshet")["items"]
        for endpoint in item.get("endpoints") or [] if endpoint["conditions"]["ready"]])
    expect(len(slices) == 1, f"{len(slices)} addresses behind the Service")


def upgrade_restarts_for_another_configuration_alone(_, space):
    space.install()
    first, claim = space.pod_id(), space.claim_id()
    space.deploy()
    space.deploy("service.annotations.a=b", "podDisruptionBudget.maxUnavailable=0")
    expect(space.pod_id() == first, "an upgrade that does not change the pod has restarted it")
    space.deploy("config.learning.batch_size=128")
    expect(space.pod_id() != first and space.ready(), "another configuration has not made another pod")
    text = space.get("configmap", "prod-freshet")["data"]["freshet.yaml"]
    expect("batch_size: 128" in text and space.claim_id() == claim, "the configuration or the claim is not what it should be")
    space.helm("rollback", "prod", "1", "--wait", "--timeout", f"{WAIT_S}s")
    expect("batch_size" not in space.get("configmap", "prod-freshet")["data"]["freshet.yaml"], "rollback left the configuration")
    expect(space.claim_id() == claim, "rollback took another claim")


def a_pod_that_is_not_ready_is_replaced_once_it_is_deleted(_, space):
    """A StatefulSet waits for it before it goes on, which README.md of the chart tells."""
    space.install()
    broken = space.pod_id()
    space.kubectl("patch", "pod", "prod-freshet-0", "--subresource=status", "--patch", json.dumps(
        {"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"}]}}))
    until("the trainer is not ready", lambda: (space.get("statefulset", "prod-freshet")["status"].get("readyReplicas", 0)) == 0)
    space.deploy("config.learning.batch_size=128", wait=False)
    space.kubectl("delete", "pod", "prod-freshet-0")
    space.deploy("config.learning.batch_size=128")
    expect(space.pod_id() != broken and space.ready(), "the broken pod stays")
    expect("batch_size: 128" in space.get("configmap", "prod-freshet")["data"]["freshet.yaml"], "the configuration")


def a_drain_moves_the_trainer(cluster, space):
    space.install()
    first, claim, node = space.pod_id(), space.claim_id(), space.pod()["spec"]["nodeName"]
    try:
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={WAIT_S}s",
                        "--pod-selector", f"app.kubernetes.io/instance=prod")
        until("the trainer is ready again", space.ready)
        expect(space.pod_id() != first and space.pod()["spec"]["nodeName"] not in (node, "node-gpu"), "it is where it was")
        expect(space.claim_id() == claim, "it has another claim")
    finally:
        cluster.kubectl("uncordon", node)


def a_drain_waits_where_one_says_so(cluster, space):
    space.install("podDisruptionBudget.maxUnavailable=0")
    first, node = space.pod_id(), space.pod()["spec"]["nodeName"]
    until("the budget is counted", lambda: space.get("poddisruptionbudget", "prod-freshet")["status"].get("currentHealthy") == 1)
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector", f"app.kubernetes.io/instance=prod")
    try:
        done = cluster.kubectl(*drain, "--timeout=3s", fail=False)
        expect(done.returncode != 0 and "Cannot evict pod as it would violate the pod's disruption budget" in done.stderr, done.stderr)
        expect(space.pod_id() == first, "it was evicted all the same")
        space.deploy("podDisruptionBudget.maxUnavailable=0", "trainer.replicas=0")
        until("the trainer is gone", lambda: not space.pod())
        cluster.kubectl(*drain, f"--timeout={WAIT_S}s")
        space.deploy("podDisruptionBudget.maxUnavailable=0")
        expect(space.ready() and space.pod()["spec"]["nodeName"] != node, "it did not come back elsewhere")
    finally:
        cluster.kubectl("uncordon", node)


def stopped_and_started_it_keeps_its_claim(_, space):
    space.install()
    claim = space.claim_id()
    space.deploy("trainer.replicas=0")
    until("the trainer is gone", lambda: not space.pod())
    expect(space.claim_id() == claim, "the claim went with the pod")
    space.deploy()
    expect(space.ready() and space.claim_id() == claim, "it did not come back on its claim")


def a_second_trainer_is_refused(_, space):
    done = space.deploy("trainer.replicas=2", fail=False)
    expect(done.returncode != 0 and "trainer/replicas" in done.stderr, done.stderr)
    done = space.deploy("config.stream.lable=late", fail=False)
    expect(done.returncode != 0 and "lable" in done.stderr, done.stderr)
    expect(not space.helm("list", "--all", "--short").stdout.strip(), "something was installed")


def with_one_gpu_an_upgrade_goes_through(cluster, space):
    """With a rolling Deployment the new pod would wait for the GPU that the old one holds."""
    cluster.apply({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "nvidia"})
    space.install(values="gpu")
    first = space.pod_id()
    expect(space.pod()["spec"]["nodeName"] == "node-gpu", "it is not where the GPU is")
    space.deploy("config.learning.batch_size=2k", values="gpu")
    expect(space.pod_id() != first and space.ready(), "it did not come back")


def removed_it_leaves_the_claim_and_nothing_else(_, space):
    space.install()
    claim = space.claim_id()
    space.helm("uninstall", "prod", "--wait", "--timeout", f"{WAIT_S}s")
    until("the pod is gone", lambda: not space.pod())
    kinds = ("statefulset,pod,service,configmap,secret,serviceaccount,poddisruptionbudget,networkpolicy,servicemonitor,prometheusrule,"
             "controllerrevision")
    left = space.get(kinds, "--selector", "app.kubernetes.io/instance=prod")["items"]
    expect(not left, f"left behind: {[(item['kind'], item['metadata']['name']) for item in left]}")
    expect(space.claim_id() == claim, "the claim went with the release")
    space.deploy()
    expect(space.ready() and space.claim_id() == claim, "a new release does not take up the claim")


def removed_it_takes_the_claim_along_where_one_says_so(_, space):
    space.install("persistence.retention.whenDeleted=Delete")
    space.helm("uninstall", "prod", "--wait", "--timeout", f"{WAIT_S}s")
    until("the claim is gone", lambda: not space.claim_id())


PARTS = (
    server_accepts_every_file_of_values,
    server_refuses_bad_fields,
    a_second_trainer_is_refused,
    install_makes_a_ready_trainer,
    pods_meet_the_restricted_standard,
    upgrade_restarts_for_another_configuration_alone,
    a_pod_that_is_not_ready_is_replaced_once_it_is_deleted,
    a_drain_moves_the_trainer,
    a_drain_waits_where_one_says_so,
    stopped_and_started_it_keeps_its_claim,
    with_one_gpu_an_upgrade_goes_through,
    removed_it_leaves_the_claim_and_nothing_else,
    removed_it_takes_the_claim_along_where_one_says_so,
)


def run_part(cluster, number, part):
    space = Space(cluster, f"part-{number}")
    try:
        part(cluster, space)
    finally:
        space.helm("uninstall", "prod", "--ignore-not-found", fail=False)
        cluster.kubectl("delete", "namespace", space.name, "--wait=false", fail=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="folder with helm and the operators' CRDs")
    parser.add_argument("--cluster", type=pathlib.Path, required=True, help="folder with kube-apiserver, kubectl, kwok and so on")
    parser.add_argument("--etcd", type=pathlib.Path, required=True)
    parser.add_argument("parts", nargs="*", help="only those whose names contain one of these")
    arguments = parser.parse_args()
    parts = [part for part in PARTS if not arguments.parts or any(word in part.__name__ for word in arguments.parts)]
    if not parts:
        sys.exit(f"no part's name contains one of {', '.join(arguments.parts)}")
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="freshet-cluster-") as folder, contextlib.ExitStack() as ending:
        cluster = Cluster(arguments, pathlib.Path(folder))
        ending.callback(cluster.stop)
        begun = time.monotonic()
        try:
            cluster.start()
        except Failure as failure:
            cluster.last_words()
            sys.exit(f"the cluster did not start: {failure}")
        print(f"    a cluster in {time.monotonic() - begun:.1f} s", flush=True)
        for number, part in enumerate(parts):
            begun, words = time.monotonic(), part.__name__.replace("_", " ")
            try:
                run_part(cluster, number, part)
                passed += 1
                print(f"    ok      {words} ({time.monotonic() - begun:.1f} s)", flush=True)
            except Failure as failure:
                failed += 1
                print(f"    FAILED  {words} ({time.monotonic() - begun:.1f} s)\n            {failure}", flush=True)
                if cluster.died():
                    cluster.last_words()
                    failed += len(parts) - number - 1
                    break
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
