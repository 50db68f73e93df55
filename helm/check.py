#!/usr/bin/env python3
"""Looks at what the chart makes of each file of values in helm/freshet/ci, as strictly as an API server would.

For each of them: `helm lint --strict`; every object against the schema of its kind, of the oldest and the newest Kubernetes
and of the operators' own resources, unknown fields refused; kube-score; and Freshet's own check of its configuration, where
a binary has been built. A kind without a schema is a failure. That these checks can fail is tried as well: one field too many is put
into one object of each kind. README.md's example is the file ci/minimal.yaml, and the
chart's appVersion the project's version.

`kube-score/ignore CHECK: REASON` in a comment of a values file says which finding is meant there.
"""
import argparse
import copy
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHART = ROOT / "helm/freshet"
KUBERNETES = ("1.30", "1.37")  # the oldest that Chart.yaml allows, and the newest whose schemas are at hand

# What kube-score would have otherwise, everywhere, and why not.
NOT_SCORED = {
    "container-image-pull-policy": "versions are never pushed again; with Always a restart would need the registry",
}
CPU_LIMIT = "--ignore-container-cpu-limit"  # a limit stops a round in the middle of its work and frees nothing that a request keeps


class Finding(Exception):
    pass


def run(*command, fail=True):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if fail and done.returncode != 0:
        raise Finding((done.stderr + done.stdout).strip())
    return done


# ---- schemas ----


def strict(schema):
    """A CRD's schema as JSON schema: unknown fields are refused, except where the CRD keeps them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: value if key in ("default", "enum", "required", "example") else strict(value) for key, value in schema.items()
            if key != "format"}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["type"] = ["integer", "string"]
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


def load_crds(folder):
    """{(apiVersion, kind): JSON schema}"""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        crd = yaml.safe_load(path.read_text())
        for version in crd["spec"]["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"].update({"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}})
            found[(f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])] = schema
    if not found:
        raise Finding(f"{folder} holds no CRD")
    return found


def validate(item, crds):
    """Nothing, or Finding with the field's place."""
    name = f"{item['kind']}/{item['metadata']['name']}"
    try:
        schema = crds.get((item["apiVersion"], item["kind"]))
        if schema is not None:
            jsonschema.Draft202012Validator(schema).validate(item)
        else:
            for version in KUBERNETES:
                used = kubernetes_validate.validate(item, version, strict=True)
                if used != version:
                    raise Finding(f"{name}: no schemas of Kubernetes {version}, only of {used}")
    except jsonschema.ValidationError as error:
        place = ".".join(str(part) for part in error.absolute_path)
        raise Finding(f"{name}: {place}: {error.message[:300]}") from None
    except kubernetes_validate.SchemaNotFoundError:
        raise Finding(f"{name}: no schema of kind {item['kind']} in {item['apiVersion']}") from None


def try_bad_fields(objects, crds):
    """Every kind with a field that it does not have must be refused, by that field's name."""
    tried = {}
    for item in objects:
        if (item["apiVersion"], item["kind"]) in tried:
            continue
        bad = copy.deepcopy(item)
        inside = bad.get("spec", bad)
        inside["noSuchField"] = True
        try:
            validate(bad, crds)
        except Finding as finding:
            if "noSuchField" not in str(finding):
                raise Finding(f"refused for another reason than its bad field: {finding}") from None
        else:
            raise Finding(f"{item['kind']}: a field that the kind does not have passed")
        tried[(item["apiVersion"], item["kind"])] = True
    return sorted(kind for _, kind in tried)


# ---- one file of values ----


@dataclasses.dataclass
class Tools:
    folder: pathlib.Path
    freshet: pathlib.Path | None

    def __getattr__(self, name):
        return self.folder / name.replace("_", "-")


def render(tools, values, kubernetes):
    return run(tools.helm, "template", "prod", CHART, "--namespace", "learning", "--values", values, "--kube-version", kubernetes).stdout


def score(tools, rendered, values):
    ignored = dict(NOT_SCORED)
    ignored.update(re.findall(r"^# kube-score/ignore ([a-z-]+): (.+)$", values.read_text(), re.M))
    flags = [flag for check in ignored for flag in ("--ignore-test", check)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(rendered)
        file.flush()
        done = run(tools.kube_score, "score", file.name, "--kubernetes-version", f"v{KUBERNETES[0]}", "--output-format", "ci",
                   CPU_LIMIT, *flags, fail=False)
    lines = [line for line in done.stdout.splitlines() if not re.match(r"\[(OK|SKIPPED)\]", line)]
    if lines or done.returncode not in (0, 1) or not done.stdout:
        raise Finding("kube-score: " + "\n".join(lines or [done.stderr.strip() or "said nothing"]))


def check_config(tools, objects):
    """The daemon's own check of its configuration; what it says of files that only a pod has is no finding."""
    texts = [item["data"]["freshet.yaml"] for item in objects if item["kind"] == "ConfigMap" and "freshet.yaml" in item["data"]]
    if len(texts) != 1:
        raise Finding(f"{len(texts)} ConfigMaps with a freshet.yaml")
    if tools.freshet is None:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(texts[0])
        file.flush()
        try:
            run(tools.freshet, "config", "check", "--config", file.name)
        except Finding as finding:
            raise Finding(f"{tools.freshet.relative_to(ROOT)}, if it is not older than the sources: {finding}") from None


def check_values(tools, values, crds):
    run(tools.helm, "lint", "--strict", CHART, "--values", values, "--kube-version", KUBERNETES[-1], "--quiet")
    rendered = render(tools, values, KUBERNETES[-1])
    if render(tools, values, KUBERNETES[0]) != rendered:
        raise Finding(f"Kubernetes {KUBERNETES[0]} and {KUBERNETES[-1]} get different objects")
    objects = [item for item in yaml.safe_load_all(rendered) if item]
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    if len(set(names)) != len(names):
        raise Finding("two objects have the same kind and name")
    for item in objects:
        validate(item, crds)
    score(tools, rendered, values)
    check_config(tools, objects)
    return objects


def check_readme():
    blocks = re.findall(r"```yaml\n# values\.yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    if blocks != [(CHART / "ci/minimal.yaml").read_text()]:
        raise Finding("README.md: its block of yaml that begins with `# values.yaml` is not the text of helm/freshet/ci/minimal.yaml")


def check_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    project = re.search(r"^project\(freshet VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M).group(1)
    if chart != project:
        raise Finding(f"Chart.yaml: appVersion is {chart}, CMakeLists.txt says {project}")


def newest_binary():
    built = [path for path in (ROOT / "build").glob("*/freshet") if path.is_file() and os.access(path, os.X_OK)]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=pathlib.Path, required=True, help="folder with helm and kube-score")
    parser.add_argument("--crds", type=pathlib.Path, required=True, help="folder with the operators' CRDs")
    arguments = parser.parse_args()
    tools = Tools(arguments.tools, newest_binary())
    failed, everything = 0, []
    try:
        crds = load_crds(arguments.crds)
        check_readme()
        check_version()
    except Finding as finding:
        sys.exit(f"    {finding}")
    sets = sorted((CHART / "ci").glob("*.yaml"))
    for values in sets:
        try:
            objects = check_values(tools, values, crds)
            everything += objects
            print(f"    {values.stem}: {len(objects)} objects")
        except Finding as finding:
            failed += 1
            print(f"    {values.stem}: FAILED\n" + "\n".join("        " + line for line in str(finding).splitlines()))
    if len(sets) < 8:
        failed += 1
        print(f"    only {len(sets)} files of values: eight or more are wanted")
    try:
        kinds = try_bad_fields(everything, crds)
        missing = {kind for _, kind in crds} - set(kinds)
        if not failed and missing:
            raise Finding(f"no file of values makes a {', '.join(sorted(missing))}")
        print(f"    a field too many is refused in each of {', '.join(kinds)}")
    except Finding as finding:
        failed += 1
        print(f"    {finding}")
    if tools.freshet is None:
        print("    (no binary in build/: the configurations were held against the schema alone)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
